"""Creating rows: plan a wave, write it, send it through the gates, keep it; until there are enough.

Everything that a wave decides on is in the store when it begins, and all that came of it is written
in one transaction at its end. A process that is killed in between leaves paid calls behind, and the
next one plans the same wave and finds them: nothing is lost, nothing is paid for twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from time import monotonic
from typing import Any

from querist.agents.generator.methods.port import Draft
from querist.agents.models.metered import MeteredReply
from querist.graph.jobs.cells import cells_of
from querist.graph.jobs.checking import Checks, Fate
from querist.graph.jobs.planning import COPIES, REPLY, Call, Planner, Progress
from querist.graph.jobs.workbench import Workbench
from querist.memory.creations import CreatedRow, RowStatus
from querist.memory.errors import BudgetExceeded, QueristError
from querist.memory.records import Round, content_id
from querist.tools.arms.thompson import Choose, choose_by_yield
from querist.tools.gates.port import Candidate
from querist.tools.wording import counted

_SATURATED = 0.1
"""Share of new rows among the last ones below which there is nothing new to be had."""
Listener = Callable[[Round], None]


@dataclass(frozen=True, slots=True)
class Ended:
    """Why a job stopped creating."""

    stop: str
    """rows, cap, deadline, saturated, gates, dry, pause or cancel."""
    reason: str


@dataclass(frozen=True, slots=True)
class _Written:
    """A draft with the call that wrote it; without a record where the reply held none."""

    call: Call
    draft: Draft | None
    usd: Decimal
    trouble: str = ""


class Creation:
    """One job's work in one process."""

    def __init__(
        self,
        workbench: Workbench,
        *,
        deadline: datetime | None = None,
        wish: Callable[[], str] = lambda: "",
        listener: Listener = lambda _: None,
        choose: Choose = choose_by_yield,
    ) -> None:
        """`wish` tells what a person wants (pause, cancel); it is asked between waves."""
        self._bench = workbench
        self._request = request = workbench.request
        self._deadline, self._wish, self._listener = deadline, wish, listener
        cells = cells_of(request.labels, request.shares, request.attributes, request.never)
        self.progress = Progress.of(cells, request.rows)
        self.checks = Checks(workbench)
        self._planner = Planner(request, workbench.task, workbench.seeds, choose=choose)
        self._is_out_of_money = False
        for row in workbench.creations.all():
            self.progress.take(row)
        done = workbench.journal.rounds()
        self.progress.waves = len(done)
        self.progress.calls = sum(int(str(account.detail["calls"])) for account in done)

    async def run(self) -> Ended:
        """Go on until the job ends. Raises what models raise where none of a wave's calls came."""
        while (ended := self._ended()) is None:
            writer = self._bench.writer(self.progress.waves + 1)
            calls = self._planner.wave(self.progress, in_flight=writer.model.in_flight)
            if not calls:
                return self._dry()
            await self._wave(calls)
        return ended

    # ------------------------------------------------------------ a wave

    async def _wave(self, calls: Sequence[Call]) -> None:
        number, began = self.progress.waves + 1, monotonic()
        written = await self._write(calls, number=number)
        readable = [one for one in written if one.draft is not None]
        candidates = [_candidate(one.draft, one.call) for one in readable if one.draft is not None]
        checked = await self.checks.run(candidates, self.progress.texts, number=number)
        self._is_out_of_money |= self.checks.is_out_of_money
        fates = {id(one): fate for one, fate in zip(readable, checked.fates, strict=True)}
        rows = self._judge(written, fates, number=number)
        checked.seen[REPLY] = len(written)
        checked.passed[REPLY] = len(readable)
        gates = {name: [checked.seen[name], checked.passed[name]] for name in checked.seen}
        account = self._account(rows, gates, calls=len(calls), number=number, began=began)
        self._bench.creations.keep(rows, account)
        for row in rows:
            self.progress.take(row)
        self.progress.waves, self.progress.calls = number, self.progress.calls + len(calls)
        self._listener(account)

    async def _write(self, calls: Sequence[Call], *, number: int) -> list[_Written]:
        writer = self._bench.writer(number)
        replies = await writer.complete_all([call.ask.request for call in calls])
        self._refuse_silence(replies)
        written: list[_Written] = []
        for call, reply in zip(calls, replies, strict=True):
            if isinstance(reply, MeteredReply):
                written += self._read(call, reply)
            elif not isinstance(reply, BudgetExceeded):
                written.append(_Written(call, None, Decimal(0), str(reply)))
        return written

    def _refuse_silence(self, replies: Sequence[MeteredReply | QueristError]) -> None:
        errors = [reply for reply in replies if not isinstance(reply, MeteredReply)]
        self._is_out_of_money = any(isinstance(error, BudgetExceeded) for error in errors)
        trouble = [error for error in errors if not isinstance(error, BudgetExceeded)]
        if trouble and len(errors) == len(replies):
            raise trouble[0]

    def _read(self, call: Call, reply: MeteredReply) -> list[_Written]:
        # A reply that was paid for before a crash is replayed for nothing, but it had its price.
        usd = self._bench.ledger.paid([reply.key]) if reply.reply.replayed else reply.usd
        try:
            drafts = call.ask.read(reply.reply.text)
        except ValueError as error:
            return [_Written(call, None, usd, f"{error}: {reply.reply.text[:80]!r}")]
        each = usd / len(drafts)
        return [_Written(call, draft, each) for draft in drafts]

    def _judge(
        self, written: Sequence[_Written], fates: Mapping[int, Fate], *, number: int
    ) -> list[CreatedRow]:
        left = [self.progress.lacking(cell) for cell in range(len(self.progress.cells))]
        rows = []
        for one in written:
            fate = fates.get(id(one))
            status: RowStatus = "rejected"
            if fate is not None and fate.is_unchecked:
                status = "unchecked"
            elif fate is not None and fate.is_open:
                status = "accepted" if left[one.call.cell] > 0 else "spare"
                left[one.call.cell] -= 1
            rows.append(self._row(one, fate, status, number=number))
        return rows

    def _row(
        self, one: _Written, fate: Fate | None, status: RowStatus, *, number: int
    ) -> CreatedRow:
        cell, call = self.progress.cells[one.call.cell], one.call
        parents = [example.id for example in (call.passage, *call.parents) if example is not None]
        record = dict(one.draft.record) if one.draft is not None else {}
        return CreatedRow(
            id=f"row-{content_id(record, cell.label)}",
            record=record,
            label=cell.label,
            attributes=dict(cell.attributes),
            method=call.arm[0],
            status=status,
            gate=REPLY if fate is None else fate.gate,
            reason=one.trouble if fate is None else fate.reason,
            parents=tuple(map(str, parents)),
            evidence=one.draft.quote if one.draft is not None else "",
            scores=dict(fate.scores) if fate is not None else {},
            prompt_version=call.version,
            writer=self._request.models.writer,
            usd=one.usd + (fate.usd if fate is not None else Decimal(0)),
            wave=number,
        )

    def _account(
        self,
        rows: Sequence[CreatedRow],
        gates: Mapping[str, list[int]],
        *,
        calls: int,
        number: int,
        began: float,
    ) -> Round:
        """Say what a wave came to; watchers and the card read nothing else."""
        progress, balance = self.progress, self._bench.ledger.balance()
        accepted = [row for row in rows if row.status == "accepted"]
        passed = sum(row.status in ("accepted", "spare") for row in rows)
        copies = sum(row.gate in COPIES for row in rows)
        near = [row.scores["embedding"] for row in accepted if "embedding" in row.scores]
        detail: dict[str, Any] = {
            "calls": calls,
            "seconds": round(monotonic() - began, 3),
            "written": len(rows),
            "accepted": len(accepted),
            "passed": passed,
            "wanted": self._request.rows,
            "gates": dict(gates),
            "new": 1 - copies / len(rows) if rows else None,
            "novelty": 1 - sum(near) / len(near) if near else None,
            "methods": dict(Counter(row.method for row in rows)),
            "cap": str(balance.cap),
            "out_of_money": self._is_out_of_money,
        }
        total = progress.total + len(accepted)
        return Round(number, total, 0, balance.settled, None, detail=detail)

    # ------------------------------------------------------------ ends

    def _ended(self) -> Ended | None:
        progress, request = self.progress, self._request
        if wish := self._wish():
            return Ended(wish, "As asked.")
        if progress.total >= request.rows:
            return Ended("rows", f"All {request.rows:,} rows are there.")
        if self._deadline is not None and self._bench.store.now() >= self._deadline:
            return Ended("deadline", f"The time is over at {self._so_far()}.")
        recent = progress.recent[-request.patience :]
        if len(recent) == request.patience:
            if all(recent) and not progress.total:
                return Ended("gates", self._hopeless())
            new = sum(gate not in COPIES for gate in recent) / len(recent)
            if new < _SATURATED:
                return Ended(
                    "saturated",
                    f"Of the last {len(recent)} rows {new:.0%} were new: {self._so_far()}. Give "
                    "more seeds, attributes or methods, or allow closer copies.",
                )
        if self._is_out_of_money:
            cap = self._bench.ledger.balance().cap
            return Ended("cap", f"The next call does not fit into {cap:f} USD: {self._so_far()}.")
        return None

    def _so_far(self) -> str:
        return f"{self.progress.total:,} of {counted(self._request.rows, 'row')} were accepted"

    def _dry(self) -> Ended:
        """No cell is left to write for, though rows are missing."""
        progress = self.progress
        if not progress.total:
            return Ended("gates", self._hopeless())
        lacking = [
            f"{cell.name} ({progress.lacking(i)} missing)"
            for i, cell in enumerate(progress.cells)
            if progress.lacking(i) > 0
        ]
        return Ended(
            "dry",
            f"{self._so_far()}. Of the last {self._request.patience} rows for each of these "
            f"none was accepted: {', '.join(lacking[:8])}. {self._what_rejects()}",
        )

    def _hopeless(self) -> str:
        written = self.progress.written
        return f"None of {written:,} rows was accepted. {self._what_rejects()}"

    def _what_rejects(self) -> str:
        rejected = [row for rows in self.progress.rejected.values() for row in rows]
        if not rejected:
            return ""
        gate, count = Counter(row.gate for row in rejected).most_common(1)[0]
        latest = next(row for row in reversed(rejected) if row.gate == gate)
        if gate == REPLY:
            remedy = "name another model, fewer rows a call (per_call), or a simpler schema"
            return (
                f"{count:,} replies held no rows that can be read (the latest: "
                f"{latest.reason[:160]}). To mend it: {remedy}."
            )
        return (
            f"The gate {gate} rejected {count:,} (the latest: {latest.reason[:160]}). To loosen "
            f"it: {self.checks.remedy(gate)}."
        )


def _candidate(draft: Draft, call: Call) -> Candidate:
    record = dict(draft.record)
    return Candidate(
        record,
        CreatedRow("", record, None, {}, "", "rejected").text,
        label=call.arm[1] or None,
        quote=draft.quote,
        passage=call.passage.text if call.passage is not None else "",
    )
