"""Work that needs what the server does without: done by a process of its own, which then ends.

It reads files that people handed in, too: whatever such a file does to memory, it does it there.

    echo '{"do": "preview", "path": "pool.csv"}' | python -m querist.app.web.aside
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from querist.memory import errors
from querist.memory.errors import InvalidInput, QueristError

_COMMAND = (sys.executable, "-m", "querist.app.web.aside")
_SECONDS = 120
_MOST_SECONDS = 600.0
_POLL, _GRACE = 0.25, 10.0
_MOST_MEMORY = 6 * 2**30
_LONGEST_LINE = 2**22
_DRAFTS = 0.05
"""Seconds between two drafts that are told."""
_SHOWN = 8
_LONGEST = 300


async def ask_while(
    is_wanted: Callable[[], Awaitable[bool]],
    do: str,
    *,
    hear: Callable[[Mapping[str, Any]], None] = lambda _: None,
    **values: object,
) -> dict[str, Any]:
    """Have something done as long as somebody wants it and the server runs; then it is stopped.

    `hear` gets what the process tells before it is done, line by line.
    """
    process = await asyncio.create_subprocess_exec(
        *_COMMAND,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=_LONGEST_LINE,
    )
    body = json.dumps({"do": do, **values}).encode()
    work = asyncio.create_task(_converse(process, body, hear))
    end = asyncio.get_running_loop().time() + _MOST_SECONDS
    try:
        while not (await asyncio.wait([work], timeout=_POLL))[0]:
            is_late = asyncio.get_running_loop().time() > end
            if is_late or not await is_wanted():
                await _end(process)
        return _said(await work)
    finally:
        # A server that ends cancels this: nothing goes on, and spends, without anybody.
        await _end(process)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Tell a process to stop, which settles what is under way; kill it if that takes too long."""
    if process.returncode is not None:
        return
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), _GRACE)
    except (TimeoutError, asyncio.CancelledError):
        process.kill()
        await process.wait()


async def _converse(
    process: asyncio.subprocess.Process, body: bytes, hear: Callable[[Mapping[str, Any]], None]
) -> str:
    """Tell a process what to do, hear it out, and give its last line."""
    assert process.stdin is not None
    assert process.stdout is not None
    with contextlib.suppress(ConnectionError):
        process.stdin.write(body)
        await process.stdin.drain()
    process.stdin.close()
    last = b""
    async for line in process.stdout:
        if line.endswith(b"\n"):
            hear(json.loads(line))
        else:
            last = line
    await process.wait()
    return last.decode()


def ask_aside(do: str, *, seconds: int = _SECONDS, **values: object) -> dict[str, Any]:
    """Have something done by another process; raises what it raised.

    Raises `InvalidInput` where it takes too long.
    """
    body = json.dumps({"do": do, **values})
    try:
        done = subprocess.run(  # noqa: S603
            _COMMAND,
            input=body,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise InvalidInput(f"That took more than {seconds} seconds and was given up.") from None
    return _said(done.stdout)


def _said(output: str) -> dict[str, Any]:
    """Read what the process answers; raises what it raised."""
    try:
        said: dict[str, Any] = json.loads(output)
    except ValueError:
        raise InvalidInput(
            "It came to no end: it was stopped, or it needs more memory than there is. Try a "
            "smaller file, or the command line."
        ) from None
    if "error" in said:
        kind: type[QueristError] = getattr(errors, said["kind"], QueristError)
        error = kind.__new__(kind)
        error.args = (said["error"],)
        raise error
    return said


def _preview(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Read the first rows of a file."""
    from querist.tools.data.formats import open_table

    table = open_table(asked["path"])
    sample = table.sample(table.columns)
    rows = sample[:_SHOWN]

    def length(column: str) -> int:
        return sum(len(_cell(row.get(column))) for row in sample)

    return {
        "columns": list(table.columns),
        "text_columns": sorted(table.text_columns, key=length, reverse=True),
        "rows": [[_cell(row.get(column)) for column in table.columns] for row in rows],
        "notes": table.remarks.notes,
    }


def _cell(value: object) -> str:
    text = value if isinstance(value, str) else "" if value is None else json.dumps(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _quote(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Forecast a job."""
    from querist.app.web.work.quoting import create_quote
    from querist.graph.jobs.request import CreateRequest, read_request
    from querist.memory.store import open_store

    request = read_request(asked["request"], source="the job")
    if isinstance(request, CreateRequest):
        with open_store(Path(asked["workspace"]), url=asked["database"]) as store:
            return create_quote(request, store=store)
    from querist.graph.run import Run

    told: list[str] = []
    with tempfile.TemporaryDirectory() as folder, open_store(Path(folder)) as store:
        run = Run.create(request.config, store, tell=told.append)
        asyncio.run(run.time_a_call())
        quote = run.quote()
    return {
        "told": told,
        "lines": [
            [line.agent, line.what, str(line.forecast), str(line.ceiling)] for line in quote.lines
        ],
        "forecast": str(quote.forecast),
        "cap": str(quote.budget),
        "seconds": quote.seconds,
        "advice": quote.advice,
        "affordable": quote.affordable,
    }


def _submit(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Hand a job in."""
    from querist.graph.jobs import read_request, submit
    from querist.memory.store import open_store

    told: list[str] = []
    with open_store(Path(asked["workspace"]), url=asked["database"]) as store:
        request = read_request(asked["request"], source="the job")
        job = submit(request, store, key=asked["key"], tell=told.append)
    return {"job": job.id, "told": told}


def _extend(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Give a job more."""
    from querist.graph.jobs import extend
    from querist.memory.store import open_store
    from querist.memory.workspace.jobs import Jobs

    told: list[str] = []
    more = dict(asked["more"])
    usd = more.pop("usd", None)
    with open_store(Path(asked["workspace"]), url=asked["database"]) as store:
        job = Jobs(store).get(asked["job"])
        amount = None if usd is None else Decimal(usd)
        job = extend(store, job, usd=amount, **more, tell=told.append)
    return {"job": job.id, "told": told}


def _take(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Write labels or rows to a file."""
    from querist.app.web.work.taking import write_file
    from querist.memory.store import open_store

    with open_store(Path(asked["workspace"]), url=asked["database"]) as store:
        return {"left_out": write_file(store, asked)}


def _attributes(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Find what the seeds of a job vary in; SIGTERM stops it in order."""
    from querist.graph.jobs import find_attributes, read_request
    from querist.graph.jobs.request import CreateRequest
    from querist.memory.store import open_store

    request = read_request(asked["request"], source="the job")
    if not isinstance(request, CreateRequest):
        raise InvalidInput("Only jobs that create rows have attributes.")
    told: list[str] = []
    with open_store(Path(asked["workspace"]), url=asked["database"]) as store:
        finding = find_attributes(
            request,
            store,
            sample=asked["sample"],
            most=asked["most"],
            usd=Decimal(asked["usd"]),
            tell=told.append,
            is_stopped=_stopping(),
        )
        found = asyncio.run(finding)
    attributes, placed = dict(found.attributes), dict(found.placed)
    seen = {"sample": found.sample, "usd": str(found.usd), "run": found.run}
    return {"attributes": attributes, "placed": placed, "told": told, **seen}


def _stopping() -> Callable[[], bool]:
    """Note SIGTERM, instead of dying of it; tell whether it came."""
    import threading

    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    return stopped.is_set


def _supervise(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Have a model answer what somebody says in the chat; SIGTERM stops it in order."""
    from querist.app.chat import Here, supervise
    from querist.memory.store import open_store

    told = 0.0

    def tell(answered: int, text: str) -> None:
        nonlocal told
        if not text or time.monotonic() - told >= _DRAFTS:
            told = time.monotonic()
            sys.stdout.write(f"{json.dumps({'answers': answered, 'draft': text})}\n")
            sys.stdout.flush()

    is_stopped = _stopping()
    with open_store(Path(asked["workspace"]), url=asked["database"]) as store:
        said = asyncio.run(
            supervise(
                store,
                asked["run"],
                asked["text"],
                who=asked["who"],
                role=asked["role"],
                here=Here(**asked["here"]),
                is_stopped=is_stopped,
                on_text=tell,
            )
        )
    return {"messages": [message.id for message in said]}


_DO: Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "attributes": _attributes,
    "preview": _preview,
    "extend": _extend,
    "quote": _quote,
    "submit": _submit,
    "supervise": _supervise,
    "take": _take,
}


def _main() -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_DATA, (_MOST_MEMORY, _MOST_MEMORY))
    asked = json.load(sys.stdin)
    try:
        said = _DO[asked["do"]](asked)
    except QueristError as error:
        said = {"kind": type(error).__name__, "error": str(error)}
    json.dump(said, sys.stdout)


if __name__ == "__main__":
    _main()
