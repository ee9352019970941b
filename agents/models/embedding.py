"""Vectors of an endpoint that cannot be bought unnoticed, or twice: look up, reserve, send, settle.

What was bought is in the workspace's cache before it is settled. So after a crash a vector is kept,
or its reservation is open and in doubt, as with every other call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from querist.agents.models.pacing import Pacer, Patience
from querist.agents.models.port import Garbled, RowRefused
from querist.agents.models.providers.openai_embeddings import Embeddings, OpenAIEmbeddings
from querist.agents.models.providers.refusals import Refusal
from querist.memory.errors import BudgetExceeded, ModelError
from querist.memory.records import CallKey, content_id
from querist.memory.run.ledger import Bill, Hold, Ledger, Request
from querist.memory.workspace.embeddings import EmbeddingCache
from querist.tools.embedding.served import ServedEmbedder
from querist.tools.money.prices import Price
from querist.tools.money.tokens import TokenCounter

AGENT = "embedder"
"""Who spends, in the ledger."""
_A_REQUEST = 128
"""Texts in a request: a request that fails loses no more."""
_TOKENS_A_REQUEST = 100_000
_LONGEST = 8_000
"""Bytes of a text that are read. OpenAI's models take 8,191 tokens, and a token has a byte."""
_SHORTEST = 32
_SAMPLE = 1_000
"""Texts whose tokens are counted for a forecast, about."""
_ATTEMPTS = 2
"""Answers of one request that may be unreadable before it is given up."""


@dataclass(frozen=True, slots=True)
class EmbeddingAccess:
    """What reaching the endpoint needs besides its name."""

    api_key: str
    in_flight: int
    timeout: float
    patience: float


@dataclass(frozen=True, slots=True)
class _Batch:
    """One request: its texts, and the most tokens it can be billed for."""

    texts: tuple[str, ...]
    most: int


class MeteredEmbedder:
    """An embedder whose vectors are paid for from a run's budget, each once ever."""

    keeps = True
    at_once = 2_048
    """Texts that it is best given at a time."""

    def __init__(
        self,
        wanted: ServedEmbedder,
        *,
        access: EmbeddingAccess,
        price: Price,
        ledger: Ledger,
        cache: EmbeddingCache,
        counter: TokenCounter,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Buy what is `wanted`; `tell` hears what the endpoint does not say or cannot read."""
        self.name, self.dimensions = wanted.name, wanted.dimensions
        self._wanted, self._access, self._price = wanted, access, price
        self._ledger, self._cache, self._counter = ledger, cache, counter
        self._tell = tell
        self._told: set[str] = set()

    def embed(self, texts: Sequence[str], /) -> NDArray[np.float32]:
        """Embed texts as (N, d) vectors of length 1, 0 for one without content.

        A text is read up to its first 8,000 bytes, or as far as the endpoint takes it. Raises
        `BudgetExceeded` before anything is sent that does not fit, `ModelError` with a remedy.
        """
        readable = [_readable_part(text) for text in texts]
        found = self._cache.lookup(self.name, readable, dimensions=self.dimensions)
        missing = {readable[row]: row for row in found.missing.tolist() if readable[row].strip()}
        for start in range(0, len(missing), self.at_once):
            self._buy(list(missing)[start : start + self.at_once])
        return self._cache.lookup(self.name, readable, dimensions=self.dimensions).vectors

    def unpaid(self, texts: Sequence[str]) -> list[str]:
        """List what would have to be bought."""
        readable = [part for text in texts if (part := _readable_part(text)).strip()]
        unique = list(dict.fromkeys(readable))
        found = self._cache.lookup(self.name, unique, dimensions=self.dimensions)
        return [unique[row] for row in found.missing.tolist()]

    @property
    def model(self) -> str:
        """What prices and ledgers call it."""
        return self._wanted.priced_as

    def expected(self, texts: Sequence[str]) -> tuple[Decimal, Decimal]:
        """Forecast what texts cost, from the size of some of them, and bound it."""
        if self._price.ceiling(1_000_000, 0) == 0:
            return Decimal(0), Decimal(0)
        some = texts[:: max(1, len(texts) // _SAMPLE)]
        counts = [self._counter.count(text) for text in some]
        usual = sum(count.count for count in counts) * len(texts) // len(some)
        # Counting all of a large pool takes minutes; bytes are a bound where only some are counted.
        most = (
            sum(count.ceiling for count in counts)
            if len(some) == len(texts)
            else sum(len(text.encode()) + 2 for text in texts)
        )
        fees = self._price.per_call * (len(texts) // _A_REQUEST)
        return self._price.cost(usual, 0) + fees, self._price.ceiling(most, 0) + fees

    # ------------------------------------------------------------ money

    def _buy(self, texts: list[str]) -> None:
        """Pay for texts and keep their vectors; the first failure is raised, what came is kept."""
        batches = self._batches(texts)
        for attempt in range(_ATTEMPTS):
            holds = self._reserve(batches)
            results = self._sent(batches)
            failures = self._settle(batches, holds, results)
            garbled = [batch for batch, error in failures if isinstance(error, Garbled)]
            lasting = [error for _, error in failures if not isinstance(error, Garbled)]
            if lasting or (garbled and attempt == _ATTEMPTS - 1):
                raise lasting[0] if lasting else failures[0][1]
            batches = garbled
            if not batches:
                return

    def _reserve(self, batches: Sequence[_Batch]) -> list[Hold]:
        requests = [
            Request(self._key(batch), self._price.ceiling(batch.most, 0), AGENT)
            for batch in batches
        ]
        results = self._ledger.reserve(requests)
        holds = [result for result in results if isinstance(result, Hold)]
        refusals = [result for result in results if isinstance(result, BudgetExceeded)]
        if refusals:
            # All or nothing: half of a pool's vectors are of no use to anybody.
            if holds:
                self._ledger.release(holds)
            raise refusals[0]
        return holds

    def _settle(
        self,
        batches: Sequence[_Batch],
        holds: Sequence[Hold],
        results: Sequence[Embeddings | BaseException],
    ) -> list[tuple[_Batch, BaseException]]:
        """Keep and pay what came, release what was not billed; give what failed."""
        bills: list[Bill] = []
        unbilled: list[Hold] = []
        failures: list[tuple[_Batch, BaseException]] = []
        model = self.model
        for batch, hold, result in zip(batches, holds, results, strict=True):
            if isinstance(result, Embeddings):
                self._cache.add(self.name, batch.texts, vectors=result.vectors)
                detail: dict[str, object] = {"input_tokens": result.tokens, "model": model}
                if result.estimated:
                    detail["estimated"] = True
                    self._once(
                        f"{model} does not say what it used: embeddings are charged at the most "
                        "that they can have cost."
                    )
                bills.append(Bill(hold, self._price.cost(result.tokens, 0), detail, model))
                continue
            failures.append((batch, result))
            if isinstance(result, ModelError) and not isinstance(result, Garbled):
                unbilled.append(hold)
            else:
                # It may have been billed, so the account assumes that it was.
                lost = {"model": model, "lost": True}
                bills.append(Bill(hold, hold.request.ceiling, lost, model))
        if bills:
            self._ledger.settle(bills)
        if unbilled:
            self._ledger.release(unbilled)
        return failures

    def _batches(self, texts: Sequence[str]) -> list[_Batch]:
        """Divide texts into requests that an endpoint takes."""
        batches: list[_Batch] = []
        for text in texts:
            tokens = self._counter.count(text).ceiling
            last = batches[-1] if batches else None
            fits = last and len(last.texts) < _A_REQUEST and last.most + tokens <= _TOKENS_A_REQUEST
            if last and fits:
                batches[-1] = _Batch((*last.texts, text), last.most + tokens)
            else:
                batches.append(_Batch((text,), tokens))
        return batches

    def _key(self, batch: _Batch) -> CallKey:
        return CallKey(content_id(self.name, list(batch.texts), size=32))

    # ------------------------------------------------------------ sending

    def _sent(self, batches: Sequence[_Batch]) -> list[Embeddings | BaseException]:
        """Send requests, as many at once as the endpoint bears; failures come back in place."""
        # In a thread with an event loop of its own: the port is synchronous, and whoever calls it
        # may be inside a loop already. The ledger stays in the thread that owns it.
        with ThreadPoolExecutor(1, thread_name_prefix="embedding") as worker:
            return worker.submit(asyncio.run, self._send_all(batches)).result()

    async def _send_all(self, batches: Sequence[_Batch]) -> list[Embeddings | BaseException]:
        wanted, access = self._wanted, self._access
        endpoint = OpenAIEmbeddings(
            wanted.model,
            api_key=access.api_key or "none",
            base_url=wanted.base_url,
            dimensions=wanted.dimensions,
            asked=wanted.asked,
            timeout=access.timeout,
        )
        pacer = Pacer(access.in_flight, patience=Patience(total=access.patience))
        try:
            sending = [self._send(endpoint, pacer, batch.texts, batch.most) for batch in batches]
            return list(await asyncio.gather(*sending, return_exceptions=True))
        finally:
            await endpoint.aclose()

    async def _send(
        self, endpoint: OpenAIEmbeddings, pacer: Pacer, texts: Sequence[str], most: int
    ) -> Embeddings:
        came = await pacer.run(lambda: endpoint.embed(texts, most=most))
        if isinstance(came, Embeddings):
            return came
        # By each text alone, never by its company: a vector must not depend on the batch.
        if len(texts) > 1:
            middle = len(texts) // 2
            first = await self._send(endpoint, pacer, texts[:middle], most)
            try:
                second = await self._send(endpoint, pacer, texts[middle:], most)
            except ModelError as error:
                raise Garbled(str(error)) from error  # half of it was billed
            return _together(first, second, most)
        return await self._send_shorter(endpoint, pacer, texts[0], most, came)

    async def _send_shorter(
        self, endpoint: OpenAIEmbeddings, pacer: Pacer, text: str, most: int, refusal: Refusal
    ) -> Embeddings:
        """Send half of a text that is too long for the endpoint."""
        half = _first_bytes(text, len(text.encode()) // 2)
        if len(half) < _SHORTEST:
            raise RowRefused(
                f"{self._wanted.model} refuses even short texts as too long: {refusal.message} "
                "Check the model's name and its base_url in data.embedder."
            )
        self._once(f"{self._wanted.model} takes shorter texts than some are; those are cut.")
        return await self._send(endpoint, pacer, [half], most)

    def _once(self, words: str) -> None:
        if words not in self._told:
            self._told.add(words)
            self._tell(words)


def _together(first: Embeddings, second: Embeddings, most: int) -> Embeddings:
    tokens, is_guess = first.tokens + second.tokens, first.estimated or second.estimated
    vectors = np.concatenate([first.vectors, second.vectors])
    return Embeddings(vectors, min(tokens, most) if is_guess else tokens, is_guess)


def _readable_part(text: str) -> str:
    """Cut a text at what is read of it, and mend half surrogate pairs, which JSON may carry."""
    return _first_bytes(text.encode("utf-8", "replace").decode(), _LONGEST)


def _first_bytes(text: str, count: int) -> str:
    body = text.encode()
    return text if len(body) <= count else body[:count].decode("utf-8", "ignore")
