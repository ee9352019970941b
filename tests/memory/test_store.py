"""What goes into the store comes out the same; migrations and the schema agree."""

import random
import threading
from dataclasses import replace
from decimal import Decimal
from unittest.mock import Mock

import pytest
import sqlalchemy as sa

from querist.memory import schema
from querist.memory.answers import Choice, Choices, Number, Preference, Span, Spans, Text
from querist.memory.asking.inbox import Inbox
from querist.memory.errors import InvalidInput, LeaseLost, NewerWorkspace, RunBusy, StoreError
from querist.memory.events import Notice
from querist.memory.records import (
    Action,
    Annotation,
    Decision,
    Example,
    ExampleId,
    Label,
    LabelClass,
    Origin,
    Round,
    RunId,
    Split,
    Task,
    Verdict,
)
from querist.memory.run.journal import Journal
from querist.memory.run.labelling import Labelling
from querist.memory.run.mailbox import Mailbox
from querist.memory.run.pool import Pool, keep_dataset
from querist.memory.run.runs import Runs
from querist.memory.store import Lease, open_store

ANSWERS = {
    "classification": Choice("a", {"clarity": 0.5}),
    "multilabel": Choices(("a", "b")),
    "matching": Choice("match"),
    "spans": Spans((Span(0, 4, "person"), Span(7, 9, "place"))),
    "relation": Choice("born-in"),
    "preference": Preference("tie", 0.25, {"helpful": 0.1, "harmless": 0.9}),
    "qa": Number(42.5),
    "generation": Text("a summary, with “quotes” and 漢字"),
}


@pytest.mark.parametrize("kind", list(ANSWERS))
def test_every_kind_of_task_and_answer_survives_the_store(store, run, kind):
    task = Task("t", kind, (LabelClass("a", "first"), LabelClass("b")), fields=("left", "right"))
    Runs(store).create(RunId("other"), task=task, dataset="d", config={}, cap=Decimal(1))
    said = Annotation(
        ExampleId("e"), "llm:x", ANSWERS[kind], 1, {"a": 0.75}, 0.75, usd=Decimal("0.00012")
    )
    labelling = Labelling(store, "run", lease=run)
    labelling.record([said])
    assert labelling.annotations() == [said]
    label = Label(ExampleId("e"), ANSWERS[kind], "llm", "llm:x", 0.75, 0.75, 1)
    labelling.relabel([label])
    assert labelling.labels() == [label]


def test_a_pool_keeps_order_splits_and_two_field_examples(store):
    pool = Pool(store, dataset="d")
    examples = [
        Example(ExampleId("z"), {"left": "one", "right": "two"}, gold=Choice("match")),
        Example(ExampleId("a"), {"left": "x", "right": "y"}, split=Split.TEST),
        Example(ExampleId("m"), {"left": "ü", "right": ""}),
    ]
    assert pool.add(examples) == 3
    assert pool.ids() == ["z", "m"]
    assert pool.get([ExampleId("m"), ExampleId("z")]) == [examples[2], examples[0]]
    assert pool.all(Split.TEST) == [examples[1]]


def test_a_generated_example_belongs_to_its_run_alone(store, run):
    keep_dataset(store, "d", [Example(ExampleId("a"), {"text": "old"})], name="d")
    mine = Pool(store, dataset="d", run="run")
    new = Example(ExampleId("g"), {"text": "new"}, Origin.GENERATED, parents=(ExampleId("a"),))
    mine.add([new], lease=run)
    assert mine.ids() == ["a", "g"]
    assert Pool(store, dataset="d", run="another").ids() == ["a"]


def test_two_runs_may_own_the_same_example_of_one_data_set(store, run):
    text = Example(ExampleId("gen-1-a"), {"text": "new"}, Origin.GENERATED)
    for name in ("one", "other"):
        pool = Pool(store, dataset="d", run=name)
        pool.add([text])
        pool.add([text])
        assert pool.ids() == ["gen-1-a"]


def test_a_data_set_is_stored_once(store):
    examples = [Example(ExampleId(str(i)), {"text": str(i)}) for i in range(5)]
    keep_dataset(store, "d", examples, name="d")
    keep_dataset(store, "d", examples, name="d")
    assert Pool(store, dataset="d").count() == 5


def test_a_batch_item_moves_with_what_is_written_about_it(store, run):
    labelling = Labelling(store, "run", lease=run)
    ids = [ExampleId(name) for name in "abc"]
    labelling.open_batch(1, ids)
    labelling.open_batch(1, [ExampleId("late")])
    assert [item.example for item in labelling.batch(1, status="todo")] == ids
    labelling.annotated(1, [Annotation(example, "llm:x", Choice("a"), 1) for example in ids[:2]])
    assert [item.example for item in labelling.batch(1, status="annotated")] == ids[:2]
    verdicts = [
        Verdict(ids[0], 1, 0, Choice("a"), 0.9, Action.ACCEPT, "sure"),
        Verdict(ids[1], 1, 0, Choice("a"), 0.3, Action.REANNOTATE, "again"),
    ]
    label = Label(ids[0], Choice("a"), "llm", "llm:x", 0.9, 0.9, 1)
    labelling.judged(1, verdicts, [label])
    assert labelling.labels() == [label]
    left = [(item.example, item.attempt) for item in labelling.batch(1, status="todo")]
    assert left == [("b", 1), ("c", 0)]
    labelling.abandon(1)
    assert [i.example for i in labelling.batch(1, status="dropped")] == ["b"]
    assert "c" not in labelling.touched()


def test_a_machine_never_replaces_a_persons_label(store, run):
    labelling = Labelling(store, "run", lease=run)
    human = Label(ExampleId("e"), Choice("a"), "human", "human:ann", 1, 1, 1)
    machine = Label(ExampleId("e"), Choice("b"), "llm", "llm:x", 0.9, 0.9, 2)
    labelling.relabel([human])
    labelling.relabel([machine])
    assert labelling.labels() == [human]
    labelling.relabel([replace(human, answer=Choice("b"), round=3)])
    assert labelling.labels()[0].answer == Choice("b")


def test_who_drives_a_run_remembers_what_the_database_holds(store, run):
    labelling = Labelling(store, "run", lease=run)
    looking = Labelling(store, "run", lease=Lease.to_look("run"))
    rng = random.Random(5)
    for number in range(30):
        example = ExampleId(rng.choice("abcdef"))
        by = rng.choice(["human", "llm"])
        label = Label(example, Choice(rng.choice("xy")), by, f"{by}:m", 0.5, 1 / 3, number)
        said = Annotation(example, label.who, label.answer, number % 3, usd=Decimal(number))
        rng.choice([lambda m=label: labelling.relabel([m]), lambda m=said: labelling.record([m])])()
        assert labelling.labels() == looking.labels() == Labelling(store, "run").labels()
        assert labelling.annotations() == looking.annotations()
        assert labelling.annotations([example], number=1) == looking.annotations(
            [example], number=1
        )
    assert labelling.labels()
    assert labelling.annotations()


def test_what_was_not_committed_is_not_remembered(store, run):
    labelling = Labelling(store, "run", lease=run)
    label = Label(ExampleId("e"), Choice("a"), "llm", "llm:x", 0.9, 0.9, 1)
    assert labelling.labels() == []
    verdict = Verdict(ExampleId("e"), 1, 0, Choice("a"), 0.9, Action.ACCEPT, "sure")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(labelling, "_move", Mock(side_effect=RuntimeError("broken")))
        with pytest.raises(RuntimeError, match="broken"):
            labelling.judged(1, [verdict], [label])
    assert labelling.labels() == []


def test_one_process_at_a_time_drives_a_run(store, run):
    with pytest.raises(RunBusy, match="querist status"):
        Runs(store).take(RunId("run"))


def test_a_lease_taken_over_fences_the_former_driver_off(store, run):
    runs = Runs(store)
    runs.give_up(run)
    newer = runs.take(RunId("run"))
    with pytest.raises(LeaseLost):
        Journal(store, "run", lease=run).event(Notice("late"))
    Journal(store, "run", lease=newer).event(Notice("fine"))
    assert Journal(store, "run").bodies(Notice) == [Notice("fine")]


def test_events_have_rising_ids_and_can_be_read_from_anywhere(store, run):
    journal = Journal(store, "run", lease=run)
    ids = [journal.event(Notice(str(n))).id for n in range(3)]
    assert ids == sorted(set(ids))
    assert [event.body.text for event in journal.events(after=ids[0])] == ["1", "2"]


def test_a_decision_and_a_round_come_back_as_they_were(store, run):
    journal = Journal(store, "run", lease=run)
    decision = Decision("selector", 1, "rules", {"strategy": "margin"}, "because", step="select")
    journal.decided(decision)
    journal.decided(replace(decision, reason="told again after a crash"))
    assert journal.decisions() == [decision]
    done = Round(1, 40, 10, Decimal("0.5"), 0.8, 0.7, 0.9, {"classes": {"a": 3}})
    journal.round_done(done)
    assert journal.rounds() == [done]


def test_the_same_command_posted_twice_is_one(store, run):
    mailbox = Mailbox(store, "run")
    for _ in range(2):
        mailbox.post("pause", who="ann", token="k")
    (command,) = mailbox.queued()
    mailbox.close(command, status="done", result="paused", lease=run)
    assert mailbox.queued() == []
    with pytest.raises(InvalidInput, match="pause"):
        mailbox.post("dance", who="ann", token="j")


def test_migrations_give_exactly_the_tables_of_the_schema(tmp_path):
    with open_store(tmp_path) as store:
        found = sa.MetaData()
        found.reflect(store.engine)
        assert set(found.tables) - {"alembic_version"} == set(schema.metadata.tables)
        for name, table in schema.metadata.tables.items():
            assert {c.name for c in found.tables[name].columns} == {c.name for c in table.columns}
            assert {c.name for c in found.tables[name].primary_key} == {
                c.name for c in table.primary_key
            }


def test_a_workspace_of_a_newer_version_is_refused_untouched(tmp_path):
    with open_store(tmp_path) as store, store.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    before = (tmp_path / "querist.db").read_bytes()
    with pytest.raises(NewerWorkspace, match="Upgrade Querist"):
        open_store(tmp_path)
    assert (tmp_path / "querist.db").read_bytes() == before


def test_a_full_disk_is_one_clear_error_and_loses_nothing(tmp_path):
    with open_store(tmp_path) as store:
        runs = Runs(store)
        task = Task("t", "classification", (LabelClass("a"), LabelClass("b")))
        runs.create(RunId("run"), task=task, dataset="d", config={}, cap=Decimal(1))
        lease = runs.take(RunId("run"))
        journal = Journal(store, "run", lease=lease)
        journal.event(Notice("before"))

        @sa.event.listens_for(store.engine, "begin")
        def fill(connection):
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")

        with pytest.raises(StoreError, match="disk"):
            journal.event(Notice("y" * 2_000_000))
        assert journal.bodies(Notice) == [Notice("before")]


def test_an_unusable_workspace_folder_is_one_clear_error(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StoreError, match="--workspace"):
        open_store(tmp_path / "file")


def test_a_file_that_is_no_database_is_one_clear_error(tmp_path):
    (tmp_path / "querist.db").write_text("hello" * 1000)
    with pytest.raises(StoreError, match="querist"):
        open_store(tmp_path)


def test_two_threads_writing_at_once_both_succeed(store, run):
    journal = Journal(store, "run", lease=run)
    threads = [
        threading.Thread(target=lambda: [journal.event(Notice("x")) for _ in range(20)])
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(journal.events()) == 40


def test_a_reader_without_a_lease_sees_what_was_committed(store, run):
    Journal(store, "run", lease=run).event(Notice("x"))
    assert len(Journal(store, "run", lease=Lease.to_look("run")).events()) == 1
    assert Inbox(store, "run").all() == []


def test_a_store_that_is_closed_says_so(store):
    store.close()
    with pytest.raises(StoreError, match="Open it again"):
        Runs(store).all()


def test_a_connection_that_is_in_use_when_the_store_is_closed_is_closed_after(store):
    with store.read() as connection:
        raw = connection.connection.dbapi_connection
        store.close()
        # Whoever uses it, a thread whose task was ended, say, gets to the end of what it does.
        assert connection.exec_driver_sql("SELECT 1").scalar() == 1
    with pytest.raises(Exception, match="closed"):
        raw.execute("SELECT 1")


@pytest.mark.parametrize("made_by", ["9999", "no database"])
def test_a_workspace_that_cannot_be_opened_is_not_left_open(tmp_path, made_by):
    if made_by == "no database":
        (tmp_path / "querist.db").write_text("hello" * 1000)
    else:
        with open_store(tmp_path) as store, store.write() as connection:
            connection.exec_driver_sql(f"UPDATE alembic_version SET version_num = '{made_by}'")
    # The guard of all tests looks for what is still open.
    with pytest.raises((NewerWorkspace, StoreError)):
        open_store(tmp_path)
