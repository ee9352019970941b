"""The command `querist choose`: names and help only."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from querist.app.terminal import options as o

_What = Annotated[
    str,
    typer.Argument(
        metavar="WHAT",
        help="prompt, context, model, features, hyperparameters, architecture, examples or "
        "evaluation.",
    ),
]
_Subject = Annotated[
    Path | None, typer.Argument(metavar="TASK.TOML", help="A task file; for features a table.")
]
_Arms = Annotated[
    list[str] | None,
    typer.Argument(metavar="ARMS", help="What to choose from: prompt files, contexts, models."),
]
_Method = Annotated[
    str | None,
    typer.Option(
        "--method",
        help="prompt: sh, cr, cr-c, clst, gse, equal; model: sh, cr, cr-c, equal, ucb; context: "
        "sar, go, mmr; evaluation: lure, ase; features: score, rank, seq; architecture: "
        "generations, ti-ucb [default: the first].",
    ),
]
_Evaluations = Annotated[
    int | None,
    typer.Option(
        "--evaluations",
        "-n",
        min=1,
        help="How many labels to ask models for at most; ti-ucb: how many epochs to train.",
    ),
]
_Top = Annotated[
    int | None, typer.Option("--top", min=1, help="How many contexts or features to choose.")
]
_Count = Annotated[
    int | None, typer.Option("--labels", min=1, help="How many examples to have labelled.")
]
_Target = Annotated[
    str | None, typer.Option("--target", metavar="COLUMN", help="What features are to predict.")
]
_Of = Annotated[
    str,
    typer.Option("--of", help="hyperparameters: of the annotator, or of a head on embeddings."),
]
_Propose = Annotated[
    str | None,
    typer.Option("--propose", help="Settings: random, grid, mutation, or llm (asks --model)."),
]
_ByLength = Annotated[
    bool, typer.Option("--by-length", help="examples: a label costs in proportion to words.")
]
_Answers = Annotated[
    Path | None,
    typer.Option("--answers", metavar="FILE", help="evaluation: what --output wrote, labelled."),
]
_Output = Annotated[
    Path | None, typer.Option("--output", "-o", help="Write what was chosen, as JSON lines.")
]


def choose(
    what: _What,
    task: _Subject = None,
    arms: _Arms = None,
    *,
    method: _Method = None,
    evaluations: _Evaluations = None,
    top: _Top = None,
    labels: _Count = None,
    target: _Target = None,
    of: _Of = "annotator",
    propose: _Propose = None,
    by_length: _ByLength = False,
    answers: _Answers = None,
    output: _Output = None,
    encoding: o.Encoding = None,
    budget: o.Budget = None,
    model: o.Model = None,
    base_url: o.BaseUrl = None,
    price: o.Prices = None,
    change: o.Change = None,
    seed: o.Seed = None,
    workspace: o.Workspace = Path(".querist"),
    database: o.Database = None,
) -> None:
    """Choose a prompt, model, settings or examples.

    Rewards come from examples whose label is known. What was tried is kept: the same command goes
    on where it was killed, and pays nothing twice.
    """
    from querist.app.actions.choosing import decide
    from querist.app.terminal.place import Place
    from querist.app.terminal.search_inputs import Wanted

    wanted = Wanted(
        what=what,
        subject=task,
        arms=tuple(arms or ()),
        method=method,
        evaluations=evaluations,
        top=top,
        labels=labels,
        target=target,
        of=of,
        propose=propose,
        by_length=by_length,
        answers=answers,
        output=output,
        encoding=encoding,
        budget=budget,
        model=model,
        base_url=base_url,
        prices=tuple(price or ()),
        changes=tuple(change or ()),
        seed=seed,
    )
    decide(wanted, Place(workspace, database or None))
