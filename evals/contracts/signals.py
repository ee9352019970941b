"""The contract of `Signal`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from querist.memory.answers import Choice
from querist.memory.records import Example, ExampleId, Label, LabelClass, Task
from querist.tools.compute.arrays import FloatArray
from querist.tools.kinds import DEFAULT, answers_of
from querist.tools.opinions.signals import Signal, SignalView

_TASK = Task("contract", DEFAULT.name, tuple(LabelClass(name) for name in ("one", "two", "three")))
_ROWS, _LABELLED = 60, 40


def check_signal(signal: Signal) -> None:
    """Check what every signal promises.

    It gives a distribution over the answers for each example asked, in their order, or None as
    long as it has nothing to say; changes nothing that it is shown; needs no label and no model;
    and says of an example nothing that it has from the example's own label.
    """
    assert signal.name.isidentifier(), "A signal's name is an identifier: it is part of a key."
    assert signal.words.strip(), "A signal has words for people."
    assert signal.start >= 0, "What a signal counts at the start is not negative."
    view = _view()
    ids = [ExampleId(f"e{row:02}") for row in range(_ROWS)]
    for shown in (view, replace(view, model=None), replace(view, labels={})):
        said = _opinions(signal, shown, ids)
        backwards = _opinions(signal, shown, ids[::-1])
        assert (said is None) == (backwards is None), "The order of the examples must not matter."
        if said is not None and backwards is not None:
            same = np.allclose(said, backwards[::-1], atol=1e-5)
            assert same, "Opinions come in the order of the examples, whatever it is."
        _opinions(signal, shown, [])
    own = ids[0]
    others = {**view.labels, own: replace(view.labels[own], answer=Choice("three"))}
    before, after = (
        _opinions(signal, replace(view, labels=labels), [own]) for labels in (view.labels, others)
    )
    is_same = before is after if before is None or after is None else np.allclose(before, after)
    assert is_same, "A signal must not tell of an example what its own label says."


def _opinions(signal: Signal, view: SignalView, ids: Sequence[ExampleId]) -> FloatArray | None:
    labels = dict(view.labels)
    said = signal.opinions(view, ids)
    assert dict(view.labels) == labels, "A signal changes nothing that it is shown."
    if said is None:
        return None
    wanted = (len(ids), len(view.answers))
    assert said.shape == wanted, f"Opinions are {wanted} for these examples, and not {said.shape}."
    assert np.isfinite(said).all(), "Opinions are numbers."
    assert (said >= 0).all(), "Opinions are chances, and never negative."
    assert np.allclose(said.sum(axis=1), 1, atol=1e-4), "Each row of opinions sums to 1."
    return said


def _view() -> SignalView:
    rng = np.random.default_rng(0)
    answers = answers_of(_TASK)
    places = np.arange(_ROWS) % len(answers)
    vectors = np.eye(8)[places] + 0.3 * rng.normal(size=(_ROWS, 8))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    chances = np.full((_ROWS, len(answers)), 0.2)
    chances[np.arange(_ROWS), places] = 0.6
    ids = [ExampleId(f"e{row:02}") for row in range(_ROWS)]
    rows = {example: row for row, example in enumerate(ids)}
    examples = [Example(example, {"text": f"Text {row}!"}) for row, example in enumerate(ids)]
    labels = {
        ids[row]: Label(
            example=ids[row],
            answer=answers.answers[places[row]],
            source="human",
            who="anna",
            weight=1.0,
            p_correct=1.0,
            round=0,
        )
        for row in range(_LABELLED)
    }

    def at(array: FloatArray, wanted: Sequence[ExampleId]) -> FloatArray:
        return array[[rows[example] for example in wanted]]

    return SignalView(
        labels,
        answers,
        vectors=lambda wanted: at(vectors, wanted),
        examples=lambda wanted: [examples[rows[example]] for example in wanted],
        model=lambda wanted: at(chances, wanted),
    )
