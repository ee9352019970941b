"""More for a job that stopped: money, rounds, and new rows for the pool of one that labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from querist.graph.config import make_config, put
from querist.graph.intake import load_more
from querist.graph.sections import MOST_USD
from querist.memory.errors import InvalidInput
from querist.memory.records import Example, Job, JobStatus, Split
from querist.memory.run.ledger import Ledger
from querist.memory.run.runs import Heartbeat, Runs
from querist.memory.store import Lease, Store
from querist.memory.workspace.jobs import Jobs

if TYPE_CHECKING:
    from querist.graph.workplace.context import Context

Tell = Callable[[str], None]


def extend(
    store: Store,
    job: Job,
    *,
    rows: Path | str | None = None,
    usd: Decimal | None = None,
    rounds: int | None = None,
    tell: Tell = lambda _: None,
) -> Job:
    """Let a job go on with more; all of it is written in one transaction, or nothing.

    `usd` is its cap and `rounds` its most rounds from then on, in all. `rows` are read as the pool
    was; those that the pool has are left out, and the others are this run's own: no other run on
    the same data sees them. A job that is worked on takes a cap at once, and rows or rounds only
    when it has stopped. Raises `InvalidInput`, and `RunBusy` while another process has the run.
    """
    if rows is None and usd is None and rounds is None:
        raise InvalidInput(
            "Say what the job gets: --rows FILE (more to label), --cap USD, --rounds N."
        )
    if usd is not None and (not usd.is_finite() or not 0 < usd <= MOST_USD):
        raise InvalidInput(f"A budget of {usd} makes no sense.")
    if job.status is JobStatus.RUNNING and rows is None and rounds is None and usd is not None:
        Ledger(store, job.run).set_cap(usd)
        return Jobs(store).get(job.id)
    if job.kind == "create" and (rows is not None or rounds is not None):
        raise InvalidInput(
            f"Job {job.id} creates rows: it has neither a pool nor rounds. Give it more money with "
            "--cap USD, or hand in another job for more rows."
        )
    if job.status in (JobStatus.RUNNING, JobStatus.CANCELLED):
        remedy = "Pause it first: querist job pause" if job.status is JobStatus.RUNNING else ""
        raise InvalidInput(f"Job {job.id} is {job.status} and cannot be extended. {remedy}".strip())
    runs = Runs(store)
    lease = runs.take(job.run)
    with Heartbeat(runs, lease):
        work = _plan(store, job, lease, rows=rows, usd=usd, rounds=rounds, tell=tell)
        return Jobs(store).extend(job.id, work, lease=lease)


def _plan(
    store: Store,
    job: Job,
    lease: Lease,
    *,
    rows: Path | str | None,
    usd: Decimal | None,
    rounds: int | None,
    tell: Tell,
) -> Callable[[Any], None]:
    """Read and check everything; give what writes it."""
    runs, ledger = Runs(store), Ledger(store, job.run)
    cap = ledger.balance().cap if usd is None else usd
    if job.kind == "create":
        return lambda connection: ledger.put_cap(connection, cap)

    from querist.graph.workplace.context import Context

    context = Context.to_look(store, runs.get(job.run))
    found: Sequence[Example] = ()
    if rows is not None:
        present = {split: context.pool.all(split) for split in Split}
        found = load_more(context.config, str(rows), present, tell=tell)
    config = _changed(context, len(found), usd=cap, rounds=rounds)

    def work(connection: Any) -> None:
        if found:
            context.pool.append(connection, found)
        ledger.put_cap(connection, cap)
        # Not finished any more: a worker would only deliver what there is.
        runs.put(connection, lease, config=config, status="paused", reason="Extended.")

    return work


def _changed(context: Context, more: int, *, usd: Decimal, rounds: int | None) -> dict[str, Any]:
    """Give the configuration from then on. Raises `InvalidInput` where no round could follow."""
    from querist.graph.round.audit import parts_with

    config = context.config
    most, done = rounds or config.loop.rounds, context.labelling.last_round()
    if more and done + 1 >= max(most, 1):
        raise InvalidInput(
            f"The job had {done + 1} of at most {most} rounds, and the new rows need more: say "
            f"--rounds {most + config.loop.rounds}, for instance. Nothing was changed."
        )
    body = config.model_dump(mode="json")
    put(body, "loop.rounds", most)
    if more:
        parts = parts_with(context, more, usd=usd, rounds=most)
        put(body, "data.parts", [part.model_dump() for part in parts])
    return make_config(body, source=f"run {context.run.id}").model_dump(mode="json")
