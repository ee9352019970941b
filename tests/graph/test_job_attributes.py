"""Attributes that a model finds in seeds: bounded, counted, paid once and shown before use."""

import asyncio
import json
import tomllib
from decimal import Decimal

import pytest
from tests_jobs_support import WRITER, body, models, request
from typer.testing import CliRunner

from querist.agents.models.providers.scripted import ScriptedModel
from querist.app.actions import jobs as actions
from querist.app.terminal.cli import app
from querist.app.terminal.place import Place
from querist.app.terminal.toml_text import to_toml
from querist.graph import jobs
from querist.graph.jobs.attributes import find_attributes
from querist.memory.errors import BudgetExceeded, InvalidInput
from querist.memory.run.ledger import Ledger
from querist.memory.store import open_store

NAMED = {
    "attributes": [
        {"name": "Tone of voice", "values": ["polite", "angry", "in a hurry"]},
        {"name": "label", "values": ["good", "bad"]},
        {"name": "length", "values": ["short"]},
        {"name": "writer", "values": ["tenant", "owner"]},
    ]
}


def finder(named=NAMED):
    """Name attributes, then say of each text what it says itself."""

    def reply(asked):
        given = json.loads(asked.messages[-1].content)
        if "texts" in given:
            return json.dumps(named)
        text = given["text"]
        tone = "polite" if "please" in text else "angry" if "!" in text else "none of these"
        return json.dumps({"tone_of_voice": tone, "writer": "tenant"})

    return {WRITER: ScriptedModel(reply, name=WRITER, in_flight=4)}


@pytest.fixture
def seeds(tmp_path):
    path = tmp_path / "seeds.jsonl"
    endings = ["please"] * 6 + ["!"] * 3 + ["..."] * 1
    lines = [{"text": f"mend my door {n} {end}", "y": "good"} for n, end in enumerate(endings)]
    lines += [{"text": f"seed {n} please", "y": "bad"} for n in range(2)]
    path.write_text("\n".join(map(json.dumps, lines)))
    return {"file": str(path), "text": "text", "label": "y"}


def test_what_is_named_is_counted_over_the_sample_and_paid(tmp_path, seeds):
    with open_store(tmp_path / "work") as store:
        asked = request(seeds=seeds)
        found = asyncio.run(find_attributes(asked, store, models=finder()))
        # What has one value only, or is the label, is no attribute; eight of eleven were polite.
        assert found.attributes == {
            "tone_of_voice": {"values": ["polite", "angry"], "shares": [0.73, 0.27]}
        }
        assert (found.sample, found.placed) == (12, {"tone_of_voice": 11})
        balance = Ledger(store, found.run).balance()
        assert found.usd == balance.settled > 0
        assert balance.cap == Decimal("0.10")
        assert [line for line in Ledger(store, found.run).lines() if line.entry == "settle"]
        # As it is, it is a part of a job.
        table = tomllib.loads(to_toml({"attributes": found.attributes}))
        made = request(seeds=seeds, **table)
        assert made.attributes["tone_of_voice"].shares == (0.73, 0.27)


def test_what_cannot_be_found_is_said(tmp_path, seeds):
    with open_store(tmp_path / "work") as store:

        def find(named=NAMED, **changes):
            given = finder(named)
            return asyncio.run(find_attributes(request(**changes), store, models=given))

        with pytest.raises(InvalidInput, match=r"name them in seeds\.file"):
            find()
        with pytest.raises(InvalidInput, match="found no attributes"):
            find({"attributes": []}, seeds=seeds)
        with pytest.raises(InvalidInput, match="vary in nothing that was named: writer: "):
            # Another sample: the same call as above would be replayed.
            find(
                {"attributes": [{"name": "writer", "values": ["tenant", "owner"]}]},
                seeds=seeds,
                seed=2,
            )
        asked = request(seeds=seeds, seed=1)
        with pytest.raises(BudgetExceeded):
            asyncio.run(find_attributes(asked, store, models=finder(), usd=Decimal("0.002")))


def test_they_are_shown_and_written_into_the_job_file(tmp_path, seeds, monkeypatch, capsys):
    path = tmp_path / "job.toml"
    path.write_text(to_toml(body(seeds=seeds)))
    real = actions.find

    async def find(*args, **more):
        return await real(*args, **more, models=finder())

    monkeypatch.setattr(actions, "find", find)
    ask = {"changes": (), "sample": 24, "most": 3, "budget": None}
    place = Place(tmp_path / "work", None)
    actions.find_attributes(place, path, **ask, writes=False)
    told = capsys.readouterr().out
    assert "[attributes.tone_of_voice]" in told
    assert "tone_of_voice: 11 of 12 seeds have one of the values." in told
    assert "attributes" not in path.read_text()
    actions.find_attributes(place, path, **ask, writes=True)
    made = jobs.load_request(path)
    assert made.attributes["tone_of_voice"].values == ("polite", "angry")
    with pytest.raises(InvalidInput, match="has attributes already"):
        actions.find_attributes(place, path, **ask, writes=True)
    assert models()


def test_the_command_refuses_a_job_that_labels(tmp_path):
    path = tmp_path / "task.toml"
    (tmp_path / "pool.csv").write_text("text\na\nb\n")
    path.write_text('[task]\nname = "x"\nlabels = ["a", "b"]\n[data]\npool = "pool.csv"\n')
    done = CliRunner().invoke(app, ["job", "attributes", str(path), "-w", str(tmp_path / "w")])
    assert done.exit_code == 2
    assert "only jobs that create rows have attributes" in done.output
