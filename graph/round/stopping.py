"""What the run's stopping rule says of its learning curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from querist.graph.round.model_files import latest_models
from querist.graph.workplace.context import Context
from querist.memory.errors import StoreError
from querist.memory.files import RunFiles
from querist.memory.records import Round
from querist.tools.compute.arrays import FloatArray, IntArray
from querist.tools.opinions.plateau import Plateau
from querist.tools.opinions.quality import AGREEMENT, AUDIT, Quality
from querist.tools.opinions.stopping import STOPPING_RULES, History

_STOP_SET = 1_000
"""Examples whose predictions are compared from round to round."""
_HITS = "hits/round-{:04d}.npz"
_WHAT = "Which held-out rows a round's model got right"
_FEWEST = 20
"""Rows that rounds must have in common to be compared row by row."""
_ACCURACY = "accuracy"

Hits = tuple[NDArray[np.str_], NDArray[np.bool_]]
"""Names of held-out rows, sorted, and whether the round's model was right about each."""


def keep_hits(files: RunFiles, quality: Quality, *, number: int) -> None:
    """Write down which of the rows that a round was measured on its model got right.

    Nothing is kept of a measure that is no mean over rows.
    """
    if not quality.hits or quality.own is None or quality.own.name != _ACCURACY:
        return
    names = sorted(quality.hits)
    arrays = {"ids": np.array(names), "hits": np.array([quality.hits[name] for name in names])}
    files.write_arrays(_HITS.format(number), arrays, what=_WHAT)


def judge_curve(context: Context) -> Plateau:
    """Ask the rule about the rounds that were measured, as far as they can be compared."""
    measured = _since_merging(context.journal.rounds(), context.config.task.renamed)
    # A curve that was flat on the rows of that time says nothing of rows that came later.
    parts = context.config.data.parts
    measured = [done for done in measured if not parts or done.number > parts[-1].after]
    rounds, hits = _comparable(measured, context.files)
    metrics = tuple(done.metric for done in rounds if done.metric is not None)
    # Half a 90 % interval is 1.645 standard errors.
    errors = tuple(
        (done.metric_high - done.metric_low) / (2 * 1.645)
        for done in rounds
        if done.metric_low is not None and done.metric_high is not None
    )
    history = History(
        metrics,
        errors if len(errors) == len(metrics) else None,
        hits=hits,
        predictions=lambda count: _predictions(context, count),
    )
    return STOPPING_RULES.read(context.config.loop.stopping_call).judge(history)


def _since_merging(rounds: Sequence[Round], renamed: Mapping[str, str]) -> Sequence[Round]:
    """Leave out the rounds that were measured before labels were added or merged."""

    def labels(done: Round) -> list[str] | None:
        classes = done.detail.get("classes")
        if not isinstance(classes, dict):
            return None
        return sorted(renamed.get(name, name) for name in classes)

    first = len(rounds)
    while first > 0 and labels(rounds[first - 1]) == labels(rounds[-1]):
        first -= 1
    return rounds[first:]


def _comparable(rounds: Sequence[Round], files: RunFiles) -> tuple[list[Round], FloatArray | None]:
    """Give the last rounds that were measured alike, and their hits on the rows common to them.

    Rounds that generated are left out: they label nothing of the pool. The curve begins where the
    measure last changed, or its rows did: a step between two measures is no progress.
    """
    curve = [
        done
        for done in rounds
        if done.metric is not None and done.detail.get("phase") != "generate"
    ]
    kept: list[Round] = []
    found: list[Hits] = []
    common: set[str] | None = None
    for done in reversed(curve):
        if kept and not _is_same_measure(done, kept[-1]):
            break
        hits = _read(files, done.number) if len(found) == len(kept) else None
        if hits is not None:
            measured = set(hits[0].tolist())
            shared = measured if common is None else common & measured
            if kept and len(shared) < _FEWEST:
                break
            common = shared
            found.append(hits)
        elif kept and not _has_same_rows(done, kept[-1]):
            break
        kept.append(done)
    kept.reverse()
    if common is None or len(common) < _FEWEST:
        return kept, None
    rows = np.array(sorted(common))
    matrix = [hits[np.searchsorted(ids, rows)] for ids, hits in reversed(found)]
    return kept, np.stack(matrix).astype(np.float64)


def _is_same_measure(first: Round, second: Round) -> bool:
    return first.detail.get("measured_on") == second.detail.get("measured_on")


def _has_same_rows(first: Round, second: Round) -> bool:
    """Tell whether two rounds without known hits may have been measured on the same rows."""
    # Agreement is measured on whatever is labelled, and an audit sample grows by nature.
    if first.detail.get("measured_on") in (AGREEMENT, AUDIT):
        return True
    return first.detail.get("n") == second.detail.get("n")


def _read(files: RunFiles, number: int) -> Hits | None:
    try:
        arrays = files.read_arrays(_HITS.format(number), what=_WHAT, without="do without them")
        return None if arrays is None else (arrays["ids"], arrays["hits"])
    except (StoreError, KeyError):
        # They only narrow an interval: a run goes on without them, and the reason says so.
        return None


def _predictions(context: Context, count: int) -> IntArray:
    """Give the classes that the last models see in a sample of the pool: (at most count, S)."""
    view = context.view
    rng = np.random.default_rng(context.config.loop.seed)
    # The pool grows by what is written, and the sample must stay what it was.
    rows = np.sort(view.imported[rng.permutation(len(view.imported))[:_STOP_SET]])
    vectors = view.vectors[rows]
    models = latest_models(context.files, count)
    found = [model.predict_proba(vectors).argmax(axis=1) for model in models]
    return np.stack(found) if found else np.empty((0, len(rows)), dtype=np.intp)
