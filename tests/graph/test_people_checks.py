"""People check people: second opinions, disputes, gold checks, and what they cost."""

import asyncio
from decimal import Decimal

import pytest
from tests_graph_support import gold_texts

from querist.app.views.people import people_figures
from querist.app.views.report_data import gather
from querist.graph.people.checks import ask_checks
from querist.graph.people.folding import fold_answers
from querist.graph.workplace.context import Context
from querist.memory.answers import Choice, name_of
from querist.memory.asking.inbox import Inbox
from querist.memory.run.runs import Runs

GOLD = gold_texts()
PRICE = Decimal("0.05")
ALL = {"second_opinions": 1.0, "gold_checks": 0.1, "annotators": 3, "error_rate": 0.3}


def drive(run):
    return asyncio.run(run.drive())


def opened(run):
    return Context(run.store, run.row, Runs(run.store).take(run.id))


def right(question):
    return name_of(question.answer) == GOLD[question.payload.text]


def test_doubled_and_settled_labels_are_better_and_every_answer_is_paid_once(scripted):
    people = ALL | {"audit": 0.4}
    run, _ = scripted(
        people=people, budget={"usd": "12"}, annotator={"enabled": False}, loop={"rounds": 2}
    )
    assert drive(run).status == "finished"
    view = run.view()
    asked = view.inbox.all()
    by = {what: [q for q in asked if q.checks == what] for what in ("", "second", "gold")}
    settled = [q for q in asked if q.checks == "adjudication"]
    assert len(by["second"]) == len(by[""]), "a share of 1 is all of them"
    assert len(by["gold"]) == len(by[""]) // 10
    assert len(settled) > 10
    balance = view.ledger.balance()
    assert balance.settled == PRICE * len(asked)
    assert balance.reserved == 0
    # Whoever answers an example answers it once.
    said = {(q.example, q.answered_by) for q in asked}
    assert len(said) == len(asked)
    assert {who for _, who in said} == {"simulated-1", "simulated-2", "simulated-3"}
    # What stands is what was settled, else the first answer; a gold check is no label.
    labels = {label.example: label for label in view.labelling.labels()}
    assert labels.keys() == {q.example for q in by[""]}
    last = {q.example: q for q in (*by[""], *settled)}
    assert all(labels[name].answer == q.answer for name, q in last.items())
    assert all(labels[name].who == f"human:{q.answered_by}" for name, q in last.items())
    share = [sum(map(right, some)) / len(some) for some in (by[""], list(last.values()))]
    assert share[1] > share[0] + 0.05, share
    done = view.journal.rounds()[-1]
    assert done.detail["checked"] == len(by["second"]) + len(settled)
    # Errors of people count against a model; the corrected figure does not hold them against it.
    value, low, high = done.detail["corrected"]["accuracy"]
    assert low <= value <= high
    assert value > done.metric
    assert done.detail["corrected"]["agreement"][3] >= 10
    figures = people_figures(run.store, run.row)
    assert 0.2 < figures.alpha < 0.8
    assert [person.who for person in figures.people] == [f"simulated-{n}" for n in (1, 2, 3)]
    assert sum(person.gold.n for person in figures.people if person.gold) == len(by["gold"])
    assert "answered twice; alpha 0." in figures.words
    words = gather(run).headline.measured.corrected_words
    assert "without people's mistakes: two of them said the same of" in words


def test_one_person_alone_is_never_held_up(scripted):
    people = {"kind": "inbox", "second_opinions": 0.5}
    run, _ = scripted(people=people, budget={"usd": "3"})
    inbox = Inbox(run.store, run.id)
    for _ in range(10):
        if drive(run).status == "finished":
            break
        for question in inbox.claim("ann", count=200):
            inbox.answer(question.id, Choice(GOLD[question.payload.text]), who="ann")
    assert run.row.status == "finished"
    left = inbox.all(status="open")
    assert left
    assert {question.checks for question in left} == {"second"}
    balance = run.view().ledger.balance()
    assert balance.reserved == PRICE * len(left)
    # Another person comes late, and differs: the dispute is asked, and the next one settles it.
    first, *others = inbox.claim("bob", count=200)
    truth = GOLD[first.payload.text]
    wrong = next(name for name in GOLD.values() if name != truth)
    inbox.answer(first.id, Choice(wrong), who="bob")
    for question in others:
        inbox.answer(question.id, Choice(GOLD[question.payload.text]), who="bob")
    assert drive(run).status == "finished"
    [dispute] = inbox.all(status="open")
    assert (dispute.checks, dispute.example) == ("adjudication", first.example)
    assert dispute.reason == f"two people differ: {' or '.join(sorted((truth, wrong)))}"
    labels = {label.example: label for label in run.view().labelling.labels()}
    assert labels[first.example].who == "human:ann", "the first answer stands meanwhile"
    inbox.answer(dispute.id, Choice(wrong), who="cleo")
    before = run.view().journal.rounds()[-1]
    assert drive(run).status == "finished"
    labels = {label.example: label for label in run.view().labelling.labels()}
    assert labels[first.example].who == "human:cleo"
    after = run.view().journal.rounds()[-1]
    assert after.human_labels == before.human_labels
    assert after.detail["checked"] == before.detail["checked"] + 1, "it was trained on"
    said = run.view().labelling.annotations([first.example])
    assert {a.who for a in said} >= {"human:ann", "human:bob", "human:cleo"}


def test_checks_look_like_the_others_and_a_repeated_fold_asks_nothing_twice(scripted):
    run, _ = scripted(
        people={"kind": "inbox", "second_opinions": 0.3, "gold_checks": 0.2}, budget={"usd": "4"}
    )
    drive(run)
    inbox = Inbox(run.store, run.id)
    first = inbox.claim("ann", count=200)
    for question in first:
        inbox.answer(question.id, Choice(GOLD[question.payload.text]), who="ann")
    context = opened(run)
    fold_answers(context, number=0)
    asked = inbox.all(status="open")
    assert {question.checks for question in asked} == {"second", "gold"}
    purposes = {question.id: question.purpose for question in first}
    assert {question.purpose for question in asked} <= {"audit", "seed"}, "random samples first"
    assert {question.reason for question in asked} <= {question.reason for question in first}
    assert all(question.payload.model_says is None for question in asked)
    assert all(len(question.id) == len(first[0].id) for question in asked)
    seconds = [question for question in asked if question.checks == "second"]
    assert len(seconds) == int(0.3 * len(purposes))
    settled = context.ledger.balance().settled
    assert ask_checks(context, number=0) == []
    # As after a crash: what was folded is folded once more.
    assert inbox.unfolded() == []
    assert len(inbox.all()) == len(first) + len(asked)
    assert context.ledger.balance().settled == settled
    assert settled == PRICE * len(first)


class Dying(Inbox):
    """Ends the process, as it were, where answers were used and that is not noted yet."""

    def folded(self, questions, *, lease=None):
        raise KeyboardInterrupt


def test_a_fold_that_dies_at_its_end_asks_and_pays_once(scripted):
    run, _ = scripted(people=ALL | {"kind": "inbox"}, budget={"usd": "8"})
    drive(run)
    people, inbox = ("ann", "bob", "cleo"), Inbox(run.store, run.id)
    # First answers, second ones that all differ, and what settles them.
    for place, who in enumerate(people):
        for disputes in (False, True):
            for question in inbox.claim(who, count=200, disputes=disputes):
                truth = GOLD[question.payload.text]
                wrong = next(name for name in sorted(set(GOLD.values())) if name != truth)
                answer = wrong if place == 1 else truth
                inbox.answer(question.id, Choice(answer), who=who)
        context = opened(run)
        context.inbox = Dying(run.store, run.id)
        with pytest.raises(KeyboardInterrupt):
            fold_answers(context, number=0)
        died = len(inbox.all())
        assert inbox.unfolded()
        Runs(run.store).give_up(context.lease)
        context = opened(run)
        fold_answers(context, number=0)
        assert len(inbox.all()) == died, "nothing was asked twice"
        balance = context.ledger.balance()
        assert balance.settled == PRICE * len(inbox.all(status="answered"))
        assert balance.reserved == PRICE * len(inbox.all(status="open"))
        Runs(run.store).give_up(context.lease)
    asked = inbox.all()
    assert {question.checks for question in asked} == {"", "second", "adjudication", "gold"}
    assert len({(question.example, question.checks) for question in asked}) == len(asked)
