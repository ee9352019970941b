"""Everything the nodes work with: the run's part of the store, its models, its pool in memory.

Made once per process and run; it holds no state that the store does not hold, so a crash loses
nothing with it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from querist.agents.annotator.prompt import Demonstration
from querist.agents.mind import Deliberation
from querist.agents.models.port import ChatModel
from querist.graph.config import RunConfig, make_config
from querist.graph.workplace.embedding import metering
from querist.graph.workplace.models import Models
from querist.graph.workplace.pool_view import Bank, PoolView
from querist.graph.workplace.task_likeness import TaskLikeness
from querist.memory.asking.inbox import Inbox
from querist.memory.events import EventBody, Notice
from querist.memory.files import RunFiles
from querist.memory.records import Event, Example, ExampleId, Split, Task, content_id
from querist.memory.run.journal import Journal
from querist.memory.run.labelling import Labelling
from querist.memory.run.ledger import Ledger
from querist.memory.run.mailbox import Mailbox
from querist.memory.run.pool import Pool
from querist.memory.run.runs import RunRow, Runs
from querist.memory.store import Lease, Store
from querist.memory.workspace.embeddings import EmbeddingCache
from querist.memory.workspace.lessons import Lessons
from querist.memory.workspace.vectors import VectorIndex
from querist.tools.embedding.embedders import Embedder, shared_embedder
from querist.tools.embedding.served import Connect, connected
from querist.tools.kinds import AnswerSet, Kind, answers_of, kind_of
from querist.tools.opinions.signals import SIGNALS, Signal

if TYPE_CHECKING:
    from langgraph.runtime import RunControl

_FloatArray = NDArray[np.floating]
Listener = Callable[[Event], None]


@dataclass(slots=True)
class Deliberations:
    """Language-model minds by agent; an agent without one decides by its rules."""

    by_agent: dict[str, Deliberation[Any, Any]] = field(default_factory=dict)


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
        self.lessons = Lessons(store)
        self.files = RunFiles(store, run.id, lease=lease)
        self.mailbox = Mailbox(store, run.id)
        self.deliberations = deliberations or Deliberations()
        self.control: RunControl | None = None
        self._listener = listener
        self.models = Models(
            self.config,
            self.ledger,
            folder=store.folder / "models",
            may_spend=lease.may_write,
            tell=lambda words: self.emit(Notice(words)),
            given=models,
        )
        self.audited: set[ExampleId] | None = None
        """The examples that people are asked about to measure the model, once read."""
        self.kept: tuple[int, Any] | None = None
        """The round that was trained last by this process, and the knowledge it was trained on."""

    @classmethod
    def to_look(
        cls, store: Store, run: RunRow, *, models: dict[str, ChatModel] | None = None
    ) -> Context:
        """Read a run without the right to change it."""
        return cls(store, run, Lease.to_look(run.id), models=models)

    @cached_property
    def view(self) -> PoolView:
        """The pool as the run sees it."""
        return PoolView(
            self.pool,
            task=self.task,
            embedder=self.embedder,
            cache=self._vectors,
            tell=self.emit,
        )

    @cached_property
    def bank(self) -> Bank:
        """The labelled examples that demonstrations are retrieved from."""
        name = f"bank {self.run.id}"
        return Bank(self.view, lambda: VectorIndex(self.store.folder / "chroma", name=name))

    @cached_property
    def likeness(self) -> TaskLikeness:
        """How alike tasks are, by the run's own embedder."""
        name = f"lessons {self.config.data.embedder}"
        return TaskLikeness(
            lambda: self.embedder,
            self._vectors,
            lambda: VectorIndex(self.store.folder / "chroma", name=name),
        )

    @cached_property
    def embedder(self) -> Embedder:
        """What turns texts into vectors, paid from the run's budget where it costs money."""
        return connected(shared_embedder(self.config.data.embedder), self.meter)

    @property
    def meter(self) -> Connect:
        """What lets an embedder that costs money spend the run's."""
        return metering(
            config=self.config,
            models=self.models,
            ledger=self.ledger,
            cache=self._vectors,
            tell=lambda words: self.emit(Notice(words)),
        )

    @cached_property
    def pool_size(self) -> int:
        """How many examples of the pool were imported; texts that agents wrote do not count."""
        return sum(not name.startswith("gen-") for name in self.pool.ids(Split.POOL))

    @cached_property
    def _vectors(self) -> EmbeddingCache:
        return EmbeddingCache(self.store.folder / "embeddings")

    @cached_property
    def signals(self) -> tuple[Signal, ...]:
        """What speaks for an answer, besides the annotator."""
        return tuple(SIGNALS.read(text) for text in self.config.verifier.signals)

    @property
    def answers(self) -> AnswerSet:
        """The answers that there are, in the order of all probability vectors."""
        return answers_of(self.task)

    def emit(self, body: EventBody) -> None:
        """Note an event and tell whoever listens; who only looks at a run notes nothing."""
        if not self.lease.may_write:
            return
        event = self.journal.event(body)
        if self._listener is not None:
            self._listener(event)

    @cached_property
    def given(self) -> tuple[Demonstration, ...]:
        """The demonstrations of the task file.

        One that the pool has, too, goes by the pool's id, so that its answer is never counted as
        the model's own; others are named by their content.
        """
        shown = self.config.annotator.demonstrations
        if not shown:
            return ()
        view, found = self.view, []
        fields = [given.fields(self.task.fields) for given in shown]
        bare = [Example(ExampleId(""), values) for values in fields]
        for given, body, vector in zip(shown, fields, view.embed(bare), strict=True):
            example = Example(ExampleId(f"given-{content_id(body, size=12)}"), body)
            nearest = view.ids[int((view.vectors @ vector).argmax())]
            if view.get([nearest])[0].words == example.words:
                example = replace(example, id=nearest)
            answer = self.kind.read(self.task, given.label)
            assert answer is not None  # the configuration was checked
            found.append(Demonstration(example, answer))
        return tuple(found)

    def touched(self) -> set[ExampleId]:
        """What is not to be asked about: looked at before, or shown with its answer anyway."""
        return self.labelling.touched() | {given.example.id for given in self.given}

    def configure(self, config: RunConfig) -> None:
        """Go on with a changed configuration; models that it names otherwise are opened anew."""
        before = self.task
        self.config, self.task = config, config.as_task()
        self.kind = kind_of(self.task)
        self.models.configure(config)
        if self.task.labels != before.labels:
            self._relabel()

    def _relabel(self) -> None:
        """Forget what was read or made under the names that labels had before."""
        self.labelling.reread()
        self.kept = None
        self.__dict__.pop("given", None)
        if "view" in self.__dict__:
            self.view.retask(self.task)

    async def aclose(self) -> None:
        """Close the models."""
        await self.models.aclose()
