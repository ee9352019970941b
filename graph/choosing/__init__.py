"""Choices: which prompt, context, model, setting, architecture or examples (Appendix A)."""

from __future__ import annotations

PREFIX = "choice."
"""What the names of choices start with; those of runs have no dots."""


def is_choice(run: str) -> bool:
    """Tell a choice from a run by its name."""
    return run.startswith(PREFIX)
