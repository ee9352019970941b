"""Runs over the bundled example, with a mock provider or a scripted model."""

import json
from contextlib import ExitStack

import pytest
from tests_graph_support import EXAMPLE, LABELS, weak_annotator

from querist.agents.models.providers.scripted import ScriptedModel
from querist.graph.config import make_config
from querist.graph.run import Run
from querist.memory.store import open_store


@pytest.fixture
def pool_file(tmp_path):
    lines = (EXAMPLE / "pool.jsonl").read_text().splitlines()[:160]
    path = tmp_path / "pool.jsonl"
    path.write_text("\n".join(lines))
    return path


@pytest.fixture
def uneven_pool(tmp_path):
    """A pool with one rare class, so that the generator has something to do."""
    rows = [json.loads(line) for line in (EXAMPLE / "pool.jsonl").read_text().splitlines()]
    rare = [row for row in rows if row["label"] == "billing"][:4]
    common = [row for row in rows if row["label"] != "billing"][:150]
    path = tmp_path / "uneven.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in common + rare))
    return path


@pytest.fixture
def open_workspace(tmp_path):
    """Open workspaces of the test by name; all are closed at its end."""
    with ExitStack() as opened:
        yield lambda name: opened.enter_context(open_store(tmp_path / name))


@pytest.fixture
def make_run(open_workspace, pool_file):
    """Make a run in a workspace of its own; keywords change sections of its configuration."""

    def make(name="work", **sections):
        body = {
            "task": {"name": "tenants", "labels": dict.fromkeys(LABELS, "")},
            "data": {
                "pool": str(pool_file),
                "test": str(EXAMPLE / "test.jsonl"),
                "text": "text",
                "gold": "label",
                "embedder": "hashing",
            },
            "budget": {"usd": "4", "human_label_usd": "0.05"},
            "people": {"kind": "simulated", "error_rate": 0.1},
            "loop": {"rounds": 3, "batch": 20, "chunk": 8, "seed": 3},
            "generator": {"enabled": False},
        }
        for section, values in sections.items():
            body.setdefault(section, {}).update(values)
        return Run.create(make_config(body, source="test"), open_workspace(name))

    return make


@pytest.fixture
def scripted(make_run):
    """Make a run whose local model is scripted; its calls are kept."""

    def make(name="work", reply=weak_annotator, **sections):
        model = ScriptedModel(reply, name="local")
        return make_run(name, **sections).use(models={"local": model}), model

    return make
