"""Rows a second through the whole annotator path, beside the bare clients, in one run.

    python -m querist.evals.bench.llm_throughput

A mock provider in a process of its own answers after 200 ms; 100 requests are in flight; 2,000
rows are labelled. Ours counts tokens, reserves, calls, settles, keeps every reply and writes every
annotation; the others only call. Each is run in turn, several times; medians are printed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
from collections.abc import Awaitable, Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from querist.agents.annotator.annotate import annotate
from querist.agents.annotator.port import Chunk, Item
from querist.agents.annotator.prompt import Prompt
from querist.agents.models.catalogue import ModelAccess, open_model
from querist.agents.models.metered import MeteredModel
from querist.memory.records import Example, ExampleId, LabelClass, RunId, Task
from querist.memory.run.labelling import Labelling
from querist.memory.run.ledger import Ledger
from querist.memory.run.runs import Runs
from querist.memory.store import open_store
from querist.tools.kinds import DEFAULT
from querist.tools.money.prices import Price

_IN_FLIGHT = 100
_TASK = Task("bench", DEFAULT.name, (LabelClass("good", "praise"), LabelClass("bad", "blame")))
_MESSAGES = [
    {"role": "system", "content": "Classify. Labels: good, bad."},
    {"role": "user", "content": 'Text: "a text of ordinary length that somebody once wrote"'},
]


def main() -> None:
    """Run the benchmark and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=2_000)
    parser.add_argument("--latency", type=float, default=0.2)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    clients: dict[str, Callable[[int, str], Awaitable[None]]] = {
        "Querist: annotate + ledger + store": _querist,
        "raw asyncio sockets": _raw_sockets,
        "openai SDK, aiohttp transport": _openai_aiohttp,
        "openai SDK, default transport": _openai_default,
        "LangChain ChatOpenAI": _langchain,
    }
    rates: dict[str, list[float]] = {name: [] for name in clients}
    with _mock_provider(options.latency) as port:
        for client in clients.values():  # imports and first connections are nobody's speed
            asyncio.run(_drive(client, 2, port))
        for _ in range(options.repeats):
            for name, client in clients.items():
                started = time.perf_counter()
                asyncio.run(_drive(client, options.rows, port))
                rates[name].append(options.rows / (time.perf_counter() - started))
    ours = statistics.median(rates["Querist: annotate + ledger + store"])
    print(f"{options.rows} rows, {options.latency * 1000:.0f} ms latency, {_IN_FLIGHT} in flight\n")
    print("| client | rows/s | ours / it |\n|---|---|---|")
    for name, values in rates.items():
        rate = statistics.median(values)
        print(f"| {name} | {rate:.0f} | {ours / rate:.2f} |")


async def _drive(client: Callable[[int, str], Awaitable[None]], rows: int, port: int) -> None:
    await client(rows, f"http://127.0.0.1:{port}/v1")


@contextlib.contextmanager
def _mock_provider(latency: float) -> Iterator[int]:
    """Start the mock provider in another process and give its port."""
    command = [sys.executable, "-m", "querist.evals.mock_server", "--port", "0"]
    command += ["--labels", "good,bad", "--latency", str(latency)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline().split()[-1])
        finally:
            process.terminate()


async def _querist(rows: int, url: str) -> None:
    """Label `rows` examples as the loop does, in chunks of the loop's size."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        store = stack.enter_context(open_store(Path(folder)))
        runs = Runs(store)
        run = RunId("bench")
        runs.create(run, task=_TASK, dataset="bench", config={}, cap=Decimal(100))
        lease = runs.take(run)
        model = MeteredModel(
            open_model(
                "openai:bench",
                ModelAccess(cache=Path(folder), base_url=url, in_flight=_IN_FLIGHT),
            ),
            price=Price(Decimal("0.15"), Decimal("0.60")),
            ledger=Ledger(store, run, lease=lease),
            agent="annotator",
        )
        labelling = Labelling(store, run, lease=lease)
        examples = [
            Example(ExampleId(str(i)), {"text": f"text number {i} that somebody once wrote"})
            for i in range(rows)
        ]
        labelling.open_batch(1, [example.id for example in examples])
        items = tuple(Item(example) for example in examples)
        annotated = await annotate(Chunk(items, Prompt(_TASK), votes=1, number=1), model=model)
        labelling.annotated(1, annotated.annotations)
        await model.model.aclose()
        assert len(annotated.annotations) == rows, annotated.errors
        assert Ledger(store, run).balance().settled > 0


async def _raw_sockets(rows: int, url: str) -> None:
    """Speak HTTP by hand over kept-alive connections."""
    port = urllib.parse.urlsplit(url).port
    body = json.dumps({"model": "bench", "messages": _MESSAGES, "max_tokens": 32}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
    request = head.encode() + b"Content-Type: application/json\r\n\r\n" + body
    left = iter(range(rows))

    async def worker() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in left:
            writer.write(request)
            header = await reader.readuntil(b"\r\n\r\n")
            length = int(header.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            json.loads(await reader.readexactly(length))
        writer.close()

    await asyncio.gather(*(worker() for _ in range(_IN_FLIGHT)))


async def _openai_aiohttp(rows: int, url: str) -> None:
    """Call through the openai SDK over aiohttp."""
    import openai

    client = openai.AsyncOpenAI(
        api_key="none", base_url=url, http_client=openai.DefaultAioHttpClient()
    )
    await _openai(client, rows)


async def _openai_default(rows: int, url: str) -> None:
    """Call through the openai SDK over its default transport."""
    import openai

    await _openai(openai.AsyncOpenAI(api_key="none", base_url=url), rows)


async def _openai(client: object, rows: int) -> None:
    import openai

    assert isinstance(client, openai.AsyncOpenAI)
    gate = asyncio.Semaphore(_IN_FLIGHT)

    async def call(number: int) -> None:
        async with gate:
            await client.chat.completions.create(
                model="bench",
                messages=_numbered(number),
                max_tokens=32,
            )

    await asyncio.gather(*(call(number) for number in range(rows)))
    await client.close()


async def _langchain(rows: int, url: str) -> None:
    """Call through LangChain's wrapper."""
    import openai
    from langchain_openai import ChatOpenAI
    from pydantic import SecretStr

    # Its own client is shared between event loops, of which the benchmark has one a run.
    client = openai.DefaultAsyncHttpxClient()
    chat = ChatOpenAI(
        model="bench", base_url=url, api_key=SecretStr("none"), http_async_client=client
    )
    gate = asyncio.Semaphore(_IN_FLIGHT)

    async def call(number: int) -> None:
        async with gate:
            await chat.ainvoke(_numbered(number))

    await asyncio.gather(*(call(number) for number in range(rows)))
    await client.aclose()


def _numbered(number: int) -> Any:
    return [_MESSAGES[0], {"role": "user", "content": f"{_MESSAGES[1]['content']} {number}"}]


if __name__ == "__main__":
    main()
