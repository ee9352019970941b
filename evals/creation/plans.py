"""Ways to take the method of each call, and the generator's planner played with one of them.

The planner, its waves and its account of rows are the product's; writer and checker are called
directly, without ledger and store, so that hundreds of jobs take seconds.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np

from querist.agents.models.port import ChatRequest, Message
from querist.evals.creation.one_job import PRICES, STRONG, WRITER, Ran
from querist.evals.creation.scripted_world import LABELS, METHODS, World
from querist.graph.jobs.cells import cells_of
from querist.graph.jobs.creation.planning import Call, Planner
from querist.graph.jobs.creation.progress import Progress
from querist.graph.jobs.request import CreateRequest, read_request
from querist.graph.jobs.workbench import seeds_of
from querist.memory.answers import Choice
from querist.memory.records import Example, ExampleId
from querist.memory.workspace.creations import CreatedRow, RowStatus
from querist.tools.arms.thompson import Choose, Tries

_IN_FLIGHT = 8
_CHECK_TOKENS = 150
"""What a label check with six demonstrations reads."""


class InTurn:
    """The fixed plan: every method as often as any other, in each class."""

    def __init__(self) -> None:
        """Begin with the first."""
        self._turns: Counter[Hashable] = Counter()

    def __call__(
        self,
        arms: Sequence[Hashable],
        known: Mapping[Hashable, Tries],  # noqa: ARG002 - it learns nothing
        *,
        rng: np.random.Generator,  # noqa: ARG002
    ) -> int:
        """Take the next one; the first arm stands for the class."""
        self._turns[arms[0]] += 1
        return (self._turns[arms[0]] - 1) % len(arms)


class BestKnown:
    """The plan of whoever knows each method's hit rate: no learning does better at one price."""

    def __init__(self, hits: Mapping[Any, float]) -> None:
        """`hits` by method and label."""
        self._hits: dict[Hashable, float] = {**hits}

    def __call__(
        self,
        arms: Sequence[Hashable],
        known: Mapping[Hashable, Tries],  # noqa: ARG002
        *,
        rng: np.random.Generator,  # noqa: ARG002
    ) -> int:
        """Take the best."""
        return int(np.argmax([self._hits[arm] for arm in arms]))


def run_plan(world: World, *, rows: int, choose: Choose) -> Ran:
    """Write rows until enough passed a label check of skill 0.9, by the product's planner."""
    request = read_request(
        {
            "kind": "create",
            "task": {"labels": list(LABELS)},
            "rows": rows,
            "methods": METHODS,
            "gates": ("schema",),
            "seeds": {"file": "in memory", "text": "text", "label": "label"},
            "patience": 400,
            "seed": world.seed,
        },
        source="the experiment",
    )
    assert isinstance(request, CreateRequest)
    return asyncio.run(_play(world, request, choose))


async def _play(world: World, request: CreateRequest, choose: Choose) -> Ran:
    seeds = seeds_of(
        [
            Example(ExampleId(f"s{place}"), {"text": text}, gold=Choice(label))
            for place, (text, label) in enumerate(world.seeds())
        ]
    )
    planner = Planner(request, request.as_task(), seeds, choose=choose)
    progress = Progress.of(cells_of(LABELS, {}, {}, ()), request.rows)
    written: list[CreatedRow] = []
    while progress.total < request.rows:
        calls = planner.wave(progress, in_flight=_IN_FLIGHT)
        if not calls:
            break
        wave = [row for call in calls for row in await _write(world, call, progress)]
        left = [progress.lacking(cell) for cell in range(len(LABELS))]
        for cell, row in wave:
            if row.status == "accepted":
                left[cell] -= 1
            is_spare = row.status == "accepted" and left[cell] < 0
            written.append(_as(row, "spare") if is_spare else row)
            progress.take(written[-1])
        progress.waves, progress.calls = progress.waves + 1, progress.calls + len(calls)
    return Ran(tuple(written), float(sum(row.usd for row in written)), "rows")


async def _write(world: World, call: Call, progress: Progress) -> list[tuple[int, CreatedRow]]:
    label = progress.cells[call.cell].label or ""
    reply = await world.writer(WRITER).complete(call.ask.request)
    drafts = call.ask.read(reply.text)
    each = _usd(WRITER, reply.usage.input_tokens, reply.usage.output_tokens) / len(drafts)
    checker, rows = world.checker(STRONG, low=0.8, high=1.0), []
    for draft in drafts:
        text = str(draft.record["text"])
        said = await checker.complete(ChatRequest((Message("user", text),), 1, choices=LABELS))
        is_right = said.text == label
        row = CreatedRow(
            "", draft.record, label, {}, call.arm[0],
            "accepted" if is_right else "rejected",
            gate="" if is_right else "label_check",
            usd=each + _usd(STRONG, _CHECK_TOKENS, 1),
        )  # fmt: skip
        rows.append((call.cell, row))
    return rows


def _as(row: CreatedRow, status: RowStatus) -> CreatedRow:
    return CreatedRow(
        row.id, row.record, row.label, row.attributes, row.method, status, usd=row.usd
    )


def _usd(model: str, read: int, wrote: int) -> Decimal:
    price = PRICES[model]
    total = read * Decimal(str(price["input"])) + wrote * Decimal(str(price["output"]))
    return total / 1_000_000
