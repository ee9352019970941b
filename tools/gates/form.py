"""Gates on the form of a row: its schema, its length, its script, its quotation."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from querist.memory.errors import InvalidInput
from querist.memory.extras import need
from querist.tools.gates.port import Candidate, Finding, Setting, gate
from querist.tools.registry import Count, Share

_PASSED = Finding(passed=True)


@gate(
    "schema",
    summary="The record satisfies the JSON schema that was asked for.",
    cost="nothing",
    citation="JSON Schema, draft 2020-12",
    explanation="Without a schema every field must hold some text.",
)
class Schema:
    """Validates records."""

    rank = 0
    remedy = "relax the schema of [record], or show the model an example that satisfies it"

    def check(self, candidates: Sequence[Candidate], setting: Setting, /) -> list[Finding]:
        """Validate each record."""
        if setting.schema is None:
            return [_filled(candidate) for candidate in candidates]
        validator = validator_of(setting.schema)
        return [_valid(candidate.record, validator) for candidate in candidates]


def validator_of(schema: Mapping[str, Any]) -> Any:
    """Make a validator; raises `InvalidInput` for what is no JSON schema."""
    jsonschema = need("jsonschema", extra="gates")
    kind = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    try:
        kind.check_schema(schema)
    except jsonschema.SchemaError as error:
        where = ".".join(map(str, error.absolute_path)) or "the top"
        raise InvalidInput(
            f"record.schema is no JSON schema: at {where}: {error.message}"
        ) from None
    return kind(schema)


def _valid(record: Mapping[str, Any], validator: Any) -> Finding:
    error = next(iter(validator.iter_errors(dict(record))), None)
    if error is None:
        return _PASSED
    where = ".".join(map(str, error.absolute_path))
    said = f"{where}: {error.message}" if where else error.message
    return Finding(passed=False, reason=f"does not satisfy the schema ({said[:160]})")


def _filled(candidate: Candidate) -> Finding:
    empty = [name for name, value in candidate.record.items() if not str(value).strip()]
    if not empty and candidate.record:
        return _PASSED
    return Finding(passed=False, reason=f"nothing in {', '.join(empty) or 'it'}")


@gate("length", summary="Characters of the whole row, within bounds.", cost="nothing")
class Length:
    """Counts characters."""

    rank = 1

    def __init__(self, *, least: Count = 8, most: Count = 1_000) -> None:
        """Both bounds are allowed."""
        if least > most:
            raise InvalidInput(f"length: least = {least} is above most = {most}.")
        self._least, self._most = least, most
        self.remedy = f"allow other lengths than {least} to {most}: length(least=1, most=10000)"

    def check(self, candidates: Sequence[Candidate], _: Setting, /) -> list[Finding]:
        """Compare with the bounds."""
        return [self._one(len(candidate.text)) for candidate in candidates]

    def _one(self, size: int) -> Finding:
        if self._least <= size <= self._most:
            return _PASSED
        word = "short" if size < self._least else "long"
        bounds = f"{self._least} to {self._most} characters are wanted"
        return Finding(passed=False, reason=f"too {word}: {size} characters, {bounds}")


@gate(
    "script",
    summary="Most letters are of one script (latin, cyrillic, greek, han ...).",
    cost="nothing",
    citation="Unicode character names",
    explanation="Tells scripts and not languages: French passes as latin, and so does English.",
)
class Script:
    """Reads the script of each letter from its Unicode name."""

    rank = 2

    def __init__(self, *, name: str = "latin", least: Share = 0.9) -> None:
        """`least` is the share of letters."""
        self._begins = {"han": "CJK"}.get(name.lower(), name.upper())
        self._name, self._least = name, least
        self.remedy = f"lower script(least={least}), or leave script out"

    def check(self, candidates: Sequence[Candidate], _: Setting, /) -> list[Finding]:
        """Count letters."""
        return [self._one(candidate.text) for candidate in candidates]

    def _one(self, text: str) -> Finding:
        letters = [letter for letter in text if letter.isalpha()]
        if not letters:
            return Finding(passed=False, reason="it holds no letter", score=0.0)
        fitting = sum(unicodedata.name(letter, "").startswith(self._begins) for letter in letters)
        share = fitting / len(letters)
        if share >= self._least:
            return Finding(passed=True, score=share)
        reason = f"only {share:.0%} of its letters are {self._name}"
        return Finding(passed=False, reason=reason, score=share)


@gate(
    "quoted",
    summary="What a row rests on stands in the passage, word for word.",
    cost="nothing",
    explanation="For rows from passages; a row without a passage passes.",
)
class Quoted:
    """Looks the quotation up; case, blanks and quotation marks do not count."""

    rank = 3
    remedy = "leave quoted out, or give passages that say what the rows need"

    def check(self, candidates: Sequence[Candidate], _: Setting, /) -> list[Finding]:
        """Look each quotation up."""
        return [_quoted(candidate) for candidate in candidates]


def _quoted(candidate: Candidate) -> Finding:
    if not candidate.passage:
        return _PASSED
    quote = _plain(candidate.quote)
    if len(quote) < 8:
        return Finding(passed=False, reason="it quotes nothing of the passage")
    if quote in _plain(candidate.passage):
        return _PASSED
    said = json.dumps(candidate.quote[:60], ensure_ascii=False)
    return Finding(passed=False, reason=f"the passage does not say {said}")


def _plain(text: str) -> str:
    kept = "".join(letter for letter in text if letter.isalnum() or letter.isspace())
    return " ".join(kept.split()).casefold()
