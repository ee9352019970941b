"""Small pools to select from: usual ones, and those on which strategies have stumbled."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from querist.agents.models.metered import MeteredModel
from querist.agents.models.pacing import Patience
from querist.agents.models.port import ChatRequest
from querist.agents.models.providers.scripted import ScriptedModel
from querist.agents.selector.advice.advisor import Advisor
from querist.memory.records import Example, ExampleId, LabelClass, RunId, Task
from querist.memory.run.ledger import Ledger
from querist.memory.run.runs import Runs
from querist.memory.store import open_store
from querist.tools.compute.arrays import FloatArray
from querist.tools.money.prices import Price
from querist.tools.strategies.querying import Capability, Labelled, QueryContext, Targets
from querist.tools.training.proxy import GradientFactors

TASK = Task(
    "requests",
    "classification",
    tuple(LabelClass(name) for name in ("repair", "billing", "other")),
    "What is the tenant's message about?",
)
_TEXTS = (
    "The heating is broken again.",
    "My invoice for March is wrong.",
    "When does the office open?",
    "Water drips from the ceiling.",
    "Why did you charge me twice?",
    "I like the new garden.",
)
_MEMBERS, _WIDTH = 4, 5


@dataclass(frozen=True, slots=True, eq=False)
class SmallPool:
    """N candidates with all that a strategy can be shown of them, and some labelled ones."""

    name: str
    embeddings: FloatArray
    probabilities: FloatArray
    labelled: FloatArray
    """(L, d)."""
    targets: FloatArray
    is_alike: bool = False
    """Whether all candidates have one text, too."""
    labelled_probabilities: FloatArray = field(init=False)

    def __post_init__(self) -> None:
        """Make up what the model says of the labelled."""
        classes = self.probabilities.shape[1]
        told = np.random.default_rng(6).dirichlet(np.ones(classes), size=len(self.labelled))
        object.__setattr__(self, "labelled_probabilities", told.astype(np.float32))

    def arrays(self) -> dict[str, FloatArray]:
        """Give the arrays that a strategy is shown, and must not change."""
        return {
            "embeddings": self.embeddings,
            "probabilities": self.probabilities,
            "labelled embeddings": self.labelled,
            "targets": self.targets,
        }

    def _fetch(self, ids: Sequence[ExampleId]) -> list[Example]:
        rows = [0 if self.is_alike else int(example_id.rpartition("-")[2]) for example_id in ids]
        return [_example(example_id, row) for example_id, row in zip(ids, rows, strict=True)]

    def context(
        self, requires: frozenset[Capability], *, seed: int, advisor: Advisor | None = None
    ) -> QueryContext:
        """Show what a strategy says it needs, and nothing else."""
        posterior = _committee(self.probabilities)
        guesses = np.eye(self.probabilities.shape[1], dtype=np.float32)
        errors = self.probabilities - guesses[self.probabilities.argmax(axis=1)]
        shown = tuple(_example(f"target-{row}", row) for row in range(len(self.targets)))
        sources: dict[Capability, Callable[[], object]] = {
            Capability.EMBEDDINGS: lambda: self.embeddings,
            Capability.PROBS: lambda: self.probabilities,
            Capability.POSTERIOR: lambda: posterior,
            Capability.GRADIENTS: lambda: GradientFactors(errors, self.embeddings),
            Capability.TEXTS: lambda: self._fetch,
            Capability.TARGETS: lambda: Targets(embeddings=self.targets, examples=shown),
            Capability.TARGET_POSTERIOR: lambda: _committee(self.probabilities[:3]),
            Capability.LLM: lambda: advisor,
        }
        classes = np.arange(len(self.labelled)) % self.probabilities.shape[1]
        return QueryContext(
            ids=[ExampleId(f"row-{row}") for row in range(len(self.embeddings))],
            rng=np.random.default_rng(seed),
            round=1,
            sources={kind: source for kind, source in sources.items() if kind in requires},
            labelled_so_far=lambda: Labelled(
                embeddings=self.labelled,
                classes=classes,
                probabilities=self.labelled_probabilities,
                ids=tuple(ExampleId(f"known-{row}") for row in range(len(self.labelled))),
            ),
        )


def small_pools() -> Iterator[SmallPool]:
    """Give pools of every sort; each is asked for fewer than it has, for all, and for more."""
    rng = np.random.default_rng(1)
    shares = rng.dirichlet(np.ones(3), size=24).astype(np.float32)
    rows = rng.normal(size=(24, _WIDTH)).astype(np.float32)
    targets = rng.normal(size=(3, _WIDTH)).astype(np.float32)
    none = np.empty((0, _WIDTH), dtype=np.float32)
    known = rng.normal(size=(4, _WIDTH)).astype(np.float32)
    even = np.full((24, 3), 1 / 3, dtype=np.float32)
    alike = np.repeat(rows[:1], 24, axis=0)
    yield SmallPool("a usual pool", rows, shares, known, targets)
    yield SmallPool("a pool of which nothing is labelled", rows, shares, none, targets)
    yield SmallPool("a pool of one candidate", rows[:1], shares[:1], known, targets)
    yield SmallPool("a pool of candidates all alike", alike, even, known, targets, is_alike=True)
    yield SmallPool("a pool whose embeddings are all zero", 0 * rows, shares, 0 * known, targets)
    certain = np.eye(3, dtype=np.float32)[np.arange(24) % 3]
    yield SmallPool("a pool of which the model is certain", rows, certain, known, targets)


@contextmanager
def scripted_model(
    answer: Callable[[ChatRequest], str | dict[str, float]], *, usd: str = "1"
) -> Iterator[MeteredModel]:
    """Open a language model that answers from a function, with so much money to spend on it."""
    with TemporaryDirectory() as folder, open_store(Path(folder)) as store:
        runs = Runs(store)
        runs.create(RunId("run"), task=TASK, dataset="d", config={}, cap=Decimal(usd))
        yield MeteredModel(
            ScriptedModel(answer),
            price=Price(Decimal("0.5"), Decimal("1.5")),
            ledger=Ledger(store, "run", lease=runs.take(RunId("run"))),
            agent="selector",
            patience=Patience(total=0.05, first=0.01),
        )


@contextmanager
def scripted_advisor(
    answer: Callable[[ChatRequest], str | dict[str, float]], *, usd: str = "1"
) -> Iterator[Advisor]:
    """Open an advisor that asks such a model."""
    with scripted_model(answer, usd=usd) as model:
        yield Advisor(model, task=TASK)


def reply_sensibly(request: ChatRequest) -> str | dict[str, float]:
    """Answer as a middling model would: a little sure where there are choices."""
    if request.choices:
        share = 1 / len(request.choices)
        return dict.fromkeys(request.choices, share) | {request.choices[0]: share + 0.1}
    return "[1, 2, 3]"


def _committee(probabilities: FloatArray) -> FloatArray:
    """Make up a committee around predictions (N, C): member k shifts every row alike."""
    classes = probabilities.shape[1]
    tilt = np.random.default_rng(5).normal(size=(_MEMBERS, classes))
    raised = (probabilities[:, None, :] + 1e-3) * np.exp(tilt)
    return np.asarray(raised / raised.sum(axis=2, keepdims=True), dtype=np.float32)


def _example(name: str, row: int) -> Example:
    text = f"{_TEXTS[row % len(_TEXTS)]} Case {row}."
    return Example(ExampleId(name), {"text": text})
