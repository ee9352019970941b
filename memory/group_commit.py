"""Many coroutines' writes in one transaction.

A transaction costs about as much for one row as for a hundred. Coroutines hand in what they want
written and are woken when it is committed; whatever arrives meanwhile goes into the next one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class GroupCommit(Generic[Item, Result]):
    """Collect items and apply them together, off the event loop, in the order they came.

    `apply` gets a list of items and returns as many results; a result that is an exception is
    raised in the coroutine that handed the item in.
    """

    def __init__(
        self,
        apply: Callable[[Sequence[Item]], Sequence[Result | Exception]],
        *,
        pause: float = 0.004,
    ) -> None:
        """`pause` (seconds) is how long the first item waits for company."""
        self._apply = apply
        self._pause = pause
        self._waiting: list[tuple[Item, asyncio.Future[Result]]] = []
        self._flusher: asyncio.Task[None] | None = None

    @property
    def is_busy(self) -> bool:
        """Whether anything waits to be committed."""
        return self._flusher is not None and not self._flusher.done()

    async def submit(self, item: Item) -> Result:
        """Wait until the item is committed."""
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._flusher is None or self._flusher.done():
            self._flusher = asyncio.create_task(self._flush())
        return await future

    async def _flush(self) -> None:
        while self._waiting:
            await asyncio.sleep(self._pause)
            group, self._waiting = self._waiting, []
            try:
                results = await asyncio.to_thread(self._apply, [item for item, _ in group])
            except Exception as error:  # noqa: BLE001 - handed to every waiting coroutine
                results = [error] * len(group)
            for (_, future), result in zip(group, results, strict=True):
                if future.cancelled():
                    continue
                if isinstance(result, Exception):
                    future.set_exception(result)
                else:
                    future.set_result(result)
