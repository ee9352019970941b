"""Gates that parse: regular expressions, JSON, SQL, Python. Nothing written is ever executed."""

from __future__ import annotations

import ast
import json
import logging
import re
import warnings
from collections.abc import Sequence

from querist.memory.errors import InvalidInput
from querist.memory.extras import need
from querist.tools.gates.port import Candidate, Finding, Setting, gate

_LONGEST = 20_000
"""Characters that are parsed: parsers of nested text may need time, or the stack."""


class _Parsed:
    """A gate that reads one field, or the whole row."""

    rank = 4
    remedy = ""
    _field = ""

    def check(self, candidates: Sequence[Candidate], _: Setting, /) -> list[Finding]:
        """Parse each."""
        return [self._one(candidate) for candidate in candidates]

    def _one(self, candidate: Candidate) -> Finding:
        if self._field and self._field not in candidate.record:
            return Finding(passed=False, reason=f"it has no field {self._field}")
        found = candidate.record[self._field] if self._field else candidate.text
        text = found if isinstance(found, str) else json.dumps(found, ensure_ascii=False)
        if len(text) > _LONGEST:
            return Finding(passed=False, reason=f"over {_LONGEST:,} characters")
        reason = self._fault(text)
        return Finding(passed=not reason, reason=reason)

    def _fault(self, text: str, /) -> str:
        raise NotImplementedError


@gate("regex", summary="A field, or the whole row, fits a regular expression.", cost="nothing")
class Regex(_Parsed):
    """Matches all of it."""

    def __init__(self, *, pattern: str = ".*", field: str = "") -> None:
        """`field` names one of the record's; the whole row without it."""
        try:
            self._pattern = re.compile(pattern, re.DOTALL)
        except re.error as error:
            raise InvalidInput(f"regex: {pattern!r} is no regular expression: {error}.") from None
        self._field = field
        self.remedy = f"loosen the pattern {pattern!r}"

    def _fault(self, text: str, /) -> str:
        return "" if self._pattern.fullmatch(text) else f"does not fit {self._pattern.pattern}"


@gate("json", summary="A field holds JSON.", cost="nothing", citation="RFC 8259")
class Json(_Parsed):
    """Parses JSON."""

    remedy = "leave json out"

    def __init__(self, *, field: str = "") -> None:
        """`field` names one of the record's; the whole row without it."""
        self._field = field

    def _fault(self, text: str, /) -> str:
        try:
            json.loads(text)
        except (ValueError, RecursionError) as error:
            return f"is no JSON: {error}"
        return ""


@gate(
    "sql",
    summary="A field holds one SQL statement that parses.",
    cost="about a millisecond a row",
    citation="sqlglot",
    explanation="Only parsed, never run: a table that does not exist passes. Needs querist[gates].",
)
class Sql(_Parsed):
    """Parses SQL in one dialect."""

    def __init__(self, *, field: str = "", dialect: str = "") -> None:
        """`dialect` is one of sqlglot's (postgres, sqlite, mysql ...); "" is its own."""
        self._sqlglot = need("sqlglot", extra="gates")
        logging.getLogger("sqlglot").setLevel(logging.ERROR)
        self._field, self._dialect = field, dialect
        self.remedy = f"name another dialect than {dialect or 'the usual one'}, or leave sql out"
        try:
            self._sqlglot.Dialect.get_or_raise(dialect or None)
        except ValueError as error:
            raise InvalidInput(f"sql: {error}") from None

    def _fault(self, text: str, /) -> str:
        try:
            found = self._sqlglot.parse(text, read=self._dialect or None)
        except (self._sqlglot.errors.SqlglotError, RecursionError) as error:
            return f"is no SQL: {str(error).splitlines()[0][:120]}"
        statements = [statement for statement in found if statement is not None]
        is_command = any(
            type(statement).__name__ in {"Command", "Alias", "Column"} for statement in statements
        )
        if len(statements) != 1 or is_command:
            return "is not one SQL statement"
        return ""


@gate(
    "python",
    summary="A field holds Python that parses.",
    cost="about a millisecond a row",
    citation="Python's ast.parse",
    explanation="Only parsed, never run: whether it does what it should is not looked at.",
)
class Python(_Parsed):
    """Parses Python."""

    remedy = "leave python out"

    def __init__(self, *, field: str = "") -> None:
        """`field` names one of the record's; the whole row without it."""
        self._field = field

    def _fault(self, text: str, /) -> str:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of odd escapes in what was written
                ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            return f"is no Python: {error}"
        return "" if text.strip() else "is empty"
