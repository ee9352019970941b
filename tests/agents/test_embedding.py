"""Embeddings of an endpoint: paid once, within the budget, whatever the endpoint does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from querist.agents.models import embedding
from querist.agents.models.embedding import EmbeddingAccess, MeteredEmbedder
from querist.evals.contracts import check_embedder
from querist.evals.mock_server import Behaviour, MockServer, serving
from querist.memory.errors import BudgetExceeded, InvalidInput, ModelRefused, ModelUnavailable
from querist.memory.records import RunId, Task
from querist.memory.run.ledger import Ledger
from querist.memory.run.runs import Runs
from querist.memory.store import open_store
from querist.memory.workspace.embeddings import EmbeddingCache
from querist.tools.embedding.embedders import embed_all
from querist.tools.embedding.served import ServedEmbedder
from querist.tools.money.prices import Price
from querist.tools.money.tokens import counter_for

TEXTS = [f"text {number} is about matter {number % 7}" for number in range(300)]
Make = Callable[..., tuple[MeteredEmbedder, Ledger, MockServer]]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Make an embedder of 16 numbers at a mock server, with its ledger."""
    opened: list[Any] = []

    def enter(context: Any) -> Any:
        opened.append(context)
        return context.__enter__()

    def made(
        *, usd: str = "1", dimensions: int = 16, patience: float = 1, **behaviour: Any
    ) -> tuple[MeteredEmbedder, Ledger, MockServer]:
        server = enter(serving(Behaviour(**behaviour)))
        store = enter(open_store(tmp_path / f"work{len(opened)}"))
        run, runs = RunId("run"), Runs(store)
        runs.create(run, task=Task("t", "classification", ()), dataset="d", config={}, cap=usd)
        ledger = Ledger(store, run, lease=runs.take(run))
        ledger.set_cap(Decimal(usd))
        return (
            MeteredEmbedder(
                ServedEmbedder("mock", base_url=server.base_url, dimensions=dimensions),
                access=EmbeddingAccess("key", in_flight=8, timeout=5, patience=patience),
                price=Price(Decimal(10), Decimal(0)),
                ledger=ledger,
                cache=EmbeddingCache(store.folder / "embeddings"),
                counter=counter_for("openai:mock"),
            ),
            ledger,
            server,
        )

    yield made
    for context in reversed(opened):
        context.__exit__(None, None, None)


def test_it_keeps_the_contract(make: Make) -> None:
    embedder, _, _ = make()
    check_embedder(embedder)


def test_a_text_is_paid_once_and_every_cent_is_in_the_ledger(make: Make) -> None:
    embedder, ledger, server = make()
    cache = EmbeddingCache(ledger.folder / "embeddings")
    vectors = embed_all([*TEXTS, *TEXTS], embedder=embedder, cache=cache)
    assert vectors.shape == (600, 16)
    assert server.counts.requests == 3
    balance = ledger.balance()
    assert balance.settled == Decimal(10) * server.counts.prompt_tokens / 10**6
    assert balance.reserved == 0
    assert embedder.embed(TEXTS) == pytest.approx(vectors[:300])
    assert server.counts.requests == 3
    assert cache.count(embedder.name, dimensions=16) == 300
    assert {line.agent for line in ledger.lines()} == {"embedder"}


def test_nothing_is_sent_that_the_budget_does_not_bear(make: Make) -> None:
    embedder, ledger, server = make(usd="0.001")
    with pytest.raises(BudgetExceeded):
        embedder.embed(TEXTS)
    assert server.counts.requests == 0
    assert ledger.balance().remaining == Decimal("0.001")


def test_refusals_that_pass_are_waited_for_and_cost_nothing(make: Make) -> None:
    embedder, ledger, server = make(mode="429", until=2)
    embedder.embed(TEXTS[:10])
    assert server.counts.requests == 3
    assert ledger.balance().settled == Decimal(10) * server.counts.prompt_tokens / 10**6


@pytest.mark.parametrize(
    ("behaviour", "error", "words"),
    [
        ({"key": "other"}, ModelRefused, "Check the API key"),
        ({"mode": "404"}, ModelRefused, "Check the model's name"),
        ({"mode": "500", "patience": 0.1}, ModelUnavailable, "querist resume"),
        ({"most_characters": 3}, ModelRefused, "even short texts"),
    ],
)
def test_what_fails_says_what_to_do_and_costs_nothing(
    make: Make, behaviour: dict[str, Any], error: type[Exception], words: str
) -> None:
    embedder, ledger, _ = make(**behaviour)
    with pytest.raises(error, match=words):
        embedder.embed(TEXTS[:4])
    assert ledger.balance().remaining == 1


def test_an_answer_that_cannot_be_read_is_charged_and_asked_for_once_more(make: Make) -> None:
    embedder, ledger, server = make(garbage=1.0)
    with pytest.raises(ModelUnavailable):
        embedder.embed(TEXTS[:4])
    assert server.counts.requests == 2
    settled = [line for line in ledger.lines() if line.entry == "settle"]
    assert [line.detail.get("lost") for line in settled] == [True, True]


def test_vectors_of_another_width_are_refused_with_theirs(make: Make) -> None:
    embedder, ledger, _ = make(dimensions=32)
    with pytest.raises(InvalidInput, match="dimensions=16"):
        embedder.embed(TEXTS[:4])
    assert ledger.balance().settled > 0


def test_what_came_before_a_failure_is_kept_and_not_paid_again(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedding, "_A_REQUEST", 50)
    embedder, ledger, server = make(mode="404", after=3)
    with pytest.raises(ModelRefused):
        embedder.embed(TEXTS)
    paid = ledger.balance().settled
    assert len(embedder.unpaid(TEXTS)) == 150
    server.behaviour = Behaviour()
    embedder.embed(TEXTS)
    assert server.counts.answered == server.counts.distinct == 6
    assert ledger.balance().settled > paid
    assert ledger.balance().reserved == 0


def test_a_text_that_is_too_long_is_cut_by_itself_alone(make: Make) -> None:
    embedder, _, _ = make(most_characters=100)
    long = "a word and another " * 20
    company = embedder.embed([*TEXTS[:5], long])
    alone, _, _ = make(most_characters=100)
    assert alone.embed([long])[0] == pytest.approx(company[5])
    assert alone.embed([TEXTS[0]])[0] == pytest.approx(company[0])


def test_a_text_without_content_is_not_sent(make: Make) -> None:
    embedder, _, server = make()
    assert not embedder.embed(["", " \n"]).any()
    assert server.counts.requests == 0


def test_a_forecast_bounds_what_is_paid(make: Make) -> None:
    embedder, ledger, _ = make()
    forecast, ceiling = embedder.expected(embedder.unpaid(TEXTS))
    embedder.embed(TEXTS)
    assert 0 < forecast <= ceiling
    assert ledger.balance().settled <= ceiling
    assert embedder.unpaid(TEXTS) == []
    assert np.isclose(float(forecast), float(ledger.balance().settled), rtol=0.2)
