"""Small networks on embeddings whose shape is searched for: trained on, weighed, inherited.

An architecture is a config of `SPACE`; its resource is epochs over all rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from querist.memory.errors import InvalidInput
from querist.tools.arms.space import Config, Options, Range, Space
from querist.tools.compute.arrays import FloatArray, IntArray
from querist.tools.compute.optimisers import without_compiler
from querist.tools.compute.threads import one_thread

if TYPE_CHECKING:
    from torch import Tensor, nn

SPACE = Space(
    {
        "depth": Options((0, 1, 2)),
        "width": Options((16, 32, 64, 128)),
        "activation": Options(("relu", "gelu", "tanh")),
        "dropout": Options((0.0, 0.2, 0.5)),
    }
)
"""Hidden layers, their width, what stands between them. Depth 0 is logistic regression."""
SETTINGS = Space(
    {
        "learning_rate": Range(1e-3, 0.3, is_log=True),
        "weight_decay": Range(1e-6, 0.1, is_log=True),
        "dropout": Options((0.0, 0.2, 0.5)),
        "width": Options((0, 32, 128)),
    }
)
"""How a head is trained; width 0 is logistic regression."""


def canonical(config: Config) -> Config:
    """Write what has no hidden layer in one way: nothing else of its shape matters then."""
    if config.get("depth", 1) == 0:
        return {**config, "width": 16, "activation": "relu", "dropout": 0.0}
    return {**config, "dropout": 0.0} if config["width"] == 0 else dict(config)


class Head:
    """A network of inputs (N, d) to C classes that can go on training where it stopped."""

    def __init__(self, config: Config, *, width: int, classes: int, seed: int = 0) -> None:
        """Start from weights that depend on `seed` and the shapes only."""
        self.epochs = 0
        self._seed = seed
        self._network = _network(config, width, classes, seed)
        self._optimizer = without_compiler().AdamW(
            self._network.parameters(),
            lr=float(config.get("learning_rate", 0.02)),
            weight_decay=float(config.get("weight_decay", 1e-3)),
        )

    @property
    def weights(self) -> Mapping[str, Tensor]:
        """The tensors by name."""
        return {
            name: tensor.detach().clone() for name, tensor in self._network.state_dict().items()
        }

    def inherit(self, parent: Mapping[str, Tensor]) -> tuple[str, ...]:
        """Take over the parent's tensors of the same name and shape; say which."""
        own = self._network.state_dict()
        taken = {
            name: tensor
            for name, tensor in parent.items()
            if name in own and own[name].shape == tensor.shape
        }
        self._network.load_state_dict({**own, **taken})
        return tuple(taken)

    def train(self, inputs: FloatArray, gold: IntArray, *, epochs: int) -> None:
        """Go on until `epochs` in all are done; the same steps give the same weights."""
        import torch

        rows = torch.from_numpy(np.ascontiguousarray(inputs, dtype=np.float32))
        wanted = torch.from_numpy(np.asarray(gold, dtype=np.int64))
        self._network.train()
        with one_thread(), torch.random.fork_rng(devices=[]):
            while self.epochs < epochs:
                # Seeded by the epoch: stopping in between changes nothing.
                torch.manual_seed(self._seed * 100_003 + self.epochs)
                self._optimizer.zero_grad()
                loss = torch.nn.functional.cross_entropy(self._network(rows), wanted)
                loss.backward()  # type: ignore[no-untyped-call]
                self._optimizer.step()
                self.epochs += 1

    def predict_proba(self, inputs: FloatArray) -> FloatArray:
        """Give class probabilities (N, C)."""
        import torch

        self._network.eval()
        rows = torch.from_numpy(np.ascontiguousarray(inputs, dtype=np.float32))
        with torch.no_grad(), one_thread():
            return np.asarray(torch.softmax(self._network(rows), dim=1).numpy())

    def gradient_norm(self, inputs: FloatArray, gold: IntArray) -> float:
        """Give the norm of the loss's gradient at these weights: a score before any training."""
        import torch

        rows = torch.from_numpy(np.ascontiguousarray(inputs, dtype=np.float32))
        wanted = torch.from_numpy(np.asarray(gold, dtype=np.int64))
        # Without dropout: a draw should not decide which shapes are tried.
        self._network.eval()
        with one_thread():
            loss = torch.nn.functional.cross_entropy(self._network(rows), wanted)
            slopes = torch.autograd.grad(loss, list(self._network.parameters()))
        return float(sum(float(slope.square().sum()) for slope in slopes) ** 0.5)


def _network(config: Config, width: int, classes: int, seed: int) -> nn.Module:
    import torch
    from torch import nn

    hidden = int(config.get("width", 0))
    depth = int(config.get("depth", 1 if hidden else 0))
    kinds = {"relu": nn.ReLU, "gelu": nn.GELU, "tanh": nn.Tanh}
    kind = str(config.get("activation", "relu"))
    if kind not in kinds or hidden < 0 or depth < 0:
        raise InvalidInput(f"This is no architecture: {dict(config)}.")
    layers: list[nn.Module] = []
    # The global generator is put back afterwards: nobody else's draws may depend on ours.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for _ in range(depth):
            dropout = float(config.get("dropout", 0.0))
            layers += [nn.Linear(width, hidden), kinds[kind](), nn.Dropout(dropout)]
            width = hidden
        layers.append(nn.Linear(width, classes))
    return nn.Sequential(*layers)
