"""A GPU for large matrix products, where there is one.

Rows are carried to the device once and stay there; only products come back. So an engine that
multiplies blocks of the same rows again and again (distances, neighbours) is the same code with and
without one. Sums are in float32 on both, in another order, so distances differ by rounding.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from querist.memory.errors import InvalidInput
from querist.tools.compute.arrays import FloatArray, IntArray

if TYPE_CHECKING:
    from torch import Tensor

_VARIABLE = "QUERIST_DEVICE"
"""Name of the environment variable that says what to compute on: cpu, cuda, cuda:1."""
WORTH_CARRYING = 10_000_000
"""Numbers in an array from which a product on the device repays carrying it there."""
# The rest is for the products.
_MOST_OF_ITS_MEMORY = 0.5
_STEP = 65_536


@dataclass(frozen=True, slots=True, eq=False)
class Resident:
    """Rows (N, d) that lie on a device."""

    tensor: Tensor

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.tensor)

    def __getitem__(self, rows: IntArray | slice) -> Resident:
        """Keep some of the rows, on the device."""
        import torch

        if isinstance(rows, slice):
            return Resident(self.tensor[rows])
        return Resident(self.tensor[torch.from_numpy(rows).to(self.tensor.device)])


Rows = FloatArray | Resident


def place(rows: FloatArray) -> Rows:
    """Carry float32 rows (N, d) to the device if there is one, they are large, and they fit."""
    if rows.size < WORTH_CARRYING or rows.dtype != np.float32:
        return rows
    device = chosen_device()
    if device is None or rows.nbytes > _MOST_OF_ITS_MEMORY * _free_bytes(device):
        return rows
    import torch

    tensor = torch.empty(rows.shape, device=device)
    for start in range(0, len(rows), _STEP):
        # A copy, because torch does not take arrays that are read-only, as mapped files are.
        tensor[start : start + _STEP] = torch.from_numpy(rows[start : start + _STEP].copy())
    return Resident(tensor)


def products(rows: Rows, others: Rows) -> FloatArray:
    """Multiply out (N, d) and (M, d) to inner products (N, M), wherever either lies."""
    if not isinstance(rows, Resident) and not isinstance(others, Resident):
        return rows @ others.T
    device = (rows if isinstance(rows, Resident) else others).tensor.device  # type: ignore[union-attr]
    result: FloatArray = (_there(rows, device) @ _there(others, device).T).cpu().numpy()
    return result


def fetch(rows: Rows) -> FloatArray:
    """Bring rows back from a device; those that are here are not copied."""
    return np.asarray(rows.tensor.cpu().numpy()) if isinstance(rows, Resident) else rows


@cache
def chosen_device() -> Any | None:
    """Find the torch device to use beside the processor; None when there is none.

    Raises InvalidInput when the environment names one that is not there.
    """
    name = os.environ.get(_VARIABLE, "").strip()
    if not name and not _may_be_there():
        return None
    import torch

    if not name:
        return torch.device("cuda") if torch.cuda.is_available() else None
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise InvalidInput(
            f"{_VARIABLE}={name} names a device that cannot be used here ({reason}). Unset it to "
            "use what there is, or set it to cpu."
        ) from error
    return None if device.type == "cpu" else device


def _may_be_there() -> bool:
    """Rule a GPU out without importing torch, which takes a second: on Linux it shows as a file."""
    files = ("/dev/nvidia0", "/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
    return sys.platform != "linux" or any(Path(file).exists() for file in files)


def _there(rows: Rows, device: Any) -> Tensor:
    if isinstance(rows, Resident):
        return rows.tensor
    import torch

    return torch.from_numpy(np.ascontiguousarray(rows, dtype=np.float32)).to(device)


def _free_bytes(device: Any) -> float:
    """Tell how much memory is free; devices other than CUDA's do not say, so all is taken to be."""
    import torch

    return float(torch.cuda.mem_get_info(device)[0]) if device.type == "cuda" else float("inf")
