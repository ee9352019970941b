"""`querist doctor --mind`: a model sits the exams of the five agents, and the result is kept."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from querist.app.terminal.place import Place
from querist.app.terminal.screen import Screen, dollars, duration
from querist.memory.records import LabelClass, RunId, Task, utc_now
from querist.memory.run.ledger import Ledger
from querist.memory.run.runs import Runs
from querist.memory.store import open_store
from querist.tools.kinds import DEFAULT

if TYPE_CHECKING:
    from querist.agents.deliberation.exams import Examined, ExamResult
    from querist.graph.config import RunConfig
    from querist.graph.workplace.models import Models

_CAP = Decimal(1)
"""What all exams together may cost at most."""
_ONE = Decimal("0.02")
"""What one situation may cost."""


def sit_exams(config: RunConfig, place: Place) -> None:
    """Let a configuration's model sit every exam, and keep the results in the workspace."""
    from querist.agents.deliberation.exams import Examined

    screen = Screen()
    screen.title(f"Exams of {config.mind_model}")
    kept = Examined.of(place.workspace)
    with ledger_apart() as ledger:
        results = asyncio.run(_sit_all(config, ledger, screen, kept))
        usd = ledger.balance().settled
    screen.line(f"The exams cost {dollars(usd)}. The results are kept in {place.workspace}.")
    failed = [result.agent for result in results if not result.passed]
    if failed:
        names = ", ".join(name.replace("_", " ") for name in failed)
        screen.line(f"With minds.mind=auto it is not asked for the {names}.")


async def _sit_all(
    config: RunConfig, ledger: Ledger, screen: Screen, kept: Examined
) -> list[ExamResult]:
    from querist.agents.deliberation.examining import sit
    from querist.graph.minds.consulting import BRIEFS
    from querist.graph.minds.exams import EXAMS

    models = models_of(config, ledger, screen)
    results = []
    try:
        for agent, situations in EXAMS.items():
            name = agent.replace("_", " ")
            with screen.waiting(f"The exam of the {name}, {len(situations)} situations ..."):
                result = await sit(
                    BRIEFS[agent],
                    situations,
                    models.named(config.mind_model, agent=agent),
                    usd=_ONE,
                    seconds=config.minds.seconds,
                    day=utc_now().date(),
                )
            results.append(result)
            kept.keep([result])  # one by one: the next may take long, and be interrupted
            verdict = "passed" if result.passed else "not passed"
            screen.line(f"  {name}: {verdict}. {result.words}.")
            screen.line(f"      spoken to by {result.speech}, {duration(result.seconds)}")
    finally:
        await models.aclose()
    return results


def models_of(config: RunConfig, ledger: Ledger, screen: Screen) -> Models:
    """Open models for a configuration, to spend from a ledger."""
    from querist.graph.workplace.models import Models

    return Models(
        config,
        ledger,
        folder=ledger.folder / "models",
        may_spend=True,
        tell=lambda words: screen.line(f"  note: {words}"),
    )


@contextmanager
def ledger_apart() -> Iterator[Ledger]:
    """Open a ledger of its own: what is tried for a person is no run's expense."""
    task = Task("exam", DEFAULT.name, (LabelClass("a"), LabelClass("b")))
    with (
        tempfile.TemporaryDirectory(prefix="querist-exam-") as folder,
        open_store(Path(folder)) as store,
    ):
        runs, run = Runs(store), RunId("exam")
        runs.create(run, task=task, dataset="", config={}, cap=_CAP)
        yield Ledger(store, run, lease=runs.take(run))
