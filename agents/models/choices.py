"""From token log-probabilities to a probability for each allowed answer.

A reply names one choice, but the alternatives at each token say how likely the others were. Mass
of a branch that was not followed is shared equally among the choices it leads to.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TokenAlternatives:
    """A token of a reply and the log-probabilities of the tokens that competed with it."""

    token: str
    alternatives: Mapping[str, float]


def choice_probabilities(
    tokens: Sequence[TokenAlternatives], choices: Sequence[str]
) -> dict[str, float] | None:
    """Spread probability over `choices` along the tokens that spell the answer.

    `tokens` start where the answer starts. A choice that no listed token leads to gets the most
    that it can have had (see `unlisted`). None if nothing fits.
    """
    mass = dict.fromkeys(choices, 0.0)
    live = list(choices)
    prefix, share, floor = "", 1.0, 0.0
    for step in tokens:
        branches = _branches(step.alternatives, prefix, live)
        total = sum(branches.values())
        if total <= 0.0:
            break
        if not prefix:
            floor = unlisted(step.alternatives.values())
        followed = _consistent(prefix + step.token, live)
        for branch, weight in branches.items():
            if list(branch) != followed:
                for choice in branch:
                    mass[choice] += share * weight / total / len(branch)
        share *= branches.get(tuple(followed), 0.0) / total
        live, prefix = followed, prefix + step.token
        if len(live) <= 1:
            break
    if not any(mass.values()) and len(live) == len(choices):
        return None
    ended = [choice for choice in live if choice == prefix.strip()] or live
    for choice in ended:
        mass[choice] += share / len(ended)
    return normalise(mass, floor=floor)


def normalise(mass: Mapping[str, float], *, floor: float) -> dict[str, float]:
    """Make masses sum to one; none is smaller than `floor` before that."""
    raised = {choice: max(value, floor, 1e-9) for choice, value in mass.items()}
    total = sum(raised.values())
    return {choice: value / total for choice, value in raised.items()}


def unlisted(log_probabilities: Iterable[float]) -> float:
    """Bound the probability of a token that is not listed: by the least listed, and the rest."""
    listed = [math.exp(value) for value in log_probabilities]
    return min(min(listed, default=0.0), max(0.0, 1.0 - sum(listed)))


def answer_tokens(tokens: Sequence[TokenAlternatives], answer: str) -> Sequence[TokenAlternatives]:
    """Cut a reply's tokens down to those that spell `answer`, which may stand inside JSON."""
    text = "".join(step.token for step in tokens)
    start = text.rfind(answer)
    position = 0
    for index, step in enumerate(tokens):
        end = position + len(step.token)
        if start < 0 or end > start:
            if start < 0:
                return ()
            # A token may begin before the answer does: a quote or a blank in front of it.
            skip = start - position
            first = TokenAlternatives(step.token[skip:], _shorten(step, skip))
            return (first, *tokens[index + 1 :])
        position = end
    return ()


def _shorten(step: TokenAlternatives, skip: int) -> dict[str, float]:
    lead = step.token[:skip]
    return {
        token[skip:]: value for token, value in step.alternatives.items() if token.startswith(lead)
    }


def _branches(
    alternatives: Mapping[str, float], prefix: str, live: Sequence[str]
) -> dict[tuple[str, ...], float]:
    branches: dict[tuple[str, ...], float] = {}
    for token, value in alternatives.items():
        reached = tuple(_consistent(prefix + token, live))
        if token and reached:
            branches[reached] = branches.get(reached, 0.0) + math.exp(value)
    return branches


def _consistent(text: str, choices: Sequence[str]) -> list[str]:
    text = text.lstrip()
    if not text:
        return []
    starts = [choice for choice in choices if choice.startswith(text)]
    return starts or [choice for choice in choices if text.startswith(choice)]
