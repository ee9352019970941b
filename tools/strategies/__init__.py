"""Selection strategies: the port, the registry, and compositions in text."""

from __future__ import annotations

from querist.tools.strategies.querying import Capability, QueryContext, QueryResult, QueryStrategy
from querist.tools.strategies.registry import STRATEGIES, Strategy, available, get, strategy

__all__ = [
    "STRATEGIES",
    "Capability",
    "QueryContext",
    "QueryResult",
    "QueryStrategy",
    "Strategy",
    "available",
    "get",
    "strategy",
]
