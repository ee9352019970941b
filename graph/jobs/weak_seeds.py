"""Seeds from a run: what people labelled there, of the classes that its model does worst on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from querist.agents.generator.tools import ClassRecord
from querist.graph.jobs.request import CreateRequest
from querist.graph.minds.trying import WritingDesk
from querist.graph.round.prompts import bank_of
from querist.graph.workplace.context import Context
from querist.memory.answers import name_of
from querist.memory.errors import InvalidInput, NotFound
from querist.memory.records import Example, Label
from querist.memory.run.runs import Runs
from querist.memory.store import Store
from querist.tools.wording import listed

_Tell = Callable[[str], None]


def complete_weak(request: CreateRequest, store: Store, *, tell: _Tell) -> CreateRequest:
    """Say which classes are weak, and what each is taken for, in the request's own words.

    Each class is judged on what people labelled, by models that did not see it; of few labels the
    share is drawn towards a half (Laplace's rule of succession). Shares that are given stay.
    Raises `InvalidInput` for a run that cannot tell.
    """
    seeds = request.seeds
    if seeds.run is None or not (seeds.weak or seeds.confusions):
        return request
    context, _ = _labelled(store, seeds.run)
    records = [
        record
        for record in WritingDesk(context).classes()
        if record.total and record.name in request.labels
    ]
    if not records:
        raise InvalidInput(
            f"seeds.run: people have labelled too few texts of {context.run.id} to say which "
            "classes are weak. Answer more of its questions, or leave seeds.weak out."
        )
    ranked = sorted(records, key=_right)
    weak = ranked[: seeds.weak or len(ranked)]
    told = [f"{record.name} ({record.right} of {record.total} right)" for record in weak]
    tell(f"{context.run.id}: the weakest classes are {listed(told)}.")
    confused = {record.name: record.mostly_taken_for for record in weak if record.mostly_taken_for}
    changes: dict[str, object] = {}
    if seeds.weak and not request.shares:
        changes["shares"] = {record.name: 1 / len(weak) for record in weak}
    if seeds.confusions and not seeds.confused:
        changes["seeds"] = seeds.model_copy(update={"confused": confused})
    return request.model_copy(update=changes)


def read_labelled(request: CreateRequest, store: Store, *, tell: _Tell) -> list[Example]:
    """Read what people labelled in the run of `seeds.run`; never what measures its model."""
    assert request.seeds.run is not None
    context, bank = _labelled(store, request.seeds.run)
    answers = {label.example: label.answer for label in bank}
    found = [
        replace(example, gold=answers[example.id])
        for example in context.pool.get(list(answers))
        if name_of(answers[example.id]) in request.labels
    ]
    tell(f"{context.run.id}: {len(found):,} seeds that people labelled.")
    return found


def _labelled(store: Store, name: str) -> tuple[Context, list[Label]]:
    """Open a run to look, and give what people labelled in it; refuse one without any."""
    try:
        row = Runs(store).get(name)
    except NotFound as error:
        raise NotFound(f"seeds.run: {error}") from None
    if row.kind != "loop":
        raise InvalidInput(f"seeds.run: {row.id} is no run of the loop. See: querist status")
    context = Context.to_look(store, row)
    if not (bank := bank_of(context)):
        raise InvalidInput(
            f"seeds.run: people have labelled nothing in {row.id} that may be shown. Answer its "
            "questions, or name a file with seeds (seeds.file)."
        )
    return context, bank


def _right(record: ClassRecord) -> float:
    return (record.right + 1) / (record.total + 2)
