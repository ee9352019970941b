"""What a GGUF file says of itself: its chat template, and the texts of its control tokens.

Only the header is read (a few megabytes at most), as the format's specification lays it out:
https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

from querist.memory.errors import InvalidInput

_TEMPLATE = "tokenizer.chat_template"
_TOKENS, _KINDS = "tokenizer.ggml.tokens", "tokenizer.ggml.token_type"
_STRING, _ARRAY = 8, 9
_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_CONTROL = 3
_MOST = 10_000_000
"""Entries that a header may have; a larger number is damage."""


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """The part of a header that a chat needs."""

    template: str = ""
    """A Jinja template that writes a conversation; "" for a base model, which has none."""
    control: tuple[str, ...] = ()
    """Texts that stand for control tokens, such as the end of a turn."""


def read_header(path: Path) -> GgufHeader:
    """Read a file's header; raises `InvalidInput` for what is no GGUF file, or a damaged one."""
    try:
        with path.open("rb") as file:
            return _read(file)
    except FileNotFoundError as error:
        raise InvalidInput(
            f"There are no model weights at {path}. Name a file that ends in .gguf."
        ) from error
    except (OSError, ValueError, struct.error, MemoryError, KeyError) as error:
        raise InvalidInput(f"{path} is no GGUF file, or a damaged one ({error}).") from error


def _read(file: BufferedReader) -> GgufHeader:
    if file.read(4) != b"GGUF":
        raise ValueError("it does not begin with GGUF")
    (version,) = _numbers(file, "<I")
    if version < 2:
        raise ValueError(f"version {version} is too old")
    _, entries = _numbers(file, "<QQ")
    values: dict[str, object] = {}
    for _ in range(_bounded(entries)):
        key = _text(file)
        (kind,) = _numbers(file, "<I")
        wanted = key in {_TEMPLATE, _TOKENS, _KINDS}
        value = _value(file, kind, keep=wanted)
        if wanted:
            values[key] = value
    tokens, kinds = values.get(_TOKENS), values.get(_KINDS)
    control: tuple[str, ...] = ()
    if isinstance(tokens, list) and isinstance(kinds, list):
        pairs = zip(tokens, kinds, strict=False)
        control = tuple(token for token, kind in pairs if kind == _CONTROL and len(token) > 2)
    template = values.get(_TEMPLATE)
    return GgufHeader(template if isinstance(template, str) else "", control)


def _value(file: BufferedReader, kind: int, *, keep: bool) -> object:
    if kind == _STRING:
        return _text(file)
    if kind != _ARRAY:
        return file.read(_SIZES[kind])
    (inner,) = _numbers(file, "<I")
    (count,) = _numbers(file, "<Q")
    count = _bounded(count)
    if inner == _STRING:
        texts = [_text(file) for _ in range(count)]
        return texts if keep else None
    if inner == _ARRAY:
        raise ValueError("arrays of arrays are not known")
    raw = file.read(_SIZES[inner] * count)
    return list(struct.unpack(f"<{count}i", raw)) if keep and _SIZES[inner] == 4 else None


def _text(file: BufferedReader) -> str:
    (size,) = _numbers(file, "<Q")
    return file.read(_bounded(size)).decode("utf-8", "replace")


def _numbers(file: BufferedReader, form: str) -> tuple[int, ...]:
    return struct.unpack(form, file.read(struct.calcsize(form)))


def _bounded(count: int) -> int:
    if count > _MOST:
        raise ValueError(f"{count} entries are more than a header has")
    return count
