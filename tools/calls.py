"""Names with arguments as text: `contrastive(neighbours=5)`, in task files and on command lines.

    call     = name [ "(" [ key "=" value { "," key "=" value } ] ")" ]
    value    = number | true | false | "text" | 'text'

Text between quotation marks is taken as it stands, but for a backslash before a mark or another
backslash.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from querist.memory.errors import InvalidInput
from querist.tools.wording import shorten

Scalar = bool | int | float | str
"""What an argument can be."""

_QUOTED = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\""""
_CALL = re.compile(rf"\s*([\w.-]+)\s*(?:\(((?:[^()'\"]|{_QUOTED})*)\))?\s*", re.DOTALL)
_ARGUMENT = re.compile(rf"\s*([A-Za-z_]\w*)\s*=\s*({_QUOTED}|[^\s'\"=]+)\s*", re.DOTALL)
_WHOLE = re.compile(r"[+-]?\d+")
_PIECE = re.compile(rf"{_QUOTED}|.", re.DOTALL)
_BOOLEANS = {"true": True, "false": False, "True": True, "False": False}


def read_call(text: str) -> tuple[str, dict[str, Scalar]]:
    """Read a name and its arguments; raises `InvalidInput` saying how it is written."""
    match = _CALL.fullmatch(text)
    if match is None:
        raise InvalidInput(
            f"{shorten(text.strip())} is not a name with arguments. Write a name, or "
            "'name(key=1, other=true, words=\"text\")'."
        )
    name, inside = match[1], match[2]
    values: dict[str, Scalar] = {}
    for part in split_outside(inside, ",") if inside and inside.strip() else ():
        argument = _ARGUMENT.fullmatch(part)
        if argument is None or argument[1] in values:
            why = "is there twice" if argument else "is no argument"
            raise InvalidInput(
                f"In {shorten(text.strip())}: {shorten(part.strip())} {why}. Write each once, as "
                "key=value, with commas between them."
            )
        values[argument[1]] = _read_value(argument[2], text)
    return name, values


def write_call(name: str, values: Mapping[str, Scalar]) -> str:
    """Write a name and its arguments so that `read_call` gives them back."""
    if not values:
        return name
    return f"{name}({', '.join(f'{key}={write_value(value)}' for key, value in values.items())})"


def write_value(value: Scalar) -> str:
    """Write one argument."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return repr(value)


def split_outside(text: str, mark: str) -> list[str]:
    """Split at a character where it stands in no quotation marks and no parentheses."""
    parts, depth = [""], 0
    for piece in _PIECE.findall(text):
        depth += (piece == "(") - (piece == ")")
        if piece == mark and depth == 0:
            parts.append("")
        else:
            parts[-1] += piece
    return parts


def _read_value(text: str, call: str) -> Scalar:
    if text[0] in "'\"":
        return re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL)
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    try:
        return int(text) if _WHOLE.fullmatch(text) else float(text)
    except ValueError:
        raise InvalidInput(
            f"In {shorten(call.strip())}: {shorten(text)} is neither a number nor true or false; "
            "words stand between quotation marks."
        ) from None
