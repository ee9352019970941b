"""The loop of a job that creates rows: the agents of `graph/loop.py`, and rows are the goal.

Nobody is asked and nothing is trained between waves, so these steps of the loop are left out. Node
names are a storage format.
"""

from __future__ import annotations

from typing import Any

from langgraph.graph import END, START, StateGraph

from querist.graph import routes
from querist.graph.jobs.creation import nodes
from querist.graph.jobs.creation.state import CreationState
from querist.graph.jobs.creation.workplace import Creation
from querist.tools.tracing import traced


def build_creation() -> StateGraph[CreationState, Creation, CreationState, CreationState]:
    """Draw the state machine; `driving.py` compiles it with a checkpointer."""
    loop: StateGraph[CreationState, Creation, CreationState, CreationState] = StateGraph(
        CreationState, context_schema=Creation
    )
    steps: dict[str, Any] = {
        "initialize": nodes.initialize,
        "control": nodes.control,
        "select": nodes.select,
        "generate": nodes.generate,
        "verify": nodes.verify,
        "finish": nodes.finish,
    }
    for name, node in steps.items():
        loop.add_node(name, traced(name, node))

    loop.add_edge(START, "initialize")
    loop.add_edge("initialize", "control")
    loop.add_conditional_edges("control", routes.after_control, ["select", "verify", "finish"])
    loop.add_conditional_edges("select", routes.after_select, ["generate", "finish"])
    loop.add_edge("generate", "verify")
    loop.add_edge("verify", "control")
    loop.add_edge("finish", END)
    return loop
