"""A language model for strategies: many questions at once, from a thread without an event loop.

Strategies are plain functions in a worker thread; models are asynchronous and belong to the run's
event loop. The advisor carries questions over and answers back. Everything goes through the
metered model, so it is paid once, kept, and never past the budget.
"""

from __future__ import annotations

import asyncio
import weakref
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal, TypeVar

from querist.agents.models.metered import MeteredModel, MeteredReply
from querist.agents.models.port import ChatReply, ChatRequest
from querist.memory.errors import BudgetExceeded, InvalidInput, ModelError
from querist.memory.records import Task
from querist.tools.strategies.querying import QueryContext

T = TypeVar("T")
Reply = ChatReply | ModelError | BudgetExceeded
Run = Callable[[Coroutine[Any, Any, T]], T]

_ROOM = 32_000
"""Tokens that a model is taken to read at once unless it says otherwise."""
_AT_ONCE = 64
_SHARE = "A question of the selection, within its share of the budget,"


@dataclass(slots=True)
class Tally:
    """What one selection asked, what came of it, and what it cost."""

    asked: int = 0
    replayed: int = 0
    failed: int = 0
    usd: Decimal = Decimal(0)
    tokens: int = 0
    is_out_of_money: bool = False
    errors: Counter[str] = field(default_factory=Counter)

    @property
    def trouble(self) -> str:
        """Why answers are missing, in words; empty if none are."""
        if not self.failed:
            return ""
        first, _ = self.errors.most_common(1)[0]
        return f"{self.failed} of {self.asked} questions got no answer: {first}"


class Advisor:
    """The model that strategies ask, with the task that they choose for."""

    def __init__(
        self,
        model: MeteredModel,
        *,
        task: Task,
        loop: asyncio.AbstractEventLoop | None = None,
        allowance: Decimal | None = None,
        notice: Callable[[str], None] | None = None,
    ) -> None:
        """Ask on `loop`, from another thread than its own; without one, on a loop of its own.

        `allowance` is what all questions together may cost, so that choosing what to label cannot
        use up the money for labels. `notice` is told, once a selection, when answers were missing.
        """
        self.task = task
        self._model = model
        self._notice = notice
        self._allowance = allowance
        self._spent = Decimal(0)
        self._loop = loop
        self._run: Run[list[Reply]] = self._on_loop if loop is not None else _own_loop(self)
        self.tally = Tally()

    @property
    def name(self) -> str:
        """The model's name."""
        return self._model.name

    @property
    def room(self) -> int:
        """How many tokens a prompt and its answer may have."""
        return int(getattr(self._model.model, "context", _ROOM))

    def can_look(self, kind: Literal["first_token", "input"]) -> bool:
        """Tell whether the model gives the log-probabilities that `ChatRequest.look` names."""
        return kind in getattr(self._model.model, "looks", ())

    def fits(self, request: ChatRequest) -> bool:
        """Tell whether a request leaves the model room to answer."""
        return self._model.model.count_tokens(request) + request.max_tokens < self.room

    def start(self) -> Tally:
        """Begin a new account; the one before stays with whoever took it."""
        self.tally = Tally()
        return self.tally

    def ask(self, requests: Sequence[ChatRequest]) -> list[Reply]:
        """Ask everything; what cannot be answered or paid comes back as the error, in its place.

        Errors that no other answer can make good (a lost lease, a full disk) are raised.
        """
        replies: list[Reply] = []
        for start in range(0, len(requests), _AT_ONCE):
            part = requests[start : start + _AT_ONCE]
            replies += self._run(self._ask(part, self._affordable(part)))
        return replies

    def ask_one(self, request: ChatRequest) -> Reply:
        """Ask one question."""
        return self.ask([request])[0]

    def close(self) -> str:
        """End a selection: tell of missing answers, and say the same."""
        trouble = self.tally.trouble
        if trouble and self._notice is not None:
            self._notice(trouble)
        return trouble

    async def _ask(self, requests: Sequence[ChatRequest], count: int) -> list[Reply]:
        """Ask the first `count`; the others are past the allowance."""
        results = await self._model.complete_all(requests[:count])
        left = (self._allowance or Decimal(0)) - self._spent
        for request in requests[count:]:
            ceiling = self._model.ceiling(request)
            results.append(BudgetExceeded(wanted=ceiling, remaining=left, what=_SHARE))
        return [self._note(result) for result in results]

    def _affordable(self, requests: Sequence[ChatRequest]) -> int:
        """Count how many of the questions fit into the allowance, whatever they may cost."""
        if self._allowance is None or self._model.is_free:
            return len(requests)
        total = self._spent
        for count, request in enumerate(requests):
            total += self._model.ceiling(request)
            if total > self._allowance:
                return count
        return len(requests)

    def _note(self, result: MeteredReply | Exception) -> Reply:
        self.tally.asked += 1
        if isinstance(result, MeteredReply):
            reply = result.reply
            self.tally.usd += result.usd
            self._spent += result.usd
            self.tally.replayed += reply.replayed
            if not reply.replayed:
                self.tally.tokens += reply.usage.input_tokens + reply.usage.output_tokens
            return reply
        if not isinstance(result, ModelError | BudgetExceeded):
            raise result
        self.tally.failed += 1
        self.tally.errors[str(result)] += 1
        self.tally.is_out_of_money |= isinstance(result, BudgetExceeded)
        return result

    def _on_loop(self, work: Coroutine[Any, Any, T]) -> T:
        assert self._loop is not None
        if _running_loop() is self._loop:
            work.close()
            raise InvalidInput(
                "A strategy that asks a language model was called on the event loop that must "
                "answer it. Call it in a thread: await asyncio.to_thread(strategy.query, ...)."
            )
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


def advisor_of(context: QueryContext) -> Advisor:
    """Take the language model from a strategy's context, with a new account."""
    advisor = context.language_model()
    if not isinstance(advisor, Advisor):
        raise InvalidInput("The context's language model must be a querist Advisor.")
    advisor.start()
    return advisor


def _own_loop(owner: Advisor) -> Run[Any]:
    """Make a loop in a thread of its own that lives as long as its owner."""
    loop = asyncio.new_event_loop()
    worker = ThreadPoolExecutor(1, thread_name_prefix="querist-advisor")
    writers = ThreadPoolExecutor(2, thread_name_prefix="querist-advisor-store")
    loop.set_default_executor(writers)
    weakref.finalize(owner, _shut, loop, worker, writers)

    def run(work: Coroutine[Any, Any, T]) -> T:
        return worker.submit(loop.run_until_complete, work).result()

    return run


def _shut(loop: asyncio.AbstractEventLoop, *threads: ThreadPoolExecutor) -> None:
    for thread in threads:
        thread.shutdown(wait=True)
    loop.close()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
