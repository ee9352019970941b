"""People at the loop: it waits for them, learns from all they answer, and goes on when told."""

import asyncio

from tests_graph_support import gold_texts

from querist.memory.answers import Choice
from querist.memory.asking.inbox import Inbox

GOLD = gold_texts()


def drive(run, listener=None, **options):
    return asyncio.run(run.drive(listener, **options))


def answer_open(run, count=None, who="ann"):
    """Answer the open questions rightly, as a person would; give how many."""
    inbox = Inbox(run.store, run.id)
    questions = inbox.all(status="open")[:count]
    for question in questions:
        inbox.answer(question.id, Choice(GOLD[question.payload.fields["text"]]), who=who)
    return len(questions)


def rounds_of(run):
    return run.view().journal.rounds()


def test_the_loop_waits_for_the_first_answers_before_it_goes_on(scripted):
    run, _ = scripted(people={"kind": "inbox"}, budget={"usd": "3"})
    outcome = drive(run)
    assert outcome.status == "waiting"
    assert "to measure the annotators" in outcome.reason
    assert drive(run).status == "waiting", "nothing was answered, so nothing changes"
    assert [done.number for done in rounds_of(run)] == [0]


def test_a_person_who_answers_each_round_is_learnt_from_in_each(scripted):
    run, _ = scripted(people={"kind": "inbox"}, budget={"usd": "3"})
    answers = 0
    for _ in range(10):
        if drive(run).status == "finished":
            break
        answers += answer_open(run)
    assert run.row.status == "finished"
    done = rounds_of(run)
    assert len(done) == 3
    assert [row.human_labels for row in done] == sorted(row.human_labels for row in done)
    assert done[-1].human_labels == answers == run.view().labelling.counts()["human"]
    assert all(row.metric is not None for row in done)
    assert run.view().ledger.balance().reserved == 0


def test_enough_answers_are_enough(scripted):
    run, _ = scripted(people={"kind": "inbox", "patience": {"share": 0.5}}, budget={"usd": "3"})
    drive(run)
    asked, _ = Inbox(run.store, run.id).progress(0)
    answer_open(run, count=asked // 4)
    assert drive(run).status == "waiting"
    assert rounds_of(run)[-1].number == 0
    answer_open(run, count=asked // 2)
    drive(run)
    assert rounds_of(run)[-1].number == 1, "half of them were answered"


def test_patience_ends_after_its_time(scripted):
    patient = {"kind": "inbox", "patience": {"share": 0.8, "minutes": 0}}
    run, _ = scripted(people=patient, budget={"usd": "3"})
    assert drive(run).status == "waiting", "the first round's answers are waited for without end"
    answer_open(run)
    assert drive(run).status == "finished", "no time is given to later rounds"
    assert len(rounds_of(run)) == 3


def test_without_patience_the_rounds_go_on_and_late_answers_are_learnt_from(scripted):
    run, _ = scripted(people={"kind": "inbox", "patience": 0}, budget={"usd": "3"})
    assert drive(run).status == "waiting"
    assert len(rounds_of(run)) == 3, "open questions did not stop the rounds"
    assert rounds_of(run)[-1].human_labels == 0
    answers = answer_open(run)
    assert answers > 20
    assert drive(run).status == "finished"
    done = rounds_of(run)
    assert (len(done), done[-1].human_labels) == (3, answers)
    assert done[-1].metric is not None
    assert "random sample" in done[-1].detail["measured_on"]


def test_answers_after_the_end_are_folded_in_trained_on_and_measured(scripted):
    quick = {"kind": "inbox", "patience": 0, "wait": False}
    run, _ = scripted(people=quick, budget={"usd": "2"})
    assert drive(run).status == "finished"
    before = rounds_of(run)[-1]
    config = run.view().files.path("model/config.json")
    written = config.read_text()
    count = answer_open(run, count=15)
    assert drive(run).status == "finished"
    after = rounds_of(run)[-1]
    assert (after.number, after.human_labels) == (before.number, before.human_labels + count)
    assert config.read_text() != written, "it was trained anew"
    # Nothing new: nothing is done.
    assert drive(run).status == "finished"
    assert rounds_of(run)[-1] == after


def test_a_run_can_be_told_to_go_on_without_its_people(scripted):
    run, _ = scripted(people={"kind": "inbox"}, budget={"usd": "3"})
    assert drive(run).status == "waiting"
    for _ in range(4):
        run.post("proceed", who="test")
        if drive(run).status == "finished":
            break
    assert run.row.status == "finished"
    assert len(rounds_of(run)) == 3


def test_a_driver_that_stays_goes_on_by_itself_when_people_answered(scripted):
    run, _ = scripted(people={"kind": "inbox"}, budget={"usd": "3"})
    heard = []

    def listen(event):
        heard.append(event.kind)
        if event.kind == "waiting" and event.data["closed"] == 0:
            answer_open(run)

    assert drive(run, listen, attend=True).status == "finished"
    assert heard.count("waiting") >= 3
    assert len(rounds_of(run)) == 3


def test_a_driver_that_stays_can_be_told_to_leave(scripted):
    run, _ = scripted(people={"kind": "inbox"}, budget={"usd": "3"})

    def listen(event):
        if event.kind == "waiting":
            run.drain()

    assert drive(run, listen, attend=True).status == "waiting"


def test_a_pause_ends_the_waiting_of_a_driver_that_stays(scripted):
    run, _ = scripted(people={"kind": "inbox"}, budget={"usd": "3"})

    def listen(event):
        if event.kind == "waiting":
            run.post("pause", who="test")

    assert drive(run, listen, attend=True).status == "paused"


def test_skipped_questions_cost_nothing(scripted):
    run, _ = scripted(people={"kind": "inbox"}, budget={"usd": "1"})
    inbox = Inbox(run.store, run.id)
    for _ in range(10):
        if drive(run).status == "finished":
            break
        for question in inbox.all(status="open"):
            inbox.skip(question.id, who="ann")
    assert run.row.status == "finished"
    assert run.view().ledger.balance().settled == 0
    assert run.view().ledger.balance().reserved == 0


# ---------------------------------------------------------------- going on after the end


def test_a_finished_run_goes_on_for_more_rounds(scripted):
    run, _ = scripted()
    assert drive(run).status == "finished"
    run.post("set", who="test", key="loop.rounds", value=5)
    assert drive(run).status == "finished"
    done = rounds_of(run)
    assert [row.number for row in done] == [0, 1, 2, 3, 4]
    assert done[-1].labelled > done[2].labelled
    assert run.view().config.loop.rounds == 5


def test_more_money_holds_real_rounds_only(scripted):
    run, _ = scripted(budget={"usd": "1"}, annotator={"enabled": False}, loop={"rounds": 9})
    assert drive(run).status == "finished"
    before = rounds_of(run)
    assert run.view().ledger.balance().remaining < 1
    run.post("budget", who="test", usd="2")
    assert drive(run).status == "finished"
    news = rounds_of(run)[len(before) :]
    assert news
    labelled = [row.labelled for row in rounds_of(run)]
    assert labelled == sorted(set(labelled)), "each round labelled something"
    assert run.view().ledger.balance().cap == 2


def test_the_money_does_not_trickle_away_in_rounds_of_one(scripted):
    run, _ = scripted(
        budget={"usd": "2.55"}, annotator={"enabled": False}, loop={"rounds": 30, "batch": 20}
    )
    assert drive(run).status == "finished"
    labelled = [row.labelled for row in rounds_of(run)]
    sizes = [after - before for before, after in zip([0, *labelled], labelled, strict=False)]
    assert min(sizes) >= 5
    assert sum(sizes) >= 46, "of 51 that the money pays for"


def test_what_may_not_change_is_refused_with_the_reason(scripted):
    run, _ = scripted()
    drive(run)
    run.post("set", who="test", key="task.labels", value={"a": "", "b": ""})
    run.post("set", who="test", key="data.embedder", value="minilm")
    run.post("set", who="test", key="loop.batch", value=-3)
    drive(run)
    refused = run.view().mailbox.all()
    assert [command.status for command in refused] == ["refused"] * 3
    assert "labels that stand would mean something else" in refused[0].result
    assert "loop.batch" in refused[2].result


def test_people_label_everything_where_no_language_model_does(scripted):
    run, model = scripted(annotator={"enabled": False}, budget={"usd": "3"})
    drive(run)
    assert model.calls == []
    assert set(run.view().labelling.counts()) == {"human"}
    assert run.view().labelling.annotations()
    assert {annotation.who.split(":")[0] for annotation in run.view().labelling.annotations()} == {
        "human"
    }
