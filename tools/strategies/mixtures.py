"""Strategies made of strategies, written as text.

`margin@10 > k_center` lets margin keep ten times the batch, and k_center choose from that.
`0.7*margin + 0.3*k_center` gives each part its share of the batch. A part of a mixture may be a
pipeline: `>` binds tighter than `+`. Any name may carry parameters: `contrastive(neighbours=5)`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from querist.memory.errors import InvalidInput
from querist.tools.calls import Scalar, read_call, split_outside
from querist.tools.compute.arrays import share_out
from querist.tools.strategies.querying import (
    Capability,
    QueryContext,
    QueryResult,
    QueryStrategy,
    check,
    complement,
)

Make = Callable[[str, Mapping[str, Scalar]], QueryStrategy]
"""Makes a single strategy of its name and parameters."""

# What Zhdanov (2019) and Citovsky et al. (2021) keep for their second stage, too.
_DEFAULT_FACTOR = 10.0
_NUMBER = r"[0-9]*\.?[0-9]+"
_WEIGHTED = re.compile(rf"\s*(?:({_NUMBER})\s*\*)?(.*)", re.DOTALL)
_STAGE = re.compile(rf"\s*([\w.-]+?\s*(?:\(.*\))?)\s*(?:@\s*({_NUMBER}))?\s*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class _Pipeline:
    """Each stage keeps `factor` times the batch for the next; `last` chooses the batch."""

    name: str
    stages: tuple[tuple[QueryStrategy, float], ...]
    last: QueryStrategy

    @property
    def requires(self) -> frozenset[Capability]:
        """All that any stage needs."""
        return self.last.requires.union(*(stage.requires for stage, _ in self.stages))

    def query(self, context: QueryContext, count: int, /) -> QueryResult:
        """Narrow the candidates stage by stage, then choose."""
        check(self, context)
        rows = np.arange(len(context.ids))
        for stage, factor in self.stages:
            kept = stage.query(context.narrow(rows), int(np.ceil(factor * count))).indices
            # Back in pool order, so that ties still go to the lower position.
            rows = rows[np.sort(kept)]
        chosen = self.last.query(context.narrow(rows), count)
        return context.result(rows[chosen.indices], scores=chosen.scores, **chosen.diagnostics)


@dataclass(frozen=True, slots=True)
class _Mixture:
    """Each part chooses its share of the batch, knowing what the parts before it took.

    Their picks come in turn.
    """

    name: str
    parts: tuple[tuple[QueryStrategy, float], ...]

    @property
    def requires(self) -> frozenset[Capability]:
        """All that any part needs."""
        return frozenset[Capability]().union(*(part.requires for part, _ in self.parts))

    def query(self, context: QueryContext, count: int, /) -> QueryResult:
        """Share out the batch; a part that finds too little leaves the rest to the first."""
        check(self, context)
        count = min(count, len(context.ids))
        shares = share_out(count, [weight for _, weight in self.parts])
        chosen = np.empty(0, dtype=np.intp)
        taken, ranks = [], []
        for (part, _), share in zip(self.parts, shares, strict=True):
            before = len(chosen)
            chosen = _extend(chosen, part, share, context=context)
            found = len(chosen) - before
            taken.append(f"{part.name}: {found}")
            ranks.append((np.arange(found) + 0.5) / max(found, 1))
        # In turn, so that the first of the batch, which people are asked about, are mixed alike.
        order = np.argsort(np.concatenate(ranks), kind="stable")
        chosen = _extend(chosen[order], self.parts[0][0], count - len(chosen), context=context)
        return context.result(chosen, parts=tuple(taken))


def parse(text: str, make: Make) -> QueryStrategy:
    """Read a strategy, pipeline or mixture; `make` knows the single names."""
    parts = [_parse_part(part, make) for part in split_outside(text, "+")]
    if len(parts) == 1:
        return parts[0][0]
    name = " + ".join(f"{written}{part.name}" for part, _, written in parts)
    return _Mixture(name, tuple((part, weight) for part, weight, _ in parts))


def _extend(
    chosen: NDArray[np.intp],
    part: QueryStrategy,
    share: int,
    *,
    context: QueryContext,
) -> NDArray[np.intp]:
    """Let one part choose `share` more among what is left."""
    if share <= 0:
        return chosen
    if len(chosen) == 0:
        return part.query(context, share).indices.astype(np.intp)
    rest = complement(chosen, len(context.ids))
    picked = part.query(context.after(chosen), share).indices
    return np.concatenate([chosen, rest[picked]])


def _parse_part(text: str, make: Make) -> tuple[QueryStrategy, float, str]:
    """Read `weight * pipeline`; the weight is 1 unless given, and comes as it was written, too."""
    match = _WEIGHTED.fullmatch(text)
    weight = float(match[1]) if match and match[1] else 1.0
    if match is None or weight <= 0:
        msg = f"{text.strip()!r} must carry a weight above 0."
        raise InvalidInput(msg)
    stages = [_parse_stage(stage, make) for stage in split_outside(match[2], ">")]
    *filters, (last, factor) = stages
    if factor is not None:
        msg = f"In {text.strip()!r} the last stage chooses the batch itself; remove its @."
        raise InvalidInput(msg)
    written = f"{match[1]}*" if match[1] else ""
    if not filters:
        return last, weight, written
    named = [f"{stage.name}@{kept:g}" if kept else stage.name for stage, kept in filters]
    narrowing = tuple((stage, kept or _DEFAULT_FACTOR) for stage, kept in filters)
    return _Pipeline(" > ".join([*named, last.name]), narrowing, last), weight, written


def _parse_stage(text: str, make: Make) -> tuple[QueryStrategy, float | None]:
    """Read `name` or `name@factor`, where the name may carry parameters."""
    match = _STAGE.fullmatch(text)
    factor = float(match[2]) if match and match[2] else None
    if match is None or (factor is not None and factor < 1):
        msg = (
            f"{text.strip()!r} is not a strategy. Write a name, one with parameters like "
            "'contrastive(neighbours=5)', a mixture like '0.7*margin + 0.3*k_center', or a "
            "pipeline like 'margin@10 > k_center'."
        )
        raise InvalidInput(msg)
    return make(*read_call(match[1])), factor
