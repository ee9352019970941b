"""The same selections by other libraries: run by path, in an interpreter that has them.

    python strategy_peers.py FOLDER PEER STRATEGY BATCH

Reads the arrays that `strategies.py` wrote to FOLDER and prints one line of JSON. Knows nothing of
Querist, so the other libraries need not share an environment with it.
"""

from __future__ import annotations

import collections
import collections.abc
import importlib
import json
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

Arrays = dict[str, Any]
Select = Callable[[Arrays, int], Any]

PEERS: dict[tuple[str, str], Select] = {}
_NAMES = (
    "embeddings",
    "probabilities",
    "posterior",
    "labelled",
    "labelled_probabilities",
    "classes",
)
_WARM_ROWS, _WARM_BATCH = 300, 5
_REPEATS, _ENOUGH = 3, 2.0


def _peer(library: str, *strategies: str) -> Callable[[Select], Select]:
    """Register a function as a library's version of some strategies."""

    def register(select: Select) -> Select:
        for name in strategies:
            PEERS[library, name] = select
        return select

    return register


def load(folder: Path) -> Arrays:
    """Read the arrays of a benchmark pool."""
    return {name: np.load(folder / f"{name}.npy") for name in _NAMES}


def first_rows(arrays: Arrays, rows: int) -> Arrays:
    """Cut a pool down, to warm a library up on."""
    pooled = ("embeddings", "probabilities", "posterior")
    return {name: array[:rows] if name in pooled else array for name, array in arrays.items()}


def measure(select: Callable[[Arrays, int], Any], arrays: Arrays, batch: int) -> dict[str, Any]:
    """Warm up, then time selections and the memory that one takes above what is loaded.

    Seconds are the least of three if they are short: machines are shared.
    """
    select(first_rows(arrays, _WARM_ROWS), _WARM_BATCH)
    before = _reset_peak()
    times: list[float] = []
    picks: Any = ()
    while len(times) < _REPEATS and sum(times) < _ENOUGH:
        started = time.perf_counter()
        picks = select(arrays, batch)
        times.append(time.perf_counter() - started)
    return {
        "seconds": min(times),
        "megabytes": max(0.0, _status("VmHWM") - before),
        "picks": [int(row) for row in np.asarray(picks).ravel()],
    }


def _reset_peak() -> float:
    """Forget the peak of memory so far, where the system allows it; give what is used now, MB."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return _status("VmHWM")
    return _status("VmRSS")


def _status(name: str) -> float:
    """Read one line of the process's status, in MB."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    return 0.0


def _top(scores: Any, batch: int) -> Any:
    """Take the highest scores of a library that only scores."""
    return np.argsort(-np.asarray(scores), kind="stable")[:batch]


def _with_labelled(arrays: Arrays) -> tuple[Any, Any]:
    """Chain the labelled before the pool, as scikit-activeml and small-text want them."""
    rows = np.concatenate([arrays["labelled"], arrays["embeddings"]])
    targets = np.full(len(rows), np.nan)
    targets[: len(arrays["labelled"])] = arrays["classes"]
    return rows, targets


def _fixed(arrays: Arrays) -> Any:
    """Make a classifier of scikit-activeml that answers from the given probabilities."""
    base = importlib.import_module("skactiveml.base").SkactivemlClassifier
    labelled = len(arrays["labelled"])
    everything = np.concatenate([arrays["labelled_probabilities"], arrays["probabilities"]])

    def predict_proba(self: Any, rows: Any) -> Any:
        del self
        if len(rows) == labelled:
            return everything[:labelled]
        return everything if len(rows) == len(everything) else everything[labelled:]

    def fit(self: Any, *_: Any, **__: Any) -> Any:
        return self

    kind = type("Fixed", (base,), {"fit": fit, "predict_proba": predict_proba})
    return kind(classes=list(range(everything.shape[1])))


def _activeml(name: str, arrays: Arrays, batch: int, **options: Any) -> Any:
    """Query a strategy of scikit-activeml; `query` holds its arguments of the call."""
    query = options.pop("query", {})
    rows, targets = _with_labelled(arrays)
    strategy = getattr(importlib.import_module("skactiveml.pool"), name)(random_state=0, **options)
    picks = np.asarray(strategy.query(rows, targets, batch_size=batch, **query))
    return picks - len(arrays["labelled"])


def _activeml_uncertainty(method: str) -> Select:
    def select(arrays: Arrays, batch: int) -> Any:
        query = {"clf": _fixed(arrays), "fit_clf": False}
        return _activeml("UncertaintySampling", arrays, batch, method=method, query=query)

    return select


for _ours, _theirs in (
    ("least_confidence", "least_confident"),
    ("margin", "margin_sampling"),
    ("entropy", "entropy"),
):
    _peer("scikit-activeml", _ours)(_activeml_uncertainty(_theirs))


@_peer("scikit-activeml", "random")
def _(arrays: Arrays, batch: int) -> Any:
    return _activeml("RandomSampling", arrays, batch)


@_peer("scikit-activeml", "k_center")
def _(arrays: Arrays, batch: int) -> Any:
    return _activeml("CoreSet", arrays, batch)


@_peer("scikit-activeml", "typiclust")
def _(arrays: Arrays, batch: int) -> Any:
    return _activeml("TypiClust", arrays, batch, k=20)


@_peer("scikit-activeml", "prob_cover")
def _(arrays: Arrays, batch: int) -> Any:
    classes = arrays["probabilities"].shape[1]
    return _activeml("ProbCover", arrays, batch, n_classes=classes)


@_peer("scikit-activeml", "badge", "contrastive")
def _(arrays: Arrays, batch: int) -> Any:
    name = {"badge": "Badge", "contrastive": "ContrastiveAL"}[arrays["strategy"]]
    options = {"nearest_neighbors_dict": {"n_neighbors": 10}} if name == "ContrastiveAL" else {}
    query = {"clf": _fixed(arrays), "fit_clf": False}
    return _activeml(name, arrays, batch, query=query, **options)


@_peer("scikit-activeml", "discriminative")
def _(arrays: Arrays, batch: int) -> Any:
    wrap = importlib.import_module("skactiveml.classifier").SklearnClassifier
    linear = importlib.import_module("sklearn.linear_model").LogisticRegression
    judge = wrap(linear(), classes=[0, 1])
    return _activeml("DiscriminativeAL", arrays, batch, query={"discriminator": judge})


@_peer("scikit-activeml", "qbc")
def _(arrays: Arrays, batch: int) -> Any:
    pool = importlib.import_module("skactiveml.pool")
    votes = arrays["posterior"].argmax(axis=2)
    return _top(pool.vote_entropy(votes, np.arange(arrays["posterior"].shape[2])), batch)


@_peer("scikit-activeml", "qbc_kl")
def _(arrays: Arrays, batch: int) -> Any:
    pool = importlib.import_module("skactiveml.pool")
    return _top(pool.average_kl_divergence(arrays["posterior"].transpose(1, 0, 2)), batch)


@_peer("scikit-activeml", "batch_bald")
def _(arrays: Arrays, batch: int) -> Any:
    pool = importlib.import_module("skactiveml.pool")
    draws = arrays["posterior"].transpose(1, 0, 2)
    utilities = pool.batch_bald(draws, batch, n_MC_samples=2500, random_state=0)
    return np.nanargmax(utilities, axis=1)


@_peer("small-text", "k_center")
def _(arrays: Arrays, batch: int) -> Any:
    module = importlib.import_module("small_text.query_strategies.coresets")
    rows, _ = _with_labelled(arrays)
    known = len(arrays["labelled"])
    unlabelled = np.arange(known, len(rows))
    # It answers with positions among the unlabelled.
    return module.greedy_coreset(
        rows, unlabelled, np.arange(known), batch, distance_metric="euclidean"
    )


@_peer("small-text", "k_means")
def _(arrays: Arrays, batch: int) -> Any:
    kind = importlib.import_module("small_text.query_strategies").EmbeddingKMeans
    rows = np.arange(len(arrays["embeddings"]))
    return kind().sample(None, None, rows, None, None, batch, arrays["embeddings"])


@_peer("small-text", "least_confidence", "breaking_ties", "entropy", "bald")
def _(arrays: Arrays, batch: int) -> Any:
    module = importlib.import_module("small_text.query_strategies")
    names = {"least_confidence": "LeastConfidence", "breaking_ties": "BreakingTies"}
    names |= {"entropy": "PredictionEntropy", "bald": "BALD"}

    def predict_proba(_: Any, *, dropout_sampling: int = 1) -> Any:
        return arrays["posterior"] if dropout_sampling > 1 else arrays["probabilities"]

    model = SimpleNamespace(predict_proba=predict_proba)
    rows = np.arange(len(arrays["probabilities"]))
    kind = getattr(module, names[arrays["strategy"]])
    none = np.empty(0, dtype=int)
    return kind().query(model, arrays["embeddings"], rows, none, none, n=batch)


@_peer("modAL", "least_confidence", "margin", "entropy")
def _(arrays: Arrays, batch: int) -> Any:
    module = importlib.import_module("modAL.uncertainty")
    names = {"least_confidence": "uncertainty", "margin": "margin", "entropy": "entropy"}
    model = SimpleNamespace(predict_proba=lambda _: arrays["probabilities"])
    select = getattr(module, f"{names[arrays['strategy']]}_sampling")
    return select(model, arrays["embeddings"], n_instances=batch)[0]


@_peer("baal", "least_confidence", "margin", "entropy", "bald", "batch_bald")
def _(arrays: Arrays, batch: int) -> Any:
    module = importlib.import_module("baal.active.heuristics")
    name = arrays["strategy"]
    names = {"least_confidence": "Certainty", "margin": "Margin", "entropy": "Entropy"}
    kind = getattr(module, (names | {"bald": "BALD", "batch_bald": "BatchBALD"})[name])
    draws = arrays["probabilities"][:, :, None]
    if name in {"bald", "batch_bald"}:
        draws = arrays["posterior"].transpose(0, 2, 1)
    heuristic = kind(num_samples=batch) if name == "batch_bald" else kind()
    return np.asarray(heuristic(draws))[:batch]


@_peer("ALiPy", "least_confidence", "margin", "entropy")
def _(arrays: Arrays, batch: int) -> Any:
    # Written for Python below 3.10; without this name it does not run at all.
    collections.Iterable = collections.abc.Iterable  # type: ignore[attr-defined]
    module = importlib.import_module("alipy.query_strategy")
    measure = {"least_confidence": "least_confident"}.get(arrays["strategy"], arrays["strategy"])
    chooser = module.QueryInstanceUncertainty(
        arrays["embeddings"], np.zeros(len(arrays["embeddings"])), measure=measure
    )
    rows = np.arange(len(arrays["embeddings"]))
    return chooser.select_by_prediction_mat(rows, arrays["probabilities"].copy(), batch_size=batch)


@_peer("ALiPy", "k_center")
def _(arrays: Arrays, batch: int) -> Any:
    collections.Iterable = collections.abc.Iterable  # type: ignore[attr-defined]
    module = importlib.import_module("alipy.query_strategy")
    rows, _ = _with_labelled(arrays)
    known = len(arrays["labelled"])
    chooser = module.QueryInstanceCoresetGreedy(rows, np.zeros(len(rows)), np.arange(len(rows)))
    picks = chooser.select(np.arange(known), np.arange(known, len(rows)), batch_size=batch)
    return np.asarray(picks) - known


@_peer("cleanlab", "least_confidence")
def _(arrays: Arrays, batch: int) -> Any:
    module = importlib.import_module("cleanlab.multiannotator")
    votes = np.repeat(arrays["classes"][:, None], 2, axis=1).astype(float)
    _, scores = module.get_active_learning_scores(
        votes, arrays["labelled_probabilities"], arrays["probabilities"]
    )
    return _top(-scores, batch)


def main(arguments: list[str]) -> int:
    """Measure one library on one strategy; print JSON."""
    folder, library, strategy, batch = arguments
    warnings.simplefilter("ignore")
    arrays = load(Path(folder)) | {"strategy": strategy}
    result = measure(PEERS[library, strategy], arrays, int(batch))
    sys.stdout.write("\n" + json.dumps(result) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
