"""A person's acceptance sample: some rows, labelled blind; too many wrong ones fail the job."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from querist.graph.jobs.workbench import Workbench
from querist.memory.answers import name_of
from querist.memory.asking.inbox import Inbox
from querist.memory.errors import BudgetExceeded
from querist.memory.questions import Option, QuestionPayload
from querist.memory.records import CallKey, ExampleId, Question, RunId, SpendKind, content_id
from querist.memory.run.ledger import Bill, Hold, Request
from querist.memory.workspace.creations import CreatedRow
from querist.tools.gates.sampling import most_wrong
from querist.tools.kinds import kind_of


@dataclass(frozen=True, slots=True)
class Acceptance:
    """Where the sample stands."""

    asked: int
    answered: int
    skipped: int
    wrong: int
    allowed: int
    """The most wrong ones with which the rows are accepted."""

    @property
    def is_open(self) -> bool:
        """Whether answers are missing."""
        return self.answered + self.skipped < self.asked

    @property
    def is_accepted(self) -> bool:
        """Whether people's answers speak for the rows."""
        return not self.is_open and self.wrong <= self.allowed

    @property
    def words(self) -> str:
        """Say it."""
        if self.is_open:
            return f"{self.answered + self.skipped} of {self.asked} sampled rows are looked at."
        said = f"People found {self.wrong} of {self.answered} sampled rows wrong"
        if self.allowed < 0:
            return f"{said}: too few answers to show an error below the bound."
        return f"{said}; up to {self.allowed} would have been accepted."


class Sample:
    """The sample of one job: drawn once, answered in the ordinary inbox, paid as answers are."""

    def __init__(self, bench: Workbench, run: RunId) -> None:
        self._bench, self._run = bench, run
        self._inbox = Inbox(bench.store, run)

    def reserve(self) -> None:
        """Set the money of the whole sample aside before a row is written.

        Raises `BudgetExceeded` where the cap does not pay for people.
        """
        if self._inbox.counts():
            return  # it was asked already
        held = {hold.request.call_key for hold in self._held()}
        keys = [self._name(place) for place in range(self._bench.request.people.sample)]
        price = self._bench.request.budget.human_label_usd
        news = [
            Request(CallKey(key), price, "people", SpendKind.HUMAN)
            for key in keys
            if key not in held
        ]
        holds = self._bench.ledger.reserve(news)
        refused = [hold for hold in holds if isinstance(hold, BudgetExceeded)]
        if refused:
            raise refused[0]

    def ask(self, rows: Sequence[CreatedRow]) -> None:
        """Put a random sample into the inbox; one that was asked before stays as it is."""
        wanted = self._bench.request.people
        rng = random.Random(f"{self._bench.request.seed}:{self._run}")  # noqa: S311 - a sample
        # In the order of ids, so that after a crash the same rows are drawn.
        drawn = rng.sample(sorted(rows, key=lambda row: row.id), min(wanted.sample, len(rows)))
        questions = [self._question(row, place) for place, row in enumerate(drawn)]
        if not self._inbox.counts():
            self._inbox.ask(questions, lease=self._bench.lease)

    def settle(self) -> None:
        """Pay for the answers that came, once each, and free the money of the others."""
        open_ = {str(question.id) for question in self._inbox.all(status="open")}
        answered = {asked.id: asked.answered_by for asked in self._inbox.all(status="answered")}
        price = self._bench.request.budget.human_label_usd
        bills, free = [], []
        for hold in self._held():
            name = str(hold.request.call_key)
            if name in answered:
                bills.append(Bill(hold, price, {"labels": 1, "by": answered[name]}))
            elif name not in open_:
                free.append(hold)
        self._bench.ledger.settle(bills)
        self._bench.ledger.release(free)

    def _held(self) -> list[Hold]:
        return self._bench.ledger.open_holds(kind=SpendKind.HUMAN)

    def _name(self, place: int) -> str:
        return f"q-{content_id(self._run, place, size=12)}"

    def result(self) -> Acceptance:
        """Compare people's answers with what the rows were written as."""
        labels = {row.id: row.label for row in self._bench.creations.all("accepted")}
        questions = self._inbox.all()
        answered = [asked for asked in questions if asked.status == "answered"]
        wrong = sum(
            asked.answer is None or name_of(asked.answer) != labels.get(str(asked.example))
            for asked in answered
        )
        return Acceptance(
            asked=len(questions),
            answered=len(answered),
            skipped=sum(asked.status == "skipped" for asked in questions),
            wrong=wrong,
            allowed=most_wrong(len(answered), self._bench.request.people.bound),
        )

    def _question(self, row: CreatedRow, place: int) -> Question:
        task = self._bench.task
        fields = {name: str(value) for name, value in row.record.items()}
        return Question(
            id=self._name(place),
            example=ExampleId(row.id),
            # Nothing is said of what it was written as: that is what is asked.
            payload=QuestionPayload(
                fields=fields,
                options=tuple(Option(label.name, label.description) for label in task.labels),
            ),
            answer_schema=dict(kind_of(task).schema(task)),
            reason="A random sample of the written rows, to accept or refuse all of them.",
            value=1.0,
            purpose="audit",
            round=0,
        )
