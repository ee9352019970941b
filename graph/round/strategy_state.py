"""What strategies remember from round to round: arrays in one file a round.

A round starts from the newest file of an earlier round, so a round that is repeated after a crash
chooses as it did the first time.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from querist.graph.workplace.context import Context
from querist.memory.errors import StoreError

Arrays = dict[str, NDArray[np.floating]]


def load_state(context: Context, *, number: int) -> Arrays:
    """Read what was remembered before round `number`."""
    files = sorted(_folder(context).glob("round-*.npz"))
    earlier = [path for path in files if path.stem < f"round-{number:04d}"]
    if not earlier:
        return {}
    try:
        with np.load(earlier[-1], allow_pickle=False) as file:
            return {str(name): file[f"arr_{i + 1}"] for i, name in enumerate(file["arr_0"])}
    except (OSError, KeyError, ValueError, EOFError) as error:
        raise StoreError(
            f"What strategies remember cannot be read ({error}). Delete {earlier[-1]} to let them "
            "start afresh, then: querist resume"
        ) from error


def save_state(context: Context, arrays: Arrays, *, number: int) -> None:
    """Write what is remembered after round `number`, if anything is."""
    if not arrays:
        return
    path = _folder(context) / f"round-{number:04d}.npz"
    draft = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with draft.open("wb") as file:
            np.savez(file, np.array(list(arrays)), *arrays.values())
        draft.replace(path)
    except OSError as error:
        raise StoreError(
            f"What strategies remember cannot be written ({error}). Free some disk space, then: "
            "querist resume"
        ) from error


def _folder(context: Context) -> Path:
    folder = context.folder / "strategies"
    folder.mkdir(exist_ok=True)
    return folder
