"""The embeddings call of an OpenAI-compatible endpoint, through the openai SDK."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from querist.agents.models.port import Garbled
from querist.agents.models.providers.failures import (
    body_of,
    refused,
    translated,
    was_never_sent,
)
from querist.agents.models.providers.refusals import Refusal, error_in, read_refusal
from querist.agents.models.usage import read_usage
from querist.memory.errors import InvalidInput


@dataclass(frozen=True, slots=True, eq=False)
class Embeddings:
    """Vectors (N, d) of length 1 as they came, and the tokens that were billed."""

    vectors: NDArray[np.float32]
    tokens: int
    estimated: bool
    """The provider did not say: the most that it can have been stands in `tokens`."""


class OpenAIEmbeddings:
    """One embedding model at one endpoint, for one event loop."""

    def __init__(
        self,
        model: str,
        *,
        api_key: str,
        base_url: str | None,
        dimensions: int,
        asked: int | None,
        timeout: float,
    ) -> None:
        """`asked` is the width that the endpoint is asked for, if it is to shorten vectors."""
        import openai

        self._model, self._dimensions, self._asked = model, dimensions, asked
        self._where = base_url or "openai"
        self._sdk = openai
        self._client = openai.AsyncOpenAI(
            api_key=api_key,
            base_url=base_url,
            max_retries=0,  # the pacer retries, and the ledger knows about it
            timeout=timeout,
            http_client=openai.DefaultAioHttpClient(),
        )

    async def embed(self, texts: Sequence[str], *, most: int) -> Embeddings | Refusal:
        """Embed once; `most` tokens can be billed. Texts that are too long come as the refusal."""
        came = await self._send(texts)
        if isinstance(came, Refusal):
            if came.is_too_long:
                return came
            raise refused(came, self._where, model=self._model)
        try:
            rows = sorted(came["data"], key=lambda row: int(row["index"]))
            vectors = np.array([row["embedding"] for row in rows], dtype=np.float32)
        except (ValueError, TypeError, LookupError) as error:
            raise self._unreadable(came) from error
        if vectors.ndim != 2 or len(vectors) != len(texts) or not np.isfinite(vectors).all():
            raise self._unreadable(came)
        if vectors.shape[1] != self._dimensions:
            raise InvalidInput(
                f"{self._model} at {self._where} gives vectors of {vectors.shape[1]} numbers, not "
                f"{self._dimensions}. Say so in data.embedder: dimensions={vectors.shape[1]}"
            )
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        given = came.get("usage")
        # Embeddings write nothing, so silence about the output says all there is.
        told = {**given, "completion_tokens": 0} if isinstance(given, Mapping) else {}
        usage = read_usage(told, most_input=most, most_output=0, has_text=False)
        return Embeddings(
            vectors / np.maximum(lengths, np.finfo(np.float32).tiny),
            usage.input_tokens,
            usage.estimated,
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _send(self, texts: Sequence[str]) -> Mapping[str, Any] | Refusal:
        body: dict[str, Any] = {"model": self._model, "input": list(texts)}
        if self._asked is not None:
            body["dimensions"] = self._asked
        try:
            came: Any = await self._client.post("/embeddings", body=body, cast_to=object)
        except self._sdk.APIStatusError as error:
            headers = error.response.headers
            return read_refusal(
                error.status_code, body_of(error), headers=headers, otherwise=str(error)
            )
        except self._sdk.OpenAIError as error:
            raise translated(error, self._where) from error
        except ValueError as error:
            if was_never_sent(error):
                raise translated(error, self._where) from error
            raise self._unreadable(str(error)) from error
        if (refusal := error_in(came)) is not None:
            return refusal
        if not isinstance(came, Mapping):
            raise self._unreadable(came)
        return came

    def _unreadable(self, came: object) -> Garbled:
        return Garbled(
            f"{self._where} answered something that is no list of embeddings: {str(came)[:120]!r}. "
            "Check the base_url (it usually ends in /v1); then go on with: querist resume"
        )
