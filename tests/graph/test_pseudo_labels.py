"""Pseudo-labels: kept with their round, weighed as the paper says, seen by one fit alone."""

import asyncio
from types import SimpleNamespace

import numpy as np
import pytest
from tests_graph_support import LABELS, gold_texts

from querist.agents.models.providers.scripted import ScriptedModel
from querist.agents.selector.strategies.ac_tune import Pseudo
from querist.graph import nodes
from querist.graph.round import pseudo_labels
from querist.graph.round.knowledge import Knowledge
from querist.graph.round.measure import measure
from querist.graph.round.model_files import current_model
from querist.graph.round.pseudo_labels import load_pseudo, pseudo_rows, save_pseudo, weigh
from querist.graph.round.select import query_context
from querist.graph.run import Run
from querist.graph.workplace.context import Context
from querist.memory.errors import StoreError
from querist.memory.run.runs import Runs
from querist.tools.strategies import get

GOLD = gold_texts()
LOOP = {"rounds": 4, "batch": 24, "strategy": "ac_tune"}


class KilledError(Exception):
    pass


def annotate(request):
    if not request.choices:
        return "[1]"
    text = request.messages[-1].content.split(": ", 1)[-1].strip('"')
    label = GOLD.get(text, request.choices[0])
    rest = 0.1 / (len(request.choices) - 1)
    return {option: 0.9 if option == label else rest for option in request.choices}


def models():
    return {"local": ScriptedModel(annotate, name="local")}


@pytest.fixture
def steady_run(make_run):
    def make(name="work", **sections):
        given = {"loop": LOOP, "people": {"kind": "simulated", "error_rate": 0.0}} | sections
        return make_run(name, **given).use(models=models())

    return make


@pytest.fixture
def context(steady_run):
    """A driver's context after two rounds, with nothing offered."""
    run = steady_run(loop={"rounds": 1, "strategy": "random"})
    asyncio.run(run.drive())
    return driven(run)


def driven(run):
    """Drive the run from here on."""
    return Context(run.store, run.row, Runs(run.store).take(run.id), models=models())


def left(context):
    touched = context.labelling.touched()
    return [example_id for example_id in context.view.ids if example_id not in touched]


def offer(context, ids, *, number=1, label=0):
    """Offer ids as surely of one class."""
    rows = np.full((len(ids), len(LABELS)), 0.01 / (len(LABELS) - 1))
    rows[:, label] = 0.99
    save_pseudo(context.files, Pseudo(tuple(ids), rows), number=number)


def test_of_many_pseudo_labels_as_many_as_a_fit_bears_are_drawn(context, monkeypatch):
    monkeypatch.setattr(pseudo_labels, "MOST", 20)
    offer(context, left(context)[:50])
    rows = Knowledge(context, model=None).training_set
    drawn, again = (pseudo_rows(context, rows, number=1) for _ in range(2))
    assert len(drawn.inputs) == len(drawn.targets) == len(drawn.weights) == 20
    assert drawn.weights.sum() == pytest.approx(rows.weights.sum())
    np.testing.assert_array_equal(drawn.inputs, again.inputs)


def drive(run, killed_at=None):
    """Drive to the end, or until an event of this kind and round, which ends it on the spot."""
    events = []

    def listen(event):
        events.append(event)
        if (event.kind, event.data.get("round")) == killed_at:
            raise KilledError

    asyncio.run(run.drive(listen))
    return events


def test_pseudo_labels_weigh_what_the_labels_do_and_share_it_evenly():
    labelled = np.array([1.0, 0.5, 0.0, 0.5])
    assert weigh(4, labelled) == pytest.approx([0.5] * 4)
    assert weigh(3, labelled, share=0.2).sum() == pytest.approx(0.25 * labelled.sum())


def test_what_was_labelled_since_is_left_out(context):
    rows = Knowledge(context, model=None).training_set
    free = left(context)[:30]
    offer(context, [*rows.ids[:5], *free], label=2)
    found = pseudo_rows(context, rows, number=1)
    assert found.inputs == pytest.approx(context.view.of(free))
    assert found.targets.argmax(axis=1).tolist() == [2] * 30
    assert found.weights.sum() == pytest.approx(rows.weights.sum())
    offer(context, rows.ids[:5])
    assert pseudo_rows(context, rows, number=1) is None


def test_pseudo_labels_count_for_their_own_round_only(context):
    rows = Knowledge(context, model=None).training_set
    offer(context, left(context)[:30], number=1)
    assert pseudo_rows(context, rows, number=0) is None
    assert pseudo_rows(context, rows, number=1) is not None
    assert pseudo_rows(context, rows, number=2) is None


@pytest.mark.parametrize("nothing", [None, "three", Pseudo((), np.empty((0, 6)))])
def test_a_selection_that_offers_nothing_takes_away_what_a_crash_left(context, nothing):
    offer(context, left(context)[:30])
    save_pseudo(context.files, nothing, number=1)
    assert load_pseudo(context.files, number=1) is None


def test_a_damaged_file_is_named(context):
    offer(context, left(context)[:30])
    path = context.files.path("pseudo/round-0001.npz")
    for body in (path.read_bytes()[:200], b"", b"nonsense"):
        path.write_bytes(body)
        with pytest.raises(StoreError, match=r"round-0001\.npz"):
            load_pseudo(context.files, number=1)


def test_trust_does_not_see_pseudo_labels_and_the_model_does(context):
    def train():
        asyncio.run(nodes.train({"round": 1}, SimpleNamespace(context=context)))
        model = current_model(context.files)
        knowledge = context.kept[1]
        judged = measure(context, knowledge, model)
        known = (knowledge.training_set.trust, knowledge.training_set.ids)
        return known, knowledge.consensus.pool_weights.weights, judged, model.coefficients

    plain, weights, before, coefficients = train()
    # All that is left is of one class, and surely so.
    offer(context, left(context))
    told, told_weights, misled, moved = train()
    assert told == plain
    assert told_weights == pytest.approx(weights)
    assert not np.allclose(moved, coefficients)
    # The model itself is measured, on what it did not learn from: its own error is seen.
    assert misled.test.value < before.test.value
    assert misled.own.by_group != before.own.by_group


def test_a_run_trains_on_the_pseudo_labels_of_its_strategy(steady_run):
    run = steady_run()
    events = drive(run)
    trained = {event.data["round"]: event.data for event in events if event.kind == "trained"}
    chosen = {
        event.data["round"]: event.data["strategy"] for event in events if event.kind == "selected"
    }
    # The first round has no model, so nothing to predict with.
    assert chosen[0] != "ac_tune"
    assert "pseudo" not in trained[0]
    told = {number: data["pseudo"] for number, data in trained.items() if "pseudo" in data}
    assert told
    assert all(chosen[number] == "ac_tune" for number in told)
    for number, count in told.items():
        offered = load_pseudo(run.view().files, number=number)
        assert 0 < count <= len(offered.ids)
        batch = {item.example for item in run.view().labelling.batch(number)}
        assert not batch & set(offered.ids)


@pytest.mark.parametrize("kind", ["selected", "annotated", "trained"])
def test_a_round_that_is_killed_and_repeated_learns_from_the_same(steady_run, open_workspace, kind):
    whole = steady_run("whole")
    drive(whole)
    last = max(row.number for row in whole.view().journal.rounds())
    broken = steady_run("broken")
    with pytest.raises(KilledError):
        drive(broken, killed_at=(kind, last))
    again = Run.open(open_workspace("broken"), broken.id).use(models=models())
    drive(again)
    expected, found = (load_pseudo(run.view().files, number=last) for run in (whole, again))
    assert expected is not None
    assert found.ids == expected.ids
    assert found.probabilities == pytest.approx(expected.probabilities)
    coefficients = [current_model(run.view().files).coefficients for run in (whole, again)]
    assert coefficients[0] == pytest.approx(coefficients[1], abs=1e-6)


def test_a_selection_that_was_not_noted_is_made_again_as_it_was(steady_run):
    run = steady_run()
    with pytest.raises(KilledError):
        drive(run, killed_at=("trained", 3))
    context = driven(run)
    rows = np.array([context.view.rows[example_id] for example_id in left(context)])
    offered = []
    for _ in range(2):
        result = get("ac_tune").query(query_context(context, rows, number=4), 10)
        save_pseudo(context.files, result.diagnostics["pseudo"], number=4)
        offered.append(load_pseudo(context.files, number=4))
    assert offered[0].ids == offered[1].ids
    assert np.array_equal(offered[0].probabilities, offered[1].probabilities)
