"""Find a label by typing a part of its name, where there are more labels than keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

MOST_SHOWN = 9
"""Matches that are shown at once: each has a digit."""
_BACKSPACES = frozenset({"\x7f", "\x08"})
_ENTERS = frozenset({"\n", "\r"})


@dataclass(slots=True)
class TypeAhead:
    """What was typed so far, and which labels it could mean."""

    names: Sequence[str]
    likely: Sequence[str] = ()
    """Names in falling order of likelihood, as far as that is known: of equal matches these first.
    Nothing of it shows before something was typed."""
    typed: str = field(default="")

    @property
    def matches(self) -> list[str]:
        """The labels that fit, the best first: by their beginning, a word's beginning, a part."""
        if not self.typed.strip():
            return []
        order = {name: place for place, name in enumerate(self.likely)}
        ranked = [
            (rank, order.get(name, len(order)), place, name)
            for place, name in enumerate(self.names)
            if (rank := _rank(name, self.typed.strip())) is not None
        ]
        return [name for *_, name in sorted(ranked)]

    def press(self, key: str) -> str | None:
        """Take a key; give the label that it settles on, if it does.

        Enter takes the label that is spelled out, or the one that fits best if it does so alone; a
        digit takes the match beside it.
        """
        matches = self.matches
        if key in _BACKSPACES:
            self.typed = self.typed[:-1]
        elif key in _ENTERS:
            return self._settled(matches)
        elif key.isdigit() and key != "0" and matches and not self._is_spelled(key):
            place = int(key) - 1
            return matches[place] if place < min(len(matches), MOST_SHOWN) else None
        elif key.isprintable():
            self.typed += key
        return None

    def _settled(self, matches: Sequence[str]) -> str | None:
        typed = self.typed.strip()
        exact = [name for name in matches if name.casefold() == typed.casefold()]
        best = [name for name in matches if _rank(name, typed) == _rank(matches[0], typed)]
        alone = exact if len(exact) == 1 else best
        return alone[0] if len(alone) == 1 else None

    def _is_spelled(self, digit: str) -> bool:
        """Tell whether a digit goes on with a name, as in `topic 17`, instead of choosing."""
        longer = (self.typed + digit).lstrip().casefold()
        return any(longer in name.casefold() for name in self.names)


def _rank(name: str, typed: str) -> int | None:
    folded, wanted = name.casefold(), typed.casefold()
    if folded.startswith(wanted):
        return 0
    words = folded.replace("_", " ").replace("-", " ").split()
    if any(word.startswith(wanted) for word in words):
        return 1
    if wanted in folded:
        return 2
    return 3 if all(any(w.startswith(part) for w in words) for part in wanted.split()) else None
