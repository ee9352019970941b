"""What the jobs of `accuracy_per_dollar` come to: tables with intervals, and a plot."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from querist.evals.experiments.paired_bootstrap import Pair, Score, accuracy, difference, macro_f1

_RARE = {"hate_offensive", "sms_spam"}
_TARGETS = ("linear", "tuned")
_PROMPT = "LLM prompt"
_ARMS = (
    "loop",
    "people at random",
    "people chosen",
    "people + LLM at random",
    "LLM labels",
    "scikit-activeml margin",
    "small-text margin",
    "SetFit",
)


@dataclass(frozen=True, slots=True)
class Job:
    """One arm on one data set with one seed; guesses are of the test rows, -1 is no answer."""

    dataset: str
    arm: str
    seed: int
    usd: float
    people: int
    machine: int
    truth: list[int]
    linear: list[int] | None = None
    tuned: list[int] | None = None
    prompt: list[int] | None = None
    skill: float | None = None
    curve: Sequence[tuple[float, float]] = ()
    seconds: dict[str, float] = field(default_factory=dict)
    commit: str = ""
    """The code that ran, where the experiment was run in a checkout."""


Guesses = Mapping[int, Sequence[int]]
"""What an arm said, by seed."""


def read_jobs(folder: Path) -> list[Job]:
    """Read all results that are there."""
    return [Job(**json.loads(path.read_text())) for path in sorted(folder.glob("*~*.json"))]


def as_tables(jobs: Sequence[Job]) -> str:
    """Write scores, differences of the loop to every arm, and what was paid for, as Markdown."""
    datasets = list(dict.fromkeys(job.dataset for job in jobs))
    columns = _columns(jobs)
    lines = [
        "Scores in per cent, mean of the seeds (how many, where not all):\n",
        _head("arm", datasets),
        *(
            _row(name, [_score_cell(jobs, dataset, arm, target) for dataset in datasets])
            for name, arm, target in columns
        ),
        "\nThe loop with a tuned target less each arm, points (95 % interval; * leaves out 0):\n",
        _head("against", datasets),
        *(
            _row(name, [_gain_cell(jobs, dataset, arm, target) for dataset in datasets])
            for name, arm, target in columns
            if (arm, target) != ("loop", "tuned")
        ),
        "\nLabels by people and by the language model, and USD:\n",
        _head("arm", datasets),
        *(
            _row(arm, [_spent_cell(jobs, dataset, arm) for dataset in datasets])
            for arm in _ARMS
            if any(job.arm == arm for job in jobs)
        ),
    ]
    return "\n".join(lines) + "\n"


def _columns(jobs: Sequence[Job]) -> list[tuple[str, str, str]]:
    """List (words, arm, target) of all that was measured."""
    found = [
        (f"{arm}, {target}", arm, target)
        for arm in _ARMS
        for target in _TARGETS
        if any(job.arm == arm and getattr(job, target) for job in jobs)
    ]
    return [*found, (_PROMPT, "loop", "prompt")]


def _head(first: str, datasets: Sequence[str]) -> str:
    names = [f"{name}, macro-F1" if name in _RARE else name for name in datasets]
    return f"| {first} | {' | '.join(names)} |\n|---" + "|---" * len(names) + "|"


def _row(name: str, cells: Sequence[str]) -> str:
    return f"| {name} | {' | '.join(cells)} |"


def _score_of(dataset: str) -> Score:
    return macro_f1 if dataset in _RARE else accuracy


def _guesses(jobs: Sequence[Job], dataset: str, arm: str, target: str) -> Guesses:
    return {
        job.seed: guess
        for job in jobs
        if (job.dataset, job.arm) == (dataset, arm) and (guess := getattr(job, target)) is not None
    }


def _truth(jobs: Sequence[Job], dataset: str) -> Guesses:
    return {job.seed: job.truth for job in jobs if job.dataset == dataset}


def _score_cell(jobs: Sequence[Job], dataset: str, arm: str, target: str) -> str:
    said, truth = _guesses(jobs, dataset, arm, target), _truth(jobs, dataset)
    if not said:
        return "-"
    score = _score_of(dataset)
    values = [score(np.array(guess), np.array(truth[seed])) for seed, guess in said.items()]
    return f"{100 * np.mean(values):.1f} ({len(values)})"


def _gain_cell(jobs: Sequence[Job], dataset: str, arm: str, target: str) -> str:
    loop, other = (_guesses(jobs, dataset, *which) for which in (("loop", "tuned"), (arm, target)))
    truth = _truth(jobs, dataset)
    pairs = [
        Pair(np.array(truth[seed]), np.array(loop[seed]), np.array(other[seed]))
        for seed in sorted(loop.keys() & other.keys())
    ]
    if not pairs:
        return "-"
    mean, low, high = (100 * value for value in difference(pairs, _score_of(dataset)))
    star = "*" if low > 0 or high < 0 else ""
    return f"{mean:+.1f} ({low:+.1f} to {high:+.1f}){star}"


def _spent_cell(jobs: Sequence[Job], dataset: str, arm: str) -> str:
    found = [job for job in jobs if (job.dataset, job.arm) == (dataset, arm)]
    if not found:
        return "-"
    means = (np.mean([getattr(job, of) for job in found]) for of in ("people", "machine", "usd"))
    return "{:.0f} + {:.0f}, ${:.2f}".format(*means)


def draw(jobs: Sequence[Job], path: Path) -> None:
    """Draw the score of each arm's better target, one panel a data set, a mark a seed."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    datasets = list(dict.fromkeys(job.dataset for job in jobs))
    columns = _columns(jobs)[::-1]
    figure, panels = plt.subplots(
        1, len(datasets), figsize=(1.6 + 1.9 * len(datasets), 4.2), sharey=True, squeeze=False
    )
    for panel, dataset in zip(panels[0], datasets, strict=True):
        truth, score = _truth(jobs, dataset), _score_of(dataset)
        for place, (_, arm, target) in enumerate(columns):
            said = _guesses(jobs, dataset, arm, target)
            values = [score(np.array(said[seed]), np.array(truth[seed])) for seed in said]
            colour = "tab:red" if arm == "loop" and target == "tuned" else "tab:blue"
            panel.plot(values, [place] * len(values), "o", color=colour, alpha=0.4, ms=4)
            if values:
                panel.plot([np.mean(values)], [place], "|", color=colour, ms=14)
        panel.set(title=dataset, xlabel="macro-F1" if dataset in _RARE else "accuracy")
        panel.grid(alpha=0.3)
    panels[0][0].set_yticks(range(len(columns)), [name for name, _, _ in columns], fontsize=7)
    figure.tight_layout()
    figure.savefig(path)
    plt.close(figure)
