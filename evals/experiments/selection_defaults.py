"""What `auto` should choose: strategies and rules for them, over the first 200 labels.

    python -m querist.evals.experiments.selection_defaults --out docs/results/selection_defaults

Simulated: every label is gold. All start from the same 25 random labels, as the loop does, and get
25 more a round; MiniLM vectors of at most 3,000 texts, of which each seed draws 2,000 for its pool;
the loop's linear head. Rules were chosen on the tuning sets and then run once on those held back.
The score is accuracy on up to 1,000 held-out texts, macro-F1 where classes are rare.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from querist.agents.selector.rules import SelectorEvidence, rule
from querist.evals.experiments.label_efficiency import (
    Curve,
    Curves,
    Rows,
    Schedule,
    context_of,
    first_labels,
    interval,
    load,
    read_curves,
    score,
)
from querist.tools.strategies import get
from querist.tools.training.proxy import LinearHead
from querist.tools.training.self_training import SelfTraining

TUNING = ("ag_news", "trec6", "banking77", "hate_offensive")
HELD_BACK = ("subj", "sst2", "sms_spam", "go_emotions")
RARE = {"hate_offensive", "sms_spam", "go_emotions"}
_POOL = 2_000
_START, _STEP, _SHOWN = 25, 25, (50, 100, 200)

Choose = Callable[[NDArray[np.intp]], str]
"""Names the strategy, given how many labels each class has (C,)."""


def _auto_before(counts: NDArray[np.intp]) -> str:
    """Do as `auto` did: mostly typical until there are 25 labels a class."""
    is_hot = counts.min() > 0 and counts.mean() >= 25
    return f"{0.7 if is_hot else 0.3}*margin + {0.3 if is_hot else 0.7}*facility_location"


def _auto(counts: NDArray[np.intp]) -> str:
    evidence = SelectorEvidence(
        round=1,
        pool_left=_POOL,
        batch=_STEP,
        configured="auto",
        labels={f"c{place}": int(count) for place, count in enumerate(counts)},
        has_model=True,
    )
    return rule(evidence).strategy


def _then_margin(representative: str, *, per_class: float) -> Choose:
    return lambda counts: representative if counts.mean() < per_class else "margin"


_SELF_TRAINED = ", self-trained"
_SINGLE = (
    "random",
    "margin",
    "k_means",
    "weighted_k_means",
    "typiclust",
    "facility_location",
    "badge",
    "0.5*k_means + 0.5*margin",
    "0.5*typiclust + 0.5*margin",
    "0.5*facility_location + 0.5*margin",
    "0.5*typiclust + 0.5*badge",
)
_RULES: Mapping[str, Choose] = {
    "k_means, margin from 15 a class": _then_margin("k_means", per_class=15),
    "typiclust, margin from 15 a class": _then_margin("typiclust", per_class=15),
    "auto, before": _auto_before,
    "auto": _auto,
}
_ARMS = tuple(name + also for also in ("", _SELF_TRAINED) for name in (*_SINGLE, *_RULES))


def main() -> None:
    """Run what is missing, then print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs/results/selection_defaults"))
    parser.add_argument("--datasets", nargs="+", default=[*TUNING, *HELD_BACK])
    parser.add_argument("--arms", nargs="+", default=list(_ARMS))
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--processes", type=int, default=1)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for dataset in options.datasets:
        load(dataset, cache=options.out)
    jobs = [
        (dataset, arm, seed, options.out)
        for seed in range(options.seeds)
        for dataset in options.datasets
        for arm in options.arms
        if not _path(options.out, dataset, arm, seed).exists()
    ]
    with ProcessPoolExecutor(options.processes) as processes:
        for done, name in enumerate(processes.map(_job, jobs), start=1):
            print(f"{done} of {len(jobs)}: {name}", file=sys.stderr, flush=True)
    curves = read_curves(options.out)
    for title, datasets in (("Tuning", TUNING), ("Held back", HELD_BACK)):
        print(f"{title}:\n\n{_as_table(curves, datasets)}")


def _path(out: Path, dataset: str, arm: str, seed: int) -> Path:
    return out / f"{dataset}~{arm}~{seed}.json"


def _job(job: tuple[str, str, int, Path]) -> str:
    dataset, arm, seed, out = job
    curve = _run(arm, load(dataset, cache=out), seed=seed, is_rare=dataset in RARE)
    _path(out, dataset, arm, seed).write_text(json.dumps(curve))
    return f"{dataset}, {arm}, seed {seed}"


def _run(arm: str, rows: Rows, *, seed: int, is_rare: bool) -> Curve:
    """Select, reveal and train until there are as many labels as are shown last."""
    rng = np.random.default_rng([seed, 2])
    if len(rows.pool) > _POOL:
        kept = np.sort(rng.choice(len(rows.pool), _POOL, replace=False))
        rows = Rows(rows.pool[kept], rows.truth[kept], rows.test, rows.test_truth)
    schedule = Schedule(_START, _STEP, max(_SHOWN), "macro-F1" if is_rare else "accuracy")
    chosen = first_labels(rows, schedule, seed=seed)
    plain = arm.removesuffix(_SELF_TRAINED)
    is_self_trained = plain != arm
    choose: Choose = _RULES.get(plain, lambda _counts: plain)
    state: dict[str, NDArray[np.floating]] = {}
    classes, curve = int(max(rows.truth.max(), rows.test_truth.max())) + 1, []
    while True:
        targets = np.eye(classes, dtype=np.float32)[rows.truth[chosen]]
        rest = np.setdiff1d(np.arange(len(rows.pool)), chosen)
        if is_self_trained:
            unlabelled = rows.pool[rest]
            model = SelfTraining().fit(rows.pool[chosen], targets, unlabelled, seed=seed)
        else:
            model = LinearHead().fit(rows.pool[chosen], targets, seed=seed)
        guess = model.predict_proba(rows.test).argmax(axis=1)
        curve.append((len(chosen), score(guess, rows.test_truth, schedule.metric)))
        if len(chosen) >= schedule.end:
            return curve
        context = context_of(rows, np.array(chosen), rest, model, rng=rng, state=state)
        name = choose(np.bincount(rows.truth[chosen], minlength=classes))
        chosen += rest[get(name).query(context, schedule.step).indices].tolist()


def _as_table(curves: Curves, datasets: Sequence[str]) -> str:
    """Write mean scores in per cent at 50, 100 and 200 labels, and the mean of all, as Markdown.

    Behind the scores at 100 labels: the mean difference to `random` with its 95 % t interval over
    the seeds that both have.
    """
    shown = [name for name in datasets if (name, "random") in curves]
    head = " | ".join(f"{name}{', macro-F1' if name in RARE else ''}" for name in shown)
    lines = [f"| strategy | {head} | mean |", "|---" * (len(shown) + 2) + "|"]
    for arm in _ARMS:
        if not any((name, arm) in curves for name in shown):
            continue
        cells, all_scores = [], []
        for name in shown:
            text, scores = _cell(curves.get((name, arm), []), curves[name, "random"])
            cells.append(text)
            all_scores += scores
        mean = f"{np.mean(all_scores):.1f}" if "-" not in cells else "-"
        lines.append(f"| `{arm}` | {' | '.join(cells)} | {mean} |")
    return "\n".join(lines) + "\n"


def _cell(runs: Sequence[Curve], random: Sequence[Curve]) -> tuple[str, list[float]]:
    if not runs:
        return "-", []
    found: dict[int, list[float]] = defaultdict(list)
    for curve in runs:
        for labels, value in curve:
            found[labels].append(100 * value)
    means = [float(np.mean(found[labels])) for labels in _SHOWN]
    middle = _SHOWN[1]
    pairs = zip(runs, random, strict=False)
    gain, half = interval([100 * (dict(a)[middle] - dict(b)[middle]) for a, b in pairs])
    words = [f"{mean:.1f}" for mean in means]
    if runs is not random:
        words[1] += f" ({gain:+.1f} ± {half:.1f})"
    return "; ".join(words), means


if __name__ == "__main__":
    main()
