"""Create jobs whose seeds are of a run: what people labelled there, of its weakest classes."""

import asyncio
import json
from decimal import Decimal

import pytest
from tests_graph_support import LABELS
from tests_jobs_support import WRITER, body, models, request
from typer.testing import CliRunner

from querist.agents.models.providers.scripted import ScriptedModel
from querist.app.terminal.cli import app
from querist.app.terminal.toml_text import to_toml
from querist.graph import jobs
from querist.graph.minds.trying import WritingDesk
from querist.graph.round.prompts import bank_of
from querist.memory.answers import name_of
from querist.memory.errors import InvalidInput, NotFound
from querist.memory.records import JobStatus
from querist.memory.workspace.jobs import Jobs
from querist.tools.money.tokens import counter_for


@pytest.fixture
def labelled(scripted):
    """A run whose people have labelled some."""
    run, _ = scripted()
    asyncio.run(run.drive())
    return run


def asked(run, **changes):
    seeds = {"run": run.id, "weak": 2, "confusions": True} | changes.pop("seeds", {})
    task = {"labels": list(LABELS)}
    return request(
        task=task, seeds=seeds, methods=["contrast"], gates=["schema", "exact"], rows=8, **changes
    )


def test_rows_are_for_the_weakest_classes_against_what_they_are_taken_for(labelled):
    store, prompts = labelled.store, []

    def write(asked):
        prompts.append(asked.messages)
        return json.dumps({"texts": [f"row {len(prompts)} {n}" for n in range(4)]})

    told = []
    job = jobs.submit(asked(labelled), store, key="weak", tell=told.append)
    given = models() | {WRITER: ScriptedModel(write, name=WRITER, in_flight=2)}
    asyncio.run(jobs.Worker(store, models=given).work_off())
    job = Jobs(store).get(job.id)
    assert job.status is JobStatus.DONE, job.reason
    records = [record for record in WritingDesk(labelled.view()).classes() if record.total]
    weakest = sorted(records, key=lambda record: (record.right + 1) / (record.total + 2))[:2]
    rows = jobs.rows_of(store, job)
    assert {row.label for row in rows} == {record.name for record in weakest}
    assert any("the weakest classes are" in words for words in told)
    people = {str(label.example) for label in bank_of(labelled.view())}
    assert {parent for row in rows for parent in row.parents} <= people, "never the audit's"
    by_label = {str(label.example): name_of(label.answer) for label in bank_of(labelled.view())}
    for record in weakest:
        shown = {by_label[name] for row in rows if row.label == record.name for name in row.parents}
        if record.mostly_taken_for in by_label.values():
            assert shown == {record.mostly_taken_for}
    assert jobs.submit(asked(labelled), store, key="weak").id == job.id, "it is the same request"


def test_shares_and_contrasts_that_are_given_stay(labelled):
    first, second = list(LABELS)[:2]
    told = asked(labelled, shares={first: 0.5, second: 0.5}, seeds={"confused": {first: second}})
    job = jobs.submit(told, labelled.store)
    assert job.request["shares"] == {first: 0.5, second: 0.5}
    assert job.request["seeds"]["confused"] == {first: second}


def test_a_run_that_cannot_tell_is_refused_before_anything_is_written(labelled, scripted):
    fresh, _ = scripted("other")
    with pytest.raises(InvalidInput, match="labelled nothing"):
        jobs.submit(asked(fresh), fresh.store)
    assert not Jobs(fresh.store).all()
    job = jobs.submit(asked(labelled), labelled.store)
    with pytest.raises(InvalidInput, match="no run of the loop"):
        jobs.submit(asked(labelled, seeds={"run": job.run}), labelled.store)


@pytest.mark.parametrize(
    ("seeds", "words"),
    [
        ({"run": "r", "file": "f.csv"}, "name one of"),
        ({"weak": 2}, "are about a run"),
        ({"run": "r", "confused": {"good": "great"}}, "great.*no labels"),
    ],
)
def test_seeds_are_of_one_place(seeds, words):
    with pytest.raises(InvalidInput, match=words):
        request(seeds=seeds)


def test_a_quote_counts_the_prompts_with_the_runs_own_texts(labelled):
    prompts, told = [], []

    def write(asked):
        prompts.append(asked.messages)
        return json.dumps({"texts": [f"row {len(prompts)} {n}" for n in range(4)]})

    found = jobs.quote_create(asked(labelled), store=labelled.store, tell=told.append)
    assert found.forecast > Decimal(0)
    assert any("seeds that people labelled" in words for words in told)
    assert found.cells == 2, "the weak classes are known before anything is spent"
    jobs.submit(asked(labelled), labelled.store)
    given = models() | {WRITER: ScriptedModel(write, name=WRITER, in_flight=1)}
    asyncio.run(jobs.Worker(labelled.store, models=given).work_off())
    view = labelled.view().view
    texts = [example.text for example in view.get(list(view.ids))]
    shown = "\n".join(message.content for message in prompts[0])
    assert any(text in shown for text in texts)
    sent = counter_for(WRITER).count(shown).count
    written = 4 * 100 // 2
    assert found.tokens == found.writer_calls * (sent + written)


def test_a_quote_of_a_run_that_cannot_tell_is_refused_in_one_sentence(labelled, scripted):
    fresh, _ = scripted("other")
    for weak in ({}, {"weak": 0, "confusions": False}):
        with pytest.raises(InvalidInput, match=r"^seeds\.run: people have labelled nothing in"):
            jobs.quote_create(asked(fresh, seeds=weak), store=fresh.store)
    with pytest.raises(NotFound, match=r"^seeds\.run: No single run is called 'gone' in "):
        jobs.quote_create(asked(labelled, seeds={"run": "gone"}), store=labelled.store)
    with pytest.raises(InvalidInput, match=r"^seeds\.run: .* no workspace was named"):
        jobs.quote_create(asked(labelled))


def test_the_command_looks_for_the_run_in_the_workspace(labelled, tmp_path):
    path = tmp_path / "job.toml"
    path.write_text(to_toml(body(
        task={"labels": list(LABELS)}, seeds={"run": labelled.id, "weak": 2}, methods=["contrast"],
        gates=["schema"],
    )))  # fmt: skip
    quote = ["job", "quote", str(path), "-w"]
    done = CliRunner().invoke(app, [*quote, str(labelled.store.folder)])
    assert done.exit_code == 0, done.output
    assert "the weakest classes are" in done.output
    assert "Spread over 2 combinations" in done.output
    done = CliRunner().invoke(app, [*quote, str(tmp_path / "none")])
    assert done.exit_code == 2
    assert "There is no workspace in" in done.output
