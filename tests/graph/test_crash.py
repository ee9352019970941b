"""A run killed anywhere goes on, loses no label, pays for no settled call twice, ends the same."""

import os
import subprocess
import sys
from collections import Counter
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from tests_graph_support import KEYWORDS, LABELS

from querist.evals.mock_server import Behaviour, serving
from querist.graph.run import Run
from querist.memory.run.ledger import Ledger
from querist.memory.store import open_store

DRIVER = Path(__file__).with_name("driver.py")
IN_FLIGHT = 4
PRICES = {"openai:bench": {"input": 1, "output": 2}}


def drive(workspace, run_id, *kill) -> subprocess.CompletedProcess:
    command = [sys.executable, str(DRIVER), str(workspace), run_id, *kill]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)


def final_labels(workspace, run_id):
    with open_store(workspace) as store:
        return [
            replace(label, who="") for label in Run.open(store, run_id).view().labelling.labels()
        ]


@pytest.fixture
def provider():
    """Start a provider; what it writes for a prompt depends on how often it was asked for it."""
    with ExitStack() as servers:

        def start():
            behaviour = Behaviour(labels=LABELS, keywords=KEYWORDS, wrong=0.2)
            return servers.enter_context(serving(behaviour))

        yield start


@pytest.fixture
def paid_run(make_run, provider, uneven_pool):
    def make(name="work", **sections):
        models = {
            "annotator": "openai:bench",
            # Each run has its own, so that two runs are told the same.
            "base_url": provider().base_url,
            "in_flight": IN_FLIGHT,
        }
        sections.setdefault("data", {"pool": str(uneven_pool)})
        given = {
            "models": models,
            "prices": PRICES,
            "generator": {"enabled": True},
            "loop": {"rounds": 4, "seed": 1},
            "budget": {"usd": "8"},
        }
        return make_run(name, **(given | sections))

    return make


# In the order in which they can happen: each process goes on where the one before it died.
KILLS = [
    "event:initialized:1", "event:plan:1", "event:selected:1", "replies:9", "event:annotated:1",
    "event:verified:1", "event:answers:1", "event:asked:1", "event:trained:1", "event:round:1",
    "event:generated:1", "replies:5", "event:verified:1", "event:round:1", "event:selected:1",
    "replies:13", "event:asked:1", "event:finished:1",
]  # fmt: skip
# Each takes seconds: five of them by default, all with QUERIST_WHOLE=1.
FEW = ["replies:9", "event:verified:1", "event:asked:1", "event:generated:1", "event:round:1"]
SOME = KILLS if os.environ.get("QUERIST_WHOLE") else FEW


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_killed_in_every_node_and_in_chunks_a_run_ends_as_if_undisturbed(paid_run, tmp_path):
    whole = paid_run("whole")
    first = drive(tmp_path / "whole", whole.id)
    assert first.stdout.strip() == "finished", first.stderr
    expected = final_labels(tmp_path / "whole", whole.id)
    assert len(expected) > 40

    broken = paid_run("broken")
    for kill in SOME:
        ended = drive(tmp_path / "broken", broken.id, kill)
        assert ended.returncode == -9, f"{kill}: {ended.stdout} {ended.stderr}"
    last = drive(tmp_path / "broken", broken.id)
    assert last.stdout.strip() == "finished", last.stderr
    assert final_labels(tmp_path / "broken", broken.id) == expected
    with open_store(tmp_path / "broken") as store:
        ledger = Ledger(store, broken.id)
        settled = Counter(
            line.call_key
            for line in ledger.lines()
            if line.entry == "settle" and not line.detail.get("lost")
        )
        assert max(settled.values()) == 1, "a settled call was paid for again"
        balance = ledger.balance()
        assert balance.settled + balance.reserved <= balance.cap


@pytest.mark.slow
def test_the_cap_holds_with_64_calls_in_flight_and_over_a_kill(make_run, tmp_path):
    behaviour = Behaviour(labels=LABELS, keywords=KEYWORDS, latency=0.02, jitter=0.02)
    with serving(behaviour) as server:
        run = make_run(
            models={"annotator": "openai:bench", "base_url": server.base_url, "in_flight": 64},
            prices={"openai:bench": {"input": 40, "output": 80}},
            budget={"usd": "3"},
            annotator={"votes": 15},
            people={"kind": "none"},
            loop={"rounds": 6, "batch": 60, "chunk": 60},
        )
        workspace = tmp_path / "work"
        assert drive(workspace, run.id, "replies:150").returncode == -9
        assert drive(workspace, run.id, "replies:30").returncode == -9
        assert drive(workspace, run.id).stdout.strip() == "finished"
        assert server.counts.most_in_flight > 20
        billed = (server.counts.prompt_tokens * 40 + server.counts.completion_tokens * 80) / 1e6
    with open_store(workspace) as store:
        balance = Ledger(store, run.id).balance()
        assert balance.settled + balance.reserved <= balance.cap
        assert billed <= float(balance.settled + balance.reserved) + 1e-9
        assert billed <= float(balance.cap)
