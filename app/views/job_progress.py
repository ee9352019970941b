"""A job as it goes: accepted of N, what each gate lets pass, price per row, forecast, novelty."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from querist.app.terminal.screen import dollars, duration, percent, plural, sparkline
from querist.app.views.facts import mind_of
from querist.graph.jobs.card import gate_counts
from querist.memory.records import Decision, Job, JobStatus, Round
from querist.memory.run.journal import Journal
from querist.memory.run.ledger import Ledger
from querist.memory.store import Store
from querist.memory.workspace.jobs import Jobs

if TYPE_CHECKING:
    from rich.console import RenderableType

_ENDS = {JobStatus.DONE, JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.PAUSED}
_RECENT = 8
"""Waves that a forecast is made from."""


@dataclass(frozen=True, slots=True)
class JobView:
    """Where a job stands, as the store has it now."""

    job: Job
    is_worked_on: bool
    wanted: int
    accepted: int
    written: int
    spent: Decimal
    cap: Decimal
    gates: Mapping[str, tuple[int, int]]
    novelty: tuple[float | None, ...]
    """Share of new rows, wave by wave."""
    waves: int
    seconds_left: float | None
    decisions: tuple[Decision, ...] = ()
    """What the agents of a create job decided last, each in its turn."""

    @property
    def status(self) -> str:
        """Say where it stands; one that nobody works on any more is interrupted."""
        is_left = self.job.status is JobStatus.RUNNING and not self.is_worked_on
        return "interrupted" if is_left else str(self.job.status)

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will happen by itself."""
        return self.job.status in _ENDS

    @property
    def each(self) -> Decimal | None:
        """What an accepted row has cost."""
        return self.spent / self.accepted if self.accepted else None


def look(store: Store, job: Job) -> JobView:
    """Read where a job stands."""
    accounts = Journal(store, job.run).rounds()
    balance = Ledger(store, job.run).balance()
    is_create = job.kind == "create"
    wanted = int(str(job.request.get("rows", 0))) if is_create else 0
    accepted = accounts[-1].labelled if accounts else 0
    return JobView(
        job,
        is_worked_on=Jobs(store).is_worked_on(job),
        wanted=wanted,
        accepted=accepted,
        written=sum(_number(account, "written") for account in accounts),
        spent=balance.settled,
        cap=balance.cap,
        gates=gate_counts(accounts) if is_create else {},
        novelty=tuple(_share(account) for account in accounts) if is_create else (),
        waves=len(accounts),
        seconds_left=_seconds_left(accounts, wanted - accepted),
        decisions=_last_decisions(Journal(store, job.run), len(accounts)) if is_create else (),
    )


def _last_decisions(journal: Journal, waves: int) -> tuple[Decision, ...]:
    """Read what was decided on the wave that is under way, or else on the last one."""
    found = journal.decisions(number=waves + 1) or journal.decisions(number=waves)
    newest = {made.agent: made for made in sorted(found, key=lambda made: made.turn)}
    return tuple(newest.values())


def decision_lines(view: JobView) -> list[str]:
    """Say what the agents decided last."""
    return [
        f"{made.agent.replace('_', ' ')} ({mind_of(made)}): {made.reason}"
        for made in view.decisions
    ]


def facts(view: JobView) -> list[str]:
    """Say it in a few short pieces."""
    said = [
        f"{view.accepted:,} of {view.wanted:,} rows"
        if view.wanted
        else plural(view.accepted, "label")
    ]
    said.append(f"{dollars(view.spent)} of {dollars(view.cap)}")
    if view.each is not None and view.wanted:
        said.append(f"{dollars(view.each, places=4)} a row")
    if view.written:
        said.append(f"{percent(view.accepted / view.written)} of {view.written:,} accepted")
    if view.wanted > view.accepted and view.each is not None and not view.has_ended:
        more = view.each * (view.wanted - view.accepted)
        said.append(f"about {dollars(more)} more")
    if view.seconds_left and view.is_worked_on:
        said.append(f"about {duration(view.seconds_left)} left")
    return said


def gate_rows(view: JobView) -> list[tuple[str, str, str, str]]:
    """Give the acceptance of each gate as rows of a table."""
    return [
        (name, f"{seen:,}", f"{passed:,}", percent(passed / seen) if seen else "-")
        for name, (seen, passed) in view.gates.items()
    ]


def panel(view: JobView) -> RenderableType:
    """Draw it for a terminal."""
    from rich.console import Group
    from rich.panel import Panel
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    bars = Table.grid(padding=(0, 1), expand=True)
    bars.add_column(width=9)
    bars.add_column(ratio=1)
    bars.add_column(justify="right")
    if view.wanted:
        words = f"{view.accepted:,} of {view.wanted:,}"
        bars.add_row("accepted", ProgressBar(view.wanted, view.accepted), words)
    cap, spent = float(view.cap), float(view.spent)
    bars.add_row("money", ProgressBar(cap, spent), f"{spent:,.2f} of {cap:,.2f} USD")
    gates = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("gate", "looked at", "let pass", ""):
        gates.add_column(name, justify="left" if name == "gate" else "right")
    for row in gate_rows(view):
        gates.add_row(*row)
    parts: list[Any] = [bars, Text(" · ".join(facts(view)))]
    if view.gates:
        parts.append(gates)
    if len(view.novelty) > 1:
        parts.append(Text(f"new rows, wave by wave: {sparkline(view.novelty)}", style="dim"))
    parts += [Text(said, style="dim") for said in decision_lines(view)]
    title = f"{view.job.name}: {view.status}"
    return Panel(Group(*parts), title=title, title_align="left")


def line(view: JobView) -> str:
    """Say it in one line, for a pipe."""
    return f"{view.job.id} {view.status}: {', '.join(facts(view))}"


def _number(account: Round, key: str) -> int:
    value = account.detail.get(key, 0)
    return value if isinstance(value, int) else 0


def _share(account: Round) -> float | None:
    value = account.detail.get("new")
    return float(value) if isinstance(value, int | float) else None


def _seconds_left(accounts: list[Round], missing: int) -> float | None:
    """Forecast from the last waves: seconds a row, as long as any came."""
    recent = accounts[-_RECENT:]
    rows = sum(_number(account, "accepted") for account in recent)
    if len(accounts) < 2 or missing <= 0 or not rows:
        return None
    return sum(float(str(account.detail.get("seconds", 0))) for account in recent) / rows * missing
