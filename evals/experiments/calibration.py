"""Whether a machine's label is right as often as the run says: ECE and a reliability diagram.

    python -m querist.evals.experiments.calibration --datasets sst2 trec6 [--plot FILE.svg]
    python -m querist.evals.experiments.calibration --workspaces FOLDER...

Makes runs in which people label 100 texts and the embedded model nearly all others (1,500 texts,
four rounds), or reads those of workspaces, whose pool has known answers, and compares
what each says of its machine labels, `p_correct` as it stands at the end, with whether they are
right. The data sets are told apart by the task's name; a run without machine labels is left out,
and so is one whose annotator was not calibrated, since too few people answered.
ECE is over ten bins of equal width (Naeini et al., 2015); that of a run that is honest about as
many labels, by simulation, stands beside it, since chance alone makes it more than 0.
"""

from __future__ import annotations

import argparse
import asyncio
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from querist.evals.experiments.accuracy_per_dollar import draw_cell, task_of
from querist.graph.config import make_config
from querist.graph.run import Run
from querist.memory.store import open_store
from querist.tools.compute.arrays import FloatArray
from querist.tools.opinions.calibration import expected_calibration_error
from querist.tools.opinions.reliability import OWN_CALIBRATION

_BINS = 10
_DRAWS = 500


@dataclass(frozen=True, slots=True, eq=False)
class Said:
    """What was said of N machine labels, and whether they are right."""

    chances: FloatArray
    right: FloatArray


def main() -> None:
    """Print the table, and draw the diagram if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workspaces", nargs="+", type=Path, default=[])
    parser.add_argument("--datasets", nargs="+", default=[])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--work", type=Path, default=Path(".querist/calibration"))
    parser.add_argument("--pool", type=int, default=1_500)
    parser.add_argument("--test", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--batch", type=int, default=375)
    parser.set_defaults(steps=0)  # of tuning, which a cell names and no run here does
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    found: dict[str, list[Said]] = defaultdict(list)
    for workspace in [*options.workspaces, *_made(options)]:
        for name, said in _runs(workspace):
            found[name].append(said)
    together = {name: _joined(parts) for name, parts in sorted(found.items())}
    print("| data | runs | machine labels | said right | are right | ECE | ECE of an honest run |")
    print("|---|---|---|---|---|---|---|")
    for name, said in together.items():
        cells = [name, str(len(found[name])), f"{len(said.right):,}", f"{said.chances.mean():.3f}"]
        cells += [f"{said.right.mean():.3f}", f"{ece(said):.3f}", f"{honest_ece(said):.3f}"]
        print(f"| {' | '.join(cells)} |")
    if options.plot:
        _draw(together, options.plot)


def _made(options: argparse.Namespace) -> Iterator[Path]:
    """Make the runs that are missing."""
    for seed in range(options.seeds):
        for dataset in options.datasets:
            cell = draw_cell(dataset, seed, options)
            done = cell.work / "done"
            if not done.exists():
                with open_store(cell.work) as store:
                    run = Run.create(make_config(task_of(cell), source=dataset), store)
                    asyncio.run(run.drive())
                done.touch()
            yield cell.work


def _runs(workspace: Path) -> Iterator[tuple[str, Said]]:
    """Read the runs of a workspace that have machine labels."""
    with open_store(workspace) as store:
        for name in [row.id for row in Run.open(store).view().runs.all() if row.kind == "loop"]:
            view = Run.open(store, name).view()
            if view.labelling.counts().get("human", 0) < OWN_CALIBRATION:
                continue
            labels = [label for label in view.labelling.labels() if label.source == "llm"]
            examples = view.view.get([label.example for label in labels])
            rows = [
                (label.p_correct, label.answer == example.gold)
                for label, example in zip(labels, examples, strict=True)
                if example.gold is not None
            ]
            if rows:
                yield view.task.name, Said(*np.array(rows, dtype=np.float64).T)


def _joined(parts: Sequence[Said]) -> Said:
    return Said(
        np.concatenate([part.chances for part in parts]),
        np.concatenate([part.right for part in parts]),
    )


def ece(said: Said) -> float:
    """How far `p_correct` and the share that is right lie apart."""
    # As if of two classes, the label and all others, with the label named whatever its chance.
    return _gap(said.chances, said.right)


def honest_ece(said: Said, *, seed: int = 0) -> float:
    """What it would be on average if each label were right exactly as often as is said."""
    rng = np.random.default_rng(seed)
    drawn = rng.random((_DRAWS, len(said.chances))) < said.chances
    return float(np.mean([_gap(said.chances, right.astype(np.float64)) for right in drawn]))


def _gap(chances: FloatArray, right: FloatArray) -> float:
    probabilities = np.stack([chances, np.zeros_like(chances)], axis=1)
    return expected_calibration_error(probabilities, np.stack([right, 1 - right], axis=1))


def _draw(together: Mapping[str, Said], path: Path) -> None:
    """Draw how often labels are right against how sure the run is of them."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, panel = plt.subplots(figsize=(4.6, 4.2))
    panel.plot([0, 1], [0, 1], ls=":", color="grey")
    for name, said in together.items():
        places = np.clip(np.ceil(said.chances * _BINS - 1e-9).astype(int) - 1, 0, _BINS - 1)
        kept = [place for place in np.unique(places) if (places == place).sum() >= _BINS]
        sure = [said.chances[places == place].mean() for place in kept]
        panel.plot(sure, [said.right[places == place].mean() for place in kept], "o-", label=name)
    panel.set(xlabel="said to be right", ylabel="are right", xlim=(0, 1), ylim=(0, 1))
    panel.legend(fontsize=7)
    panel.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(path)


if __name__ == "__main__":
    main()
