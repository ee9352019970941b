"""The verifier's rules: thresholds for a batch, and what they mean for each example."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import Field

from querist.agents.mind import Agent, AgentSpec, Ruling
from querist.memory.answers import Answer, Belief, name_of
from querist.memory.records import Action, Example, Verdict
from querist.tools.wording import quoted

_MOST_LIKELY = 20
"""Labels that a person who types a name is offered first."""


@dataclass(frozen=True, slots=True)
class VerifierEvidence:
    """What the verifier knows about a batch."""

    round: int
    batch: int
    chance: float
    """How often a guess would be right."""
    questions: int
    """How many questions to people the round may ask."""
    is_seed: bool
    may_reannotate: bool
    annotates: bool
    """Whether a language model labels; without one people label everything."""
    labels_by_model: bool
    """Whether the trained model may label what no annotator gave an answer to."""
    measured: int
    """Examples that people labelled, on which the sources' weights were learnt."""
    weights: Mapping[str, float]
    """What the annotator and each signal count for, by what people call them."""
    sure: Mapping[str, int] = field(default_factory=dict)
    """Texts of the batch by how sure the pooled opinion is, in words; for a mind."""
    skill: float | None = None
    """How often the language model was right on what people labelled."""
    asks_first: bool = False
    """Whether people are asked about the first of a batch, doubtful or not."""
    said: Mapping[str, int] = field(default_factory=dict)
    """By class: on how many texts, that people labelled later, the pooled opinion named it best.

    Of what the loop may learn from only, and {} where no mind is asked.
    """
    wrong: Mapping[str, int] = field(default_factory=dict)
    """By class: on how many of these people said otherwise."""
    commonest: float = 0.0
    """How often always naming the commonest class would be right, as people's random sample says.

    0 unless it is surely most of the texts.
    """


class Verification(Ruling):
    """Thresholds on the pooled probability of the best label."""

    accept_at: float = Field(ge=0.0, le=1.0)
    reannotate_below: float = Field(ge=0.0, le=1.0)
    drop_below: float = Field(ge=0.0, le=1.0)
    questions: int = Field(ge=0)
    escalate_all: bool = False
    labels_by_model: bool = False
    asks_first: bool = False
    accept_at_by_class: dict[str, float] = Field(default={}, max_length=100)
    """Another `accept_at` for texts whose best label is of this class; none as a rule."""

    def accepts_from(self, best: Answer | None) -> float:
        """Give the probability from which a text with this best answer is kept unasked."""
        if best is None or not self.accept_at_by_class:
            return self.accept_at
        return self.accept_at_by_class.get(name_of(best), self.accept_at)


@dataclass(frozen=True, slots=True)
class SignalOpinion:
    """What a signal thinks about one example."""

    name: str
    words: str
    """What people call the signal."""
    belief: Belief | None


@dataclass(frozen=True, slots=True)
class Opinions:
    """What the sources think about one example, None where there is no opinion."""

    example: Example
    attempt: int
    annotator: Belief | None
    signals: tuple[SignalOpinion, ...]
    pooled: Belief | None
    trouble: str = ""
    """Why the annotator gave no answer, in the provider's words."""
    is_refused: bool = False
    """The provider will not have this text, however often it is asked."""

    @property
    def beliefs(self) -> dict[str, Belief]:
        """Those who have an opinion, by name."""
        said = {"annotator": self.annotator} | {says.name: says.belief for says in self.signals}
        return {name: belief for name, belief in said.items() if belief is not None}

    @property
    def best(self) -> Answer | None:
        """The answer that the pooled opinion favours."""
        return None if self.pooled is None else self.pooled.best


def rule(evidence: VerifierEvidence) -> Verification:
    """Escalate what people can be paid for, look twice at what is doubtful, drop noise."""
    chance = evidence.chance
    # Who is no surer than the commonest class is common has said nothing about this text.
    told = max(chance, evidence.commonest)
    accept = told + 0.6 * (1 - told)
    again = chance + 0.15 * (1 - chance) if evidence.may_reannotate else 0.0
    if evidence.is_seed:
        reason = "The random first sample goes to people as a whole: everything is measured on it."
    elif not evidence.annotates:
        reason = "No language model labels: the whole batch goes to people."
    else:
        which = (
            "examples" if evidence.asks_first else f"examples that are less than {accept:.0%} sure"
        )
        if told > chance and not evidence.asks_first:
            which += f" (always naming the commonest class is right on {told:.0%})"
        reason = (
            f"{_trust_in_words(evidence)} Of the {which}, "
            f"the first {evidence.questions} that the selector chose go to people; the rest is "
            "kept with the weight it deserves."
        )
    return Verification(
        accept_at=accept,
        reannotate_below=again,
        drop_below=chance * 1.05,
        questions=evidence.questions,
        escalate_all=evidence.is_seed or not evidence.annotates,
        labels_by_model=evidence.labels_by_model,
        asks_first=evidence.asks_first,
        reason=reason,
    )


def judge(batch: list[Opinions], ruling: Verification, *, number: int) -> list[Verdict]:
    """Apply the thresholds: one verdict for each example, in the order given.

    Of the doubtful, those come to people that the selector put first, not the most doubtful:
    where the annotator is weak nearly all are doubtful, and the extremes teach the model little.
    """
    doubtful = [
        i
        for i, opinion in enumerate(batch)
        if ruling.escalate_all
        or ruling.asks_first
        or opinion.trouble
        or _p_correct(opinion) < ruling.accepts_from(opinion.best)
    ]
    asked = set(doubtful[: ruling.questions])
    return [
        _verdict(opinion, ruling, escalate=i in asked, number=number)
        for i, opinion in enumerate(batch)
    ]


def _verdict(opinions: Opinions, ruling: Verification, *, escalate: bool, number: int) -> Verdict:
    p_correct = _p_correct(opinions)
    action, reason = Action.ACCEPT, f"{p_correct:.0%} sure after pooling all opinions"
    wanted = opinions.example.written_as
    if wanted is not None and opinions.best != wanted:
        reads = "nothing" if opinions.best is None else name_of(opinions.best)
        action, reason = Action.DROP, f"written as {name_of(wanted)}, but it reads like {reads}"
    elif escalate:
        action, reason = Action.ESCALATE, _why_ask(opinions, ruling)
    elif opinions.is_refused:
        action, reason = Action.DROP, opinions.trouble
    elif opinions.trouble and opinions.attempt == 0:
        action, reason = Action.REANNOTATE, "the annotator's reply could not be used"
    elif opinions.annotator is None and not ruling.labels_by_model:
        why = opinions.trouble or "nobody labelled it"
        action, reason = Action.DROP, f"no annotator gave an answer: {why}"
    elif p_correct < ruling.drop_below:
        action, reason = Action.DROP, f"{p_correct:.0%} sure: no better than guessing"
    elif p_correct < ruling.reannotate_below and opinions.attempt == 0:
        action, reason = Action.REANNOTATE, f"only {p_correct:.0%} sure: ask once more"
    return Verdict(
        example=opinions.example.id,
        round=number,
        attempt=opinions.attempt,
        answer=opinions.best,
        p_correct=p_correct,
        action=action,
        reason=reason,
        signals=_signals(opinions),
        likely=_likely(opinions) if action is Action.ESCALATE else (),
    )


def _likely(opinions: Opinions) -> tuple[str, ...]:
    if opinions.pooled is None:
        return ()
    return tuple(name_of(answer) for answer in opinions.pooled.ranked[:_MOST_LIKELY])


def _why_ask(opinions: Opinions, ruling: Verification) -> str:
    if ruling.escalate_all:
        return "part of the random sample that everything is measured on"
    if opinions.trouble:
        return f"the annotator gave no answer: {opinions.trouble}"
    # No label is named here: a person who reads a guess first is pulled along by it.
    sides = opinions.beliefs
    if not sides:
        return "nobody could label it" if ruling.labels_by_model else "people label this task"
    words = {"annotator": "the annotator"} | {says.name: says.words for says in opinions.signals}
    sure = ", ".join(f"{words[name]} is {says.p_correct:.0%} sure" for name, says in sides.items())
    votes = {name_of(belief.best) for belief in sides.values()}
    how = "they disagree" if len(votes) > 1 else "they agree"
    return f"doubtful: {sure}" + (f"; {how}" if len(sides) > 1 else "")


def _trust_in_words(evidence: VerifierEvidence) -> str:
    """Say what each source counts for, in shares of the whole."""
    total = sum(evidence.weights.values()) or 1.0
    shares = [f"{name} {weight / total:.0%}" for name, weight in evidence.weights.items()]
    learnt = (
        f"as {evidence.measured} answers by people showed"
        if evidence.measured
        else "before anything was measured"
    )
    return f"An opinion counts by who holds it, {learnt}: {', '.join(shares)}."


def _value(opinions: Opinions) -> float:
    """Value of asking: the doubt, and more where the sources contradict each other."""
    return 1.0 - _p_correct(opinions) + 0.25 * (1.0 - _agreement(opinions))


def _p_correct(opinions: Opinions) -> float:
    return 0.0 if opinions.pooled is None else opinions.pooled.p_correct


def _agreement(opinions: Opinions) -> float:
    votes = [name_of(belief.best) for belief in opinions.beliefs.values()]
    return max(votes.count(vote) for vote in votes) / len(votes) if votes else 0.0


def _signals(opinions: Opinions) -> dict[str, float]:
    found = {"agreement": _agreement(opinions), "value_of_asking": _value(opinions)}
    for name, belief in opinions.beliefs.items():
        found[f"{name}_confidence"] = belief.p_correct
    return {name: round(value, 4) for name, value in found.items()}


def check(evidence: VerifierEvidence, ruling: Verification) -> None:
    """Refuse to ask people more than the round may, and thresholds that contradict each other."""
    if ruling.questions > evidence.questions:
        raise ValueError(f"{ruling.questions} questions are more than {evidence.questions}")
    if max(ruling.drop_below, ruling.reannotate_below) > ruling.accept_at:
        raise ValueError("what is dropped or asked again must be less sure than what is accepted")
    _check_classes(evidence, ruling)
    if ruling.drop_below > max(2 * evidence.chance, 0.05):
        raise ValueError(
            f"drop_below={ruling.drop_below:g} throws labels away that are better than a guess "
            f"({evidence.chance:.2f}); twice that is the most"
        )
    if ruling.reannotate_below and not evidence.may_reannotate:
        raise ValueError("the language model may not be asked again: reannotate_below must be 0")
    if ruling.escalate_all and not (evidence.is_seed or not evidence.annotates):
        raise ValueError("escalate_all is for the first sample, or where no model labels")
    if ruling.labels_by_model != evidence.labels_by_model:
        raise ValueError("the task file says whether the trained model may label")


def _check_classes(evidence: VerifierEvidence, ruling: Verification) -> None:
    lowest = max(ruling.drop_below, ruling.reannotate_below)
    unknown = set(ruling.accept_at_by_class) - set(evidence.said)
    if unknown:
        raise ValueError(f"unknown classes: {quoted(sorted(unknown))}")
    for name, threshold in ruling.accept_at_by_class.items():
        # Written so that a threshold that is no number is refused, too.
        if not lowest <= threshold <= 1:
            raise ValueError(
                f"accept_at of {quoted([name])} is {threshold:g}: it must lie between what is "
                f"dropped or asked again ({lowest:g}) and 1"
            )


SPEC = AgentSpec(Agent.VERIFIER, rule=rule, ruling=Verification, check=check)
"""The agent as the loop knows it."""
