"""How probable a "yes" is to a question: from log-probabilities, else from samples.

Two readings. *Restricted*: the mass of "yes" among "yes" and "no". *First token*: the mass of all
spellings of "yes" at the first token of the answer among the whole vocabulary; a model that would
rather say something else gives little to either. The first token needs a provider that lists
log-probabilities (`Advisor.can_look`); others are read restricted, and the result says so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from querist.agents.models.port import ChatReply, ChatRequest
from querist.agents.selector.advice.advisor import Advisor, Reply
from querist.memory.records import Confidence
from querist.tools.compute.arrays import FloatArray

Mode = Literal["restricted", "first_token"]
_YES_NO = ("yes", "no")
_HEAT = 0.7


@dataclass(frozen=True, slots=True, eq=False)
class YesNo:
    """Probabilities of "yes" (N,), not a number where there was no answer."""

    probabilities: FloatArray
    truncated: NDArray[np.bool_]
    """Where no spelling of "yes" was listed and the least listed one stands in: a bound."""
    mode: Mode
    source: Confidence

    @property
    def log_odds(self) -> FloatArray:
        """Log-odds (N,), which still differ where probabilities are all but 1."""
        p = np.clip(self.probabilities, 1e-12, 1 - 1e-12)
        return np.asarray(np.log(p) - np.log1p(-p))


def ask_yes_no(
    requests: Sequence[ChatRequest],
    *,
    advisor: Advisor,
    mode: Mode = "restricted",
    samples: int = 4,
) -> YesNo:
    """Ask yes-or-no questions; one call each, or `samples` where log-probabilities are missing."""
    if mode == "first_token" and not advisor.can_look("first_token"):
        mode = "restricted"
    look: Literal["", "first_token"] = "first_token" if mode == "first_token" else ""
    asked = [replace(request, choices=_YES_NO, schema=None, look=look) for request in requests]
    replies = advisor.ask(asked)
    answers = np.full(len(asked), np.nan)
    truncated = np.zeros(len(asked), dtype=bool)
    bare: list[int] = []
    for row, reply in enumerate(replies):
        if not isinstance(reply, ChatReply):
            continue
        if mode == "first_token" and reply.first_token:
            answers[row], truncated[row] = first_token_mass(reply.first_token, "yes")
        elif reply.probabilities is not None:
            answers[row] = restrict(reply.probabilities)
        else:
            bare.append(row)
    if bare:
        first = [replies[row] for row in bare]
        answers[bare] = _by_sampling([asked[row] for row in bare], first, advisor, samples)
    source = Confidence.SAMPLING if bare else Confidence.LOGPROBS
    return YesNo(answers, truncated, mode, source)


def first_token_mass(listed: Mapping[str, float], word: str) -> tuple[float, bool]:
    """Sum the probability of all spellings of a word (case, blanks, quotes) among listed tokens.

    `listed` are log-probabilities. Returns the mass, and whether no spelling was listed: the least
    listed one is then an upper bound of it.
    """
    values = [value for token, value in listed.items() if _plain(token) == word]
    if values:
        return min(1.0, math.fsum(math.exp(value) for value in values)), False
    return math.exp(min(listed.values())), True


def restrict(masses: Mapping[str, float]) -> float:
    """Share "yes" out of the masses of "yes" and "no"; half if neither has any."""
    total = masses.get("yes", 0.0) + masses.get("no", 0.0)
    return masses.get("yes", 0.0) / total if total > 0 else 0.5


def smoothed(yes: int, answers: int) -> float:
    """Estimate a frequency from few answers: (yes + 1) / (answers + 2) (Laplace)."""
    return (yes + 1) / (answers + 2)


def _by_sampling(
    asked: Sequence[ChatRequest], first: Sequence[Reply], advisor: Advisor, samples: int
) -> FloatArray:
    more = [
        replace(request, temperature=_HEAT, sample=number)
        for request in asked
        for number in range(1, max(1, samples))
    ]
    drawn = advisor.ask(more)
    per_row = max(0, samples - 1)
    found = np.full(len(asked), np.nan)
    for row in range(len(asked)):
        replies = [first[row], *drawn[row * per_row : (row + 1) * per_row]]
        said = [_plain(reply.text) for reply in replies if isinstance(reply, ChatReply)]
        valid = [word for word in said if word in _YES_NO]
        found[row] = smoothed(valid.count("yes"), len(valid))
    return found


def _plain(token: str) -> str:
    return token.strip().strip("\"'`.▁Ġ").strip().casefold()
