"""Models of known skill, and a writer of known hit rate, over texts that show their own truth.

A text of a class holds words of that class among common ones; whoever knows the word lists knows
what it is, so truth is a function of the text and no register of what was written is needed.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from querist.agents.models.port import ChatReply, ChatRequest, Usage
from querist.agents.models.providers.scripted import ScriptedModel
from querist.memory.records import Confidence

LABELS = ("alpha", "beta", "gamma")
METHODS = ("conditioned", "paraphrase", "contrast", "hard_negatives", "evolve")
_DUTIES = {
    "Say the same": "paraphrase",
    "Change as few words": "contrast",
    "a quick reader": "hard_negatives",
    "Make a new row": "evolve",
}
"""By what a method's prompt is known; any other prompt is `conditioned`."""
_WORD = re.compile(r"[a-z]{6}")


def _words(rng: random.Random, count: int) -> tuple[str, ...]:
    return tuple("".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=6)) for _ in range(count))


@dataclass(frozen=True, slots=True)
class World:
    """The word lists of one seed, and how often each method hits each class."""

    seed: int
    hits: Mapping[tuple[str, str], float]
    """By method and label: the chance that a row is of the class that was wanted."""
    output: Mapping[str, int] = field(default_factory=dict)
    """Tokens that a method's row takes; 25 if not named. Dearer methods have more."""
    vocabulary: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def drawn(cls, seed: int, *, low: float = 0.2, high: float = 0.95, dear: bool = False) -> World:
        """Draw a world: hit rates uniform in `low` to `high`; prices alike, or up to 8 times."""
        rng = random.Random(seed)  # noqa: S311 - a simulation
        hits = {(name, label): rng.uniform(low, high) for name in METHODS for label in LABELS}
        output = {name: rng.choice((15, 30, 60, 120)) if dear else 25 for name in METHODS}
        vocabulary = {label: _words(rng, 40) for label in LABELS} | {"": _words(rng, 400)}
        return cls(seed, hits, output, vocabulary)

    def text(self, label: str, rng: random.Random) -> str:
        """Write a text of a class."""
        words = rng.sample(self.vocabulary[label], 4) + rng.sample(self.vocabulary[""], 8)
        rng.shuffle(words)
        return " ".join(words)

    def truth(self, text: str) -> str:
        """Tell the class of the text (or of a message that holds it); "" where there is none."""
        words = set(_WORD.findall(text))
        counts = {label: len(words & set(self.vocabulary[label])) for label in LABELS}
        best = max(counts, key=lambda label: counts[label])
        return best if counts[best] else ""

    def seeds(self, each: int = 12) -> list[tuple[str, str]]:
        """Write texts with their right labels."""
        rng = random.Random(f"seeds {self.seed}")  # noqa: S311
        return [(self.text(label, rng), label) for label in LABELS for _ in range(each)]

    def writer(self, name: str) -> ScriptedModel:
        """Make the model that writes four rows a call."""
        return ScriptedModel(self._write, name=name, in_flight=8)

    def _write(self, request: ChatRequest) -> ChatReply:
        rng = random.Random(f"{self.seed}{request.messages}{request.sample}")  # noqa: S311
        method, wanted = _method_of(request), label_of(request)
        texts = []
        for _ in range(4):
            is_hit = rng.random() < self.hits[method, wanted]
            others = [label for label in LABELS if label != wanted]
            texts.append(self.text(wanted if is_hit else rng.choice(others), rng))
        tokens = sum(len(message.content.split()) for message in request.messages)
        usage = Usage(tokens, 4 * self.output.get(method, 25))
        return ChatReply(json.dumps({"texts": texts}), usage)

    def checker(self, name: str, *, low: float, high: float) -> ScriptedModel:
        """Make a model that is right with the chance it states, drawn uniform in `low` to `high`.

        So its confidence is calibrated by itself, and its skill is the mean of the two.
        """

        def answer(request: ChatRequest) -> ChatReply:
            truth = self.truth(request.messages[-1].content)
            # By the text alone: a model of temperature 0 does not change its mind.
            rng = random.Random(f"{name}{self.seed}{request.messages[-1].content}")  # noqa: S311
            sure = rng.uniform(low, high)
            is_right = rng.random() < sure
            if not request.choices:
                return _points(request, truth, is_right=is_right)
            if not truth:
                even = dict.fromkeys(request.choices, 1 / len(request.choices))
                return _said(request, even)
            said = truth if is_right else rng.choice([x for x in LABELS if x != truth])
            rest = (1 - sure) / (len(request.choices) - 1)
            return _said(
                request,
                {
                    choice_name: sure if choice_name == said else rest
                    for choice_name in request.choices
                },
            )

        return ScriptedModel(answer, name=name, in_flight=8)


def _said(request: ChatRequest, chances: Mapping[str, float]) -> ChatReply:
    best = max(chances, key=lambda label: chances[label])
    tokens = sum(len(message.content.split()) for message in request.messages)
    return ChatReply(best, Usage(tokens, 1), dict(chances), Confidence.LOGPROBS)


def _points(request: ChatRequest, truth: str, *, is_right: bool) -> ChatReply:
    """Judge a row: 4 points where it is of its label, 2 where not; the wrong way round in error."""
    row = json.loads(request.messages[-1].content)
    is_good = (row["label"] == truth) == is_right
    tokens = sum(len(message.content.split()) for message in request.messages)
    return ChatReply(json.dumps({"correct": 4 if is_good else 2}), Usage(tokens, 8))


def _method_of(request: ChatRequest) -> str:
    """Tell which method wrote a prompt."""
    system = request.messages[0].content
    return next((name for duty, name in _DUTIES.items() if duty in system), "conditioned")


def label_of(request: ChatRequest) -> str:
    """Tell which class a prompt asks for."""
    system = request.messages[0].content
    found = re.search(r"The class '(\w+)'", system) or re.search(r"the class '(\w+)'", system)
    assert found is not None
    return found[1]
