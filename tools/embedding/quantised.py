"""Linear layers in 8-bit integers, for encoders on the CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

_TINY = 1e-12


def multiplies_integers_fast() -> bool:
    """Tell whether int8 products beat float32 here; elsewhere torch may loop over them."""
    import torch

    return torch.backends.cpu.get_cpu_capability().startswith("AVX")


class QuantisedLinear:
    """A linear layer in 8-bit integers, symmetric, one scale per token and per output.

    Torch's own dynamic quantisation has one scale per batch, which loses more (cosine 0.979
    against 0.997) and makes a vector depend on the batch.
    """

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        """Round a float32 layer: weight (out, in), bias (out,)."""
        import torch

        self._scales = weight.abs().amax(dim=1).clamp_min(_TINY) / 127
        self._weight = (weight / self._scales[:, None]).round().to(torch.int8).t()
        self._bias = bias

    def __call__(self, rows: Tensor, /) -> Tensor:
        """Multiply rows (T, in) to (T, out)."""
        import torch

        # One scale per token: an outlier in one text coarsens no other text.
        scales = rows.abs().amax(dim=1, keepdim=True).clamp_(min=_TINY) / 127
        integers = (rows / scales).round_().to(torch.int8)
        sums = torch._int_mm(integers, self._weight).float()  # noqa: SLF001 - has no public name
        return torch.addcmul(self._bias, sums.mul_(scales), self._scales)


def quantise_layers(module: Any) -> None:
    """Replace linear layers under a torch module, in place, by such in 8-bit integers.

    Layers that narrow stay in floats: the wide inputs of a block's last product have outliers,
    which cost most of the precision (all-mpnet-base-v2: mean cosine 0.994 with them, 0.997
    without, at about the same speed).
    """
    import torch
    from torch import nn

    class Layer(nn.Module):
        """A quantised layer where torch wants a module, for rows of any number of axes."""

        def __init__(self, layer: nn.Linear) -> None:
            super().__init__()
            weight = layer.weight.detach()
            bias = weight.new_zeros(len(weight)) if layer.bias is None else layer.bias.detach()
            self.product = QuantisedLinear(weight, bias)

        def forward(self, rows: Tensor) -> Tensor:
            flat = self.product(rows.reshape(-1, rows.shape[-1]))
            return flat.view(*rows.shape[:-1], -1)

    with torch.inference_mode():
        for parent in list(module.modules()):
            for name, child in list(parent.named_children()):
                if type(child) is nn.Linear and child.in_features <= child.out_features:
                    setattr(parent, name, Layer(child))
