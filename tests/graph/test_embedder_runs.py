"""Whole runs whose vectors are bought: quoted, paid from the budget, predicted with again."""

import asyncio
import json
from decimal import Decimal

import pytest
from tests_graph_support import EXAMPLE

from querist.app.actions.predicting import predict
from querist.app.terminal.place import Place
from querist.evals.mock_server import Behaviour, serving
from querist.memory.errors import InvalidInput, ModelRefused
from querist.tools.training.model_folder import Model

PRICES = {"openai:mock": {"input": 10, "output": 40}}


@pytest.fixture
def server():
    with serving(Behaviour(dimensions=32)) as server:
        yield server


def bought(make, server, name="work", call="", **sections):
    call = call or f'openai(model="mock", base_url="{server.base_url}", dimensions=32)'
    return make(
        name,
        data={"embedder": call},
        prices=PRICES,
        annotator={"enabled": False},
        loop={"rounds": 2, "batch": 20, "chunk": 20},
        **sections,
    )


def spent(run):
    return run.view().ledger.by_agent().get(("embedder", "llm"), Decimal(0))


def test_a_run_quotes_and_pays_its_vectors_and_its_model_predicts(make_run, server, tmp_path):
    run = bought(make_run, server)
    quote = run.quote()
    line = next(line for line in quote.lines if line.agent == "embedder")
    assert "texts by openai:mock" in line.what
    assert server.counts.requests == 0
    assert asyncio.run(run.drive()).status == "finished"
    assert Decimal(0) < spent(run) <= line.ceiling
    assert server.counts.answered == server.counts.distinct
    assert not [line for line in run.quote().lines if line.agent == "embedder"]
    folder = run.view().files.path("model")
    model = Model.load(folder)
    assert model.is_served
    with pytest.raises(InvalidInput, match="cost money"):
        model.predict(["a cold radiator"])
    new = tmp_path / "new.jsonl"
    new.write_text("\n".join(json.dumps({"text": f"a cold radiator {i}"}) for i in range(5)))
    before = spent(run)
    place = Place(run.store.folder)
    predict(
        place, run.id, str(new), output=tmp_path / "out.jsonl", form=None, fields=(),
        encoding=None, header=True, force=False,
    )  # fmt: skip
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 5
    assert spent(run) > before
    connected = model.connected(run.view().meter)
    assert len(connected.predict([f"a cold radiator {i}" for i in range(5)]).labels) == 5


def test_a_run_may_join_bought_vectors_with_free_ones(make_run, server):
    inner = f"openai(model='mock', base_url='{server.base_url}', dimensions=32)"
    run = bought(make_run, server, call=f'joined(first="hashing", second="{inner}")')
    assert asyncio.run(run.drive()).status == "finished"
    assert spent(run) > 0
    assert server.counts.answered == server.counts.distinct


def test_a_budget_that_cannot_pay_the_vectors_is_refused_before_anything_is_sent(make_run, server):
    run = bought(make_run, server, budget={"usd": "0.051"})
    quote = run.quote()
    assert not quote.affordable
    assert "data.embedder=minilm" in quote.advice
    assert server.counts.requests == 0


@pytest.mark.parametrize(
    ("call", "words"),
    [("openai", "needs an API key"), ('openai(model="x", dimensions=8)', "No price is known")],
)
def test_without_a_key_or_a_price_nothing_is_sent(make_run, server, monkeypatch, call, words):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    run = bought(make_run, server, call=call)
    if "x" in call:
        monkeypatch.setenv("OPENAI_API_KEY", "key")
    with pytest.raises(ModelRefused, match=words):
        asyncio.run(run.drive())
    assert EXAMPLE.exists()
