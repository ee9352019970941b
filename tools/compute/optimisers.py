"""Make torch's optimisers without what only `torch.compile` needs."""

from __future__ import annotations

from typing import Any


def without_compiler() -> Any:
    """Give `torch.optim`, whose optimisers then do not import torch's compiler.

    Making one imports `torch._dynamo`, only to tell a compiler that nobody runs to leave it alone:
    1.7 s and 60 MB in every process that trains anything. Torch looks for a marked function first
    (torch/_compile.py), so marking it with itself spares the import. Where a version of torch has
    no such mark, nothing is spared and nothing breaks.
    """
    import torch

    marked = getattr(torch.optim.Optimizer.add_param_group, "__wrapped__", None)
    if marked is not None and not hasattr(marked, "__dynamo_disable"):
        vars(marked)["__dynamo_disable"] = marked
    return torch.optim
