"""A worker: takes a job, works on it under its lease, hands it on; and looks after the outbox.

Several may work on one workspace: on one machine with SQLite, on several with PostgreSQL. A worker
that is told to stop puts its job back into the queue at the next step; one that was killed loses
its lease, and another goes on from what is in the store.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from time import monotonic
from typing import TYPE_CHECKING, Any

from querist.agents.models.port import ChatModel
from querist.graph.jobs.acceptance import Sample
from querist.graph.jobs.request import CreateRequest, LabelRequest
from querist.graph.jobs.result import deliver, request_of
from querist.graph.jobs.webhooks import message_of, send_due
from querist.graph.jobs.workbench import Workbench
from querist.memory.asking.inbox import Inbox
from querist.memory.errors import (
    CapReached,
    DiskFull,
    LeaseLost,
    QueristError,
    RunBusy,
    StoreError,
)
from querist.memory.records import Job, JobStatus, Round
from querist.memory.run.ledger import Balance, Ledger
from querist.memory.run.runs import LEASE, Heartbeat, Runs
from querist.memory.store import Lease, Store
from querist.memory.workspace.caps import Caps
from querist.memory.workspace.jobs import JobLease, Jobs
from querist.memory.workspace.outbox import Outbox
from querist.tools.arms.thompson import Choose, choose_by_yield

if TYPE_CHECKING:
    from querist.graph.jobs.creation.driving import Ended
    from querist.graph.run import Run

_WORKSPACE_CAP = "workspace_cap"
"""What paused a job that goes on by itself: a cap over all jobs, or the day's."""
_POLL = 2.0
_LATER = 5.0
"""Seconds after which a job whose run another process still holds is tried again."""
_NEARLY = Decimal("0.8")
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class _Closed:
    """How a worker leaves a job."""

    status: JobStatus
    reason: str
    stop: str = ""
    rows: int = 0


class Worker:
    """Works jobs off, one at a time."""

    def __init__(
        self,
        store: Store,
        *,
        lease: timedelta = LEASE,
        models: Mapping[str, ChatModel] | None = None,
        tell: Tell = lambda _: None,
        poll: float = _POLL,
        only: str | None = None,
        choose: Choose = choose_by_yield,
        caps: Caps | None = None,
    ) -> None:
        """`models` replaces models by name (tests); `only` names the one job to work on.

        `choose` takes the method of each call; another one is what ours is compared with. `caps`
        are the workspace's, with another clock (tests).
        """
        self._choose = choose
        self._store = store
        self.jobs = Jobs(store, lease=lease)
        self._beat = lease.total_seconds() / 4
        self._models = dict(models or {})
        self._tell, self._poll, self._only = tell, poll, only
        self._later: dict[str, float] = {}
        self._caps = caps or Caps(store)
        self._allowed = ""
        """What the workspace's caps allowed when the job at work was taken."""
        self._is_stopped = False
        self._run: Run | None = None
        self._kept: Workbench | None = None
        """The last job's models, open until the next job has opened its own."""

    def stop(self) -> None:
        """Ask it to hand its job back and end; safe in a signal handler."""
        self._is_stopped = True
        if self._run is not None:
            self._run.drain()

    async def work(self) -> None:
        """Work until `stop`; a disk that is full, or a server that is away, is waited for."""
        said = ""
        async with self._at_work():
            while not self._is_stopped:
                try:
                    was_busy, said = await self._once(), ""
                except StoreError as error:
                    if str(error) != said:
                        self._tell(str(error))
                    was_busy, said = False, str(error)
                if not was_busy:
                    await self._rest()

    async def work_off(self) -> None:
        """Work until nothing is left that could be worked on now."""
        async with self._at_work():
            while not self._is_stopped and await self._once():
                pass

    @contextlib.asynccontextmanager
    async def _at_work(self) -> AsyncIterator[None]:
        """Send messages beside the work: what is told of a long job is no use after it."""
        over = asyncio.Event()
        post = asyncio.create_task(self._post(over))
        try:
            yield
        finally:
            # Not cancelled: a message that was taken and not sent is left alone for a minute.
            over.set()
            await post
            with contextlib.suppress(StoreError):
                await send_due(self._store)
            if self._kept is not None:
                await self._kept.models.aclose()
                self._kept = None

    async def _post(self, over: asyncio.Event) -> None:
        while not over.is_set():
            with contextlib.suppress(StoreError):  # the work meets the same trouble, and says so
                await send_due(self._store)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), self._poll)

    async def _rest(self) -> None:
        for _ in range(max(1, int(self._poll / 0.1))):
            if self._is_stopped:
                return
            await asyncio.sleep(0.1)

    async def _once(self) -> bool:
        """Wake who can go on, take a job and work on it; False when there is none."""
        await asyncio.to_thread(self._wake)
        now = monotonic()
        self._later = {job: at for job, at in self._later.items() if at > now}
        lease = await asyncio.to_thread(self.jobs.claim, but=set(self._later), only=self._only)
        if lease is None:
            return False
        job = self.jobs.get(lease.job)
        self._allowed = self._caps.mark()
        self._tell(f"Job {job.id} ({job.kind}): taken.")
        with Heartbeat(self.jobs, lease, every=self._beat):
            try:
                closed = await self._attempt(job, lease)
                if closed is not None:
                    self._close_job(job, lease, closed)
            except LeaseLost as lost:
                self._tell(str(lost))
            except StoreError as error:
                self._put_off(job, error)  # it could not even be closed
        return True

    def _put_off(self, job: Job, error: StoreError) -> None:
        """Leave a job to its lease, and try it again later."""
        self._tell(f"Job {job.id}: {error}")
        self._later[job.id] = monotonic() + _LATER

    async def _attempt(self, job: Job, lease: JobLease) -> _Closed | None:
        """Work on a job; None where it goes back into the queue."""
        try:
            request = request_of(job)
            if isinstance(request, LabelRequest):
                return await self._label(job, lease)
            return await self._create(job, lease, request)
        except RunBusy:
            # Its former worker's lease on the run has not run out yet.
            self._later[job.id] = monotonic() + _LATER
            return None
        except LeaseLost:
            raise
        except DiskFull as error:
            # It would meet the same again: a person has to make room.
            return _Closed(JobStatus.PAUSED, str(error), "disk")
        except StoreError as error:
            self._put_off(job, error)
            return None
        except CapReached as error:
            return _Closed(JobStatus.PAUSED, str(error), _WORKSPACE_CAP)
        except QueristError as error:
            return _Closed(JobStatus.FAILED, str(error))
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - one job's fault is not the worker's
            return _Closed(JobStatus.FAILED, f"{type(error).__name__}: {error}")

    # ------------------------------------------------------------ create

    async def _create(self, job: Job, lease: JobLease, request: CreateRequest) -> _Closed | None:
        runs = Runs(self._store)
        held = await asyncio.to_thread(runs.take, job.run)
        with Heartbeat(runs, held):
            bench = Workbench(self._store, job.run, held, request=request, models=self._models)
            try:
                runs.set_status(held, "running")
                if request.people.sample:
                    Sample(bench, job.run).reserve()
                # LangGraph takes a while to load, and a process may never need it.
                from querist.graph.jobs.creation.driving import create
                from querist.graph.jobs.creation.workplace import Creation

                creation = Creation(
                    bench,
                    deadline=job.deadline,
                    wish=lambda: self._wish(lease),
                    listener=lambda account: self._note(job, request, account, bench.ledger),
                    choose=self._choose,
                )
                ended = await create(creation)
                return self._end(job, held, ended, bench=bench)
            finally:
                kept, self._kept = self._kept, bench
                if kept is not None:
                    await kept.models.aclose()

    def _end(self, job: Job, held: Lease, ended: Ended, *, bench: Workbench) -> _Closed | None:
        runs = Runs(self._store)
        if ended.stop == "stop":
            runs.set_status(held, "paused", "Handed back by its worker.")
            return None
        status = {
            "pause": JobStatus.PAUSED,
            _WORKSPACE_CAP: JobStatus.PAUSED,
            "cancel": JobStatus.CANCELLED,
            "gates": JobStatus.FAILED,
        }.get(ended.stop, JobStatus.DONE)
        rows, reason = 0, ended.reason
        if status is JobStatus.DONE and bench.request.people.sample:
            status, reason = _sampled(bench, job, ended)
        if status is JobStatus.DONE:
            rows = deliver(self._store, job, held, reason=reason)
            if not rows:
                status = JobStatus.FAILED
        runs.set_status(held, "finished" if status is JobStatus.DONE else status, reason)
        return _Closed(status, reason, ended.stop, rows)

    def _wish(self, lease: JobLease) -> str:
        """What a person wants, or the worker itself: `stop` hands the job back."""
        return self.jobs.wish(lease) or ("stop" if self._is_stopped else "")

    def _note(self, job: Job, request: CreateRequest, account: Round, ledger: Ledger) -> None:
        self._tell(f"Job {job.id}: {account.labelled:,} of {request.rows:,} rows.")
        self._tell_spent(job, ledger.balance())

    def _tell_spent(self, job: Job, balance: Balance) -> None:
        """Tell, once for each cap that there was, that most of the money is spent."""
        if balance.settled < _NEARLY * balance.cap:
            return
        facts = {"spent_usd": str(balance.settled), "cap_usd": str(balance.cap)}
        message = message_of(job, "spent_80", once=f"spent_80/{balance.cap:f}", facts=facts)
        if message is not None:
            Outbox(self._store).put(message)

    # ------------------------------------------------------------ label

    async def _label(self, job: Job, lease: JobLease) -> _Closed | None:
        # LangGraph takes seconds to load, and only jobs that label need it.
        from querist.graph.run import Outcome, Run

        run = self._run = Run(self._store, job.run).use(models=self._models)
        watcher = asyncio.create_task(self._watch(run, lease, job))
        try:
            row = run.row
            # Its worker may have died when only the delivery was left.
            is_over = row.status == "finished" and job.result is None
            outcome = Outcome("finished", row.reason) if is_over else await run.drive()
        finally:
            self._run = None
            watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watcher
        if outcome.status == "finished":
            rows = await self._deliver(job, outcome.reason)
            return _Closed(JobStatus.DONE, outcome.reason, "finished", rows)
        if outcome.status == "waiting":
            return _Closed(JobStatus.WAITING, outcome.reason, "waiting")
        if outcome.is_capped:
            return _Closed(JobStatus.PAUSED, outcome.reason, _WORKSPACE_CAP)
        if outcome.is_trouble:
            return _Closed(JobStatus.FAILED, outcome.reason)
        wish = self._wish(lease)
        if wish in ("pause", "cancel"):
            status = JobStatus.PAUSED if wish == "pause" else JobStatus.CANCELLED
            return _Closed(status, "As asked.", wish)
        if job.deadline is not None and self._store.now() >= job.deadline:
            rows = await self._deliver(job, "The time is over.")
            status = JobStatus.DONE if rows else JobStatus.FAILED
            return _Closed(status, "The time is over.", "deadline", rows)
        return None

    async def _deliver(self, job: Job, reason: str) -> int:
        """Deliver what is labelled; tell how many rows."""
        runs = Runs(self._store)
        held = await asyncio.to_thread(runs.take, job.run)
        with Heartbeat(runs, held):
            return deliver(self._store, job, held, reason=reason)

    async def _watch(self, run: Run, lease: JobLease, job: Job) -> None:
        """Drain the run when somebody wants the job paused or ended, or its time is over."""
        ledger = Ledger(self._store, job.run)
        while True:
            await asyncio.sleep(min(0.5, self._poll))
            try:
                is_late = job.deadline is not None and self._store.now() >= job.deadline
                if self._wish(lease) or is_late:
                    run.drain()
                self._tell_spent(job, ledger.balance())
            except LeaseLost:
                run.drain()
                return
            except StoreError:
                continue

    def _wake(self) -> None:
        """Put jobs back into the queue whose people have answered, or whose caps allow more."""
        # One that a person paused while it was queued has no reason.
        held = [job for job in self.jobs.all([JobStatus.PAUSED]) if job.reason]
        capped = {job.id: (job.result or {}).get("caps") for job in held}
        now = self._caps.mark() if any(capped.values()) else ""
        for job in held:
            if capped[job.id] not in (None, now):
                with contextlib.suppress(QueristError):
                    self.jobs.resume(job.id, reason="The caps of the workspace allow more.")
        for job in self.jobs.all([JobStatus.WAITING]):
            if job.kind == "create":
                if not Inbox(self._store, job.run).counts().get("open", 0):
                    with contextlib.suppress(QueristError):
                        self.jobs.resume(job.id, reason="People have answered.")
                continue
            from querist.graph.run import Run
            from querist.graph.waiting import pending

            context = Run(self._store, job.run).view()
            if not pending(context).missing or context.mailbox.queued():
                with contextlib.suppress(QueristError):
                    self.jobs.resume(job.id, reason="People have answered.")

    # ------------------------------------------------------------ closing

    def _close_job(self, job: Job, lease: JobLease, closed: _Closed) -> None:
        balance = Ledger(self._store, job.run).balance()
        usd = str(balance.settled)
        result: dict[str, Any] = {"rows": closed.rows, "stop": closed.stop, "usd": usd}
        if closed.stop == _WORKSPACE_CAP and self.jobs.wish(lease) != "pause":
            result["caps"] = self._allowed
        told = closed.status in (JobStatus.DONE, JobStatus.FAILED, JobStatus.WAITING)
        message = None
        if told:
            facts = {"reason": closed.reason, **result}
            # A job can fail and wait several times; the number of its lease tells these apart.
            once = f"{closed.status}/{lease.fencing}"
            message = message_of(job, closed.status.value, once=once, facts=facts)
        self.jobs.close(lease, closed.status, closed.reason, result=result, message=message)
        self._tell(f"Job {job.id}: {closed.status}. {closed.reason}".rstrip())


def _sampled(bench: Workbench, job: Job, ended: Ended) -> tuple[JobStatus, str]:
    """Ask people about a sample of what was accepted, or take their answers in."""
    sample = Sample(bench, job.run)
    rows = bench.creations.all("accepted")
    if not rows:
        return JobStatus.FAILED, ended.reason
    sample.ask(rows)
    sample.settle()
    found = sample.result()
    reason = f"{ended.reason} {found.words}"
    if found.is_open:
        return JobStatus.WAITING, reason
    if found.is_accepted:
        return JobStatus.DONE, reason
    return JobStatus.FAILED, (
        f"{reason} Tighten a gate, name a better checker or other methods, and hand it in anew; "
        "the rows can still be taken."
    )
