"""What strategies are shown of a run: every one in the registry chooses from a real one."""

import asyncio

import numpy as np
import pytest
from tests_graph_support import any_reply

from querist.agents.models.providers.scripted import ScriptedModel
from querist.graph.config import make_config
from querist.graph.round.select import check_strategy, query_context
from querist.graph.workplace.context import Context
from querist.graph.workplace.strategy_state import save_state
from querist.memory.errors import InvalidInput
from querist.memory.records import Split
from querist.memory.run.runs import Runs
from querist.tools.strategies import available, get
from querist.tools.strategies.querying import Capability

COUNT = 7


@pytest.fixture
def context(make_run):
    models = {"local": ScriptedModel(any_reply, name="local")}
    run = make_run(loop={"rounds": 1, "batch": 12}).use(models=models)
    asyncio.run(run.drive())
    # A driver's context, because strategies may spend.
    return Context(run.store, run.row, Runs(run.store).take(run.id), models=models)


def left(context):
    touched = context.labelling.touched()
    rows = [i for i, example_id in enumerate(context.view.ids) if example_id not in touched]
    return np.array(rows, dtype=np.intp)


def test_every_strategy_chooses_from_a_real_run(context):
    rows = left(context)
    ids = {context.view.ids[row] for row in rows}

    async def choose_with_each():
        chosen = {}
        for strategy in available():
            asked = query_context(context, rows, number=2)
            result = await asyncio.to_thread(strategy().query, asked, COUNT)
            chosen[strategy.name] = result.ids
        return chosen

    for name, chosen in asyncio.run(choose_with_each()).items():
        assert len(set(chosen)) == COUNT, name
        assert set(chosen) <= ids, name


def test_targets_come_without_their_labels(context):
    targets = query_context(context, left(context), number=2).targets()
    assert len(targets.examples) == len(targets.embeddings) > 0
    assert all(example.gold is None for example in targets.examples)
    assert any(example.gold is not None for example in context.pool.all(Split.TEST))


def test_what_was_asked_but_not_answered_is_of_unknown_class(context):
    labelled = query_context(context, left(context), number=2).labelled()
    known = {label.example for label in context.labelling.labels()}
    for example, number in zip(labelled.ids, labelled.classes, strict=True):
        assert (number >= 0) == (example in known)


def test_the_labelled_come_in_the_order_of_labelling(make_run):
    run = make_run(loop={"rounds": 4, "batch": 8})
    run.use(models={"local": ScriptedModel(any_reply, name="local")})
    asyncio.run(run.drive())
    context = run.view()
    shown = query_context(context, left(context), number=5).labelled()
    rounds = {label.example: label.round for label in context.labelling.labels()}
    told = [rounds[example_id] for example_id in shown.ids if example_id in rounds]
    assert told == sorted(told)
    assert len(set(told)) > 1
    # Within a round as they were chosen.
    first = [example_id for example_id in shown.ids if rounds.get(example_id) == 0]
    ranks = {item.example: item.rank for item in context.labelling.batch(0)}
    places = [ranks[example_id] for example_id in first if example_id in ranks]
    assert places == sorted(places)
    assert list(shown.ids) != sorted(shown.ids)


def test_a_strategy_that_needs_a_model_waits_for_one(make_run):
    run = make_run(loop={"rounds": 2, "batch": 10, "strategy": "badge"}, people={"kind": "none"})
    run.use(models={"local": ScriptedModel(any_reply, name="local")})
    asyncio.run(run.drive())
    chosen = [
        decision.action["strategy"] for decision in run.view().journal.decisions(agent="selector")
    ]
    assert chosen[0] != "badge"
    assert "badge" in chosen


def test_a_strategy_for_targets_needs_a_file_of_them():
    body = {
        "task": {"labels": ["a", "b"]},
        "data": {"pool": "pool.jsonl"},
        "loop": {"strategy": "margin@5 > go"},
    }
    with pytest.raises(InvalidInput, match=r"data\.test"):
        check_strategy(make_config(body, source="test"))
    assert Capability.TARGETS in get("margin@5 > go").requires


def test_what_a_strategy_remembers_reaches_the_next_round_but_not_its_own_repetition(context):
    asked = query_context(context, left(context), number=1)
    asked.state["mine.place"] = np.array([3.0])
    save_state(context.files, dict(asked.state), number=1)
    assert "mine.place" not in query_context(context, left(context), number=1).state
    assert query_context(context, left(context), number=2).state["mine.place"] == 3.0
