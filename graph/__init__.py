"""The sentence: the LangGraph state machine that lets the agents run the loop.

`from querist.graph import Run` is the Python way in; it is loaded on first use, since LangGraph
takes a second to import.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from querist.graph.run import Run

__all__ = ["Run"]

# LangGraph reads these when it is imported: refuse foreign types in checkpoints, and send no
# traces anywhere unless the user asked for it.
os.environ.setdefault("LANGGRAPH_STRICT_MSGPACK", "true")
os.environ.setdefault("LANGSMITH_TRACING", "false")


def __getattr__(name: str) -> Any:
    if name == "Run":
        from querist.graph.run import Run

        return Run
    raise AttributeError(name)
