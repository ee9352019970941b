"""Questions with answers: a writer that is right and hard so often, and two solvers of known skill.

A question holds a number, from which its answer follows, and says whether it is hard; so truth is a
function of the row here, too.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from querist.agents.models.port import ChatReply, ChatRequest, Usage
from querist.agents.models.providers.scripted import ScriptedModel

TOPICS = ("rents", "repairs")
RECORD: Mapping[str, Any] = {
    "type": "object",
    "properties": {"question": {"type": "string"}, "answer": {"type": "string"}},
    "required": ["question", "answer"],
}


@dataclass(frozen=True, slots=True)
class Questions:
    """How often a written answer is right, by topic, and how often a question is hard."""

    seed: int
    right: Mapping[str, float]
    hard: float = 0.6

    def writer(self, name: str) -> ScriptedModel:
        """Make the model that writes four questions a call."""
        return ScriptedModel(self._write, name=name, in_flight=8)

    def _write(self, request: ChatRequest) -> ChatReply:
        rng = random.Random(f"{self.seed}{request.messages}{request.sample}")  # noqa: S311
        topic = next(name for name in TOPICS if name in request.messages[-1].content)
        rows = []
        for _ in range(4):
            number, kind = rng.randrange(10**8), "hard" if rng.random() < self.hard else "easy"
            answer = _answer(number)
            if rng.random() >= self.right[topic]:
                answer += rng.randint(1, 4)
            question = f"A {kind} one on {topic}: what is item {number}?"
            rows.append({"question": question, "answer": str(answer)})
        return ChatReply(json.dumps({"rows": rows}), Usage(_tokens(request), 160))

    def solver(self, name: str, *, hard: float, easy: float) -> ScriptedModel:
        """Make a model that answers right so often, each try by itself; also a judge of rows."""

        def answer(request: ChatRequest) -> ChatReply:
            asked = request.messages[-1].content
            key = f"{name}{self.seed}{asked}{request.sample}"
            rng = random.Random(key)  # noqa: S311 - a simulation
            found = re.search(r"A (\w+) one .* item (\d+)", asked)
            assert found is not None
            is_right = rng.random() < (hard if found[1] == "hard" else easy)
            if asked.startswith("{"):
                is_good = is_sound(json.loads(asked)["row"]) == is_right
                said = {"correct": 4 if is_good else 2}
                return ChatReply(json.dumps(said), Usage(_tokens(request), 8))
            told = _answer(int(found[2])) + (0 if is_right else rng.randint(1, 4))
            return ChatReply(json.dumps({"answer": str(told)}), Usage(_tokens(request), 8))

        return ScriptedModel(answer, name=name, in_flight=8)


def is_sound(record: Mapping[str, Any]) -> bool:
    """Tell whether a row's answer is right."""
    found = re.search(r"item (\d+)", str(record["question"]))
    return found is not None and str(record["answer"]) == str(_answer(int(found[1])))


def is_hard(record: Mapping[str, Any]) -> bool:
    """Tell whether a row's question is hard."""
    return " hard " in str(record["question"])


def _answer(number: int) -> int:
    return number * 37 % 100_003


def _tokens(request: ChatRequest) -> int:
    return sum(len(message.content.split()) for message in request.messages)
