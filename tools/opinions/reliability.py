"""What a language model's word is worth, measured on what people labelled.

Pure functions of records: who said what, which labels stand, and which examples were drawn at
random. The map from what the model said to calibrated probabilities is learnt for each prompt by
itself, since another prompt is another annotator. What several models said is never pooled: each
has its bias and its scale, so each is measured apart, on what people said of its own answers.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property

import numpy as np

from querist.memory.records import Annotation, ExampleId, Label
from querist.tools.compute.arrays import FloatArray, log_softmax
from querist.tools.kinds.answer_set import AnswerSet
from querist.tools.opinions.beliefs import LEAST, pool_votes
from querist.tools.opinions.calibration import LabelModel
from querist.tools.training.linear_solver import fold_rows

OWN_CALIBRATION = 12
"""Labels by people that a prompt version needs for a label model of its own."""
_PRIOR_COUNT = 1
"""Labels that every answer is taken to have had before any was seen (Laplace's rule)."""

_FOLDS = 5

_Said = dict[ExampleId, FloatArray]
_Row = tuple[FloatArray, int, float]
"""Log-probabilities (C,), the place of the true answer, and how much the row counts."""


class Reliability:
    """What people and the language model said, and what the one tells about the other."""

    def __init__(
        self,
        annotations: Sequence[Annotation],
        labels: Sequence[Label],
        *,
        seed: Collection[ExampleId],
        answers: AnswerSet,
    ) -> None:
        """`labels` are those that stand; `seed` are the examples that were drawn at random."""
        self._annotations = [said for said in annotations if said.who.startswith("llm:")]
        self._human = [label for label in labels if label.source == "human"]
        self._labels = len(labels)
        self._seed = seed
        self._answers = answers
        models = {said.who for said in self._annotations}
        self._apart: dict[str, Reliability] = {}
        if len(models) > 1:
            self._apart = {
                who: Reliability(
                    [said for said in self._annotations if said.who == who],
                    labels,
                    seed=seed,
                    answers=answers,
                )
                for who in sorted(models)
            }

    @cached_property
    def who(self) -> dict[ExampleId, str]:
        """Who labelled each example last: `llm:` and the model's name."""
        return {said.example: said.who for said in self._annotations if said.answer is not None}

    def skill_of(self, who: str) -> tuple[int, int]:
        """How often a model was right, of how many texts that people labelled."""
        known = self._apart.get(who, self)
        told = [example for example in known.truth if known.who.get(example) == who]
        told = [example for example in told if example in known.raw]
        right = sum(int(known.raw[example].argmax()) == known.truth[example] for example in told)
        return right, len(told)

    def _by_its_model(self, found: Mapping[str, Mapping[ExampleId, FloatArray]]) -> _Said:
        """Take for each example what the model says that labelled it last."""
        return {
            example: found[who][example]
            for example, who in self.who.items()
            if example in found[who]
        }

    @cached_property
    def _latest(self) -> dict[ExampleId, list[Annotation]]:
        """Each example's usable annotations under its latest prompt."""
        found: dict[ExampleId, list[Annotation]] = defaultdict(list)
        for said in self._annotations:
            if said.answer is None:
                continue
            kept = found[said.example]
            # Another prompt is another annotator: its words are not pooled with the former one's.
            if kept and kept[-1].prompt_version != said.prompt_version:
                kept.clear()
            kept.append(said)
        return dict(found)

    @cached_property
    def _lost(self) -> dict[ExampleId, Annotation]:
        """Each example's newest annotation without an answer, where there is none with one."""
        return {
            said.example: said
            for said in self._annotations
            if said.answer is None and said.example not in self._latest
        }

    def trouble(self, example: ExampleId) -> str:
        """Say why the language model gave no answer about an example; "" where it did."""
        lost = self._lost.get(example)
        if lost is None:
            return ""
        words = " ".join(lost.rationale.split())[:200]
        return f"{lost.status}: {words}" if words else lost.status

    def is_refused(self, example: ExampleId) -> bool:
        """Tell whether the provider will not have an example's text."""
        lost = self._lost.get(example)
        return lost is not None and lost.status == "refused"

    @cached_property
    def truth(self) -> dict[ExampleId, int]:
        """Places of the answers that people gave."""
        places = {label.example: self._answers.place(label.answer) for label in self._human}
        return {example: place for example, place in places.items() if place >= 0}

    @cached_property
    def sampling_weight(self) -> dict[ExampleId, float]:
        """How much of the pool each label by a person stands for.

        The random sample is like the pool: 1. What was asked about later was asked because it was
        doubtful; it stands for as much as its share among all that was labelled since. Without
        this, everyone would look as unreliable as on the hardest examples.
        """
        asked = sum(example not in self._seed for example in self.truth)
        machine = self._labels - len(self.truth)
        share = asked / (asked + machine) if self._seed and asked else 1.0
        return {example: 1.0 if example in self._seed else share for example in self.truth}

    def _label_models(self, without: Collection[ExampleId] = ()) -> dict[str, LabelModel]:
        """Learn maps from the annotator's probabilities to calibrated ones, by prompt version."""
        rows: dict[str, list[_Row]] = defaultdict(list)
        for example, place in self.truth.items():
            raw = self.raw.get(example)
            if raw is not None and example not in without:
                row = (np.log(raw), place, self.sampling_weight[example])
                rows[self._version(example)].append(row)
        models = {
            version: _fit(own) for version, own in rows.items() if len(own) >= OWN_CALIBRATION
        }
        if len(models) < len(self._by_version):
            # Versions with too few rows share one map: a rough one is better than none.
            pooled = [row for version in rows.values() for row in version]
            shared = _fit(pooled) if pooled else LabelModel.identity(len(self._answers))
            models = dict.fromkeys(self._by_version, shared) | models
        return models

    @cached_property
    def calibrated(self) -> dict[ExampleId, FloatArray]:
        """What the language model says, calibrated on what people said: (C,)."""
        if self._apart:
            return self._by_its_model({who: own.calibrated for who, own in self._apart.items()})
        found: dict[ExampleId, FloatArray] = {}
        models = self._label_models()
        for version, ids in self._by_version.items():
            told = models[version].predict(np.log(np.stack([self.raw[example] for example in ids])))
            found.update(zip(ids, told, strict=True))
        return found

    def held_out(self, examples: Sequence[ExampleId]) -> FloatArray:
        """What the language model says of examples by people, calibrated on others of them: (N, C).

        In folds; what it is worth cannot be learnt from maps that saw the answers.
        """
        if self._apart:
            return self._held_out_apart(examples)
        places = np.array([self.truth[example] for example in examples], dtype=np.intp)
        numbers = fold_rows(places, folds=min(_FOLDS, len(examples)), seed=0)
        result = np.empty((len(examples), len(self._answers)))
        for number in np.unique(numbers):
            held = np.flatnonzero(numbers == number).tolist()
            models = self._label_models(without={examples[row] for row in held})
            by_version: dict[str, list[int]] = defaultdict(list)
            for row in held:
                by_version[self._version(examples[row])].append(row)
            for version, rows in by_version.items():
                raw = np.stack([self.raw[examples[row]] for row in rows])
                result[rows] = models[version].predict(np.log(raw))
        return result

    def _held_out_apart(self, examples: Sequence[ExampleId]) -> FloatArray:
        result = np.empty((len(examples), len(self._answers)))
        for who, own in self._apart.items():
            rows = [row for row, example in enumerate(examples) if self.who[example] == who]
            if rows:
                result[rows] = own.held_out([examples[row] for row in rows])
        return result

    @cached_property
    def raw(self) -> dict[ExampleId, FloatArray]:
        """What the language model says, its bias towards some answers taken out: (C,)."""
        if self._apart:
            return self._by_its_model({who: own.raw for who, own in self._apart.items()})
        found: dict[ExampleId, FloatArray] = {}
        for ids in self._by_version.values():
            logs = np.log(np.stack([self._said[example] for example in ids]))
            # The mean of a few would be more of what they happen to be about than of a bias.
            # Over the random sample where there is one: what was chosen because it was doubtful has
            # other shares of answers than the pool.
            random = [row for row, example in enumerate(ids) if example in self._seed]
            sample = logs[random] if len(random) >= OWN_CALIBRATION else logs
            if len(sample) >= OWN_CALIBRATION:
                logs = log_softmax(logs - _label_bias(sample, np.log(self.usual)))
            found.update(zip(ids, np.exp(logs), strict=True))
        return found

    @cached_property
    def usual(self) -> FloatArray:
        """How often each answer is right, by what people said, smoothed: shares (C,)."""
        counts = np.bincount(
            np.array(list(self.truth.values()), dtype=np.intp),
            weights=np.array(list(self.sampling_weight.values())),
            minlength=len(self._answers),
        )
        # Smoothed: an answer that people have not given yet is rare, not impossible.
        smoothed = counts + _PRIOR_COUNT
        return np.asarray(smoothed / smoothed.sum())

    @cached_property
    def _said(self) -> dict[ExampleId, FloatArray]:
        found = {example: pool_votes(said, self._answers) for example, said in self._latest.items()}
        return {
            example: np.maximum(raw, LEAST) for example, raw in found.items() if raw is not None
        }

    @cached_property
    def _by_version(self) -> dict[str, list[ExampleId]]:
        found: dict[str, list[ExampleId]] = defaultdict(list)
        for example in self._said:
            found[self._version(example)].append(example)
        return dict(found)

    def _version(self, example: ExampleId) -> str:
        return self._latest[example][-1].prompt_version

    def skill(self) -> float | None:
        """The language model's accuracy on the random sample that people labelled.

        What was asked later was chosen, and no weight makes up for that; only without a random
        sample it is counted, by what it stands for.
        """
        told = [example for example in self.truth if example in self.raw]
        known = [example for example in told if example in self._seed] or told
        if not known:
            return None
        hits = [int(self.raw[example].argmax()) == self.truth[example] for example in known]
        weights = [self.sampling_weight[example] for example in known]
        return float(np.average(hits, weights=weights))


def _label_bias(logs: FloatArray, usual: FloatArray) -> FloatArray:
    """How far the log of the mean probability (N, C) -> (C,) is from what is `usual`, log (C,).

    Batch calibration (Zhou et al., 2024): over many examples a model without bias would name each
    answer as often as it occurs; how often that is, the random sample tells.
    """
    # Not the mean of the logs: an exact posterior of a rare class is far from sure where the class
    # is absent, so its mean log lies far below the log of its share, and would be "corrected".
    return np.asarray(np.log(np.exp(logs).mean(axis=0)) - usual)


def _fit(rows: Sequence[_Row]) -> LabelModel:
    logs, places, weights = zip(*rows, strict=True)
    return LabelModel.fit(
        np.stack(logs), np.array(places, dtype=np.intp), weights=np.array(weights)
    )
