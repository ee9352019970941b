"""The contracts of `Gate` and `Method`."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

from querist.agents.generator.methods.port import Brief, Method, Need
from querist.memory.answers import Choice
from querist.memory.records import Example, ExampleId, LabelClass, Task
from querist.tools.embedding.embedders import HashingEmbedder
from querist.tools.gates.port import Candidate, Gate, Setting
from querist.tools.kinds import DEFAULT

_TASK = Task("contract", DEFAULT.name, (LabelClass("one", "the first"), LabelClass("two")))
_TEXTS = (
    "a tap that drips",
    "A tap, that drips!",
    "",
    "loud music at night" * 30,
    "{}",
    "SELECT 1",
)


def check_gate(gate: Gate) -> None:
    """Check what every gate promises.

    A finding for each candidate, in order; a reason wherever one does not pass; the same findings
    for the same candidates again, whatever was looked at in between; nothing of the setting but its
    memo changed; a rank, and words on how to loosen it.
    """
    assert isinstance(gate.rank, int), "A gate has a rank: cheaper ones look first."
    assert gate.remedy.strip(), "A gate says what to change where it lets nothing through."
    candidates = [Candidate({"text": text}, text, "one") for text in _TEXTS]
    setting = _setting()
    before = (tuple(setting.seeds), tuple(setting.accepted), tuple(setting.tests))
    first = gate.check(candidates, setting)
    assert len(first) == len(candidates), "There is one finding for each candidate."
    for finding in first:
        assert finding.passed or finding.reason.strip(), "What does not pass is told why."
    assert gate.check([], setting) == [], "Of no candidates there are no findings."
    gate.check(candidates[::-1], setting)
    assert gate.check(candidates, setting) == first, (
        "The same candidates meet the same findings again: a wave is repeated after a crash."
    )
    after = (tuple(setting.seeds), tuple(setting.accepted), tuple(setting.tests))
    assert after == before, "A gate changes nothing of the setting but its memo."


def check_method(method: Method) -> None:
    """Check what every method of writing promises.

    A brief is asked as one call, and the same brief as the same call; the number of the try is in
    the request; what is given by others stands in no system turn; a reply without rows is a
    `ValueError`.
    """
    assert method.needs <= set(get_args(Need)), f"Needs are some of {get_args(Need)}."
    brief = _brief()
    ask = method.ask(brief)
    assert method.ask(brief).request == ask.request, "The same brief is the same call."
    other = method.ask(replace(brief, sample=brief.sample + 1)).request
    assert other.sample != ask.request.sample, "Another try is another call."
    assert ask.request.max_tokens > 0, "A call may write something."
    system = " ".join(turn.content for turn in ask.request.messages if turn.role == "system")
    assert "SEED-TEXT" not in system, "Texts of others never stand in the system's turn."
    for reply in ("", "no", "[]", '{"texts": []}', '{"rows": 3}'):
        try:
            ask.read(reply)
        except ValueError:
            continue
        raise AssertionError(f"The reply {reply!r} holds no rows: that is a ValueError.")


def _setting() -> Setting:
    seeds = [f"a seed about {word} {n}" for word in ("water", "noise") for n in range(5)]
    labels = ["one"] * 5 + ["two"] * 5
    return Setting(
        seeds=seeds,
        tests=["a test text that nobody may give away"],
        labelled=list(zip(seeds, labels, strict=True)),
        accepted=["a row that was accepted before"],
        embed=HashingEmbedder().embed,
    )


def _brief() -> Brief:
    def example(name: str, label: str) -> Example:
        return Example(ExampleId(name), {"text": f"SEED-TEXT {name}"}, gold=Choice(label))

    return Brief(
        _TASK,
        "one",
        {"tone": "polite"},
        (example("a", "one"), example("b", "one")),
        2,
        7,
        other="two",
        others=(example("c", "two"),),
        passage=Example(ExampleId("p"), {"text": "SEED-TEXT of a passage"}),
    )
