"""The calls of a wave: how many the budget controller may allow, and what each one asks for.

Everything is a pure function of progress, the wave's number and the agents' rulings, so that a wave
that is planned again after a crash makes the same calls.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from heapq import nlargest

import numpy as np
from numpy.typing import NDArray

from querist.agents.generator.creating import (
    ArmRecord,
    CellNeed,
    Writing,
    WritingEvidence,
    spec_by,
)
from querist.agents.generator.methods.port import METHODS, Ask, Brief, prompt_version
from querist.agents.selector.creating import SeedEvidence, Showing
from querist.agents.selector.creating import rule as show_by_rules
from querist.graph.jobs.creation.progress import REPLY, Progress
from querist.graph.jobs.creation.showing import Shelf
from querist.graph.jobs.request import CreateRequest
from querist.graph.jobs.workbench import Seeds
from querist.memory.records import Example, Task
from querist.tools.arms.thompson import Choose, Tries, choose_by_yield
from querist.tools.calls import read_call

_REMEMBERED = 120
"""Rejected rows of a label that guidelines are drawn from."""
_MOST_REASONS = 6
_LONGEST_GUIDELINE = 140
_FIRST_WAVE = 4
"""Calls of the first wave, or a quarter of those in flight if that is more; each later one may have
twice as many, so that little is spent before anything was learnt."""
_IN_TURN = 5
"""How often a wave may fill what is in flight: at its end less and less is under way, and while the
gates look at it nothing is written."""
_QUIET = frozenset({REPLY, "label_check", "classifier", "reward", "trial"})
"""What a writer learns nothing from: a rejected label says nothing of the wording."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the writer."""

    cell: int
    arm: tuple[str, str]
    """Method and label."""
    ask: Ask
    parents: tuple[Example, ...]
    passage: Example | None
    version: str


@dataclass(frozen=True, slots=True)
class Size:
    """How large a wave may be."""

    enough: int
    """Calls that would write all that is missing, at the share accepted so far."""
    most: int

    @property
    def calls(self) -> int:
        """What the rules take."""
        return max(1, min(self.enough, self.most))


class Planner:
    """Plans waves, and says what the agents need to know for it."""

    def __init__(
        self,
        request: CreateRequest,
        task: Task,
        seeds: Seeds,
        *,
        choose: Choose = choose_by_yield,
        embed: Callable[[Sequence[str]], NDArray[np.float32]] | None = None,
    ) -> None:
        """`seeds` may be empty, if the methods need none; `choose` takes the method of a call.

        Without `embed` seeds can be drawn at random only.
        """
        self.spec = spec_by(choose)
        """The generator, as this job has it."""
        self.shelf = Shelf(seeds, embed=embed)
        self._request, self._task, self._seeds = request, task, seeds
        self._methods = {read_call(text)[0]: METHODS.read(text) for text in request.methods}

    def size(self, progress: Progress, *, in_flight: int) -> Size:
        """Tell how many calls the next wave needs, and how many it may have."""
        open_cells = progress.open_cells(self._request.patience)
        missing = sum(progress.lacking(cell) for cell in open_cells)
        share = _share(progress)
        enough = int(np.ceil(missing / (self._request.per_call * max(share, 0.05))))
        first = max(_FIRST_WAVE, in_flight // 4)
        most = min(max(first, _IN_TURN * in_flight), first * 2 ** min(progress.waves, 12))
        return Size(max(1, enough), most)

    def wave(self, progress: Progress, *, in_flight: int) -> list[Call]:
        """Plan the next wave by rules alone; no calls where no open cell is left."""
        if not progress.open_cells(self._request.patience):
            return []
        size = self.size(progress, in_flight=in_flight)
        plan = self.spec.rule(self.for_writing(progress, calls=size.calls))
        return self.calls(progress, plan, show_by_rules(self.for_showing(progress)))

    # ------------------------------------------------------------ what the agents know

    def for_writing(self, progress: Progress, *, calls: int) -> WritingEvidence:
        """Gather the generator's evidence."""
        request = self._request
        # Each call is for the cell that lacks most, so no more cells than calls come into question.
        cells = nlargest(
            calls,
            progress.open_cells(request.patience),
            key=lambda i: (progress.lacking(i) / progress.wanted[i], -i),
        )
        needs = tuple(self._need(cell, progress) for cell in cells)
        labels = dict.fromkeys(need.label for need in needs)
        reasons = {label: self._reasons(progress, label) for label in labels}
        return WritingEvidence(
            wave=progress.waves,
            seed=request.seed,
            calls=calls,
            per_call=request.per_call,
            share=_share(progress),
            cells=needs,
            arms=_arms(progress.tries),
            reasons={label: told for label, told in reasons.items() if told},
            methods={name: METHODS.find(name).card.summary for name in self._methods},
        )

    def _need(self, cell: int, progress: Progress) -> CellNeed:
        spec = progress.cells[cell]
        methods = tuple(name for name in self._methods if self._can(name, spec.label))
        lacking, wanted = progress.lacking(cell), progress.wanted[cell]
        return CellNeed(cell, spec.name, spec.label or "", wanted, lacking, methods)

    def _can(self, name: str, label: str | None) -> bool:
        needs = self._methods[name].needs
        lacks_label = label is not None and not self._seeds.by_label.get(label)
        return not ("labels" in needs and lacks_label)

    def _reasons(self, progress: Progress, label: str) -> tuple[str, ...]:
        """Draw the commonest reasons of rejection, each told by its latest case."""
        if not self._request.learn:
            return ()
        rows = [
            row for row in progress.rejected.get(label, ())[-_REMEMBERED:] if row.gate not in _QUIET
        ]
        counts = Counter(row.gate for row in rows)
        latest: Mapping[str, str] = {row.gate: row.reason for row in rows}
        return tuple(
            latest[gate][:_LONGEST_GUIDELINE] for gate, _ in counts.most_common(_MOST_REASONS)
        )

    def for_showing(self, progress: Progress) -> SeedEvidence:
        """Gather the selector's evidence, without what came of earlier waves."""
        seeds, section = self._seeds, self._request.seeds
        counts = {name: len(rows) for name, rows in seeds.by_label.items()}
        if bare := len(seeds.rows) - sum(counts.values()):
            counts[""] = bare
        return SeedEvidence(
            wave=progress.waves,
            seeds=counts,
            strategy=section.show,
            possible=self.shelf.possible,
            shown=section.shown,
        )

    # ------------------------------------------------------------ the calls

    def calls(self, progress: Progress, plan: Writing, showing: Showing) -> list[Call]:
        """Put the calls of a plan together."""
        # Apart from the numbers that the plan was drawn by, which is another agent's.
        rng = np.random.default_rng([self._request.seed, progress.waves, 1])
        found: list[Call] = []
        for portion in plan.plan:
            for _ in range(portion.calls):
                sample = progress.calls + len(found)
                arm = (portion.method, progress.cells[portion.cell].label or "")
                warned = plan.guidelines.get(arm[1], ())
                brief = self._brief(progress, portion.cell, arm[0], showing, rng, sample=sample)
                found.append(self._call(brief, warned, portion.cell, arm))
        return found

    def _brief(
        self,
        progress: Progress,
        cell: int,
        method: str,
        showing: Showing,
        rng: np.random.Generator,
        *,
        sample: int,
    ) -> Brief:
        spec, needs = progress.cells[cell], self._methods[method].needs
        other = self._other(spec.label, rng) if "labels" in needs else ""
        shelf, request = self.shelf, self._request
        return Brief(
            self._task,
            spec.label,
            dict(spec.attributes),
            shelf.draw(spec.label, showing.shown, way=showing.strategy, rng=rng),
            request.per_call,
            # Other numbers for another seed: else one job would replay the other's rows.
            request.seed * 10_000_000 + sample,
            other=other,
            others=shelf.draw_other(other, showing.shown, way=showing.strategy, rng=rng),
            passage=shelf.draw_passage(rng) if "passages" in needs else None,
            schema=None if request.record is None else request.record.json_schema,
            tokens=request.tokens,
        )

    def _call(
        self, brief: Brief, guidelines: tuple[str, ...], cell: int, arm: tuple[str, str]
    ) -> Call:
        brief = replace(brief, guidelines=guidelines)
        parents = brief.others[:1] if arm[0] == "contrast" else brief.shown
        ask = self._methods[arm[0]].ask(brief)
        return Call(cell, arm, ask, parents, brief.passage, prompt_version(arm[0], brief))

    def _other(self, label: str | None, rng: np.random.Generator) -> str:
        by_label, confused = self._seeds.by_label, self._request.seeds.confused.get(label or "")
        if confused in by_label and confused != label:
            return str(confused)
        names = [name for name in by_label if name != label]
        return names[int(rng.integers(len(names)))] if names else ""


def _share(progress: Progress) -> float:
    """Estimate the share of rows that are accepted (Laplace's rule of succession)."""
    return (progress.total + 1) / (progress.written + 2)


def _arms(tries: Mapping[object, Tries]) -> tuple[ArmRecord, ...]:
    return tuple(
        ArmRecord(arm[0], arm[1], known.written, known.accepted, known.usd)
        for arm, known in tries.items()
        if isinstance(arm, tuple)
    )
