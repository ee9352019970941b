"""Read what a provider says it counted. Silence and nonsense are charged at the ceiling."""

from __future__ import annotations

import math
from collections.abc import Mapping

from querist.agents.models.port import Usage

_INPUT = ("prompt_tokens", "input_tokens")
_OUTPUT = ("completion_tokens", "output_tokens")
_DETAILS = ("prompt_tokens_details", "input_tokens_details", "input_token_details")
_CACHED = ("cached_tokens", "cache_read")


def read_usage(given: object, *, most_input: int, most_output: int, has_text: bool) -> Usage:
    """Read token counts; what is missing or odd counts as the most it can have been.

    `most_input` and `most_output` are that most. A reply with text has cost tokens: a count of 0
    is as odd as none.
    """
    used = given if isinstance(given, Mapping) else {}
    told_input, told_output = _first(used, _INPUT), _first(used, _OUTPUT)
    if told_input == 0:
        told_input = None
    if told_output == 0 and has_text:
        told_output = None
    total = _count(used.get("total_tokens"))
    if told_input is not None and told_output is not None and total is not None:
        # Some providers leave the tokens of thinking out of the output, but not out of the sum.
        told_output = max(told_output, total - told_input)
    return Usage(
        input_tokens=most_input if told_input is None else told_input,
        output_tokens=most_output if told_output is None else told_output,
        cached_tokens=min(_cached(used), most_input if told_input is None else told_input),
        estimated=told_input is None or told_output is None,
    )


def _cached(used: Mapping[str, object]) -> int:
    for name in _DETAILS:
        details = used.get(name)
        if isinstance(details, Mapping):
            return _first(details, _CACHED) or 0
    return 0


def _first(used: Mapping[str, object], names: tuple[str, ...]) -> int | None:
    counts = (_count(used.get(name)) for name in names)
    return next((count for count in counts if count is not None), None)


def _count(value: object) -> int | None:
    """Take a whole number that is not negative, also where it is written as text or a float."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return int(number) if math.isfinite(number) and 0 <= number < 1e12 else None
