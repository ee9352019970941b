"""What the run knows about its examples, gathered from the store and handed to the statistics.

Computed whenever it is needed; nothing here is kept between nodes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

from querist.agents.verifier.rules import Opinions, SignalOpinion
from querist.agents.verifier.tools import Judged
from querist.graph.round.ask import seed_examples
from querist.graph.round.audit import learnable
from querist.graph.workplace.context import Context
from querist.memory.answers import Belief, name_of
from querist.memory.records import Action, Example, ExampleId, Label
from querist.tools.compute.arrays import FloatArray
from querist.tools.kinds import Kind
from querist.tools.opinions.consensus import Consensus
from querist.tools.opinions.measures import wilson
from querist.tools.opinions.reliability import OWN_CALIBRATION, Reliability
from querist.tools.opinions.training_set import PeoplesRows, TrainingSet, gather_training_set
from querist.tools.training.proxy import LinearModel


class Knowledge:
    """A view of the store at one moment."""

    def __init__(
        self,
        context: Context,
        *,
        model: LinearModel | None,
        earlier: Knowledge | None = None,
        whole: bool = False,
    ) -> None:
        """`model` is the current proxy; what people and annotator said is taken from `earlier`.

        The audit sample is left out, since all that the loop learns is measured on it; `whole`
        takes it in, for a model that is not measured on it any more.
        """
        self._context = context
        self._model = model
        every = {label.example: label for label in context.labelling.labels()}
        self.labels: dict[ExampleId, Label] = every if whole else learnable(context)
        self._kept = {} if whole else {name: every[name] for name in every.keys() - self.labels}
        self._people = earlier.people if earlier else None
        self.reliability: Reliability = (
            earlier.reliability
            if earlier
            else Reliability(
                context.labelling.annotations(),
                list(self.labels.values()),
                seed=seed_examples(context.inbox),
                answers=context.answers,
            )
        )

    @cached_property
    def people(self) -> PeoplesRows:
        """What people labelled."""
        return self._people or PeoplesRows.of(
            self.labels, answers=self._context.answers, vectors=self._context.view.of
        )

    @cached_property
    def audit(self) -> PeoplesRows:
        """What people labelled to measure by; nothing above was learnt from it."""
        return PeoplesRows.of(
            self._kept, answers=self._context.answers, vectors=self._context.view.of
        )

    @cached_property
    def training_set(self) -> TrainingSet:
        """Every label with the target and the weight it deserves."""
        return gather_training_set(
            self.labels,
            self.reliability,
            people=self.people,
            answers=self._context.answers,
            vectors=self._context.view.of,
        )

    @cached_property
    def consensus(self) -> Consensus:
        """What all sources together think of examples."""
        return Consensus(
            labels=self.labels,
            reliability=self.reliability,
            answers=self._context.answers,
            vectors=self._context.view.of,
            model=self._witness,
            examples=self._context.view.get,
            signals=self._context.signals,
            held_out=self.people.held_out,
        )

    @property
    def _witness(self) -> LinearModel | None:
        """The head whose opinion counts: one that people alone taught, where they are enough.

        The loop's own learnt from the machine labels that it would be a witness of: with it labels
        on trec6 were said to be right 15 points too often, without it 9 (docs/quality.md).
        """
        enough = self._model is not None and len(self.people.ids) >= OWN_CALIBRATION
        return self.people.head if enough else self._model

    def beliefs(self, examples: Sequence[ExampleId]) -> list[tuple[Belief | None, Belief | None]]:
        """Give what the annotator thinks of each example, and what all sources together do."""
        said, belief = self.consensus.about(examples), self._context.answers.belief
        pooled = [None] * len(examples) if said.pooled is None else list(said.pooled)
        return [
            (belief(own), None if all_say is None else belief(all_say))
            for own, all_say in zip(said.annotator, pooled, strict=True)
        ]

    def opinions(self, examples: Sequence[Example], attempts: Sequence[int]) -> list[Opinions]:
        """Gather and pool the opinions about examples of a batch."""
        said = self.consensus.about([example.id for example in examples])
        belief = self._context.answers.belief

        def at(vectors: FloatArray | None, row: int) -> Belief | None:
            return None if vectors is None else belief(vectors[row])

        return [
            Opinions(
                example,
                attempts[row],
                annotator=belief(said.annotator[row]),
                signals=tuple(
                    SignalOpinion(signal.name, signal.words, at(said.signals[signal.name], row))
                    for signal in self._context.signals
                ),
                pooled=at(said.pooled, row),
                trouble=self.reliability.trouble(example.id),
                is_refused=self.reliability.is_refused(example.id),
            )
            for row, example in enumerate(examples)
        ]


def count_groups(
    labels: Mapping[ExampleId, Label], kind: Kind, groups: Sequence[str]
) -> dict[str, int]:
    """Count labels by group, naming those without any."""
    counts = dict.fromkeys(groups, 0)
    for label in labels.values():
        group = kind.group(label.answer)
        if group in counts:
            counts[group] += 1
    return counts


def commonest_share(context: Context) -> float:
    """How often always naming the commonest class would be right, by people's random sample.

    0 unless it is surely most of the texts: the 90 % interval is above a half.
    """
    sample = seed_examples(context.inbox)
    said = {
        label.example: label
        for label in context.labelling.labels()
        if label.example in sample and label.source == "human"
    }
    counts = count_groups(said, context.kind, context.kind.groups(context.task)).values()
    most, total = max(counts, default=0), sum(counts)
    return most / total if total and wilson(most, total)[0] > 1 / 2 else 0.0


def judged_before(context: Context) -> list[Judged]:
    """List the texts that were judged before people labelled them, without the audit sample.

    They are the first sample and what was escalated: where only the doubtful were, sure opinions
    are rare among them, and mistakes more frequent than in the pool.
    """
    people = {
        label.example: name_of(label.answer)
        for label in learnable(context).values()
        if label.source == "human"
    }
    return [
        Judged(name, verdict.p_correct, right=name == people[verdict.example])
        for verdict in context.labelling.verdicts()
        if verdict.action is Action.ESCALATE
        and verdict.answer is not None
        and verdict.example in people
        and (name := name_of(verdict.answer))
    ]
