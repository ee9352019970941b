"""A slow endpoint on the loopback that writes rows and checks their labels, for any client.

    python -m querist.evals.bench.creation_server --delay 0.2

prints its address on the first line. What it is asked to write begins with the label that the
prompt names; what it is asked to check gets the label that the text begins with.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import random
from collections.abc import Mapping
from typing import Any

from aiohttp import web

LABELS = ("good", "bad")
_WORDS = [f"word{number}" for number in range(20_000)]
_rng = random.Random(0)  # noqa: S311 - words, no secrets


def _named(text: str) -> str:
    """Give the label that a quotation in the text begins with."""
    return next((label for label in LABELS if f'"{label} ' in text), LABELS[-1])


def _written(text: str) -> str:
    label = LABELS[0] if f"'{LABELS[0]}'" in text else LABELS[1]
    return " ".join([label, *_rng.sample(_WORDS, 14)])


def _content(body: Mapping[str, Any]) -> tuple[str, dict[str, Any] | None]:
    """Answer in the form that was asked for; a choice comes with its probabilities."""
    asked, told = (str(body["messages"][place]["content"]) for place in (-1, 0))
    form = body.get("response_format") or {}
    schema = (form.get("json_schema") or {}).get("schema") or {}
    if "answer" in schema.get("properties", {}):
        label = _named(asked)
        # Of a text that says nothing it thinks nothing: such texts show a model's bias.
        others = 0.1 if f'"{label} ' in asked else 0.9
        tops = [
            {"token": other, "logprob": math.log(0.9 if other == label else others)}
            for other in LABELS
        ]
        word = {"token": label, "logprob": math.log(0.9), "top_logprobs": tops}
        spelt = [{"token": part, "logprob": 0.0, "top_logprobs": []} for part in ('{"answer": "',)]
        end = {"token": '"}', "logprob": 0.0, "top_logprobs": []}
        return json.dumps({"answer": label}), {"content": [*spelt, word, end]}
    if schema:
        return json.dumps({"texts": [_written(told)]}), None
    return (_named(asked) if '"' in asked else _written(asked)), None


def _application(delay: float) -> web.Application:
    """Make the server; every answer takes `delay` seconds."""

    async def answer(request: web.Request) -> web.Response:
        body = await request.json()
        await asyncio.sleep(delay)
        content, logprobs = _content(body)
        choice = {
            "index": 0,
            "finish_reason": "stop",
            "logprobs": logprobs if body.get("logprobs") else None,
            "message": {"role": "assistant", "content": content},
        }
        usage = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
        told = {"id": "1", "object": "chat.completion", "created": 0, "model": body["model"]}
        return web.json_response({**told, "choices": [choice], "usage": usage})

    app = web.Application()
    app.router.add_post("/v1/chat/completions", answer)
    return app


async def _serve(delay: float) -> None:
    runner = web.AppRunner(_application(delay))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    print(f"http://{host}:{port}/v1", flush=True)
    await asyncio.Event().wait()


def main() -> None:
    """Serve until it is ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--delay", type=float, default=0.2)
    asyncio.run(_serve(parser.parse_args().delay))


if __name__ == "__main__":
    main()
