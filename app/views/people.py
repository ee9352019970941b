"""What people did, how far they agree, and how often each is right where that is known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from querist.app.terminal.screen import percent, plural
from querist.app.views.state.run_view import task_of
from querist.memory.answers import Answer, name_of
from querist.memory.asking.checks import Checks, Opinions
from querist.memory.asking.inbox import Inbox
from querist.memory.asking.replies import Replies
from querist.memory.records import ExampleId, Question
from querist.memory.run.pool import Pool
from querist.memory.run.runs import RunRow
from querist.memory.store import Store
from querist.tools.compute.arrays import IntArray
from querist.tools.kinds import Kind, kind_of
from querist.tools.opinions.agreement import Share, alpha_interval, krippendorff_alpha, share_of


@dataclass(frozen=True, slots=True)
class PersonFigures:
    """What somebody did, and how it compares."""

    who: str
    answered: int
    skipped: int
    seconds: float
    """For an answer on average; 0 where it is not known."""
    agreement: Share | None
    """With others, where two people answered without seeing each other's answer."""
    gold: Share | None
    """Right answers to gold checks."""


@dataclass(frozen=True, slots=True)
class PeopleFigures:
    """What all people of a run did."""

    people: tuple[PersonFigures, ...]
    agreement: Share | None
    """Of pairs of answers, how many are the same."""
    alpha: float | None
    """Krippendorff's, for nominal answers: agreement beyond chance."""
    interval: tuple[float, float] | None
    disputes: int
    """Answers that differ and wait for somebody to settle them."""

    @property
    def words(self) -> str:
        """Say how far people agree; empty where nobody was asked twice."""
        same = self.agreement
        if same is None:
            return ""
        texts = plural(same.n, "text")
        said = f"two people agree on {round(same.value * same.n):,} of {texts} answered twice"
        if self.alpha is not None and self.interval is not None:
            low, high = self.interval
            said += f"; alpha {self.alpha:.2f} (90 % interval {low:.2f} to {high:.2f})"
        if self.disputes:
            said += f"; {plural(self.disputes, 'dispute')} to settle"
        return said

    def of(self, who: str) -> str:
        """Say how far one of them agrees with others and is right; empty where nothing is known."""
        found = next((person for person in self.people if person.who == who), None)
        if found is None:
            return ""
        said = []
        if found.agreement is not None:
            said.append(f"agrees with others in {_share(found.agreement)}")
        if found.gold is not None:
            said.append(f"right in {_share(found.gold)} gold checks")
        return f"{who}: {', '.join(said)}" if said else ""


def people_figures(store: Store, row: RunRow) -> PeopleFigures:
    """Gather what people did in a run."""
    task = task_of(row)
    kind, inbox = kind_of(task), Inbox(store, row.id)
    every = Checks(store, row.id).opinions()
    pairs = [said.pair for said in every if said.pair is not None]
    tried = [said for said in every if said.gold is not None and said.gold.status == "answered"]
    truth = _truth(Pool(store, dataset=row.dataset, run=row.id), tried)
    met, same = Counter[str](), Counter[str]()
    alike = [_is_same(kind, *pair) for pair in pairs]
    for pair, is_same in zip(pairs, alike, strict=True):
        for question in pair:
            met[question.answered_by] += 1
            same[question.answered_by] += is_same
    gold, right = Counter[str](), Counter[str]()
    for said in tried:
        assert said.gold is not None
        known = truth.get(said.example)
        if known is None or said.gold.answer is None:
            continue
        gold[said.gold.answered_by] += 1
        right[said.gold.answered_by] += int(kind.likeness(said.gold.answer, known) >= 1)
    seconds = Replies(store, row.id).seconds()
    return PeopleFigures(
        people=tuple(
            PersonFigures(
                who=who,
                answered=done.get("answered", 0),
                skipped=done.get("skipped", 0),
                seconds=round(seconds.get(who, 0.0), 1),
                agreement=share_of(same[who], met[who]),
                gold=share_of(right[who], gold[who]),
            )
            for who, done in sorted(inbox.by_person().items())
        ),
        agreement=share_of(sum(alike), len(pairs)),
        alpha=alpha_of(kind, every),
        interval=alpha_interval(_table(kind, pairs)),
        disputes=len(open_disputes(every)),
    )


def alpha_of(kind: Kind, opinions: Sequence[Opinions]) -> float | None:
    """Give Krippendorff's alpha of answers that were given twice; None where it is not defined."""
    pairs = [said.pair for said in opinions if said.pair is not None]
    return krippendorff_alpha(_table(kind, pairs))


def open_disputes(opinions: Sequence[Opinions]) -> list[Opinions]:
    """List those whose two answers differ and wait for somebody to settle them."""
    return [
        said
        for said in opinions
        if said.pair is not None
        and said.adjudication is not None
        and said.adjudication.status == "open"
    ]


def two_answers(said: Opinions) -> list[tuple[str, str]]:
    """Give both answers with their reasons, in an order that tells nobody who said which."""
    asked = [question for question in said.pair or () if question.answer is not None]
    return sorted((name_of(q.answer), q.rationale) for q in asked if q.answer is not None)


def _truth(pool: Pool, tried: Sequence[Opinions]) -> Mapping[ExampleId, Answer]:
    """Find what gold checks go by: what was settled, or what the row came with."""
    found: dict[ExampleId, Answer] = {}
    for said in tried:
        settled = said.adjudication if said.adjudication is not None else said.first
        if settled is not None and settled.answer is not None:
            found[said.example] = settled.answer
    given = pool.get([said.example for said in tried if said.first is None])
    return found | {row.id: row.gold for row in given if row.gold is not None}


def _is_same(kind: Kind, first: Question, second: Question) -> bool:
    assert first.answer is not None
    assert second.answer is not None
    return kind.likeness(first.answer, second.answer) >= 1


def _table(kind: Kind, pairs: Sequence[tuple[Question, Question]]) -> IntArray:
    """Number the answers of pairs, the same number for those that the kind calls the same: (N, 2).

    Alpha does not ask who said what, so a column for each of the two will do.
    """
    known: list[Answer] = []
    places: dict[str, int] = {}

    def place(answer: Answer | None) -> int:
        if answer is None:
            return -1
        name = name_of(answer)
        if name not in places:
            alike = (n for n, other in enumerate(known) if kind.likeness(answer, other) >= 1)
            places[name] = next(alike, len(known))
            if places[name] == len(known):
                known.append(answer)
        return places[name]

    rows = [[place(question.answer) for question in pair] for pair in pairs]
    return np.array(rows, dtype=np.intp).reshape(len(rows), 2)


def _share(share: Share) -> str:
    return (
        f"{round(share.value * share.n):,} of {share.n:,} (90 % interval {percent(share.low)} to "
        f"{percent(share.high)})"
    )
