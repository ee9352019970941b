"""Print what is picked from awkward rows, as JSON: run under one matrix kernel after another."""

from __future__ import annotations

import json

import numpy as np
from sklearn.datasets import load_digits

from querist.memory.records import ExampleId
from querist.tools.compute.arrays import FloatArray
from querist.tools.engines.neighbours import nearest_neighbours
from querist.tools.strategies import get
from querist.tools.strategies.querying import Capability, Labelled, QueryContext
from querist.tools.training.proxy import GradientFactors

STRATEGIES = [
    "k_center",
    "k_means_pp",
    "k_means",
    "badge",
    "cdal",
    "typiclust",
    "prob_cover",
    "facility_location",
    "vote_k",
    "idds",
    "cluster_margin",
    "d_optimal",
]
CLASSES = 3


def awkward_rows() -> dict[str, FloatArray]:
    """Rows whose distances are small beside their norms, or equal, or both."""
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(600, 24)).astype(np.float32)
    groups = np.repeat(rng.normal(size=(10, 24)).astype(np.float32) * 20, 60, axis=0)
    grid = np.stack(np.meshgrid(*[np.arange(8.0)] * 3), axis=-1).reshape(-1, 3)
    return {
        "offset": noise + np.float32(100),
        "groups": noise / 10 + groups,
        "copies": np.repeat(noise[:150], 4, axis=0),
        "grid": grid.astype(np.float32),
        "pixels": load_digits().data[:700].astype(np.float32),
    }


def show(rows: FloatArray) -> QueryContext:
    """Show a strategy rows and a model of them."""
    centred = rows.astype(np.float64) - rows.mean(axis=0)
    head = np.random.default_rng(1).normal(size=(rows.shape[1], CLASSES))
    shares = np.exp((centred / np.sqrt(centred.var(axis=0).sum())) @ head)
    # Rounded, so that the model is not what differs.
    shares = (shares / shares.sum(axis=1, keepdims=True)).round(5).astype(np.float32)
    errors = shares - np.eye(CLASSES, dtype=np.float32)[shares.argmax(axis=1)]
    known = Labelled(
        embeddings=rows[:5],
        classes=np.arange(5) % CLASSES,
        probabilities=shares[:5],
        ids=tuple(ExampleId(f"known-{row}") for row in range(5)),
    )
    return QueryContext(
        ids=[ExampleId(f"row-{row}") for row in range(len(rows))],
        rng=np.random.default_rng(0),
        sources={
            Capability.EMBEDDINGS: lambda: rows,
            Capability.PROBS: lambda: shares,
            Capability.GRADIENTS: lambda: GradientFactors(errors=errors, features=rows),
        },
        labelled_so_far=lambda: known,
    )


def main() -> None:
    """Pick from every kind of rows by every strategy."""
    picks: dict[str, list[int]] = {}
    for kind, rows in awkward_rows().items():
        picks[f"neighbours of {kind}"] = nearest_neighbours(rows, 6)[0].ravel().tolist()
        for name in STRATEGIES:
            picks[f"{name} of {kind}"] = get(name).query(show(rows), 25).indices.tolist()
    print(json.dumps(picks))


if __name__ == "__main__":
    main()
