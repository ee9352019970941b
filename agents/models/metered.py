"""A model that cannot spend unnoticed: replay, reserve, call, settle.

A call that was settled before is answered from the store. Otherwise its ceiling is reserved
before it is sent; what it cost is settled with the reply in one transaction, so after a crash a
call is either paid and kept, or an open reservation.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from querist.agents.models.pacing import Pacer, Patience
from querist.agents.models.port import ChatModel, ChatReply, ChatRequest, Garbled, call_key
from querist.memory.codec import from_json, to_json
from querist.memory.errors import QueristError
from querist.memory.group_commit import GroupCommit
from querist.memory.ledger import Bill, Hold, Ledger, Request
from querist.memory.records import CallKey
from querist.tools.prices import Price


@dataclass(frozen=True, slots=True)
class Answered:
    """A reply with what it cost now (nothing, if it was replayed)."""

    reply: ChatReply
    usd: Decimal
    key: CallKey


class MeteredModel:
    """A chat model with its price, the run's ledger and a pacer in front of it."""

    def __init__(
        self,
        model: ChatModel,
        *,
        price: Price,
        ledger: Ledger,
        agent: str,
        patience: Patience | None = None,
    ) -> None:
        """Meter every call of `model` under the name of `agent`."""
        self.model = model
        self.price = price
        self.round = 0
        self.is_free = not any((price.input, price.output, price.per_call, price.cached_input))
        self._agent = agent
        self._ledger = ledger
        self._pacer = Pacer(model.in_flight, patience=patience)
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
        return self.price.ceiling(self.model.count_tokens(request), request.max_tokens)

    async def complete(self, request: ChatRequest) -> Answered:
        """Answer a request, paying for it at most once ever.

        Raises `BudgetExceeded` before anything is sent when the ceiling does not fit.
        """
        key = call_key(self.model, request)
        if (known := self._ledger.replay([key])).get(key):
            return replayed(key, known)
        return await self._pay(key, request)

    async def complete_all(self, requests: Sequence[ChatRequest]) -> list[Answered | QueristError]:
        """Answer many requests, as many at once as the model bears; errors come back in place."""
        keys = [call_key(self.model, request) for request in requests]
        known = self._ledger.replay(keys)
        # Equal requests are one call.
        news = {key: one for key, one in zip(keys, requests, strict=True) if key not in known}
        paid = {key: asyncio.create_task(self._pay(key, one)) for key, one in news.items()}
        await asyncio.gather(*paid.values(), return_exceptions=True)
        return [replayed(key, known) if key in known else _outcome(paid[key]) for key in keys]

    async def _pay(self, key: CallKey, request: ChatRequest) -> Answered:
        for last in (False, True):
            try:
                return await self._pacer.run(lambda: self._attempt(key, request))
            except Garbled:
                if last:
                    raise
        raise AssertionError  # the loop returns or raises

    async def _attempt(self, key: CallKey, request: ChatRequest) -> Answered:
        ceiling = self.ceiling(request)
        hold = await self._reserving.submit(Request(key, ceiling, self._agent, round=self.round))
        try:
            reply = await self.model.complete(request)
        except Garbled:
            # It may have been billed, so the account assumes that it was.
            lost = Bill(hold, ceiling, {"model": self.name, "lost": True})
            await self._settling.submit(lost)
            raise
        except QueristError:
            self._ledger.release([hold])
            raise
        usage = reply.usage
        usd = self.price.cost(
            usage.input_tokens, usage.output_tokens, cached_tokens=usage.cached_tokens
        )
        detail = to_json(usage) | {"model": self.name}
        await self._settling.submit(Bill(hold, usd, detail, self.name, to_json(reply)))
        return Answered(reply, usd, key)

    def _settle_all(self, bills: Sequence[Bill]) -> list[None]:
        self._ledger.settle(bills)
        return [None] * len(bills)


def replayed(key: CallKey, known: dict[CallKey, dict[str, object]]) -> Answered:
    """Take a reply from the store."""
    reply = from_json(ChatReply, known[key])
    return Answered(replace(reply, replayed=True), Decimal(0), key)


def _outcome(task: asyncio.Task[Answered]) -> Answered | QueristError:
    error = task.exception()
    if error is None:
        return task.result()
    if isinstance(error, QueristError):
        return error
    raise error
