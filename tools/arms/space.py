"""Search spaces of settings: what may be proposed, checked, drawn, listed and varied."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from querist.memory.errors import InvalidInput

Value = str | int | float | bool
Config = Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Options:
    """One of these values; neighbours stand next to each other."""

    values: tuple[Value, ...]

    def holds(self, value: object) -> bool:
        """Tell whether a value is one of them; True is not 1."""
        return any(type(value) is type(option) and value == option for option in self.values)

    def draw(self, rng: np.random.Generator) -> Value:
        """Draw a value."""
        return self.values[int(rng.integers(len(self.values)))]

    def vary(self, value: Value, rng: np.random.Generator) -> Value:
        """Step to a neighbour, or anywhere for words."""
        if len(self.values) < 2:
            return value
        place = self.values.index(value)
        if isinstance(value, str | bool):
            return self.values[(place + 1 + int(rng.integers(len(self.values) - 1))) % self._size]
        steps = [step for step in (place - 1, place + 1) if 0 <= step < self._size]
        return self.values[steps[int(rng.integers(len(steps)))]]

    def grid(self, points: int) -> Sequence[Value]:
        """List the values."""
        del points
        return self.values

    def schema(self) -> dict[str, Any]:
        """Describe them as JSON schema."""
        return {"enum": list(self.values)}

    @property
    def _size(self) -> int:
        return len(self.values)


@dataclass(frozen=True, slots=True)
class Range:
    """A number from `low` to `high`, both included; drawn by its logarithm if `is_log`."""

    low: float
    high: float
    is_log: bool = False
    is_whole: bool = False

    def holds(self, value: object) -> bool:
        """Tell whether a value is a number inside."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        if self.is_whole and value != int(value):
            return False
        return math.isfinite(value) and self.low <= value <= self.high

    def draw(self, rng: np.random.Generator) -> Value:
        """Draw a number."""
        return self._at(float(rng.random()))

    def vary(self, value: Value, rng: np.random.Generator) -> Value:
        """Move by a normal step of a fifth of the range."""
        assert not isinstance(value, str)
        # On the drawing scale, so that a range by logarithm moves by factors.
        share = self._share(float(value)) + 0.2 * float(rng.standard_normal())
        return self._at(min(1.0, max(0.0, share)))

    def grid(self, points: int) -> Sequence[Value]:
        """List evenly spaced numbers, ends included."""
        steps = [self._at(i / max(1, points - 1)) for i in range(points)]
        return list(dict.fromkeys(steps))

    def schema(self) -> dict[str, Any]:
        """Describe it as JSON schema."""
        kind = "integer" if self.is_whole else "number"
        return {"type": kind, "minimum": self.low, "maximum": self.high}

    def _at(self, share: float) -> Value:
        if self.is_log:
            value = self.low * (self.high / self.low) ** share
        else:
            value = self.low + (self.high - self.low) * share
        # Rounded, then kept inside: 0.1 ** 3 and the like must not fall out at an end.
        value = min(self.high, max(self.low, float(f"{value:.6g}")))
        return round(value) if self.is_whole else value

    def _share(self, value: float) -> float:
        if self.is_log:
            return math.log(value / self.low) / (math.log(self.high / self.low) or 1.0)
        return (value - self.low) / ((self.high - self.low) or 1.0)


class Space:
    """Named dimensions; a config gives each a value."""

    def __init__(self, dimensions: Mapping[str, Options | Range]) -> None:
        """Raise InvalidInput for an empty space or dimension."""
        for name, dimension in dimensions.items():
            if isinstance(dimension, Options) and not dimension.values:
                raise InvalidInput(f"{name} has no values to choose from.")
            if isinstance(dimension, Range) and (
                dimension.low > dimension.high or (dimension.is_log and dimension.low <= 0)
            ):
                raise InvalidInput(f"{name}: {dimension.low} to {dimension.high} is no range.")
        if not dimensions:
            raise InvalidInput("The search space is empty; name at least one setting.")
        self.dimensions = dict(dimensions)

    def problems(self, config: object) -> list[str]:
        """List what is wrong with a proposal; nothing if it is inside the space."""
        if not isinstance(config, Mapping):
            return ["it is no object"]
        found = [f"{name} is missing" for name in self.dimensions if name not in config]
        found += [f"there is no {name}" for name in config if name not in self.dimensions]
        found += [
            f"{name} = {config[name]!r} is outside"
            for name, dimension in self.dimensions.items()
            if name in config and not dimension.holds(config[name])
        ]
        return found

    def draw(self, rng: np.random.Generator) -> Config:
        """Draw a config, each setting by itself."""
        return {name: dimension.draw(rng) for name, dimension in self.dimensions.items()}

    def vary(self, config: Config, rng: np.random.Generator) -> Config:
        """Change one setting of a config (mutation)."""
        names = list(self.dimensions)
        name = names[int(rng.integers(len(names)))]
        return {**config, name: self.dimensions[name].vary(config[name], rng)}

    def grid(self, points: int = 3) -> Iterator[Config]:
        """Run through all combinations, with `points` values of each range."""
        values = [dimension.grid(points) for dimension in self.dimensions.values()]
        for combination in itertools.product(*values):
            yield dict(zip(self.dimensions, combination, strict=True))

    def schema(self) -> dict[str, Any]:
        """Describe a config as JSON schema."""
        return {
            "type": "object",
            "properties": {name: dimension.schema() for name, dimension in self.dimensions.items()},
            "required": list(self.dimensions),
            "additionalProperties": False,
        }


class Trial(NamedTuple):
    """What a config reached with how much resource."""

    config: Config
    score: float
    resource: int


Propose = Callable[[int, Sequence[Trial]], Sequence[object]]
"""Propose so many configs, given all trials so far. Anything outside the space is replaced."""


@dataclass(slots=True)
class Proposals:
    """A proposer that never leaves the space: what is wrong or missing is drawn at random.

    `share` is how many of each batch `propose` is asked for; the rest is random exploration.
    `canonical` writes configs that mean the same alike, so that none is tried twice.
    """

    space: Space
    rng: np.random.Generator
    propose: Propose | None = None
    share: float = 1.0
    canonical: Callable[[Config], Config] = dict
    accepted: int = 0
    rejected: int = 0
    """Proposals that were outside the space, tried before, or missing."""

    def __call__(self, count: int, trials: Sequence[Trial]) -> list[Config]:
        """Give `count` valid configs, different from each other where the space is large enough."""
        found: list[Config] = []
        known = [trial.config for trial in trials]
        wanted = int(count * self.share) if self.propose is not None else 0
        if wanted and self.propose is not None:
            for proposal in list(self.propose(wanted, trials))[:wanted]:
                if not self.space.problems(proposal):
                    assert isinstance(proposal, Mapping)
                    self._add(proposal, found, known)
            self.accepted += len(found)
            self.rejected += wanted - len(found)
        # A space of options may be used up: then no draw is new, and drawing must end.
        for _ in range(20 * count):
            if len(found) == count:
                break
            self._add(self.space.draw(self.rng), found, known)
        # A space that is used up leaves no choice but to repeat.
        return found + [self.space.draw(self.rng) for _ in range(count - len(found))]

    def _add(self, config: Config, found: list[Config], known: Sequence[Config]) -> None:
        plain = self.canonical(config)
        if plain not in found and plain not in known:
            found.append(plain)


def mutations(space: Space, rng: np.random.Generator, *, parents: int = 4) -> Propose:
    """Propose changes of the best configs so far, one setting each; random ones at the start."""

    def propose(count: int, trials: Sequence[Trial]) -> list[Config]:
        # By resource first: a score from less of it says less, and is on another scale.
        ranked = sorted(trials, key=lambda trial: (-trial.resource, -trial.score))[:parents]
        if not ranked:
            return [space.draw(rng) for _ in range(count)]
        return [space.vary(ranked[i % len(ranked)].config, rng) for i in range(count)]

    return propose


def from_grid(
    space: Space,
    rng: np.random.Generator,
    *,
    points: int = 3,
    canonical: Callable[[Config], Config] = dict,
) -> Propose:
    """Propose the combinations, each once, in a random order; too few at the end.

    Random, because the first of a grid in its own order differ in the last settings only.
    `canonical` writes those that mean the same alike.
    """
    distinct: list[Config] = []
    for config in map(canonical, space.grid(points)):
        if config not in distinct:
            distinct.append(config)
    left = iter([distinct[place] for place in rng.permutation(len(distinct))])

    def propose(count: int, trials: Sequence[Trial]) -> list[Config]:
        del trials
        return list(itertools.islice(left, count))

    return propose
