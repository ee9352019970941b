"""A run as a graph that a LangGraph server can drive: `langgraph dev` reads it from langgraph.json.

A server gives a graph nothing but JSON, and the loop needs a store, a lease and open models. So
the graph that is served has two steps of its own: `drive` drives a run as any process would, and
streams its events; `ask` interrupts where the run waits for people. The interrupt has LangChain's
human-in-the-loop shape (`action_requests`, `review_configs`), one action a question: *edit* answers
it, *reject* skips it. What is answered is in the store before the run goes on, as from the inbox.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from langgraph.config import get_stream_writer
from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt
from typing_extensions import TypedDict

from querist.graph.run import Run
from querist.memory.asking.inbox import Inbox
from querist.memory.errors import InvalidInput, QueristError
from querist.memory.records import Event, Question
from querist.memory.store import open_store

_AT_ONCE = 20
"""Questions in one interrupt; the most valuable first."""
_WHO = "human:langgraph"


class Served(TypedDict, total=False):
    """What a client sends (run) and is told (the rest)."""

    run: str
    """An id or the beginning of one; the newest run without it."""
    status: str
    reason: str
    asked: list[str]
    """The questions that the last interrupt was about, in its order."""
    trouble: str
    """What was wrong with the answers, if anything."""


def build_served() -> StateGraph[Served, None, Served, Served]:
    """Draw the graph that a server drives; it brings the checkpointer."""
    served: StateGraph[Served, None, Served, Served] = StateGraph(Served)
    # Plain functions: a server runs them in a thread, where reading a database blocks nobody.
    served.add_node("drive", _drive)
    served.add_node("ask", _ask)
    served.add_edge(START, "drive")
    served.add_conditional_edges("drive", _after_drive, ["ask", END])
    served.add_edge("ask", "drive")
    return served


def _workspace() -> Path:
    """Find the store: its place is for who starts the server to say, not for its clients."""
    return Path(os.environ.get("QUERIST_WORKSPACE", ".querist"))


def _drive(state: Served) -> Served:
    """Drive the run until it finishes, pauses or waits for people; its events are streamed."""
    tell = get_stream_writer()

    def listen(event: Event) -> None:
        tell({"id": event.id, "kind": event.kind, "data": dict(event.data)})

    with open_store(_workspace()) as store:
        run = Run.open(store, state.get("run") or None)
        outcome = asyncio.run(run.drive(listen))
        questions = Inbox(store, run.id).first_open(_AT_ONCE, who=_WHO)
        return {
            "run": run.id,
            "status": outcome.status,
            "reason": outcome.reason,
            # Kept, because a step that is resumed begins anew, and the inbox may have changed.
            "asked": [question.id for question in questions],
        }


def _after_drive(state: Served) -> str:
    return "ask" if state.get("status") == "waiting" and state.get("asked") else END


def _ask(state: Served) -> Served:
    """Interrupt with the open questions, and keep the answers."""
    with open_store(_workspace()) as store:
        run = Run.open(store, state["run"])
        inbox = Inbox(store, run.id)
        questions = [inbox.get(name) for name in state["asked"]]
        response = interrupt(_as_request(questions), response_schema=_response_schema(questions))
        troubles = _keep(run, inbox, questions, response)
    return {"trouble": " ".join(troubles)}


def _as_request(questions: Sequence[Question]) -> dict[str, Any]:
    """Put questions into LangChain's human-in-the-loop shape, one action each."""
    return {
        "action_requests": [
            {
                "name": "answer",
                "args": {"question": question.id, "answer": ""},
                # The texts are a pool's: data, in the place that a client shows as text.
                "description": f"{question.payload.text}\n\nAsked because: {question.reason}",
            }
            for question in questions
        ],
        "review_configs": [
            {
                "action_name": "answer",
                "allowed_decisions": ["edit", "reject"],
                "args_schema": _arguments(questions[0]),
            }
        ],
    }


def _arguments(question: Question) -> dict[str, Any]:
    answer: dict[str, Any] = {"type": "string"}
    if "enum" in question.answer_schema:
        answer["enum"] = question.answer_schema["enum"]
    return {
        "type": "object",
        "properties": {"question": {"type": "string"}, "answer": answer},
        "required": ["question", "answer"],
    }


def _response_schema(questions: Sequence[Question]) -> dict[str, Any]:
    edit = {
        "type": "object",
        "properties": {
            "type": {"const": "edit"},
            "edited_action": {
                "type": "object",
                "properties": {"name": {"const": "answer"}, "args": _arguments(questions[0])},
                "required": ["name", "args"],
            },
        },
        "required": ["type", "edited_action"],
    }
    reject = {
        "type": "object",
        "properties": {"type": {"const": "reject"}, "message": {"type": "string"}},
        "required": ["type"],
    }
    decisions = {"type": "array", "items": {"anyOf": [edit, reject]}, "maxItems": len(questions)}
    return {"type": "object", "properties": {"decisions": decisions}, "required": ["decisions"]}


def _keep(run: Run, inbox: Inbox, questions: Sequence[Question], response: Any) -> list[str]:
    """Write each decision down; one that does not hold costs no other, and is asked again."""
    decisions = response.get("decisions") if isinstance(response, Mapping) else None
    if not isinstance(decisions, list):
        return ['Answer with {"decisions": [...]}, one for each question, in their order.']
    kind, troubles = run.view().kind, []
    for question, decision in zip(questions, decisions, strict=False):
        try:
            answer = _read(question, decision)
            if answer is None:
                inbox.skip(question.id, who=_WHO)
            else:
                inbox.answer(question.id, kind.answer_of(answer), who=_WHO)
        except QueristError as error:
            troubles.append(str(error))
    return troubles


def _read(question: Question, decision: Any) -> str | None:
    """Read a decision: an answer, or None to skip."""
    found = decision if isinstance(decision, Mapping) else {}
    if found.get("type") == "reject":
        return None
    action = found.get("edited_action")
    arguments = action.get("args") if isinstance(action, Mapping) else None
    answer = arguments.get("answer") if isinstance(arguments, Mapping) else None
    if found.get("type") != "edit" or not isinstance(answer, str) or not answer:
        raise InvalidInput(
            f"Question {question.id}: edit the action's answer, or reject it to skip."
        )
    if arguments and arguments.get("question", question.id) != question.id:
        raise InvalidInput(f"Question {question.id}: that answer names another question.")
    return answer


__all__ = ["build_served", "graph"]

graph = build_served()
"""What langgraph.json names; a server compiles it with its own checkpointer."""
