"""The port of annotators: ways to have a chunk of examples labelled.

    @annotator("rules_of_thumb", summary="A list of words, and no model.")
    class RulesOfThumb:
        name = "rules_of_thumb"

        async def annotate(self, chunk: Chunk, /, *, model: MeteredModel) -> Annotations: ...

A plug-in names it under the entry point group `querist.annotator`. What its annotations are worth
is measured on what people labelled, as with any other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from querist.agents.annotator.prompt import Demonstration, Prompt
from querist.agents.models.metered import MeteredModel
from querist.memory.errors import QueristError
from querist.memory.records import Annotation, Example, ExampleId, Probabilities
from querist.tools.registry import Declaration, Registry

__all__ = ["ANNOTATORS", "Annotations", "Annotator", "Chunk", "Item", "annotator"]

_GROUP = "querist.annotator"


@dataclass(frozen=True, slots=True)
class Item:
    """An example to label, with the demonstrations retrieved for it."""

    example: Example
    nearest: tuple[Demonstration, ...] = ()
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class Chunk:
    """A chunk to label."""

    items: tuple[Item, ...]
    prompt: Prompt
    votes: int
    """Opinions wanted on each item."""
    number: int
    """The round."""
    prior: Probabilities | None = None
    """The model's bias towards labels, to divide out."""


@dataclass(frozen=True, slots=True)
class Annotations:
    """What came of a chunk: annotations, and errors for the examples that have none."""

    annotations: tuple[Annotation, ...]
    errors: Mapping[ExampleId, QueristError]


class Annotator(Protocol):
    """Labels examples."""

    @property
    def name(self) -> str:
        """What task files call it."""

    async def annotate(self, chunk: Chunk, /, *, model: MeteredModel) -> Annotations:
        """Label the items; each comes back with an annotation or an error.

        An annotation's `who` is `llm:` and the model's name: it says whose calibration it shares.
        Errors of one text are returned; what concerns all of them is raised.
        """


annotator = Declaration[Annotator](_GROUP)
"""Declare what makes an annotator."""

ANNOTATORS = Registry[Annotator](
    "annotator", group=_GROUP, modules=("querist.agents.annotator.annotate",)
)
"""The annotators there are."""
