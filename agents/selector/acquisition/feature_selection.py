"""LLM-Select: choose the columns of a table from their names (Jeong, Lipton & Ravikumar, 2025).

Not a query strategy: it chooses features, not examples. Three ways: a score for each name, a
ranking of all, or one name after the other. A model that has read about a public data set knows
more than the names tell: results on benchmarks flatter it.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from querist.agents.models.port import ChatReply
from querist.agents.prompts.selection_tables import next_feature, rank_features, score_feature
from querist.agents.selector.advice.advisor import Advisor, Reply
from querist.agents.selector.advice.replies import read_object
from querist.memory.errors import InvalidInput
from querist.tools.compute.arrays import FloatArray

Way = Literal["score", "rank", "seq"]
Validate = Callable[[Sequence[str]], float]
"""The score of a model that was trained on these columns; higher is better."""

_HEAT = 0.5
_ALIKE = 0.6
_MARKS = re.compile(r"^[\s\d.)*\-:\"']+|[\s.,;\"']+$")


@dataclass(frozen=True, slots=True)
class SelectedFeatures:
    """Columns in the order chosen, with what each was worth if that is known."""

    features: tuple[str, ...]
    scores: Mapping[str, float] = field(default_factory=dict)
    n_fallback: int = 0
    """How many stand there by chance, because the model did not name them."""
    stopped: str = ""
    fell_back: str = ""

    @property
    def is_flat(self) -> bool:
        """Tell whether nothing that the model said distinguishes the columns."""
        known = [score for score in self.scores.values() if not math.isnan(score)]
        if self.scores and known:
            return len(self.features) > 1 and len(set(known)) == 1
        return self.n_fallback >= len(self.features)

    def ties_at(self, count: int) -> tuple[str, ...]:
        """List the columns of equal score of which some are among the first `count`, some not."""
        if not 0 < count < len(self.features):
            return ()
        last, first_left = (self.scores.get(name) for name in self.features[count - 1 : count + 1])
        if last is None or last != first_left:
            return ()
        return tuple(name for name in self.features if self.scores.get(name) == last)


def select_features(
    features: Sequence[str],
    count: int,
    *,
    target: str,
    advisor: Advisor,
    rng: np.random.Generator,
    way: Way = "score",
    descriptions: Mapping[str, str] | None = None,
    context: str = "",
    samples: int = 1,
    validate: Validate | None = None,
    stop_at_no_gain: bool = False,
) -> SelectedFeatures:
    """Choose `count` of the columns; `score` costs F * samples calls, `rank` samples, `seq` count.

    One sample is greedy, more are drawn at temperature 0.5 and averaged. `validate` tells `seq` how
    good a model with the columns chosen so far is; `stop_at_no_gain` ends when that stops rising.
    """
    if len(set(features)) != len(features):
        raise InvalidInput("Two columns have the same name; rename one.")
    advisor.start()
    told = {name: (descriptions or {}).get(name, "") for name in features}
    shown = [f"{name} ({what})" if what else name for name, what in told.items()]
    count = min(count, len(features))
    ask = _Ask(features, shown, target, context, samples, advisor, rng)
    if way == "score":
        return _by_score(ask, count)
    if way == "rank":
        return _by_rank(ask, count)
    return _one_by_one(ask, count, validate, stop_at_no_gain=stop_at_no_gain)


def mean_scores(samples: Sequence[Sequence[float]]) -> FloatArray:
    """Average the samples of each feature, leaving out what is not a number: (F,)."""
    rows = [[score for score in said if not math.isnan(score)] for said in samples]
    return np.array([float(np.mean(row)) if row else np.nan for row in rows])


def read_ranking(
    lines: Sequence[str], features: Sequence[str], *, rng: np.random.Generator
) -> tuple[list[str], int]:
    """Map what the model wrote to the features: always a permutation; also how many were missing.

    Each line is taken for the closest name; repeated ones are dropped, missing ones appended in a
    random order.
    """
    found: list[str] = []
    for line in lines:
        name = _closest(_MARKS.sub("", line), features)
        if name is not None and name not in found:
            found.append(name)
    missing = [feature for feature in features if feature not in found]
    return found + [missing[place] for place in rng.permutation(len(missing))], len(missing)


def _closest(text: str, features: Sequence[str]) -> str | None:
    """Find the name that a text is most like, if it is like one at all."""
    plain = {name: name.casefold() for name in features}
    text = text.casefold().strip()
    exact = next((name for name, name_text in plain.items() if name_text == text), None)
    if exact is not None or not text:
        return exact
    ratios = {
        name: difflib.SequenceMatcher(None, text, name_text).ratio()
        for name, name_text in plain.items()
    }
    best = max(ratios, key=lambda name: ratios[name], default=None)
    return best if best is not None and ratios[best] >= _ALIKE else None


def borda(rankings: Sequence[Sequence[str]], features: Sequence[str]) -> list[str]:
    """Merge rankings: F minus the place, summed; ties in the order of `features`."""
    points = {
        name: sum(len(features) - list(ranking).index(name) for ranking in rankings)
        for name in features
    }
    return sorted(features, key=lambda name: -points[name])


@dataclass(frozen=True, slots=True)
class _Ask:
    features: Sequence[str]
    shown: Sequence[str]
    """With their descriptions."""
    target: str
    context: str
    samples: int
    advisor: Advisor
    rng: np.random.Generator

    @property
    def heat(self) -> float:
        return _HEAT if self.samples > 1 else 0.0


def _by_score(ask: _Ask, count: int) -> SelectedFeatures:
    requests = [
        score_feature(feature, target=ask.target, context=ask.context, heat=ask.heat, sample=number)
        for feature in ask.shown
        for number in range(ask.samples)
    ]
    said = np.array([_score(reply) for reply in ask.advisor.ask(requests)])
    means = mean_scores(said.reshape(len(ask.features), ask.samples).tolist())
    # What has no score comes last, in a random order.
    luck = ask.rng.random(len(means)) * np.isnan(means)
    order = np.lexsort((luck, -np.nan_to_num(means, nan=-1.0)))[:count]
    return SelectedFeatures(
        features=tuple(ask.features[row] for row in order),
        scores={ask.features[row]: float(means[row]) for row in order},
        n_fallback=int(np.isnan(means[order]).sum()),
        fell_back=ask.advisor.close(),
    )


def _by_rank(ask: _Ask, count: int) -> SelectedFeatures:
    requests = [
        rank_features(
            ask.shown, target=ask.target, context=ask.context, heat=ask.heat, sample=number
        )
        for number in range(ask.samples)
    ]
    names = dict(zip(ask.shown, ask.features, strict=True))
    rankings, missing = [], 0
    for reply in ask.advisor.ask(requests):
        lines = [names.get(line.strip(), line.split(" (")[0]) for line in _lines(reply)]
        ranking, lost = read_ranking(lines, ask.features, rng=ask.rng)
        rankings.append(ranking)
        missing += lost
    chosen = tuple(borda(rankings, ask.features)[:count])
    return SelectedFeatures(chosen, n_fallback=missing, fell_back=ask.advisor.close())


def _one_by_one(
    ask: _Ask, count: int, validate: Validate | None, *, stop_at_no_gain: bool
) -> SelectedFeatures:
    chosen: list[str] = []
    scores: dict[str, float] = {}
    fallen = 0
    last, stopped = -math.inf, ""
    names = dict(zip(ask.shown, ask.features, strict=True))
    while len(chosen) < count:
        left = [feature for feature in ask.shown if names[feature] not in chosen]
        score = f"{last:.4f}" if math.isfinite(last) else ""
        request = next_feature(chosen, left, target=ask.target, context=ask.context, score=score)
        reply = ask.advisor.ask_one(request)
        said = reply.text.strip() if isinstance(reply, ChatReply) else ""
        pick = names[said] if said in left else _closest(said, [names[feature] for feature in left])
        if pick is None:
            pick = names[left[int(ask.rng.integers(len(left)))]]
            fallen += 1
        now = validate([*chosen, pick]) if validate else math.nan
        if stop_at_no_gain and now <= last:
            stopped = f"{pick} brought no gain"
            break
        chosen.append(pick)
        scores[pick], last = now, now if validate else last
    return SelectedFeatures(tuple(chosen), scores, fallen, stopped, ask.advisor.close())


def _score(reply: Reply) -> float:
    value = (read_object(reply) or {}).get("score")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan
    return float(value) if 0 <= value <= 1 else math.nan


def _lines(reply: Reply) -> list[str]:
    listed = (read_object(reply) or {}).get("ranking")
    if isinstance(listed, list):
        return [item for item in listed if isinstance(item, str)]
    return reply.text.splitlines() if isinstance(reply, ChatReply) else []
