"""Names of classes as people and models write them: which of a task's names is meant.

A name is compared as it stands first, then with less and less of its dress (invisible characters,
wrapping quotes, case, punctuation around it). The first comparison that fits decides; where it
fits two names there is no answer, since either would be a guess.
"""
# ruff: noqa: RUF001 - these signs are what it is about

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

# Characters that show nothing: format characters, variation selectors, fillers' joiners. The tags
# of a flag (England's, Scotland's) are invisible too, but they tell one flag from another.
_UNSEEN = (
    "\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u034f\u061c\u180b-\u180f\u200b-\u200f"
    "\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\ufff9-\ufffb\U000e0000-\U000e0fff"
)
_INVISIBLE = re.compile(f"(\U0001f3f4[\U000e0020-\U000e007f]+)|[{_UNSEEN}]")
# Look like blanks, but are letters and signs to Python.
_LIKE_BLANKS = "\u115f\u1160\u2800\u3164\uffa0"
_BLANKS = dict.fromkeys(map(ord, _LIKE_BLANKS), " ")
_SEEN = re.compile(rf"[^\s{_UNSEEN}{_LIKE_BLANKS}]")
_STRAIGHT = str.maketrans("‘’‚‛“”„‟′″", "''''\"\"\"\"'\"")
_CLOSED_BY = {
    '"': '"', "'": "'", "`": "`", "*": "*", "_": "_", "“": "”", "„": "“”", "‘": "’", "‚": "‘’",
    "«": "»", "»": "«", "‹": "›", "(": ")", "[": "]", "{": "}", "<": ">", "「": "」", "『": "』",
}  # fmt: skip
# Signs that carry meaning in a name (+ - # & % /) stay.
_AROUND = " \"'`*_‘’‚“”„«»‹›.,;:!?…。、，；：！？"


def match_label(text: str, names: Sequence[str]) -> str | None:
    """Tell which of `names` a text means; None if it is none of them, or may be more than one."""
    if text in names:
        return text
    by_form = _index(tuple(names))
    for form, known in by_form:
        folded = form(text)
        if folded in known:
            return known[folded]
    return None


def match_spelling(text: str, names: Sequence[str]) -> tuple[str, ...]:
    """Tell which names a cell of a file means: exactly, or but for case, blanks and encoding.

    Several names are an ambiguous cell; none, a label that the task does not know.
    """
    if text in names:
        return (text,)
    for form in (_plain, _plain_without_case):
        folded = form(text)
        if meant := tuple(name for name in names if form(name) == folded):
            return meant
    return ()


def fold_label(text: str) -> str:
    """Reduce a name to what its readers go by: NFKC, no case, single blanks, no marks around it.

    What is made of such marks alone stays as it is, so that no name folds to nothing.
    """
    return _without_case(_bare(text))


def find_alike(names: Iterable[str]) -> tuple[str, str] | None:
    """Find two names that look the same: they differ in blanks, invisible signs or encoding."""
    seen: dict[str, str] = {}
    for name in names:
        form = _plain(unicodedata.normalize("NFKC", name))
        if form in seen:
            return seen[form], name
        seen[form] = name
    return None


def is_blank(text: str) -> bool:
    """Tell whether a text shows nothing: no character, or only blank and invisible ones."""
    return _SEEN.search(text) is None


def _plain(text: str) -> str:
    """Drop what cannot be seen; blanks become single."""
    seen = _INVISIBLE.sub(r"\1", text).translate(_BLANKS)
    return " ".join(unicodedata.normalize("NFC", seen).split())


def _unwrapped(text: str) -> str:
    """Take off quotes, brackets and emphasis that wrap the whole."""
    text = _plain(text)
    while len(text) > 2 and text[-1] in _CLOSED_BY.get(text[0], ""):
        inner = text[1:-1].strip()
        if not inner:
            break
        text = inner
    return text


def _bare(text: str) -> str:
    """Take off all punctuation around a name."""
    text = _unwrapped(text)
    return _unwrapped(text.strip(_AROUND)) or text


def _without_case(text: str) -> str:
    text = unicodedata.normalize("NFKC", text.translate(_STRAIGHT)).casefold()
    return " ".join(unicodedata.normalize("NFKC", text).split())


def _plain_without_case(text: str) -> str:
    return _without_case(_plain(text))


def _unwrapped_without_case(text: str) -> str:
    return _without_case(_unwrapped(text))


# A whole name in another case is nearer than the same name with a full stop taken off.
_FORMS: tuple[Callable[[str], str], ...] = (
    _plain,
    _unwrapped,
    _plain_without_case,
    _unwrapped_without_case,
    _bare,
    fold_label,
)
_Index = tuple[tuple[Callable[[str], str], dict[str, str | None]], ...]


@lru_cache(maxsize=64)
def _index(names: tuple[str, ...]) -> _Index:
    """Map each form of each name to it; forms of several names map to None."""
    by_form = []
    for form in _FORMS:
        known: dict[str, str | None] = {}
        for name in names:
            folded = form(name)
            known[folded] = None if folded in known else name
        by_form.append((form, known))
    return tuple(by_form)
