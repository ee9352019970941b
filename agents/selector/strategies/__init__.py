"""Strategies that ask a language model, or that come from papers about one.

`MODULES` is what our own entry point of the group `querist.strategy` names: tools may not import
agents, and this way their registry finds what is here as it finds anybody's.
"""

from __future__ import annotations

from importlib import import_module

_NAMES = (
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
)
__all__ = ["MODULES"]

MODULES = tuple(import_module(f"{__name__}.{name}") for name in _NAMES)
