"""A model that cannot spend unnoticed: replay, reserve, call, settle.

A call that was settled before is answered from the store. Otherwise its ceiling is reserved
before it is sent; what it cost is settled with the reply in one transaction, so after a crash a
call is either paid and kept, or an open reservation.

A provider may bill more than a request allowed. That is settled and told, and the calls that
follow are reserved at what it really bills: the worst overshoot is one window of calls in flight.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from decimal import Decimal

from querist.agents.models.pacing import Pacer, Patience
from querist.agents.models.port import (
    ChatModel,
    ChatReply,
    ChatRequest,
    Draft,
    Garbled,
    OnDraft,
    Usage,
    answer_as_it_comes,
    call_key,
)
from querist.agents.models.reading import without_thoughts
from querist.memory.codec import from_json, to_json
from querist.memory.errors import BudgetExceeded, QueristError
from querist.memory.group_commit import GroupCommit
from querist.memory.records import CallKey
from querist.memory.run.ledger import Bill, Hold, Ledger, Request
from querist.tools.money.prices import Price
from querist.tools.tracing import Span, span


@dataclass(frozen=True, slots=True)
class MeteredReply:
    """A reply with what it cost now (nothing, if it was replayed)."""

    reply: ChatReply
    usd: Decimal
    key: CallKey


class _CutOffError(Exception):
    """A reply ended before its answer, and the next attempt may write more."""


class Overrun:
    """By how much a provider bills more than requests allow; kept for all agents that use it."""

    MARGIN = 1.25
    """The next call may exceed the worst that was seen."""

    def __init__(self, *, output: int = 0) -> None:
        """`output` is the most output tokens that an earlier process saw billed for a call."""
        self._output = output
        self._input_ratio = 1.0

    def cover(self, counted: int, most: int) -> tuple[int, int]:
        """Raise a ceiling of input and output tokens to what may be billed."""
        return math.ceil(counted * self._input_ratio), max(most, self._output)

    def note(self, usage: Usage, counted: int, most: int) -> bool:
        """Learn from what was billed; tell whether it was more than ever."""
        covered_input, covered_output = self.cover(counted, most)
        if usage.output_tokens > covered_output:
            self._output = math.ceil(usage.output_tokens * self.MARGIN)
        if counted and usage.input_tokens > covered_input:
            self._input_ratio = self.MARGIN * usage.input_tokens / counted
        return usage.output_tokens > covered_output or usage.input_tokens > covered_input


class MeteredModel:
    """A chat model with its price, the run's ledger and a pacer in front of it."""

    def __init__(
        self,
        model: ChatModel,
        *,
        price: Price,
        ledger: Ledger,
        agent: str,
        number: int = 0,
        pacer: Pacer | None = None,
        patience: Patience | None = None,
        overrun: Overrun | None = None,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Meter every call of `model` under an agent's name, in round `number`.

        `pacer` and `overrun` belong to the endpoint and are shared by all who use it; without
        a pacer one with `patience` is made. `tell` gets what went wrong.
        """
        self.model = model
        self.price = price
        self._number = number
        self.is_free = not any((price.input, price.output, price.per_call, price.cached_input))
        self._agent = agent
        self._ledger = ledger
        self._overrun = overrun or Overrun()
        self._tell = tell
        self._open = 0
        self._closed = asyncio.Event()
        self._pacer = pacer or Pacer(model.in_flight, patience=patience)
        self._reserving: GroupCommit[Request, Hold] = GroupCommit(ledger.reserve)
        self._settling: GroupCommit[Bill, None] = GroupCommit(self._settle_all)

    @property
    def name(self) -> str:
        """The model's name."""
        return self.model.name

    def ceiling(self, request: ChatRequest) -> Decimal:
        """Tell the most that a request can cost."""
        if self.is_free:  # counting tokens takes time
            return Decimal(0)
        counted, most = self.model.count_tokens(request), self.model.most_output(request)
        return self.price.ceiling(*self._overrun.cover(counted, most))

    def paid(self, keys: Sequence[CallKey]) -> Decimal:
        """Tell what calls cost the run, also those that an earlier process made."""
        return self._ledger.paid(keys)

    async def complete(
        self, request: ChatRequest, *, on_draft: OnDraft | None = None
    ) -> MeteredReply:
        """Answer a request, paying for it at most once ever; `on_draft` hears it as it comes.

        Raises `BudgetExceeded` before anything is sent when the ceiling does not fit.
        """
        key = call_key(self.model, request)
        if (known := self._ledger.replay([key])).get(key):
            replayed = _replayed(key, known)
            if on_draft is not None:
                on_draft(Draft(replayed.reply.text, replayed.reply.uses))
            return replayed
        return await self._pay(key, request, on_draft)

    async def complete_all(
        self, requests: Sequence[ChatRequest]
    ) -> list[MeteredReply | QueristError]:
        """Answer many requests, as many at once as the model bears; errors come back in place."""
        keys = [call_key(self.model, request) for request in requests]
        known = self._ledger.replay(keys)
        # Equal requests are one call.
        news = {
            key: request for key, request in zip(keys, requests, strict=True) if key not in known
        }
        paid = {key: asyncio.create_task(self._pay(key, request)) for key, request in news.items()}
        await asyncio.gather(*paid.values(), return_exceptions=True)
        return [_replayed(key, known) if key in known else _result(paid[key]) for key in keys]

    async def _pay(
        self, key: CallKey, request: ChatRequest, on_draft: OnDraft | None = None
    ) -> MeteredReply:
        garbled = False
        while True:
            try:
                return await self._pacer.run(lambda: self._attempt(key, request, on_draft))
            except _CutOffError:
                continue  # the room has grown, and it does not grow without end
            except BudgetExceeded:
                # Ceilings are higher than bills: what is under way may leave enough.
                if not await self._money_comes_back():
                    raise
            except Garbled:
                if garbled:
                    raise
                garbled = True

    async def _attempt(
        self, key: CallKey, request: ChatRequest, on_draft: OnDraft | None
    ) -> MeteredReply:
        ceiling = self.ceiling(request)
        most = self.model.most_output(request)
        hold = await self._reserving.submit(Request(key, ceiling, self._agent, round=self._number))
        self._open += 1
        try:
            return await self._call(key, request, hold=hold, most=most, on_draft=on_draft)
        finally:
            self._open -= 1
            self._closed.set()

    async def _call(
        self,
        key: CallKey,
        request: ChatRequest,
        *,
        hold: Hold,
        most: int,
        on_draft: OnDraft | None,
    ) -> MeteredReply:
        ceiling = hold.request.ceiling
        try:
            with self._span() as told:
                reply = await answer_as_it_comes(self.model, request, on_draft)
                told.note(
                    gen_ai__usage__input_tokens=reply.usage.input_tokens,
                    gen_ai__usage__output_tokens=reply.usage.output_tokens,
                    querist__usd=self._cost(reply.usage),
                )
        except Garbled:
            # It may have been billed, so the account assumes that it was.
            lost = Bill(hold, ceiling, {"model": self.name, "lost": True})
            await self._settling.submit(lost)
            raise
        except QueristError:
            self._ledger.release([hold])
            raise
        usd = self._cost(reply.usage)
        again = _is_cut_off(reply, request) and (
            self.model.most_output(request) > most or self.model.widen(reply.usage)
        )
        detail = to_json(reply.usage) | {"model": self.name}
        if usd > ceiling:
            detail["overrun"] = True
        # A reply that ended before its answer is paid for, but nobody wants to see it again.
        kept = None if again or reply.finish == "stopped" else to_json(reply)
        await self._settling.submit(Bill(hold, usd, detail, self.name, kept))
        self._note_overrun(request, reply.usage, most=most, usd=usd, ceiling=ceiling)
        if again:
            raise _CutOffError
        return MeteredReply(reply, usd, key)

    def _span(self) -> AbstractContextManager[Span]:
        return span(
            f"chat {self.name}",
            gen_ai__operation__name="chat",
            gen_ai__request__model=self.name,
            gen_ai__agent__name=self._agent,
            querist__round=self._number,
        )

    async def _money_comes_back(self) -> bool:
        """Wait until a call under way is settled; False if there is none."""
        if not self._open:
            return False
        self._closed.clear()
        await self._closed.wait()
        return True

    def _cost(self, usage: Usage) -> Decimal:
        return self.price.cost(
            usage.input_tokens, usage.output_tokens, cached_tokens=usage.cached_tokens
        )

    def _note_overrun(
        self, request: ChatRequest, usage: Usage, *, most: int, usd: Decimal, ceiling: Decimal
    ) -> None:
        if self.is_free or usd <= ceiling:
            return
        if self._overrun.note(usage, self.model.count_tokens(request), most):
            self._tell(
                f"{self.name} billed {usd:f} USD for a call that could cost {ceiling:f} USD at "
                f"most by its limits ({usage.input_tokens:,} tokens in, {usage.output_tokens:,} "
                f"out, {most:,} allowed). From now on as much is set aside for each call."
            )

    def _settle_all(self, bills: Sequence[Bill]) -> list[None]:
        self._ledger.settle(bills)
        return [None] * len(bills)


def _is_cut_off(reply: ChatReply, request: ChatRequest) -> bool:
    """Tell whether a reply ended, by its limit, before there was any answer."""
    if reply.finish != "length" or reply.uses:
        return False
    if request.choices:
        return reply.text not in request.choices
    return not without_thoughts(reply.text)


def _replayed(key: CallKey, known: dict[CallKey, dict[str, object]]) -> MeteredReply:
    """Take a reply from the store."""
    reply = from_json(ChatReply, known[key])
    return MeteredReply(replace(reply, replayed=True), Decimal(0), key)


def _result(task: asyncio.Task[MeteredReply]) -> MeteredReply | QueristError:
    error = task.exception()
    if error is None:
        return task.result()
    if isinstance(error, QueristError):
        return error
    raise error
