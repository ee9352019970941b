"""What people take away: an owner all of it, others nothing that they may be asked unseen."""

import csv
import io
import json
from dataclasses import replace

import httpx
import pytest
from tests_jobs_support import work
from tests_web_support import config_of, put_run, question

from querist.app.client import Client
from querist.memory.answers import Choice
from querist.memory.asking.inbox import Inbox
from querist.memory.records import Annotation, Example, ExampleId, Label, RunId
from querist.memory.run.labelling import Labelling
from querist.memory.run.pool import keep_dataset
from querist.memory.run.runs import Runs
from querist.memory.store import open_store
from querist.memory.workspace.jobs import Jobs, NewJob

REASON = "since the tap drips"


@pytest.fixture
def asked_again(tmp_path, served):
    """Three examples that people labelled; about the first one somebody else is asked now."""
    with open_store(tmp_path / "work") as store:
        config = config_of()
        examples = [Example(ExampleId(f"e{n}"), {"text": f"text {n}"}) for n in range(3)]
        keep_dataset(store, "d", examples, name="pool")
        first = question(0, rationale=REASON)
        put_run(store, config=config, questions=[first])
        inbox = Inbox(store, "run")
        inbox.answer(first.id, Choice("bug"), who="ann")
        lease = Runs(store).take(RunId("run"))
        labelling = Labelling(store, "run", lease=lease)
        said = [
            Annotation(example.id, "human:ann", Choice("bug"), 0, rationale=REASON)
            for example in examples
        ]
        labelling.record(said)
        labelling.relabel(
            [Label(example.id, Choice("bug"), "human", "human:ann", 1.0, 1.0, 0)
             for example in examples]
        )  # fmt: skip
        Runs(store).give_up(lease)
        inbox.ask([replace(first, id="again", checks="second", rationale="")])
        yield served(store=store)


def take(server, path, role, **query):
    headers = {"Authorization": f"Bearer {server.desk.owner_secret}"}
    if role != "owner":
        headers = server.headers("v", role)
    return httpx.get(f"{server.url}/api/{path}", headers=headers, params=query, timeout=60)


@pytest.mark.parametrize("role", ["viewer", "annotator"])
def test_a_label_that_somebody_is_asked_for_again_is_only_in_an_owners_file(asked_again, role):
    mine = take(asked_again, "runs/run/export", role)
    assert mine.headers["Querist-Left-Out"] == "1"
    rows = list(csv.DictReader(io.StringIO(mine.text)))
    assert [row["id"] for row in rows] == ["e1", "e2"]
    every = take(asked_again, "runs/run/export", "owner")
    assert every.headers["Querist-Left-Out"] == "0"
    rows = list(csv.DictReader(io.StringIO(every.text)))
    assert [(row["id"], row["label"], row["rationale"]) for row in rows] == [
        (f"e{n}", "bug", REASON) for n in range(3)
    ]
    # When it is answered it is told again.
    asked_again.inbox().answer("again", Choice("bug"), who="bea")
    told = take(asked_again, "runs/run/export", role)
    assert told.headers["Querist-Left-Out"] == "0"
    assert told.text.count("\n") == 4


@pytest.mark.parametrize("form", ["jsonl", "parquet", "label-studio"])
def test_no_format_tells_it(asked_again, form, tmp_path):
    mine = take(asked_again, "runs/run/export", "viewer", format=form)
    assert mine.headers["Querist-Left-Out"] == "1"
    assert b"text 1" in mine.content
    assert b"text 0" not in mine.content
    target = tmp_path / "labels.out"
    with Client(asked_again.url, asked_again.desk.owner_secret) as owner:
        owner.export("run", target, form=form)
    assert b"text 0" in target.read_bytes()


def test_where_all_is_asked_again_it_is_said(asked_again):
    more = [question(n, example=ExampleId(f"e{n}"), checks="second") for n in (1, 2)]
    asked_again.inbox().ask(more)
    said = take(asked_again, "runs/run/export", "viewer")
    assert said.status_code == 400
    assert "without being told its labels" in said.json()["error"]["message"]


def test_a_label_jobs_result_is_as_its_runs_labels(asked_again):
    store = asked_again.store
    config = config_of().model_dump(mode="json")
    request = {"kind": "label", "name": "t", "config": config}
    job = Jobs(store).submit(NewJob("label", "t", request, RunId("run")))
    mine = take(asked_again, f"jobs/{job.id}/result", "viewer")
    assert mine.headers["Querist-Left-Out"] == "1"
    assert [json.loads(line)["id"] for line in mine.text.splitlines()] == ["e1", "e2"]
    every = take(asked_again, f"jobs/{job.id}/result", "owner")
    assert len(every.text.splitlines()) == 3


def test_the_list_of_questions_does_not_tell_it_either(asked_again):
    for role, told in (("viewer", None), ("annotator", None), ("owner", "bug")):
        page = take(asked_again, "runs/run/inbox/questions", role, status="answered").json()
        [first] = page["questions"]
        assert first["answer"] == told
        assert first["rationale"] == (REASON if told else "")
        assert first["is_hidden"] is not bool(told)


def test_rows_of_a_sample_are_not_told_while_people_label_them(served):
    server = served()
    job = work(
        server.store, rows=30, people={"sample": 22},
        budget={"usd": "3", "human_label_usd": "0.05"},
    )  # fmt: skip
    assert job.status == "waiting"
    rows = take(server, f"jobs/{job.id}/rows", "annotator", limit=200).json()
    assert sum(row["is_hidden"] for row in rows) == 22
    assert all((row["label"] is None) == row["is_hidden"] for row in rows)
    assert not any(row["scores"] for row in rows if row["is_hidden"])
    mine = take(server, f"jobs/{job.id}/result", "annotator")
    assert mine.headers["Querist-Left-Out"] == "22"
    every = take(server, f"jobs/{job.id}/rows", "owner", limit=200).json()
    assert all(row["label"] for row in every)
    assert len(mine.text.splitlines()) == len(every) - 22
