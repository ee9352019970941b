"""What gates and learning are worth where every skill and every truth is known.

    python -m querist.evals.creation.known_skills [gates] [asked] [solvers] [learning]

`gates`: precision, loss, tries and dollars of each gate alone and of all; `asked`: the error that a
threshold asks for against the true one; `solvers`: the same for questions; `learning`: the
generator's Thompson sampling against methods in turn, and against a plan that knows the best one.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from querist.agents.models.port import ChatModel
from querist.evals.creation.one_job import STRONG, WEAK, WRITER, Ran, run_job, told
from querist.evals.creation.plans import BestKnown, InTurn, run_plan
from querist.evals.creation.scripted_questions import RECORD, TOPICS, Questions, is_hard, is_sound
from querist.evals.creation.scripted_world import LABELS, METHODS, World
from querist.tools.arms.protocol import wilson
from querist.tools.arms.thompson import Choose, choose_by_yield

_STRONG, _WEAK = (0.8, 1.0), (0.4, 1.0)
"""Chances of being right: 0.9 and 0.7 on average."""
_BOTH = f"rubric(aspects='correct', by='{WEAK}')"
_GATES: Mapping[str, tuple[str, ...]] = {
    "none": (),
    "classifier": ("classifier",),
    "label_check, strong": ("label_check",),
    "label_check, weak": (f"label_check(by='{WEAK}')",),
    "rubric, weak": (_BOTH,),
    "all together": ("exact", "embedding", "classifier", "label_check", _BOTH),
}
_SOLVERS: Mapping[str, tuple[str, ...]] = {
    "none": (),
    "solver, 1 try": (f"solver(weak='{WEAK}', tries=1)",),
    "solver, 3 tries": (f"solver(weak='{WEAK}', tries=3)",),
    "rubric, strong": ("rubric(aspects='correct')",),
    "all together": ("exact", "rubric(aspects='correct')", f"solver(weak='{WEAK}', tries=3)"),
}


def run_world(world: World, gates: Sequence[str], *, rows: int) -> Ran:
    """Work off one job of labelled texts."""
    models: list[ChatModel] = [
        world.writer(WRITER),
        world.checker(STRONG, low=_STRONG[0], high=_STRONG[1]),
        world.checker(WEAK, low=_WEAK[0], high=_WEAK[1]),
    ]
    body = {
        "task": {"labels": list(LABELS)},
        "rows": rows,
        "methods": METHODS,
        "gates": ("schema", *gates),
        "seed": world.seed,
    }
    return run_job(body, models, seeds=world.seeds())


def _gates_table(seeds: int, rows: int) -> str:
    lines = [
        "| gates | right among accepted | right rows lost | tries a row | USD per 1,000 rows |",
        "|---|---|---|---|---|",
    ]
    for name, gates in _GATES.items():
        found = [
            judge(run_world(world, gates, rows=rows), _is_right(world))
            for world in map(World.drawn, range(seeds))
        ]
        lines.append(f"| {name} | {_cells(found)} |")
    return "\n".join(lines)


def _is_right(world: World) -> Callable[[Mapping[str, str]], bool]:
    return lambda row: world.truth(row["text"]) == row["label"]


def judge(
    ran: Ran, is_right: Callable[[Mapping[str, str]], bool]
) -> tuple[float, float, float, float]:
    """Give precision, the share of right rows that gates rejected, tries and USD per 1,000 rows."""

    def truths(wanted: Callable[[str], bool]) -> list[bool]:
        return [
            is_right({**row.record, "label": row.label or ""})
            for row in ran.rows
            if wanted(row.status)
        ]

    kept, all_ = truths(lambda status: status == "accepted"), truths(lambda _: True)
    lost = sum(truths(lambda status: status == "rejected"))
    return (
        float(np.mean(kept)) if kept else float("nan"),
        lost / max(1, sum(all_)),
        ran.tries_per_accepted,
        1_000 * ran.usd_per_accepted,
    )


def _cells(found: Sequence[tuple[float, float, float, float]]) -> str:
    precision, lost, tries, usd = zip(*found, strict=True)
    return " | ".join([told(precision, ".1%"), told(lost, ".1%"), told(tries), told(usd)])


def _asked_table(seeds: int, rows: int) -> str:
    lines = [
        "| checker | asked: an error below | stated by the scores | true error | rows |",
        "|---|---|---|---|---|",
    ]
    for who, by in (("strong", ""), ("weak", f"by='{WEAK}', ")):
        for least in (0.5, 0.8, 0.9, 0.95):
            wrong, said = [], []
            for world in map(World.drawn, range(seeds)):
                ran = run_world(world, [f"label_check({by}least={least})"], rows=rows)
                wrong += [world.truth(row.text) != row.label for row in ran.accepted]
                said += [1 - row.scores["label_check"] for row in ran.accepted]
            low, high = wilson(float(np.mean(wrong)), len(wrong))
            lines.append(
                f"| {who} | {1 - least:.0%} | {np.mean(said):.1%} | {np.mean(wrong):.1%} "
                f"({low:.1%} to {high:.1%}) | {len(wrong):,} |"
            )
    return "\n".join(lines)


def _solvers_table(seeds: int, rows: int) -> str:
    lines = [
        "| gates | right answers | right and hard | those lost | tries a row | USD per 1,000 |",
        "|---|---|---|---|---|---|",
    ]
    for name, gates in _SOLVERS.items():
        ran = [_run_questions(seed, gates, rows=rows) for seed in range(seeds)]
        right = [judge(result, is_sound)[0] for result in ran]
        found = [judge(result, lambda row: is_sound(row) and is_hard(row)) for result in ran]
        lines.append(f"| {name} | {told(right, '.1%')} | {_cells(found)} |")
    return "\n".join(lines)


def _run_questions(seed: int, gates: Sequence[str], *, rows: int) -> Ran:
    """Work off one job of questions; of hard ones strong solves 0.9 and weak 0.3."""
    world = Questions(seed, {"rents": 0.8, "repairs": 0.5})
    models: list[ChatModel] = [
        world.writer(WRITER),
        world.solver(STRONG, hard=0.9, easy=0.98),
        world.solver(WEAK, hard=0.3, easy=0.9),
    ]
    body = {
        "record": {"schema": dict(RECORD)},
        "attributes": {"topic": {"values": TOPICS}},
        "rows": rows,
        "gates": ("schema", *gates),
        "seed": seed,
    }
    return run_job(body, models)


def _learning_table(seeds: int) -> str:
    lines = [
        "| worlds | rows | plan | tries a row | USD per 1,000 | fewer tries a row | USD less, % |",
        "|---|---|---|---|---|---|---|",
    ]
    for words, low, high, dear, sizes in (
        ("hit rates 0.2 to 0.95, prices alike", 0.2, 0.95, False, (60, 200)),
        ("hit rates 0.2 to 0.95, prices 1 to 8", 0.2, 0.95, True, (60, 200)),
        ("all hit rates 0.6, prices alike", 0.6, 0.6, False, (60,)),
    ):
        for rows in sizes:
            worlds = [World.drawn(seed, low=low, high=high, dear=dear) for seed in range(seeds)]
            lines += _learning(words, worlds, rows=rows, with_best=not dear and low < high)
    return "\n".join(lines)


def _learning(words: str, worlds: Sequence[World], *, rows: int, with_best: bool) -> list[str]:
    plans: dict[str, Callable[[World], Choose]] = {
        "in turn": lambda _: InTurn(),
        "learning": lambda _: choose_by_yield,
    }
    if with_best:
        plans["best known"] = lambda world: BestKnown(world.hits)
    done = {
        name: [run_plan(world, rows=rows, choose=plan(world)) for world in worlds]
        for name, plan in plans.items()
    }
    lines = []
    for name, ran in done.items():
        tries, usd = paired(done["in turn"], ran)
        more = "| - | - |" if name == "in turn" else f"| {told(tries)} | {told(usd, '.0f')} |"
        lines.append(
            f"| {words} | {rows} | {name} | {told([result.tries_per_accepted for result in ran])} "
            f"| {told([1_000 * result.usd_per_accepted for result in ran])} {more}"
        )
    return lines


def paired(fixed: Sequence[Ran], other: Sequence[Ran]) -> tuple[list[float], list[float]]:
    """Give per seed how many tries a row fewer the other took, and what share of USD less (%)."""
    pairs = list(zip(fixed, other, strict=True))
    tries = [result.tries_per_accepted - two.tries_per_accepted for result, two in pairs]
    return tries, [
        100 * (1 - two.usd_per_accepted / result.usd_per_accepted) for result, two in pairs
    ]


def main() -> None:
    """Print the tables that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", nargs="*", default=["gates", "asked", "solvers", "learning"])
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--worlds", type=int, default=24, help="of the table on learning")
    parser.add_argument("--rows", type=int, default=120)
    options = parser.parse_args()
    makers: Mapping[str, Callable[[], str]] = {
        "gates": lambda: _gates_table(options.seeds, options.rows),
        "asked": lambda: _asked_table(options.seeds, options.rows),
        "solvers": lambda: _solvers_table(options.seeds, options.rows),
        "learning": lambda: _learning_table(options.worlds),
    }
    for name in options.tables:
        print(f"{name}\n\n{makers[name]()}\n", flush=True)


if __name__ == "__main__":
    main()
