"""Driving a create job: the graph over its checkpoints, from where it stopped or from the store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from langgraph.errors import GraphRecursionError

from querist.graph.jobs.creation.loop import build_creation
from querist.graph.jobs.creation.state import GRAPH_VERSION, CreationState
from querist.graph.jobs.creation.workplace import Creation
from querist.graph.workplace.checkpoints import opened

_STEPS = 10_000
"""Steps after which the thread of checkpoints is begun anew: the store alone is enough, and their
file does not grow with the job."""


@dataclass(frozen=True, slots=True)
class Ended:
    """Why a job stopped creating."""

    stop: str
    """rows, cap, deadline, saturated, gates, dry, workspace_cap, pause, cancel or stop."""
    reason: str


async def create(creation: Creation) -> Ended:
    """Go on until the job ends. Raises what models raise where none of a wave's calls came."""
    async with opened(creation.bench.files) as saver:
        graph: Any = build_creation().compile(checkpointer=saver)
        thread = {"thread_id": creation.run.id}
        config = {"configurable": thread, "recursion_limit": _STEPS}
        while True:
            start = await _start(graph, config, creation)
            try:
                found = await graph.ainvoke(
                    start, config, context=creation, durability="sync", version="v2"
                )
            except GraphRecursionError:
                await saver.adelete_thread(creation.run.id)
                continue
            return Ended(found.value["stop"], found.value["reason"])


async def _start(graph: Any, config: dict[str, Any], creation: Creation) -> CreationState | None:
    """Choose how to go on: from a checkpoint, or from the store alone."""
    snapshot = await graph.aget_state(config)
    known = snapshot.values
    if known and known.get("graph_version") == GRAPH_VERSION and snapshot.next:
        return None
    if known:
        await graph.checkpointer.adelete_thread(creation.run.id)
    return {"run_id": creation.run.id, "graph_version": GRAPH_VERSION}
