"""Predictions beside what is known to be right: confusion and reliability."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from querist.memory.records import Annotation, ExampleId, Split

if TYPE_CHECKING:
    from querist.graph.workplace.context import Context

_BINS = 5
_LANGUAGE_MODEL = "the language model"


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
        return "llm" if self.who == _LANGUAGE_MODEL else "model"

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
        total = sum(bin_.count for bin_ in self.bins)
        if not total:
            return None
        return sum(bin_.count * abs(bin_.confidence - bin_.accuracy) for bin_ in self.bins) / total


def on_test(context: Context) -> Judged | None:
    """Compare the trained model with the test set's labels, if there are both."""
    from querist.graph.round.model_files import current_model

    answers = context.answers
    model = current_model(context.files)
    examples = context.view.known(Split.TEST)
    if model is None or not examples:
        return None
    # The loop embedded these texts when it evaluated, so they come out of the cache.
    probabilities = model.predict_proba(context.view.embed(examples))
    pairs = [
        (answers.place(example.gold), int(row.argmax()), float(row.max()))
        for example, row in zip(examples, probabilities, strict=True)
    ]
    return _judged("the trained model", "the test set", answers.names, pairs)


def on_people(context: Context) -> Judged | None:
    """Compare the language model's last answers with people's labels, where there are both."""
    answers = context.answers
    truth = {
        label.example: answers.place(label.answer)
        for label in context.labelling.labels()
        if label.source == "human" and answers.place(label.answer) >= 0
    }
    said: dict[ExampleId, Annotation] = {}
    for annotation in context.labelling.annotations(list(truth)):
        if annotation.who.startswith("llm:") and answers.place(annotation.answer) >= 0:
            said[annotation.example] = annotation  # the newest comes last
    pairs = [
        (truth[example], answers.place(prediction.answer), prediction.confidence or 0.0)
        for example, prediction in said.items()
    ]
    return _judged(_LANGUAGE_MODEL, "people's labels", answers.names, pairs) if pairs else None


def _judged(
    who: str, against: str, names: Sequence[str], pairs: Sequence[tuple[int, int, float]]
) -> Judged:
    matrix = [[0] * len(names) for _ in names]
    for right, predicted, _ in pairs:
        matrix[right][predicted] += 1
    return Judged(who, against, names, matrix, _bins(pairs))


def _bins(pairs: Sequence[tuple[int, int, float]]) -> list[Bin]:
    found = []
    for i in range(_BINS):
        low, high = i / _BINS, (i + 1) / _BINS
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
