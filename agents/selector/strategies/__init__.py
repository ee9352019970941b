"""Strategies that ask a language model, or that come from papers about one.

Importing this package puts them into the registry of `querist.tools.strategies`.
"""

from __future__ import annotations

# Imported for their entries in the registry.
from querist.agents.selector.strategies import (
    ac_tune,
    active_llm,
    active_prompt,
    active_prune,
    ape,
    ask_llm,
    cover_icl,
    curriculum,
    demonstrations,
    eagle,
    hadas,
    select_llm,
    sequence_confidence,
    simulation,
)

__all__ = [
    "ac_tune",
    "active_llm",
    "active_prompt",
    "active_prune",
    "ape",
    "ask_llm",
    "cover_icl",
    "curriculum",
    "demonstrations",
    "eagle",
    "hadas",
    "select_llm",
    "sequence_confidence",
    "simulation",
]
