"""The port of gates that ask a language model about a written row.

They look last, at what the free gates let through. A plug-in names one under the entry point group
`querist.model_gate`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Protocol

from querist.agents.annotator.prompt import Demonstration
from querist.agents.models.metered import MeteredModel
from querist.memory.errors import QueristError
from querist.memory.records import Task
from querist.tools.gates.port import Candidate, Finding
from querist.tools.registry import Declaration, Registry

__all__ = ["MODEL_GATES", "Bench", "Judged", "ModelGate", "model_gate"]

_GROUP = "querist.model_gate"


@dataclass(frozen=True, slots=True)
class Judged:
    """What a gate found of a row, and what asking cost."""

    finding: Finding | None
    """None where the row could not be looked at: the money ended, or the model failed."""
    usd: Decimal = Decimal(0)
    error: QueristError | None = None
    """Why not."""


@dataclass(frozen=True, slots=True)
class Bench:
    """What such gates work with."""

    task: Task
    model: Callable[[str], MeteredModel]
    """Gives a model by its name; "" is the job's checker."""
    shown: tuple[Demonstration, ...] = ()
    """Seeds with their labels."""
    memo: dict[str, Any] = field(default_factory=dict)
    """What a gate found out once and wants to find again."""


class ModelGate(Protocol):
    """Tests written rows by asking a model."""

    rank: int
    remedy: str

    @property
    def models(self) -> tuple[str, ...]:
        """The models that it asks; "" is the job's checker."""

    async def check(self, candidates: Sequence[Candidate], bench: Bench, /) -> list[Judged]:
        """Judge each candidate, in order; all that can be are asked about at once."""


model_gate = Declaration[ModelGate](_GROUP)
"""Declare what makes such a gate."""

MODEL_GATES = Registry[ModelGate](
    "gate that asks a model",
    group=_GROUP,
    modules=tuple(f"querist.agents.verifier.gates.{name}" for name in ("asking", "rewarding")),
)
"""The gates there are that ask a model."""
