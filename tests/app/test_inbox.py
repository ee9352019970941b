"""The inbox as people use it: many labels, several people, other tools, a loop that goes on."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from querist.app.answers.sitting import Sitting
from querist.app.answers.typeahead import TypeAhead
from querist.app.terminal.cli import app
from querist.app.terminal.screen import Screen
from querist.memory.answers import Choice
from querist.memory.asking.inbox import Inbox
from querist.memory.questions import Option, QuestionPayload
from querist.memory.records import ExampleId, LabelClass, Question, RunId, Task
from querist.memory.run.runs import Runs
from querist.memory.store import open_store

MANY = (*(f"topic {i:02d}" for i in range(77)), "refund request", "request for a refund")
FEW = ("billing", "bug", "praise")


def ask(*words: object, typed: str | None = None) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], input=typed)


def done(*words: object, typed: str | None = None) -> str:
    result = ask(*words, typed=typed)
    assert result.exit_code == 0, f"{result.output}\n{result.exception!r}"
    return result.output


def question(number: int, labels: tuple[str, ...], likely: tuple[str, ...] = ()) -> Question:
    return Question(
        id=f"q-{number}",
        example=ExampleId(f"e{number}"),
        payload=QuestionPayload(
            fields={"text": f"text number {number}"},
            options=tuple(map(Option, labels)),
            model_says=labels[1],
            p_correct=0.6,
            likely=likely,
        ),
        answer_schema={"kind": "choice", "enum": list(labels)},
        reason="doubtful: the annotator is 60% sure",
        value=1.0 - number / 100,
        purpose="escalation",
        round=1,
    )


@pytest.fixture
def inbox(tmp_path: Path) -> Iterator[Inbox]:
    store = open_store(tmp_path / "work")
    task = Task("t", "classification", tuple(LabelClass(name) for name in FEW))
    Runs(store).create(RunId("run"), task=task, dataset="d", config={}, cap=1)
    yield Inbox(store, "run")
    store.close()


def sit(inbox: Inbox, typed: str, **options: object) -> Sitting:
    keys = iter(typed)
    sitting = Sitting(inbox, Screen(), who=str(options.pop("who", "ann")), **options)
    sitting.work(lambda: next(keys, ""))
    return sitting


def answers(inbox: Inbox) -> dict[str, str]:
    return {asked.id: asked.answer.value for asked in inbox.all(status="answered")}


# ---------------------------------------------------------------- more labels than keys


@pytest.mark.parametrize(
    ("typed", "label"),
    [
        ("topic 41\n", "topic 41"),
        ("41\n", "topic 41"),
        ("refund1", "refund request"),
        ("refund2", "request for a refund"),
        ("refund req\n", "refund request"),
        ("REFUND REQUEST\n", "refund request"),
        ("req\x7f\x7f\x7f41\n", "topic 41"),
    ],
)
def test_a_label_is_found_by_typing_a_part_of_its_name(
    inbox: Inbox, typed: str, label: str
) -> None:
    inbox.ask([question(1, MANY)])
    sit(inbox, typed)
    assert answers(inbox) == {"q-1": label}


def test_of_equal_matches_the_likeliest_come_first_and_nothing_shows_before() -> None:
    finder = TypeAhead(MANY, likely=["topic 70", "topic 12"])
    assert finder.matches == []
    finder.press("t")
    assert finder.matches[:3] == ["topic 70", "topic 12", "topic 00"]
    finder.typed = "topic 1"
    assert finder.matches[0] == "topic 12"
    finder.typed = "xyz"
    assert finder.matches == []
    assert finder.press("\n") is None, "Enter takes nothing that was not found"


def test_an_ambiguous_enter_answers_nothing(inbox: Inbox) -> None:
    inbox.ask([question(1, MANY)])
    sit(inbox, "topic\n")
    assert answers(inbox) == {}


def test_commands_of_the_typed_form(inbox: Inbox, capsys: pytest.CaptureFixture[str]) -> None:
    inbox.ask([question(number, MANY) for number in range(3)])
    sitting = sit(inbox, "?:m:s41\n:u42\n:q")
    shown = capsys.readouterr().out
    assert "refund request, request for a refund, topic 00" in shown
    assert "Our guess: topic 01 (60 % sure)." in shown
    assert (sitting.answered, sitting.skipped) == (1, 1)
    assert answers(inbox) == {"q-1": "topic 42"}
    assert inbox.holders() == {}


# ---------------------------------------------------------------- several people


def test_quitting_frees_what_is_on_the_screen(inbox: Inbox) -> None:
    inbox.ask([question(1, FEW)])
    sit(inbox, "q", who="ann")
    assert inbox.holders() == {}
    assert [asked.id for asked in inbox.claim("bob")] == ["q-1"]


def test_an_interrupt_frees_what_is_on_the_screen(inbox: Inbox) -> None:
    inbox.ask([question(1, FEW)])

    def interrupt() -> str:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Sitting(inbox, Screen(), who="ann").work(interrupt)
    assert inbox.holders() == {}


def test_who_holds_what_is_said(inbox: Inbox, capsys: pytest.CaptureFixture[str]) -> None:
    inbox.ask([question(number, FEW) for number in range(3)])
    inbox.claim("bob", count=2)
    sit(inbox, "1", who="ann")
    shown = capsys.readouterr().out
    assert "3 open (2 with bob)" in shown
    assert "No questions are open for you. bob has 2 questions until" in shown


def test_the_guess_is_not_given_away_before_it_is_asked_for(
    inbox: Inbox, capsys: pytest.CaptureFixture[str]
) -> None:
    inbox.ask([question(1, FEW, likely=("bug", "billing"))])
    sit(inbox, "q")
    head, *labels = capsys.readouterr().out.split("text number 1")
    assert "bug" not in head
    assert [line.split()[1] for line in labels[0].splitlines()[1:4]] == list(FEW)


def test_while_the_loop_is_at_work_a_person_is_kept_for_its_next_questions(inbox: Inbox) -> None:
    inbox.ask([question(1, FEW)])
    looks = []

    def sleep(_: float) -> None:
        looks.append(1)
        if len(looks) == 2:
            inbox.ask([question(2, FEW)])

    sitting = sit(inbox, "12", is_at_work=lambda: len(looks) < 5, sleep=sleep)
    assert sitting.answered == 2
    assert len(looks) == 5, "it ends when the loop does"


# ---------------------------------------------------------------- other tools


@pytest.fixture
def waiting(tmp_path: Path) -> Path:
    """A workspace with a run that waits for its first answers."""
    pool = tmp_path / "pool.jsonl"
    rows = [{"text": f'case {i}: "the, app" fails', "label": FEW[i % 3]} for i in range(40)]
    pool.write_text("\n".join(json.dumps(row) for row in rows))
    words = ("run", "--pool", pool, "--labels", ",".join(FEW), "--people", "inbox", "--budget", "2")
    keys = ("data.embedder=hashing", "annotator.enabled=false", "loop.rounds=3")
    done(*words, *(w for key in keys for w in ("--set", key)), "-w", tmp_path / "work")
    return tmp_path / "work"


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(stream))


def counts(work: Path) -> dict[str, int]:
    store = open_store(work)
    found = Inbox(store, Runs(store).get().id).counts()
    store.close()
    return found


def run_of(work: Path) -> str:
    return next((work / "runs").iterdir()).name


def test_questions_go_out_as_csv_and_answers_come_back(waiting: Path, tmp_path: Path) -> None:
    path = tmp_path / "questions.csv"
    words = done("inbox", "export", "-w", waiting, "-o", path)
    assert "one of: billing, bug, praise" in words
    assert f"inbox import {run_of(waiting)}" in words
    rows = rows_of(path)
    asked = len(rows)
    assert asked == counts(waiting)["open"] > 5
    given = ["billing", " Bug ", "PRAISE", "nonsense", ""]
    for row, label in zip(rows, given, strict=False):
        row["answer"] = label
    rows.append({**rows[0], "querist_question": "q-other", "text": "never asked", "answer": "bug"})
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    words = done("inbox", "import", run_of(waiting), path, "--name", "tool", "-w", waiting)
    assert "3 answers taken in" in words
    assert "'nonsense' is no label" in words or "nonsense is no label" in words
    assert "1 about nothing that this run asks" in words
    assert f"{asked - 4} rows without an answer" in words
    assert counts(waiting) == {"answered": 3, "open": asked - 3}
    again = done("inbox", "import", run_of(waiting), path, "--name", "tool", "-w", waiting)
    assert "0 answers taken in" in again
    assert "3 about questions that were answered before" in again


def test_label_studio_serves_the_inbox(waiting: Path, tmp_path: Path) -> None:
    path = tmp_path / "tasks.json"
    done("inbox", "export", "-w", waiting, "-o", path)
    assert path.with_suffix(".config.xml").is_file()
    tasks = json.loads(path.read_text())
    total = len(tasks)

    def said(label: str, **more: object) -> dict[str, object]:
        value = {"choices": [label]}
        result = {"from_name": "label", "to_name": "text", "type": "choices", "value": value}
        return {"result": [result], **more}

    for number, task in enumerate(tasks):
        task["id"] = number
        task["annotations"] = []
    tasks[0]["annotations"] = [said("bug"), said("bug"), said("praise")]
    tasks[1]["annotations"] = [said("praise"), said("bug", was_cancelled=True)]
    tasks[2]["annotations"] = [said("bug"), said("praise")]
    tasks[3]["predictions"] = [said("bug")]
    path.write_text(json.dumps(tasks))
    words = done("inbox", "import", run_of(waiting), path, "--name", "studio", "-w", waiting)
    assert "2 answers taken in" in words
    assert counts(waiting) == {"answered": 2, "open": total - 2}


def test_answers_are_found_by_text_where_ids_were_lost(waiting: Path, tmp_path: Path) -> None:
    done("inbox", "export", "-w", waiting, "-o", tmp_path / "q.csv")
    rows = rows_of(tmp_path / "q.csv")
    lines = [{"text": row["text"].upper(), "label": ["bug"]} for row in rows[:4]]
    lines += [
        {"text": rows[4]["text"], "label": "bug"},
        {"text": rows[4]["text"], "label": "praise"},
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    words = done("inbox", "import", run_of(waiting), tmp_path / "a.jsonl", "-w", waiting)
    assert "4 answers taken in" in words
    assert "2 contradict each other" in words


def test_a_file_without_answers_is_refused_with_the_remedy(waiting: Path, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,what\nhello,bug\n")
    result = ask("inbox", "import", run_of(waiting), tmp_path / "a.csv", "-w", waiting)
    assert result.exit_code == 2
    assert "--column" in result.output
    words = ("inbox", "export", "-w", waiting, "-o", tmp_path / "a.csv")
    assert "--force" in ask(*words).output


def test_answers_from_a_file_are_learnt_from(waiting: Path, tmp_path: Path) -> None:
    path = tmp_path / "questions.csv"
    for _ in range(6):
        if "\tfinished\t" in done("status", "-w", waiting):
            break
        done("inbox", "export", "-w", waiting, "-o", path, "--force")
        rows = rows_of(path)
        for row in rows:
            row["answer"] = FEW[int(row["text"].split()[1].rstrip(":")) % 3]
        with path.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        done("inbox", "import", run_of(waiting), path, "--name", "tool", "-w", waiting)
        done("resume", "-w", waiting)
    assert "\tfinished\t" in done("status", "-w", waiting)
    assert "No questions" in ask("inbox", run_of(waiting), "-w", waiting, typed="").output


# ---------------------------------------------------------------- people check people


def test_what_two_people_differ_on_is_settled_with_both_answers_in_sight(
    inbox: Inbox, capsys: pytest.CaptureFixture[str]
) -> None:
    first = question(1, FEW)
    inbox.ask([first])
    sit(inbox, "1", who="ann")
    inbox.ask([replace(first, id="q-second", checks="second")])
    sit(inbox, "3", who="ann")
    assert inbox.get("q-second").status == "open", "it is not for who answered first"
    inbox.answer("q-second", Choice("praise"), who="bob")
    dispute = replace(first, id="q-d", checks="adjudication", reason="two people differ: billing")
    inbox.ask([dispute])
    capsys.readouterr()
    waits: list[float] = []
    looks = iter([True, True, True, False, False, False])
    is_at_work = lambda: next(looks, False)  # noqa: E731
    sit(inbox, "1", who="bob", is_at_work=is_at_work, sleep=waits.append)
    assert waits, "an open dispute is no reason to look again at once"
    assert inbox.get("q-d").status == "open"
    sit(inbox, "2", who="bob", settles=True)
    assert inbox.get("q-d").answered_by == "bob"
    assert "two people differ" in capsys.readouterr().out
