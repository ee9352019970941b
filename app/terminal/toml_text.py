"""Write a configuration as TOML that `querist run` reads."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def to_toml(body: Mapping[str, object], *, path: str = "") -> str:
    """Write nested tables of JSON values; what is None is left out, as a default would be."""
    plain = {key: one for key, one in body.items() if not isinstance(one, Mapping)}
    tables = {key: one for key, one in body.items() if isinstance(one, Mapping) and one}
    lines = [f"{_key(key)} = {_value(one)}" for key, one in plain.items() if one is not None]
    if lines and path:
        lines.insert(0, f"[{path}]")
    parts = ["\n".join(lines)] if lines else []
    for key, table in tables.items():
        parts.append(to_toml(table, path=f"{path}.{_key(key)}" if path else _key(key)))
    return "\n\n".join(part for part in parts if part)


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _text(name)


def _value(value: object) -> str:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Mapping):
        pairs = [f"{_key(key)} = {_value(one)}" for key, one in value.items()]
        return f"{{{', '.join(pairs)}}}"
    if isinstance(value, list | tuple) and any(isinstance(one, Mapping) for one in value):
        return "\n".join(["[", *(f"  {_value(one)}," for one in value), "]"])
    if isinstance(value, list | tuple):
        return f"[{', '.join(_value(one) for one in value)}]"
    return json.dumps(value)


def _text(text: str) -> str:
    # TOML's basic strings are JSON's, but for DEL and for what JSON need not escape.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
