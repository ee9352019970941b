"""Classification: one class of a text."""

from __future__ import annotations

from querist.tools.kinds.closed import SingleChoice
from querist.tools.kinds.port import Kind, kind

KIND = SingleChoice("classification", metric="accuracy")


@kind("classification", summary="One class of a text.")
def classification() -> Kind:
    """Give the kind."""
    return KIND
