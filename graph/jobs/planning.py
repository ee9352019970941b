"""What to write next: which cells lack rows, by which method, shown which seeds, warned of what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from querist.agents.generator.methods.port import METHODS, Ask, Brief, prompt_version
from querist.graph.jobs.cells import Cell, quotas
from querist.graph.jobs.request import CreateRequest
from querist.graph.jobs.workbench import Seeds
from querist.memory.creations import CreatedRow
from querist.memory.records import Example, Task
from querist.tools.arms.thompson import Choose, Tries, choose_by_yield
from querist.tools.calls import read_call

_SHOWN = 4
_REMEMBERED = 120
"""Rejected rows of a label that guidelines are drawn from."""
_MOST_GUIDELINES = 3
_LONGEST_GUIDELINE = 140
_FIRST_WAVE = 4
"""Calls of the first wave; each later one may have twice as many, so that little is spent before
anything was learnt."""
REPLY = "reply"
"""What a reply without rows is counted under, as gates are."""
COPIES = frozenset({"exact", "minhash", "embedding"})
_QUIET = frozenset({REPLY, "label_check", "classifier"})
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


@dataclass(slots=True)
class Progress:
    """What is known of a job; from its rows alone, so that a crash loses none of it."""

    cells: Sequence[Cell]
    wanted: Sequence[int]
    accepted: list[int] = field(init=False)
    dry: list[int] = field(init=False)
    """Rows of each cell since one was accepted."""
    tries: dict[Hashable, Tries] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)
    rejected: dict[str, list[CreatedRow]] = field(default_factory=dict)
    recent: list[str] = field(default_factory=list)
    """What became of the last rows: a gate's name, or "" for those that passed."""
    calls: int = 0
    waves: int = 0
    _places: dict[tuple[str | None, tuple[tuple[str, str], ...]], int] = field(init=False)

    def __post_init__(self) -> None:
        self.accepted = [0] * len(self.cells)
        self.dry = [0] * len(self.cells)
        self._places = {(cell.label, cell.attributes): i for i, cell in enumerate(self.cells)}

    @classmethod
    def of(cls, cells: Sequence[Cell], rows: int) -> Progress:
        """Begin."""
        return cls(cells, quotas(cells, rows))

    @property
    def total(self) -> int:
        """How many rows were accepted."""
        return sum(self.accepted)

    @property
    def written(self) -> int:
        """How many rows were written, those included that could not be read."""
        return sum(tries.written for tries in self.tries.values())

    def take(self, row: CreatedRow) -> None:
        """Take in what became of a row."""
        cell = self._places[row.label, tuple(row.attributes.items())]
        arm = (row.method, row.label or "")
        passed = row.status in ("accepted", "spare")
        known = self.tries.get(arm, Tries())
        self.tries[arm] = known.plus(written=1, accepted=int(passed), usd=float(row.usd))
        if row.status == "unchecked":
            return
        self.recent.append(row.gate)
        self.dry[cell] = 0 if passed else self.dry[cell] + 1
        if row.status == "accepted":
            self.accepted[cell] += 1
            self.texts.append(row.text)
        elif row.status == "rejected":
            self.rejected.setdefault(row.label or "", []).append(row)

    def lacking(self, cell: int) -> int:
        """How many rows a cell still lacks."""
        return self.wanted[cell] - self.accepted[cell]

    def open_cells(self, patience: int) -> list[int]:
        """List the cells that lack rows and have not run dry."""
        return [
            cell
            for cell in range(len(self.cells))
            if self.lacking(cell) > 0 and self.dry[cell] < patience
        ]


class Planner:
    """Plans waves: a pure function of progress and the wave's number."""

    def __init__(
        self,
        request: CreateRequest,
        task: Task,
        seeds: Seeds,
        *,
        choose: Choose = choose_by_yield,
    ) -> None:
        """`seeds` may be empty, if the methods need none; `choose` takes the method of a call."""
        self._choose = choose
        self._request, self._task, self._seeds = request, task, seeds
        self._methods = {read_call(text)[0]: METHODS.read(text) for text in request.methods}

    def wave(self, progress: Progress, *, in_flight: int) -> list[Call]:
        """Plan the calls of the next wave; none where no open cell is left."""
        request = self._request
        rng = np.random.default_rng([request.seed, progress.waves])
        open_cells = progress.open_cells(request.patience)
        if not open_cells:
            return []
        share = (progress.total + 1) / (progress.written + 2)
        missing = sum(progress.lacking(cell) for cell in open_cells)
        enough = int(np.ceil(missing / (request.per_call * max(share, 0.05))))
        most = min(max(_FIRST_WAVE, 2 * in_flight), _FIRST_WAVE * 2 ** min(progress.waves, 12))
        planned: Counter[int] = Counter()
        calls = []
        for place in range(max(1, min(enough, most))):
            # The cell that lacks most of what it is to have, with what is planned counted in.
            cell = max(
                open_cells,
                key=lambda i: (
                    (progress.lacking(i) - planned[i] * share) / progress.wanted[i],
                    -i,
                ),
            )
            planned[cell] += request.per_call
            calls.append(self._call(cell, progress, rng, sample=progress.calls + place))
        return calls

    def _call(
        self, cell: int, progress: Progress, rng: np.random.Generator, *, sample: int
    ) -> Call:
        spec = progress.cells[cell]
        names = [name for name in self._methods if self._can(name, spec.label)]
        arms = [(name, spec.label or "") for name in names]
        arm = arms[self._choose(arms, progress.tries, rng=rng)]
        seeds = self._seeds
        own = seeds.by_label.get(spec.label or "", ()) if spec.label else seeds.rows
        shown = _draw(own or (() if seeds.by_label else seeds.rows), _SHOWN, rng)
        needs = self._methods[arm[0]].needs
        other = self._other(spec.label, rng) if "labels" in needs else ""
        others = _draw(seeds.by_label.get(other, ()), _SHOWN, rng)
        passage = _draw(seeds.passages, 1, rng)[0] if "passages" in needs else None
        brief = Brief(
            self._task,
            spec.label,
            dict(spec.attributes),
            shown,
            self._request.per_call,
            # Other numbers for another seed: else one job would replay the other's rows.
            self._request.seed * 10_000_000 + sample,
            other=other,
            others=others,
            passage=passage,
            guidelines=self._guidelines(progress, spec.label) if self._request.learn else (),
            schema=None if self._request.record is None else self._request.record.json_schema,
            tokens=self._request.tokens,
        )
        parents = others[:1] if arm[0] == "contrast" else shown
        return Call(
            cell,
            arm,
            self._methods[arm[0]].ask(brief),
            parents,
            passage,
            prompt_version(arm[0], brief),
        )

    def _can(self, name: str, label: str | None) -> bool:
        needs = self._methods[name].needs
        lacks_label = label is not None and not self._seeds.by_label.get(label)
        return not ("labels" in needs and lacks_label)

    def _other(self, label: str | None, rng: np.random.Generator) -> str:
        names = [name for name in self._seeds.by_label if name != label]
        return names[int(rng.integers(len(names)))] if names else ""

    def _guidelines(self, progress: Progress, label: str | None) -> tuple[str, ...]:
        """Draw the commonest reasons of rejection, each told by its latest case."""
        rows = [
            row
            for row in progress.rejected.get(label or "", ())[-_REMEMBERED:]
            if row.gate not in _QUIET
        ]
        counts = Counter(row.gate for row in rows)
        latest: Mapping[str, str] = {row.gate: row.reason for row in rows}
        return tuple(
            latest[gate][:_LONGEST_GUIDELINE] for gate, _ in counts.most_common(_MOST_GUIDELINES)
        )


def _draw(examples: Sequence[Example], count: int, rng: np.random.Generator) -> tuple[Example, ...]:
    if not examples:
        return ()
    places = rng.permutation(len(examples))[:count]
    return tuple(examples[int(place)] for place in places)
