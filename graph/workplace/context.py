"""Everything the nodes work with: the run's part of the store, its models, its pool in memory.

Made once per process and run; it holds no state that the store does not hold, so a crash loses
nothing with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from querist.agents.annotator.prompt import Demonstration
from querist.agents.models.catalogue import ModelSettings, open_model
from querist.agents.models.metered import MeteredModel, Overrun
from querist.agents.models.pacing import Patience
from querist.agents.models.port import ChatModel
from querist.graph.config import RunConfig, api_key, make_config
from querist.memory.embeddings import EmbeddingCache
from querist.memory.events import Embedded, EventBody, Notice
from querist.memory.files import RunFiles
from querist.memory.inbox import Inbox
from querist.memory.journal import Journal
from querist.memory.labelling import Labelling
from querist.memory.ledger import Ledger
from querist.memory.mailbox import Mailbox
from querist.memory.pool import Pool
from querist.memory.records import Event, Example, ExampleId, Split, Task, content_id
from querist.memory.runs import RunRow, Runs
from querist.memory.store import Lease, Store
from querist.memory.vectors import VectorIndex
from querist.tools.embedding.embedders import EMBEDDERS, Embedder, embed_all
from querist.tools.kinds import AnswerSet, Kind, kind_of
from querist.tools.money.prices import Price, PriceList

if TYPE_CHECKING:
    from langgraph.runtime import RunControl

FloatArray = NDArray[np.floating]
Listener = Callable[[Event], None]


@dataclass(frozen=True, slots=True, eq=False)
class PoolView:
    """The pool in memory: ids in their order and their vectors (N, d)."""

    ids: tuple[ExampleId, ...]
    vectors: FloatArray
    rows: dict[ExampleId, int]

    def of(self, examples: Sequence[ExampleId]) -> FloatArray:
        """Look up vectors (len, d)."""
        return np.asarray(self.vectors[[self.rows[one] for one in examples]])


@dataclass(slots=True)
class Deliberations:
    """Language-model minds by agent; an agent without one decides by its rules."""

    by_agent: dict[str, Any] = field(default_factory=dict)


# LangGraph takes dataclasses for contexts; nothing else of a dataclass is wanted here.
@dataclass(init=False, eq=False, repr=False)
class Context:
    """One run in one process."""

    def __init__(
        self,
        store: Store,
        run: RunRow,
        lease: Lease,
        *,
        listener: Listener | None = None,
        models: dict[str, ChatModel] | None = None,
        deliberations: Deliberations | None = None,
    ) -> None:
        """`models` replaces named models (tests, embedding in other programs)."""
        self.store = store
        self.run = run
        self.lease = lease
        self.config: RunConfig = make_config(run.config, source=f"run {run.id}")
        self.task: Task = self.config.as_task()
        self.kind: Kind = kind_of(self.task)
        self.runs = Runs(store)
        self.pool = Pool(store, dataset=run.dataset, run=run.id)
        self.ledger = Ledger(store, run.id, lease=lease)
        self.labelling = Labelling(store, run.id, lease=lease)
        self.journal = Journal(store, run.id, lease=lease)
        self.inbox = Inbox(store, run.id)
        self.files = RunFiles(store, run.id, lease=lease)
        self.mailbox = Mailbox(store, run.id)
        self.deliberations = deliberations or Deliberations()
        self.control: RunControl | None = None
        self._listener = listener
        self._given_models = dict(models or {})
        self._models = dict(self._given_models)
        self._retired: list[ChatModel] = []
        self._overruns: dict[str, Overrun] = {}
        self._metered: dict[str, MeteredModel] = {}
        self.kept: tuple[int, Any] | None = None
        """The round that was trained last by this process, and the knowledge it was trained on."""
        self._view: PoolView | None = None
        self._remembered: set[ExampleId] = set()

    @cached_property
    def prices(self) -> PriceList:
        """Prices, with those of the task file on top."""
        return PriceList.load(self.config.prices)

    @cached_property
    def embedder(self) -> Embedder:
        """What turns texts into vectors."""
        return EMBEDDERS.read(self.config.data.embedder)

    @cached_property
    def bank(self) -> VectorIndex:
        """The index over labelled examples that demonstrations are retrieved from."""
        return VectorIndex(self.store.folder / "chroma", name=f"bank {self.run.id}")

    @cached_property
    def _embeddings(self) -> EmbeddingCache:
        return EmbeddingCache(self.store.folder / "embeddings")

    def emit(self, body: EventBody) -> None:
        """Note an event and tell whoever listens; who only looks at a run notes nothing."""
        if not self.lease.may_write:
            return
        event = self.journal.event(body)
        if self._listener is not None:
            self._listener(event)

    def model(self, agent: str) -> MeteredModel:
        """Open an agent's model, metered under the agent's name."""
        if agent not in self._metered:
            name = (
                self.config.generator_model
                if agent == "generator"
                else self.config.models.annotator
            )
            self._metered[agent] = self.metered(name, agent=agent)
        return self._metered[agent]

    def metered(self, name: str, *, agent: str) -> MeteredModel:
        """Open a model by its name for an agent to spend on; `aclose` closes it."""
        key = f"{agent}:{name}"
        if key not in self._metered:
            self._metered[key] = MeteredModel(
                self._open(name),
                price=self.price(name),
                ledger=self.ledger,
                agent=agent,
                patience=Patience(total=self.config.models.patience),
                overrun=self._overrun(name),
                tell=self._notice,
            )
        return self._metered[key]

    def price(self, name: str) -> Price:
        """Find a model's price; raises `ModelRefused` when nobody set one."""
        return self.prices.price_of(name)

    def view(self) -> PoolView:
        """The pool in memory, read once; see `add_generated`."""
        if self._view is None:
            ids = tuple(self.pool.ids(Split.POOL))
            vectors = self.embed(self.pool.all(Split.POOL))
            self._view = PoolView(ids, vectors, {one: row for row, one in enumerate(ids)})
        return self._view

    def add_generated(self, examples: list[Example]) -> None:
        """Let the pool grow."""
        self.pool.add(examples, lease=self.lease)
        self._view = None

    @property
    def answers(self) -> AnswerSet:
        """The answers that there are, in the order of all probability vectors."""
        return AnswerSet(self.kind.answers(self.task))

    def known(self, split: Split) -> list[Example]:
        """Fetch the examples of a split whose answer the file gives."""
        answers = self.answers
        return [one for one in self.pool.all(split) if answers.place(one.gold) >= 0]

    def embed(self, examples: Sequence[Example]) -> FloatArray:
        """Give examples their vectors (N, d), made of their parts as the kind of task wants it."""
        parts = [self.kind.parts(example) for example in examples]
        if not parts:
            return np.empty((0, self.embedder.dimensions), dtype=np.float32)
        return self.kind.join([self.embed_texts(list(texts)) for texts in zip(*parts, strict=True)])

    def embed_texts(self, texts: list[str]) -> FloatArray:
        """Embed texts through the workspace's cache, telling the listener how far it is."""
        told = 0

        def progress(done: int, total: int) -> None:
            nonlocal told
            if done == total or done - told >= 512:
                told = done
                self.emit(Embedded(done, total))

        return embed_all(texts, embedder=self.embedder, cache=self._embeddings, progress=progress)

    def remember(self, examples: list[ExampleId]) -> None:
        """Put examples of the pool into the bank that demonstrations are retrieved from."""
        news = [one for one in examples if one not in self._remembered]
        if news:
            self.bank.put(news, self.view().of(news))
            self._remembered.update(news)

    @cached_property
    def given(self) -> tuple[Demonstration, ...]:
        """The demonstrations of the task file.

        One that the pool has, too, goes by the pool's id, so that its answer is never counted as
        the model's own; others are named by their content.
        """
        shown = self.config.annotator.demonstrations
        if not shown:
            return ()
        view, found = self.view(), []
        fields = [one.fields(self.task.fields) for one in shown]
        bare = [Example(ExampleId(""), one) for one in fields]
        for one, body, vector in zip(shown, fields, self.embed(bare), strict=True):
            example = Example(ExampleId(f"given-{content_id(body, size=12)}"), body)
            nearest = view.ids[int((view.vectors @ vector).argmax())]
            if self.examples([nearest])[0].words == example.words:
                example = replace(example, id=nearest)
            answer = self.kind.read(self.task, one.label)
            assert answer is not None  # the configuration was checked
            found.append(Demonstration(example, answer))
        return tuple(found)

    def touched(self) -> set[ExampleId]:
        """What is not to be asked about: looked at before, or shown with its answer anyway."""
        return self.labelling.touched() | {one.example.id for one in self.given}

    def examples(self, ids: list[ExampleId]) -> list[Example]:
        """Fetch examples by id."""
        return self.pool.get(ids)

    def configure(self, config: RunConfig) -> None:
        """Go on with a changed configuration; models that it names otherwise are opened anew."""
        changed = config.models != self.config.models or config.prices != self.config.prices
        self.config, self.task = config, config.as_task()
        self.kind = kind_of(self.task)
        if changed:
            self._retired += [metered.model for metered in self._metered.values()]
            self._metered.clear()
            self._models = dict(self._given_models)
            self.__dict__.pop("prices", None)

    async def aclose(self) -> None:
        """Close the models."""
        models = [*self._retired, *(metered.model for metered in self._metered.values())]
        closing = [model.aclose() for model in {id(model): model for model in models}.values()]
        # One that cannot be closed does not keep the others open.
        for outcome in await asyncio.gather(*closing, return_exceptions=True):
            if outcome is not None:
                raise outcome

    def _overrun(self, name: str) -> Overrun:
        """What a model billed beyond its limits, known to all agents that use it."""
        if name not in self._overruns:
            self._overruns[name] = Overrun(output=self.ledger.most_output(name))
        return self._overruns[name]

    def _notice(self, words: str) -> None:
        self.emit(Notice(words))

    def _open(self, name: str) -> ChatModel:
        if name not in self._models:
            section = self.config.models
            self._models[name] = open_model(
                name,
                ModelSettings(
                    cache=self.store.folder / "models",
                    base_url=section.base_url,
                    # Who only looks (a quote) sends nothing and needs no key.
                    api_key=api_key(self.config) or "none" * (not self.lease.may_write),
                    in_flight=section.in_flight,
                    timeout=section.timeout,
                    threads=section.threads,
                    thinking=section.thinking,
                    tell=self._notice,
                ),
            )
        return self._models[name]
