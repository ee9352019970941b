"""What a job that creates rows works with: its run's part of the store, its models, its seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from querist.agents.annotator.prompt import Demonstration
from querist.agents.mind import Agent
from querist.agents.models.metered import MeteredModel
from querist.agents.models.port import ChatModel
from querist.agents.verifier.gates.port import Bench
from querist.graph.config import RunConfig, make_config
from querist.graph.jobs.request import CreateRequest
from querist.graph.workplace.embedding import metering
from querist.graph.workplace.models import Models
from querist.memory.answers import name_of
from querist.memory.events import EventBody, Notice
from querist.memory.files import RunFiles
from querist.memory.records import Example, RunId, Split
from querist.memory.run.journal import Journal
from querist.memory.run.ledger import Ledger
from querist.memory.run.pool import Pool
from querist.memory.run.runs import Runs
from querist.memory.store import Lease, Store
from querist.memory.workspace.creations import Creations
from querist.memory.workspace.embeddings import EmbeddingCache
from querist.tools.embedding.embedders import Embedder, embed_all, shared_embedder
from querist.tools.embedding.served import connected
from querist.tools.gates.port import Setting

PASSAGE = "passage-"
"""How the ids of passages begin."""
DECIDING = (Agent.BUDGET_CONTROLLER, Agent.SELECTOR, Agent.GENERATOR, Agent.VERIFIER)
"""The agents that decide in a create job; the annotator asks where a gate does."""
_SHOWN_A_LABEL = 2
"""Seeds that a checker is shown of each label."""


def config_of(request: CreateRequest) -> RunConfig:
    """Say what models, prices and the embedder need to know, in a run's words."""
    models = request.models.model_dump(mode="json", exclude={"checker"})
    task = {"labels": list(request.labels)} if len(request.labels) > 1 else {"labels": ["a", "b"]}
    body = {
        "minds": request.minds.model_dump(mode="json"),
        "task": {"name": request.name, **task},
        "data": {
            "pool": request.seeds.source or "none",
            "embedder": request.embedder,
        },
        "budget": request.budget.model_dump(mode="json"),
        "models": models,
        "prices": request.prices,
    }
    return make_config(body, source="the job")


@dataclass(frozen=True, slots=True)
class Seeds:
    """What the job is shown."""

    rows: tuple[Example, ...] = ()
    passages: tuple[Example, ...] = ()
    tests: tuple[Example, ...] = ()
    by_label: Mapping[str, tuple[Example, ...]] = field(default_factory=dict)


def seeds_of(examples: Sequence[Example]) -> Seeds:
    """Sort what was read into rows, passages, texts of tests, and rows by label."""
    tests = tuple(example for example in examples if example.split is Split.TEST)
    rest = [example for example in examples if example.split is not Split.TEST]
    rows = tuple(example for example in rest if not example.id.startswith(PASSAGE))
    by_label: dict[str, list[Example]] = {}
    for example in rows:
        if example.gold is not None:
            by_label.setdefault(name_of(example.gold), []).append(example)
    passages = tuple(example for example in rest if example.id.startswith(PASSAGE))
    labelled = {name: tuple(found) for name, found in by_label.items()}
    return Seeds(rows, passages, tests, labelled)


class Workbench:
    """One create job in one process."""

    def __init__(
        self,
        store: Store,
        run: RunId,
        lease: Lease,
        *,
        request: CreateRequest,
        models: Mapping[str, ChatModel] | None = None,
    ) -> None:
        """`models` replaces models by name (tests)."""
        self.store, self.request, self.lease = store, request, lease
        self.task = request.as_task()
        self.ledger = Ledger(store, run, lease=lease)
        self.journal = Journal(store, run, lease=lease)
        self.files = RunFiles(store, run, lease=lease)
        self.creations = Creations(store, run, lease=lease)
        self.config = config_of(request)
        self._dataset = Runs(store).get(run).dataset
        self.models = Models(
            self.config,
            self.ledger,
            folder=store.folder / "models",
            may_spend=lease.may_write,
            tell=self.note,
            given=models,
        )
        self._memo: dict[str, Any] = {}
        self._asked: dict[str, Any] = {}

    def note(self, words: str) -> None:
        """Tell whoever watches something in words."""
        self.emit(Notice(words))

    def emit(self, body: EventBody) -> None:
        """Note an event; who only looks at a job notes nothing."""
        if self.lease.may_write:
            self.journal.event(body)

    @cached_property
    def seeds(self) -> Seeds:
        """Read the seeds from the store."""
        pool = Pool(self.store, dataset=self._dataset)
        return seeds_of([*pool.all(), *pool.all(Split.TEST)])

    @cached_property
    def _embedder(self) -> Embedder:
        connect = metering(
            config=self.config,
            models=self.models,
            ledger=self.ledger,
            cache=self._cache,
            tell=self.note,
        )
        return connected(shared_embedder(self.request.embedder), connect)

    @cached_property
    def _cache(self) -> EmbeddingCache:
        return EmbeddingCache(self.store.folder / "embeddings")

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Give the vectors of texts (N, d), each computed once ever."""
        return embed_all(texts, embedder=self._embedder, cache=self._cache)

    def setting(self, accepted: Sequence[str]) -> Setting:
        """Give what gates may look at."""
        seeds, record = self.seeds, self.request.record
        return Setting(
            seeds=[example.text for example in seeds.rows],
            tests=[example.text for example in seeds.tests],
            labelled=[
                (example.text, label)
                for label, examples in seeds.by_label.items()
                for example in examples
            ],
            wanted=self.request.wanted,
            accepted=accepted,
            schema=None if record is None else record.json_schema,
            embed=self.embed,
            memo=self._memo,
        )

    def writer(self, number: int) -> MeteredModel:
        """Give the model that writes, to spend on in a wave."""
        return self.models.named(self.request.models.writer, agent="generator", number=number)

    def bench(self, gate: str, number: int) -> Bench:
        """Give what a gate that asks a model works with."""
        checker = self.request.models.checker or ""

        def model(name: str) -> MeteredModel:
            return self.models.named(name or checker, agent=f"gate {gate}", number=number)

        memo = self._asked.setdefault(gate, {})
        return Bench(self.task, model, shown=self._demonstrations, memo=memo)

    @cached_property
    def _demonstrations(self) -> tuple[Demonstration, ...]:
        # In turns, so that no label is shown more often than another.
        found = [
            examples[place]
            for place in range(_SHOWN_A_LABEL)
            for examples in self.seeds.by_label.values()
            if place < len(examples)
        ]
        return tuple(
            Demonstration(replace(example, gold=None), example.gold)
            for example in found
            if example.gold is not None
        )
