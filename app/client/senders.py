"""How requests are sent: at once, or awaited. The two differ in nothing else."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Self
from urllib.parse import parse_qs, urlsplit

import httpx

from querist.app.client.asks import ApiError, Ask, Course, Give, Pause, T, refusal
from querist.app.client.following import Following
from querist.app.web.api.runs import EventView

_TIMEOUT = 120.0
"""Seconds; a quote reads a whole pool."""
_SILENCE = 45.0
"""Seconds without a line after which a stream is taken for dead; the server says one every 15."""
_PART = 2**20


class SyncSender:
    """Sends requests, and waits."""

    def __init__(self, url: str, token: str | None = None, *, timeout: float = _TIMEOUT) -> None:
        """`url` is the server's address with the token beside it, or a link that was given."""
        self._http = httpx.Client(**_options(url, token, timeout))

    def __enter__(self) -> Self:
        """Nothing is opened before the first request."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def send(self, ask: Ask[T]) -> T:
        """Send one request; raises `ApiError`."""
        with _reaching(self._http.base_url):
            if ask.file is not None:
                with ask.file.open("rb") as stream:
                    return _read(ask, self._http.send(self._request(ask, stream)))
            if ask.to is None:
                return _read(ask, self._http.send(self._request(ask, ask.content)))
            reply = self._http.send(self._request(ask, ask.content), stream=True)
            try:
                if not reply.is_success:
                    reply.read()
                else:
                    with _written(ask.to) as target:
                        for part in reply.iter_bytes(_PART):
                            target.write(part)
                return _read(ask, reply)
            finally:
                reply.close()

    def walk(self, course: Course[T]) -> Iterator[T]:
        """Go through a course, and give what it gives."""
        answer: Any = None
        while (step := _next(course, answer)) is not None:
            answer = None
            if isinstance(step, Give):
                yield step.value
            elif isinstance(step, Pause):
                time.sleep(step.seconds)
            else:
                answer = self.send(step)

    def follow(
        self, run: str, *, after: int = 0, patience: float = 60.0
    ) -> Generator[EventView, None, None]:
        """Give the events of a run after event `after` as they happen, without an end.

        A connection that breaks is made anew, and nothing is missed or told twice; after `patience`
        seconds without any it raises `ApiError`.
        """
        following = Following(run, after, patience)
        while True:
            error = None
            try:
                with (
                    _reaching(self._http.base_url),
                    self._http.stream(
                        "GET", following.path, headers=following.headers, timeout=_SILENCE
                    ) as reply,
                ):
                    if not reply.is_success:
                        raise refusal(reply.status_code, reply.read())
                    for line in reply.iter_lines():
                        if (event := following.feed(line)) is not None:
                            yield event
            except ApiError as broken:
                error = broken
            time.sleep(following.wait(error, time.monotonic()))

    def _request(self, ask: Ask[T], content: bytes | IO[bytes] | None) -> httpx.Request:
        return self._http.build_request(
            ask.method, ask.path, params=ask.params, content=content, headers=ask.headers
        )


class AsyncSender:
    """Sends requests, and is awaited."""

    def __init__(self, url: str, token: str | None = None, *, timeout: float = _TIMEOUT) -> None:
        """`url` is the server's address with the token beside it, or a link that was given."""
        self._http = httpx.AsyncClient(**_options(url, token, timeout))

    async def __aenter__(self) -> Self:
        """Nothing is opened before the first request."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connections."""
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def send(self, ask: Ask[T]) -> T:
        """Send one request; raises `ApiError`."""
        with _reaching(self._http.base_url):
            content = ask.content if ask.file is None else _parts(ask.file)
            request = self._http.build_request(
                ask.method, ask.path, params=ask.params, content=content, headers=ask.headers
            )
            if ask.to is None:
                return _read(ask, await self._http.send(request))
            reply = await self._http.send(request, stream=True)
            try:
                if not reply.is_success:
                    await reply.aread()
                else:
                    with _written(ask.to) as target:
                        async for part in reply.aiter_bytes(_PART):
                            await asyncio.to_thread(target.write, part)
                return _read(ask, reply)
            finally:
                await reply.aclose()

    async def walk(self, course: Course[T]) -> AsyncIterator[T]:
        """Go through a course, and give what it gives."""
        answer: Any = None
        while (step := _next(course, answer)) is not None:
            answer = None
            if isinstance(step, Give):
                yield step.value
            elif isinstance(step, Pause):
                await asyncio.sleep(step.seconds)
            else:
                answer = await self.send(step)

    async def follow(
        self, run: str, *, after: int = 0, patience: float = 60.0
    ) -> AsyncGenerator[EventView, None]:
        """Give the events of a run after event `after` as they happen, without an end.

        A connection that breaks is made anew, and nothing is missed or told twice; after `patience`
        seconds without any it raises `ApiError`.
        """
        following = Following(run, after, patience)
        while True:
            error = None
            try:
                with _reaching(self._http.base_url):
                    async with self._http.stream(
                        "GET", following.path, headers=following.headers, timeout=_SILENCE
                    ) as reply:
                        if not reply.is_success:
                            raise refusal(reply.status_code, await reply.aread())
                        async for line in reply.aiter_lines():
                            if (event := following.feed(line)) is not None:
                                yield event
            except ApiError as broken:
                error = broken
            await asyncio.sleep(following.wait(error, time.monotonic()))


def _options(url: str, token: str | None, timeout: float) -> dict[str, Any]:
    """Read a server's address, or a link with its secret."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        raise ApiError("invalid", f"{url!r} is no address; it begins with http:// or https://.")
    secret = token or next(iter(parse_qs(parts.query).get("token", [])), None)
    if secret is None:
        raise ApiError(
            "log_in", "A token is needed: the one in the link that `querist serve` printed."
        )
    return {
        "base_url": f"{parts.scheme}://{parts.netloc}",
        "headers": {"Authorization": f"Bearer {secret}"},
        "timeout": timeout,
    }


@contextmanager
def _reaching(url: httpx.URL) -> Iterator[None]:
    try:
        yield
    except httpx.TransportError as error:
        raise ApiError(
            "unreachable",
            f"No server answers at {url} ({error or type(error).__name__}). Start one with: "
            "querist serve",
        ) from error


def _read(ask: Ask[T], reply: httpx.Response) -> T:
    if not reply.is_success:
        raise refusal(reply.status_code, reply.content)
    return ask.read(b"" if ask.to is not None else reply.content)


def _next(course: Course[T], answer: object) -> Ask[Any] | Pause | Give[T] | None:
    try:
        return course.send(answer)
    except StopIteration:
        return None


@contextmanager
def _written(path: Path) -> Iterator[IO[bytes]]:
    """Write a file that is there whole or not at all."""
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("wb") as stream:
            yield stream
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


async def _parts(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as stream:
        while part := await asyncio.to_thread(stream.read, _PART):
            yield part
