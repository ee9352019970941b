"""Read what a language model wrote, however it wrote it: the one reader of replies.

Models think aloud, put JSON into Markdown fences, write bold and backticks, say `Answer: bug.`,
send their text as a list of parts, or add a sentence. What can be read without a guess is read;
nothing here ever chooses between two labels.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from querist.tools.kinds.names import match_label

_LONGEST = 200_000
"""Characters of a reply that are looked at."""
_MOST_BRACES = 50
"""Places of a reply that are tried as the beginning of a JSON object."""
_ANSWER_KEYS = ("answer", "label", "class", "category", "classification", "result", "choice")

_THOUGHT = re.compile(
    r"<(think|thinking|thought|reasoning|reflection|analysis)>.*?</\1>", re.DOTALL | re.IGNORECASE
)
_UNENDED = re.compile(
    r"^.*</(?:think|thinking|thought|reasoning|reflection|analysis)>", re.DOTALL | re.IGNORECASE
)
_BEGUN = re.compile(
    r"<(think|thinking|thought|reasoning|reflection|analysis)>.*$", re.DOTALL | re.IGNORECASE
)
# gpt-oss: `<|channel|>analysis<|message|>...<|end|>...<|channel|>final<|message|>answer`.
_FINAL = re.compile(r"^.*<\|channel\|>\s*final\s*<\|message\|>", re.DOTALL)
_CONTROL = re.compile(r"<\|[a-z_]{1,30}\|>")
_FENCE = re.compile(r"```[\w+-]*[ \t]*\n?(.*?)(?:```|$)", re.DOTALL)
# Whole letters and whole escapes of a JSON string; what is cut in two at its end is left out.
_INSIDE = re.compile(r'(?:[^"\\]|\\u[0-9a-fA-F]{4}|\\[^u])*')
_MARKS = "*_`\"'#> \t\r\n\u2018\u2019\u201c\u201d\xab\xbb"
_SAID = re.compile(
    r"(?:^|[\s*_`\"'({])(?:answer|label|class|category|classification|result)s?"
    r"[\"'*_`]*\s*(?:is\s*:?|:|=|->|→)\s*(?P<value>[^\n]+)",
    re.IGNORECASE,
)
_ENDING = re.compile(
    r"\b(?:is|as|be)\b\s*:?\s*(?P<value>[^\n:]{1,200}?)\s*[.!]*\s*$", re.IGNORECASE
)
_BREAKS = re.compile(r"\s+[-\u2013\u2014(]|[.,;:!?(\n]\s|\n|[.!?]$|\s+because\b")


@dataclass(frozen=True, slots=True)
class Chosen:
    """The choice that a reply names, and the words that spell it there."""

    choice: str
    spelled: str


def content_text(message: object) -> str:
    """Take the text out of a message's content: words, a list of parts, or nothing."""
    if isinstance(message, str):
        return message
    if isinstance(message, Mapping):
        return content_text(message.get("text") if "text" in message else message.get("content"))
    if isinstance(message, Sequence) and not isinstance(message, bytes):
        kept = [part for part in message if not _is_thought(part)]
        return "".join(content_text(part) for part in kept)
    return ""


def without_thoughts(text: str) -> str:
    """Leave out what a model thought aloud before it answered; "" if it only thought."""
    text = _FINAL.sub("", text[:_LONGEST])
    text = _THOUGHT.sub("", text)
    # Some templates open the thought in the prompt, so that only its end is in the reply.
    text = _BEGUN.sub("", _UNENDED.sub("", text))
    return _CONTROL.sub("", text).strip()


def thought_aloud(text: str) -> bool:
    """Tell whether a reply holds thoughts besides the answer."""
    return bool(_BEGUN.search(text) or _UNENDED.search(text) or _FINAL.search(text))


def read_object(text: str) -> dict[str, Any] | None:
    """Find the JSON object in a reply; None if there is none.

    The largest one counts, so that braces in a sentence before it do no harm. Single quotes, as
    Python writes them, are read too.
    """
    text = without_thoughts(text)
    best: tuple[int, dict[str, Any]] | None = None
    end = 0
    for start in _braces(text):
        if start < end:
            continue  # inside an object that was read
        read = _object_at(text, start)
        if read is None:
            continue
        end = start + read[0]
        if best is None or read[0] > best[0]:
            best = read
    return None if best is None else best[1]


def read_begun(text: str, name: str) -> str:
    """Read the string under a name in a JSON object that is still being written; "" for none."""
    begun = re.search(rf'"{re.escape(name)}"\s*:\s*"', text)
    if begun is None:
        return ""
    written = _INSIDE.match(text, begun.end())
    assert written is not None  # it matches nothing, too
    try:
        read = str(json.loads(f'"{written[0]}"', strict=False))
    except ValueError:
        return ""
    # Half of a pair of surrogates waits for its other half.
    return read.encode("utf-8", "ignore").decode()


def read_list(text: str, name: str) -> list[Any] | None:
    """Find the list that a reply holds under a name; None if there is none.

    Of a reply that was cut off the whole elements are read: they were paid for.
    """
    body = read_object(text)
    if body is not None and isinstance(body.get(name), list):
        found: list[Any] = body[name]
        return found
    text = without_thoughts(text)
    begun = re.search(rf'"{re.escape(name)}"\s*:\s*\[', text)
    if begun is None:
        return None
    elements: list[Any] = []
    place, decoder = begun.end(), json.JSONDecoder(strict=False)
    while True:
        place += len(text[place:]) - len(text[place:].lstrip(" ,\r\n\t"))
        try:
            value, place = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            return elements
        elements.append(value)


def read_choice(text: str, choices: Sequence[str]) -> Chosen | None:
    """Find the choice that a reply names; None where it names none, or could mean several."""
    text = without_thoughts(text)
    for candidate in _candidates(text):
        choice = _match(candidate, choices)
        if choice is not None:
            return Chosen(choice, candidate.strip(_MARKS) if choice not in candidate else choice)
    return None


def _candidates(text: str) -> Iterator[str]:
    """List readings of a reply, the surest first."""
    yield text
    body = read_object(text)
    if body is not None:
        yield from _values(body)
        return  # an object that names no choice is no answer, whatever is said around it
    fenced = _FENCE.search(text)
    plain = fenced.group(1) if fenced else text
    yield from _scalar(plain)
    yield plain.strip(_MARKS)
    said = _SAID.findall(plain)
    if said:
        # The last one: what is said before may be about other labels.
        yield from _shortened(said[-1])
        return
    first = plain.strip().split("\n", 1)[0]
    yield from _shortened(first)
    if ending := _ENDING.search(plain.strip()):
        yield ending.group("value").strip(_MARKS)


def _shortened(words: str) -> Iterator[str]:
    """Give words, and then what stands before each break in them: `bug, because it crashes`."""
    words = words.strip()
    yield words.strip(_MARKS)
    yield words.strip(_MARKS + ".,;:!")
    for found in _BREAKS.finditer(words):
        yield words[: found.start()].strip(_MARKS)


def _values(body: Mapping[str, Any]) -> Iterator[str]:
    lowered = {str(key).strip().casefold(): value for key, value in body.items()}
    named = [lowered[key] for key in _ANSWER_KEYS if key in lowered]
    for value in named or list(body.values()) * (len(body) == 1):
        if isinstance(value, list) and len(value) == 1:
            value = value[0]  # noqa: PLW2901 - a list of one is that one
        if isinstance(value, Mapping):
            yield from _values(value)
        elif isinstance(value, str | int | float | bool):
            yield _written(value)


def _scalar(text: str) -> Iterator[str]:
    try:
        value = json.loads(text.strip())
    except (ValueError, RecursionError):
        return
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, str | int | float | bool):
        yield _written(value)


def _written(value: object) -> str:
    return json.dumps(value) if isinstance(value, bool | int | float) else str(value)


def _match(text: str, choices: Sequence[str]) -> str | None:
    found = match_label(text, choices)
    return _same_number(text, choices) if found is None else found


def _same_number(text: str, choices: Sequence[str]) -> str | None:
    """Take `0.0` for `0` and `1` for `1.0`, where one choice is that number."""
    number = _number(text)
    if number is None:
        return None
    equal = [choice for choice in choices if _number(choice) == number]
    return equal[0] if len(equal) == 1 else None


def _number(text: str) -> float | None:
    text = text.strip(_MARKS).removesuffix(".")
    if len(text) > 40 or not re.fullmatch(r"[+-]?\d+(\.\d+)?", text):
        return None
    return float(text)


def _braces(text: str) -> list[int]:
    return [match.start() for match in re.finditer(r"\{", text)][:_MOST_BRACES]


def _object_at(text: str, start: int) -> tuple[int, dict[str, Any]] | None:
    try:
        value, end = json.JSONDecoder(strict=False).raw_decode(text, start)
        return (end - start, value) if isinstance(value, dict) else None
    except (ValueError, RecursionError):
        pass
    end = text.find("}", start)
    if end < 0:
        return None
    try:
        # A Python literal: `{'answer': 'bug'}`. Nothing is run, and nested ones are not tried.
        value = ast.literal_eval(text[start : end + 1])
    except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
        return None
    return (end + 1 - start, value) if isinstance(value, dict) else None


def _is_thought(part: object) -> bool:
    return isinstance(part, Mapping) and str(part.get("type", "")) in {
        "thinking",
        "reasoning",
        "thought",
        "redacted_thinking",
    }
