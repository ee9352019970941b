"""Bytes to text: what encoding a file is in, found where that is certain, assumed with a word.

A byte order mark decides. Without one, text is UTF-8 if it can be; a few stray bytes in UTF-8 are
read as Windows-1252, and a Western text that is not UTF-8 at all is read so as a whole, which the
summary says. What looks like neither is refused: guessing between code pages would spoil texts.
"""

from __future__ import annotations

import codecs
import gzip
import re
import zlib
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from querist.memory.errors import InvalidInput
from querist.tools.data.table import Remarks
from querist.tools.wording import places

AUTO = "auto"
# A line beyond this is a file of another kind; reading it whole would only fill the memory.
LONGEST_LINE = 50_000_000
_HOW_TO_SAY = "say what it is with --encoding (data.encoding in a task file), for example"
_SAMPLE = 4096
_CHUNK = 1 << 20
# The longer mark of UTF-32 begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_WINDOWS = "cp1252"
# Python keeps an undecodable byte as one of these code points.
_STRAY = {
    0xDC00 + byte: bytes([byte]).decode(_WINDOWS, "replace") for byte in range(0x80, 0x100)
}  # fmt: skip
# Western texts are mostly plain letters, and others stand alone; else it is another alphabet.
_MOST_ACCENTS = 1 / 3
_RUN = re.compile(rb"[\x80-\xff]{3,}")
_NOT_WINDOWS = bytes([0x81, 0x8D, 0x8F, 0x90, 0x9D])
_LETTERS = bytes([*range(0x41, 0x5B), *range(0x61, 0x7B)])
_HIGH = bytes(range(0x80, 0x100))


@dataclass(frozen=True, slots=True)
class _Codec:
    name: str
    errors: str = "strict"
    note: str = ""


def decode(data: bytes, name: str) -> str:
    """Decode a small file that people write (a task, a prompt); raises `InvalidInput`."""
    codec = _by_mark(data) or _by_zeros(data[:_SAMPLE], name) or _Codec("utf-8")
    try:
        return data.decode(codec.name).removeprefix("\ufeff")
    except UnicodeError as error:
        place = _place(data, codec.name)
        raise InvalidInput(
            f"{name} is not {codec.name.upper().removesuffix('-SIG')}: see {place}. Save it as "
            "UTF-8."
        ) from error


@dataclass(frozen=True, slots=True)
class TextFile:
    """A text file, gzipped or not, whose encoding is settled."""

    path: Path
    codec: _Codec

    @property
    def name(self) -> str:
        """The file's name, for messages."""
        return self.path.name

    @classmethod
    def open(cls, path: Path, encoding: str, remarks: Remarks) -> TextFile:
        """Settle the encoding (`auto` finds it); raises `InvalidInput`."""
        with _explaining(path, encoding):
            codec = _find(path) if encoding == AUTO else _named(encoding)
        if codec.note:
            remarks.note(codec.note)
        return cls(path, codec)

    def lines(self) -> Generator[str, None, None]:
        """Give the lines with their ends."""
        number = 0
        with self._stream() as stream:
            while line := stream.readline(LONGEST_LINE):
                number += 1
                if len(line) == LONGEST_LINE:
                    raise InvalidInput(
                        f"{self.name}, line {number} has over {LONGEST_LINE:,} characters. "
                        "Is it the right file, with one row a line?"
                    )
                yield _mended(line.removeprefix("\ufeff") if number == 1 else line)

    def whole(self) -> str:
        """Read it all at once."""
        with self._stream() as stream:
            return _mended(stream.read().removeprefix("\ufeff"))

    @contextmanager
    def _stream(self) -> Iterator[TextIO]:
        codec = self.codec
        # Without translation, a line end inside a quoted cell stays as it is.
        with (
            _explaining(self.path, codec.name),
            _opener(self.path)(
                self.path, "rt", encoding=codec.name, errors=codec.errors, newline=""
            ) as stream,
        ):
            yield stream


def _opener(path: Path) -> Any:
    """Choose how to open a file: it is gzip by its name or by its first bytes."""
    if path.name.lower().endswith(".gz"):
        return gzip.open
    with path.open("rb") as stream:
        return gzip.open if stream.read(2) == b"\x1f\x8b" else open


def _named(encoding: str) -> _Codec:
    # The -sig codec drops the byte order mark that spreadsheets put in front.
    is_utf8 = codecs.lookup(encoding).name == "utf-8"
    "".encode(encoding)  # Python knows codecs that are no text encodings, too
    return _Codec("utf-8-sig" if is_utf8 else encoding)


def _mended(text: str) -> str:
    return text if text.isascii() else text.translate(_STRAY)


@contextmanager
def _explaining(path: Path, encoding: str) -> Iterator[None]:
    name = path.name
    try:
        yield
    except LookupError as error:
        raise InvalidInput(
            f"There is no text encoding {encoding!r}. Leave --encoding (data.encoding in a task "
            "file) out to have it found, or say utf-8, latin-1, cp1252 or utf-16."
        ) from error
    except UnicodeError as error:
        raise InvalidInput(_undecodable(path, encoding)) from error
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InvalidInput(
            f"{name} is not a whole gzip file ({error}). Copy or download it again."
        ) from error
    except OSError as error:
        raise InvalidInput(f"{name} cannot be read: {error.strerror or error}.") from error


def _undecodable(path: Path, encoding: str) -> str:
    """Find the first byte that is not in `encoding`; reads the file once more, as a whole."""
    with _opener(path)(path, "rb") as stream:
        data = stream.read()
    encoding = encoding.removesuffix("-sig")
    what = f"{path.name} is not {encoding}: see {_place(data, encoding)}."
    if mark := _by_mark(data):
        return f"{what} It begins with the mark of {mark.name}: pass --encoding {mark.name}."
    return f"{what} Leave --encoding (data.encoding) out to have it found, or name another."


def _place(data: bytes, encoding: str) -> str:
    try:
        data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return f"byte 0x{data[error.start]:02x} at offset {error.start} (line {line})"
    except UnicodeError as error:
        return str(error)
    return "its end"


# ---------------------------------------------------------------- finding it


def _find(path: Path) -> _Codec:
    opener = _opener(path)
    with opener(path, "rb") as stream:
        start = stream.read(_SAMPLE)
        codec = _by_mark(start) or _by_zeros(start, path.name)
        if codec is None and _is_utf8(start, stream):
            codec = _Codec("utf-8")
    if codec is not None:
        return codec
    with opener(path, "rb") as stream:
        return _not_utf8(stream, path.name)


def _by_mark(start: bytes) -> _Codec | None:
    return next((_Codec(name) for mark, name in _MARKS if start.startswith(mark)), None)


def _by_zeros(start: bytes, name: str) -> _Codec | None:
    """Know UTF-16 without a mark by the zeros that Western letters have in it."""
    pairs = len(start) // 2
    even, odd = start[0 : 2 * pairs : 2].count(0), start[1 : 2 * pairs : 2].count(0)
    for zeros, others, codec in ((odd, even, "utf-16-le"), (even, odd, "utf-16-be")):
        if pairs >= 2 and zeros > pairs / 3 and others < pairs / 20:
            return _Codec(codec, note=f"{name} has no byte order mark; it was read as {codec}")
    return None


def _is_utf8(start: bytes, stream: BinaryIO) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        chunk = start
        while chunk:
            decoder.decode(chunk)
            chunk = stream.read(_CHUNK)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _not_utf8(stream: BinaryIO, name: str) -> _Codec:
    """Decide between UTF-8 with stray bytes and Windows-1252, line by line."""
    wrong: list[int] = []
    n_right = accents = letters = undefined = runs = number = first = 0
    while line := stream.readline(LONGEST_LINE):
        number += 1
        if line.isascii():
            letters += len(line) - len(line.translate(None, _LETTERS))
            continue
        accents += len(line) - len(line.translate(None, _HIGH))
        letters += len(line) - len(line.translate(None, _LETTERS))
        runs += sum(map(len, _RUN.findall(line)))
        undefined += len(line) - len(line.translate(None, _NOT_WINDOWS))
        try:
            line.decode("utf-8")
            n_right += 1
        except UnicodeDecodeError as error:
            first = first or line[error.start]
            wrong.append(number)
    if n_right > len(wrong):
        return _Codec(
            "utf-8",
            "surrogateescape",
            f"{name} is UTF-8 but for {places('line', wrong)}: bytes there were read as "
            "Windows-1252",
        )
    where = f"{name} is not UTF-8 (byte 0x{first:02x} in line {wrong[0]})"
    if undefined or max(runs / accents, accents / (accents + letters)) > _MOST_ACCENTS:
        raise InvalidInput(
            f"{where}, and it does not look like Windows-1252 either. Save it as UTF-8, or "
            f"{_HOW_TO_SAY} --encoding cp1251, shift_jis or gb18030."
        )
    return _Codec(
        _WINDOWS,
        note=f"{where}: it was read as Windows-1252. If letters look wrong, {_HOW_TO_SAY} "
        "--encoding latin-1, cp1250 or mac_roman",
    )
