"""Asking for one class of a text."""

from __future__ import annotations

from querist.agents.annotator.kinds.closed import ChoiceAsking

ASKING = ChoiceAsking("classification/1", opening="Classify each text ({name}).")
