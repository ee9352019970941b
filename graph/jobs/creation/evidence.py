"""What the agents of a create job know: gathered from progress, ledger and journal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from querist.agents.budget_controller.creating import (
    CreationEvidence,
    Rejections,
    Window,
)
from querist.agents.mind import Agent
from querist.agents.selector.creating import PastShowing, SeedEvidence
from querist.agents.verifier.creating import CheckEvidence
from querist.graph.jobs.creation.progress import COPIES, REPLY, Progress
from querist.graph.jobs.creation.workplace import Creation
from querist.memory.records import Round

_MOST_DRY = 8
_REPLY_REMEDY = "name another model, fewer rows a call (per_call), or a simpler schema"


def for_wave(creation: Creation, *, broke: str, at: str) -> CreationEvidence:
    """Gather the budget controller's evidence.

    `broke` is what the last step said of money, under the cap `at`: under another it is tried anew.
    """
    progress, request = creation.progress, creation.request
    balance = creation.ledger.balance()
    remaining = max(balance.remaining, Decimal(0))
    left = _minutes_left(creation)
    is_over = progress.total >= request.rows or (left is not None and left <= 0)
    # A job that is over needs no model, which takes a while to open.
    in_flight = 1 if is_over else creation.bench.writer(progress.waves + 1).model.in_flight
    size = creation.planner.size(progress, in_flight=in_flight)
    open_cells = progress.open_cells(request.patience)
    if at != str(balance.cap):
        broke = ""
    return CreationEvidence(
        wave=progress.waves + 1,
        accepted=progress.total,
        wanted=request.rows,
        written=progress.written,
        remaining=remaining,
        cap=balance.cap,
        usd_a_row=progress.each,
        minutes_left=left,
        minutes_a_wave=_minutes_a_wave(progress.lately),
        gates=_gates_of(progress),
        novelty=tuple(_new(account) for account in progress.lately),
        recent=_window(progress.recent, request.patience),
        longer=_window(progress.recent, 2 * request.patience),
        patience=request.patience,
        broke="" if not broke else "cap" if broke == "cap" else "workspace_cap",
        broke_words=broke,
        open_cells=len(open_cells),
        dry=_dry(progress, request.patience),
        enough_calls=size.enough,
        most_calls=size.most,
        rejections=_rejections(creation, progress),
    )


def for_showing(creation: Creation) -> SeedEvidence:
    """Gather the selector's evidence, with what came of the last waves."""
    evidence = creation.planner.for_showing(creation.progress)
    if creation.config.minds.of(Agent.SELECTOR) == "rules":
        return evidence  # they do not look at what was
    found = []
    for account in creation.progress.lately:
        made = creation.journal.decisions(number=account.number, agent=Agent.SELECTOR)
        if made:
            way = str(max(made, key=lambda decision: decision.turn).action["strategy"])
            written, passed = _count(account, "written"), _count(account, "passed")
            found.append(PastShowing(account.number, way, written, passed, _new(account)))
    return replace(evidence, past=tuple(found))


def for_checking(creation: Creation, *, rows: int) -> CheckEvidence:
    """Gather the verifier's evidence."""
    progress = creation.progress
    return CheckEvidence(
        wave=progress.waves + 1,
        rows=rows,
        accepted=progress.total,
        wanted=creation.request.rows,
        gates=_gates_of(progress),
        thresholds=creation.thresholds,
    )


def _gates_of(progress: Progress) -> Mapping[str, tuple[int, int]]:
    """Give how many rows each gate saw and let pass."""
    return {name: (seen, progress.passed[name]) for name, seen in progress.seen.items()}


def _minutes_left(creation: Creation) -> float | None:
    if creation.deadline is None:
        return None
    return (creation.deadline - creation.store.now()).total_seconds() / 60


def _minutes_a_wave(accounts: Sequence[Round]) -> float | None:
    seconds = [float(str(account.detail.get("seconds", 0))) for account in accounts]
    return sum(seconds) / len(seconds) / 60 if seconds else None


def _new(account: Round) -> float | None:
    value = account.detail.get("new")
    return float(value) if isinstance(value, int | float) else None


def _count(account: Round, key: str) -> int:
    value = account.detail.get(key, 0)
    return value if isinstance(value, int) else 0


def _window(recent: Sequence[str], size: int) -> Window:
    last = recent[-size:]
    return Window(
        rows=len(last),
        passed=sum(not gate for gate in last),
        new=sum(gate not in COPIES for gate in last),
        is_full=len(last) == size,
    )


def _dry(progress: Progress, patience: int) -> tuple[str, ...]:
    found = []
    for place, cell in enumerate(progress.cells):
        lacking = progress.lacking(place)
        if lacking > 0 and progress.dry[place] >= patience:
            found.append(f"{cell.name} ({lacking} missing)")
    return tuple(found[:_MOST_DRY])


def _rejections(creation: Creation, progress: Progress) -> Rejections | None:
    if not progress.rejections:
        return None
    gate, count = progress.rejections.most_common(1)[0]
    is_reply = gate == REPLY
    remedy = _REPLY_REMEDY if is_reply else creation.checks.remedy(gate)
    return Rejections(gate, count, progress.latest[gate], remedy, is_reply=is_reply)
