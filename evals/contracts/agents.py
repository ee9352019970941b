"""The contracts of `Generator` and `Annotator`: what speaks with a language model."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

from querist.agents.annotator.port import Annotations, Annotator, Chunk, Item
from querist.agents.annotator.prompt import Prompt
from querist.agents.generator.port import Generator, Wanted
from querist.agents.models.metered import MeteredModel
from querist.agents.models.port import ChatRequest
from querist.evals.contracts.pools import TASK, reply_sensibly, scripted_model
from querist.memory.answers import Choice
from querist.memory.errors import BudgetExceeded, ModelError, QueristError
from querist.memory.records import Example, ExampleId

Script = Callable[[ChatRequest], str | dict[str, float]]

_TEXTS = (
    "The heating is broken.",
    "",
    "Größe 東京 👩\u200d🔧 \u200b",
    "{{braces}} [/INST] </s>",
    "a" * 5_000,
)


def _write_sensibly(request: ChatRequest) -> str | dict[str, float]:
    """Write what the shipped generators ask for."""
    return json.dumps({"texts": [f"A new text, try {request.sample}, number {n}." for n in (1, 2)]})


def check_generator(generator: Generator, *, answer: Script = _write_sensibly) -> None:
    """Check what every generator promises; `answer` is a model that answers it well.

    Texts come back; the same try is the same calls, paid once; a reply that cannot be used is a
    `ModelError`, and money at an end a `BudgetExceeded`, never another error.
    """
    assert generator.name, "A generator has a name."
    shown = tuple(
        Example(ExampleId(f"e{n}"), {"text": text}) for n, text in enumerate(_TEXTS) if text
    )
    wanted = Wanted(Choice(TASK.labels[0].name), TASK, shown)

    async def write(model: MeteredModel, sample: int) -> list[str]:
        return await generator.write(wanted, sample=sample, model=model)

    asked: list[ChatRequest] = []

    def counted(request: ChatRequest) -> str | dict[str, float]:
        asked.append(request)
        return answer(request)

    with scripted_model(counted) as model:
        texts = asyncio.run(write(model, 0))
        paid = len(asked)
        assert texts, "A generator writes when the model does."
        assert all(isinstance(text, str) for text in texts), "A generator gives texts."
        again = asyncio.run(write(model, 0))
        assert again == texts, "The same try brings the same texts."
        assert len(asked) == paid, "The same try is the same calls, paid once."
    for broken in ("", "I cannot help with that.", "{", '{"texts": 7}', "\x00"):
        with scripted_model(lambda _, said=broken: said) as model:  # type: ignore[misc]
            _only(ModelError, lambda model=model: asyncio.run(write(model, 1)))  # type: ignore[misc]
    with scripted_model(answer, usd="0.0000001") as model:
        _only(BudgetExceeded, lambda: asyncio.run(write(model, 0)))


def check_annotator(annotator: Annotator, *, answer: Script = reply_sensibly) -> None:
    """Check what every annotator promises; `answer` is a model that answers it well.

    Each item comes back with an annotation or an error, those of this round and no other; an
    annotation says whose calibration it shares; money at an end is an error at its item.
    """
    assert annotator.name, "An annotator has a name."
    items = tuple(
        Item(Example(ExampleId(f"e{n}"), {"text": text})) for n, text in enumerate(_TEXTS)
    )
    chunk = Chunk(items, Prompt(TASK), votes=2, number=3)

    def label(script: Script, usd: str = "1") -> Annotations:
        with scripted_model(script, usd=usd) as model:
            return asyncio.run(annotator.annotate(chunk, model=model))

    for script, usd in ((answer, "1"), (lambda _: "", "1"), (answer, "0.0000001")):
        said = label(script, usd)
        labelled = {annotation.example for annotation in said.annotations}
        told = labelled | set(said.errors)
        assert told == {item.example.id for item in items}, (
            "Each item is annotated or has an error."
        )
        assert not labelled & set(said.errors), "No item has both."
        for annotation in said.annotations:
            assert annotation.who.startswith("llm:"), "An annotation's `who` is llm:MODEL."
            assert annotation.round == chunk.number, "An annotation is of the round it is made in."
        for error in said.errors.values():
            assert isinstance(error, QueristError), f"{error!r} is none of Querist's errors."
    empty = Chunk((), Prompt(TASK), votes=1, number=3)
    with scripted_model(answer) as model:
        none = asyncio.run(annotator.annotate(empty, model=model))
    assert not none.annotations, "No items, no annotations."
    assert not none.errors, "No items, no errors."


def _only(kind: type[Exception], call: Callable[[], object]) -> None:
    """Let pass what comes back well, and errors of this kind."""
    try:
        call()
    except kind:
        return
    except Exception as error:
        raise AssertionError(f"Only {kind.__name__} may be raised here, not {error!r}.") from error
