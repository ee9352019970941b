"""An OpenAI-compatible server on the loopback whose answers, delays and failures are chosen.

    python tests/mock_server.py --port 0 --labels good,bad --keyword great=good --latency 0.2

prints its port on the first line and serves until it is ended. In a test:

    with serving(Behaviour(labels=("good", "bad"))) as server:
        ... base_url=server.base_url ...
        assert server.counts.answered == 40

Which request fails is drawn from its text and how often it was sent, so that runs repeat. Counts
are at `/counts` too.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import json
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from aiohttp import web

from querist.evals.mock_manners import MANNERS, refuse, reply_oddly
from querist.evals.mock_minds import Script, fill, speak
from querist.evals.mock_stream import is_streamed, stream

Mode = Literal["ok", "401", "404", "429", "500", "garbage", "hang", "drop"]
_MODES: tuple[Mode, ...] = ("ok", "401", "404", "429", "500", "garbage", "hang", "drop")
NEXT_BEST = 0.05


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How the server answers."""

    labels: tuple[str, ...] = ()
    """Used when a request does not list its choices; requests of Querist do."""
    keywords: Mapping[str, str] = field(default_factory=dict)
    """The first of these words that is in the text gives its label; else a hash of it does."""
    wrong: float = 0.0
    """The share of texts that are given another label than theirs."""
    latency: float = 0.0
    """Seconds that an answer takes."""
    jitter: float = 0.0
    """Up to so many seconds more."""
    fail: float = 0.0
    """Share of requests that end in status 500."""
    limit: float = 0.0
    """Share of requests that end in status 429 with `Retry-After`."""
    garbage: float = 0.0
    """Share of requests whose answer has status 200 and is cut off in the middle."""
    babble: float = 0.0
    """Share of well-formed answers whose text is none of the choices."""
    retry_after: float = 0.05
    mode: Mode = "ok"
    """What every request gets that comes after the first `after`, until `until` have come."""
    after: int = 0
    until: int | None = None
    logprobs: bool = True
    refuse_logprobs: bool = False
    """Answer 400 to requests for log-probabilities, as some servers do."""
    key: str = ""
    """If set, any other API key gets status 401."""
    dimensions: int = 16
    """Numbers in an embedding, where a request does not say."""
    most_characters: int = 100_000
    """Of a text to embed."""
    manner: str = ""
    """An oddity of real endpoints, by its name in `mock_manners`."""
    pace: float = 0.0
    """Seconds before each piece of an answer that is streamed."""
    mind: Script = field(default_factory=Script)
    """What it does where it is asked to decide."""


@dataclass(slots=True)
class _Counts:
    """What the server has seen."""

    requests: int = 0
    answered: int = 0
    """Complete answers handed out: what a provider would bill."""
    distinct: int = 0
    """Different requests among those answered: `answered - distinct` were paid for twice."""
    failed: int = 0
    in_flight: int = 0
    most_in_flight: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0


class MockServer:
    """The server; use `serving` for one in a thread."""

    def __init__(self, behaviour: Behaviour) -> None:
        """`behaviour` may be replaced while it serves."""
        self.behaviour = behaviour
        self.counts = _Counts()
        self.bodies: list[dict[str, Any]] = []
        self.port = 0
        self._seen: Counter[bytes] = Counter()
        self._answered: set[bytes] = set()
        self._runner: web.AppRunner | None = None

    @property
    def base_url(self) -> str:
        """What goes into `base_url`."""
        return f"http://127.0.0.1:{self.port}/v1"

    async def start(self, port: int = 0) -> None:
        """Listen on the loopback; port 0 takes a free one."""
        app = web.Application(client_max_size=16 * 2**20)
        app.router.add_post("/v1/chat/completions", self._complete)
        app.router.add_post("/v1/embeddings", self._complete)
        app.router.add_get("/v1/models", self._models)
        app.router.add_get("/counts", self._counts)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port, backlog=2048)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        number = self.counts.requests
        self.counts.requests += 1
        self.counts.in_flight += 1
        self.counts.most_in_flight = max(self.counts.most_in_flight, self.counts.in_flight)
        try:
            return await self._reply(request, raw, number)
        finally:
            self.counts.in_flight -= 1

    async def _reply(self, request: web.Request, raw: bytes, number: int) -> web.StreamResponse:
        behaviour = self.behaviour
        digest = hashlib.sha256(raw).digest()
        self._seen[digest] += 1
        draw = _Draw(digest, attempt=self._seen[digest])
        delay = behaviour.latency + behaviour.jitter * draw("delay")
        if delay > 0:
            await asyncio.sleep(delay)
        mode = self._mode(request, draw, number)
        if mode not in {"ok", "garbage"}:
            self.counts.failed += 1
            return await self._failure(request, mode)
        body = json.loads(raw)
        self.bodies.append(body)
        if behaviour.refuse_logprobs and body.get("logprobs"):
            self.counts.failed += 1
            return _error(400, "logprobs are not supported by this model")
        if (refusal := refuse(behaviour.manner, body, number)) is not None:
            self.counts.failed += 1
            headers = dict(refusal.headers)
            if isinstance(refusal.body, str):
                return web.Response(text=refusal.body, content_type="text/html")
            return web.json_response(refusal.body, status=refusal.status, headers=headers)
        is_chat = "messages" in body
        if not is_chat and max(map(len, body["input"])) > behaviour.most_characters:
            return _error(400, "This model's maximum context length is exceeded.")
        told = speak(body, behaviour.mind) if is_chat else None
        reply = told or (_reply if is_chat else _embeddings)(body, behaviour, draw)
        self._count(digest, reply)
        reply = reply_oddly(behaviour.manner, reply, body)
        if is_streamed(body, behaviour.manner) and mode == "ok":
            return await stream(request, reply, body, manner=behaviour.manner, pace=behaviour.pace)
        text = json.dumps(reply)
        text = text[: len(text) // 2] if mode == "garbage" else text
        raw = text.encode()
        raw = raw.replace(b"reason", b"\xff\xfe") if behaviour.manner == "invalid_utf8" else raw
        return web.Response(body=raw, content_type="application/json")

    def _mode(self, request: web.Request, draw: _Draw, number: int) -> Mode:
        behaviour = self.behaviour
        key = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if behaviour.key and key != behaviour.key:
            return "401"
        is_due = behaviour.after <= number < (behaviour.until or number + 1)
        if is_due and behaviour.mode != "ok":
            return behaviour.mode
        point = draw("fault")
        for mode, share in (
            ("500", behaviour.fail),
            ("429", behaviour.limit),
            ("garbage", behaviour.garbage),
        ):
            if point < share:
                return mode  # type: ignore[return-value]
            point -= share
        return "ok"

    async def _failure(self, request: web.Request, mode: Mode) -> web.StreamResponse:
        if mode == "hang":
            await asyncio.sleep(3_600)
        if mode == "drop" and request.transport is not None:
            request.transport.abort()
        if mode == "429":
            after = {"Retry-After": f"{self.behaviour.retry_after:g}"}
            return _error(429, "too many requests", headers=after)
        messages = {"401": "incorrect API key", "404": "no such model"}
        status = int(mode) if mode.isdigit() else 500
        return _error(status, messages.get(mode, "the server had an error"))

    def _count(self, digest: bytes, reply: Mapping[str, Any]) -> None:
        self._answered.add(digest)
        self.counts.answered += 1
        self.counts.distinct = len(self._answered)
        self.counts.prompt_tokens += reply["usage"]["prompt_tokens"]
        self.counts.completion_tokens += reply["usage"].get("completion_tokens", 0)

    async def _models(self, _: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": "mock", "object": "model"}]})

    async def _counts(self, _: web.Request) -> web.Response:
        return web.json_response(asdict(self.counts))


class _Draw:
    """Numbers in [0, 1) that depend on a request and on how often it was sent."""

    def __init__(self, digest: bytes, *, attempt: int) -> None:
        self._digest = digest
        self._attempt = attempt

    def __call__(self, what: str) -> float:
        text = f"{what}:{self._attempt}".encode()
        return _number(hashlib.blake2b(text, key=self._digest, digest_size=8).digest())


def _number(digest: bytes) -> float:
    return int.from_bytes(digest[:7]) / 2**56


def _error(status: int, message: str, *, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.json_response({"error": {"message": message}}, status=status, headers=headers)


def _label_of(text: str, choices: Sequence[str], behaviour: Behaviour) -> str:
    """Give a text's label: by keyword, else by hash; another one for the share that is wrong."""
    lowered = text.casefold()
    digest = hashlib.sha256(text.encode()).digest()
    found = [label for word, label in behaviour.keywords.items() if word.casefold() in lowered]
    right = next((label for label in found if label in choices), None)
    if right is None:
        right = choices[digest[0] % len(choices)]
    if _number(digest[8:]) < behaviour.wrong:
        others = [choice for choice in choices if choice != right]
        return others[digest[1] % len(others)] if others else right
    return right


def _reply(body: Mapping[str, Any], behaviour: Behaviour, draw: _Draw) -> dict[str, Any]:
    form = body.get("response_format")
    form = form if isinstance(form, dict) else {}
    schema = (form.get("json_schema") or {}).get("schema") or {}
    choices = schema.get("properties", {}).get("answer", {}).get("enum") or behaviour.labels
    prompt = "".join(str(message["content"]) for message in body["messages"])
    text = str(body["messages"][-1]["content"])
    logprobs = None
    if draw("babble") < behaviour.babble:
        content = "I would rather not say."
    elif choices and not (schema and "answer" not in schema.get("properties", {})):
        label = _label_of(text, choices, behaviour)
        content = json.dumps({"answer": label})
        if behaviour.logprobs and body.get("logprobs"):
            logprobs = _logprobs(label, choices)
    else:
        content = json.dumps(fill(schema or {"type": "string"}, draw))
    return {
        "id": "mock",
        "object": "chat.completion",
        "model": body.get("model", "mock"),
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop",
                "logprobs": logprobs,
                "message": {"role": "assistant", "content": content},
            }
        ],
        "usage": {
            "prompt_tokens": len(prompt) // 4 + 4 * len(body["messages"]),
            "completion_tokens": min(len(content) // 4 + 1, body.get("max_tokens") or 10**6),
        },
    }


def _embeddings(body: Mapping[str, Any], behaviour: Behaviour, _: _Draw) -> dict[str, Any]:
    """Give each text numbers that depend on its words: texts that share some are alike."""
    width, data = int(body.get("dimensions") or behaviour.dimensions), []
    for index, text in enumerate(body["input"]):
        sums = [1e-3] * width
        for word in text.casefold().split():
            sums[hashlib.sha256(word.encode()).digest()[0] % width] += 1
        data.append({"object": "embedding", "index": index, "embedding": sums})
    tokens = sum(len(text) // 4 + 1 for text in body["input"])
    # Backwards: the index says which is whose.
    return {"object": "list", "data": data[::-1], "usage": {"prompt_tokens": tokens}}


def _logprobs(label: str, choices: Sequence[str]) -> dict[str, Any]:
    """Spell the answer in three tokens; the label's own competes with all other labels."""
    from math import log

    rest = NEXT_BEST / max(1, len(choices) - 1)
    others = [
        {"token": option, "logprob": log(1 - NEXT_BEST if option == label else rest)}
        for option in choices
    ]

    def plain(token: str) -> dict[str, Any]:
        return {"token": token, "logprob": 0.0, "top_logprobs": [{"token": token, "logprob": 0.0}]}

    word = {"token": label, "logprob": log(1 - NEXT_BEST), "top_logprobs": others[:20]}
    return {"content": [plain('{"answer": "'), word, plain('"}')]}


@contextlib.contextmanager
def serving(behaviour: Behaviour | None = None, *, port: int = 0) -> Iterator[MockServer]:
    """Serve from a thread while a `with` block runs."""
    server = MockServer(behaviour or Behaviour())
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="mock-server", daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(server.start(port), loop).result(timeout=10)
    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result(timeout=10)
        asyncio.run_coroutine_threadsafe(_end_others(), loop).result(timeout=10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=10)
        loop.close()


async def _end_others() -> None:
    """End requests whose client went away, so that nothing is pending when the loop closes."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def main() -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser(description="An OpenAI-compatible mock server.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--labels", default="", help="comma-separated")
    parser.add_argument("--keyword", action="append", default=[], metavar="WORD=LABEL")
    for name in ("wrong", "latency", "jitter", "fail", "limit", "garbage", "babble"):
        parser.add_argument(f"--{name}", type=float, default=0.0)
    parser.add_argument("--retry-after", type=float, default=0.05)
    parser.add_argument("--mode", choices=_MODES, default="ok")
    parser.add_argument("--after", type=int, default=0, help="requests before the mode sets in")
    parser.add_argument("--until", type=int, default=None)
    parser.add_argument("--no-logprobs", dest="logprobs", action="store_false")
    parser.add_argument("--refuse-logprobs", action="store_true")
    parser.add_argument("--key", default="")
    parser.add_argument("--manner", choices=["", *MANNERS], default="")
    options = vars(parser.parse_args())
    port = options.pop("port")
    labels = tuple(label for label in options.pop("labels").split(",") if label)
    keywords = dict(pair.rsplit("=", 1) for pair in options.pop("keyword"))
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(Behaviour(labels=labels, keywords=keywords, **options), port))


async def _serve(behaviour: Behaviour, port: int) -> None:
    server = MockServer(behaviour)
    await server.start(port)
    print(server.port, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    main()
