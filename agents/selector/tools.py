"""What the selector's mind can look up and try: strategies on the pool as it is."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from pydantic import Field

from querist.agents.deliberation.brief import as_data, known_name, name_as_data
from querist.agents.deliberation.toolbox import Arguments, CannotTellError, Nothing, Tool, table
from querist.memory.errors import InvalidInput

_MOST_TRIED = 5
_MOST_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Batch:
    """What a strategy would choose now."""

    strategy: str
    ids: tuple[str, ...]
    doubt: float | None
    """Mean chance that the model is wrong about a text; None without a model."""
    typicality: float
    """Mean cosine similarity of a text to its nearest ones of the pool."""
    repeats: float
    """Mean cosine similarity of a text to the nearest other one of the batch."""
    predicted: Mapping[str, int]
    """Texts by the label that the model would give them; empty without a model."""


@dataclass(frozen=True, slots=True)
class PoolSummary:
    """What the pool holds."""

    left: int
    labels: Mapping[str, int]
    predicted: Mapping[str, int]
    """Texts that are left, by the label that the model would give them; empty without one."""
    doubt: float | None
    typicality: float


class SelectorDesk(Protocol):
    """What the run can tell of its pool; it may take its time, and changes nothing."""

    def summary(self) -> PoolSummary:
        """Count and measure what is left."""

    def choose(self, strategy: str, count: int, favour: Sequence[str] = ()) -> Batch:
        """Let a strategy choose, half of it of the classes to favour, by what the model expects.

        Raises `InvalidInput` for a strategy that cannot be served, or classes that cannot be told.
        """

    def texts(self, ids: Sequence[str]) -> list[str]:
        """Read texts."""


class _Tried(Arguments):
    strategies: list[str] = Field(min_length=1, max_length=_MOST_TRIED)
    """Names, mixtures or pipelines."""
    count: int = Field(ge=1, le=1_000)
    favour: list[str] = Field(default=[], max_length=30)
    """Classes that half of each batch is reserved for."""


class _Shown(Arguments):
    strategy: str = Field(min_length=1, max_length=200)
    count: int = Field(ge=1, le=_MOST_SHOWN)


def tools(desk: SelectorDesk, *, most: int, classes: Sequence[str] = ()) -> list[Tool]:
    """Give the selector's toolbox; `most` is what the round may take, of these classes."""

    async def summarise(_: Nothing) -> str:
        return _summary_in_words(await asyncio.to_thread(desk.summary))

    async def attempt(asked: _Tried) -> str:
        count = min(asked.count, most)
        favour = tuple(known_name(name, classes) for name in asked.favour)
        batches = [await _chosen(desk, strategy, count, favour) for strategy in asked.strategies]
        return _compared(batches, count, favour)

    async def show(asked: _Shown) -> str:
        batch = await _chosen(desk, asked.strategy, min(asked.count, most))
        texts = await asyncio.to_thread(desk.texts, batch.ids)
        shown = "\n".join(as_data(text) for text in texts)
        return f"What {asked.strategy} would choose, as data:\n{shown}"

    return [
        Tool(
            "try_strategies",
            "Let up to 5 strategies choose now, and compare the batches: doubt, typicality, "
            "repeats, labels that the model expects, and how many texts they share; with favour, "
            "half of each batch is reserved for those classes. Changes nothing.",
            _Tried,
            attempt,
        ),
        Tool(
            "pool_summary",
            "How many texts are left, what the model expects of them, and how sure it is.",
            Nothing,
            summarise,
        ),
        Tool("show_batch", "Read up to 10 texts that a strategy would choose.", _Shown, show),
    ]


async def _chosen(
    desk: SelectorDesk, strategy: str, count: int, favour: Sequence[str] = ()
) -> Batch:
    try:
        return await asyncio.to_thread(desk.choose, strategy, count, favour)
    except InvalidInput as error:
        raise CannotTellError(
            f"{strategy[:60]!r} cannot choose here: {error}. Ask again with margin, "
            "facility_location, k_center, random or 0.3*margin + 0.7*facility_location."
        ) from error


def _summary_in_words(found: PoolSummary) -> str:
    lines = [f"{found.left} texts are left."]
    if found.doubt is not None:
        lines.append(
            f"The model is wrong about a text with a chance of {found.doubt:.2f}, by itself."
        )
    lines.append(f"Labels so far: {_counts(found.labels)}.")
    if found.predicted:
        lines.append(f"Of what is left the model expects: {_counts(found.predicted)}.")
    lines.append(f"Typicality of a random text: {found.typicality:.2f}.")
    return "\n".join(lines)


def _compared(batches: Sequence[Batch], count: int, favour: Sequence[str] = ()) -> str:
    rows = [
        (
            batch.strategy,
            "-" if batch.doubt is None else f"{batch.doubt:.2f}",
            f"{batch.typicality:.2f}",
            f"{batch.repeats:.2f}",
            _counts(batch.predicted) or "-",
        )
        for batch in batches
    ]
    columns = (
        "strategy",
        "doubt (chance that the model is wrong)",
        "typicality (cosine to the pool's nearest)",
        "repeats (cosine within the batch)",
        "labels that the model expects",
    )
    shared = [
        f"{first.strategy} and {second.strategy} share {len(set(first.ids) & set(second.ids))} of "
        f"{count} texts."
        for place, first in enumerate(batches)
        for second in batches[place + 1 :]
    ]
    of = f", half of each reserved for {', '.join(map(name_as_data, favour))}" if favour else ""
    return "\n".join([f"Batches of {count}{of}:", table(columns, rows), *shared])


def _counts(counts: Mapping[str, int]) -> str:
    ordered = sorted(counts.items(), key=lambda item: -item[1])[:12]
    return ", ".join(f"{name_as_data(name)} {count}" for name, count in ordered)
