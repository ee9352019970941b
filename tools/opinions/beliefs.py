"""From what was said of an example to probabilities of its answers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from querist.memory.records import Annotation
from querist.tools.compute.arrays import FloatArray
from querist.tools.kinds.answer_set import AnswerSet

LEAST = 1e-9
"""A probability that was said to be 0: a model is never that sure."""


def pool_votes(annotations: Sequence[Annotation], answers: AnswerSet) -> FloatArray | None:
    """Pool the votes of one annotator on one example into probabilities (C,); None without any.

    Log-probabilities are averaged; votes without them are counted with Laplace smoothing: a model
    that said the same three times may still be wrong.
    """
    usable = [vote for vote in annotations if answers.place(vote.answer) >= 0]
    if not usable:
        return None
    vectors = [answers.vector(vote.probabilities) for vote in usable if vote.probabilities]
    if vectors:
        # The mean, not the sum: votes of one annotator are repeats, no independent evidence.
        logs = np.mean([np.log(np.maximum(vector, LEAST)) for vector in vectors], axis=0)
        raw = np.exp(logs - logs.max())
        return np.asarray(raw / raw.sum())
    counts = np.ones(len(answers))
    for vote in usable:
        counts[answers.place(vote.answer)] += 1
    return np.asarray(counts / counts.sum())


def certainty(targets: FloatArray) -> FloatArray:
    """One minus the normalised entropy of soft targets (N, C): (N,). A guess teaches nothing."""
    entropy = -(targets * np.log(np.maximum(targets, 1e-12))).sum(axis=1)
    return np.asarray(np.clip(1.0 - entropy / np.log(targets.shape[1]), 0.0, 1.0))
