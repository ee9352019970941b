"""The contract of `Trainer`."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from querist.memory.errors import InvalidInput
from querist.tools.compute.arrays import FloatArray
from querist.tools.embedding.embedders import HashingEmbedder
from querist.tools.training.port import Inputs, Predictor, Trainer, TrainingRows

_CLASSES = ("repair", "billing", "garden")
WORDS = (
    ("heating", "broken", "leak", "door", "lock", "window"),
    ("invoice", "charge", "payment", "refund", "bill", "price"),
    ("rose", "lawn", "tree", "hedge", "flower", "bench"),
)
_PICKLES = {".pkl", ".pickle", ".joblib", ".pt", ".pth", ".bin"}
_SAME = 1e-3
"""Chances that differ by less are taken to be the same."""


def check_trainer(trainer: Trainer) -> None:
    """Check what every trainer promises: six small fits.

    Its model gives distributions over the classes, one row at a time as well as together; it
    learns; the same rows and seed give the same model; weights count, and rows without weight do
    not; a class without examples costs nothing; and what it saves is read again, without pickles.
    """
    assert trainer.name, "A trainer has a name."
    assert set(trainer.needs) <= {"vectors", "texts"}, "A trainer needs vectors, texts, or both."
    rows = _rows(trainer, range(60))
    held = _inputs(trainer, range(60, 90))
    model = trainer.fit(rows)
    chances = _valid_chances(model, held)
    truth = np.arange(60, 90) % 3
    accuracy = float((chances.argmax(axis=1) == truth).mean())
    assert accuracy > 0.5, f"{trainer.name} is right on {accuracy:.0%} of an easy task of three."
    _same(chances, trainer.fit(rows), held, "The same rows and seed must give the same model.")
    _check_weights(trainer, rows, held, chances)
    _check_unseen_class(trainer, held)
    _check_files(trainer, model, held, chances)


def _valid_chances(model: Predictor, held: Inputs) -> FloatArray:
    chances = model.predict_proba(held)
    assert chances.shape == (30, 3), f"30 rows of 3 classes came as {chances.shape}."
    assert np.isfinite(chances).all(), "Chances must be numbers."
    assert chances.min() >= 0, "No chance is negative."
    assert np.allclose(chances.sum(axis=1), 1, atol=1e-4), "The chances of a row sum to 1."
    assert model.predict_proba(_take(held, [])).shape == (0, 3), "No rows give no rows."
    alone = np.concatenate([model.predict_proba(_take(held, [row])) for row in range(5)])
    assert np.allclose(alone, chances[:5], atol=_SAME), (
        "What is said of a row must not depend on the others beside it."
    )
    return chances


def _check_weights(trainer: Trainer, rows: TrainingRows, held: Inputs, chances: FloatArray) -> None:
    padded = _rows(trainer, [*range(60), *range(60)], wrong=60, weight=0.0)
    words = "Rows without weight must change nothing: leave them out before anything else."
    _same(chances, trainer.fit(padded), held, words)
    # Every text is there twice, rightly labelled and wrongly; the heavier label must win.
    torn = _rows(trainer, [*range(60), *range(60)], wrong=60, weight=0.05)
    said = trainer.fit(torn).predict_proba(rows.inputs).argmax(axis=1)
    agreed = float((said == rows.targets.argmax(axis=1)).mean())
    assert agreed > 0.6, f"Of two labels of a text the heavier one won on {agreed:.0%} only."


def _check_unseen_class(trainer: Trainer, held: Inputs) -> None:
    known = [row for row in range(60) if row % 3 < 2]
    chances = trainer.fit(_rows(trainer, known)).predict_proba(held)
    assert chances.shape == (30, 3), "A class without examples keeps its column."
    assert np.allclose(chances.sum(axis=1), 1, atol=1e-4), "The chances of a row sum to 1."


def _check_files(trainer: Trainer, model: Predictor, held: Inputs, chances: FloatArray) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        model.save(folder)
        files = [path for path in folder.rglob("*") if path.is_file()]
        assert files, "A model that is saved leaves files."
        pickled = [path.name for path in files if path.suffix in _PICKLES]
        assert not pickled, f"{pickled} may run code when they are read; save arrays or JSON."
        _same(chances, trainer.load(folder), held, "A model that is read again is the same.")
        for path in files:
            path.unlink()
        try:
            trainer.load(folder)
        except InvalidInput:
            return
        raise AssertionError("A folder without the saved files must raise InvalidInput.")


def _same(chances: FloatArray, model: Predictor, held: Inputs, words: str) -> None:
    apart = float(np.abs(model.predict_proba(held) - chances).max())
    assert apart < _SAME, f"{words} Chances differ by up to {apart:.3f}."


def _rows(
    trainer: Trainer, numbers: range | list[int], *, wrong: int | None = None, weight: float = 1.0
) -> TrainingRows:
    """Label texts by their number; from place `wrong` on with the next class and this weight."""
    classes = np.array(numbers) % 3
    weights = np.ones(len(classes))
    if wrong is not None:
        classes[wrong:] = (classes[wrong:] + 1) % 3
        weights[wrong:] = weight
    targets = np.full((len(classes), 3), 0.02)
    targets[np.arange(len(classes)), classes] = 0.96
    return TrainingRows(
        inputs=_inputs(trainer, numbers),
        targets=targets,
        weights=weights,
        classes=_CLASSES,
        seed=7,
    )


def _inputs(trainer: Trainer, numbers: range | list[int]) -> Inputs:
    texts = [_text(number) for number in numbers]
    return Inputs(
        vectors=HashingEmbedder().embed(texts) if "vectors" in trainer.needs else None,
        texts=texts if "texts" in trainer.needs else None,
    )


def _text(number: int) -> str:
    words = WORDS[number % 3]
    first, second = words[number // 3 % 6], words[number // 18 % 6]
    return f"It is about the {first} and the {second}, case {number}."


def _take(inputs: Inputs, rows: list[int]) -> Inputs:
    return Inputs(
        vectors=None if inputs.vectors is None else inputs.vectors[np.array(rows, dtype=np.intp)],
        texts=None if inputs.texts is None else [inputs.texts[row] for row in rows],
    )
