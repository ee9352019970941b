"""What strategies remember from round to round: arrays in one file a round.

A round starts from the newest file of an earlier round, so a round that is repeated after a crash
chooses as it did the first time.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from querist.memory.files import RunFiles

Arrays = dict[str, NDArray[np.floating]]
_FOLDER = "strategies"
_WHAT = "What strategies remember"


def load_state(files: RunFiles, *, number: int) -> Arrays:
    """Read what was remembered before round `number`."""
    earlier = [key for key in files.keys(f"{_FOLDER}/round-") if key < _key(number)]
    if not earlier:
        return {}
    key, without = earlier[-1], "let them start afresh"
    kept = files.read_arrays(key, what=_WHAT, without=without) or {}
    try:
        return {str(name): kept[f"arr_{i + 1}"] for i, name in enumerate(kept["arr_0"])}
    except (KeyError, TypeError) as error:
        raise files.damaged(key, error, what=_WHAT, without=without) from error


def save_state(files: RunFiles, arrays: Arrays, *, number: int) -> None:
    """Write what is remembered after round `number`, if anything is."""
    if not arrays:
        return
    # A strategy may name its arrays as it likes, so names are an array, too.
    parts = [np.array(list(arrays)), *arrays.values()]
    kept = {f"arr_{place}": part for place, part in enumerate(parts)}
    files.write_arrays(_key(number), kept, what=_WHAT)


def forget_state(files: RunFiles) -> None:
    """Let strategies start afresh: what they remember is of other labels than there are now."""
    for key in files.keys(f"{_FOLDER}/round-"):
        files.delete(key)


def _key(number: int) -> str:
    return f"{_FOLDER}/round-{number:04d}.npz"
