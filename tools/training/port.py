"""The port of training: what makes the model that people take home of a run's labels.

The loop steers by an instrument of its own (`proxy`): a linear head that trains in well under a
second and tells what it does not know. What people take home is the *target*, made by a `Trainer`
that the task file names (`training.target`). A trainer may take minutes, read raw texts and leave
a folder of files; a process that knows nothing of the run must be able to use that folder.

    @trainer("majority", summary="Always the most frequent class.")
    class Majority:
        name, needs, is_quick = "majority", frozenset[Need](), True

        def fit(self, rows: TrainingRows, /) -> Predictor: ...
        def load(self, folder: Path, /) -> Predictor: ...

A plug-in names it under the entry point group `querist.trainer`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from querist.memory.errors import InvalidInput
from querist.tools.compute.arrays import FloatArray, IntArray
from querist.tools.registry import Declaration, Registry

__all__ = [
    "TRAINERS",
    "Inputs",
    "Need",
    "Predictor",
    "Trainer",
    "TrainingRows",
    "Watch",
    "trainer",
]

_GROUP = "querist.trainer"

Need = Literal["vectors", "texts"]
"""What of an example a trainer reads: its frozen embedding, or the text itself."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Inputs:
    """N examples as a model reads them; only what the trainer needs is there."""

    vectors: FloatArray | None = None
    """(N, d)."""
    texts: Sequence[str] | None = None

    def __len__(self) -> int:
        """Count the examples."""
        known = self.texts if self.vectors is None else self.vectors
        return 0 if known is None else len(known)

    def need_vectors(self) -> FloatArray:
        """Give the vectors; raises `InvalidInput` where the trainer did not say it needs them."""
        if self.vectors is None:
            raise InvalidInput("This trainer reads vectors, and does not list them in its needs.")
        return self.vectors

    def need_texts(self) -> Sequence[str]:
        """Give the texts; raises `InvalidInput` where the trainer did not say it needs them."""
        if self.texts is None:
            raise InvalidInput("This trainer reads texts, and does not list them in its needs.")
        return self.texts


@dataclass(frozen=True, slots=True)
class Watch:
    """How a long training is followed, and where it may keep what it has done so far."""

    tell: Callable[[str], None] = lambda _: None
    """Gets a sentence now and then; may be called from any thread."""
    folder: Path | None = None
    """Kept over a kill, and deleted when the model is delivered."""
    minutes: float = 10.0
    """How long it may take."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class TrainingRows:
    """What there is to learn from: N labelled examples.

    Raises `InvalidInput` where shapes do not fit, or nothing has any weight.
    """

    inputs: Inputs
    targets: FloatArray
    """(N, C), each row a distribution over `classes`: a label may carry its doubt."""
    weights: FloatArray
    """(N,), not negative: 1 is one trusted label, 0 counts for nothing."""
    classes: tuple[str, ...]
    seed: int = 0
    judges: IntArray | None = None
    """Positions of the rows whose answers people gave: what may judge a model. None: all."""
    tuned_on: IntArray | None = None
    """Positions of the rows that an encoder is tuned on, where not all of them suit it. None: all.

    What a machine said counts together with a linear head's opinion: worth something to such a
    head, and below what a tuned encoder knows by itself.
    """
    watch: Watch = Watch()

    def __post_init__(self) -> None:
        """Check what every trainer may then take for granted."""
        rows, width = self.targets.shape if self.targets.ndim == 2 else (-1, -1)
        lengths = [
            len(known) for known in (self.inputs.vectors, self.inputs.texts) if known is not None
        ]
        if width != len(self.classes) or any(count != rows for count in lengths):
            raise InvalidInput(
                f"Training rows do not fit together: targets {self.targets.shape}, "
                f"{len(self.classes)} classes, inputs of {lengths} rows."
            )
        # The sum is asked so that a NaN, which is in no order with 0, is refused, too.
        if self.weights.shape != (rows,) or self.weights.min() < 0 or not self.weights.sum() > 0:
            raise InvalidInput(f"Training needs {rows} weights, none negative and not all 0.")
        if not np.allclose(self.targets.sum(axis=1), 1, atol=1e-3) or self.targets.min() < 0:
            raise InvalidInput(
                "Each row of the targets must be a probability distribution over the classes."
            )

    def drop_weightless(self) -> TrainingRows:
        """Leave out the rows without weight, so that they have no say in folds and shuffles."""
        kept = np.flatnonzero(self.weights > 0)
        vectors, texts = self.inputs.vectors, self.inputs.texts
        inputs = Inputs(
            vectors=None if vectors is None else vectors[kept],
            texts=None if texts is None else [texts[int(row)] for row in kept],
        )
        return replace(
            self,
            inputs=inputs,
            targets=self.targets[kept],
            weights=self.weights[kept],
            judges=None if self.judges is None else np.flatnonzero(np.isin(kept, self.judges)),
            tuned_on=None
            if self.tuned_on is None
            else np.flatnonzero(np.isin(kept, self.tuned_on)),
        )


class Predictor(Protocol):
    """A trained model.

    One that has more to say may have a `title` (what people call it) and `notes` (sentences for the
    model card and the screen).
    """

    def predict_proba(self, inputs: Inputs, /) -> FloatArray:
        """Give the chances of the classes (M, C), rows summing to 1."""

    def save(self, folder: Path, /) -> None:
        """Write files into an empty folder that is there; `Trainer.load` reads them."""


class Trainer(Protocol):
    """Learns a model of labels, and reads one that it has saved."""

    @property
    def name(self) -> str:
        """What task files and model folders call it."""

    @property
    def needs(self) -> frozenset[Need]:
        """What its inputs must hold, in training and in prediction."""

    @property
    def is_quick(self) -> bool:
        """Tell whether training takes seconds: then each round delivers a model, else the end."""

    def fit(self, rows: TrainingRows, /) -> Predictor:
        """Train from scratch; the same rows and seed give the same model on one machine."""

    def load(self, folder: Path, /) -> Predictor:
        """Read what `save` wrote; raises `InvalidInput` for anything else. Never unpickles."""


trainer = Declaration[Trainer](_GROUP)
"""Declare what makes a trainer."""

TRAINERS = Registry[Trainer](
    "trainer",
    group=_GROUP,
    modules=("querist.tools.training.heads", "querist.tools.training.fine_tuned"),
)
"""The trainers there are."""
