"""Use the cores without letting torch's threads wait for each other."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

_TURN = threading.Lock()


@contextmanager
def one_thread() -> Iterator[int]:
    """Keep every torch operation on one core for a while; yield how many it would have used.

    Torch splits each small operation over all cores and waits for the slowest, which on a loaded
    machine costs up to thirtyfold. Whole tasks, one to a core, do not wait; and sums come out the
    same whatever the number of cores.
    """
    import torch

    # Held throughout: of two users at once, the later would restore the other's single thread.
    with _TURN:
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            yield before
        finally:
            torch.set_num_threads(before)
