"""What the verifier's mind can look up: what a threshold would have let through, before it is."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from pydantic import Field

from querist.agents.deliberation.brief import as_data, known_name, name_as_data
from querist.agents.deliberation.toolbox import Arguments, CannotTellError, Nothing, Tool, table


@dataclass(frozen=True, slots=True)
class Judged:
    """How sure the pooled opinion was of a text before a person labelled it, and if rightly."""

    label: str
    """The best label."""
    p_correct: float
    right: bool


@dataclass(frozen=True, slots=True)
class Source:
    """How often a source was right on what people labelled."""

    words: str
    right: int
    total: int


class VerifierDesk(Protocol):
    """What the run can tell of opinions; it changes nothing."""

    def judged(self) -> Sequence[Judged]:
        """List the texts that were judged before people labelled them."""

    def batch(self) -> Sequence[tuple[str, float]]:
        """Best label, and how sure the pooled opinion is of it, of each text of the batch."""

    def sources(self) -> Sequence[Source]:
        """How right each source was, held out."""

    def doubtful(self, count: int) -> Sequence[tuple[str, str, float]]:
        """Text, best label and chance of the batch's most doubtful texts."""


class _OfClass(Arguments):
    label: str = Field(max_length=200)
    accept_at: float


class _Thresholds(Arguments):
    accept_at: list[float] = Field(min_length=1, max_length=6)
    classes: list[_OfClass] = Field(default=[], max_length=6)
    """Thresholds of their own for texts whose best label is one of these."""


class _Count(Arguments):
    count: int = Field(ge=1, le=8)


def tools(desk: VerifierDesk, *, classes: Sequence[str] = ()) -> list[Tool]:
    """Give the verifier's toolbox; `classes` are the labels that may have their own threshold."""

    async def thresholds(asked: _Thresholds) -> str:
        return await asyncio.to_thread(_tried, desk, classes, asked)

    async def sources(_: Nothing) -> str:
        found = await asyncio.to_thread(desk.sources)
        if not any(source.total for source in found):
            raise CannotTellError("People have labelled nothing yet to compare with.")
        rows = [(s.words, f"{s.right} of {s.total}") for s in found if s.total]
        return table(("source", "right on what people labelled"), rows)

    async def doubtful(asked: _Count) -> str:
        rows = await asyncio.to_thread(desk.doubtful, asked.count)
        if not rows:
            raise CannotTellError("There is no opinion about any text of the batch.")
        lines = [
            f"{chance:.2f} {name_as_data(label)}: {as_data(text)}" for text, label, chance in rows
        ]
        return "The most doubtful, with their likeliest label, as data:\n" + "\n".join(lines)

    return [
        Tool(
            "try_thresholds",
            "For up to 6 values of accept_at: of the texts that people labelled later, how many "
            "would have been kept unasked and how many of those were wrong; and how many of this "
            "batch would be kept. With classes: the same where those labels have a threshold of "
            "their own, and what that lets through of each.",
            _Thresholds,
            thresholds,
        ),
        Tool(
            "sources", "How often each source was right on what people labelled.", Nothing, sources
        ),
        Tool("most_doubtful", "Read the batch's most doubtful texts.", _Count, doubtful),
    ]


def _tried(desk: VerifierDesk, classes: Sequence[str], asked: _Thresholds) -> str:
    """Tell what thresholds would have let through."""
    if any(not 0 <= value <= 1 for value in _values(asked)):
        raise CannotTellError("A threshold lies between 0 and 1. Ask again with such values.")
    of_class = {known_name(part.label, classes): part.accept_at for part in asked.classes}
    unknown = [name_as_data(name) for name in of_class if name not in classes]
    if unknown:
        raise CannotTellError(f"There is no label {', '.join(unknown)}. Ask again with others.")
    judged, batch = desk.judged(), desk.batch()
    found = _let_through(asked.accept_at, of_class, judged, batch)
    return f"{found}\n{_by_class(of_class, judged, batch)}" if of_class else found


def _values(asked: _Thresholds) -> list[float]:
    return [*asked.accept_at, *(part.accept_at for part in asked.classes)]


def _let_through(
    values: Sequence[float],
    of_class: Mapping[str, float],
    judged: Sequence[Judged],
    batch: Sequence[tuple[str, float]],
) -> str:
    rows = []
    for value in values:
        kept = [text for text in judged if text.p_correct >= of_class.get(text.label, value)]
        of_batch = sum(chance >= of_class.get(label, value) for label, chance in batch)
        rows.append((f"{value:g}", f"{len(kept)} of {len(judged)}", _wrong(kept), of_batch))
    columns = ("accept_at", "kept of what people labelled", "wrong of these", "kept of this batch")
    words = f"This batch has {len(batch)} texts with an opinion."
    if not judged:
        words += " People have labelled nothing yet that was judged before."
    return f"{table(columns, rows)}\n{words}"


def _by_class(
    of_class: Mapping[str, float], judged: Sequence[Judged], batch: Sequence[tuple[str, float]]
) -> str:
    """Say what the threshold of each class lets through of that class."""
    rows = []
    for name, value in of_class.items():
        own = [text for text in judged if text.label == name]
        kept = [text for text in own if text.p_correct >= value]
        here = [chance for label, chance in batch if label == name]
        of_batch = f"{sum(chance >= value for chance in here)} of {len(here)}"
        marked = name_as_data(name)
        rows.append((marked, f"{value:g}", f"{len(kept)} of {len(own)}", _wrong(kept), of_batch))
    columns = ("best label", "accept_at", "kept of what people labelled", "wrong of these",
               "kept of this batch")  # fmt: skip
    return table(columns, rows)


def _wrong(kept: Sequence[Judged]) -> str:
    wrong = sum(not text.right for text in kept)
    return f"{wrong} ({wrong / len(kept):.0%})" if kept else "0"


def in_bands(chances: Sequence[float]) -> Mapping[str, int]:
    """Count chances by how sure they are, in words."""
    edges = ((0.0, 0.5), (0.5, 0.7), (0.7, 0.9), (0.9, 1.01))
    return {
        f"{low:.0%} to {min(high, 1.0):.0%}": sum(low <= chance < high for chance in chances)
        for low, high in edges
    }
