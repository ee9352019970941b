"""One create job with given models, in a workspace of its own that is thrown away."""

from __future__ import annotations

import asyncio
import contextlib
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from querist.agents.models.port import ChatModel
from querist.graph import jobs
from querist.memory.records import JobStatus
from querist.memory.run.ledger import Ledger
from querist.memory.store import open_store
from querist.memory.workspace.creations import CreatedRow
from querist.memory.workspace.jobs import Jobs
from querist.tools.arms.thompson import Choose, choose_by_yield

WRITER, STRONG, WEAK = "openai:writer", "openai:strong", "openai:weak"
PRICES: dict[str, dict[str, float | str]] = {
    WRITER: {"input": 1, "output": 4},
    STRONG: {"input": 2, "output": 8},
    WEAK: {"input": "0.2", "output": "0.8"},
}
"""USD per million tokens; scripted, in the proportions of a large and a small model."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of a job."""

    rows: tuple[CreatedRow, ...]
    """All that were written, each with its status."""
    usd: float
    """All that the job spent, checks of the checker's own bias included."""
    stop: str

    @property
    def accepted(self) -> tuple[CreatedRow, ...]:
        """The rows that are delivered."""
        return tuple(row for row in self.rows if row.status == "accepted")

    @property
    def tries_per_accepted(self) -> float:
        """Rows written for each that is delivered; infinite where none is."""
        return len(self.rows) / len(self.accepted) if self.accepted else float("inf")

    @property
    def usd_per_accepted(self) -> float:
        """Dollars for each delivered row."""
        return self.usd / len(self.accepted) if self.accepted else float("inf")


def run_job(
    body: Mapping[str, Any],
    models: Sequence[ChatModel],
    *,
    seeds: Sequence[tuple[str, str]] = (),
    tests: Sequence[str] = (),
    choose: Choose = choose_by_yield,
    within: Path | None = None,
) -> Ran:
    """Work one job off; `seeds` are texts with labels, `tests` the texts of a test file.

    Jobs `within` one folder embed a text once for all of them.
    """
    with contextlib.ExitStack() as stack:
        folder = within or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        store = stack.enter_context(open_store(folder / "work"))
        more: dict[str, Any] = {}
        if seeds:
            lines = [{"text": text, "label": label} for text, label in seeds]
            file = _write(folder / "seeds.jsonl", lines)
            more["seeds"] = {"file": file, "text": "text", "label": "label"}
        if tests:
            more["tests"] = [_write(folder / "tests.jsonl", [{"text": t} for t in tests])]
        request = jobs.read_request({**_COMMON, **body, **more}, source="the experiment")
        job = jobs.submit(request, store)
        given = {model.name: model for model in models}
        asyncio.run(jobs.Worker(store, models=given, choose=choose).work_off())
        ended = Jobs(store).get(job.id)
        if ended.status is JobStatus.FAILED:
            raise SystemExit(f"The job failed: {ended.reason}")
        rows = tuple(jobs.rows_of(store, ended, rejected=True))
        usd = float(Ledger(store, job.run).balance().settled)
        return Ran(rows, usd, str((ended.result or {}).get("stop", ended.reason)))


_COMMON: Mapping[str, Any] = {
    "kind": "create",
    "models": {
        "generator": WRITER,
        "checker": STRONG,
        "base_url": "http://127.0.0.1:9/v1",
    },
    "prices": PRICES,
    "embedder": "hashing",
    "budget": {"usd": "50"},
    "patience": 400,
}


def _write(path: Path, lines: Sequence[Mapping[str, str]]) -> str:
    path.write_text("\n".join(json.dumps(line, ensure_ascii=False) for line in lines))
    return str(path)


def mean_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Give the mean over seeds and its 95 % t interval; of paired differences, a paired one."""
    from scipy.special import stdtrit  # the quantile of t, without all of scipy.stats

    found = np.asarray(values, dtype=float)
    if len(found) < 2:
        return float(found.mean()), float("nan"), float("nan")
    mean = float(found.mean())
    half = float(stdtrit(len(found) - 1, 0.975) * found.std(ddof=1) / np.sqrt(len(found)))
    return mean, mean - half, mean + half


def told(values: Sequence[float], form: str = ".2f") -> str:
    """Write a mean with its interval as a cell of a table."""
    mean, low, high = mean_interval(values)
    return f"{mean:{form}} ({low:{form}} to {high:{form}})"
