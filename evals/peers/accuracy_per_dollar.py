"""What another library makes of the same money: run by path, in an interpreter that has it.

    python accuracy_per_dollar.py ROWS.npz "scikit-activeml margin"

Prints one line of JSON: predictions of the test rows. Knows nothing of Querist. The loops start
from 20 random labels and choose 20 more a round by margin; the C of their logistic head is chosen
among five by cross-validation every time it is fitted. SetFit learns from as many random labels.
"""

from __future__ import annotations

import importlib
import json
import sys
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

_START, _STEP = 20, 20
_STRENGTHS = (0.1, 1.0, 10.0, 100.0, 1000.0)
_PAIRS_A_TEXT = 5
"""A quarter of SetFit's 20, which took ten minutes of one core for 100 labels."""


def main() -> None:
    """Run what the arguments name."""
    warnings.simplefilter("ignore")
    path, name = sys.argv[1:]
    with np.load(path, allow_pickle=False) as file:
        arrays = {key: file[key] for key in file.files}
    made: Mapping[str, Callable[[Any], Any]] = {
        "scikit-activeml margin": _skactiveml,
        "small-text margin": _small_text,
        "SetFit": _setfit,
    }
    print(json.dumps([int(place) for place in made[name](arrays)]))


def _start(arrays: Any) -> tuple[list[int], int, int]:
    labels, seed = int(arrays["labels"]), int(arrays["seed"])
    rng = np.random.default_rng([seed, 1])
    chosen = rng.choice(len(arrays["pool"]), size=min(_START, labels), replace=False)
    return [int(row) for row in chosen], labels, seed


def _regression(rows: Any, truth: Any, seed: int) -> Any:
    """Choose C by how many are right in (at most five) folds."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import KFold, cross_val_score

    if len(np.unique(truth)) < 2:
        return LogisticRegression(max_iter=1000, random_state=seed)
    heads = [LogisticRegression(C=c, max_iter=1000, random_state=seed) for c in _STRENGTHS]
    folds = KFold(5, shuffle=True, random_state=seed)
    scores = [np.nanmean(cross_val_score(head, rows, truth, cv=folds)) for head in heads]
    return heads[int(np.nanargmax(scores))]


def _skactiveml(arrays: Any) -> Any:
    wrapped = importlib.import_module("skactiveml.classifier").SklearnClassifier
    uncertainty = importlib.import_module("skactiveml.pool").UncertaintySampling
    chosen, labels, seed = _start(arrays)
    classes = np.arange(int(arrays["classes"]))
    while True:
        truth = np.full(len(arrays["pool"]), np.nan)
        truth[chosen] = arrays["said"][chosen]
        head = _regression(arrays["pool"][chosen], arrays["said"][chosen], seed)
        model = wrapped(head, classes=classes, random_state=seed).fit(arrays["pool"], truth)
        count = min(_STEP, labels - len(chosen))
        if count <= 0:
            return model.predict(arrays["test"])
        sampling = uncertainty(method="margin_sampling", random_state=seed)
        picks = sampling.query(arrays["pool"], truth, model, fit_clf=False, batch_size=count)
        chosen += [int(pick) for pick in picks]


def _small_text(arrays: Any) -> Any:
    library = importlib.import_module("small_text")
    chosen, labels, seed = _start(arrays)
    classes = int(arrays["classes"])
    rows = library.SklearnDataset(arrays["pool"], arrays["said"], target_labels=np.arange(classes))
    while True:
        known = np.array(chosen)
        head = _regression(arrays["pool"][known], arrays["said"][known], seed)
        count = min(_STEP, labels - len(chosen))
        if count <= 0:
            return head.fit(arrays["pool"][known], arrays["said"][known]).predict(arrays["test"])
        factory = library.SklearnClassifierFactory(head, classes)
        learner = library.PoolBasedActiveLearner(factory, library.BreakingTies(), rows)
        np.random.seed(seed)  # noqa: NPY002
        learner.initialize_data(known, arrays["said"][known])
        chosen += [int(pick) for pick in learner.query(num_samples=count)]


def _setfit(arrays: Any) -> Any:
    import torch

    setfit, datasets = importlib.import_module("setfit"), importlib.import_module("datasets")

    torch.set_num_threads(1)
    seed, labels = int(arrays["seed"]), int(arrays["labels"])
    rng = np.random.default_rng([seed, 1])
    known = rng.choice(len(arrays["said"]), size=labels, replace=False)
    taught = {
        "text": [str(arrays["texts"][row]) for row in known],
        "label": [int(arrays["said"][row]) for row in known],
    }
    model = setfit.SetFitModel.from_pretrained(str(arrays["weights"]))
    settings = setfit.TrainingArguments(
        batch_size=16, num_epochs=1, num_iterations=_PAIRS_A_TEXT, seed=seed, report_to="none",
        show_progress_bar=False, save_strategy="no", max_length=64,
    )  # fmt: skip
    setfit.Trainer(
        model=model, args=settings, train_dataset=datasets.Dataset.from_dict(taught)
    ).train()
    return np.asarray(model.predict([str(text) for text in arrays["test_texts"]]))


if __name__ == "__main__":
    main()
