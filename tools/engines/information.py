"""What a label would tell about the model: scores from posterior draws (N, K, C).

Draw k is the same model for every row. All in nats, higher is asked first.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from querist.tools.compute.arrays import FloatArray
from querist.tools.engines.geometry import blocks
from querist.tools.engines.scoring import entropy

_CELLS = 4_000_000


def bald(posterior: FloatArray) -> FloatArray:
    """Score H(mean p) - mean H(p): what a label says about the model (Houlsby et al., 2011).

    It is also the mean Kullback-Leibler divergence of the draws from their consensus.
    """
    scores = np.empty(len(posterior))
    for rows in _chunks(posterior):
        draws = posterior[rows]
        scores[rows] = entropy(consensus(draws)) - mean_entropy(draws)
    # At least 0 (Jensen); what is below is rounding.
    return np.asarray(np.maximum(scores, 0))


def consensus(posterior: FloatArray) -> FloatArray:
    """Average the draws: (N, K, C) to (N, C)."""
    draws = posterior.shape[1]
    # As a product: NumPy takes six times as long for means over a short axis in the middle.
    weights = np.full((1, draws), 1 / draws, dtype=posterior.dtype)
    return np.asarray((weights @ posterior)[:, 0])


def mean_entropy(posterior: FloatArray) -> FloatArray:
    """Average the entropies of the draws: (N, K, C) to (N,)."""
    rows, draws, classes = posterior.shape
    return np.asarray(entropy(posterior.reshape(rows, draws * classes)) / draws)


def epig(posterior: FloatArray, targets: FloatArray) -> FloatArray:
    """Score the mean information that a label gives about targets' labels (Smith et al., 2023).

    `targets` (M, K, C) are draws of the same K models. The score is the mean over targets of the
    mutual information between both labels, under the mean over draws of their products.
    """
    count, draws, classes = posterior.shape
    # In the precision of what comes: in doubles this takes four times as long.
    known = np.asarray(targets, dtype=posterior.dtype)
    alone = entropy(known.mean(axis=1)).mean()
    # (K, M * C'), so that one product gives all joint tables of a block of rows.
    flat = known.transpose(1, 0, 2).reshape(draws, -1) / draws
    scores = np.empty(count)
    for rows in blocks(count, max(1, _CELLS // max(1, classes * flat.shape[1]))):
        mine = posterior[rows]
        tables = mine.transpose(0, 2, 1).reshape(-1, draws) @ flat
        joint = entropy(tables.reshape(len(mine), -1)) / max(1, len(known))
        # I(y; y*) = H(y) + H(y*) - H(y, y*), each averaged over the targets.
        scores[rows] = entropy(consensus(mine)) + alone - joint
    return np.asarray(np.maximum(scores, 0))


def over_imputations(score: Callable[[FloatArray], FloatArray], imputed: FloatArray) -> FloatArray:
    """Average a score over S imputations of what is missing: (N, S, K, C) to (N,).

    With `bald` it is PO-EIG, with `epig` of fixed targets PO-EPIG (Astorga et al., 2024).
    """
    return np.asarray(
        np.mean([score(imputed[:, number]) for number in range(imputed.shape[1])], axis=0)
    )


def po_eig(imputed: FloatArray) -> FloatArray:
    """Average the information gain over imputations (N, S, K, C) (Astorga et al., 2024)."""
    return over_imputations(bald, imputed)


def marginal_eig(imputed: FloatArray) -> FloatArray:
    """Score the information gain of imputations averaged first: never above `po_eig`."""
    # Mutual information is convex in p(label | model): averaging that first only loses (Jensen).
    return bald(imputed.mean(axis=1))


def po_epig(imputed: FloatArray, targets: FloatArray) -> FloatArray:
    """Average EPIG over the imputations of rows (N, S, K, C) and of targets (M, S', K, C)."""
    scores = [
        over_imputations(partial(epig, targets=targets[:, number]), imputed)
        for number in range(targets.shape[1])
    ]
    return np.asarray(np.mean(scores, axis=0))


def _chunks(posterior: FloatArray) -> list[slice]:
    """Cut rows so that a block stays small in doubles."""
    cells = posterior.shape[1] * posterior.shape[2]
    return list(blocks(len(posterior), max(1, _CELLS // max(1, cells))))
