"""Asking for one class of a text."""

from __future__ import annotations

from querist.agents.annotator.kinds.closed import ChoiceAsking
from querist.agents.annotator.kinds.port import Asking, asking

_ASKING = ChoiceAsking("classification/1", opening="Classify each text ({name}).")


@asking("classification")
def classification() -> Asking:
    """Give how it is asked."""
    return _ASKING
