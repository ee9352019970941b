"""Optional packages: one message for all that are missing."""

from __future__ import annotations

import importlib
from types import ModuleType

from querist.memory.errors import MissingExtra


def need(module: str, *, extra: str) -> ModuleType:
    """Import an optional module or raise `MissingExtra` with the command that installs it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtra(
            f"This needs the package {module!r}: pip install 'querist[{extra}]'"
        ) from error
