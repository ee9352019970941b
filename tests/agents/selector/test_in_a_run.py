"""A run whose selector asks the language model: paid, kept, and told of."""

import asyncio
import json
from decimal import Decimal

import pytest
from tests_graph_support import EXAMPLE, LABELS

from querist.agents.models.providers.scripted import ScriptedModel
from querist.graph.config import make_config
from querist.graph.run import Run
from querist.memory.run.ledger import Ledger
from querist.memory.store import open_store


@pytest.fixture
def drive(tmp_path):
    pool = tmp_path / "pool.jsonl"
    lines = (EXAMPLE / "pool.jsonl").read_text().splitlines()[:80]
    pool.write_text("\n".join(lines))

    def go(strategy, reply):
        body = {
            "task": {"name": "tenants", "labels": dict.fromkeys(LABELS, "")},
            "data": {
                "pool": str(pool),
                "test": str(EXAMPLE / "test.jsonl"),
                "text": "text",
                "gold": "label",
                "embedder": "hashing",
            },
            "budget": {"usd": "4", "human_label_usd": "0.05"},
            "people": {"kind": "simulated", "error_rate": 0.0},
            "loop": {"rounds": 3, "batch": 10, "chunk": 8, "seed": 3, "strategy": strategy},
            "models": {"annotator": "mine"},
            "prices": {"mine": {"input": "0.10", "output": "0.40"}},
            "generator": {"enabled": False},
        }
        with open_store(tmp_path / "work") as store:
            run = Run.create(make_config(body, source="test"), store)
            events = []
            model = ScriptedModel(reply, name="mine")
            asyncio.run(run.use(models={"mine": model}).drive(events.append))
            lines = [line for line in Ledger(store, run.id).lines() if line.agent == "selector"]
        return events, lines, model

    return go


def annotate(request):
    return {name: 0.8 if name == request.choices[0] else 0.04 for name in request.choices}


def test_the_selector_asks_in_the_run_and_its_calls_are_on_the_ledger(drive):
    def reply(request):
        return annotate(request) if request.choices else json.dumps({"ids": list(range(1, 11))})

    events, lines, _ = drive("active_llm", reply)
    chosen = [event.data["strategy"] for event in events if event.kind == "selected"]
    assert "active_llm" in chosen
    assert lines
    assert sum((line.amount for line in lines), Decimal(0)) > 0
    assert not [event for event in events if event.kind == "unadvised"]


def test_a_model_that_fails_is_told_of_and_the_run_goes_on(drive):
    from querist.memory.errors import ModelRefused

    def reply(request):
        if not request.choices:
            raise ModelRefused("no lists here")
        return annotate(request)

    events, _, _ = drive("active_llm", reply)
    told = [event.data["reason"] for event in events if event.kind == "unadvised"]
    assert told
    assert "no lists here" in told[0]
    assert events[-1].kind == "finished"
