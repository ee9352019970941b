"""A label that a person corrects by hand, and what comes of it in the loop."""

import asyncio

import pytest
from tests_graph_support import LABELS

from querist.memory.answers import Choice
from querist.memory.run.labelling import Labelling


def drive(run, listener=None):
    return asyncio.run(run.drive(listener))


def corrected(scripted, **arguments):
    """Drive a run in which `ann` corrects a machine's label after the second round."""
    run, _ = scripted(loop={"rounds": 3})
    seen = {}

    def listen(event):
        if event.kind == "round" and event.data["round"] == 1 and not seen:
            labels = Labelling(run.store, run.id).labels()
            machine = next(label for label in labels if label.source == "llm")
            wrong = next(name for name in LABELS if name != machine.answer.value)
            seen.update(example=machine.example, label=wrong)
            run.post("correct", who="ann", **{**seen, **arguments})

    drive(run, listen)
    return run, seen


def test_a_corrected_label_stands_as_the_persons_and_is_learnt_from(scripted):
    run, seen = corrected(scripted)
    view = run.view()
    label = next(one for one in view.labelling.labels() if one.example == seen["example"])
    assert (label.source, label.who, label.answer) == ("human", "human:ann", Choice(seen["label"]))
    said = view.labelling.annotations([seen["example"]])
    # What the machine said is kept, and the person's word cost nothing.
    assert {one.who.partition(":")[0] for one in said} == {"llm", "human"}
    assert next(one for one in said if one.who == "human:ann").usd == 0
    command = view.mailbox.all()[-1]
    assert (command.status, "the next training learns from it" in command.result) == ("done", True)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [({"label": "nonsense"}, "not one of the labels"), ({"example": "nobody"}, "no example")],
)
def test_what_is_no_label_or_no_example_is_refused_and_nothing_changes(scripted, wrong, words):
    run, _ = corrected(scripted, **wrong)
    command = run.view().mailbox.all()[-1]
    assert command.status == "refused"
    assert words in command.result
    assert not [one for one in run.view().labelling.labels() if one.who == "human:ann"]
