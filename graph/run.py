"""A run from outside: make it, drive it, watch it, pause it, stop it, go on."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from langgraph.errors import GraphDrained
from langgraph.runtime import RunControl
from langgraph.types import Command as Resume

from querist.agents.models.port import ChatModel
from querist.graph.commands import apply_commands
from querist.graph.config import RunConfig
from querist.graph.intake import check_labels, import_data
from querist.graph.loop import build_loop
from querist.graph.quoting import Quote, make_quote, time_a_call
from querist.graph.round.model_files import MODEL
from querist.graph.round.select import check_strategy
from querist.graph.state import GRAPH_VERSION, LoopState
from querist.graph.target.prompted import check_target
from querist.graph.waiting import note_waiting, pending
from querist.graph.workplace.checkpoints import opened
from querist.graph.workplace.context import Context, Deliberations, Listener
from querist.memory.errors import BudgetExceeded, CapReached, InvalidInput, QueristError
from querist.memory.events import Notice
from querist.memory.records import Event, RunId, slug, utc_now
from querist.memory.run.mailbox import Mailbox
from querist.memory.run.runs import Heartbeat, RunRow, Runs
from querist.memory.store import Store
from querist.memory.workspace.caps import Caps
from querist.tools.tracing import span

_PAUSE = "pause"
"""Why a run is drained when a person asked for it; every other reason is trouble."""
_POLL = 0.5
"""Seconds between two looks at the inbox while a run waits."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Where a run stands when its driver lets go of it."""

    status: str
    """finished, paused or waiting."""
    reason: str
    is_trouble: bool = False
    """It paused because something went wrong that a person must mend."""
    is_capped: bool = False
    """That is a cap of the workspace; the run's own money is not spent."""


class Run:
    """One run of the loop. Any process may look; one at a time may drive."""

    def __init__(self, store: Store, run: RunId) -> None:
        """Use `Run.create` or `Run.open`."""
        self.store = store
        self.id = run
        self._models: dict[str, ChatModel] = {}
        self._deliberations: Deliberations | None = None
        self._control: RunControl | None = None
        self._is_drained = False
        self._seconds_a_call: float | None = None

    @classmethod
    def create(
        cls, config: RunConfig, store: Store, *, tell: Callable[[str], None] = lambda _: None
    ) -> Run:
        """Import the data and write the run down; nothing is spent yet.

        `tell` gets a few lines in words about what was imported.
        """
        check_labels(config)
        check_strategy(config)
        check_target(config)
        dataset, config = import_data(config, store, tell=tell)
        task = config.as_task()
        run = RunId(
            f"{slug(task.name, empty='run')}-{utc_now():%m%d-%H%M%S}-{uuid.uuid4().hex[:4]}"
        )
        Runs(store).create(
            run,
            task=task,
            dataset=dataset,
            config=config.model_dump(mode="json"),
            cap=config.budget.usd,
        )
        return cls(store, run)

    @classmethod
    def open(cls, store: Store, run: str | None = None) -> Run:
        """Find a run by id or prefix, the newest without one; raises `InvalidInput`."""
        rows = Runs(store).all() if run is None else []
        runs = [row.id for row in rows if row.kind == "loop"]
        if rows and not runs:
            raise InvalidInput(
                f"There is no run here yet in {store.folder}, only searches. See: querist status"
            )
        return cls(store, Runs(store).get(runs[0] if runs else run).id)

    def use(
        self,
        *,
        models: dict[str, ChatModel] | None = None,
        deliberations: Deliberations | None = None,
    ) -> Run:
        """Replace models by name, or give agents a language-model mind."""
        self._models.update(models or {})
        self._deliberations = deliberations or self._deliberations
        return self

    @property
    def row(self) -> RunRow:
        """What the store says about the run now."""
        return Runs(self.store).get(self.id)

    def view(self) -> Context:
        """Look at the run without the right to change it."""
        return Context.to_look(self.store, self.row, models=self._models)

    def quote(self) -> Quote:
        """Forecast the run; nothing is spent. See `time_a_call` for how long it takes."""
        return make_quote(self.view(), seconds_a_call=self._seconds_a_call)

    async def time_a_call(self) -> None:
        """Measure a call of a local model, which is free, so that `quote` can tell the time."""
        context = self.view()
        try:
            self._seconds_a_call = await time_a_call(context)
        finally:
            await context.aclose()

    def post(self, name: str, /, *, who: str, **arguments: object) -> None:
        """Send a command to whoever drives the run."""
        token = uuid.uuid4().hex
        Mailbox(self.store, self.id).post(name, who=who, token=token, arguments=arguments)

    def drain(self) -> None:
        """Ask a run driven by this process to pause at the next step; safe in a signal handler."""
        self._is_drained = True
        if self._control is not None:
            self._control.request_drain(_PAUSE)

    async def drive(self, listener: Listener | None = None, *, attend: bool = False) -> Outcome:
        """Drive the run until it finishes, pauses, waits for people or fails.

        With `attend` it stays while it waits for people, or a cap of the workspace or the day
        holds it, and goes on by itself when they answered, or the caps allow more.
        Raises `RunBusy` if another process drives it, and what failed otherwise; in every case a
        later `drive` goes on where this one stopped.
        """
        with span("drive", querist__run=self.id):
            return await self._drive(listener, attend=attend)

    async def _drive(self, listener: Listener | None, *, attend: bool) -> Outcome:
        async with self.borrowed(listener) as context:
            self._is_drained = False
            caps = Caps(self.store)
            try:
                is_first = True
                while True:
                    allowed = caps.mark()
                    outcome = await self._go_or_pause(context, is_first=is_first)
                    is_first = False
                    if not attend:
                        break
                    if outcome.status == "waiting" and await self._attended(context):
                        continue
                    if not (outcome.is_capped and await self._allowed_more(context, caps, allowed)):
                        break
            except QueristError as error:
                with contextlib.suppress(QueristError):
                    context.runs.set_status(context.lease, "failed", str(error))
                raise
            finally:
                self._control = None
        return outcome

    async def _go_or_pause(self, context: Context, *, is_first: bool) -> Outcome:
        """Drive up to the next stop; a cap of the workspace or the day is one."""
        try:
            if is_first:
                apply_commands(context)
                self._refuse_hopeless(context)
            return await self._go(context)
        except CapReached as error:
            # Nothing is lost: the step that met it is taken again when the run goes on.
            context.runs.set_status(context.lease, "paused", str(error))
            return Outcome("paused", str(error), is_trouble=True, is_capped=True)

    async def _allowed_more(self, context: Context, caps: Caps, before: str) -> bool:
        """Stay until the caps allow more; False if a person wants to leave it."""
        context.emit(Notice(f"{self.row.reason} It goes on by itself when more is allowed."))
        while not self._is_drained:
            if caps.mark() != before or context.mailbox.queued():
                return True
            await asyncio.sleep(_POLL)
        return False

    async def _go(self, context: Context) -> Outcome:
        """Drive up to the next stop, and note where the run stands then."""
        context.control = self._control = RunControl()
        if self._is_drained:
            self._control.request_drain(_PAUSE)
        context.runs.set_status(context.lease, "running")
        outcome = await self._invoke(context)
        context.runs.set_status(context.lease, outcome.status, outcome.reason)
        return outcome

    async def _attended(self, context: Context) -> bool:
        """Stay until the loop can go on; False if a person wants to leave it waiting."""
        known = pending(context).closed  # the loop has said so already
        while not self._is_drained:
            waiting = pending(context)
            if not waiting.missing or context.mailbox.queued():
                return True
            if waiting.closed != known:
                known = waiting.closed
                note_waiting(context, waiting)
            await asyncio.sleep(_POLL)
        return False

    @contextlib.asynccontextmanager
    async def borrowed(self, listener: Listener | None = None) -> AsyncIterator[Context]:
        """Hold the run's lease and open its models for a while; raises `RunBusy`."""
        runs = Runs(self.store)
        lease = runs.take(self.id)
        with Heartbeat(runs, lease):
            context = Context(
                self.store,
                self.row,
                lease,
                listener=listener,
                models=self._models,
                deliberations=self._deliberations,
            )
            try:
                yield context
            finally:
                await context.aclose()

    async def stream(self) -> AsyncIterator[Event]:
        """Drive the run and yield its events as they happen; who stops listening pauses it."""
        queue: asyncio.Queue[Event | None] = asyncio.Queue()
        task = asyncio.create_task(self.drive(queue.put_nowait))
        task.add_done_callback(lambda _: queue.put_nowait(None))
        try:
            while (event := await queue.get()) is not None:
                yield event
        except asyncio.CancelledError:
            task.cancel()
            raise
        finally:
            # Who stops listening pauses the run: else it would go on, on what is being closed.
            self.drain()
            await asyncio.wait([task])
        await task

    def _refuse_hopeless(self, context: Context) -> None:
        """Before anything is spent, see that the budget pays for a label at all."""
        if context.journal.rounds():
            return
        quote = self.quote()
        if not quote.affordable:
            error = BudgetExceeded(wanted=Decimal(0), remaining=quote.budget)
            error.args = (quote.advice,)
            raise error

    async def _invoke(self, context: Context) -> Outcome:
        async with opened(context.files) as saver:
            context.files.fetch(MODEL)
            graph: Any = build_loop().compile(checkpointer=saver)
            rounds = context.config.loop.rounds
            steps = (rounds + 2) * (12 + 2 * context.config.loop.batch)
            config = {"configurable": {"thread_id": self.id}, "recursion_limit": steps + 100}
            start = await self._start(graph, config, context)
            if isinstance(start, Outcome):
                return start
            try:
                result = await graph.ainvoke(
                    start,
                    config,
                    context=context,
                    durability="sync",
                    control=context.control,
                    version="v2",
                )
            except GraphDrained as drained:
                if drained.reason == _PAUSE:
                    return Outcome("paused", "Paused as asked.")
                return Outcome("paused", str(drained.reason), is_trouble=True)
        if result.interrupts:
            return Outcome("waiting", f"{pending(context).words}.")
        return Outcome("finished", self.row.reason)

    async def _start(
        self, graph: Any, config: dict[str, Any], context: Context
    ) -> LoopState | Resume[Any] | Outcome | None:
        """Choose how to go on: afresh, from a checkpoint, or from the store alone."""
        snapshot = await graph.aget_state(config)
        fresh: LoopState = {
            "run_id": self.id,
            "graph_version": GRAPH_VERSION,
            "round": context.labelling.last_round(),
            "turn": context.journal.last_turn(),
        }
        if not snapshot.values or snapshot.values.get("graph_version") != GRAPH_VERSION:
            await graph.checkpointer.adelete_thread(self.id)
            return fresh
        if not snapshot.next:
            return fresh
        if not snapshot.interrupts:
            return None
        waiting = pending(context)
        if waiting.missing and not context.inbox.unfolded() and not context.mailbox.queued():
            return Outcome("waiting", f"{waiting.words}.")
        return Resume(resume=True)
