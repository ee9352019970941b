"""Any model that sentence-transformers reads: from a folder, or by its name on the hub.

What is downloaded is found as a folder first, so that both are read, checked and named alike. Code
that comes with a model is never run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from querist.memory.errors import InvalidInput
from querist.memory.extras import need
from querist.tools.compute.accelerator import chosen_device
from querist.tools.embedding.embedders import Embedder, embedder
from querist.tools.embedding.quantised import multiplies_integers_fast, quantise_layers
from querist.tools.wording import shorten

_MPNET = "sentence-transformers/all-mpnet-base-v2"
_EXTRA = "encoders"
_WEIGHTS = (".safetensors", ".bin")
_SETTINGS = ("*.json", "*.txt", "*.model")
# What differs between two copies of one model and changes no vector.
_IDLE_KEYS = frozenset({"__version__", "transformers_version", "_name_or_path", "torch_dtype"})
_IDLE_FILES = frozenset({"data_config.json", "train_script.json", "model.safetensors.index.json"})
_ALIKE = 0.995
"""Cosine to the float32 vector that 8-bit integers must keep, on average over the probes."""
_PROBES = (
    "The heating is broken again.",
    "What is the capital of France?",
    "An utterly charming film, if a little too long.",
    "NASDAQ:MSFT fell 3.2% on Tuesday after the bank cut its outlook.",
    "I was charged twice for the same order; please refund one of them.",
    "ok",
    "Der Zug nach München fährt um 7.15 Uhr ab.",
    "for row in rows: print(row['text'])",
)


class _SentenceModel:
    """Sentence vectors of a transformer (Reimers & Gurevych, 2019), normalised.

    `name` states weights, settings and precision: equal names mean equal vectors.
    """

    def __init__(
        self, folder: Path, *, label: str, sha256: str = "", may_quantise: bool = False
    ) -> None:
        """Load a folder that `SentenceTransformer.save` wrote.

        With `may_quantise` linear layers are in 8-bit integers on a processor that is fast at
        them, if the probes' vectors keep a mean cosine of 0.995. Raises `InvalidInput` for a
        folder without a model, or weights that are not those of `sha256`; `MissingExtra`.
        """
        library = need("sentence_transformers", extra=_EXTRA)
        self.checksum = _weights_sum(folder)
        """SHA-256 of the weights, as the hub lists it."""
        if sha256 and sha256.strip().lower() != self.checksum:
            raise InvalidInput(
                f"The weights in {folder} have the SHA-256 {self.checksum}, not "
                f"{shorten(sha256)}. Get them again from where that value is from, or correct it."
            )
        device = chosen_device()
        try:
            self._model: Any = library.SentenceTransformer(
                str(folder), device=str(device or "cpu"), local_files_only=True
            )
            self.dimensions = len(self._run(["one"])[0])
        except Exception as error:  # the library raises whatever its parts do
            raise InvalidInput(
                f"{folder} holds no model that sentence-transformers can read: "
                f"{type(error).__name__}: {error}"
            ) from error
        precision = "float32"
        if may_quantise and device is None and multiplies_integers_fast():
            precision = self._quantised(library, folder)
        self.name = f"{label}-{self.checksum[:8]}-{_settings_sum(folder)[:4]}-{precision}"

    def embed(self, texts: Sequence[str], /) -> NDArray[np.float32]:
        """Embed texts as (N, d) vectors of length 1; what exceeds the model's length is cut."""
        if not texts:
            return np.empty((0, self.dimensions), dtype=np.float32)
        # Half a surrogate pair, which JSON may carry, would stop the tokenizer.
        return self._run([text.encode("utf-8", "replace").decode() for text in texts])

    def _run(self, texts: list[str]) -> NDArray[np.float32]:
        vectors = self._model.encode(
            texts, convert_to_numpy=True, normalize_embeddings=True, show_progress_bar=False
        )
        return np.asarray(vectors, dtype=np.float32)

    def _quantised(self, library: Any, folder: Path) -> str:
        """Turn to 8-bit integers if that keeps the vectors; give the precision."""
        exact = self._run(list(_PROBES))
        quantise_layers(self._model)
        cosines = (exact * self._run(list(_PROBES))).sum(axis=1)
        if cosines.mean() >= _ALIKE:
            return "int8"
        self._model = library.SentenceTransformer(str(folder), device="cpu", local_files_only=True)
        return "float32"


@embedder(
    "mpnet",
    summary="all-mpnet-base-v2: sentences by meaning, better than minilm and many times slower.",
)
def mpnet(*, model: str = _MPNET, sha256: str = "") -> Embedder:
    """Open its weights from a folder or the hub; `sha256` is that of `model.safetensors`."""
    return _SentenceModel(_folder_of(model), label="mpnet", sha256=sha256, may_quantise=True)


@embedder(
    "sentence_transformers",
    summary="Any model of sentence-transformers, by its name on the hub or as a folder.",
)
def sentence_transformers(*, model: str = "", sha256: str = "") -> Embedder:
    """Open a model by name or folder; `sha256` is that of its weights."""
    if not model:
        raise InvalidInput(
            "sentence_transformers needs a model: "
            'sentence_transformers(model="BAAI/bge-small-en-v1.5"), or the folder of one.'
        )
    label = "".join(c if c.isalnum() else "-" for c in Path(model).name.lower())
    return _SentenceModel(_folder_of(model), label=f"st-{label}", sha256=sha256)


def _folder_of(model: str) -> Path:
    """Find a model's folder, downloading one that is named as the hub does."""
    folder = Path(model).expanduser()
    if folder.is_dir():
        return folder
    if folder.is_absolute() or model.startswith((".", "~")) or model.count("/") > 1:
        raise InvalidInput(
            f"There is no folder {model}. Name one that holds a model of sentence-transformers, "
            f'or a name on the hub, as in "{_MPNET}".'
        )
    need("sentence_transformers", extra=_EXTRA)
    hub = need("huggingface_hub", extra=_EXTRA)
    name = model if "/" in model else f"sentence-transformers/{model}"
    unread = ["onnx/*", "openvino/*", "*.onnx", "*.h5", "*.msgpack"]
    try:
        # Pickled weights only where there are no others.
        found = Path(
            hub.snapshot_download(
                name, allow_patterns=[*_SETTINGS, "*.safetensors"], ignore_patterns=unread
            )
        )
        if not _files(found, ("*.safetensors",)):
            found = Path(
                hub.snapshot_download(
                    name, allow_patterns=[*_SETTINGS, "*.bin"], ignore_patterns=unread
                )
            )
    except Exception as error:  # the hub's client raises a dozen kinds
        raise InvalidInput(
            f"The model {name!r} cannot be had from the hub ({type(error).__name__}: "
            f"{shorten(str(error), 120)}). Check its name and the network, or name a folder that "
            "holds it."
        ) from error
    return found


def _files(folder: Path, patterns: Iterable[str]) -> list[Path]:
    return sorted(path for pattern in patterns for path in folder.rglob(pattern) if path.is_file())


def _weights_sum(folder: Path) -> str:
    """Give the SHA-256 of the file of weights; of several, that of their sums one below another."""
    for ending in _WEIGHTS:
        files = [
            path
            for path in _files(folder, (f"*{ending}",))
            if not {"onnx", "openvino"} & set(path.relative_to(folder).parts)
        ]
        sums = []
        for path in files:
            with path.open("rb") as body:
                sums.append(hashlib.file_digest(body, "sha256").hexdigest())
        if len(sums) == 1:
            return sums[0]
        if sums:
            return hashlib.sha256("\n".join(sums).encode()).hexdigest()
    raise InvalidInput(
        f"{folder} holds no model of sentence-transformers: it has no weights "
        "(model.safetensors or pytorch_model.bin)."
    )


def _settings_sum(folder: Path) -> str:
    """Sum up what the vectors depend on besides the weights: vocabulary, pooling, length."""
    total = hashlib.sha256()
    for path in _files(folder, _SETTINGS):
        if path.name in _IDLE_FILES or path.stem.lower().startswith(("readme", "license")):
            continue
        body = path.read_bytes()
        if path.suffix == ".json":
            body = _plain(body)
        total.update(f"{path.relative_to(folder).as_posix()}\n".encode() + body)
    return total.hexdigest()


def _plain(body: bytes) -> bytes:
    try:
        read = json.loads(body)
    except ValueError:
        return body
    if isinstance(read, dict):
        read = {key: value for key, value in read.items() if key not in _IDLE_KEYS}
    return json.dumps(read, sort_keys=True).encode()
