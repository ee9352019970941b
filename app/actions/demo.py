"""`querist demo`: the whole loop on the bundled example, and what the language model does alone."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from importlib.resources import as_file, files
from typing import TYPE_CHECKING

import typer

from querist.app.actions.driving import drive, finish
from querist.app.actions.quoting import show_quote
from querist.app.terminal.inputs import Inputs
from querist.app.terminal.place import Place
from querist.app.terminal.screen import Screen, percent

if TYPE_CHECKING:
    from querist.graph.run import Run


def show(place: Place, *, budget: str | None, seed: int | None, changes: Sequence[str]) -> None:
    """Run the example and compare it with the language model alone."""
    from querist.graph.run import Run

    screen = Screen()
    with as_file(files("querist.examples.tenant_requests") / "task.toml") as task:
        config = Inputs(task=task, budget=budget, seed=seed, changes=changes).config()
        screen.line(
            "Messages of tenants to their building's manager are to be sorted into "
            f"{len(config.task.labels)} classes. A small language model inside this process labels "
            "them, and a person is asked where that pays."
        )
        if config.people.kind == "simulated":
            screen.line(
                "The person is SIMULATED: the answers come from the example's own labels, and "
                f"{config.people.error_rate:.0%} of them are wrong on purpose.",
                style="yellow",
            )
        with place.open(must_exist=False) as store:
            run = Run.create(config, store, tell=screen.line)
            screen.line(f"Run {run.id} in {place.workspace}")
            show_quote(screen, run.quote())
            driven = drive(run, screen, place)
            code = finish(run, driven, screen, place)
            if driven[0].status == "finished" and config.annotator.enabled:
                _compare(run, screen)
    raise typer.Exit(code)


def _target(run: Run) -> list[tuple[str, str]]:
    """The model to take home, if it is another."""
    from querist.memory.events import Delivered

    found = run.view().journal.bodies(Delivered)
    return [
        (f"the model to take home ({body.trainer})", percent(body.test))
        for body in found[-1:]
        if body.test is not None
    ]


def _compare(run: Run, screen: Screen) -> None:
    """Let the language model label the test texts by itself, with the same prompt."""
    from querist.graph.baseline import llm_alone

    screen.line()
    with screen.waiting("For comparison, the language model alone labels the test texts ..."):
        alone = asyncio.run(llm_alone(run))
    rounds = run.view().journal.rounds()
    test = rounds[-1].detail.get("test") if rounds else None
    screen.title("Accuracy on the test texts")
    screen.table(
        ["who", "accuracy>"],
        [
            ("the language model alone, same demonstrations", percent(alone)),
            ("the model that the loop trained", percent(test)),  # type: ignore[arg-type]
            *_target(run),
        ],
    )
