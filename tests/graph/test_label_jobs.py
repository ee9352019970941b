"""Label jobs: a task file in, labels out; people are waited for, and their answers wake the job."""

import asyncio
import json

import pytest
from tests_graph_support import EXAMPLE, LABELS, weak_annotator

from querist.agents.models.providers.scripted import ScriptedModel
from querist.graph import jobs
from querist.graph.run import Run
from querist.memory.answers import Choice
from querist.memory.records import JobStatus
from querist.memory.store import open_store
from querist.memory.workspace.jobs import Jobs


@pytest.fixture
def store(tmp_path):
    with open_store(tmp_path / "work") as store:
        yield store


@pytest.fixture
def asked(pool_file):
    """A job file's content; keywords change sections."""

    def make(**sections):
        config = {
            "task": {"name": "tenants", "labels": dict.fromkeys(LABELS, "")},
            "data": {
                "pool": str(pool_file),
                "text": "text",
                "gold": "label",
                "embedder": "hashing",
            },
            "budget": {"usd": "4", "human_label_usd": "0.05"},
            "people": {"kind": "simulated", "error_rate": 0.1},
            "loop": {"rounds": 2, "batch": 20, "seed": 3},
            "generator": {"enabled": False},
            "training": {"target": "linear"},
        } | sections
        return jobs.read_request({"kind": "label", "config": config}, source="the test")

    return make


def worker(store):
    return jobs.Worker(store, models={"local": ScriptedModel(weak_annotator, name="local")})


def test_a_pool_is_labelled_and_its_labels_are_delivered(store, asked, tmp_path):
    job = jobs.submit(asked(), store)
    asyncio.run(worker(store).work_off())
    ended = Jobs(store).get(job.id)
    assert ended.status is JobStatus.DONE, ended.reason
    count = jobs.write_result(store, ended, tmp_path / "labels.jsonl", format="jsonl")
    assert count == ended.result["rows"] > 20
    first = json.loads((tmp_path / "labels.jsonl").read_text().splitlines()[0])
    assert first["label"] in LABELS
    assert (store.folder / "runs" / job.run / "result" / "rows.jsonl").exists()


def test_a_job_waits_for_people_and_goes_on_when_they_have_answered(store, asked):
    job = jobs.submit(asked(people={"kind": "inbox"}, loop={"rounds": 1, "batch": 20}), store)
    asyncio.run(worker(store).work_off())
    found = Jobs(store)
    assert found.get(job.id).status is JobStatus.WAITING
    assert "questions are answered" in found.get(job.id).reason
    asyncio.run(worker(store).work_off())
    assert found.get(job.id).status is JobStatus.WAITING, "nobody has answered"
    gold = {
        row["text"]: row["label"]
        for row in map(json.loads, (EXAMPLE / "pool.jsonl").read_text().splitlines())
    }
    for _ in range(4):
        context = Run(store, job.run).view()
        for question in context.inbox.all(status="open"):
            text = context.pool.get([question.example])[0].text
            context.inbox.answer(question.id, Choice(gold[text]), who="human:ann")
        asyncio.run(worker(store).work_off())
        if found.get(job.id).status is JobStatus.DONE:
            break
    assert found.get(job.id).status is JobStatus.DONE


def test_a_task_file_is_a_job_and_a_job_file_may_name_one(tmp_path):
    request = jobs.load_request(EXAMPLE / "task.toml")
    assert request.kind == "label"
    assert request.config.task.name == "tenant requests"
    (tmp_path / "job.toml").write_text(
        f'kind = "label"\ntask = "{EXAMPLE / "task.toml"}"\npriority = 3\n'
    )
    assert jobs.load_request(tmp_path / "job.toml").priority == 3
