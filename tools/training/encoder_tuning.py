"""Tune a sentence encoder on labels, by supervised contrast within a batch.

Supervised contrastive loss (Khosla et al., 2020, equation 2, "out"): texts of one class are drawn
together, those of others pushed apart. It beat plain cross-entropy by 1 to 5 points with 100
labels on seven data sets, and SetFit's pairs (Tunstall et al., 2022) cost sixteen times as much for
the same (docs/target.md). The recipe is fragile where it departs from what is set down here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from querist.memory.errors import InvalidInput
from querist.memory.files import write_whole
from querist.tools.compute.accelerator import chosen_device
from querist.tools.compute.arrays import FloatArray, IntArray
from querist.tools.compute.optimisers import without_compiler

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_FROZEN = ("pooler", "word_embeddings")
"""The pooler is not used; word vectors, which most texts share, forget what few labels lack."""
ENCODER_FILES = ("model.safetensors", "config.json", "tokenizer.json")
_EMBED_AT_ONCE = 64
_NO_PARTNER = 1e-6
"""A row whose partners in its batch weigh less than this has nothing to be drawn to."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How an encoder is tuned."""

    epochs: int = 5
    fewest_steps: int = 20
    """With so few labels that five epochs are fewer steps, there are more epochs."""
    most_steps: int = 1_000
    rate: float = 1e-4
    """Reached after a tenth of the steps, then falling to 0 in a straight line: at a constant rate
    tuned encoders fell behind frozen ones."""
    batch: int = 32
    temperature: float = 0.1
    longest: int = 64
    """Tokens of a text that are read in tuning."""
    decay: float = 0.01
    clip: float = 1.0

    def steps(self, rows: int) -> int:
        """How many batches to learn from, with so many rows."""
        a_pass = -(-rows // self.batch)
        return min(max(self.epochs * a_pass, self.fewest_steps), self.most_steps)


class Encoder:
    """A transformer with mean-pooled sentence vectors of length 1, that can be tuned."""

    def __init__(self, folder: Path, *, device: torch.device | None = None) -> None:
        """Read what `transformers` saved, or a `sentence-transformers` folder.

        Raises `InvalidInput` where there is none.
        """
        import transformers

        self.folder = folder
        self._device = device or chosen_device() or "cpu"
        try:
            self._tokens = _read_tokenizer(folder)
            with _quietly():
                self.model = transformers.AutoModel.from_pretrained(folder, dtype="float32")
        except (OSError, ValueError, KeyError) as error:
            raise InvalidInput(f"{folder} holds no encoder that can be tuned: {error}") from error
        self.model.to(self._device).eval()

    def copy(self) -> Encoder:
        """Give another that can be tuned by itself. Reading a folder is not safe in threads."""
        return deepcopy(self)

    def embed(self, texts: Sequence[str], *, longest: int = 256) -> NDArray[np.float32]:
        """Embed texts as (N, d) vectors of length 1."""
        import torch

        tokens = self.read(texts, longest)
        # Padding costs as much as words: texts of like length share a batch.
        order = sorted(range(len(tokens)), key=lambda row: len(tokens[row]))
        vectors = np.empty((len(tokens), self.model.config.hidden_size), dtype=np.float32)
        with torch.inference_mode():
            for start in range(0, len(order), _EMBED_AT_ONCE):
                rows = order[start : start + _EMBED_AT_ONCE]
                vectors[rows] = self.forward([tokens[row] for row in rows]).cpu().numpy()
        return vectors

    def read(self, texts: Sequence[str], longest: int) -> list[list[int]]:
        """Turn texts into token numbers, at most so many each."""
        self._tokens.enable_truncation(longest)
        # Half of a surrogate pair, as a damaged file may have, is no text to the tokenizer.
        whole = [text.encode("utf-8", "replace").decode() for text in texts]
        return [encoding.ids for encoding in self._tokens.encode_batch_fast(whole)]

    def forward(self, tokens: Sequence[Sequence[int]]) -> Tensor:
        """Encode token lists: (B, d), of length 1."""
        import torch
        from torch.nn import functional

        width = max(map(len, tokens))
        ids = torch.zeros((len(tokens), width), dtype=torch.long)
        mask = torch.zeros((len(tokens), width), dtype=torch.long)
        for row, text in enumerate(tokens):
            ids[row, : len(text)] = torch.tensor(text)
            mask[row, : len(text)] = 1
        ids, mask = ids.to(self._device), mask.to(self._device)
        states = self.model(input_ids=ids, attention_mask=mask).last_hidden_state
        shown = mask[..., None].to(states.dtype)
        means = (states * shown).sum(dim=1) / shown.sum(dim=1).clamp_min(1.0)
        return functional.normalize(means, dim=1)

    def save(self, folder: Path) -> None:
        """Write weights, configuration and tokenizer, for this class and for `MiniLM`."""
        from safetensors.torch import save

        folder.mkdir(parents=True, exist_ok=True)
        state = {
            name: value.detach().cpu().contiguous()
            for name, value in self.model.state_dict().items()
            if not name.startswith("pooler")
        }
        write_whole(folder / "model.safetensors", save(state, metadata={"format": "pt"}))
        config = self.model.config.to_dict() | {"architectures": [type(self.model).__name__]}
        write_whole(folder / "config.json", json.dumps(config, default=str).encode())
        # Whoever reads the folder says how much of a text is read.
        self._tokens.no_truncation()
        write_whole(folder / "tokenizer.json", self._tokens.to_str().encode())


def tune(
    encoder: Encoder,
    texts: Sequence[str],
    targets: FloatArray,
    weights: FloatArray,
    *,
    recipe: Recipe,
    seed: int,
    after_step: Callable[[int, int], None] = lambda _done, _all: None,
) -> None:
    """Tune in place on N texts with soft targets (N, C) and weights (N,), all above 0.

    The same rows and seed give the same weights on one machine: nothing is drawn but the batches.
    Dropout is off: with it the same labels did no better, and threads would share its dice.
    """
    tokens = encoder.read(texts, recipe.longest)
    likeness = _likeness(targets, weights)
    batches = _batches(targets.argmax(axis=1), recipe.batch, seed=seed)
    steps = recipe.steps(len(texts))

    def loss(rows: IntArray) -> Tensor | None:
        vectors = encoder.forward([tokens[row] for row in rows])
        alike = likeness[np.ix_(rows, rows)]
        return _contrast(vectors, alike, weights[rows], temperature=recipe.temperature)

    losses = (partial(loss, rows) for rows in islice(batches, steps))
    descend(encoder, losses, steps=steps, recipe=recipe, after_step=after_step)


def descend(
    encoder: Encoder,
    losses: Iterable[Callable[[], Tensor | None]],
    *,
    steps: int,
    recipe: Recipe,
    also: Iterable[Tensor] = (),
    after_step: Callable[[int, int], None] = lambda _done, _all: None,
) -> None:
    """Step down so many losses, one batch each, by the recipe; `also` are parameters to learn.

    A loss of None teaches nothing.
    """
    import torch

    parameters = [*_set_trainable(encoder.model), *also]
    optimiser = without_compiler().AdamW(parameters, lr=recipe.rate, weight_decay=recipe.decay)
    warm = max(1, steps // 10)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser,
        lambda step: (step + 1) / warm if step < warm else (steps - step) / max(1, steps - warm),
    )
    for done, of_batch in enumerate(losses, start=1):
        loss = of_batch()
        if loss is not None:
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(parameters, recipe.clip)
            optimiser.step()
        # Also after a batch that taught nothing, so that the rate always ends at 0.
        schedule.step()
        after_step(done, steps)
    # Embedding with it must not keep what a gradient would need.
    encoder.model.requires_grad_(False)


def _likeness(targets: FloatArray, weights: FloatArray) -> FloatArray:
    """How much row j is a partner of row i: the chance of one class, times what j weighs: (N, N).

    With hard targets this is Khosla's set of positives.
    """
    alike = (targets @ targets.T) * weights[None, :]
    np.fill_diagonal(alike, 0.0)
    return np.asarray(alike, dtype=np.float32)


def _contrast(
    vectors: Tensor, likeness: FloatArray, weights: FloatArray, *, temperature: float
) -> Tensor | None:
    """Supervised contrast of a batch: vectors (B, d), likeness (B, B), weights (B,)."""
    import torch

    partners = torch.from_numpy(likeness).to(vectors.device)
    mass = partners.sum(dim=1)
    kept = mass > _NO_PARTNER
    if not bool(kept.any()):
        return None
    itself = torch.eye(len(vectors), dtype=torch.bool, device=vectors.device)
    says = torch.from_numpy(weights.astype(np.float32)).to(vectors.device)
    # A row pushes others away by what it weighs, as it draws them; and it is no example of itself.
    closeness = vectors @ vectors.T / temperature + says.log()[None, :]
    closeness = closeness.masked_fill(itself, -1e9)
    logs = torch.log_softmax(closeness, dim=1)
    losses = -(logs * partners).sum(dim=1)[kept] / mass[kept]
    return (losses * says[kept]).sum() / says[kept].sum()


def _batches(classes: IntArray, size: int, *, seed: int) -> Iterator[IntArray]:
    """Deal rows into batches, pass after pass, two of a class side by side.

    So each row meets a partner, however rare its class is; shuffled freely, a class of 6 % would
    mostly stand alone in a batch of 32, and learn nothing.
    """
    rng = np.random.default_rng(seed)
    groups = [np.flatnonzero(classes == number) for number in np.unique(classes)]
    while True:
        pairs = [pair for group in groups for pair in _pairs(rng.permutation(group), rng)]
        order = np.concatenate([pairs[place] for place in rng.permutation(len(pairs))])
        yield from np.array_split(order, -(-len(order) // size))


def _pairs(group: IntArray, rng: np.random.Generator) -> Iterator[IntArray]:
    """Cut a class into twos; of an odd number, the last takes one of the others again."""
    for start in range(0, len(group) - 1, 2):
        yield group[start : start + 2]
    if len(group) % 2:
        again = group[:-1][rng.integers(len(group) - 1)] if len(group) > 1 else None
        yield group[-1:] if again is None else np.array([group[-1], again])


def _set_trainable(model: Any) -> list[Any]:
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(not any(part in name for part in _FROZEN))
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def _read_tokenizer(folder: Path) -> Any:
    from tokenizers import Tokenizer

    path = folder / "tokenizer.json"
    if not path.exists():
        raise FileNotFoundError(f"there is no {path}")
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    return tokenizer


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep `transformers` from drawing progress bars while it reads a folder."""
    from transformers.utils import logging

    was_shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        if was_shown:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]
