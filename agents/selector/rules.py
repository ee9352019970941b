"""The selector's rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import Field

from querist.agents.mind import Agent, AgentSpec, Ruling
from querist.tools.strategies import Capability, get
from querist.tools.wording import quoted

# Measured by evals/experiments/selection_defaults.py; the tables are in docs/strategies.md.
TYPICAL = "facility_location"
_MOST_CANDIDATES = 2_000
"""Rows that typical ones are looked for in: clustering more of a large pool takes its time."""
_MOST_CLUSTERS = 200
"""Of so many candidates: in a group under five nothing is typical, and more take longer."""
_MANY_CLASSES = 4.0
"""Labels a class below which the classes are many for what is labelled."""
_UNEVEN = 0.65
"""Share of all labels at which one class leaves too few of the others."""


def _mixed(count: int) -> str:
    """Name the half typical, half doubtful strategy for a batch; `random@n` bounds its work."""
    # A hundred times the half of a batch are typical enough of any pool.
    times = max(10, min(100, 2 * _MOST_CANDIDATES // max(1, count)))
    return f"0.5*random@{times} > typiclust(most_clusters={_MOST_CLUSTERS}) + 0.5*margin"


MIXED = _mixed(1)
_FEWEST_FAVOURED = 2
"""Texts of a batch that has a half."""
_FROM_A_MODEL = {Capability.PROBS, Capability.POSTERIOR, Capability.GRADIENTS}


@dataclass(frozen=True, slots=True)
class PastChoice:
    """What a round's strategy led to."""

    round: int
    strategy: str
    labels: int
    """How many labels the round added."""
    points: float
    """By how much measured quality changed, as a share."""
    words: str
    """Whether that is more than its error."""


@dataclass(frozen=True, slots=True)
class SelectorEvidence:
    """What the selector knows."""

    round: int
    pool_left: int
    batch: int
    """How many examples the budget controller allows."""
    configured: str
    """The strategy that the task file names, or `auto`."""
    labels: Mapping[str, int]
    """Labels so far by class."""
    has_model: bool
    skill: float | None = None
    """How often the language model is right; None if it does not annotate or was not measured."""
    random_only: bool = False
    """True while the sample must be representative, because everything is measured on it."""
    capabilities: tuple[str, ...] = ()
    """What a strategy can be shown in this run; () where nobody asked."""
    past: tuple[PastChoice, ...] = ()
    most: int = 0
    """What it may want at most, if the budget controller agrees; the batch where that is more."""
    lessons: tuple[str, ...] = ()
    """What strategies led to in runs of like tasks; for a mind."""
    expected: Mapping[str, int] = field(default_factory=dict)
    """Texts that are left, by the class that the model would give them; {} where no mind is asked
    or there is no model."""

    @property
    def bound(self) -> int:
        """The most that a ruling may name."""
        return min(max(self.batch, self.most), self.pool_left)


class Selection(Ruling):
    """Which strategy chooses how many examples."""

    strategy: str = Field(min_length=1, max_length=1000)
    count: int = Field(ge=0, le=100_000)
    favour: tuple[str, ...] = Field(default=(), max_length=100)
    """Classes that half of the batch is reserved for, by what the model expects; none as a rule."""


def rule(evidence: SelectorEvidence) -> Selection:
    """Explore while little is known, then ask where the model is unsure."""
    count = min(evidence.batch, evidence.pool_left)
    if evidence.random_only:
        return Selection(
            strategy="random",
            count=count,
            reason="The first examples are drawn at random: they measure everything that "
            "comes after, so they must be like the pool.",
        )
    if evidence.configured != "auto" and (evidence.has_model or not _needs_model(evidence)):
        return Selection(
            strategy=evidence.configured, count=count, reason="The task file names this strategy."
        )
    counts = evidence.labels.values()
    if not evidence.has_model or sum(count > 0 for count in counts) < 2:
        return Selection(
            strategy=TYPICAL,
            count=count,
            reason="There is no model to ask yet, so the batch covers the pool's variety.",
        )
    return _with_a_model(count, largest=max(counts), labels=sum(counts), classes=len(counts))


def are_few(labels: int, classes: int) -> bool:
    """Tell whether classes are hardly known by so many labels, each on average."""
    return labels < _MANY_CLASSES * classes


def is_uneven(largest: int, labels: int) -> bool:
    """Tell whether the largest class leaves too few labels of the others."""
    return largest >= _UNEVEN * labels > 0


def _with_a_model(count: int, *, largest: int, labels: int, classes: int) -> Selection:
    strategy, per_class = TYPICAL, labels / classes
    if are_few(labels, classes):
        reason = (
            f"With {per_class:.1f} labels a class most classes are hardly known; so the batch is "
            "typical of what is not labelled yet."
        )
    elif is_uneven(largest, labels):
        share = largest / labels
        reason = (
            f"One class has {share:.0%} of the labels; a batch that covers the pool finds more of "
            "the others than the model's doubts, which hardly know them."
        )
    else:
        strategy = _mixed(count)
        reason = (
            f"With {per_class:.0f} labels a class the model's doubts are half of the batch; the "
            "rest is typical of what is not labelled yet."
        )
    return Selection(strategy=strategy, count=count, reason=reason)


def _needs_model(evidence: SelectorEvidence) -> bool:
    return bool(get(evidence.configured).requires & _FROM_A_MODEL)


def check(evidence: SelectorEvidence, ruling: Selection) -> None:
    """Refuse a batch larger than the allowance or the pool."""
    most = evidence.bound
    if ruling.count > most:
        raise ValueError(f"count {ruling.count} is more than the {most} allowed")
    missing = get(ruling.strategy).requires - set(evidence.capabilities)
    if evidence.capabilities and missing:
        raise ValueError(
            f"{ruling.strategy} needs {', '.join(sorted(missing))}: not to be had here"
        )
    if evidence.random_only and ruling.strategy != "random":
        raise ValueError("the first sample is drawn at random")
    if most and not ruling.count:
        raise ValueError("an empty batch teaches nothing")
    if ruling.favour:
        _check_favour(evidence, ruling)


def _check_favour(evidence: SelectorEvidence, ruling: Selection) -> None:
    if evidence.random_only or not evidence.has_model:
        raise ValueError("without a model nobody can tell of which class a text is: favour none")
    unknown = set(ruling.favour) - set(evidence.labels)
    if unknown:
        raise ValueError(f"unknown classes: {quoted(sorted(unknown))}")
    if len(set(ruling.favour)) < len(ruling.favour):
        raise ValueError("a class can be favoured once only")
    if len(ruling.favour) >= len(evidence.labels):
        raise ValueError("to favour all classes is to favour none")
    if ruling.count < _FEWEST_FAVOURED:
        raise ValueError(f"of a batch of {ruling.count} no half can be reserved for a class")
    absent = [
        name for name in ruling.favour if evidence.expected and not evidence.expected.get(name)
    ]
    if absent:
        raise ValueError(f"the model expects no text of {quoted(absent)} among those left")


SPEC = AgentSpec(Agent.SELECTOR, rule=rule, ruling=Selection, check=check)
"""The agent as the loop knows it."""
