"""Trainers of small heads on frozen embeddings: they take less than a second."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from querist.memory.errors import InvalidInput
from querist.memory.files import pack, unpack, write_whole
from querist.tools.compute.arrays import FloatArray, log_softmax, unit_rows
from querist.tools.registry import Positive
from querist.tools.training.port import Inputs, Need, TrainingRows, trainer
from querist.tools.training.proxy import LinearHead, LinearModel

_HEAD = "head.npz"
_VECTORS: frozenset[Need] = frozenset({"vectors"})


@dataclass(frozen=True, slots=True, eq=False)
class LinearPredictor:
    """A linear head as people take it home."""

    model: LinearModel

    def predict_proba(self, inputs: Inputs, /) -> FloatArray:
        """Give calibrated chances (M, C)."""
        return self.model.predict_proba(inputs.need_vectors())

    def save(self, folder: Path, /) -> None:
        """Write one file of arrays."""
        write_whole(folder / _HEAD, pack(self.model.arrays()))


@dataclass(frozen=True, slots=True)
class LinearTrainer:
    """Multinomial logistic regression; see `proxy.LinearHead`."""

    strength: float | None = None
    name: str = "linear"
    needs: frozenset[Need] = _VECTORS
    is_quick: bool = True

    def fit(self, rows: TrainingRows, /) -> LinearPredictor:
        """Choose the penalty and the temperature by held-out rows, where there are enough."""
        head, rows = LinearHead(self.strength), rows.drop_weightless()
        vectors = rows.inputs.need_vectors()
        return LinearPredictor(
            head.fit(vectors, rows.targets, weights=rows.weights, seed=rows.seed)
        )

    def load(self, folder: Path, /) -> LinearPredictor:
        """Read the file of arrays."""
        return LinearPredictor(LinearModel.of(_read_head(folder)))


@trainer(
    "linear",
    summary="Logistic regression on frozen embeddings: the head that the loop steers by.",
    cost="under a second",
    needs=_VECTORS,
    explanation="""
    Its probabilities are calibrated on labels that it did not see. `strength` is the L2 penalty;
    without it held-out rows choose.
    """,
)
def linear(*, strength: Positive | None = None) -> LinearTrainer:
    """Make the trainer."""
    return LinearTrainer(strength)


@dataclass(frozen=True, slots=True, eq=False)
class CentroidPredictor:
    """Classes as the mean directions of their examples (C, d); one never seen is all zeros."""

    centroids: FloatArray
    sharpness: float

    def predict_proba(self, inputs: Inputs, /) -> FloatArray:
        """Give the softmax of the scaled cosines to the classes: (M, C)."""
        cosines = unit_rows(inputs.need_vectors()) @ unit_rows(self.centroids).T
        return np.exp(log_softmax(self.sharpness * cosines.astype(np.float64)))

    def save(self, folder: Path, /) -> None:
        """Write one file of arrays."""
        arrays = {"centroids": self.centroids, "sharpness": np.array(self.sharpness)}
        write_whole(folder / _HEAD, pack(arrays))


@dataclass(frozen=True, slots=True)
class CentroidTrainer:
    """Averages the examples of each class."""

    sharpness: float = 10.0
    name: str = "nearest_centroid"
    needs: frozenset[Need] = _VECTORS
    is_quick: bool = True

    def fit(self, rows: TrainingRows, /) -> CentroidPredictor:
        """Average directions by weight and target."""
        shares = rows.targets * rows.weights[:, None]
        sums = shares.T @ unit_rows(rows.inputs.need_vectors())
        # A class without rows stays zero: its cosine to everything is 0, neither near nor far.
        means = sums / np.maximum(shares.sum(axis=0), 1e-12)[:, None]
        return CentroidPredictor(means.astype(np.float32), self.sharpness)

    def load(self, folder: Path, /) -> CentroidPredictor:
        """Read the file of arrays."""
        arrays = _read_head(folder)
        try:
            return CentroidPredictor(arrays["centroids"], float(arrays["sharpness"]))
        except (KeyError, TypeError, ValueError) as error:
            raise _damaged(folder, error) from error


@trainer(
    "nearest_centroid",
    summary="The class whose mean embedding is nearest.",
    cost="milliseconds",
    citation="Snell et al. 2017",
    needs=_VECTORS,
    explanation="""
    Hard to fool with a handful of labels a class, and behind `linear` soon after. Its
    probabilities are not calibrated; `sharpness` says how fast they rise with the cosine.
    """,
)
def nearest_centroid(*, sharpness: Positive = 10.0) -> CentroidTrainer:
    """Make the trainer."""
    return CentroidTrainer(sharpness)


def _read_head(folder: Path) -> Mapping[str, FloatArray]:
    try:
        return unpack((folder / _HEAD).read_bytes())
    except (OSError, ValueError) as error:
        raise _damaged(folder, error) from error


def _damaged(folder: Path, error: Exception) -> InvalidInput:
    return InvalidInput(f"{folder / _HEAD} is not a saved head ({error}); train it again.")
