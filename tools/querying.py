"""The port of selection: what a strategy is shown, and what it must hand back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Protocol, cast

import numpy as np

from querist.memory.errors import InvalidInput
from querist.memory.records import ExampleId
from querist.tools.arrays import FloatArray, IntArray
from querist.tools.training import GradientFactors


class Capability(StrEnum):
    """What a strategy may need to be shown; it says so before anything is computed."""

    EMBEDDINGS = "embeddings"
    PROBS = "probs"
    POSTERIOR = "posterior"
    GRADIENTS = "gradients"
    LLM = "llm"
    TARGETS = "targets"


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class QueryContext:
    """N candidates, and what is known about them.

    `sources` computes what is known on first use; each is called once at most. They return what
    the method of the same name documents, rows in the order of `ids`.
    """

    ids: Sequence[ExampleId]
    rng: np.random.Generator
    round: int = 0
    sources: Mapping[Capability, Callable[[], object]] = field(default_factory=dict)
    labelled: Callable[[], FloatArray] | None = None
    """Embeddings (L, d) of what is labelled already."""
    _known: dict[str, object] = field(default_factory=dict, repr=False)

    def embeddings(self) -> FloatArray:
        """Vectors of the candidates: (N, d)."""
        return cast("FloatArray", self._provide(Capability.EMBEDDINGS))

    def probabilities(self) -> FloatArray:
        """Class probabilities of the candidates: (N, C), rows sum to 1."""
        return cast("FloatArray", self._provide(Capability.PROBS))

    def posterior(self) -> FloatArray:
        """Probabilities under K models, the same model k for every candidate: (N, K, C)."""
        return cast("FloatArray", self._provide(Capability.POSTERIOR))

    def gradients(self) -> GradientFactors:
        """Last-layer gradients of the candidates, as factors."""
        return cast("GradientFactors", self._provide(Capability.GRADIENTS))

    def targets(self) -> FloatArray:
        """Vectors of what the model will be used on: (M, d)."""
        return cast("FloatArray", self._provide(Capability.TARGETS))

    def labelled_embeddings(self) -> FloatArray:
        """Vectors of what is labelled already: (L, d), L may be 0."""
        if "labelled" not in self._known:
            empty = np.empty((0, self.embeddings().shape[1]), dtype=np.float32)
            self._known["labelled"] = empty if self.labelled is None else self.labelled()
        return cast("FloatArray", self._known["labelled"])

    def narrow(self, rows: IntArray) -> QueryContext:
        """Show only these candidates."""
        per_candidate = {
            kind: source if kind in _SHARED else _Rows(self, kind, rows)
            for kind, source in self.sources.items()
        }
        ids = [self.ids[row] for row in rows]
        return replace(
            self,
            ids=ids,
            sources=per_candidate,
            labelled=self.labelled_embeddings if Capability.EMBEDDINGS in self.sources else None,
            _known={},
        )

    def after(self, picked: IntArray) -> QueryContext:
        """Show the candidates that are left once `picked` count as labelled."""
        rest = np.setdiff1d(np.arange(len(self.ids)), picked)

        def labelled() -> FloatArray:
            return np.concatenate([self.labelled_embeddings(), self.embeddings()[picked]])

        return replace(self.narrow(rest), labelled=labelled, _known={})

    def result(
        self, indices: IntArray, *, scores: FloatArray | None = None, **diagnostics: Any
    ) -> QueryResult:
        """Name the candidates at `indices`; `scores` are theirs, in the same order."""
        ids = tuple(self.ids[row] for row in indices)
        return QueryResult(ids=ids, indices=indices, scores=scores, diagnostics=diagnostics)

    def _provide(self, kind: Capability) -> object:
        if kind not in self._known:
            if kind not in self.sources:
                msg = f"This pool comes without {kind}; choose a strategy that does not need them."
                raise InvalidInput(msg)
            self._known[kind] = self.sources[kind]()
        return self._known[kind]


_SHARED = {Capability.LLM, Capability.TARGETS}


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """Some rows of what a wider context knows, taken when asked for."""

    context: QueryContext
    kind: Capability
    rows: IntArray

    def __call__(self) -> object:
        known = self.context._provide(self.kind)  # noqa: SLF001
        if isinstance(known, GradientFactors):
            return GradientFactors(known.errors[self.rows], known.features[self.rows])
        return cast("FloatArray", known)[self.rows]


@dataclass(frozen=True, slots=True, eq=False)
class QueryResult:
    """What to label next, best first. `indices` are positions among the candidates."""

    ids: tuple[ExampleId, ...]
    indices: IntArray
    scores: FloatArray | None = None
    diagnostics: Mapping[str, Any] = field(default_factory=dict)


class QueryStrategy(Protocol):
    """Choose what to label next."""

    @property
    def name(self) -> str:
        """What it is called in settings and logs."""

    @property
    def requires(self) -> frozenset[Capability]:
        """What the context must know."""

    def query(self, context: QueryContext, count: int, /) -> QueryResult:
        """Return min(count, N) different candidates; nothing random but from `context.rng`."""


def check(strategy: QueryStrategy, context: QueryContext) -> None:
    """Refuse with InvalidInput, before any cost, what the context cannot serve."""
    missing = sorted(strategy.requires - set(context.sources))
    if missing:
        msg = (
            f"The strategy {strategy.name!r} needs {', '.join(missing)}, which this pool comes "
            "without; choose another one (querist strategies)."
        )
        raise InvalidInput(msg)
