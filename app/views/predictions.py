"""Predictions beside what is known to be right: confusion and reliability."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from querist.memory.embeddings import EmbeddingCache
from querist.memory.records import Annotation, Choice, ExampleId, Split
from querist.tools.embedding.embedders import embed_all

if TYPE_CHECKING:
    from querist.graph.workplace.context import Context

BINS = 5
LANGUAGE_MODEL = "the language model"


@dataclass(frozen=True, slots=True)
class Bin:
    """Predictions of like confidence: a reliable model is right as often as it is sure."""

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Judged:
    """Who was compared with what, on how many examples."""

    who: str
    against: str
    names: Sequence[str]
    matrix: Sequence[Sequence[int]]
    """Row: what is right; column: what was predicted."""
    bins: Sequence[Bin]

    @property
    def source(self) -> str:
        """Whose predictions they are, as labels name their source."""
        return "llm" if self.who == LANGUAGE_MODEL else "model"

    @property
    def count(self) -> int:
        """How many examples were compared."""
        return sum(map(sum, self.matrix))

    @property
    def accuracy(self) -> float:
        """The share that was right."""
        return sum(row[i] for i, row in enumerate(self.matrix)) / max(1, self.count)

    @property
    def calibration_error(self) -> float | None:
        """Mean gap between confidence and accuracy, weighted by examples (Naeini et al., 2015)."""
        total = sum(one.count for one in self.bins)
        if not total:
            return None
        return sum(one.count * abs(one.confidence - one.accuracy) for one in self.bins) / total


def on_test(context: Context) -> Judged | None:
    """Compare the trained model with the test set's labels, if there are both."""
    from querist.graph.round.model_files import current_model

    names = context.task.names
    model = current_model(context)
    examples = [one for one in context.pool.all(Split.TEST) if one.gold in names]
    if model is None or not examples:
        return None
    # The loop embedded these texts when it evaluated, so they come out of the cache.
    cache = EmbeddingCache(context.store.folder / "embeddings")
    vectors = embed_all([one.text for one in examples], embedder=context.embedder, cache=cache)
    probabilities = model.predict_proba(vectors)
    pairs = [
        (names.index(one.gold or ""), int(row.argmax()), float(row.max()))
        for one, row in zip(examples, probabilities, strict=True)
    ]
    return _judged("the trained model", "the test set", names, pairs)


def on_people(context: Context) -> Judged | None:
    """Compare the language model's last answers with people's labels, where there are both."""
    names = context.task.names
    truth = {
        one.example: names.index(one.answer.value)
        for one in context.labelling.labels()
        if one.source == "human" and isinstance(one.answer, Choice) and one.answer.value in names
    }
    said: dict[ExampleId, Annotation] = {}
    for one in context.labelling.annotations(list(truth)):
        if one.who.startswith("llm:") and isinstance(one.answer, Choice):
            said[one.example] = one  # the newest comes last
    pairs = [
        (truth[example], names.index(one.answer.value), one.confidence or 0.0)
        for example, one in said.items()
        if isinstance(one.answer, Choice) and one.answer.value in names
    ]
    return _judged(LANGUAGE_MODEL, "people's labels", names, pairs) if pairs else None


def _judged(
    who: str, against: str, names: Sequence[str], pairs: Sequence[tuple[int, int, float]]
) -> Judged:
    matrix = [[0] * len(names) for _ in names]
    for right, predicted, _ in pairs:
        matrix[right][predicted] += 1
    return Judged(who, against, names, matrix, _bins(pairs))


def _bins(pairs: Sequence[tuple[int, int, float]]) -> list[Bin]:
    found = []
    for i in range(BINS):
        low, high = i / BINS, (i + 1) / BINS
        inside = [p for p in pairs if low < p[2] <= high]
        if inside:
            found.append(
                Bin(
                    low,
                    high,
                    len(inside),
                    confidence=sum(p[2] for p in inside) / len(inside),
                    accuracy=sum(p[0] == p[1] for p in inside) / len(inside),
                )
            )
    return found
