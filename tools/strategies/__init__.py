"""Selection strategies: the registry, compositions in text, and the methods of the survey."""

from __future__ import annotations

# Imported for their entries in the registry.
from querist.tools.strategies import (
    clustering,
    committee,
    contrast,
    coverage,
    designs,
    gradients,
    spread,
    uncertainty,
)
from querist.tools.strategies.querying import Capability, QueryContext, QueryResult, QueryStrategy
from querist.tools.strategies.registry import Strategy, available, get, strategy

__all__ = [
    "Capability",
    "QueryContext",
    "QueryResult",
    "QueryStrategy",
    "Strategy",
    "available",
    "clustering",
    "committee",
    "contrast",
    "coverage",
    "designs",
    "get",
    "gradients",
    "spread",
    "strategy",
    "uncertainty",
]
