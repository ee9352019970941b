"""The port of selection: what a strategy is shown, and what it must hand back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Protocol, cast, overload

import numpy as np

from querist.memory.errors import InvalidInput
from querist.memory.records import Example, ExampleId
from querist.tools.compute.arrays import FloatArray, IntArray
from querist.tools.engines.unit_mixtures import Units
from querist.tools.training.proxy import GradientFactors


class Capability(StrEnum):
    """What a strategy may need to be shown; it says so before anything is computed."""

    EMBEDDINGS = "embeddings"
    PROBS = "probs"
    UNITS = "units"
    POSTERIOR = "posterior"
    GRADIENTS = "gradients"
    TEXTS = "texts"
    LLM = "llm"
    TARGETS = "targets"
    TARGET_POSTERIOR = "target_posterior"


UNKNOWN = -1
"""The class of an example that was chosen a moment ago and has no label yet."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Labelled:
    """What is labelled already: L examples, in the order they were labelled."""

    embeddings: FloatArray
    """(L, d)."""
    classes: IntArray
    """(L,), class numbers or `UNKNOWN`."""
    probabilities: FloatArray | None = None
    """(L, C), what the current model says of them."""
    units: Units | None = None
    """What it says of their units."""
    ids: tuple[ExampleId, ...] = ()


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Targets:
    """Inputs that the model will be used on: M examples. Their labels are out of reach."""

    embeddings: FloatArray
    """(M, d)."""
    examples: tuple[Example, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class RowsOf:
    """A source that takes some rows of what another gives, and copies none before it is asked."""

    whole: Callable[[], object]
    rows: IntArray

    def __call__(self) -> object:
        """Copy the rows."""
        known = self.whole()
        if isinstance(known, GradientFactors):
            return GradientFactors(known.errors[self.rows], known.features[self.rows])
        if isinstance(known, Units):
            return known[self.rows]
        return cast("FloatArray", known)[self.rows]

    def narrow(self, rows: IntArray) -> RowsOf:
        """Take only `rows` of these rows."""
        return RowsOf(self.whole, self.rows[rows])


@dataclass(frozen=True, slots=True, eq=False)
class NamesOf(Sequence[ExampleId]):
    """Some of the names, none of which is copied: a pool has 100,000, a strategy wants few."""

    names: Sequence[ExampleId]
    rows: IntArray

    @classmethod
    def narrow(cls, names: Sequence[ExampleId], rows: IntArray) -> NamesOf:
        """Take only `rows` of names; rows of rows are numbered through."""
        return cls(names.names, names.rows[rows]) if isinstance(names, cls) else cls(names, rows)

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, place: int, /) -> ExampleId: ...
    @overload
    def __getitem__(self, place: slice, /) -> NamesOf: ...
    def __getitem__(self, place: int | slice, /) -> ExampleId | NamesOf:
        if isinstance(place, slice):
            return NamesOf(self.names, self.rows[place])
        return self.names[int(self.rows[place])]

    def __iter__(self) -> Iterator[ExampleId]:
        return map(self.names.__getitem__, self.rows.tolist())


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class QueryContext:
    """N candidates, and what is known about them.

    `sources` computes what is known on first use; each is called once at most. They return what
    the method of the same name documents, rows in the order of `ids`.
    """

    ids: Sequence[ExampleId]
    rng: np.random.Generator
    round: int = 0
    rounds: int | None = None
    """How many rounds the run has at most, the first one (0) among them; None if nobody knows."""
    sources: Mapping[Capability, Callable[[], object]] = field(default_factory=dict)
    labelled_so_far: Callable[[], Labelled] | None = None
    state: MutableMapping[str, FloatArray] = field(default_factory=dict)
    """Arrays that a strategy keeps from round to round, under keys that start with its name."""
    _known: dict[str, object] = field(default_factory=dict, repr=False)

    def embeddings(self, rows: IntArray | None = None) -> FloatArray:
        """Vectors of the candidates, or of those at `rows`: (N, d). Of few rows few are copied."""
        kind = Capability.EMBEDDINGS
        if rows is None:
            return cast("FloatArray", self._provide(kind))
        return cast("FloatArray", self._part(kind, rows)())

    def probabilities(self) -> FloatArray:
        """Class probabilities of the candidates: (N, C), rows sum to 1."""
        return cast("FloatArray", self._provide(Capability.PROBS))

    def units(self) -> Units:
        """What the model says of the units of each candidate: tokens of a text, say."""
        return cast("Units", self._provide(Capability.UNITS))

    def posterior(self) -> FloatArray:
        """Probabilities under K models, the same model k for every candidate: (N, K, C)."""
        return cast("FloatArray", self._provide(Capability.POSTERIOR))

    def gradients(self) -> GradientFactors:
        """Last-layer gradients of the candidates, as factors."""
        return cast("GradientFactors", self._provide(Capability.GRADIENTS))

    def examples(self, rows: IntArray) -> tuple[Example, ...]:
        """Read the candidates at these positions; texts are read only when asked for."""
        fetch = cast(
            "Callable[[Sequence[ExampleId]], Sequence[Example]]", self._provide(Capability.TEXTS)
        )
        return tuple(fetch([self.ids[row] for row in rows]))

    def language_model(self) -> object:
        """The language model's facade; what it can do is defined where it is used."""
        return self._provide(Capability.LLM)

    def targets(self) -> Targets:
        """What the model will be used on."""
        return cast("Targets", self._provide(Capability.TARGETS))

    def target_posterior(self) -> FloatArray:
        """Probabilities of the targets under the posterior's own K models: (M, K, C)."""
        return cast("FloatArray", self._provide(Capability.TARGET_POSTERIOR))

    def labelled(self) -> Labelled:
        """What is labelled already; L may be 0."""
        if "labelled" not in self._known:
            if self.labelled_so_far is not None:
                self._known["labelled"] = self.labelled_so_far()
            else:
                has_vectors = Capability.EMBEDDINGS in self.sources
                width = self.embeddings().shape[1] if has_vectors else 0
                self._known["labelled"] = Labelled(
                    embeddings=np.empty((0, width), dtype=np.float32),
                    classes=np.empty(0, dtype=np.intp),
                )
        return cast("Labelled", self._known["labelled"])

    def narrow(self, rows: IntArray) -> QueryContext:
        """Show only these candidates."""
        per_candidate = {
            kind: source if kind in _SHARED else self._part(kind, rows)
            for kind, source in self.sources.items()
        }
        return replace(
            self,
            ids=NamesOf.narrow(self.ids, rows),
            sources=per_candidate,
            labelled_so_far=self.labelled,
            _known={},
        )

    def after(self, picked: IntArray) -> QueryContext:
        """Show the candidates that are left once `picked` count as labelled."""
        rest = complement(picked, len(self.ids))

        def labelled() -> Labelled:
            return self._with(picked)

        return replace(self.narrow(rest), labelled_so_far=labelled, _known={})

    def result(
        self, indices: IntArray, *, scores: FloatArray | None = None, **diagnostics: Any
    ) -> QueryResult:
        """Name the candidates at `indices`; `scores` are theirs, in the same order."""
        ids = tuple(self.ids[row] for row in indices)
        return QueryResult(ids=ids, indices=indices, scores=scores, diagnostics=diagnostics)

    def _with(self, picked: IntArray) -> Labelled:
        """Count candidates as labelled, with their classes unknown."""
        known = self.labelled()
        fresh: dict[str, Any] = {}
        if Capability.EMBEDDINGS in self.sources:
            fresh["embeddings"] = np.concatenate([known.embeddings, self.embeddings(picked)])
        # Only where the labelled have some: rows and probabilities must stay of one length.
        if Capability.PROBS in self.sources and known.probabilities is not None:
            told = self.probabilities()[picked]
            fresh["probabilities"] = np.concatenate([known.probabilities, told])
        if Capability.UNITS in self.sources:
            more = self.units()[picked]
            fresh["units"] = more if known.units is None else known.units.then(more)
        # Nobody has answered yet, and a guess would look like a label to what counts classes.
        classes = np.concatenate([known.classes, np.full(len(picked), UNKNOWN)])
        ids = (*known.ids, *(self.ids[row] for row in picked))
        return replace(known, classes=classes, ids=ids, **fresh)

    def _part(self, kind: Capability, rows: IntArray) -> RowsOf:
        """Take rows of one kind, without copying all of them first where that can be helped."""
        source = self.sources.get(kind)
        # Rows of rows are numbered through: however many stages narrow the pool, one copy is made.
        if isinstance(source, RowsOf) and kind not in self._known:
            return source.narrow(rows)
        return RowsOf(lambda: self._provide(kind), rows)

    def _provide(self, kind: Capability) -> object:
        if kind not in self._known:
            if kind not in self.sources:
                msg = f"This pool comes without {kind}; choose a strategy that does not need them."
                raise InvalidInput(msg)
            self._known[kind] = self.sources[kind]()
        return self._known[kind]


# Not one row for each candidate (texts are fetched by id), so narrowing leaves them whole.
_SHARED = {
    Capability.TEXTS,
    Capability.LLM,
    Capability.TARGETS,
    Capability.TARGET_POSTERIOR,
}


def complement(picked: IntArray, count: int) -> IntArray:
    """Give the positions below `count` that are not picked, in order."""
    is_left = np.ones(count, dtype=bool)
    is_left[picked] = False
    return np.flatnonzero(is_left)


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
