"""The budget controller's rules: what the next round may cost, and whether there is one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from pydantic import Field

from querist.agents.mind import Agent, AgentSpec, Ruling
from querist.tools.opinions.quality import FEWEST
from querist.tools.wording import counted, listed

_SEED_SHARE = 0.35
"""How much of the human budget goes into the random seed that everything is measured on."""
_SEEDS_PER_CLASS = 5
_MOST_SEEDS = 60
_WORTH = 0.25
"""A round of less than this share of a batch teaches too little for the training that it takes."""
SHARE_DISTILLED = Decimal("0.05")
"""Of the money left, what is kept at most for texts that only teach the target."""
_MOST_THIN = 5
"""Thin classes that are named."""
_THIN = 0.4
"""A class with less than this share of an equal share is thin."""


@dataclass(frozen=True, slots=True)
class PastRound:
    """What a round cost and where it left the model; money and labels are sums up to its end."""

    round: int
    phase: str
    labelled: int
    people: int
    usd: Decimal
    metric: float | None
    error: float | None
    """Half of the 90 % interval."""
    measured_on: str


@dataclass(frozen=True, slots=True)
class Gain:
    """By how much a round changed the measured quality, beside the error of that difference."""

    points: float
    """As a share: 0.01 is a point."""
    error: float | None

    @property
    def words(self) -> str:
        """Say whether the change is more than its error."""
        if self.error is None:
            return "with an unknown error"
        margin = f"its error of {100 * self.error:.1f} points"
        if abs(self.points) <= self.error:
            return f"within {margin}"
        return f"beyond {margin}"


def gain_of(before: PastRound, done: PastRound) -> Gain | None:
    """Compare two rounds; None where they were not measured alike.

    The errors are taken to be independent, which overstates that of the difference where both were
    measured on the same rows: a gain beyond it is one.
    """
    if before.metric is None or done.metric is None or before.measured_on != done.measured_on:
        return None
    errors = (before.error, done.error)
    known = [error for error in errors if error is not None]
    error = math.hypot(*known) if len(known) == len(errors) else None
    return Gain(done.metric - before.metric, error)


@dataclass(frozen=True, slots=True)
class BudgetEvidence:
    """Where money, labels and the learning curve stand."""

    round: int
    """The round that would come next; 0 is the first, which asks for the seed."""
    most_rounds: int
    batch: int
    pool_left: int
    remaining: Decimal
    human_label_usd: Decimal
    llm_example_usd: Decimal
    """What labelling one example with the language model costs: as it was, else at most."""
    classes: int
    asks_people: bool
    open_questions: int
    wanted_answers: int
    """Answers to the last round's questions that are waited for before the next."""
    wanted_at_end: int
    """Answers that are waited for before the run ends."""
    waiting: str
    """What is waited for, in words."""
    plateau: bool
    plateau_reason: str
    stop_command: str
    may_generate: bool
    labels: Mapping[str, int]
    last_phase: str
    uses_llm: bool = True
    audit_share: float = 0.0
    """Of people's answers, the share that measures the model and teaches it nothing."""
    asked: int = 0
    """Questions that were asked so far."""
    audited: int = 0
    """Those of them that measure the model."""
    past: tuple[PastRound, ...] = ()
    """The rounds so far, oldest first."""
    distilled: int = 0
    """Texts that the language model may label when the run ends, for the target to learn from."""


class Plan(Ruling):
    """What the next round may do."""

    action: Literal["select", "generate", "wait", "finish"]
    batch: int = Field(ge=0, le=100_000)
    questions: int = Field(ge=0, le=100_000)
    """How many questions to people the round may ask."""
    audits: int = Field(default=0, ge=0, le=100_000)
    """How many of them are about random examples that the model is measured on."""
    stop: str = ""
    """Which stopping rule fired: budget, plateau, pool, rounds or command."""


def rule(evidence: BudgetEvidence) -> Plan:
    """Stop, wait, or split the money for another round."""
    if evidence.stop_command:
        return _end(evidence, "command", f"{evidence.stop_command} said stop.", wait=False)
    if evidence.wanted_answers:
        return Plan(action="wait", batch=0, questions=0, reason=f"{evidence.waiting}.")
    questions = _questions(evidence)
    batch = _batch(evidence)
    if evidence.round == 0:
        return _seed(evidence, questions, batch)
    stop, why = _stop(evidence, batch)
    if stop:
        return _end(evidence, stop, why)
    if _should_generate(evidence):
        return Plan(
            action="generate",
            batch=min(batch, evidence.batch // 2 or 1),
            questions=0,
            reason=f"Some classes are thin ({_thin(evidence)}), so new examples of them are "
            "written before more are selected.",
        )
    return _another(evidence, batch, min(questions, batch))


def _another(evidence: BudgetEvidence, batch: int, questions: int) -> Plan:
    audits = audits_of(evidence, questions)
    if not evidence.uses_llm:
        batch -= audits  # people label all that is selected, and the audits beside it
    measured = f" and {audits} random ones that the model is measured on" if audits else ""
    return Plan(
        action="select",
        batch=batch,
        questions=questions,
        audits=audits,
        reason=f"{_usd(evidence.remaining)} are left for at most "
        f"{counted(_rounds_left(evidence), 'round')}: {counted(batch, 'example')} now, up to "
        f"{questions - audits} of them for people{measured}.",
    )


def audits_of(evidence: BudgetEvidence, questions: int) -> int:
    """How many of a round's questions keep the audits at their share of all answers."""
    due = int(evidence.audit_share * (evidence.asked + questions))
    return max(0, min(due - evidence.audited, questions // 2))


def _first_audits(evidence: BudgetEvidence, seeds: int) -> int:
    """How many audits go with the first sample: their share, and enough for a first measure."""
    share = evidence.audit_share
    return max(FEWEST, int(share / (1 - share) * seeds)) if share else 0


def _stop(evidence: BudgetEvidence, batch: int) -> tuple[str, str]:
    """Find the stopping rule that fires, and why; empty if none does."""
    if evidence.plateau:
        return "plateau", evidence.plateau_reason
    if evidence.round >= evidence.most_rounds:
        return "rounds", f"All {evidence.most_rounds} rounds are done."
    if evidence.pool_left == 0:
        return "pool", "Every example of the pool was looked at."
    if batch == 0:
        return "budget", f"The {_usd(evidence.remaining)} left do not pay for a label."
    if batch < least_batch(evidence):
        return "budget", (
            f"The {_usd(evidence.remaining)} left pay for {counted(batch, 'more label')}, which is "
            "not worth another round."
        )
    return "", ""


def _seed(evidence: BudgetEvidence, affordable: int, batch: int) -> Plan:
    if not evidence.asks_people or affordable == 0:
        if batch == 0:
            return _end(
                evidence,
                "budget",
                f"{_usd(evidence.remaining)} do not pay for a single label.",
                wait=False,
            )
        return Plan(
            action="select",
            batch=batch,
            questions=0,
            reason="Nobody can be asked, so the language model labels the first sample, and "
            "quality is measured against its labels only.",
        )
    total = _affordable(evidence)
    # Where there is one round only, nothing is to be kept for later ones.
    share = int(_SEED_SHARE * total) if evidence.most_rounds > 1 else min(total, evidence.batch)
    wanted = min(_MOST_SEEDS, max(_SEEDS_PER_CLASS * evidence.classes, share))
    seeds = min(wanted, max(1, share), evidence.pool_left)
    audits = min(_first_audits(evidence, seeds), total - seeds)
    shows = "how far each annotator can be trusted"
    shows += f". {audits} more measure the model" if audits else ", and how good the model is"
    return Plan(
        action="select",
        batch=seeds,
        questions=seeds + audits,
        audits=audits,
        reason=f"The first {seeds} examples are a random sample that people label: they show "
        f"{shows}.",
    )


def _affordable(evidence: BudgetEvidence) -> int:
    if not evidence.asks_people:
        return 0
    if evidence.human_label_usd <= 0:
        return evidence.batch * (evidence.most_rounds + 1)
    # What the language model will need for the rounds to come is kept for it, and at the end.
    rounds = _rounds_left(evidence)
    llm = evidence.llm_example_usd * evidence.batch * rounds
    llm += min(evidence.llm_example_usd * evidence.distilled, evidence.remaining * SHARE_DISTILLED)
    free = max(evidence.remaining - llm, evidence.remaining / 2)
    return int(free / evidence.human_label_usd)


def _rounds_left(evidence: BudgetEvidence) -> int:
    return max(1, evidence.most_rounds - evidence.round)


def _questions(evidence: BudgetEvidence) -> int:
    """Share the answers that can be paid for out over the rounds that are left."""
    if not evidence.uses_llm:
        return _batch(evidence)
    return -(-_affordable(evidence) // _rounds_left(evidence))


def _batch(evidence: BudgetEvidence) -> int:
    """Choose a batch so that the money runs out evenly, not in a trickle of small rounds."""
    batch = min(evidence.batch, evidence.pool_left)
    if not evidence.uses_llm:
        return min(batch, _evenly(_affordable(evidence), evidence))
    if evidence.llm_example_usd <= 0:
        return batch
    return min(batch, _evenly(int(evidence.remaining / evidence.llm_example_usd), evidence))


def _evenly(affordable: int, evidence: BudgetEvidence) -> int:
    """Divide by as many rounds as there are full batches in it, or rounds left if that is less."""
    full = -(-affordable // evidence.batch)
    rounds = max(1, min(_rounds_left(evidence), full))
    return -(-affordable // rounds)


def _should_generate(evidence: BudgetEvidence) -> bool:
    return evidence.may_generate and evidence.last_phase == "select" and bool(_thin(evidence))


def _thin(evidence: BudgetEvidence) -> str:
    names = thin_classes(evidence.labels)
    return listed(names, _MOST_THIN)


def labels_bought(evidence: BudgetEvidence) -> int:
    """Tell how many labels the money still buys, the cheapest way; all where one is free."""
    prices = [
        *([evidence.human_label_usd] if evidence.asks_people else []),
        *([evidence.llm_example_usd] if evidence.uses_llm else []),
    ]
    cheapest = min(prices, default=Decimal(0))
    return evidence.pool_left if cheapest <= 0 else int(evidence.remaining / cheapest)


def least_batch(evidence: BudgetEvidence) -> int:
    """Tell how many texts a round must take at least to be worth its training."""
    return max(1, math.ceil(_WORTH * min(evidence.batch, evidence.pool_left)))


def thin_classes(labels: Mapping[str, int]) -> list[str]:
    """Name the classes that have far fewer labels than an equal share, the thinnest first.

    A class without a label is not among them: there is nothing to write more of.
    """
    total = sum(labels.values())
    if total < 4 * len(labels):
        return []
    fair = total / len(labels)
    thin = [name for name, count in labels.items() if 0 < count < _THIN * fair]
    return sorted(thin, key=lambda name: (labels[name], name))


def _usd(amount: Decimal) -> str:
    places = 6 if amount and abs(amount) < Decimal("0.01") else 2
    return f"{amount:,.{places}f} USD"


def _end(evidence: BudgetEvidence, stop: str, reason: str, *, wait: bool = True) -> Plan:
    if wait and evidence.wanted_at_end:
        return Plan(
            action="wait",
            batch=0,
            questions=0,
            stop=stop,
            reason=f"{reason} Answers of people are waited for before it ends.",
        )
    return Plan(action="finish", batch=0, questions=0, stop=stop, reason=reason)


def check(evidence: BudgetEvidence, ruling: Plan) -> None:
    """Refuse a plan that the money or the pool does not allow, or whose stop is not true."""
    cost = ruling.questions * evidence.human_label_usd
    if cost > evidence.remaining:
        raise ValueError(f"{ruling.questions} questions cost {cost}, more than is left")
    if ruling.audits > ruling.questions:
        raise ValueError(f"{ruling.audits} audits are more than the {ruling.questions} questions")
    # The first sample may be larger than a batch: what it measures holds for all rounds.
    most = min(evidence.pool_left, evidence.batch) if evidence.round else evidence.pool_left
    if ruling.batch > most:
        raise ValueError(f"a batch of {ruling.batch} is more than the pool or the batch size")
    if ruling.action in ("select", "generate"):
        _check_round(evidence, ruling)
    elif ruling.action == "wait" and not evidence.wanted_answers and not evidence.wanted_at_end:
        raise ValueError("there are no answers to wait for")
    _check_stop(evidence, ruling)


def _check_round(evidence: BudgetEvidence, ruling: Plan) -> None:
    if evidence.stop_command:
        raise ValueError("a person said stop")
    if evidence.round and evidence.round >= evidence.most_rounds:
        raise ValueError(f"all {evidence.most_rounds} rounds are done")
    if ruling.batch < (least := least_batch(evidence)):
        raise ValueError(
            f"a round of {ruling.batch} teaches too little for its training: name a batch of "
            f"{least} at least, or finish"
        )
    if ruling.stop:
        raise ValueError('stop is for action=finish; say stop=""')
    if ruling.questions - ruling.audits > ruling.batch:
        raise ValueError(f"{ruling.questions} questions about {ruling.batch} texts")
    if ruling.action == "generate" and not evidence.may_generate:
        raise ValueError("new texts may not be written in this run")
    price = evidence.llm_example_usd if evidence.uses_llm else Decimal(0)
    total = ruling.questions * evidence.human_label_usd + ruling.batch * price
    if total > evidence.remaining:
        raise ValueError(f"that may cost {_usd(total)}, and {_usd(evidence.remaining)} are left")


def _check_stop(evidence: BudgetEvidence, ruling: Plan) -> None:
    """A rule that is named must have fired."""
    fired = {
        "": ruling.action != "finish",
        "budget": labels_bought(evidence) < evidence.batch,
        "plateau": evidence.plateau,
        "pool": evidence.pool_left == 0,
        "rounds": evidence.round >= evidence.most_rounds,
        "command": bool(evidence.stop_command),
    }
    if not fired.get(ruling.stop, False):
        raise ValueError(
            f"nothing speaks for finishing (stop={ruling.stop!r} is not so): the money pays for a "
            "full batch, and the curve has not levelled off"
        )


SPEC = AgentSpec(Agent.BUDGET_CONTROLLER, rule=rule, ruling=Plan, check=check)
"""The agent as the loop knows it."""
