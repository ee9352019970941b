"""SAL: try out what each label would do before asking for it (Mukherjee et al., 2024).

For each candidate the model draws an answer, and is then asked about the target inputs as if that
were the answer. The candidate that leaves the least variance at the worst target is asked. With a
linear Gaussian model in place of the language model this is exactly G-optimal design (`go`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from querist.agents.annotator.prompt import Demonstration, Prompt
from querist.agents.models.port import ChatRequest
from querist.agents.selector.advice.advisor import Advisor, advisor_of
from querist.agents.selector.advice.candidates import conclude, demonstrations, highest, sample
from querist.agents.selector.advice.class_probabilities import class_rows, require_classes
from querist.memory.answers import name_of
from querist.memory.records import Example
from querist.tools.compute.arrays import FloatArray
from querist.tools.kinds import kind_of
from querist.tools.registry import Count
from querist.tools.strategies import strategy
from querist.tools.strategies.querying import Capability, QueryContext, QueryResult

X = TypeVar("X")
X_contra = TypeVar("X_contra", contravariant=True)
Y = TypeVar("Y")

_CANDIDATES, _TARGETS, _DRAWS = 12, 4, 1
_STEPS = 3
_MOST_SHOWN = 8


class Simulator(Protocol[X_contra, Y]):
    """A model that answers after a history of answered inputs."""

    def draw(
        self, inputs: Sequence[X_contra], history: Sequence[tuple[X_contra, Y]], number: int
    ) -> list[Y]:
        """Draw an answer to each input; the same number is the same luck for all of them."""

    def variances(
        self, targets: Sequence[X_contra], histories: Sequence[Sequence[tuple[X_contra, Y]]]
    ) -> FloatArray:
        """Tell the variance of the answer to each target after each history: (H, M)."""


@strategy(
    "sal",
    summary="Simulate each candidate's label; ask about what would settle the test inputs.",
    section="3.3",
    needs=[Capability.TEXTS, Capability.TARGETS, Capability.LLM],
    cost="min(b, 3) * C * 5 LLM words, C = max(12, b + 4) (3 calls each without log-probabilities)",
    citation="Mukherjee et al. 2024",
    explanation="""For choosing very few demonstrations for known test inputs. Asks the language
    model what it would say about four targets if a candidate had the label that the model itself
    draws for it. Dear, and greedy for three picks only; the rest of the batch follows the last
    ranking. Looks at the test inputs, never at their labels. `go` is its cheap counterpart.""",
)
def sal(
    context: QueryContext,
    count: int,
    *,
    candidates: Count = _CANDIDATES,
    targets: Count = _TARGETS,
    draws: Count = _DRAWS,
    steps: Count = _STEPS,
) -> QueryResult:
    """Pick greedily by the least worst variance, with simulated labels for what was just picked."""
    advisor = advisor_of(context)
    require_classes(advisor.task)
    rows = sample(context, max(candidates, count + 4))
    shown, _ = demonstrations(context, advisor.task)
    known = [
        (demonstration.example, name_of(demonstration.answer))
        for demonstration in shown[-_MOST_SHOWN:]
    ]
    inputs = list(context.examples(rows))
    goals = list(context.targets().examples[:targets])
    simulator = _Classifier(advisor, seed=int(context.rng.integers(2**31)))
    steps = min(steps, count) if goals else 0
    found = simulate(simulator, inputs, goals, history=known, count=steps, draws=draws)
    picks, values = found.picks, found.values
    rest = [int(row) for row in highest(-values) if row not in picks and np.isfinite(values[row])]
    return conclude(
        context,
        rows[[*picks, *rest]] if len(picks) else [],
        count,
        advisor=advisor,
        uses_targets=True,
        simulated=len(picks),
        worst_variance=[float(variance) for variance in found.best],
    )


@dataclass(slots=True)
class Simulated:
    """What a simulation picked, in order, and the values behind it."""

    values: FloatArray
    """(N,), of the last step: the worst target's mean variance; lower is better."""
    picks: list[int] = field(default_factory=list)
    best: list[float] = field(default_factory=list)


def simulate(
    simulator: Simulator[X, Y],
    inputs: Sequence[X],
    targets: Sequence[X],
    *,
    history: Sequence[tuple[X, Y]],
    count: int,
    draws: int = 1,
) -> Simulated:
    """Pick `count` inputs one by one; each joins the history with the answer drawn for it.

    v_i = max over targets of the mean over draws of the variance; the least is picked. Inputs
    without an answer have no value. Ties go to the earlier input.
    """
    found = Simulated(np.full(len(inputs), np.nan))
    past = list(history)
    for _ in range(min(count, len(inputs))):
        open_rows = [row for row in range(len(inputs)) if row not in found.picks]
        asked = [inputs[row] for row in open_rows]
        drawn = [simulator.draw(asked, past, number) for number in range(draws)]
        per_draw = [
            simulator.variances(
                targets, [[*past, (x, y)] for x, y in zip(asked, answers, strict=True)]
            )
            for answers in drawn
        ]
        values = np.mean(per_draw, axis=0).max(axis=1)
        if np.isnan(values).all():
            break
        found.values = np.full(len(inputs), np.nan)
        found.values[open_rows] = values
        place = int(np.nanargmin(values))
        found.picks.append(open_rows[place])
        found.best.append(float(values[place]))
        past.append((asked[place], drawn[0][place]))
    return found


class _Classifier:
    """The language model as a simulator: answers are labels, variance is 1 - sum of p squared.

    That is the trace of the one-hot answer's covariance, and what two independent answers differ
    by on average; taking it from probabilities needs no second answer.
    """

    def __init__(self, advisor: Advisor, *, seed: int) -> None:
        self._advisor, self._seed = advisor, seed

    def draw(
        self, inputs: Sequence[Example], history: Sequence[tuple[Example, str]], number: int
    ) -> list[str]:
        """Draw labels by the model's probabilities, with the same luck for every input."""
        found = class_rows(
            [self._ask(example, history) for example in inputs], advisor=self._advisor
        )
        luck = np.random.default_rng([self._seed, number]).random()
        names = self._advisor.task.names
        # Without an answer any label does: the variances after it decide nothing then either.
        shares = np.where(np.isnan(found), 1 / len(names), found).cumsum(axis=1)
        places = (shares < luck * shares[:, -1:]).sum(axis=1)
        return [names[place] for place in places]

    def variances(
        self,
        targets: Sequence[Example],
        histories: Sequence[Sequence[tuple[Example, str]]],
    ) -> FloatArray:
        """Ask about every target after every history."""
        requests = [self._ask(target, past) for past in histories for target in targets]
        found = class_rows(requests, advisor=self._advisor)
        return label_variance(found).reshape(len(histories), len(targets))

    def _ask(self, example: Example, history: Sequence[tuple[Example, str]]) -> ChatRequest:
        answer_of = kind_of(self._advisor.task).answer_of
        shown = tuple(
            Demonstration(earlier, answer_of(name)) for earlier, name in history[-_MOST_SHOWN:]
        )
        return Prompt(self._advisor.task).request(example, nearest=shown)


def label_variance(probabilities: FloatArray) -> FloatArray:
    """Give 1 - sum p^2 of each row: the chance that two draws differ."""
    return np.asarray(1 - np.square(probabilities).sum(axis=-1))


def numeric_variance(first: NDArray[np.floating], second: NDArray[np.floating]) -> FloatArray:
    """Estimate a variance from two independent draws each: (u - u')^2 / 2, unbiased."""
    return np.asarray(np.square(np.asarray(first) - np.asarray(second)) / 2)
