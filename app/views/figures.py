"""What a figure was measured on, and which of two to believe, in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from querist.app.terminal.screen import percent, plural
from querist.tools.arms.protocol import wilson
from querist.tools.opinions.agreement import Corrected, Share

_FEW = 30
"""Texts below which a figure deserves a word about how few they are."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A share with its 90 % interval and the number of texts that it was counted on."""

    value: float
    low: float | None
    high: float | None
    n: int

    @property
    def words(self) -> str:
        """Say it with its interval, if it has one."""
        if self.low is None or self.high is None:
            return percent(self.value)
        return f"{percent(self.value)} (90 % interval {percent(self.low)} to {percent(self.high)})"

    def contradicts(self, other: Figure) -> bool:
        """Tell whether the two intervals have nothing in common."""
        if None in (self.low, self.high, other.low, other.high):
            return False
        return bool(self.low > other.high or self.high < other.low)  # type: ignore[operator]


def read_corrected(detail: Mapping[str, Any]) -> Corrected | None:
    """Read what a round noted of its figure without people's errors; None if nothing."""
    noted = detail.get("corrected")
    if not isinstance(noted, dict):
        return None
    value, low, high = noted["accuracy"]
    accuracy = Share(value, low, high, int(detail.get("n", 0)))
    return Corrected(accuracy, Share(*noted["agreement"]), noted["error"])


def share_right(value: float, n: int) -> Figure:
    """Give an accuracy on `n` texts its 90 % interval."""
    if n <= 0:
        return Figure(value, None, None, 0)
    return Figure(value, *wilson(value, n), n)


@dataclass(frozen=True, slots=True)
class Measured:
    """What a run knows of its model: by its own measure, and on a test set if there is one."""

    own: Figure | None
    measured_on: str
    """As the round noted it."""
    test: Figure | None
    metric: str = "accuracy"
    """What both figures are, by the kind of task."""
    corrected: Corrected | None = None
    """The run's own figure without people's errors, where enough texts were answered twice."""

    @property
    def corrected_words(self) -> str:
        """Say what the run's own figure would be if people made no mistakes; often empty."""
        if self.corrected is None:
            return ""
        accuracy, same = self.corrected.accuracy, self.corrected.agreement
        figure = Figure(accuracy.value, accuracy.low, accuracy.high, accuracy.n)
        return (
            f"{figure.words} without people's mistakes: two of them said the same of "
            f"{round(same.value * same.n):,} of {plural(same.n, 'text')}, so each errs on about "
            f"{percent(self.corrected.error)}, if they err independently and on any label alike"
        )

    def words(self, figure: Figure) -> str:
        """Say a figure; readers take a share for an accuracy, so anything else says what it is."""
        return figure.words if self.metric == "accuracy" else f"{self.metric} {figure.words}"

    @property
    def name(self) -> str:
        """Call the run's own figure by what it is."""
        return headline_word(self.measured_on)

    @property
    def own_words(self) -> str:
        """Say what the run's own figure was counted on."""
        if self.own is None:
            return "not measured yet"
        texts = plural(self.own.n, "text")
        match _kind(self.measured_on):
            case "sample":
                return (
                    f"on the {texts} of the random first sample that people labelled, each "
                    "predicted by a model that did not learn from its label"
                )
            case "audit":
                return (
                    f"on {texts} drawn at random from the pool and labelled by people, from which "
                    "nothing was learnt"
                )
            case "agreement":
                return (
                    f"with the labels that {texts} got, each predicted by a model that did not "
                    "learn from its label; not accuracy, since people labelled too few at random"
                )
            case "validation":
                return f"on the {texts} of the validation file, which no model learnt from"
        return f"on {texts} ({self.measured_on})" if self.measured_on else f"on {texts}"

    @property
    def test_words(self) -> str:
        """Say what the test figure was counted on."""
        texts = plural(self.test.n, "labelled text") if self.test else "no text"
        return f"on {texts} that neither the agents nor the model saw"

    @property
    def verdict(self) -> str:
        """Say in a line which figure to believe when; empty where nothing was measured."""
        if self.test is None:
            return _WITHOUT_TEST[_kind(self.measured_on)] if self.own else ""
        few = f", though {plural(self.test.n, 'text')} are few" if self.test.n < _FEW else ""
        if self.own is None:
            return f"Test{few}. It is the only figure."
        said = f"Test{few}. {_BESIDE_TEST[_kind(self.measured_on)]}"
        if _kind(self.measured_on) != "agreement" and self.own.contradicts(self.test):
            said += f" The two differ by more than both intervals allow: {_why_apart(self)}."
        return said


def _why_apart(measured: Measured) -> str:
    is_lower = measured.own and measured.test and measured.own.value < measured.test.value
    if is_lower and _kind(measured.measured_on) == "sample":
        return "so it may be where labels are chosen rather than drawn, or machines label well"
    return "look whether the test texts are like the pool's"


def headline_word(measured_on: str) -> str:
    """Call a run's own figure Quality, or Agreement where it is no accuracy."""
    return "Agreement" if _kind(measured_on) == "agreement" else "Quality"


def place_words(measured_on: str) -> str:
    """Say in a few words what a figure is measured on, for a line of a log or a table."""
    short = {
        "sample": "on people's random first sample",
        "audit": "on a random sample that nothing learns from",
        "agreement": "with the annotators' own labels, no accuracy",
        "validation": "on the validation file",
    }
    return short.get(_kind(measured_on), measured_on)


def _kind(measured_on: str) -> str:
    # Runs of earlier versions noted it in other words; these are in all of them.
    for word, kind in (
        ("learnt from", "audit"),
        ("agreement", "agreement"),
        ("validation", "validation"),
        ("sample", "sample"),
    ):
        if word in measured_on:
            return kind
    return ""


_ERRING = "people's mistakes on it count against the model"
_STEERED = (
    "it may be too low (each of its models learnt from part of people's labels and from no "
    "machine's, and people's mistakes count against it) or too high (the run was steered by the "
    "same labels)"
)
_BESIDE_TEST = {
    "sample": f"Quality is for runs without a test set; {_STEERED}.",
    "audit": f"Quality is for runs without a test set; {_ERRING}.",
    "agreement": "Agreement only says how well the model repeats the annotators, right or wrong.",
    "validation": "The validation file steered the run, so Quality may be too high.",
    "": "Its texts took no part in the run.",
}
_WITHOUT_TEST = {
    "sample": (
        f"Quality within its interval, since there is no test set; {_STEERED}. Labelled texts "
        "that are given with --test when a run is started settle it."
    ),
    "audit": f"Quality within its interval: its texts are a sample of the pool; {_ERRING}.",
    "agreement": (
        "Agreement, but not as accuracy: it says how well the model repeats the annotators, right "
        "or wrong. Answers of people, or labelled texts that are given with --test when a run is "
        "started, measure accuracy."
    ),
    "validation": (
        "Quality; it may be a little too high, since the validation file steered the run, too."
    ),
    "": "Quality within its interval, since there is no test set.",
}
