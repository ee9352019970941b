"""Classification: one class of a text."""

from __future__ import annotations

from querist.tools.kinds.closed import SingleChoice

KIND = SingleChoice("classification", metric="accuracy")
