"""How many calls run at once: one more after each calm stretch, half as many after a refusal."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from querist.agents.models.port import Overloaded, Unreachable
from querist.memory.errors import ModelUnavailable

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to put up with an overloaded provider; times in seconds."""

    total: float = 120.0
    first: float = 0.5
    longest: float = 20.0


class Pacer:
    """Additive increase, multiplicative decrease of the number of calls in flight."""

    def __init__(self, most: int, *, patience: Patience | None = None, seed: int = 0) -> None:
        """Never have more than `most` in flight, and one until the first is answered.

        The first call shows what the endpoint takes and what it bills, before many rely on it.
        """
        self._most = most
        self._allowed = float(most)
        self._running = 0
        self._reached = False
        self._proven = False
        self._patience = patience or Patience()
        self._turn = asyncio.Condition()
        self._rng = random.Random(seed)  # noqa: S311 - jitter

    @property
    def allowed(self) -> int:
        """How many may run at once now."""
        return max(1, int(self._allowed)) if self._proven else 1

    async def run(self, call: Callable[[], Awaitable[T]]) -> T:
        """Make a call, again and again while the provider is overloaded.

        Raises `ModelUnavailable` when patience is at an end, whatever else at once.
        """
        waited, pause = 0.0, self._patience.first
        while True:
            await self._enter()
            try:
                result = await call()
            except Overloaded as error:
                self._allowed = max(1.0, self._allowed / 2)
                wait = error.retry_after or pause * (0.5 + self._rng.random())
                self._reached = self._reached or not isinstance(error, Unreachable)
                if waited + wait > self._limit(error):
                    asked = error.retry_after
                    wish = f" It asks to wait {asked:.0f} s." if asked and asked > wait / 2 else ""
                    raise ModelUnavailable(
                        f"{error}{wish} Tried for {waited:.0f} s (models.patience says how long). "
                        "What was labelled is kept; go on later with: querist resume"
                    ) from error
            else:
                self._faster()
                return result
            finally:
                await self._leave()
            await asyncio.sleep(wait)
            waited += wait
            pause = min(pause * 2, self._patience.longest)

    def _faster(self) -> None:
        self._reached = self._proven = True
        self._allowed = min(float(self._most), self._allowed + 1.0 / self.allowed)

    def _limit(self, error: Overloaded) -> float:
        # An address that never answered is more likely wrong than busy: say so soon.
        hopeless = isinstance(error, Unreachable) and not self._reached
        return min(self._patience.total, 3.0) if hopeless else self._patience.total

    async def _enter(self) -> None:
        if self._running >= self.allowed:
            async with self._turn:
                await self._turn.wait_for(lambda: self._running < self.allowed)
                self._running += 1
                return
        self._running += 1

    async def _leave(self) -> None:
        self._running -= 1
        async with self._turn:
            self._turn.notify(max(1, self.allowed - self._running))
