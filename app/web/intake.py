"""What the inbox's handlers share: one writer for all people, and figures that are read once.

Fifty people who answer twice a second would hinder each other at the database's lock. So what they
send is collected for some milliseconds and written together.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from querist.app.views.people import alpha_of, open_disputes
from querist.app.views.state.run_view import task_of
from querist.memory.asking.checks import Checks
from querist.memory.asking.inbox import Inbox
from querist.memory.asking.replies import Receipt, Replies, Reply
from querist.memory.group_commit import GroupCommit
from querist.memory.records import Question
from querist.memory.run.runs import RunRow
from querist.memory.store import Store
from querist.tools.kinds import kind_of

_SMALL = 50
"""Questions that are claimed without a pause, and past those who stock up: somebody begins."""
_FRESH = 2.0
"""Seconds for which counts may be told again."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Questions that somebody wants."""

    run: str
    who: str
    count: int
    reason: str | None
    have: tuple[str, ...]
    """What they have on hand."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """Questions for somebody, and which of those on hand are not theirs any more."""

    questions: tuple[Question, ...]
    lost: tuple[str, ...]
    new: tuple[str, ...] = ()
    """Those that nobody, nor they, had before."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Replies that came together."""

    run: str
    replies: tuple[Reply, ...]


@dataclass(frozen=True, slots=True)
class Counts:
    """What is the same for everybody who asks about a run's inbox."""

    by_status: dict[str, int]
    by_reason: dict[str, int]
    holders: dict[str, tuple[int, datetime]]
    unfit: int
    by_person: dict[str, dict[str, int]]
    seconds: dict[str, float]
    alpha: float | None
    disputes: int


@dataclass(slots=True)
class Intake:
    """Writes what people send, and counts. It belongs to one event loop."""

    store: Store
    clock: Callable[[], float] = time.monotonic
    _writer: GroupCommit[Batch, list[Receipt]] = field(init=False)
    _at_the_counter: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)
    _at_the_shelf: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)
    _counts: dict[str, tuple[float, Counts]] = field(default_factory=dict, init=False)
    _kinds: dict[str, str] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self._writer = GroupCommit(self._apply)

    async def claim(self, claim: Claim) -> Claimed:
        """Lease questions to somebody, and keep those that they have; one after the other."""
        if claim.count <= _SMALL:
            async with self._at_the_counter:
                return await asyncio.to_thread(self._serve, claim)
        async with self._at_the_shelf:
            begun = self.clock()
            claimed = await asyncio.to_thread(self._serve, claim)
            # Half of the time is left to answers, where fifty people come at the same moment; when
            # they begin, nobody answers yet.
            if self._writer.is_busy:
                await asyncio.sleep(self.clock() - begun)
            return claimed

    async def take_in(self, batch: Batch) -> list[Receipt]:
        """Write replies down."""
        return await self._writer.submit(batch)

    def counts(self, row: RunRow) -> Counts:
        """Count a run's questions; at most a second old."""
        run = row.id
        at, counts = self._counts.get(run, (0.0, None))
        if counts is None or self.clock() - at > _FRESH:
            inbox, said = Inbox(self.store, run), Checks(self.store, run).opinions()
            counts = Counts(
                inbox.counts(),
                inbox.by_reason(),
                inbox.holders(),
                inbox.unfit(),
                inbox.by_person(),
                Replies(self.store, run).seconds(),
                alpha_of(kind_of(task_of(row)), said) if said else None,
                len(open_disputes(said)),
            )
            self._counts[run] = (self.clock(), counts)
        return counts

    def kind(self, row: RunRow) -> str:
        """Name the kind of a run's task, which never changes."""
        if row.id not in self._kinds:
            self._kinds[row.id] = task_of(row).kind
        return self._kinds[row.id]

    def _apply(self, batches: Sequence[Batch]) -> Sequence[list[Receipt] | Exception]:
        """Write all replies of a run in one transaction."""
        results: dict[int, list[Receipt] | Exception] = {}
        by_run: defaultdict[str, list[tuple[int, Batch]]] = defaultdict(list)
        for place, batch in enumerate(batches):
            by_run[batch.run].append((place, batch))
        for run, some in by_run.items():
            results |= self._write(run, some)
        return [results[place] for place in range(len(batches))]

    def _write(
        self, run: str, batches: Sequence[tuple[int, Batch]]
    ) -> dict[int, list[Receipt] | Exception]:
        replies = [reply for _, batch in batches for reply in batch.replies]
        try:
            receipts = iter(Replies(self.store, run).take_in(replies))
        except Exception as error:  # noqa: BLE001 - raised where each of them waits
            return {place: error for place, _ in batches}
        return {place: [next(receipts) for _ in batch.replies] for place, batch in batches}

    def _serve(self, claim: Claim) -> Claimed:
        inbox = Inbox(self.store, claim.run)
        kept = inbox.renew(claim.who, claim.have) if claim.have else set()
        found: list[Question] = []
        held: set[str] = set()
        if claim.count:
            held = inbox.held(claim.who)
            found = inbox.claim(claim.who, count=claim.count, reason=claim.reason, but=claim.have)
        lost = tuple(name for name in claim.have if name not in kept)
        return Claimed(tuple(found), lost, tuple(q.id for q in found if q.id not in held))
