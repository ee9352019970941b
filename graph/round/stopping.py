"""What the run's stopping rule says of its learning curve."""

from __future__ import annotations

import numpy as np

from querist.graph.round.model_files import latest_models
from querist.graph.workplace.context import Context
from querist.tools.compute.arrays import IntArray
from querist.tools.opinions.plateau import Plateau
from querist.tools.opinions.stopping import STOPPING_RULES, History

STOP_SET = 1_000
"""Examples whose predictions are compared from round to round."""


def judge_curve(context: Context) -> Plateau:
    """Ask the rule about the rounds that were measured."""
    rounds = [done for done in context.journal.rounds() if done.metric is not None]
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
        predictions=lambda count: _predictions(context, count),
    )
    return STOPPING_RULES.read(context.config.loop.stopping_call).judge(history)


def _predictions(context: Context, count: int) -> IntArray:
    """Give the classes that the last models see in a sample of the pool: (at most count, S)."""
    view = context.view
    # The pool grows by what is written, and the sample must stay what it was.
    own = [row for row, example in enumerate(view.ids) if not example.startswith("gen-")]
    rng = np.random.default_rng(context.config.loop.seed)
    rows = np.array(own)[np.sort(rng.permutation(len(own))[:STOP_SET])]
    vectors = view.vectors[rows]
    models = latest_models(context.files, count)
    found = [model.predict_proba(vectors).argmax(axis=1) for model in models]
    return np.stack(found) if found else np.empty((0, len(rows)), dtype=np.intp)
