"""What each agent is shown before it decides, gathered from the store."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from querist.agents.annotator.prompt import Prompt
from querist.agents.annotator.rules import NEAREST, AnnotatorEvidence, ModelRecord
from querist.agents.budget_controller.rules import SPEC, BudgetEvidence, PastRound, Plan, gain_of
from querist.agents.generator.port import GENERATORS
from querist.agents.generator.rules import GeneratorEvidence
from querist.agents.mind import Agent, recall
from querist.agents.selector.rules import PastChoice, SelectorEvidence
from querist.agents.verifier.rules import VerifierEvidence
from querist.agents.verifier.tools import in_bands
from querist.graph.lessons.recalling import expected_guidelines, facts_of, guidelines_of
from querist.graph.round.audit import audit_size, audited, learnable, selectable
from querist.graph.round.knowledge import (
    Knowledge,
    commonest_share,
    count_groups,
    judged_before,
)
from querist.graph.round.model_files import current_model
from querist.graph.round.prompts import PROBES, labelling_model, labelling_models
from querist.graph.round.select import expected
from querist.graph.round.stopping import judge_curve
from querist.graph.sizes import Sizes
from querist.graph.waiting import waiting_for
from querist.graph.workplace.context import Context
from querist.memory.errors import QueristError
from querist.memory.records import Action, Example, ExampleId, Label, SpendKind, Split
from querist.memory.run.journal import Journal
from querist.memory.run.labelling import Labelling
from querist.memory.run.pool import Pool
from querist.tools.strategies import Capability

_TYPICAL_CHARACTERS = 600
_ENOUGH_BILLS = 10
"""Examples that were paid for before their mean says what the next will cost."""
MARGIN = Decimal("1.1")
"""On that mean: prompts grow as demonstrations are added."""
MARGIN_UNTRIED = Decimal("1.5")
"""On what is expected before anything was sent: tokens are counted otherwise everywhere."""


def plan_of(journal: Journal, number: int) -> Plan:
    """Read what the budget controller allowed a round: its last word, if it had several."""
    decisions = journal.decisions(number=number, agent=Agent.BUDGET_CONTROLLER)
    for decision in sorted(decisions, key=lambda made: -made.turn):
        if decision.action.get("action") in ("select", "generate"):
            return recall(SPEC, decision)
    return Plan(action="finish", batch=0, questions=0, reason="Nothing was decided.")


def _last_phase(journal: Journal) -> str:
    """Tell whether the last round selected or generated; "" before the first."""
    rounds = journal.rounds()
    return str(rounds[-1].detail.get("phase", "")) if rounds else ""


def for_budget(context: Context, *, number: int) -> BudgetEvidence:
    """Where money, labels and the learning curve stand."""
    config = context.config
    stop = context.mailbox.stop_command()
    labels = learnable(context)
    flat = judge_curve(context)
    waiting = waiting_for(context, number - 1)
    waiting_again = len(context.labelling.aside())
    return BudgetEvidence(
        round=number,
        most_rounds=config.loop.rounds,
        batch=config.loop.batch,
        pool_left=len(selectable(context)) + waiting_again,
        remaining=max(context.ledger.balance().remaining, Decimal(0)),
        human_label_usd=config.answer_usd,
        llm_example_usd=_example_price(context),
        classes=len(context.task.labels),
        asks_people=config.people.kind != "none",
        open_questions=context.inbox.counts().get("open", 0),
        wanted_answers=waiting.missing,
        wanted_at_end=waiting_for(context, number - 1, at_end=True).missing,
        waiting=waiting.words,
        # The labels that people had put aside would be missing for good.
        plateau=flat.reached and not waiting_again,
        plateau_reason=flat.reason,
        stop_command="" if stop is None else stop.who,
        may_generate=_may_generate(context),
        labels=_counts(context, labels),
        last_phase=_last_phase(context.journal),
        uses_llm=config.annotator.enabled,
        audit_share=config.people.audit if audit_size(context) else 0.0,
        asked=context.inbox.progress()[0],
        audited=len(audited(context)),
        past=past_rounds(context.journal),
        distilled=config.distilled,
    )


def past_rounds(journal: Journal) -> tuple[PastRound, ...]:
    """What each round cost and where it left the model."""
    return tuple(
        PastRound(
            round=done.number,
            phase=str(done.detail.get("phase", "")),
            labelled=done.labelled,
            people=done.human_labels,
            usd=done.usd,
            metric=done.metric,
            error=None
            if done.metric_low is None or done.metric_high is None
            else round((done.metric_high - done.metric_low) / 2, 4),
            measured_on=str(done.detail.get("measured_on", "")),
        )
        for done in journal.rounds()
    )


def for_selector(context: Context, *, number: int, rows: NDArray[np.intp]) -> SelectorEvidence:
    """What there is to choose from: `rows` of the pool."""
    is_minded = context.config.minds.of(Agent.SELECTOR) != "rules"
    labels, plan = learnable(context), plan_of(context.journal, number)
    again = min(plan.batch, len(context.labelling.aside())) if number else 0
    learnt = plan.questions - plan.audits  # where people label all that is selected, no more is
    asks = context.config.people.kind != "none"
    return SelectorEvidence(
        round=number,
        pool_left=len(rows),
        batch=plan.batch - again if context.config.annotator.enabled else min(plan.batch, learnt),
        configured=context.config.loop.strategy,
        labels=_counts(context, labels),
        has_model=current_model(context.files) is not None,
        skill=_last_skill(context.journal),
        random_only=number == 0 and asks,
        past=past_choices(context.journal),
        capabilities=_capabilities(context),
        most=_most_wanted(context, plan, number=number),
        lessons=facts_of(context, Agent.SELECTOR),
        expected=expected(context, rows) if is_minded else {},
    )


def _capabilities(context: Context) -> tuple[str, ...]:
    """What a strategy that a mind names can be shown; () where no mind is asked.

    A language model's advice is not among them: it would cost what nobody quoted.
    """
    if context.config.minds.of(Agent.SELECTOR) == "rules":
        return ()
    found = [Capability.EMBEDDINGS, Capability.TEXTS]
    has_model = current_model(context.files) is not None
    if has_model:
        found += [Capability.PROBS, Capability.GRADIENTS, Capability.POSTERIOR]
    if context.pool.count(Split.TEST):
        found += [Capability.TARGETS, *([Capability.TARGET_POSTERIOR] if has_model else [])]
    return tuple(found)


def _most_wanted(context: Context, plan: Plan, *, number: int) -> int:
    """How many texts a selector's mind may ask for: what the task file and the money allow."""
    config = context.config
    if not number or not config.annotator.enabled or not config.minds.turns:
        return 0
    if config.minds.of(Agent.SELECTOR) == "rules":
        return 0
    price = _example_price(context)
    left = context.ledger.balance().remaining
    left -= plan.questions * config.answer_usd
    return config.loop.batch if not price else max(0, min(config.loop.batch, int(left / price)))


def past_choices(journal: Journal) -> tuple[PastChoice, ...]:
    """What each round's strategy led to, where rounds were measured alike."""
    chosen = {
        decision.round: str(decision.action.get("strategy", ""))
        for decision in journal.decisions(agent=Agent.SELECTOR)
    }
    rounds = past_rounds(journal)
    found = []
    for before, done in itertools.pairwise(rounds):
        gain = gain_of(before, done)
        if gain is not None and done.round in chosen:
            labels = done.labelled - before.labelled
            strategy = chosen[done.round]
            found.append(PastChoice(done.round, strategy, labels, gain.points, gain.words))
    return tuple(found)


def for_generator(context: Context, knowledge: Knowledge, *, number: int) -> GeneratorEvidence:
    """Which classes are thin, and how well earlier texts did."""
    written = context.view.get([label for label in knowledge.labels if label.startswith("gen-")])
    judged = [v for v in context.labelling.verdicts() if v.example.startswith("gen-")]
    kept = len(written) / len(judged) if judged else None
    return GeneratorEvidence(
        round=number,
        batch=plan_of(context.journal, number).batch,
        labels=_counts(context, knowledge.labels),
        kept=kept,
        method=context.config.generator.method,
        methods={entry.name: entry.card.summary for entry in GENERATORS.entries()},
    )


def for_annotator(context: Context, *, number: int, batch: int, bank: int) -> AnnotatorEvidence:
    """What the language model can be shown."""
    section = context.config.annotator
    return AnnotatorEvidence(
        round=number,
        model=context.config.models.annotator,
        batch=batch,
        classes=len(context.task.labels),
        bank=bank,
        given=len(section.demonstrations),
        votes=section.votes,
        shared=section.shared,
        nearest=section.nearest,
        is_local=context.models.on(Agent.ANNOTATOR).model.in_flight == 1,
        calibrate=section.calibrate,
        has_logprobs=_has_logprobs(
            context.labelling, number, of=context.models.on(Agent.ANNOTATOR).name
        ),
        skill=_last_skill(context.journal),
        lessons=facts_of(context, Agent.ANNOTATOR),
        guidelines=len(guidelines_of(context)),
        **_choice_of_models(context, number=number, bank=bank),
    )


def _choice_of_models(context: Context, *, number: int, bank: int) -> dict[str, Any]:
    """What is known of the models that a mind may choose among; {} where there is no choice."""
    names = labelling_models(context)
    if len(names) < 2 or context.config.minds.of(Agent.ANNOTATOR) == "rules":
        return {}
    known = Knowledge(context, model=None).reliability
    sizes = Sizes(context)
    shown = sizes.shown(bank)
    records = []
    for name in names:
        try:
            model = labelling_model(context, name, number=number)
        except QueristError:
            continue  # no key or no price: it is no choice, and no reason to stop
        right, total = known.skill_of(f"llm:{model.name}")
        records.append(
            ModelRecord(
                name,
                usd=sizes.usd_of(name, shown) * MARGIN_UNTRIED,
                right=right,
                total=total,
                has_logprobs=_has_logprobs(context.labelling, number, of=model.name),
                probes=min(bank, PROBES),
            )
        )
    plan = plan_of(context.journal, number)
    left = context.ledger.balance().remaining
    left -= plan.questions * context.config.answer_usd
    return {"models": tuple(records), "usd_left": max(Decimal(0), left)}


def for_verifier(
    context: Context, knowledge: Knowledge, *, number: int, batch: int
) -> VerifierEvidence:
    """How many questions may be asked, and what was measured."""
    config = context.config
    plan = plan_of(context.journal, number)
    allowed = plan.questions - plan.audits
    asked = sum(v.action is Action.ESCALATE for v in context.labelling.verdicts(number))
    consensus = knowledge.consensus
    is_measured = bool(knowledge.reliability.truth)
    weights = consensus.pool_weights.weights if is_measured else consensus.start_weights
    return VerifierEvidence(
        round=number,
        batch=batch,
        chance=context.kind.chance(context.task),
        questions=max(0, allowed - asked),
        is_seed=number == 0 and config.people.kind != "none" and allowed > 0,
        may_reannotate=config.annotator.enabled and config.annotator.votes > 1,
        annotates=config.annotator.enabled,
        labels_by_model=config.annotator.labels_by_model,
        asks_first=config.verifier.ask == "first",
        measured=len(knowledge.reliability.truth),
        weights={
            words: round(float(weight), 3)
            for words, weight in zip(consensus.source_words, weights, strict=True)
        },
        skill=_last_skill(context.journal),
        sure=_sure(context, knowledge, number),
        commonest=commonest_share(context),
        **_mistakes(context),
    )


def _mistakes(context: Context) -> dict[str, dict[str, int]]:
    """Count by class what the pooled opinion said and got wrong; {} where no mind is asked."""
    if context.config.minds.of(Agent.VERIFIER) == "rules":
        return {}
    judged = judged_before(context)
    said = Counter(text.label for text in judged)
    wrong = Counter(text.label for text in judged if not text.right)
    names = context.answers.names
    return {
        "said": {name: said[name] for name in names},
        "wrong": {name: wrong[name] for name in names},
    }


def _sure(context: Context, knowledge: Knowledge, number: int) -> Mapping[str, int]:
    """Count the batch by how sure the pooled opinion is; {} where no mind is asked."""
    if context.config.minds.of(Agent.VERIFIER) == "rules":
        return {}
    items = context.labelling.batch(number, status="annotated")
    examples = context.view.get([item.example for item in items])
    opinions = knowledge.opinions(examples, [item.attempt for item in items])
    return in_bands([said.pooled.p_correct for said in opinions if said.pooled is not None])


def _may_generate(context: Context) -> bool:
    """Tell whether new examples can be written: texts can, pairs of them not yet."""
    config = context.config
    bare = Example(ExampleId(""), {})
    is_text = len(context.kind.parts(bare)) == 1
    return config.generator.enabled and config.annotator.enabled and is_text


def counts_of_labels(context: Context) -> dict[str, int]:
    """Count what is labelled so far, by group."""
    return _counts(context, learnable(context))


def _counts(context: Context, labels: Mapping[ExampleId, Label]) -> dict[str, int]:
    """Count labels by the groups that they should be spread over."""
    return count_groups(labels, context.kind, context.kind.groups(context.task))


def example_ceiling(context: Context, *, of: str = "") -> Decimal:
    """The most that labelling one example of usual length can cost, with all demonstrations.

    `of` is a model that may be chosen, instead of the usual one.
    """
    if not context.config.annotator.enabled:
        return Decimal(0)
    model = labelling_model(context, of, number=0)
    if model.is_free:
        return Decimal(0)
    section = context.config.annotator
    text = _typical_text(context.pool)
    example = Example(ExampleId("typical"), dict.fromkeys(context.task.fields, text))
    prompt = Prompt(context.task, guidelines=expected_guidelines(context))
    bound = model.ceiling(prompt.request(example))
    # Two ceilings differ by one text, whatever stands before it.
    bare = model.ceiling(prompt.request(Example(ExampleId("bare"), {"text": ""})))
    shared = max(section.shared, len(section.demonstrations))
    demonstrations = shared + (NEAREST if section.nearest is None else section.nearest)
    return (bound + demonstrations * (bound - bare)) * section.votes


def _example_price(context: Context) -> Decimal:
    """What labelling an example cost so far, or is expected to, with a margin."""
    if not context.config.annotator.enabled or context.models.on(Agent.ANNOTATOR).is_free:
        return Decimal(0)
    spent = context.ledger.by_agent().get((Agent.ANNOTATOR, SpendKind.LLM.value), Decimal(0))
    asked = {said.example for said in context.labelling.annotations() if said.usd > 0}
    if len(asked) >= _ENOUGH_BILLS and spent:
        return spent / len(asked) * MARGIN
    sizes = Sizes(context)
    shown = sizes.shown(context.labelling.counts().get("human", 0))
    return min(example_ceiling(context), sizes.usd(shown) * MARGIN_UNTRIED)


def _last_skill(journal: Journal) -> float | None:
    """How often the language model was right, as the last round measured it."""
    rounds = journal.rounds()
    skill = rounds[-1].detail.get("llm_skill") if rounds else None
    return round(float(skill), 4) if isinstance(skill, int | float) else None


def _typical_text(pool: Pool) -> str:
    texts = sorted((example.text for example in pool.first(200)), key=len)
    return texts[len(texts) * 3 // 4][:_TYPICAL_CHARACTERS] if texts else ""


def _has_logprobs(labelling: Labelling, number: int, *, of: str) -> bool:
    """Assume log-probabilities of a model until its answers of the last rounds came without."""
    said = [
        annotation
        for recent in (number - 1, number)
        for annotation in labelling.annotations(number=recent)
        if annotation.who == f"llm:{of}" and annotation.answer is not None
    ]
    return not said or any(annotation.probabilities for annotation in said)
