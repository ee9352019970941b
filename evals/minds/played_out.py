"""States of real runs whose options were all played out: what each ruling led to.

    python -m querist.evals.minds.played_out --datasets trec6 sst2 --seeds 1
    python -m querist.evals.minds.playing --mind rules --mind random --mind expert --mind local

A run by rules (embedded annotator, simulated people) is halted wherever an agent is about to
decide, and its store is copied. From each copy every option is played: the round goes on under that
ruling, all else by rules, the run is ended after the round, and what it would take home (a linear
head on all labels) is tried on test texts that no agent saw. What was gained is counted against
stopping before the round. One line of `outcomes.jsonl` for each ruling played; what is there is not
played again, and states that are missing are recorded again. `playing` scores minds on it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from querist.agents.mind import Agent, Deliberated, Ruling
from querist.evals.experiments.accuracy_per_dollar import data_folder, sample
from querist.graph.config import make_config
from querist.graph.minds.consulting import BRIEFS
from querist.graph.round.knowledge import Knowledge
from querist.graph.round.model_files import current_model, fit_head
from querist.graph.run import Run
from querist.graph.workplace.context import Deliberations
from querist.memory.events import RoundDone
from querist.memory.records import Event, Split
from querist.memory.store import open_store

_DATASETS = ("trec6", "ag_news", "sst2", "subj", "hate_offensive")
AGENTS = (Agent.BUDGET_CONTROLLER, Agent.SELECTOR, Agent.ANNOTATOR, Agent.VERIFIER)
_ROUNDS = (1, 2, 3, 4)
_STRATEGIES = ("random", "margin", "facility_location", "typiclust", "k_means")
_STOP = {"action": "finish", "batch": 0, "questions": 0, "audits": 0, "stop": "command"}
"""A person's command before the round: what any ruling is counted against."""
_LENGTH, _BATCH, _USD, _LABEL_USD = 5, 40, 6, "0.05"


@dataclass(frozen=True, slots=True)
class Situation:
    """An agent about to decide, in a store of its own."""

    dataset: str
    seed: int
    agent: str
    number: int
    """The round."""
    folder: Path

    @property
    def key(self) -> str:
        """Name it in a file."""
        return f"{self.dataset}-{self.seed}-{self.agent}-{self.number}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a ruling led to: right (N,) are the hits on the test texts."""

    situation: str
    ruling: Mapping[str, Any]
    names: tuple[str, ...]
    """What the ruling is called among the options; none if a mind alone thought of it."""
    usd: float
    right: tuple[int, ...]
    seconds: float

    @property
    def accuracy(self) -> float:
        """The share of the test texts that are right."""
        return float(np.mean(self.right))


class _Halt(Exception):
    """Ends the driving where an agent is about to decide."""


def main() -> None:
    """Record the runs and play every option."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs/results/played_out"))
    parser.add_argument("--datasets", nargs="+", default=list(_DATASETS))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--agents", nargs="+", default=list(AGENTS))
    options = parser.parse_args()
    for seed in range(options.seeds):
        for dataset in options.datasets:
            for situation in _record_cell(dataset, seed, options.out):
                if situation.agent in options.agents:
                    Player(options.out, situation).play_options()


def _record_cell(dataset: str, seed: int, out: Path) -> list[Situation]:
    """Halt a run by rules at every decision of interest, and keep its store as it is then."""
    cell = out / "states" / f"{dataset}-{seed}"
    if not (cell / "done").exists():
        shutil.rmtree(cell, ignore_errors=True)
        with open_store(cell / "run") as store:
            asyncio.run(_record(Run.create(_config(dataset, seed, cell), store), cell))
        (cell / "done").touch()
    return [found for found in recorded(out) if (found.dataset, found.seed) == (dataset, seed)]


def recorded(out: Path) -> list[Situation]:
    """List what was recorded."""
    found = []
    for done in sorted(out.glob("states/*/done")):
        dataset, seed = done.parent.name.rsplit("-", 1)
        for folder in sorted(done.parent.glob("at/*")):
            agent, number = folder.name.rsplit("-", 1)
            found.append(Situation(dataset, int(seed), agent, int(number), folder))
    return found


def _config(dataset: str, seed: int, cell: Path) -> Any:
    source = data_folder() / dataset
    cell.mkdir(parents=True, exist_ok=True)
    pool, test = (
        sample(source / f"{part}.jsonl.gz", cell / f"{part}.jsonl", count=1_000, seed=seed)
        for part in ("train", "test")
    )
    meta = json.loads((source / "meta.json").read_text())
    people = {"kind": "simulated"}
    if dataset == "ag_news":
        people["gold"] = "human_label"
    body = {
        "task": {"name": dataset, "instructions": f"{meta['task']}.", "labels": meta["labels"]},
        # Absolute, because a copy of the store lies elsewhere.
        "data": {
            "pool": str(pool.resolve()),
            "test": str(test.resolve()),
            "text": "text",
            "gold": "label",
        },
        "budget": {"usd": _USD, "human_label_usd": _LABEL_USD},
        "people": people,
        "models": {"threads": 1},
        "loop": {"rounds": _LENGTH, "batch": _BATCH, "seed": seed},
        "training": {"target": "linear"},
    }
    return make_config(body, source=dataset)


async def _record(run: Run, cell: Path) -> None:
    halted: set[tuple[str, int]] = set()
    at: tuple[str, int] | None = None

    def halting(agent: str) -> Callable[[Any], Any]:
        async def deliberate(evidence: Any) -> Deliberated[Any]:
            nonlocal at
            place = (agent, evidence.round)
            if evidence.round in _ROUNDS and place not in halted:
                at = place
                raise _Halt
            return Deliberated(BRIEFS[agent].spec.rule(evidence))

        return deliberate

    run.use(deliberations=Deliberations({agent: halting(agent) for agent in AGENTS}))
    while True:
        try:
            await run.drive()
        except _Halt:
            assert at is not None
            halted.add(at)
            shutil.copytree(run.store.folder, cell / "at" / f"{at[0]}-{at[1]}", dirs_exist_ok=True)
        else:
            return


class Player:
    """Plays rulings from one situation, each once."""

    def __init__(self, out: Path, situation: Situation) -> None:
        """Read what was played before."""
        self.situation = situation
        self._path = out / "outcomes.jsonl"
        self.outcomes = {
            _canonical(outcome.ruling): outcome
            for outcome in read_outcomes(out)
            if outcome.situation == situation.key
        }

    def evidence(self) -> Any:
        """What the agent knows, gathered from a copy as the loop gathers it."""
        return asyncio.run(self._drive(None))

    def play_options(self) -> None:
        """Play every option that the bounds of the evidence allow."""
        evidence = self.evidence()
        if self.situation.agent == Agent.BUDGET_CONTROLLER:
            # No option where nothing speaks for it, but what every option is counted against.
            stop = BRIEFS[Agent.BUDGET_CONTROLLER].spec.ruling
            self.play(stop.model_validate({**_STOP, "reason": "To compare."}), ("stop",))
        for ruling, names in _options_of(self.situation.agent, evidence):
            self.play(ruling, names)

    def play(self, ruling: Ruling, names: tuple[str, ...] = ()) -> Outcome:
        """Play a ruling, unless it was."""
        key = _canonical(_plain(ruling))
        if key not in self.outcomes:
            began = time.monotonic()
            usd, right = asyncio.run(self._drive(ruling))
            outcome = Outcome(
                self.situation.key,
                _plain(ruling),
                names,
                usd=usd,
                right=tuple(right),
                seconds=time.monotonic() - began,
            )
            with self._path.open("a") as lines:
                row = asdict(outcome) | {"right": "".join(map(str, outcome.right))}
                lines.write(json.dumps(row) + "\n")
            self.outcomes[key] = outcome
            told = f"{self.situation.key}: {', '.join(names) or key}"
            print(f"{told}: {outcome.accuracy:.3f}, {usd:.2f} USD", file=sys.stderr, flush=True)
        return self.outcomes[key]

    @contextmanager
    def copy(self) -> Iterator[Run]:
        """Open the run in a copy of the situation's store."""
        with tempfile.TemporaryDirectory() as folder:
            shutil.copytree(self.situation.folder, folder, symlinks=True, dirs_exist_ok=True)
            with open_store(Path(folder)) as store:
                yield Run.open(store)

    async def _drive(self, ruling: Ruling | None) -> Any:
        """Play a ruling to the end of its round; without one halt there and give the evidence."""
        seen: list[Any] = []
        wanted = self.situation

        def forced(agent: str) -> Callable[[Any], Any]:
            async def deliberate(evidence: Any) -> Deliberated[Any]:
                if evidence.round == wanted.number and not seen:
                    seen.append(evidence)
                    if ruling is None:
                        raise _Halt
                    return Deliberated(ruling)
                return Deliberated(BRIEFS[agent].spec.rule(evidence))

            return deliberate

        with self.copy() as run:
            run.use(deliberations=Deliberations({wanted.agent: forced(wanted.agent)}))
            before = run.view().ledger.balance().settled

            def end_after_it(event: Event) -> None:
                if isinstance(event.body, RoundDone) and event.body.round >= wanted.number:
                    run.post("stop", who="the experiment")

            if ruling is not None and _plain(ruling) == _STOP:
                run.post("stop", who="the experiment")
            try:
                await run.drive(end_after_it)
            except _Halt:
                return seen[0]
            return float(run.view().ledger.balance().settled - before), await hits_of(run)


async def hits_of(run: Run) -> list[int]:
    """Train on all labels, as what is taken home is, and tell which test texts are right (N,)."""
    async with run.borrowed() as context:
        knowledge = Knowledge(context, model=current_model(context.files), whole=True)
        number = context.journal.rounds()[-1].number
        head = fit_head(context, knowledge.training_set, None, number=number)
        examples = context.view.known(Split.TEST)
        truth = context.answers.places([row.gold for row in examples])
        said = head.predict_proba(context.view.embed(examples)).argmax(axis=1)
        return [int(hit) for hit in said == truth]


def _options_of(agent: str, evidence: Any) -> list[tuple[Ruling, tuple[str, ...]]]:
    """List the rulings to play, each with all its names; the first is the rules'."""
    spec = BRIEFS[agent].spec
    rules = spec.rule(evidence)
    options: dict[str, tuple[Ruling, list[str]]] = {_canonical(_plain(rules)): (rules, ["rules"])}
    for name, change in _CHANGES[agent](evidence, rules).items():
        given = {**rules.model_dump(), **change}
        given |= {part: value(evidence, given) for part, value in BRIEFS[agent].derived.items()}
        try:
            ruling = spec.ruling.model_validate(given)
            if spec.check is not None:
                spec.check(evidence, ruling)
        except ValueError:
            continue
        options.setdefault(_canonical(_plain(ruling)), (ruling, []))[1].append(name)
    return [(ruling, tuple(names)) for ruling, names in options.values()]


def _of_selector(_: Any, __: Any) -> dict[str, dict[str, Any]]:
    return {name: {"strategy": name} for name in _STRATEGIES}


def _of_budget(evidence: Any, rules: Any) -> dict[str, dict[str, Any]]:
    batch, questions = rules.batch, rules.questions
    another = {"action": "select", "batch": batch or evidence.batch}
    return {
        "nobody asked": {**another, "questions": 0},
        "half the questions": {**another, "questions": questions // 2},
        "everything asked": {**another, "questions": batch},
        "half the batch": {**another, "batch": batch // 2, "questions": questions // 2},
        "write": {"action": "generate", "batch": evidence.batch // 2, "questions": 0},
    }


def _of_annotator(evidence: Any, rules: Any) -> dict[str, dict[str, Any]]:
    few = min(4, evidence.bank)
    return {
        "nothing shown": {"shared": 0, "nearest": 0},
        "four for all": {"shared": few, "nearest": 0},
        "the four nearest": {"shared": 0, "nearest": few},
        "eight for all": {"shared": min(8, evidence.bank), "nearest": 0},
        "bias the other way": {"calibrate": not rules.calibrate},
    }


def _of_verifier(evidence: Any, rules: Any) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for accept in (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99):
        # Which texts people are asked about is the point; the others keep the rules' bounds.
        low = {
            "reannotate_below": min(rules.reannotate_below, accept),
            "drop_below": min(rules.drop_below, accept),
        }
        found[f"accept at {accept:g}"] = {"accept_at": accept, **low}
    found["drop below twice a guess"] = {"drop_below": max(2 * evidence.chance, 0.05)}
    found["drop nothing"] = {"drop_below": 0.0}
    return found


_CHANGES: Mapping[str, Callable[[Any, Any], dict[str, dict[str, Any]]]] = {
    Agent.SELECTOR: _of_selector,
    Agent.BUDGET_CONTROLLER: _of_budget,
    Agent.ANNOTATOR: _of_annotator,
    Agent.VERIFIER: _of_verifier,
}


def _plain(ruling: Ruling) -> dict[str, Any]:
    """Give a ruling without its words."""
    return ruling.model_dump(mode="json", exclude={"reason"})


def _canonical(ruling: Mapping[str, Any]) -> str:
    return json.dumps(ruling, sort_keys=True)


def read_outcomes(out: Path) -> list[Outcome]:
    """Read what was played."""
    path = out / "outcomes.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return [
        Outcome(**{**row, "names": tuple(row["names"]), "right": tuple(map(int, row["right"]))})
        for row in map(json.loads, lines)
    ]


if __name__ == "__main__":
    main()
