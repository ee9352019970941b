"""What is left for all runs and jobs of a workspace."""

from __future__ import annotations

from decimal import Decimal

from querist.app.terminal.screen import dollars
from querist.memory.store import Store
from querist.memory.workspace.caps import Cap, Caps


def caps_line(store: Store) -> str:
    """Say what is left, in a line; "" where there is no cap."""
    found = Caps(store).all()
    return f"Left for all runs and jobs: {'; '.join(map(_words, found))}." if found else ""


def _words(cap: Cap) -> str:
    whose = " today (UTC)" if cap.name == "day" else ""
    return f"{dollars(max(cap.remaining, Decimal(0)))} of {dollars(cap.usd)}{whose}"
