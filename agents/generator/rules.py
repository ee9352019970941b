"""The generator's rules: what to write, and how many."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import Field

from querist.agents.budget_controller.rules import thin_classes
from querist.agents.mind import Agent, AgentSpec, Ruling
from querist.tools.wording import listed, quoted

MOST_CLASSES = 3


@dataclass(frozen=True, slots=True)
class GeneratorEvidence:
    """What the generator knows."""

    round: int
    batch: int
    """How many examples the budget controller allows."""
    labels: Mapping[str, int]
    kept: float | None
    """Share of earlier generated examples that the verifier accepted."""
    method: str = "conditioned"
    """How the task file would have texts written."""
    methods: Mapping[str, str] = field(default_factory=dict)
    """The ways that there are, and what each writes; empty where nobody may choose another."""


class Generation(Ruling):
    """How many examples of which class to write, and what counts as a copy."""

    targets: dict[str, int]
    method: str = ""
    """How they are written: a name of `GENERATORS`; "" as the task file says."""
    duplicate_at: float = Field(ge=0.5, le=1.0)
    """Cosine similarity to a known text above which a new one is rejected."""


def rule(evidence: GeneratorEvidence) -> Generation:
    """Bring the thinnest classes up towards an equal share, within the batch."""
    thin = thin_classes(evidence.labels)[:MOST_CLASSES]
    if not thin:
        return Generation(targets={}, duplicate_at=0.95, reason="No class is thin.")
    fair = sum(evidence.labels.values()) / len(evidence.labels)
    each = max(1, evidence.batch // len(thin))
    targets = {name: min(each, int(fair - evidence.labels[name]) or 1) for name in thin}
    counts = listed([f"{name} ({evidence.labels[name]})" for name in thin])
    kept = "" if evidence.kept is None else f" Of earlier ones {evidence.kept:.0%} were kept."
    return Generation(
        targets=targets,
        duplicate_at=0.95,
        reason=f"An equal share would be {fair:.0f} labels; far below are {counts}.{kept}",
    )


def check(evidence: GeneratorEvidence, ruling: Generation) -> None:
    """Refuse unknown classes and more than the allowance."""
    unknown = set(ruling.targets) - set(evidence.labels)
    if unknown:
        raise ValueError(f"unknown classes: {quoted(sorted(unknown))}")
    if sum(ruling.targets.values()) > evidence.batch:
        raise ValueError(f"more examples than the {evidence.batch} allowed")
    if evidence.batch and not any(ruling.targets.values()) and (usual := rule(evidence).targets):
        raise ValueError(f"a round to write in writes nothing: {_counted(usual)} would do")
    if ruling.method not in ("", evidence.method, *evidence.methods):
        raise ValueError(
            f"texts are written by {quoted(list(evidence.methods))}, not {ruling.method!r}"
        )
    if any(count < 0 for count in ruling.targets.values()):
        raise ValueError("negative counts")


def _counted(targets: Mapping[str, int]) -> str:
    return ", ".join(f"{count} of {quoted([name])}" for name, count in targets.items())


SPEC = AgentSpec(Agent.GENERATOR, rule=rule, ruling=Generation, check=check)
"""The agent as the loop knows it."""
