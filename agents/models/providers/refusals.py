"""What a provider's refusal means, in whatever shape it comes.

Providers say the same thing in a dozen ways: OpenAI's `error` object, FastAPI's `detail` list, a
bare sentence, an error under status 200. Everything is brought to one record here, with the
provider's own words kept for the person who reads them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from querist.memory.records import utc_now

_LONGEST = 300

_FILTERED = re.compile(
    r"content[ _-]?(filter|policy|management policy|moderation)|moderation|flagged|was filtered"
    r"|safety (system|setting|filter|reason)|inappropriate|responsible ?ai|data_inspection"
    r"|sensitive (content|word)|prohibited[ _]content|usage polic",
    re.IGNORECASE,
)
_TOO_LONG = re.compile(
    r"context[ _-]?(length|window|size)|maximum context|too many tokens|max_model_len"
    r"|(prompt|input|text|string|message|request)s? (is|are|was)? ?"
    r"(too|longer)[ _](long|large|than)"
    r"|exceeds? (the )?(max\w* )?(available )?(input|prompt|token|context|sequence)",
    re.IGNORECASE,
)
_ABOUT_INPUT = re.compile(r"context|prompt|input|message", re.IGNORECASE)
_EXHAUSTED = re.compile(
    r"insufficient[ _](quota|credit|balance|fund)|exceeded your current quota|out of credit"
    r"|billing|payment required|spend(ing)? limit|credit balance|no credits|quota.{0,20}exhausted",
    re.IGNORECASE,
)
_PASSING = re.compile(
    r"per[ _-]?(second|minute|hour|day)|rate[ _-]?limit|try again|retry", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error as a provider told it."""

    status: int
    message: str
    """The provider's own words, cut to a readable length."""
    code: str = ""
    param: str = ""
    """The option that it complains about, where it says so."""
    retry_after: float | None = None
    """Seconds that it asks us to wait."""

    @property
    def words(self) -> str:
        """Everything that was said, in lower case, for looking things up."""
        return f"{self.param} {self.code} {self.message}".lower()

    @property
    def is_about_text(self) -> bool:
        """Tell whether a filter refused this one text."""
        return self.status in (200, 400, 403, 422, 451) and bool(_FILTERED.search(self.words))

    @property
    def is_too_long(self) -> bool:
        """Tell whether this one text does not fit into the model."""
        # "max_tokens exceeds the maximum" is about an option, unless the text is mentioned, too.
        about_option = "max_" in self.words and not _ABOUT_INPUT.search(self.words)
        too_long = bool(_TOO_LONG.search(self.words)) and not about_option
        return self.status in (200, 400, 413, 422, 500) and too_long

    @property
    def is_exhausted(self) -> bool:
        """Tell whether the account has no money left, so that waiting does not help."""
        if self.status == 402 or self.code in {"insufficient_quota", "billing_not_active"}:
            return True
        passing = self.retry_after is not None or _PASSING.search(self.message)
        return self.status in (403, 429) and bool(_EXHAUSTED.search(self.words)) and not passing

    @property
    def may_pass(self) -> bool:
        """Tell whether the same request may be answered later."""
        return self.status in (408, 409, 425, 429) or self.status >= 500


def read_refusal(
    status: int, body: object, *, headers: Mapping[str, str] | None = None, otherwise: str = ""
) -> Refusal:
    """Read an error; `otherwise` is its text where the body tells nothing."""
    told = _told(body)
    message = " ".join((told["message"] or otherwise or "no reason was given").split())
    if len(message) > _LONGEST:
        message = f"{message[:_LONGEST]}…"
    return Refusal(
        status, message, told["code"], told["param"], retry_after=_retry_after(headers or {})
    )


def error_in(body: object) -> Refusal | None:
    """Find the error in an answer that came under status 200; None if there is none."""
    if not isinstance(body, Mapping):
        return None
    choices = body.get("choices")
    if not body.get("error") or choices:
        first = choices[0] if isinstance(choices, list) and choices else None
        inner = first.get("error") if isinstance(first, Mapping) else None
        return read_refusal(_status_of(inner), {"error": inner}) if inner else None
    return read_refusal(_status_of(body["error"]), body)


def _status_of(error: object) -> int:
    """Find the status that an error object claims; a failure of the server's if it claims none."""
    for name in ("status", "status_code", "http_code", "code"):
        value = error.get(name) if isinstance(error, Mapping) else None
        if str(value).isdigit() and 400 <= int(str(value)) < 600:
            return int(str(value))
    told = _told({"error": error})
    words = f"{told['code']} {told['message']}".lower()
    if "rate" in words and "limit" in words:
        return 429
    return 400 if "invalid" in words or "unsupported" in words else 503


def _told(body: object) -> dict[str, str]:
    if isinstance(body, list):
        body = body[0] if len(body) == 1 else {"detail": body}
    if not isinstance(body, Mapping):
        return {"message": body if isinstance(body, str) else "", "code": "", "param": ""}
    error = body.get("error", body)
    if isinstance(error, str):
        error = {**body, "message": error}
    if not isinstance(error, Mapping):
        error = body
    detail = error.get("detail", error.get("errors"))
    message = _text(error.get("message")) or _details(detail) or _text(error.get("msg"))
    inner = error.get("innererror")
    code = _text(error.get("code")) or _text(error.get("type"))
    if isinstance(inner, Mapping):
        code = f"{code} {_text(inner.get('code'))}".strip()
    return {"message": message, "code": code, "param": _text(error.get("param"))}


def _details(detail: object) -> str:
    """Write FastAPI's list of complaints in words: `response_format: Extra inputs ...`."""
    if not isinstance(detail, list):
        return _text(detail)
    lines = []
    for entry in detail[:5]:
        if isinstance(entry, Mapping):
            place = [str(part) for part in entry.get("loc") or () if part != "body"]
            words = _text(entry.get("msg")) or _text(entry.get("message"))
            lines.append(f"{'.'.join(place)}: {words}" if place else words)
        else:
            lines.append(_text(entry))
    return "; ".join(line for line in lines if line)


def _text(value: object) -> str:
    return value if isinstance(value, str) else str(value) if isinstance(value, int) else ""


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Read `Retry-After` in seconds or as a date, or `retry-after-ms`; nonsense counts as none."""
    lowered = {str(key).lower(): str(value).strip() for key, value in headers.items()}
    try:
        if "retry-after-ms" in lowered:
            return max(0.0, float(lowered["retry-after-ms"]) / 1_000)
        return max(0.0, float(lowered.get("retry-after", "")))
    except ValueError:
        pass
    try:
        moment = parsedate_to_datetime(lowered.get("retry-after", ""))
    except (TypeError, ValueError, IndexError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return _seconds_until(moment)


def _seconds_until(moment: datetime) -> float:
    return max(0.0, (moment - utc_now()).total_seconds())
