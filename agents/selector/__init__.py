"""The selector decides how to choose the next examples to label, and how many."""

from __future__ import annotations

# Imported for its entries in the registry of strategies.
from querist.agents.selector import strategies

__all__ = ["strategies"]
