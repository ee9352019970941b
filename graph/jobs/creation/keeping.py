"""What became of a wave: its rows with their fates and its account, written in one transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from querist.graph.jobs.creation.checking import Checked, Fate
from querist.graph.jobs.creation.progress import COPIES, REPLY, Progress
from querist.graph.jobs.creation.writing import Drafts, Written
from querist.graph.jobs.workbench import Workbench
from querist.memory.errors import BudgetExceeded, CapReached
from querist.memory.records import Round, content_id
from querist.memory.workspace.creations import CreatedRow, RowStatus
from querist.tools.gates.port import Candidate

WORKSPACE_CAP = "workspace_cap"
"""In an account's detail: what a cap of the workspace said that the wave met."""
Broke = BudgetExceeded | None


def _judge(
    drafts: Drafts, checked: Checked, progress: Progress, *, writer: str
) -> list[CreatedRow]:
    """Give the rows of a wave: accepted while their cell lacks some, spare after that."""
    fates = iter(checked.fates)
    left = [progress.lacking(cell) for cell in range(len(progress.cells))]
    rows = []
    for written in drafts.written:
        fate = next(fates) if written.draft is not None else None
        status: RowStatus = "rejected"
        if fate is not None and fate.is_unchecked:
            status = "unchecked"
        elif fate is not None and fate.is_open:
            status = "accepted" if left[written.call.cell] > 0 else "spare"
            left[written.call.cell] -= 1
        row = _row(written, fate, progress, number=drafts.number)
        rows.append(replace(row, status=status, writer=writer))
    return rows


def _row(written: Written, fate: Fate | None, progress: Progress, *, number: int) -> CreatedRow:
    cell, call = progress.cells[written.call.cell], written.call
    parents = [example.id for example in (call.passage, *call.parents) if example is not None]
    record = dict(written.draft.record) if written.draft is not None else {}
    return CreatedRow(
        id=f"row-{content_id(record, cell.label)}",
        record=record,
        label=cell.label,
        attributes=dict(cell.attributes),
        method=call.arm[0],
        status="rejected",
        gate=REPLY if fate is None else fate.gate,
        reason=written.trouble if fate is None else fate.reason,
        parents=tuple(map(str, parents)),
        evidence=written.draft.quote if written.draft is not None else "",
        scores=dict(fate.scores) if fate is not None else {},
        prompt_version=call.version,
        usd=written.usd if fate is None else written.usd + fate.usd,
        wave=number,
    )


def keep(
    bench: Workbench, drafts: Drafts, checked: Checked, progress: Progress, *, broke: Broke
) -> Round:
    """Write a wave down, and take it into `progress`."""
    writer = bench.request.models.writer
    rows = _judge(drafts, checked, progress, writer=writer)
    readable = sum(written.draft is not None for written in drafts.written)
    gates = {name: [seen, checked.passed[name]] for name, seen in checked.seen.items()}
    gates[REPLY] = [len(drafts.written), readable]
    account = _account(bench, rows, gates, progress, broke=broke)
    detail = {**account.detail, "calls": drafts.calls, "seconds": round(drafts.seconds, 3)}
    account = replace(account, number=drafts.number, detail=detail)
    bench.creations.keep(rows, account)
    for row in rows:
        progress.take(row)
    progress.note(account)
    return account


def keep_again(
    bench: Workbench,
    left: Sequence[tuple[int, CreatedRow]],
    checked: Checked,
    progress: Progress,
    *,
    broke: Broke,
    seconds: float,
) -> Round | None:
    """Write down what became of rows that gates had not looked at; None if nothing did."""
    if all(fate.is_unchecked and not fate.usd for fate in checked.fates):
        return None
    cells = enumerate(progress.cells)
    lacking = {(cell.label, cell.attributes): progress.lacking(i) for i, cell in cells}
    rows = []
    for (place, row), fate in zip(left, checked.fates, strict=True):
        cell = (row.label, tuple(row.attributes.items()))
        rows.append((place, _judged(row, fate, is_wanted=lacking[cell] > 0)))
        lacking[cell] -= fate.is_open
    gates = {name: [seen, checked.passed[name]] for name, seen in checked.seen.items() if seen}
    looked_at = [row for _, row in rows]
    account = _account(bench, looked_at, gates, progress, broke=broke)
    more = {"written": 0, "new": None, "looked_at_again": len(rows), "seconds": round(seconds, 3)}
    account = replace(
        account, number=progress.waves + 1, detail={**account.detail, "calls": 0, **more}
    )
    bench.creations.keep_again(rows, account)
    return account


def _account(
    bench: Workbench,
    rows: Sequence[CreatedRow],
    gates: Mapping[str, list[int]],
    progress: Progress,
    *,
    broke: Broke,
) -> Round:
    """Say what a wave came to; watchers and the card read nothing else."""
    balance = bench.ledger.balance()
    accepted = [row for row in rows if row.status == "accepted"]
    copies = sum(row.gate in COPIES for row in rows)
    near = [row.scores["embedding"] for row in accepted if "embedding" in row.scores]
    detail: dict[str, Any] = {
        "calls": 0,
        "seconds": 0.0,
        "written": len(rows),
        "accepted": len(accepted),
        "passed": sum(row.status in ("accepted", "spare") for row in rows),
        "wanted": bench.request.rows,
        "gates": dict(gates),
        "new": 1 - copies / len(rows) if rows else None,
        "novelty": 1 - sum(near) / len(near) if near else None,
        "methods": dict(Counter(row.method for row in rows)),
        "cap": str(balance.cap),
        "out_of_money": broke is not None,
    }
    if isinstance(broke, CapReached):
        detail[WORKSPACE_CAP] = str(broke)
    total = progress.total + len(accepted)
    return Round(0, total, 0, balance.settled, None, detail=detail)


def candidate_of(bench: Workbench, row: CreatedRow) -> Candidate:
    """Make the candidate anew that a row was."""
    passages = {str(example.id): example.text for example in bench.seeds.passages}
    passage = next((passages[name] for name in row.parents if name in passages), "")
    return Candidate(row.record, row.text, label=row.label, quote=row.evidence, passage=passage)


def _judged(row: CreatedRow, fate: Fate, *, is_wanted: bool) -> CreatedRow:
    """Give a row with what its gates said when they looked at it again."""
    status: RowStatus = "unchecked" if fate.is_unchecked else "rejected"
    if fate.is_open:
        status = "accepted" if is_wanted else "spare"
    return replace(
        row,
        status=status,
        gate=fate.gate,
        reason=fate.reason,
        scores={**row.scores, **fate.scores},
        usd=row.usd + fate.usd,
    )
