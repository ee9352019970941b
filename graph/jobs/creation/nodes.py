"""The steps of a create job: each reads its work from the store and writes what came of it.

A step may be repeated after a crash: a decision that was taken is found in the journal, a call that
was paid is replayed, and a wave that was kept is there as a whole.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from time import monotonic
from typing import NoReturn, TypeVar

from langgraph.runtime import Runtime

from querist.agents.budget_controller import creating as budget
from querist.agents.mind import Agent, AgentSpec, Ruling
from querist.agents.selector import creating as selector
from querist.agents.verifier import creating as verifier
from querist.graph.jobs.creation import evidence
from querist.graph.jobs.creation.checking import broke_by
from querist.graph.jobs.creation.deciding import WORK
from querist.graph.jobs.creation.keeping import WORKSPACE_CAP, candidate_of, keep, keep_again
from querist.graph.jobs.creation.state import CreationState, update
from querist.graph.jobs.creation.workplace import Creation
from querist.graph.jobs.creation.writing import Drafts, write
from querist.graph.minds.records import Place
from querist.graph.minds.taking import take
from querist.graph.state import TAIL
from querist.memory.errors import CapReached
from querist.memory.records import Decision

Step = Runtime[Creation]
E = TypeVar("E")
R = TypeVar("R", bound=Ruling)


async def initialize(state: CreationState, runtime: Step) -> CreationState:  # noqa: ARG001
    """Count what is there; rows that no gate could look at come before all else."""
    creation = runtime.context
    await asyncio.to_thread(creation.checks.refuse_early)
    return update(
        run_id=creation.run.id,
        round=creation.progress.waves,
        turn=creation.journal.last_turn(),
        todo=len(creation.bench.creations.unchecked()),
        broke="",
        metric_tail=[],
        stop="",
        reason="",
    )


async def control(state: CreationState, runtime: Step) -> CreationState:
    """Take a person's wish, or let the budget controller decide on another wave or the end."""
    creation = runtime.context
    if wish := creation.wish():
        return update(phase="finish", stop=wish, reason="As asked.")
    number, turn = creation.progress.waves + 1, state["turn"] + 1
    known = evidence.for_wave(creation, broke=state["broke"], at=state.get("cap", ""))
    spec = budget.SPEC
    by_rules = spec.rule(known)
    # Dry cells may be dry no more, once what was not looked at was.
    if state["todo"] and not spec.rule(replace(known, open_cells=1)).stop:
        return update(phase="verify", round=number, turn=turn)
    before = _under_way(creation, number, by_rules, must_end=budget.must_end(known) is not None)
    turn = turn if before is None else before.turn
    place = Place(spec.name, step="plan", turn=turn, number=number)
    ruling = await take(creation, spec, lambda: known, place=place, work=WORK)
    is_over = ruling.action == "stop"
    return update(
        phase="finish" if is_over else "select",
        round=number,
        turn=turn,
        todo=0,
        remaining_usd=str(known.remaining),
        stop=ruling.stop,
        reason=ruling.reason if is_over else "",
    )


def _under_way(
    creation: Creation, number: int, by_rules: budget.Wave, *, must_end: bool
) -> Decision | None:
    """Find the decision on a wave that was begun and not kept; it holds, unless the job must end.

    An end holds, too, as long as the rules say the same: who finds it again decided nothing new.
    """
    found = creation.journal.decisions(number=number, agent=Agent.BUDGET_CONTROLLER)
    if not found:
        return None
    last = max(found, key=lambda decision: decision.turn)
    if last.action["action"] == "write":
        return None if must_end else last
    return last if (last.action["stop"], last.reason) == (by_rules.stop, by_rules.reason) else None


async def select(state: CreationState, runtime: Step) -> CreationState:
    """Let the selector decide which seeds the wave's calls are shown."""
    creation = runtime.context
    await _take(creation, selector.SPEC, lambda: evidence.for_showing(creation), state, "show")
    if wish := creation.wish():
        # Nothing of the wave is paid yet; whoever goes on finds what was decided.
        return update(phase="finish", stop=wish, reason="As asked.")
    return update(phase="generate")


async def generate(state: CreationState, runtime: Step) -> CreationState:
    """Let the generator share out the wave's calls, and make them."""
    creation, number = runtime.context, state["round"]
    if creation.progress.waves >= number:
        return update(todo=0)
    creation.drafts = await _drafts(creation, state)
    return update(todo=len(creation.drafts.written))


async def verify(state: CreationState, runtime: Step) -> CreationState:
    """Send what was written through the gates, at the verifier's thresholds, and keep it."""
    creation, number = runtime.context, state["round"]
    if state["phase"] == "verify":
        return await _verify_again(creation, state)
    if creation.progress.waves < number:
        began = monotonic()
        drafts = creation.drafts
        if drafts is None or drafts.number != number:
            # The process that wrote them is gone: its calls are replayed.
            drafts = await _drafts(creation, state)
        await _set_thresholds(creation, state, rows=len(drafts.written), step="check")
        candidates = [each.candidate for each in drafts.written if each.draft is not None]
        checked = await creation.checks.run(candidates, creation.progress.texts, number=number)
        broke = broke_by((drafts.broke, creation.checks.broke))
        drafts = replace(drafts, seconds=drafts.seconds + monotonic() - began)
        account = keep(creation.bench, drafts, checked, creation.progress, broke=broke)
        creation.drafts = None
        creation.listener(account)
    last = creation.progress.lately[-1].detail
    tail = [*state.get("metric_tail", []), float(creation.progress.total)][-TAIL:]
    broke_words = last.get(WORKSPACE_CAP) or ("cap" if last["out_of_money"] else "")
    return update(todo=0, metric_tail=tail, broke=str(broke_words), cap=str(last["cap"]))


async def finish(state: CreationState, runtime: Step) -> CreationState:  # noqa: ARG001
    """End: what is delivered is for the worker to say."""
    return update(phase="finish")


async def _verify_again(creation: Creation, state: CreationState) -> CreationState:
    """Send what gates could not look at, because money ended or a call failed, through them.

    What comes of it is one transaction, like a wave; it writes nothing new.
    """
    left, began = creation.bench.creations.unchecked(), monotonic()
    if left and creation.progress.waves < state["round"]:
        await _set_thresholds(creation, state, rows=len(left), step="check again")
        bench, texts = creation.bench, creation.progress.texts
        candidates = [(candidate_of(bench, row), row.reason.partition(":")[0]) for _, row in left]
        checked = await creation.checks.again(candidates, texts, number=state["round"])
        account = keep_again(
            bench,
            left,
            checked,
            creation.progress,
            broke=creation.checks.broke,
            seconds=monotonic() - began,
        )
        if account is not None:
            creation.read_again()
            creation.listener(account)
    broke = creation.checks.broke
    words = str(broke) if isinstance(broke, CapReached) else "cap" if broke else ""
    return update(todo=0, phase="control", broke=words, cap=str(creation.ledger.balance().cap))


async def _drafts(creation: Creation, state: CreationState) -> Drafts:
    """Write the wave as its agents decided; what was decided and paid before is found again."""
    began, number = monotonic(), state["round"]
    planner, progress = creation.planner, creation.progress
    place = Place(Agent.BUDGET_CONTROLLER, step="plan", turn=state["turn"], number=number)
    allowed = await take(creation, budget.SPEC, _missing, place=place, work=WORK)
    showing = await _take(creation, selector.SPEC, _missing, state, "show")
    plan = await _take(
        creation,
        planner.spec,
        lambda: planner.for_writing(progress, calls=allowed.calls),
        state,
        "write",
    )
    # Seeds that are not drawn at random are embedded first, which may take a while.
    calls = await asyncio.to_thread(planner.calls, progress, plan, showing)
    drafts = await write(creation.bench, calls, number=number)
    return replace(drafts, seconds=monotonic() - began)


def _missing() -> NoReturn:
    raise LookupError("the step before has decided this, and it is not in the journal")


async def _set_thresholds(
    creation: Creation, state: CreationState, *, rows: int, step: str
) -> None:
    ruling = await _take(
        creation,
        verifier.SPEC,
        lambda: evidence.for_checking(creation, rows=rows),
        state,
        step,
    )
    creation.checks.move(ruling.thresholds)


async def _take(
    creation: Creation,
    spec: AgentSpec[E, R],
    gather: Callable[[], E],
    state: CreationState,
    step: str,
) -> R:
    place = Place(spec.name, step=step, turn=state["turn"], number=state["round"])
    return await take(creation, spec, gather, place=place, work=WORK)
