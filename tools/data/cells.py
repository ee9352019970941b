"""Cells as texts: what a value reads as, without the characters that break what comes after."""

from __future__ import annotations

import json
import math
import re

# Control characters break terminals, spreadsheets and PostgreSQL; half a surrogate pair cannot be
# written as UTF-8 at all. Tab, newline and carriage return are text.
_UNCLEAN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


def as_text(value: object) -> str:
    """Write a cell as text: whole floats without a point, structures as JSON, missing as ''."""
    if isinstance(value, str):
        return value
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return json.dumps(value, ensure_ascii=False, default=str)


def clean(text: str) -> str:
    """Take out control characters, or put what they stood for in their place."""
    return _UNCLEAN.sub(_cleaned, text) if _UNCLEAN.search(text) else text


def _cleaned(match: re.Match[str]) -> str:
    mark = match.group()
    if mark in "\x0b\x0c":
        return " "
    if mark >= "\ud800":
        return "\N{REPLACEMENT CHARACTER}"
    # U+0080 to U+009F in a text is nearly always Windows' quotes and dashes, read as Latin-1.
    return mark.encode("latin-1").decode("cp1252", "ignore") if mark >= "\x80" else ""
