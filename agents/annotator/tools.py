"""What the annotator's mind can try: a way of asking, on what people labelled."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from pydantic import Field

from querist.agents.deliberation.brief import name_as_data, usd
from querist.agents.deliberation.toolbox import Arguments, CannotTellError, Nothing, Tool, table

_MOST_TRIED = 20


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of asking about texts that people labelled."""

    right: int
    total: int
    unread: int
    """Replies that gave no label."""
    usd: Decimal
    mistakes: tuple[tuple[str, str, int], ...]
    """What people said, what the model said, how often."""


class AnnotatorDesk(Protocol):
    """What the run can try; it spends from the deliberation's allowance only."""

    async def attempt(
        self, *, shared: int, nearest: int, votes: int, calibrate: bool, count: int, model: str
    ) -> Trial:
        """Ask a model ("" for the usual one) about `count` texts that people labelled.

        Raises `CannotTellError`.
        """

    def mistakes(self) -> Trial:
        """Compare what the model said so far with what people said."""


class _Way(Arguments):
    shared: int = Field(ge=0, le=64)
    nearest: int = Field(ge=0, le=16)
    votes: int = Field(default=1, ge=1, le=5)
    calibrate: bool = True
    count: int = Field(default=10, ge=1, le=_MOST_TRIED)
    model: str = Field(default="", max_length=200)
    """One of those that may be chosen; the usual one, if not named."""


def tools(desk: AnnotatorDesk) -> list[Tool]:
    """Give the annotator's toolbox."""

    async def attempt(asked: _Way) -> str:
        trial = await desk.attempt(**asked.model_dump())
        who = f"{asked.model}: " if asked.model else ""
        words = f"{who}{trial.right} of {trial.total} right, for {usd(trial.usd)}."
        if trial.unread:
            words += f" {trial.unread} replies gave no label."
        return f"{words}\n{_mistakes(trial)}".strip()

    async def so_far(_: Nothing) -> str:
        trial = desk.mistakes()
        if not trial.total:
            raise CannotTellError("People have labelled nothing yet that the model labelled, too.")
        return f"{trial.right} of {trial.total} right so far.\n{_mistakes(trial)}".strip()

    return [
        Tool(
            "try_prompt",
            "Ask the model about up to 20 texts that people labelled, in a way and, "
            "where there are several, by a model that you choose, "
            "and count how many it gets right. Costs money from your allowance.",
            _Way,
            attempt,
        ),
        Tool(
            "mistakes_so_far", "Which labels the model confused, by people's word.", Nothing, so_far
        ),
    ]


def _mistakes(trial: Trial) -> str:
    if not trial.mistakes:
        return ""
    rows = [(name_as_data(truth), name_as_data(said), n) for truth, said, n in trial.mistakes]
    return table(("people said", "the model said", "times"), rows)
