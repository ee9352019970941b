"""The loop's steps: each reads its work from the store and writes what came of it.

A step may be repeated after a crash; whatever was done before is found done.
"""

from __future__ import annotations

import time
from decimal import Decimal

from langgraph.runtime import Runtime
from langgraph.types import interrupt

from querist.agents.budget_controller import rules as budget
from querist.agents.generator import rules as generator
from querist.agents.generator.port import GENERATORS
from querist.agents.generator.write import write
from querist.agents.mind import Agent
from querist.agents.verifier import rules as verifier
from querist.graph.commands import apply_commands
from querist.graph.lessons.outcomes import keep_outcomes
from querist.graph.lessons.proposing import learn_guidelines
from querist.graph.lessons.recalling import recall_lessons
from querist.graph.people.folding import fold_answers
from querist.graph.round import evidence
from querist.graph.round.annotate import annotate_chunk
from querist.graph.round.ask import answer_simulated, ask_people
from querist.graph.round.audit import ask_audit
from querist.graph.round.choose import choose_batch
from querist.graph.round.deciding import rule
from querist.graph.round.generate import known_text_test, wanted_of
from querist.graph.round.knowledge import Knowledge, count_groups
from querist.graph.round.labels import machine_label, reconsider
from querist.graph.round.measure import checked_detail, is_news, is_unfinished, measure
from querist.graph.round.model_files import current_model, save_model
from querist.graph.round.pseudo_labels import pseudo_rows
from querist.graph.round.stopping import keep_hits
from querist.graph.state import TAIL, LoopState, update
from querist.graph.target.delivering import deliver_last, deliver_round
from querist.graph.waiting import note_waiting, waiting_for
from querist.graph.workplace.context import Context
from querist.memory.events import (
    Asked,
    Finished,
    Generated,
    Initialized,
    Planned,
    RoundDone,
    Trained,
    Verified,
)
from querist.memory.records import Action, Purpose, Round, Split, Verdict
from querist.memory.run.labelling import Labelling
from querist.tools.opinions.quality import Quality

Step = Runtime[Context]


async def initialize(state: LoopState, runtime: Step) -> LoopState:
    """Embed the pool; the examples were imported when the run was made."""
    context = runtime.context
    view = context.view
    context.emit(Initialized(len(view.ids), test=context.pool.count(Split.TEST)))
    recall_lessons(context, number=max(state.get("round", -1), 0), afresh=True)
    return update(
        run_id=context.run.id,
        round=state.get("round", -1),
        turn=state.get("turn", 0),
        metric_tail=[],
        stop="",
    )


async def control(state: LoopState, runtime: Step) -> LoopState:
    """Apply commands, take answers in, and let the budget controller decide on the next round."""
    context = runtime.context
    apply_commands(context)
    number, turn = state["round"], state.get("turn", 0)
    fold_answers(context, number=max(number, 0))
    if is_unfinished(context, number):
        # Resumed from the store alone: the round that was under way comes first.
        todo = len(context.labelling.batch(number, status="todo"))
        return update(phase="annotate", todo=todo)
    apply_commands(context, between_rounds=True)
    if is_news(context, number):
        # Answers that came after the round was measured are learnt from before all else.
        return update(phase="train")
    number, turn = number + 1, turn + 1
    recall_lessons(context, number=number)
    ruling = await rule(
        context,
        budget.SPEC,
        lambda: evidence.for_budget(context, number=number),
        turn=turn,
        number=number,
        step="plan",
    )
    _tell_plan(context, ruling, number=number)
    moves_on = ruling.action in ("select", "generate")
    return update(
        round=number if moves_on else number - 1,
        turn=turn,
        phase=ruling.action,
        remaining_usd=str(max(context.ledger.balance().remaining, Decimal(0))),
        stop=ruling.stop,
    )


async def select(state: LoopState, runtime: Step) -> LoopState:
    """Choose the round's batch from the pool."""
    context, number = runtime.context, state["round"]
    if context.labelling.batch(number):
        return update(todo=1)
    told = await choose_batch(context, number=number, turn=state["turn"])
    context.emit(told)
    return update(todo=told.count)


async def generate(state: LoopState, runtime: Step) -> LoopState:
    """Write new examples of thin classes."""
    context, number = runtime.context, state["round"]
    if context.labelling.batch(number):
        return update(todo=1)
    knowledge = Knowledge(context, model=None)
    ruling = await rule(
        context,
        generator.SPEC,
        lambda: evidence.for_generator(context, knowledge, number=number),
        turn=state["turn"],
        number=number,
        step="generate",
    )
    model = context.models.on(Agent.GENERATOR, number)
    is_copy = known_text_test(context.view, number=number, at=ruling.duplicate_at)
    way = ruling.method or context.config.generator.method
    made, rejected = [], 0
    for group, count in ruling.targets.items():
        wanted = wanted_of(context, knowledge, group, by=way)
        if not wanted.shown:
            continue
        kept, thrown = await write(
            wanted,
            count,
            generator=GENERATORS.read(way),
            number=number,
            model=model,
            is_copy=is_copy,
        )
        made += kept
        rejected += len(thrown)
    context.view.grow(made, lease=context.lease)
    context.labelling.open_batch(number, [example.id for example in made])
    context.emit(Generated(number, kept=len(made), rejected=rejected))
    return update(todo=len(made))


async def annotate(state: LoopState, runtime: Step) -> LoopState:
    """Label the next chunk of the batch with the language model."""
    context, number = runtime.context, state["round"]
    apply_commands(context)
    if context.mailbox.stop_command():
        context.labelling.abandon(number)
        return update(todo=0)
    left = await annotate_chunk(context, number=number, turn=state["turn"])
    return update(todo=left)


async def verify(state: LoopState, runtime: Step) -> LoopState:
    """Judge what was annotated: accept, send back, escalate or drop."""
    context, number = runtime.context, state["round"]
    items = context.labelling.batch(number, status="annotated")
    if not items:
        return update(todo=0)
    knowledge = Knowledge(context, model=current_model(context.files))
    ruling = await rule(
        context,
        verifier.SPEC,
        lambda: evidence.for_verifier(context, knowledge, number=number, batch=len(items)),
        turn=state["turn"],
        number=number,
        step=f"verify-{items[0].attempt}",
    )
    examples = context.view.get([item.example for item in items])
    opinions = knowledge.opinions(examples, [item.attempt for item in items])
    verdicts = verifier.judge(opinions, ruling, number=number)
    usual = f"llm:{context.config.models.annotator}"
    labels = [
        machine_label(verdict, opinion, who=knowledge.reliability.who.get(verdict.example, usual))
        for verdict, opinion in zip(verdicts, opinions, strict=True)
        if verdict.action is Action.ACCEPT and verdict.answer is not None
    ]
    context.labelling.judged(number, verdicts, labels)
    counts = {action.value: 0 for action in Action}
    for verdict in verdicts:
        counts[verdict.action.value] += 1
    context.emit(Verified(number, **counts))
    return update(todo=counts["reannotate"])


async def escalate(state: LoopState, runtime: Step) -> LoopState:
    """Ask people about what the verifier escalated; the loop does not wait for them."""
    context, number = runtime.context, state["round"]
    asked = []
    if context.mailbox.stop_command() is None:
        audits = evidence.plan_of(context.journal, number).audits
        asked += ask_audit(context, audits, number=number)
    verdicts = _escalated(context.labelling, number)
    examples = context.view.get([verdict.example for verdict in verdicts])
    purpose: Purpose = "seed" if number == 0 else "escalation"
    asked += ask_people(context, verdicts, examples, purpose=purpose)
    fold_answers(context, number=number)
    # An answer may bring a second opinion, and that one a dispute.
    while answer_simulated(context):
        fold_answers(context, number=number)
    left = context.inbox.counts().get("open", 0)
    context.emit(Asked(number, questions=len(asked), open=left))
    return {}


async def train(state: LoopState, runtime: Step) -> LoopState:
    """Look at all labels again in the light of the newest answers, then train the target model."""
    context, number = runtime.context, state["round"]
    started = time.monotonic()
    current = current_model(context.files)
    knowledge = Knowledge(context, model=current)
    reconsider(context, knowledge)
    # Other labels stand now, made of what the same witnesses said.
    knowledge = Knowledge(context, model=current, earlier=knowledge)
    rows = knowledge.training_set
    context.kept = (number, knowledge)
    # For this fit only. Trust, reliability and quality are measured on labels that are held out,
    # and pseudo-labels come from a model that saw those: with them everyone would look better.
    pseudo = pseudo_rows(context, rows, number=number)
    trained = save_model(context, rows, number=number, pseudo=pseudo)
    if trained is not None:
        context.emit(
            Trained(
                number,
                rows=int((rows.weights > 0).sum()),
                people=len(rows.human),
                trust=rows.trust,
                seconds=round(time.monotonic() - started, 3),
                pseudo=None if pseudo is None else len(pseudo.weights),
            )
        )
    return {}


async def evaluate(state: LoopState, runtime: Step) -> LoopState:
    """Measure the model and close the round."""
    context, number = runtime.context, state["round"]
    model = current_model(context.files)
    kept = context.kept
    # Nothing is labelled between training and this, unless another process trained.
    knowledge = kept[1] if kept and kept[0] == number else Knowledge(context, model=model)
    quality = measure(context, knowledge, model)
    keep_hits(context.files, quality, number=number)
    done = _round(context, knowledge, quality, number=number)
    context.journal.round_done(done)
    if model is not None:
        await deliver_round(context, model, knowledge.training_set, done)
    context.emit(
        RoundDone(
            number,
            metric=done.metric,
            measured_on=quality.measured_on,
            test=None if quality.test is None else quality.test.value,
            labelled=done.labelled,
            people=done.human_labels,
            usd=done.usd,
        )
    )
    await learn_guidelines(context, number=number)
    tail = [*state.get("metric_tail", []), done.metric or 0.0][-TAIL:]
    return update(metric_tail=tail, remaining_usd=str(context.ledger.balance().remaining))


async def wait(state: LoopState, runtime: Step) -> LoopState:
    """Stop here until people have answered: the only interrupt of the loop."""
    context = runtime.context
    waiting = waiting_for(context, state["round"], at_end=bool(state.get("stop")))
    # Commands, and answers that came meanwhile, are taken in by `control`, which may wait again.
    if waiting.missing and not context.inbox.unfolded() and not context.mailbox.queued():
        note_waiting(context, waiting)
        interrupt({"waiting_for": "answers", "open": waiting.missing, "run": context.run.id})
    return {}


async def finish(state: LoopState, runtime: Step) -> LoopState:
    """Say that the run is over, and why."""
    context = runtime.context
    stop = context.mailbox.stop_command()
    if stop is not None:
        context.mailbox.close(stop, status="done", result="stopped", lease=context.lease)
    await deliver_last(context, may_ask=stop is None)
    keep_outcomes(context, number=state["round"])
    decisions = context.journal.decisions(agent=Agent.BUDGET_CONTROLLER)
    reason = decisions[-1].reason if decisions else ""
    context.runs.set_status(context.lease, "finished", reason)
    context.emit(Finished(state.get("stop", ""), reason=reason))
    return {}


def _tell_plan(context: Context, ruling: budget.Plan, *, number: int) -> None:
    context.emit(
        Planned(
            number,
            action=ruling.action,
            reason=ruling.reason,
            batch=ruling.batch,
            questions=ruling.questions,
            cap=context.ledger.balance().cap,
            rounds=context.config.loop.rounds,
        )
    )


def _escalated(labelling: Labelling, number: int) -> list[Verdict]:
    """The last verdict of each item that was escalated in this round."""
    items = labelling.batch(number, status="escalated")
    last = {verdict.example: verdict for verdict in labelling.verdicts(number)}
    return [last[item.example] for item in items]


def _round(context: Context, knowledge: Knowledge, quality: Quality, *, number: int) -> Round:
    """Write down what a round achieved."""
    counts, own, test = context.labelling.counts(), quality.own, quality.test
    labels = {label.example: label for label in context.labelling.labels()}
    return Round(
        number=number,
        labelled=sum(counts.values()),
        human_labels=counts.get("human", 0),
        usd=context.ledger.balance().settled,
        metric=None if own is None else own.value,
        metric_low=None if own is None else own.low,
        metric_high=None if own is None else own.high,
        detail={
            "measured_on": quality.measured_on,
            "n": 0 if own is None else own.n,
            "test": None if test is None else test.value,
            "test_interval": None if test is None else [test.low, test.high],
            "test_n": 0 if test is None else test.n,
            "trust": knowledge.training_set.trust,
            "llm_skill": knowledge.reliability.skill(),
            "classes": count_groups(labels, context.kind, context.kind.groups(context.task)),
            "sources": counts,
            "phase": evidence.plan_of(context.journal, number).action,
            **checked_detail(context, quality),
        },
    )
