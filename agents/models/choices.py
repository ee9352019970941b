"""From token log-probabilities to a probability for each allowed answer.

A reply names one choice, but the alternatives at each token say how likely the others were. Mass
of a branch that was not followed is shared equally among the choices it leads to.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class TokenAlternatives:
    """A token of a reply and the log-probabilities of the tokens that competed with it."""

    token: str
    alternatives: Mapping[str, float]


def read_steps(given: object) -> list[TokenAlternatives]:
    """Read a reply's log-probabilities in the shapes that servers send; what is odd is left out.

    OpenAI's `{"content": [...]}`, the same list by itself, and the older lists side by side
    (`tokens`, `token_logprobs`, `top_logprobs`).
    """
    if isinstance(given, Mapping):
        steps = given.get("content")
        if steps is None and isinstance(given.get("tokens"), list):
            return _side_by_side(given)
    else:
        steps = given
    if not isinstance(steps, list):
        return []
    read = [_step(step) for step in steps]
    # With a gap the tokens no longer spell the reply.
    return [step for step in read if step is not None] if None not in read else []


def _step(step: object) -> TokenAlternatives | None:
    if not isinstance(step, Mapping):
        return None
    others = step.get("top_logprobs")
    listed = others if isinstance(others, list) else []
    pairs = [
        (entry.get("token"), entry.get("logprob")) for entry in listed if isinstance(entry, Mapping)
    ]
    if isinstance(others, Mapping):
        pairs = list(others.items())
    token = step.get("token")
    if not isinstance(token, str):
        return None
    return TokenAlternatives(token, _numbers([(token, step.get("logprob")), *pairs]))


def _side_by_side(given: Mapping[Any, Any]) -> list[TokenAlternatives]:
    tokens = given["tokens"]
    chances, others = given.get("token_logprobs"), given.get("top_logprobs")
    steps = []
    for index, token in enumerate(tokens):
        if not isinstance(token, str):
            return []
        pairs = [(token, _at(chances, index))]
        listed = _at(others, index)
        pairs += list(listed.items()) if isinstance(listed, Mapping) else []
        steps.append(TokenAlternatives(token, _numbers(pairs)))
    return steps


def _at(values: object, index: int) -> Any:
    return values[index] if isinstance(values, list) and index < len(values) else None


def _numbers(pairs: Iterable[tuple[object, object]]) -> dict[str, float]:
    return {
        token: min(0.0, float(value))
        for token, value in pairs
        if isinstance(token, str)
        and isinstance(value, int | float)
        and not isinstance(value, bool)
        and not math.isnan(value)
    }


def choice_probabilities(
    tokens: Sequence[TokenAlternatives], choices: Sequence[str]
) -> dict[str, float] | None:
    """Spread probability over `choices` along the tokens that spell the answer.

    `tokens` start where the answer starts. A choice that no listed token leads to gets the most
    that it can have had (see `unlisted`). None if nothing fits. Case counts only where it tells
    choices apart.
    """
    folded = [choice.casefold() for choice in choices]
    if len(set(folded)) < len(choices):
        return _spread(tokens, choices)
    spread = _spread([_folded(step) for step in tokens], folded)
    return spread and dict(zip(choices, spread.values(), strict=True))


def _folded(step: TokenAlternatives) -> TokenAlternatives:
    merged: dict[str, float] = {}
    for token, value in step.alternatives.items():
        both = math.exp(value) + math.exp(merged.get(token.casefold(), -math.inf))
        merged[token.casefold()] = math.log(both) if both > 0 else -math.inf
    return TokenAlternatives(step.token.casefold(), merged)


def _spread(tokens: Sequence[TokenAlternatives], choices: Sequence[str]) -> dict[str, float] | None:
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
