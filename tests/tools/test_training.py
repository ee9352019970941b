"""The linear head: as accurate as scikit-learn's, better calibrated, safe on poor data."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from querist.memory.errors import InvalidInput
from querist.memory.files import pack, unpack
from querist.tools.compute.arrays import one_hot
from querist.tools.embedding.embedders import MiniLM
from querist.tools.opinions.calibration import expected_calibration_error
from querist.tools.training.proxy import LinearHead, LinearModel, cross_fit, fit_committee

Array = NDArray[np.float32]
DATA = Path(
    os.environ.get("QUERIST_DATA", Path(__file__).resolve().parents[2].parent / "shared" / "data")
)


def blobs(rows: int, *, classes: int = 3, width: int = 8, seed: int = 0) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    labels = np.arange(rows) % classes
    centres = rng.normal(size=(classes, width)) * 2
    inputs = centres[labels] + rng.normal(size=(rows, width))
    return inputs.astype(np.float32), one_hot(labels, classes)


@pytest.mark.parametrize("rows", [100, 300])
def test_accuracy_is_within_noise_of_scikit_learn_on_raw_pixels(rows: int) -> None:
    inputs, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(labels))
    train, test = order[:rows], order[rows:]
    model = LinearHead().fit(inputs[train], one_hot(labels[train], 10))
    peer = LogisticRegression(max_iter=5000).fit(inputs[train], labels[train])
    guesses = model.predict_proba(inputs[test])
    ours = np.mean(guesses.argmax(axis=1) == labels[test])
    assert ours >= peer.score(inputs[test], labels[test]) - 0.01
    assert expected_calibration_error(guesses, labels[test]) < 0.06


def test_a_fixed_penalty_gives_scikit_learns_coefficients() -> None:
    inputs, targets = blobs(3000)
    # Centred inputs of unit mean square norm, so that our scaling is the identity.
    inputs = inputs - inputs.mean(axis=0)
    inputs /= np.sqrt(np.square(inputs).sum(axis=1).mean())
    ours = LinearHead(strength=2.0).fit(inputs, targets)
    peer = LogisticRegression(C=0.5, tol=1e-8, max_iter=5000).fit(inputs, targets.argmax(axis=1))
    np.testing.assert_allclose(ours.coefficients, peer.coef_.T, atol=0.02)


def test_the_same_seed_gives_the_same_model() -> None:
    inputs, targets = blobs(120)
    first, second = (LinearHead().fit(inputs, targets, seed=3) for _ in range(2))
    assert first.strength == second.strength
    np.testing.assert_array_equal(first.coefficients, second.coefficients)


def test_an_integer_weight_counts_like_repeated_rows() -> None:
    inputs, targets = blobs(40)
    weights = np.where(np.arange(40) < 10, 3, 1)
    weighted = LinearHead(strength=1.0).fit(inputs, targets, weights=weights)
    repeated = LinearHead(strength=1.0).fit(
        np.repeat(inputs, weights, axis=0), np.repeat(targets, weights, axis=0)
    )
    np.testing.assert_allclose(weighted.coefficients, repeated.coefficients, atol=2e-3)


def test_rows_without_weight_change_nothing() -> None:
    inputs, targets = blobs(60)
    wild = np.full((20, inputs.shape[1]), 1e3, dtype=np.float32)
    wrong = one_hot(np.zeros(20, dtype=int), 3)
    weights = np.r_[np.ones(60), np.zeros(20)]
    plain = LinearHead(strength=1.0).fit(inputs, targets)
    padded = LinearHead(strength=1.0).fit(
        np.r_[inputs, wild], np.r_[targets, wrong], weights=weights
    )
    np.testing.assert_allclose(plain.coefficients, padded.coefficients, atol=1e-4)


def test_soft_targets_are_learnt_as_probabilities() -> None:
    rng = np.random.default_rng(1)
    inputs = rng.normal(size=(2000, 2)).astype(np.float32)
    chance = 1 / (1 + np.exp(-1.5 * inputs[:, 0]))
    model = LinearHead(strength=0.01).fit(inputs, np.column_stack([1 - chance, chance]))
    np.testing.assert_allclose(model.predict_proba(inputs)[:, 1], chance, atol=0.03)


def test_a_class_without_examples_stays_possible() -> None:
    inputs, targets = blobs(90)
    padded = np.pad(targets, ((0, 0), (0, 2)))
    chances = LinearHead().fit(inputs, padded).predict_proba(inputs)
    assert np.isfinite(chances).all()
    assert (chances[:, 3:] > 0).all()
    assert chances[:, 3:].max() < 0.1


@pytest.mark.parametrize("rows", [1, 5, 50])
def test_one_class_alone_can_be_learnt(rows: int) -> None:
    inputs, _ = blobs(rows)
    model = LinearHead().fit(inputs, one_hot(np.zeros(rows, dtype=int), 2))
    chances = model.predict_proba(inputs)
    assert (chances[:, 0] > 0.5).all()
    assert (chances[:, 1] > 1e-4).all()


def test_identical_inputs_give_the_class_shares() -> None:
    inputs = np.ones((40, 5), dtype=np.float32)
    labels = np.r_[np.zeros(30, dtype=int), np.ones(10, dtype=int)]
    chances = LinearHead(strength=1.0).fit(inputs, one_hot(labels, 2)).predict_proba(inputs[:1])
    np.testing.assert_allclose(chances[0], [0.75, 0.25], atol=0.05)


def test_gradient_factors_give_the_papers_worked_value() -> None:
    logits = np.log(np.array([[0.7, 0.3]]))
    model = LinearModel(np.zeros((2, 2)), logits[0], strength=1.0)
    factors = model.gradients(np.array([[1.0, 2.0]]))
    gradient = np.outer(factors.errors[0], factors.features[0]).ravel()
    np.testing.assert_allclose(gradient, [-0.3, -0.6, 0.3, 0.6], atol=1e-6)
    assert np.linalg.norm(gradient) == pytest.approx(0.94868, abs=1e-5)


def test_a_saved_model_predicts_the_same() -> None:
    inputs, targets = blobs(80)
    model = LinearHead().fit(inputs, targets)
    again = LinearModel.of(unpack(pack(model.arrays())))
    np.testing.assert_array_equal(model.predict_proba(inputs), again.predict_proba(inputs))
    assert again.calibration_error == model.calibration_error


@pytest.mark.parametrize("arrays", [{}, {"settings": np.ones(2)}, {"settings": np.array("x")}])
def test_arrays_that_are_no_model_are_refused(arrays: dict[str, np.ndarray]) -> None:
    with pytest.raises(InvalidInput, match="train it again"):
        LinearModel.of(arrays)


def test_a_committee_disagrees_more_far_from_what_it_saw() -> None:
    inputs, targets = blobs(60, classes=2)
    committee = fit_committee(inputs, targets, members=8, seed=1)
    posterior = committee.posterior(inputs)
    assert posterior.shape == (60, 8, 2)
    np.testing.assert_allclose(posterior.sum(axis=2), 1, atol=1e-5)
    sideways = np.linalg.svd(committee.coefficients[:, :, 0])[2][-1] * 30
    spread = committee.posterior(sideways[None].astype(np.float32))[0, :, 0].std()
    assert spread > posterior[:, :, 0].std(axis=1).mean()


def test_cross_fitting_exposes_labels_that_only_memory_explains() -> None:
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(80, 200)).astype(np.float32)
    targets = one_hot(rng.integers(2, size=80), 2)
    blind = cross_fit(inputs, targets, strength=0.01)
    seen = LinearHead(strength=0.01).fit(inputs, targets).predict_proba(inputs)
    agreement = [float((p.argmax(1) == targets.argmax(1)).mean()) for p in (blind, seen)]
    assert agreement[1] > 0.95
    assert agreement[0] < 0.7


def test_cross_fitting_scores_just_the_rows_asked_for() -> None:
    inputs, targets = blobs(60)
    rows = np.array([50, 3, 3, 17])
    scores = cross_fit(inputs, targets, score_rows=rows, seed=2)
    assert scores.shape == (4, 3)
    np.testing.assert_array_equal(scores[1], scores[2])
    assert cross_fit(inputs, targets, score_rows=np.array([], dtype=int)).shape == (0, 3)
    assert np.isfinite(cross_fit(inputs[:1], targets[:1])).all()


@pytest.mark.parametrize("name", ["trec6", "ag_news"])
def test_accuracy_is_within_noise_of_scikit_learn_on_real_texts(name: str) -> None:
    if not (DATA / name / "train.jsonl.gz").exists():
        pytest.skip(f"needs the {name} data set: set QUERIST_DATA")
    texts, labels = _read(name, "train", 400)
    test_texts, test_labels = _read(name, "test", 250)
    embedder = MiniLM()
    inputs, test_inputs = embedder.embed(texts), embedder.embed(test_texts)
    classes, numbers = np.unique(labels, return_inverse=True)
    gaps, errors = [], []
    for seed in range(6):
        rows = np.random.default_rng(seed).permutation(400)[: 100 if seed % 2 else 350]
        ours = LinearHead().fit(inputs[rows], one_hot(numbers[rows], len(classes)))
        peers = [
            LogisticRegression(C=strength, max_iter=2000).fit(inputs[rows], labels[rows])
            for strength in (1, 10)
        ]
        guesses = ours.predict_proba(test_inputs)
        right = float(np.mean(classes[guesses.argmax(axis=1)] == test_labels))
        gaps.append(right - max(peer.score(test_inputs, test_labels) for peer in peers))
        errors.append(expected_calibration_error(guesses, np.searchsorted(classes, test_labels)))
    assert np.mean(gaps) > -0.02
    assert np.mean(errors) < 0.09


def _read(name: str, split: str, count: int) -> tuple[list[str], NDArray[np.str_]]:
    with gzip.open(DATA / name / f"{split}.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line, _ in zip(file, range(count), strict=False)]
    return [row["text"] for row in rows], np.array([row["label"] for row in rows])


@pytest.mark.parametrize(
    ("inputs", "targets", "weights"),
    [
        (np.ones((3, 2)), np.ones((2, 2)) / 2, None),
        (np.ones((2, 2)), np.ones((2, 2)), None),
        (np.full((2, 2), np.nan), np.ones((2, 2)) / 2, None),
        (np.ones((2, 2)), np.ones((2, 2)) / 2, np.zeros(2)),
        (np.ones((2, 2)), np.ones((2, 2)) / 2, np.array([1.0, -1.0])),
        (np.ones((0, 2)), np.ones((0, 2)), None),
    ],
)
def test_data_that_cannot_be_learnt_from_is_refused(
    inputs: Array, targets: Array, weights: Array | None
) -> None:
    with pytest.raises(InvalidInput):
        LinearHead().fit(inputs, targets, weights=weights)


def test_a_training_imports_no_compiler_and_no_statistics_package():
    """They would take two seconds and 120 MB of every process that trains."""
    script = (
        "import sys, numpy as np\n"
        "from querist.tools.opinions.measures import wilson\n"
        "from querist.tools.training.proxy import LinearHead\n"
        "rows = np.random.default_rng(0).normal(size=(40, 8)).astype('f4')\n"
        "LinearHead().fit(rows, np.eye(2, dtype='f4')[(rows[:, 0] > 0) * 1], seed=0)\n"
        "wilson(3, 5)\n"
        "print([name for name in ('torch._dynamo', 'scipy.stats') if name in sys.modules])"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr
