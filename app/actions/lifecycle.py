"""Small commands about one run: pause, stop, report, reconcile."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from querist.app.terminal.place import Place, opened_run, status_of, user_name
from querist.app.terminal.screen import Screen, dollars, plural
from querist.memory.errors import InvalidInput
from querist.memory.run.ledger import Ledger
from querist.memory.run.runs import Heartbeat, Runs

if TYPE_CHECKING:
    from querist.graph.run import Run


def pause_run(place: Place, name: str | None) -> None:
    """Ask whoever drives the run to pause."""
    with opened_run(place, name) as run:
        status = _status(run)
        if not _is_driven(run):
            # A command that waited in the mailbox would pause the next resume at once.
            raise InvalidInput(f"Run {run.id} is not running ({status}), so nothing can pause.")
        run.post("pause", who=user_name())
        Screen().line(
            f"Run {run.id} pauses at its next step. Go on with: {place.command(f'resume {run.id}')}"
        )


def stop_run(place: Place, name: str | None) -> None:
    """Ask whoever drives the run to end it."""
    with opened_run(place, name) as run:
        status = _status(run)
        if status == "finished":
            raise InvalidInput(f"Run {run.id} is finished already.")
        run.post("stop", who=user_name())
        words = f"Run {run.id} ends at its next step."
        if not _is_driven(run):
            words = (
                f"Run {run.id} is not running ({status}). It will close, without spending more, "
                f"with: {place.command(f'resume {run.id}')}"
            )
        Screen().line(words)


def proceed_run(place: Place, name: str | None) -> None:
    """Tell a run not to wait for the answers that are missing."""
    with opened_run(place, name) as run:
        status = _status(run)
        if status == "finished":
            raise InvalidInput(f"Run {run.id} is finished already.")
        run.post("proceed", who=user_name())
        words = f"Run {run.id} goes on without the answers that are missing."
        if not _is_driven(run):
            words = (
                f"Run {run.id} will not wait for the answers that are missing. Go on with: "
                f"{place.command(f'resume {run.id}')}"
            )
        Screen().line(words)


def report_run(place: Place, name: str | None, *, output: Path | None) -> None:
    """Write the report, of a run that goes on as well."""
    from querist.app.views.report import REPORT, write_report
    from querist.app.views.report_data import gather

    with opened_run(place, name) as run:
        path = write_report(gather(run), output or run.view().files.path(REPORT))
    Screen().line(f"Wrote {path}")


def reconcile_run(place: Place, name: str | None, *, billed: bool | None) -> None:
    """Count reservations in doubt as billed, or give their money back."""
    screen = Screen()
    with opened_run(place, name, or_search=True) as run:
        runs = Runs(run.store)
        # Only who has the lease can tell the calls of a dead process from those of a live one.
        lease = runs.take(run.id)
        with Heartbeat(runs, lease):
            ledger = Ledger(run.store, run.id, lease=lease)
            doubts = ledger.in_doubt()
            if not doubts:
                screen.line(f"Run {run.id} has no reservations in doubt.")
                return
            total = dollars(sum((hold.request.ceiling for hold in doubts), Decimal(0)))
            words = f"{plural(len(doubts), 'call')} of run {run.id}, {total} at most"
            if billed is None:
                raise InvalidInput(
                    f"{words}: look at your provider's bill, then say --billed or --not-billed."
                )
            ledger.reconcile(billed=billed)
        done = "counted as billed" if billed else "given back to the budget"
        screen.line(f"{words}: {done}.")


def _is_driven(run: Run) -> bool:
    return Runs(run.store).is_driven(run.row)


def _status(run: Run) -> str:
    return status_of(run.row, Runs(run.store))
