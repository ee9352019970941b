"""What a run will cost and take, before anything is spent.

The budget controller's own rules are played through round by round, so the forecast counts the
calls that will really be made: batches, trials of a new prompt on what people labelled, and the
measuring of its bias. A plateau may end a run sooner; that is not foreseen.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from decimal import Decimal

from querist.agents.annotator.annotate import CONTENT_FREE
from querist.agents.budget_controller import rules as budget
from querist.agents.mind import Agent
from querist.agents.models.embedding import AGENT
from querist.graph.config import RunConfig
from querist.graph.lessons.trial import most_for_lessons
from querist.graph.minds.consulting import most_for_minds
from querist.graph.round import evidence
from querist.graph.round.audit import audit_size
from querist.graph.round.prompts import FILLERS, PROBES, labelling_models
from querist.graph.round.select import most_for_advice
from querist.graph.sizes import Shown, Sizes
from querist.graph.workplace.context import Context
from querist.graph.workplace.embedding import paid_parts
from querist.memory.records import Split
from querist.tools.embedding.joined import may_cost
from querist.tools.training.prompted import PROMPT

_ZERO = Decimal(0)
_SECONDS_A_CALL = 1.0
"""What an endpoint is taken to need for one answer; nobody knows before it was asked."""
_SHARE_GENERATED = Decimal("0.3")
"""Of what writing new examples may cost: classes are not always thin."""
_SHARE_ADVISED = Decimal("0.5")
_SHARE_ASKED = Decimal("0.5")


@dataclass(frozen=True, slots=True)
class QuoteLine:
    """What one agent is expected to cost, and at most, in dollars."""

    agent: str
    what: str
    forecast: Decimal
    ceiling: Decimal


@dataclass(frozen=True, slots=True)
class Quote:
    """A forecast before anything is spent."""

    budget: Decimal
    lines: tuple[QuoteLine, ...]
    affordable: bool
    advice: str
    rounds: int = 0
    calls: int = 0
    """Requests to the annotator's model."""
    input_tokens: int = 0
    output_tokens: int = 0
    seconds: float | None = None
    """What its calls take; None where no model is called."""

    @property
    def forecast(self) -> Decimal:
        """The expected sum, never above the budget."""
        return min(self.budget, sum((line.forecast for line in self.lines), _ZERO))


@dataclass(slots=True)
class _Sum:
    """What the rounds of a run come to."""

    rounds: int = 0
    examples: int = 0
    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    questions: int = 0
    audits: int = 0
    tried: dict[Shown, int] = field(default_factory=dict)
    """Prompts so far, with how many of people's labels each was tried on."""


def make_quote(context: Context, *, seconds_a_call: float | None = None) -> Quote:
    """Forecast a whole run; `seconds_a_call` is what a call of a local model was measured at."""
    config, cap = context.config, context.ledger.balance().cap
    ceiling = evidence.example_ceiling(context)
    vectors = _embedding(context)
    total = _play(context, ceiling, spent=sum((line.forecast for line in vectors), _ZERO))
    lines = [*_lines(context, total, ceiling), *vectors]
    cheapest = _cheapest_label(context.config, ceiling)
    needed = cheapest + sum((line.ceiling for line in vectors), _ZERO)
    advice = (
        f"A budget of {cap:f} USD does not pay for one label (the cheapest may cost up to "
        f"{cheapest:.6f} USD). Raise --budget, or use the free local model (--model local)."
    )
    if needed > cap >= cheapest:
        advice = (
            f"A budget of {cap:f} USD does not pay for the vectors of all texts and one label (up "
            f"to {needed:.6f} USD). Raise --budget, or use a free embedder: "
            "--set data.embedder=minilm"
        )
    in_flight = config.models.in_flight if seconds_a_call is None else 1
    each = _SECONDS_A_CALL if seconds_a_call is None else seconds_a_call
    return Quote(
        cap,
        tuple(lines),
        affordable=needed <= cap,
        advice="" if needed <= cap else advice,
        rounds=total.rounds,
        calls=total.calls,
        input_tokens=total.input_tokens,
        output_tokens=total.output_tokens,
        seconds=total.calls * each / in_flight if total.calls else None,
    )


async def time_a_call(context: Context) -> float | None:
    """Measure what a call of a local model takes in seconds; None for a served model."""
    if not context.config.annotator.enabled:
        return None
    model = context.models.on(Agent.ANNOTATOR).model
    if model.in_flight != 1:
        return None
    sizes = Sizes(context)
    took = 0.0
    # The first call loads the weights and computes the instructions, which later ones find done.
    for number in range(2):
        began = time.monotonic()
        await model.complete(sizes.request(text=f"{number} {sizes.text}"))
        took = time.monotonic() - began
    return took


def _dearest(context: Context, ceiling: Decimal) -> Decimal:
    """Raise an example's ceiling to that of the dearest model that a mind may choose."""
    if context.config.minds.of(Agent.ANNOTATOR) == "rules":
        return ceiling
    others = labelling_models(context)[1:]
    return max([ceiling, *(evidence.example_ceiling(context, of=name) for name in others)])


def _lines(context: Context, total: _Sum, ceiling: Decimal) -> Iterator[QuoteLine]:
    config = context.config
    if config.annotator.enabled:
        price = context.models.price(config.models.annotator)
        what = f"{total.examples:,} examples by {config.models.annotator} in {total.calls:,} calls"
        cost = price.cost(total.input_tokens, total.output_tokens) + price.per_call * (
            total.calls - 1
        )
        dearest = _dearest(context, ceiling) * total.calls
        yield QuoteLine("annotator", what, max(cost, _ZERO), max(dearest, cost, _ZERO))
    yield from _at_end(context, ceiling)
    if config.people.kind != "none":
        each = config.answer_usd
        what = f"up to {total.questions:,} answers at {each:f} USD"
        if each != config.budget.human_label_usd:
            what += ", with second opinions and gold checks"
        yield QuoteLine("people", what, total.questions * each, total.questions * each)
    if config.generator.enabled and config.annotator.enabled:
        most = context.models.price(config.generator_model).ceiling(2_000, 400) * config.loop.rounds
        if most > 0:
            what = "new examples of thin classes, if there are such"
            yield QuoteLine("generator", what, most * _SHARE_GENERATED, most)
    if (most := most_for_minds(context)) > 0:
        what = "decisions that a language model takes"
        yield QuoteLine("minds", what, most * _SHARE_ASKED, most)
    if (most := most_for_lessons(context)) > 0:
        what = "guidelines from corrections, written and measured"
        yield QuoteLine("lessons", what, most * _SHARE_ASKED, most)
    if (advice := most_for_advice(context)) > 0:
        what = f"questions of the strategy {config.loop.strategy}"
        yield QuoteLine("selector", what, advice * _SHARE_ADVISED, advice)


def _at_end(context: Context, ceiling: Decimal) -> Iterator[QuoteLine]:
    """What the language model does for the model to take home."""
    config = context.config
    if (texts := config.distilled) and ceiling:
        most = min(ceiling * texts, context.ledger.balance().cap * budget.SHARE_DISTILLED)
        what = f"up to {texts:,} more texts for the model to take home, where that helps it"
        yield QuoteLine("annotator", what, most * _SHARE_ASKED, most)
    if config.training.target == PROMPT and (texts := _measured_texts(context)):
        cost = Sizes(context).usd(Shown(config.annotator.shared, 0, 0)) * texts
        what = f"the prompt to take home, on {texts:,} texts of known labels"
        yield QuoteLine("annotator", what, cost, ceiling * texts)


def _measured_texts(context: Context) -> int:
    return sum(context.pool.count(split) for split in (Split.VALIDATION, Split.TEST))


def _embedding(context: Context) -> list[QuoteLine]:
    """Price the vectors that are not known yet, where vectors cost money."""
    lines: list[QuoteLine] = []
    # An embedder that is free may take seconds to load, and a quote needs none.
    if not may_cost(context.config.data.embedder):
        return lines
    for part in paid_parts(context.embedder):
        examples = [example for split in Split for example in context.pool.all(split)]
        texts = part.unpaid([text for example in examples for text in context.kind.parts(example)])
        if not texts:
            continue
        forecast, ceiling = part.expected(texts)
        what = f"vectors of {len(texts):,} texts by {part.model}"
        lines.append(QuoteLine(AGENT, what, forecast, ceiling))
    return lines


def _cheapest_label(config: RunConfig, ceiling: Decimal) -> Decimal:
    prices = []
    if config.annotator.enabled:
        prices.append(ceiling)
    if config.people.kind != "none":
        prices.append(config.answer_usd)
    return min(prices, default=_ZERO)


# ---------------------------------------------------------------- the rounds, played through


def _play(context: Context, ceiling: Decimal, *, spent: Decimal) -> _Sum:
    """Let the budget controller's rules plan every round as if all goes as it usually does."""
    config, total, sizes = context.config, _Sum(), Sizes(context)
    remaining = context.ledger.balance().cap - spent
    pool, bank = context.pool.count(Split.POOL) - audit_size(context), 0
    start = _at_start(context, remaining, ceiling)
    for number in range(config.loop.rounds):
        margin = evidence.MARGIN if number else evidence.MARGIN_UNTRIED
        price = min(ceiling, sizes.usd(sizes.shown(bank)) * margin) if ceiling else _ZERO
        plan = budget.rule(
            replace(
                start,
                round=number,
                pool_left=pool,
                remaining=max(remaining, _ZERO),
                llm_example_usd=price,
                asked=total.questions,
                audited=total.audits,
            )
        )
        if plan.action != "select":
            break
        questions = min(plan.questions, plan.batch + plan.audits)
        spent = _add_round(context.config, total, sizes, batch=plan.batch, bank=bank)
        total.rounds += 1
        total.questions += questions
        total.audits += plan.audits
        remaining -= spent + questions * config.answer_usd
        pool, bank = pool - plan.batch, bank + questions - plan.audits
    return total


def _add_round(config: RunConfig, total: _Sum, sizes: Sizes, *, batch: int, bank: int) -> Decimal:
    """Count a round's calls; `bank` are the labels of people before it. Gives its cost."""
    section = config.annotator
    if not section.enabled:
        return _ZERO
    shown = sizes.shown(bank)
    calls = batch * section.votes
    if shown not in total.tried:
        fillers = FILLERS if shown.nearest else 1
        calls += len(CONTENT_FREE) * fillers * section.calibrate
    known = min(PROBES, bank - shown.shared) if shown.shared else 0
    calls += max(0, known - total.tried.get(shown, 0)) * section.votes
    total.tried[shown] = known
    total.examples += batch
    total.calls += calls
    total.input_tokens += calls * sizes.input_tokens(shown)
    total.output_tokens += calls * sizes.output_tokens
    return sizes.usd(shown) / section.votes * calls


def _at_start(context: Context, remaining: Decimal, ceiling: Decimal) -> budget.BudgetEvidence:
    config = context.config
    return budget.BudgetEvidence(
        round=0,
        most_rounds=config.loop.rounds,
        batch=config.loop.batch,
        pool_left=0,
        remaining=remaining,
        human_label_usd=config.answer_usd,
        llm_example_usd=ceiling,
        classes=len(context.task.labels),
        asks_people=config.people.kind != "none",
        open_questions=0,
        wanted_answers=0,
        wanted_at_end=0,
        waiting="",
        plateau=False,
        plateau_reason="",
        stop_command="",
        may_generate=False,
        labels={},
        last_phase="",
        uses_llm=config.annotator.enabled,
        audit_share=config.people.audit if audit_size(context) else 0.0,
        distilled=config.distilled,
    )
