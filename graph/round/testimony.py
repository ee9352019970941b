"""Who says what about the run's examples, and what the language model's word is worth.

Computed from the store at one moment: what people labelled, what the language model said under its
latest prompt, and the map from the one to the other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from querist.agents.annotator.classify import opinion
from querist.graph.round.ask import seed_examples
from querist.graph.workplace.context import Context
from querist.memory.records import Annotation, Choice, ExampleId, Label
from querist.tools.compute.arrays import log_softmax
from querist.tools.opinions.calibration import LabelModel

FloatArray = NDArray[np.floating]

OWN_CALIBRATION = 12
"""Labels by people that a prompt version needs for a label model of its own."""
PRIOR_COUNT = 5
"""Labels that every class is taken to have had before any was seen."""

_Row = tuple[FloatArray, int, float]
"""Log-probabilities (C,), the true class, and how much the row counts."""


class Testimony:
    """What people and the language model said so far."""

    def __init__(self, context: Context, labels: Sequence[Label]) -> None:
        """`labels` are those that stand."""
        self._context = context
        self._task = context.task
        self._human = [one for one in labels if one.source == "human"]
        self._labels = len(labels)

    @cached_property
    def _latest(self) -> dict[ExampleId, list[Annotation]]:
        """Each example's usable annotations by language models under its latest prompt."""
        found: dict[ExampleId, list[Annotation]] = defaultdict(list)
        for one in self._context.labelling.annotations():
            if not one.who.startswith("llm:") or one.answer is None:
                continue
            kept = found[one.example]
            if kept and kept[-1].prompt_version != one.prompt_version:
                kept.clear()
            kept.append(one)
        return dict(found)

    @cached_property
    def _lost(self) -> dict[ExampleId, Annotation]:
        """Each example's newest annotation without an answer, where there is none with one."""
        return {
            said.example: said
            for said in self._context.labelling.annotations()
            if said.who.startswith("llm:")
            and said.answer is None
            and said.example not in self._latest
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
        """Class numbers of what people labelled."""
        names = self._task.names
        return {
            one.example: names.index(one.answer.value)
            for one in self._human
            if isinstance(one.answer, Choice)
        }

    @cached_property
    def stands_for(self) -> dict[ExampleId, float]:
        """How much of the pool each label by a person stands for.

        The random sample is like the pool: 1. What was asked about later was asked because it was
        doubtful; it stands for as much as its share among all that was labelled since. Without
        this, everyone would look as unreliable as on the hardest examples.
        """
        seed = seed_examples(self._context)
        asked = sum(one not in seed for one in self.truth)
        machine = self._labels - len(self.truth)
        share = asked / (asked + machine) if seed and asked else 1.0
        return {one: 1.0 if one in seed else share for one in self.truth}

    @cached_property
    def _label_models(self) -> dict[str, LabelModel]:
        """A map from the annotator's probabilities to honest ones, by prompt version."""
        rows: dict[str, list[_Row]] = defaultdict(list)
        for example, label in self.truth.items():
            raw = self.raw.get(example)
            if raw is not None:
                row = (np.log(raw), label, self.stands_for[example])
                rows[self._version(example)].append(row)
        pooled = [row for version in rows.values() for row in version]
        models = {
            version: _fit(own) for version, own in rows.items() if len(own) >= OWN_CALIBRATION
        }
        models[""] = _fit(pooled) if pooled else LabelModel.identity(len(self._task.names))
        return models

    @cached_property
    def honest(self) -> dict[ExampleId, FloatArray]:
        """What the language model says, made honest by what people said: (C,)."""
        found: dict[ExampleId, FloatArray] = {}
        for version, ids in self._by_version.items():
            model = self._label_models.get(version, self._label_models[""])
            told = model.predict(np.log(np.stack([self.raw[one] for one in ids])))
            found.update(zip(ids, told, strict=True))
        return found

    @cached_property
    def raw(self) -> dict[ExampleId, FloatArray]:
        """What the language model says, its bias towards some labels taken out: (C,)."""
        found: dict[ExampleId, FloatArray] = {}
        for ids in self._by_version.values():
            logs = np.log(np.stack([self._said[one] for one in ids]))
            if len(ids) >= OWN_CALIBRATION:
                logs = log_softmax(logs - self._bias(logs))
            found.update(zip(ids, np.exp(logs), strict=True))
        return found

    def _bias(self, logs: FloatArray) -> FloatArray:
        """How far the mean log-probability (N, C) -> (C,) is from what is usual.

        Batch calibration (Zhou et al., 2024): over many examples a model without bias would name
        each label as often as it occurs; how often that is, the random sample tells.
        """
        counts = np.bincount(
            np.array(list(self.truth.values()), dtype=np.intp),
            weights=np.array(list(self.stands_for.values())),
            minlength=len(self._task.names),
        )
        usual = np.log((counts + PRIOR_COUNT) / (counts + PRIOR_COUNT).sum())
        return np.asarray(logs.mean(axis=0) - usual)

    @cached_property
    def _said(self) -> dict[ExampleId, FloatArray]:
        found = {one: opinion(said, self._task) for one, said in self._latest.items()}
        return {one: np.maximum(raw, 1e-9) for one, raw in found.items() if raw is not None}

    @cached_property
    def _by_version(self) -> dict[str, list[ExampleId]]:
        found: dict[str, list[ExampleId]] = defaultdict(list)
        for example in self._said:
            found[self._version(example)].append(example)
        return dict(found)

    def _version(self, example: ExampleId) -> str:
        return self._latest[example][-1].prompt_version

    def skill(self) -> float | None:
        """The language model's accuracy on what people labelled, as far as it is like the pool."""
        known = [one for one in self.truth if one in self.raw]
        if not known:
            return None
        hits = [int(self.raw[one].argmax()) == self.truth[one] for one in known]
        return float(np.average(hits, weights=[self.stands_for[one] for one in known]))


def _fit(rows: Sequence[_Row]) -> LabelModel:
    logs, labels, weights = zip(*rows, strict=True)
    return LabelModel.fit(
        np.stack(logs), np.array(labels, dtype=np.intp), weights=np.array(weights)
    )
