"""One search with its account: what was tried is kept, so a search that was killed goes on.

A search stands in the store beside the runs, under a name that follows from what is chosen among:
the same command finds it again. Every try is an event of its journal.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from querist.agents.models.port import ChatModel
from querist.graph.config import RunConfig
from querist.graph.intake import import_data
from querist.graph.workplace.context import Context, Listener
from querist.memory.errors import BudgetExceeded, CapReached, InvalidInput, QueristError
from querist.memory.event_parts import ArmRow, PullNote
from querist.memory.events import ArmsTried, Chosen
from querist.memory.records import Example, RunId, Split, content_id
from querist.memory.run.journal import Journal
from querist.memory.run.runs import Heartbeat, Runs
from querist.memory.store import Store
from querist.tools.arms import ArmSelector, Pull, pulls_at_once, wilson

_AT_ONCE = 32
USUAL_TRIES = 20
"""Evaluations an arm if nobody said how many."""


@dataclass(frozen=True, slots=True)
class Tried:
    """What a pull came to; `sharers` are arms that have a share in its reward."""

    reward: float
    usd: Decimal = Decimal(0)
    sharers: tuple[int, ...] = ()


Evaluate = Callable[[Sequence[Pull]], Awaitable[Sequence[Tried]]]


class Session:
    """A search in one process."""

    def __init__(self, context: Context, *, what: str, should_stop: Callable[[], bool]) -> None:
        """Read what was tried before from the journal."""
        self.context = context
        self.what = what
        self.status = "finished"
        self._known: dict[str, dict[Pull, Tried]] = {}
        self._meaning = ""
        self.should_stop = should_stop
        for tried in context.journal.bodies(ArmsTried):
            self._learn(tried)

    @property
    def rng(self) -> np.random.Generator:
        """A fresh generator from the seed: what is drawn does not depend on what came before."""
        return np.random.default_rng(self.context.config.loop.seed)

    @property
    def known(self) -> dict[Pull, Tried]:
        """What was tried of the arms that are played, in this process or an earlier one."""
        return self._known.setdefault(self._meaning, {})

    @property
    def usd(self) -> Decimal:
        """What the search has cost so far."""
        return self.context.ledger.balance().settled

    async def play(
        self,
        selector: ArmSelector,
        evaluate: Evaluate,
        *,
        total: int,
        name: Callable[[int], str],
        at_once: int = _AT_ONCE,
        meaning: str = "",
        is_redone: bool = False,
    ) -> None:
        """Try arms until the selector is done, the money is, or somebody wants to stop.

        What was tried before with arms of the same `meaning` is taken from the journal, unless
        it `is_redone` because it leaves something behind, as training does.
        """
        self._meaning = meaning
        # In a thread, so that a proposer behind the selector may ask a language model meanwhile.
        while pulls := await asyncio.to_thread(pulls_at_once, selector, at_once):
            if self.should_stop():
                self.status = "paused"
                return
            known = self.known
            fresh = [pull for pull in pulls if is_redone or pull not in known]
            try:
                tries = await evaluate(fresh) if fresh else []
            except CapReached:
                raise
            except BudgetExceeded:
                self.status = "out of money"
                return
            news = {
                pull: tried for pull, tried in zip(fresh, tries, strict=True) if pull not in known
            }
            known.update(news)
            for pull in pulls:
                tried = known[pull]
                selector.observe(pull.arm, tried.reward, float(tried.usd))
                for arm in tried.sharers:
                    selector.record.credit(arm, tried.reward)
            self._note(news, done=selector.record.total, total=total, best=name(selector.best()[0]))

    def rows(
        self,
        selector: ArmSelector,
        names: Sequence[str],
        *,
        measured_on: Callable[[int], int] | None = None,
    ) -> tuple[ArmRow, ...]:
        """Tell how the arms did, the best first, those that were never tried last.

        `measured_on` gives the examples behind an arm's score, where a pull is not one example.
        """
        record = selector.record
        costs = dict.fromkeys(range(len(names)), Decimal(0))
        for pull, tried in self.known.items():
            if pull.arm in costs:
                costs[pull.arm] += tried.usd
        ranked = list(selector.best(len(names)))
        ranked += [arm for arm in range(len(names)) if arm not in ranked]
        found = []
        for arm in ranked:
            n = measured_on(arm) if measured_on else record.counted[arm]
            low, high = wilson(record.mean(arm), n)
            is_known = record.counted[arm] > 0
            found.append(
                ArmRow(
                    name=names[arm],
                    pulls=record.pulls[arm],
                    mean=record.mean(arm) if is_known else None,
                    low=low if is_known else None,
                    high=high if is_known else None,
                    usd=costs[arm],
                    rejected_after=record.rejected.get(arm),
                )
            )
        return tuple(found)

    def close(self, chosen: Chosen) -> Chosen:
        """Write the result down."""
        self.context.emit(chosen)
        return chosen

    def _note(self, news: Mapping[Pull, Tried], *, done: int, total: int, best: str) -> None:
        pulls = tuple(
            PullNote(pull.arm, pull.resource, tried.reward, tried.usd, tried.sharers)
            for pull, tried in news.items()
        )
        self.context.emit(
            ArmsTried(self._meaning, pulls, done=done, total=total, best=best, usd=self.usd)
        )

    def _learn(self, tried: ArmsTried) -> None:
        known = self._known.setdefault(tried.plan, {})
        for note in tried.pulls:
            known[Pull(note.arm, note.resource)] = Tried(note.reward, note.usd, note.sharers)


@asynccontextmanager
async def opened(
    store: Store,
    config: RunConfig,
    *,
    what: str,
    spec: Mapping[str, object],
    tell: Callable[[str], None] = lambda _: None,
    listener: Listener | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    models: Mapping[str, ChatModel] | None = None,
    has_pool: bool = True,
) -> AsyncIterator[Session]:
    """Open a search, or the one that was begun with the same `spec`; raises `RunBusy`.

    `spec` is all that the result of a single try depends on; the budget is no part of it.
    """
    dataset = ""
    if has_pool:
        dataset, config = import_data(config, store, tell=tell)
    task, body = config.as_task(), config.model_dump(mode="json")
    name = content_id(what, dict(spec), dataset, body["task"], body["loop"]["seed"], size=10)
    run = RunId(f"choice.{what}.{name}")
    runs = Runs(store)
    if all(row.id != run for row in runs.all()):
        cap = config.budget.usd
        runs.create(run, task=task, dataset=dataset, config=body, cap=cap, kind="choice")
    lease = runs.take(run)
    with Heartbeat(runs, lease):
        # Prices, addresses and the budget may have changed since.
        runs.set_config(lease, body)
        context = Context(store, runs.get(run), lease, listener=listener, models=dict(models or {}))
        context.ledger.set_cap(config.budget.usd)
        runs.set_status(lease, "running")
        session = Session(context, what=what, should_stop=should_stop)
        try:
            yield session
            runs.set_status(lease, session.status)
        except QueristError as error:
            runs.set_status(lease, "failed", str(error))
            raise
        finally:
            await context.aclose()


def last_result(store: Store, run: str) -> Chosen | None:
    """Read what a search came to, if it came to anything yet."""
    results = Journal(store, run).bodies(Chosen)
    return results[-1] if results else None


def known_examples(session: Session) -> list[Example]:
    """List the examples whose label is known, in a random order: validation, else the pool's."""
    context = session.context
    for split in (Split.VALIDATION, Split.POOL):
        found = context.view.known(split)
        if found:
            order = session.rng.permutation(len(found))
            return [found[int(place)] for place in order]
    return []


def gold_examples(session: Session) -> list[Example]:
    """List the examples whose label is known; raises `InvalidInput` where there are none."""
    if found := known_examples(session):
        return found
    raise InvalidInput(
        "A search needs examples whose label is known, to see who is right. Name a file of them as "
        "data.validation in the task file (--set data.validation=/path/gold.csv), or the column of "
        "the pool that holds labels (--set data.gold=label). 50 are a start; 200 are better."
    )


def doubts(rows: Sequence[ArmRow]) -> tuple[str, ...]:
    """Say so when the runner-up may as well be better than the best."""
    if len(rows) < 2 or rows[0].low is None or rows[1].mean is None:
        return ()
    if rows[1].mean < rows[0].low:
        return ()
    said = f"{rows[1].name} is within the interval of {rows[0].name}: they may be equally good."
    return (f"{said} More evaluations, or more examples of known label, would tell.",)


def how_many(
    *,
    least: int,
    usual: int,
    most: int,
    dearest: Decimal,
    cap: Decimal,
    asked: int | None,
    noun: str,
) -> int:
    """Settle the number of evaluations, or say what budget would be needed.

    `dearest` is the most that one may cost; so many of it are within `cap`.
    """
    affordable = int(cap / dearest) if dearest > 0 else most
    wanted = min(usual, most, affordable) if asked is None else asked
    if wanted < least:
        price = f", which may cost up to {least * dearest:f} USD" if dearest > 0 else ""
        remedy = (
            f"--evaluations {least}"
            if asked is not None and affordable >= least
            else f"--budget {_money(least * dearest)}"
        )
        raise InvalidInput(
            f"{wanted} evaluations cannot try each of {least} {noun} once. Allow {least}{price} "
            f"({remedy}), or name fewer {noun}."
            + (" For many prompts there are --method clst and gse." if noun == "prompts" else "")
        )
    if wanted * dearest > cap:
        raise InvalidInput(
            f"{wanted} evaluations may cost up to {wanted * dearest:f} USD, and the budget is "
            f"{cap:f}. Raise it (--budget {_money(wanted * dearest)}), or ask for fewer "
            f"(--evaluations {affordable})."
        )
    return wanted


def _money(usd: Decimal) -> str:
    """Write an amount so that typing it is enough."""
    return f"{usd.normalize():f}"
