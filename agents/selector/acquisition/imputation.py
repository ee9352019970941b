"""Draw the missing entries of rows, given what is known of them.

POCA trains a generative model for it; here are a sampler from near rows, which needs no model, and
a language model that is shown near rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from querist.agents.models.port import ChatRequest
from querist.agents.prompts.selection_tables import impute
from querist.agents.selector.advice.advisor import Advisor, Reply
from querist.agents.selector.advice.replies import read_object
from querist.memory.errors import InvalidInput
from querist.tools.compute.arrays import FloatArray

_SHOWN = 8


class Imputer(Protocol):
    """Completes rows in several ways."""

    def impute(self, rows: FloatArray, samples: int, rng: np.random.Generator) -> FloatArray:
        """Fill what is NaN in rows (N, F) by `samples` draws: (N, S, F); what is known stays."""


class NearRows:
    """Draws all that a row lacks from one complete row near it, so that entries go together.

    Rows are near by what both know, each column scaled by its spread. Complete rows only.
    """

    def __init__(self, complete: FloatArray, *, neighbours: int = 10) -> None:
        """`complete` (H, F) are rows of an earlier time, never the pool's own labels."""
        if not len(complete) or np.isnan(complete).any():
            raise InvalidInput("The rows to draw from must be complete, and at least one.")
        self._complete = np.asarray(complete, dtype=np.float64)
        spread = self._complete.std(axis=0)
        self._scale = np.where(spread > 0, spread, 1.0)
        self._neighbours = min(neighbours, len(complete))

    def impute(self, rows: FloatArray, samples: int, rng: np.random.Generator) -> FloatArray:
        """Fill each row from its near rows: (N, S, F)."""
        filled = np.repeat(np.asarray(rows, dtype=np.float64)[:, None, :], samples, axis=1)
        for number, row in enumerate(rows):
            lacks = np.isnan(row)
            if lacks.any():
                near = self.nearest(row)
                donors = near[rng.integers(len(near), size=samples)]
                filled[number][:, lacks] = self._complete[donors][:, lacks]
        return filled

    def nearest(self, row: FloatArray) -> NDArray[np.intp]:
        """Find the nearest complete rows by what this one knows, nearest first."""
        known = ~np.isnan(row)
        gaps = np.square((self._complete[:, known] - row[known]) / self._scale[known]).sum(axis=1)
        return np.argsort(gaps, kind="stable")[: self._neighbours]


@dataclass(frozen=True, slots=True)
class Column:
    """A column's name, and the words that its numbers stand for; none if they are numbers."""

    name: str
    values: tuple[str, ...] = ()


@dataclass(slots=True)
class LanguageModelRows:
    """Asks a language model for what a row lacks; what it cannot give comes from near rows.

    A word that the column does not have, a number that is none or not finite, is asked for again
    once, and then drawn from near rows (counted in `fallbacks`).
    """

    columns: Sequence[Column]
    complete: FloatArray
    advisor: Advisor
    shown: int = _SHOWN
    fallbacks: int = field(default=0, init=False)

    def impute(self, rows: FloatArray, samples: int, rng: np.random.Generator) -> FloatArray:
        """Fill each row by one call for each sample: (N, S, F)."""
        near = NearRows(self.complete, neighbours=max(10, self.shown))
        filled = near.impute(rows, samples, rng)
        places = [
            (number, sample)
            for number, row in enumerate(rows)
            for sample in range(samples)
            if np.isnan(row).any()
        ]
        for attempt in range(2):
            requests = [
                self._request(rows[number], near, sample + attempt * samples)
                for number, sample in places
            ]
            left = []
            for (number, sample), reply in zip(places, self.advisor.ask(requests), strict=True):
                said = self._read(rows[number], reply)
                if said is None:
                    left.append((number, sample))
                else:
                    filled[number, sample] = said
            places = left
        self.fallbacks += len(places)
        return filled

    def _request(self, row: FloatArray, near: NearRows, sample: int) -> ChatRequest:
        shown = self.complete[near.nearest(row)[: self.shown]]
        lacks = np.isnan(row)
        observed = {
            column.name: self._word(place, row[place])
            for place, column in enumerate(self.columns)
            if not lacks[place]
        }
        missing = {
            column.name: column.values for place, column in enumerate(self.columns) if lacks[place]
        }
        examples = [
            {
                column.name: self._word(place, done[place])
                for place, column in enumerate(self.columns)
            }
            for done in shown
        ]
        return impute(observed, missing, rows=examples, sample=sample)

    def _word(self, place: int, value: float) -> str | float:
        values = self.columns[place].values
        return values[int(value)] if values else float(value)

    def _read(self, row: FloatArray, reply: Reply) -> FloatArray | None:
        """Read a whole completion; anything wrong in it spoils all of it."""
        body = read_object(reply)
        if body is None:
            return None
        done = np.array(row, dtype=np.float64)
        for place, column in enumerate(self.columns):
            if np.isnan(row[place]):
                value = _value(body.get(column.name), column)
                if value is None:
                    return None
                done[place] = value
        return done


def _value(said: Any, column: Column) -> float | None:
    if column.values:
        return float(column.values.index(said)) if said in column.values else None
    if isinstance(said, bool) or not isinstance(said, int | float) or not np.isfinite(said):
        return None
    return float(said)
