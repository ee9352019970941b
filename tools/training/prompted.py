"""A prompt as what people take home: the language model's way of being asked, in a file.

Where the annotator itself is the better classifier, nothing that is trained on its labels beats it.
A prompt is not learnt from rows, so it is no `Trainer`: a run makes it, and whoever predicts with
it gives it a language model to ask (`asking`), because tools know of none.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from querist.memory.errors import InvalidInput
from querist.memory.files import write_whole
from querist.tools.compute.arrays import FloatArray
from querist.tools.training.port import Inputs, Need

__all__ = ["PROMPT", "Ask", "PromptedPredictor", "PromptedReader"]

PROMPT = "prompt"
"""What task files and model folders call it."""
_FILE = "prompt.json"
_KEYS = {"model", "shared", "guidelines", "prior"}

Ask = Callable[[Sequence[str]], FloatArray]
"""Asks the language model about N texts: chances (N, C)."""


@dataclass(frozen=True, slots=True, eq=False)
class PromptedPredictor:
    """What a prompt shows and which model it asks."""

    body: Mapping[str, Any]
    """`model`, `shared` and `guidelines` with their examples, and `prior`, the label bias."""
    ask: Ask | None = None

    @property
    def model(self) -> str:
        """The language model, as task files name it."""
        return str(self.body["model"])

    @property
    def title(self) -> str:
        """What people call it."""
        return f"prompt for {self.model}"

    @property
    def notes(self) -> tuple[str, ...]:
        """What the card tells of it."""
        shown = len(self.body["shared"])
        note = f"A prompt for {self.model} that shows {shown} labelled examples: nothing is "
        return (f"{note}trained, and every prediction is a call of that model.",)

    def predict_proba(self, inputs: Inputs, /) -> FloatArray:
        """Ask about each text; raises `InvalidInput` where there is no model to ask."""
        if self.ask is None:
            raise InvalidInput(
                f"This model is a prompt for {self.model}, and there is nobody to ask and to pay "
                "it. Predict by the command in the run's workspace: querist predict RUN FILE"
            )
        return self.ask(inputs.need_texts())

    def asking(self, ask: Ask) -> PromptedPredictor:
        """Give the same prompt with a model to ask."""
        return replace(self, ask=ask)

    def save(self, folder: Path, /) -> None:
        """Write one file of JSON."""
        text = json.dumps(dict(self.body), indent=2, ensure_ascii=False)
        write_whole(folder / _FILE, text.encode())


@dataclass(frozen=True, slots=True)
class PromptedReader:
    """Reads what a prompt saved."""

    name: str = PROMPT
    needs: frozenset[Need] = frozenset({"texts"})

    def load(self, folder: Path, /) -> PromptedPredictor:
        """Read the file; raises `InvalidInput` for anything else."""
        try:
            body = json.loads((folder / _FILE).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InvalidInput(f"{folder / _FILE} holds no prompt: {error}") from error
        if not isinstance(body, dict) or body.keys() != _KEYS:
            raise InvalidInput(f"{folder / _FILE} holds no prompt: it wants {sorted(_KEYS)}.")
        return PromptedPredictor(body)
