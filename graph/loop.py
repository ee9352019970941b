"""The loop (Algorithm 1 of the survey, with five agents). Node names are a storage format."""

from __future__ import annotations

from typing import Any

from langgraph.graph import END, START, StateGraph

from querist.graph import nodes, routes
from querist.graph.state import LoopState
from querist.graph.workplace.context import Context
from querist.tools.tracing import traced


def build_loop() -> StateGraph[LoopState, Context, LoopState, LoopState]:
    """Draw the state machine; `run.py` compiles it with a checkpointer."""
    loop: StateGraph[LoopState, Context, LoopState, LoopState] = StateGraph(
        LoopState, context_schema=Context
    )
    steps: dict[str, Any] = {
        "initialize": nodes.initialize,
        "control": nodes.control,
        "select": nodes.select,
        "generate": nodes.generate,
        "annotate": nodes.annotate,
        "verify": nodes.verify,
        "escalate": nodes.escalate,
        "train": nodes.train,
        "evaluate": nodes.evaluate,
        "wait": nodes.wait,
        "finish": nodes.finish,
    }
    for name, node in steps.items():
        loop.add_node(name, traced(name, node))

    loop.add_edge(START, "initialize")
    loop.add_edge("initialize", "control")
    loop.add_conditional_edges(
        "control",
        routes.after_control,
        ["select", "generate", "annotate", "train", "wait", "finish"],
    )
    loop.add_edge("select", "annotate")
    loop.add_edge("generate", "annotate")
    loop.add_conditional_edges("annotate", routes.after_annotate, ["annotate", "verify"])
    loop.add_conditional_edges("verify", routes.after_verify, ["annotate", "escalate"])
    loop.add_edge("escalate", "train")
    loop.add_edge("train", "evaluate")
    loop.add_edge("evaluate", "control")
    loop.add_edge("wait", "control")
    loop.add_edge("finish", END)
    return loop
