"""Whether a reason stands on what its author was shown: no invented figure, nothing false."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from querist.agents.deliberation.brief import Fact

_FIGURE = re.compile(
    r"(?<![\w.@*:/-])[-+\u2212]?\$?(\d[\d,]*(?:\.\d+)?)(\s?(?:%|percent\b))?(?![\w*]|\.\d)"
)
_ANY = re.compile(r"\d[\d,]*(?:\.\d+)?")
_LISTED = re.compile(r"(?m)^\s*\(?\d{1,2}[.)]\s")
_SAYS_NOTHING = 12
"""Characters below which a reason is none: small models say `The facts`."""
_MANY_WORDS = 15
"""Words of a reason from which saying most of them twice is no style: small models go round."""
_LONG_ENOUGH = 30
"""Characters of a reason from which repeating the instructions is no coincidence."""


def check_grounded(
    reason: str, *, facts: Sequence[Fact], shown: Iterable[str], instructions: str
) -> None:
    """Raise `ValueError` where a reason is not founded on what was shown.

    `shown` are all texts that figures may come from: the page, the results of tools, the ruling's
    own values. A figure counts as shown where it is one of theirs, rounded, or as a percentage.
    """
    if len(reason.strip()) < _SAYS_NOTHING:
        raise ValueError(f"the reason says nothing: {reason.strip()!r}")
    words = reason.lower().split()
    if len(words) >= _MANY_WORDS and len(set(words)) < len(words) / 2:
        raise ValueError(f"the reason repeats itself: {reason[:80]!r}")
    invented = _invented(reason, shown)
    if invented:
        raise ValueError(
            f"the reason names {', '.join(invented[:3])}, which stands neither in the facts nor in "
            "a tool's result"
        )
    lowered = " ".join(reason.lower().split())
    for fact in facts:
        if fact.denies and (claim := re.search(fact.denies, lowered)):
            raise ValueError(f"the reason says {claim.group()!r}, but: {fact.words}")
    if len(lowered) >= _LONG_ENOUGH and lowered.rstrip(".") in " ".join(
        instructions.lower().split()
    ):
        raise ValueError("the reason only repeats the instructions")


def _invented(reason: str, shown: Iterable[str]) -> list[str]:
    """List the figures of a reason that nothing shown has."""
    known = sorted({_number(found) for text in shown for found in _ANY.findall(text)})
    missing = []
    for match in _FIGURE.finditer(_LISTED.sub(" ", reason)):
        written, percent = match.group(1), bool(match.group(2))
        value = _number(written)
        half = 0.5 * 10.0 ** -len(written.partition(".")[2]) + 1e-9
        is_known = any(abs(value - other) <= half for other in known) or (
            percent and any(abs(value - 100 * other) <= half for other in known)
        )
        if not is_known:
            missing.append(match.group().strip())
    return missing


def _number(written: str) -> float:
    return float(written.replace(",", ""))
