"""Write a configuration as TOML that `querist run` reads."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def to_toml(body: Mapping[str, object], *, path: str = "") -> str:
    """Write nested tables of JSON values; what is None is left out, as a default would be."""
    plain = {key: value for key, value in body.items() if not isinstance(value, Mapping)}
    tables = {key: value for key, value in body.items() if isinstance(value, Mapping) and value}
    lines = [f"{_key(key)} = {_value(value)}" for key, value in plain.items() if value is not None]
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
        pairs = [f"{_key(key)} = {_value(item)}" for key, item in value.items()]
        return f"{{{', '.join(pairs)}}}"
    if isinstance(value, list | tuple) and any(isinstance(item, Mapping) for item in value):
        return "\n".join(["[", *(f"  {_value(item)}," for item in value), "]"])
    if isinstance(value, list | tuple):
        return f"[{', '.join(_value(item) for item in value)}]"
    return json.dumps(value)


def _text(text: str) -> str:
    # TOML's basic strings are JSON's, but for DEL and for what JSON need not escape.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
