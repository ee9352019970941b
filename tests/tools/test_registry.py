"""One registry: the same whatever was imported before, and strict before anything is made."""

from __future__ import annotations

import subprocess
import sys
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from querist.memory.errors import InvalidInput
from querist.tools.calls import read_call, split_outside, write_call
from querist.tools.registry import Count, Registry, Share, declare, entries_in, make_card
from querist.tools.strategies import STRATEGIES, get

GROUP = "querist.test"


def lamp(*, watts: Count = 5, dim: Share = 0.5, colour: Literal["red", "blue"] = "red") -> str:
    return f"{watts} W {colour} at {dim}"


LAMP = declare(GROUP, "lamp", factory=lamp, card=make_card("It shines."))


def lamps() -> Registry[str]:
    return Registry[str]("lamp", group=GROUP, modules=(__name__,), listing="querist strategies")


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("lamp", "5 W red at 0.5"),
        ("lamp()", "5 W red at 0.5"),
        (" lamp ( watts = 7 , colour = 'blue' ) ", "7 W blue at 0.5"),
        ('lamp(dim=1, colour="blue")', "5 W blue at 1.0"),
    ],
)
def test_a_name_is_made_with_its_parameters(text: str, made: str) -> None:
    assert lamps().read(text) == made


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("lmp", "No lamp is called 'lmp'. Did you mean lamp?"),
        ("lamp(wats=3)", "no parameter 'wats'. Did you mean 'watts'? It takes: watts (a whole"),
        ("lamp(watts=0)", "watts = 0 cannot be; it is a whole number, at least 1"),
        ("lamp(watts=true)", "watts = true cannot be"),
        ("lamp(watts=2.5)", "watts = 2.5 cannot be"),
        ("lamp(dim=nan)", "dim = nan cannot be; it is a number, at least 0, at most 1"),
        ("lamp(colour='green')", "it is 'red' or 'blue'"),
        ("lamp(watts=3, watts=4)", "is there twice"),
        ("lamp(watts)", "is no argument"),
        ("lamp(colour=blue)", "words stand between quotation marks"),
        ("lamp(watts=3", "is not a name with arguments"),
        ("", "is not a name with arguments"),
    ],
)
def test_what_cannot_be_is_refused_with_the_remedy(text: str, words: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        lamps().read(text)
    assert words in str(refused.value)


def test_checking_makes_nothing() -> None:
    lit = []

    def switch(*, on: bool = True) -> object:
        return lit.append(on)

    entry = declare(GROUP, "switch", factory=switch, card=make_card("It switches."))
    assert entry.validated({"on": False}) == {"on": False}
    assert lit == []


def test_a_parameter_that_no_task_file_can_write_is_refused_where_it_is_declared() -> None:
    def needy(*, words: list[str] | None = None) -> None: ...

    def bare(*, words: str) -> None: ...

    for factory in (needy, bare):
        with pytest.raises(InvalidInput, match="must have a default"):
            declare(GROUP, "odd", factory=factory, card=make_card("It is odd."))


def test_declaring_registers_nothing() -> None:
    declare(GROUP, "stray", factory=lamp, card=make_card("It is elsewhere."))
    assert [entry.name for entry in lamps().entries()] == ["lamp"]


def test_only_entries_of_the_group_are_taken_from_a_module() -> None:
    assert list(entries_in((LAMP, [LAMP]), GROUP)) == [LAMP, LAMP]
    assert list(entries_in(LAMP, "querist.other")) == []


@given(
    st.dictionaries(
        st.from_regex(r"[a-z]\w{0,5}", fullmatch=True).filter(str.isascii),
        st.booleans() | st.integers(-(10**9), 10**9) | st.floats(allow_nan=False) | st.text(),
        max_size=4,
    )
)
def test_what_is_written_is_read_back(values) -> None:
    text = write_call("name", values)
    assert read_call(text) == ("name", values)
    assert split_outside(f"{text}+{text}", "+") == [text, text]


def test_parameters_stand_anywhere_in_a_composition() -> None:
    text = "0.7*margin + 0.3 * contrastive( neighbours = 5 )@3>typiclust(smallest=2)"
    assert get(text).name == (
        "0.7*margin + 0.3*contrastive(neighbours=5)@3 > typiclust(smallest=2)"
    )
    asked = 'ask_llm(criterion="a + b > c, (or) not") + random'
    assert get(asked).name == asked


def test_the_registry_is_the_same_whatever_was_imported_first() -> None:
    code = (
        "{first}\n"
        "from querist.tools.strategies import available\n"
        "print(*(entry.name for entry in available()))\n"
    )
    names = [
        subprocess.run(
            [sys.executable, "-c", code.format(first=first)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        for first in ("", "import querist.agents.selector.strategies.eagle")
    ]
    assert names[0] == names[1] == [entry.name for entry in STRATEGIES.entries()]
    assert "eagle_llm" in names[0]
