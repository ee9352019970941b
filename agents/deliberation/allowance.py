"""What one deliberation may use, as a part of the run's ledger: calls, tokens, dollars, seconds."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from decimal import Decimal

from querist.agents.mind import DeliberationFailed
from querist.agents.models.metered import MeteredModel
from querist.agents.models.port import ChatReply, ChatRequest, OnDraft, call_key
from querist.memory.records import CallKey
from querist.tools.wording import counted


@dataclass(frozen=True, slots=True)
class Allowance:
    """The most that a deliberation may use."""

    usd: Decimal
    calls: int
    tokens: int
    seconds: float
    """By the clock; a call that is under way then is paid for, and nobody waits for it."""


class Account:
    """What is left of an allowance. Whoever deliberates, tools included, spends through it.

    Replayed calls count as when they were paid: after a crash as much is left as before it.
    """

    def __init__(self, allowance: Allowance, model: MeteredModel) -> None:
        """`model` is the mind's own, metered under the agent's name."""
        self.allowance = allowance
        self.model = model
        self.calls = 0
        self.tokens = 0
        self.charged = Decimal(0)
        self._keys: list[CallKey] = []
        self._under_way: set[asyncio.Task[ChatReply]] = set()

    @property
    def usd(self) -> Decimal:
        """What the deliberation cost this run so far."""
        return self.model.paid(self._keys) + self.charged

    @property
    def calls_left(self) -> int:
        """How many calls may follow."""
        return max(0, self.allowance.calls - self.calls)

    @property
    def usd_left(self) -> Decimal:
        """What may still be spent."""
        return max(Decimal(0), self.allowance.usd - self.usd)

    @property
    def words(self) -> str:
        """What is left, as a mind is told."""
        left = f"{counted(self.calls_left, 'call')} left for this decision"
        return left if self.model.is_free else f"{left}, and {self.usd_left:.4f} USD"

    async def complete(self, request: ChatRequest, *, on_draft: OnDraft | None = None) -> ChatReply:
        """Answer a request of the mind; raises `DeliberationFailed` where it is not allowed."""
        if not self.calls_left:
            made = counted(self.allowance.calls, "call")
            raise DeliberationFailed(f"no ruling came within {made}")
        if self.tokens >= self.allowance.tokens:
            raise DeliberationFailed(
                f"no ruling came within {self.allowance.tokens:,} tokens ({self.tokens:,} used)"
            )
        self.afford(self.model.ceiling(request))
        self.calls += 1
        self._keys.append(call_key(self.model.model, request))
        # Shielded, so that a call is settled even where nobody waits for it any more.
        task = asyncio.ensure_future(self._complete(request, on_draft))
        self._under_way.add(task)
        task.add_done_callback(self._forget)
        return await asyncio.shield(task)

    def afford(self, ceiling: Decimal) -> None:
        """Raise `DeliberationFailed` for what might cost more than is left."""
        if ceiling > self.usd_left:
            raise DeliberationFailed(
                f"the next step may cost {ceiling:f} USD, and {self.usd_left:f} USD are left of "
                f"the {self.allowance.usd:f} USD allowed for this decision"
            )

    def charge(self, usd: Decimal) -> None:
        """Count what a tool spent."""
        self.charged += usd

    async def settle(self, seconds: float) -> None:
        """Wait for calls that are under way to be paid for, so long at most."""
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=seconds)

    async def _complete(self, request: ChatRequest, on_draft: OnDraft | None) -> ChatReply:
        metered = await self.model.complete(request, on_draft=on_draft)
        usage = metered.reply.usage
        self.tokens += usage.input_tokens + usage.output_tokens
        return metered.reply

    def _forget(self, task: asyncio.Task[ChatReply]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()  # looked at, so that asyncio does not complain about it
