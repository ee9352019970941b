"""Which of a task's names a text means, and which names cannot be told apart."""
# ruff: noqa: RUF001 - these signs are what it is about

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from querist.tools.kinds.names import find_alike, fold_label, is_blank, match_label

AWKWARD = (
    "N.A.", 'bug "crash"', "👍 praise", "billing, refunds & <money>", "Polish", "polish",
    "C", "C++", "C#", "+", "-", "*", "...", "?", "(other)", "__init__", "customer's",
)  # fmt: skip
SCOTLAND = "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f"
ENGLAND = "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"


@pytest.mark.parametrize("name", AWKWARD)
@pytest.mark.parametrize("dress", ["{}", " {}\n", '"{}"', "`{}`", "**{}**", "“{}”", "\ufeff{}"])
def test_every_name_is_known_in_every_dress(name: str, dress: str) -> None:
    assert match_label(dress.format(name), AWKWARD) == name


@pytest.mark.parametrize(
    ("text", "names", "meant"),
    [
        ("BILLING", ["billing", "bug"], "billing"),
        ("Billing.", ["billing", "bug"], "billing"),
        ("**Bug**:", ["billing", "bug"], "bug"),
        ('"bug".', ["billing", "bug"], "bug"),
        ("N.A", ["N.A.", "bug"], "N.A."),
        ("n.a.", ["N.A.", "bug"], "N.A."),
        ("Polish.", ["Polish", "polish"], "Polish"),
        ("c++", ["C", "C++", "C#"], "C++"),
        ("c.", ["C", "C++", "C#"], "C"),
        ("Bug?", ["bug", "bug?"], "bug?"),
        ("bug \u200bcrash", ["bug crash"], "bug crash"),
        ("bug\u00a0crash", ["bug  crash"], "bug  crash"),
        ("customer\u2019s", ["customer's"], "customer's"),
        ("ＢＵＧ", ["bug"], "bug"),
        ("cafe\u0301", ["café"], "café"),
        ("❤", ["❤\ufe0f", "x"], "❤\ufe0f"),
        ("Other", ["(other)", "x"], "(other)"),
        ("STRASSE", ["straße", "weg"], "straße"),
    ],
)
def test_a_name_is_matched_in_what_readers_go_by(text: str, names: list[str], meant: str) -> None:
    assert match_label(text, names) == meant


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("POLISH", ["Polish", "polish"]),
        ("C+", ["C", "C++"]),
        ("C", ["C++", "C#"]),
        ("", ["bug", "..."]),
        (".", ["bug", "..."]),
        ("+-", ["+", "-"]),
        ("bugs", ["bug"]),
        ("bug or praise", ["bug", "praise"]),
        ("**", ["*", "bug"]),
    ],
)
def test_nothing_is_guessed(text: str, names: list[str]) -> None:
    assert match_label(text, names) is None


@given(st.lists(st.text(max_size=6), min_size=1, max_size=6, unique=True))
def test_a_name_always_means_itself(names: list[str]) -> None:
    assert [match_label(name, names) for name in names] == names


@given(st.text(min_size=1, max_size=8))
def test_what_shows_something_never_folds_to_nothing(name: str) -> None:
    assert bool(fold_label(name)) or is_blank(name) or is_blank(unicodedata.normalize("NFKC", name))


@given(st.text(max_size=8))
def test_folding_twice_changes_nothing_more_for_plain_words(name: str) -> None:
    words = "".join(letter for letter in name if letter.isascii() and letter.isalnum())
    assert fold_label(fold_label(words)) == fold_label(words)


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("bug", "bug "),
        ("bug", "bu\u200bg"),
        ("café", "cafe\u0301"),
        ("a b", "a \u00a0b"),
        ("ＡＢ", "AB"),
        ("❤", "❤\ufe0f"),
    ],
)
def test_names_that_look_the_same_are_found(name: str, other: str) -> None:
    assert find_alike(["x", name, other]) == (name, other)


@pytest.mark.parametrize(
    "names", [AWKWARD, ("Polish", "polish"), ("a b", "ab"), (SCOTLAND, ENGLAND), ("N.A.", "N.A")]
)
def test_names_that_a_reader_can_tell_apart_are_not_alike(names: tuple[str, ...]) -> None:
    assert find_alike(names) is None


@pytest.mark.parametrize("text", ["", " \n", "\u200b", "\ufeff\u2060 \u00ad", "\u2800", "\u3164"])
def test_a_text_that_shows_nothing_is_blank(text: str) -> None:
    assert is_blank(text)
    assert not is_blank(f"{text}a")
