"""How far a job is: counted from its rows and the accounts of its waves, and from nothing else."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from querist.graph.jobs.cells import Cell, quotas
from querist.memory.records import Round
from querist.memory.workspace.creations import CreatedRow
from querist.tools.arms.thompson import Tries

REPLY = "reply"
"""What a reply without rows is counted under, as gates are."""
COPIES = frozenset({"exact", "minhash", "embedding"})
"""The gates that reject what is not new."""
_LATELY = 8
"""Waves that a forecast is made from."""


@dataclass(slots=True)
class Progress:
    """What is known of a job; a crash loses none of it."""

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
    total: int = 0
    """Rows that were accepted."""
    written: int = 0
    """Rows that were written, those included that could not be read."""
    calls: int = 0
    waves: int = 0
    seen: Counter[str] = field(default_factory=Counter)
    passed: Counter[str] = field(default_factory=Counter)
    """By gate, in the order in which rows meet them."""
    rejections: Counter[str] = field(default_factory=Counter)
    latest: dict[str, str] = field(default_factory=dict)
    """By gate: the reason of its latest rejection."""
    lately: deque[Round] = field(default_factory=lambda: deque(maxlen=_LATELY + 1))
    """The accounts of the last waves, one more than a forecast is made from."""
    _places: dict[tuple[str | None, tuple[tuple[str, str], ...]], int] = field(init=False)

    def __post_init__(self) -> None:
        self.accepted = [0] * len(self.cells)
        self.dry = [0] * len(self.cells)
        self._places = {(cell.label, cell.attributes): i for i, cell in enumerate(self.cells)}

    @classmethod
    def of(cls, cells: Sequence[Cell], rows: int) -> Progress:
        """Begin."""
        return cls(cells, quotas(cells, rows))

    def take(self, row: CreatedRow) -> None:
        """Take in what became of a row."""
        cell = self._places[row.label, tuple(row.attributes.items())]
        arm = (row.method, row.label or "")
        passed = row.status in ("accepted", "spare")
        known = self.tries.get(arm, Tries())
        self.tries[arm] = known.plus(written=1, accepted=int(passed), usd=float(row.usd))
        self.written += 1
        if row.status == "unchecked":
            return
        self.recent.append(row.gate)
        self.dry[cell] = 0 if passed else self.dry[cell] + 1
        if row.status == "accepted":
            self.accepted[cell] += 1
            self.total += 1
            self.texts.append(row.text)
        elif row.status == "rejected":
            self.rejected.setdefault(row.label or "", []).append(row)
            self.rejections[row.gate] += 1
            self.latest[row.gate] = row.reason

    def note(self, account: Round) -> None:
        """Take in the account of a wave."""
        self.waves += 1
        self.calls += int(str(account.detail["calls"]))
        gates = account.detail.get("gates")
        for name, (seen, passed) in (gates if isinstance(gates, dict) else {}).items():
            self.seen[name] += seen
            self.passed[name] += passed
        self.lately.append(account)

    @property
    def each(self) -> Decimal | None:
        """What an accepted row cost in the last waves (USD); None where none came."""
        if not self.lately:
            return None
        is_whole = len(self.lately) <= _LATELY
        rows, usd = (0, Decimal(0)) if is_whole else _stand(self.lately[0])
        last_rows, last_usd = _stand(self.lately[-1])
        return (last_usd - usd) / (last_rows - rows) if last_rows > rows else None

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


def _stand(account: Round) -> tuple[int, Decimal]:
    return account.labelled, account.usd
