"""The annotator's rules: how the language model is asked."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from pydantic import Field

from querist.agents.mind import Agent, AgentSpec, Ruling
from querist.tools.wording import counted

NEAREST = 4
"""Demonstrations to retrieve for each example where that costs only tokens."""


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """A model that may label, as far as this run knows it."""

    name: str
    usd: Decimal
    """What asking it once about a text is expected to cost."""
    right: int
    """Of the texts that people labelled and that it labelled, too."""
    total: int
    has_logprobs: bool = True
    """Whether it tells how sure it is, as far as was seen."""
    probes: int = 0
    """Texts that people labelled that it would be tried on first."""


@dataclass(frozen=True, slots=True)
class AnnotatorEvidence:
    """What the annotator knows before a round."""

    round: int
    model: str
    batch: int
    classes: int
    bank: int
    """Examples labelled by people (or accepted with certainty) that can serve as demonstrations."""
    given: int
    """Demonstrations that the task file gives; they are always shown."""
    votes: int
    """Samples per example that the task file asks for."""
    shared: int
    nearest: int | None
    """Demonstrations that the task file asks for; None: as is best for the model."""
    is_local: bool
    """The model keeps a prompt's beginning computed, one prompt at a time."""
    calibrate: bool
    has_logprobs: bool
    skill: float | None
    """The model's measured accuracy on examples that people labelled, if any."""
    lessons: tuple[str, ...] = ()
    """What models confused in runs of like tasks; for a mind."""
    guidelines: int = 0
    """Guidelines from earlier corrections that its prompts hold."""
    models: tuple[ModelRecord, ...] = ()
    """What a mind may choose among, the usual model first; () where there is no choice."""
    usd_left: Decimal | None = None
    """For labels of models, once the round's questions to people are paid; with `models` only."""

    def record_of(self, name: str) -> ModelRecord | None:
        """Find a model that may be chosen; the usual one, by "", is not."""
        return next((record for record in self.models if record.name == name), None)


class Annotating(Ruling):
    """How each example of the round is put to the model."""

    votes: int = Field(ge=1, le=15)
    shared: int = Field(ge=0, le=64)
    """Besides those that the task file gives."""
    nearest: int = Field(ge=0, le=16)
    calibrate: bool
    model: str = Field(default="", max_length=200)
    """Which model labels this round; "" is the usual one."""


def rule(evidence: AnnotatorEvidence) -> Annotating:
    """Show as many demonstrations as there are, and sample where there are no probabilities."""
    shared = min(max(0, evidence.shared - evidence.given), evidence.bank)
    wanted = (0 if evidence.is_local else NEAREST) if evidence.nearest is None else evidence.nearest
    nearest = min(wanted, max(0, evidence.bank - shared))
    votes = evidence.votes
    reasons = [_shown_in_words(shared, nearest, evidence.bank)]
    if evidence.is_local and evidence.nearest is None:
        reasons.append(
            "examples chosen for each text would take a model in this process three times as long"
        )
    if evidence.bank == 0:
        reasons = [
            "No labelled examples to show yet: the model sees the descriptions of the labels only"
        ]
    if evidence.given:
        said = f"{counted(evidence.given, 'labelled example')} of the task file"
        reasons[0] = f"{said}, {reasons[0]}" if evidence.bank else said
    if not evidence.has_logprobs and votes == 1:
        votes = 3
        reasons.append(
            "the model does not tell how sure it is, so it is asked 3 times about each text"
        )
    if evidence.calibrate and evidence.has_logprobs:
        reasons.append("its bias towards some labels is divided out")
    if evidence.skill is not None:
        reasons.append(f"it was right on {evidence.skill:.0%} of what people labelled")
    return Annotating(
        votes=votes,
        shared=shared,
        nearest=nearest,
        calibrate=evidence.calibrate and evidence.has_logprobs,
        reason="; ".join(reasons) + ".",
    )


def _shown_in_words(shared: int, nearest: int, bank: int) -> str:
    parts = []
    if shared:
        parts.append(f"{shared} with every text")
    if nearest:
        parts.append(f"{nearest} that are like the text")
    shown = " and ".join(parts) or "none"
    return f"Of {counted(bank, 'labelled example')} the model is shown {shown}"


def _check(evidence: AnnotatorEvidence, ruling: Annotating) -> None:
    """Refuse to show what there is not, and more votes than the money was planned for."""
    bank = evidence.bank
    if ruling.shared + ruling.nearest > bank:
        rest = max(0, bank - ruling.nearest)
        raise ValueError(
            f"{ruling.shared} shared and {ruling.nearest} nearest examples are more than the "
            f"{bank} there are; {rest} shared and {min(bank, ruling.nearest)} nearest would do"
        )
    record = evidence.record_of(ruling.model)
    if ruling.model and record is None:
        raise ValueError(f"no model {ruling.model[:60]!r} may be chosen")
    has_logprobs = evidence.has_logprobs if record is None else record.has_logprobs
    if ruling.calibrate and not has_logprobs:
        raise ValueError("without probabilities there is no bias to divide out")
    most = max(evidence.votes, 1 if has_logprobs else 3)
    if ruling.votes > most:
        raise ValueError(f"{ruling.votes} votes a text were not planned for; at most {most}")
    if record is not None and record.usd > 0 and record != evidence.models[0]:
        usd = record.usd * ruling.votes * (evidence.batch + record.probes)
        left = evidence.usd_left or Decimal(0)
        if usd > left:
            raise ValueError(
                f"{record.name} would cost {usd:.4f} USD for this batch, and {left:.4f} are left "
                "for it"
            )


SPEC = AgentSpec(Agent.ANNOTATOR, rule=rule, ruling=Annotating, check=_check)
"""The agent as the loop knows it."""
