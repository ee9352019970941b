"""`querist demo create`: rows for the thin classes of the bundled example, and what they did."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Sequence
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np
import typer

from querist.app.actions.jobs import show_gates, work_here
from querist.app.terminal.place import Place
from querist.app.terminal.screen import Screen, percent, plural
from querist.app.views.job_progress import look
from querist.graph.config import load_config
from querist.graph.jobs import read_request, rows_of, submit, write_result
from querist.memory.store import Store
from querist.memory.workspace.creations import CreatedRow
from querist.memory.workspace.jobs import Jobs

_THIN, _FEW, _MANY = ("noise", "billing"), 6, 30
"""Labelled texts of thin classes, and of the others."""
_ROWS, _MINUTES = 16, 1.9
_DRAWS = 2_000


def show_creation(place: Place, *, seed: int | None) -> None:
    """Write rows, show what the gates let pass, and measure what the rows did on the test set."""
    screen, began = Screen(), time.monotonic()
    with as_file(files("querist.examples.tenant_requests")) as folder:
        config = load_config(Path(folder) / "task.toml")
        pool, test = (_read(Path(folder) / f"{name}.jsonl") for name in ("pool", "test"))
    real = _thinned(pool, list(config.task.labels))
    screen.line(
        f"Of {', '.join(_THIN)} only {_FEW} labelled messages each are known, of the other "
        f"classes {_MANY}. A small language model inside this process writes {_ROWS} more, and "
        f"gates decide which of them count. It is given {_MINUTES:g} minutes."
    )
    screen.line(
        "The label check is a classifier on embeddings that learnt from the real ones: another "
        "model than the writer, and one that knows no more than they show."
    )
    with place.open(must_exist=False) as store, tempfile.TemporaryDirectory() as scratch:
        seeds = Path(scratch) / "seeds.jsonl"
        seeds.write_text("\n".join(json.dumps(row) for row in real))
        request = read_request(_body(config, str(seeds), seed or 0), source="the demo")
        job = submit(request, store)
        work_here(store, job, screen)
        job = Jobs(store).get(job.id)
        show_gates(screen, look(store, job))
        rows = rows_of(store, job)
        if not rows:
            raise typer.Exit(1)
        output = store.folder / "created.jsonl"
        write_result(store, job, output, format="jsonl", force=True)
        screen.title("What the rows did")
        _compare(screen, store, real, rows, test)
        screen.line(f"{plural(len(rows), 'row')} in {output}, the card beside it.")
    screen.line(f"{time.monotonic() - began:.0f} s in all.")


def _body(config: Any, seeds: str, seed: int) -> dict[str, Any]:
    share = 1 / len(_THIN)
    return {
        "kind": "create",
        "name": "thin classes",
        "rows": _ROWS,
        "minutes": _MINUTES,
        "task": config.task.model_dump(),
        "shares": dict.fromkeys(_THIN, share),
        "seeds": {"file": seeds, "text": "text", "label": "label"},
        "methods": ["conditioned", "paraphrase"],
        "gates": [
            "schema",
            "length(least=15, most=320)",
            "exact",
            "embedding(at=0.92)",
            "classifier(least=0.2)",
        ],
        # Short replies: on two cores this model writes some 20 tokens a second.
        "per_call": 4,
        "tokens": 40,
        "learn": False,
        "seed": seed,
    }


def _read(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _thinned(pool: Sequence[dict[str, str]], labels: Sequence[str]) -> list[dict[str, str]]:
    kept = []
    for label in labels:
        most = _FEW if label in _THIN else _MANY
        kept += [row for row in pool if row["label"] == label][:most]
    return [{"text": row["text"], "label": row["label"]} for row in kept]


def _compare(
    screen: Screen,
    store: Store,
    real: Sequence[dict[str, str]],
    rows: Sequence[CreatedRow],
    test: Sequence[dict[str, str]],
) -> None:
    """Train the loop's linear head with and without the rows, and compare on the test texts."""
    from querist.memory.workspace.embeddings import EmbeddingCache
    from querist.tools.embedding.embedders import embed_all, shared_embedder

    embedder, cache = shared_embedder("minilm"), EmbeddingCache(store.folder / "embeddings")

    def embed(texts: Sequence[str]) -> Any:
        return embed_all(texts, embedder=embedder, cache=cache)

    names = sorted({row["label"] for row in real})
    inputs = embed([row["text"] for row in real])
    answers = [row["label"] for row in real]
    asked, truth = embed([row["text"] for row in test]), np.array([row["label"] for row in test])
    real_answers = [*answers, *(str(row.label) for row in rows)]
    more = np.concatenate([inputs, embed([row.text for row in rows])])
    # What a critic would name: the same weight on thin classes, without a single new row.
    weight = 1 + len(rows) / sum(label in _THIN for label in answers)
    heavier = np.array([weight if label in _THIN else 1.0 for label in answers])
    base = _says(names, inputs, answers, asked) == truth
    arms = {
        "with the rows": _says(names, more, real_answers, asked) == truth,
        "with the real ones weighted as much instead": (
            _says(names, inputs, answers, asked, weights=heavier) == truth
        ),
    }
    thin = np.isin(truth, _THIN)
    for name, part in (("All test texts", np.ones(len(truth), bool)), ("Thin classes", thin)):
        screen.line(f"{name} ({part.sum()}): {percent(base[part].mean())} without.")
        for arm, right in arms.items():
            screen.line(f"  {arm}: {_gain_words(base[part], right[part])}")
    screen.line("One draw of seeds and of rows: another one may come out otherwise.")


def _gain_words(base: Any, right: Any) -> str:
    gain = right.astype(float) - base.astype(float)
    low, high = _interval(gain)
    is_none = low <= 0 <= high
    return (
        f"{percent(right.mean())}, {100 * gain.mean():+.1f} points (90 % interval "
        f"{100 * low:+.1f} to {100 * high:+.1f})"
        + (", no difference that this test set can show." if is_none else ".")
    )


def _says(
    names: Sequence[str], inputs: Any, answers: Sequence[str], asked: Any, *, weights: Any = None
) -> Any:
    from querist.tools.training.proxy import LinearHead

    targets = np.eye(len(names), dtype=np.float32)[[names.index(name) for name in answers]]
    chances = LinearHead().fit(inputs, targets, weights=weights).predict_proba(asked)
    return np.array(names)[chances.argmax(axis=1)]


def _interval(gain: Any) -> tuple[float, float]:
    """Give the 90 % interval of a mean difference over paired texts, by a bootstrap of them."""
    rng = np.random.default_rng(0)
    draws = gain[rng.integers(len(gain), size=(_DRAWS, len(gain)))].mean(axis=1)
    return float(np.quantile(draws, 0.05)), float(np.quantile(draws, 0.95))
