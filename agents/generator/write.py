"""Writing new texts of a class, and throwing copies away."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from querist.agents.generator.port import Generator, Wanted
from querist.agents.models.metered import MeteredModel
from querist.memory.errors import BudgetExceeded, CapReached, ModelError
from querist.memory.records import Example, ExampleId, Origin, content_id

_FloatArray = NDArray[np.floating]
_TRIES = 3
_USUAL = 4
"""Texts that a call brings, for how often to try."""
_SHORTEST, _LONGEST = 8, 1_000


@dataclass(frozen=True, slots=True)
class Rejected:
    """A text that was written and not kept."""

    text: str
    reason: str


async def write(
    wanted: Wanted,
    count: int,
    *,
    generator: Generator,
    number: int,
    model: MeteredModel,
    is_copy: Callable[[str], bool],
) -> tuple[list[Example], list[Rejected]]:
    """Write up to `count` new examples of an answer in a round.

    `is_copy` says whether a text is too close to a known one, and remembers those it let pass.
    Fewer come back when the model repeats itself or the run's money is at an end. Raises
    `CapReached`; what was written until then is replayed when the round is repeated.
    """
    kept: list[Example] = []
    rejected: list[Rejected] = []
    for sample in range(_TRIES * -(-count // _USUAL)):
        if len(kept) >= count:
            break
        try:
            texts = await generator.write(wanted, sample=sample, model=model)
        except CapReached:
            raise
        except BudgetExceeded:
            break
        except ModelError as error:
            rejected.append(Rejected("", str(error)))
            continue
        for text in (" ".join(text.split()) for text in texts):
            reason = _fault(text, is_copy)
            if reason or len(kept) >= count:
                rejected.append(Rejected(text, reason or "enough"))
            else:
                kept.append(_example(text, wanted, number=number))
    return kept, rejected


def _fault(text: str, is_copy: Callable[[str], bool]) -> str:
    if not _SHORTEST <= len(text) <= _LONGEST:
        return "too short or too long"
    return "a copy of a known text" if is_copy(text) else ""


def _example(text: str, wanted: Wanted, *, number: int) -> Example:
    return Example(
        id=ExampleId(f"gen-{number}-{content_id(text)}"),
        fields={wanted.task.fields[0]: text},
        origin=Origin.GENERATED,
        parents=tuple(example.id for example in (*wanted.shown, *wanted.rivals)),
        written_as=wanted.answer,
    )
