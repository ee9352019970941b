"""Exams of minds: situations with a known answer, mirrored, and what came of them by model."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Generic, TypeVar

from querist.agents.deliberation.steps import Speech
from querist.agents.mind import Ruling
from querist.agents.models.port import ChatModel

E = TypeVar("E")
R = TypeVar("R", bound=Ruling)
_KEPT = "exams.json"
_SHIPPED = "known_minds.jsonl"
_PASS = 0.75
"""Share of each side's situations that must be ruled on rightly: no constant answer reaches it."""


@dataclass(frozen=True, slots=True)
class Situation(Generic[E, R]):
    """A decision whose right answer is beyond doubt."""

    name: str
    side: str
    """Situations of the two sides are each other's mirror: what is right in one is wrong there."""
    evidence: E
    is_right: Callable[[R], bool]


@dataclass(frozen=True, slots=True)
class ExamResult:
    """How a model did in an agent's exam."""

    agent: str
    model: str
    identity: str
    """What its answers depend on besides its name: endpoint, weights."""
    right: Mapping[str, int]
    """Situations ruled on rightly, by side."""
    total: Mapping[str, int]
    fell_back: int
    """Situations without a ruling that holds."""
    speech: Speech
    usd: str
    seconds: float
    at: str
    """The day."""

    @property
    def passed(self) -> bool:
        """Whether `auto` may consult the model for the agent."""
        return bool(self.total) and all(
            self.right.get(side, 0) >= _PASS * count for side, count in self.total.items()
        )

    @property
    def words(self) -> str:
        """Say how it went."""
        sides = ", ".join(
            f"{self.right.get(side, 0)} of {count} where it is right to {side}"
            for side, count in self.total.items()
        )
        return f"{sides}; {self.fell_back} without a ruling that holds"


class Examined:
    """The results of a workspace, and those that are shipped."""

    def __init__(self, path: Path) -> None:
        """Read and write one file; the last result of a model and agent counts."""
        self._path = path

    @classmethod
    def of(cls, workspace: Path) -> Examined:
        """Find the results of a workspace."""
        return cls(workspace / "models" / _KEPT)

    def find(self, model: ChatModel, agent: str) -> ExamResult | None:
        """Find how a model did in an agent's exam, here before what is shipped."""
        for result in (*reversed(self._read()), *_shipped()):
            if (result.agent, result.model, result.identity) == (agent, model.name, model.identity):
                return result
        return None

    def keep(self, results: Iterable[ExamResult]) -> None:
        """Add results."""
        rows = [asdict(result) for result in (*self._read(), *results)]
        self._path.parent.mkdir(parents=True, exist_ok=True)
        partial = self._path.with_suffix(".partial")
        partial.write_text(json.dumps(rows, indent=1))
        partial.replace(self._path)

    def _read(self) -> list[ExamResult]:
        try:
            rows: Any = json.loads(self._path.read_text())
            return [ExamResult(**row) for row in rows]
        except (OSError, ValueError, TypeError):
            return []  # none yet, or of another version: an exam is soon taken again


@cache
def _shipped() -> tuple[ExamResult, ...]:
    text = (files("querist.agents.deliberation") / _SHIPPED).read_text()
    return tuple(ExamResult(**json.loads(line)) for line in text.splitlines() if line.strip())
