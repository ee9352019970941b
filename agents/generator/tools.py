"""What the generator's mind can look up and try: where the model errs, what written texts did."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from querist.agents.deliberation.brief import name_as_data, points
from querist.agents.deliberation.toolbox import CannotTellError, Nothing, Tool, table


@dataclass(frozen=True, slots=True)
class ClassRecord:
    """How the model does on a class, held out, by people's word."""

    name: str
    labels: int
    right: int
    total: int
    mostly_taken_for: str


@dataclass(frozen=True, slots=True)
class OnTrial:
    """What training with and without written texts comes to, measured on people's labels."""

    written: int
    with_them: float
    without: float
    people: int


class GeneratorDesk(Protocol):
    """What the run can tell; it changes nothing."""

    def classes(self) -> Sequence[ClassRecord]:
        """Measure each class."""

    def on_trial(self) -> OnTrial:
        """Train with and without the texts that were written so far."""


def tools(desk: GeneratorDesk) -> list[Tool]:
    """Give the generator's toolbox."""

    async def confusions(_: Nothing) -> str:
        found = await asyncio.to_thread(desk.classes)
        if not any(record.total for record in found):
            raise CannotTellError("People have labelled too little yet to measure classes.")
        rows = [
            (
                name_as_data(record.name),
                record.labels,
                f"{record.right} of {record.total}",
                name_as_data(record.mostly_taken_for) if record.mostly_taken_for else "-",
            )
            for record in found
        ]
        return table(("class", "labels", "right, held out", "mostly taken for"), rows)

    async def trial(_: Nothing) -> str:
        found = await asyncio.to_thread(desk.on_trial)
        if not found.written:
            raise CannotTellError("No text was written yet, so there is nothing to try.")
        return (
            f"Trained with the {found.written} written texts the model is right on "
            f"{found.with_them:.1%} of {found.people} texts that people labelled, without them on "
            f"{found.without:.1%}: {points(found.with_them - found.without)}."
        )

    return [
        Tool("confusions", "How right the model is on each class, held out.", Nothing, confusions),
        Tool(
            "train_on_trial",
            "Train with and without the texts written so far, and compare. Changes nothing.",
            Nothing,
            trial,
        ),
    ]
