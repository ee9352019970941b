"""The audit sample: asked at random, measured on, never learnt from."""

import asyncio
from dataclasses import replace

import pytest
from tests_graph_support import EXAMPLE

from querist.graph.round.audit import ask_audit, audit_size, learnable, reserved, selectable
from querist.graph.round.knowledge import Knowledge
from querist.graph.round.prompts import bank_of
from querist.graph.round.select import query_context
from querist.graph.workplace.context import Context
from querist.memory.records import Split
from querist.memory.run.runs import Runs
from querist.tools.opinions.quality import AUDIT, SAMPLE, VALIDATION


def drive(run):
    asyncio.run(run.drive())
    return run.view()


@pytest.fixture
def opened(make_run):
    """Open runs that were not started, to work on them by hand."""

    def open_(name="work", **sections):
        run = make_run(name, **sections)
        return Context(run.store, run.row, Runs(run.store).take(run.id))

    return open_


def test_nothing_learns_from_what_the_model_is_measured_on(scripted):
    run, model = scripted(budget={"usd": "6"}, annotator={"shared": 4, "nearest": 2})
    view = drive(run)
    audit = view.inbox.examples("audit")
    assert len(audit) >= 10
    labels = {label.example: label for label in view.labelling.labels()}
    assert audit <= labels.keys()
    assert all(labels[example].source == "human" for example in audit)

    worked_on = {item for number in range(4) for item in view.labelling.batch(number)}
    assert not audit & {item.example for item in worked_on}
    assert not audit & set(learnable(view))
    assert not audit & {label.example for label in bank_of(view)}
    knowledge = Knowledge(view, model=None)
    assert not audit & set(knowledge.training_set.ids)
    assert not audit & set(knowledge.people.ids)
    assert not audit & set(knowledge.reliability.truth)
    assert set(knowledge.audit.ids) == audit
    seen = query_context(view, selectable(view), number=9).labelled()
    assert not audit & set(seen.ids)
    texts = {example.text for example in view.view.get(sorted(audit))}
    sent = "\n".join(turn.content for request in model.calls for turn in request.messages)
    assert not any(text in sent for text in texts)


def test_the_measure_says_what_it_is_and_on_how_many(scripted):
    view = drive(scripted(budget={"usd": "6"})[0])
    for done in view.journal.rounds():
        assert done.detail["measured_on"] == AUDIT
    assert view.journal.rounds()[-1].detail["n"] == len(view.inbox.examples("audit"))


def test_people_spend_a_fifth_on_it(scripted):
    view = drive(scripted(budget={"usd": "6"}, annotator={"enabled": False})[0])
    asked = view.inbox.all()
    audits = [question for question in asked if question.purpose == "audit"]
    assert 0.15 <= len(audits) / len(asked) <= 0.25
    # Whoever answers is not told what anybody thinks.
    assert all(question.payload.model_says is None for question in audits)


def test_what_is_taken_home_learnt_from_it_too(scripted):
    run, _ = scripted(budget={"usd": "6"}, training={"target": "linear"})
    view = drive(run)
    whole = Knowledge(view, model=None, whole=True).training_set
    assert set(whole.ids) == {label.example for label in view.labelling.labels()}
    config = (view.files.path("model") / "config.json").read_text()
    assert '"test":' in config
    delivered = [event for event in view.journal.events() if event.kind == "delivered"]
    assert len(delivered) == 1


@pytest.mark.parametrize(
    ("sections", "measured_on"),
    [
        ({"people": {"audit": 0}}, SAMPLE),
        ({"budget": {"usd": "2"}}, SAMPLE),
        ({"data": {"validation": str(EXAMPLE / "test.jsonl"), "test": None}}, VALIDATION),
        ({"people": {"kind": "none"}}, None),
    ],
    ids=["switched off", "too little money", "validation file", "nobody to ask"],
)
def test_without_need_or_means_there_is_none(scripted, sections, measured_on):
    view = drive(scripted(**sections)[0])
    assert audit_size(view) == 0
    assert not view.inbox.examples("audit")
    if measured_on:
        assert view.journal.rounds()[-1].detail["measured_on"] == measured_on


def test_it_is_drawn_before_anything_is_selected(opened):
    one, other = (
        opened(name, loop={"strategy": strategy})
        for name, strategy in (("a", "margin"), ("b", "random"))
    )
    assert reserved(one).tolist() == reserved(other).tolist()
    assert len(set(reserved(one).tolist())) == audit_size(one) == 16
    assert not set(reserved(one)) & set(selectable(one))
    # With more money there is more of it, and the first stay the first.
    richer = opened("c", budget={"usd": "6"})
    assert reserved(richer)[:16].tolist() == reserved(one).tolist()


def test_what_was_set_aside_is_selected_when_all_else_is(opened):
    context = opened()
    kept = {context.view.ids[row] for row in reserved(context)}
    others = [example for example in context.view.ids if example not in kept]
    context.labelling.open_batch(0, others)
    assert {context.view.ids[row] for row in selectable(context)} == kept


def test_questions_that_a_crash_left_asked_are_not_asked_anew(opened):
    context = opened()
    first = ask_audit(context, 5, number=0)
    again = ask_audit(context, 5, number=0)
    later = ask_audit(context, 3, number=1)
    assert (len(first), len(again), len(later)) == (5, 0, 3)
    assert len(context.inbox.examples("audit")) == 8
    rows = [context.view.rows[question.example] for question in (*first, *later)]
    assert sorted(rows) == sorted(reserved(context)[:8].tolist())


def test_generated_texts_are_no_part_of_it(opened):
    context = opened()
    before = reserved(context).tolist()
    made = context.view.get([context.view.ids[0]])[0]
    grown = replace(made, id="gen-1-abc", fields={"text": "new"})
    context.view.grow([grown], lease=context.lease)
    assert context.pool.count(Split.POOL) == len(before) * 10 + 1
    assert reserved(context).tolist() == before
