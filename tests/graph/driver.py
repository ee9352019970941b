"""Drives a run in a process of its own and kills it (SIGKILL) where it is told to.

    python driver.py WORKSPACE RUN [event:KIND:NTH | replies:N]

An event is sent inside its node, before LangGraph's checkpoint of that node is written.
"""

import asyncio
import os
import signal
import sys

from querist.agents.models.providers import openai_compatible
from querist.graph.run import Run
from querist.memory.store import open_store


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    workspace, run_id, *rest = sys.argv[1:]
    what, _, detail = (rest[0] if rest else "never").partition(":")
    kind, _, nth = detail.partition(":")
    seen = 0

    def listen(event):
        nonlocal seen
        if what == "event" and event.kind == kind:
            seen += 1
            if seen == int(nth):
                die()

    if what == "replies":
        count = 0
        answer = openai_compatible.OpenAICompatible.complete

        async def complete(self, request):
            nonlocal count
            reply = await answer(self, request)
            count += 1
            if count == int(kind):
                die()
            return reply

        openai_compatible.OpenAICompatible.complete = complete
    with open_store(workspace) as store:
        print(asyncio.run(Run.open(store, run_id).drive(listen)).status)


if __name__ == "__main__":
    main()
