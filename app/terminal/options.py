"""The options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

Workspace = Annotated[
    Path,
    typer.Option("--workspace", "-w", envvar="QUERIST_WORKSPACE", help="Where runs are kept."),
]
Database = Annotated[
    str | None,
    typer.Option(
        "--database",
        envvar="QUERIST_DATABASE",
        show_envvar=True,
        help="A PostgreSQL address, instead of a SQLite file in the workspace.",
    ),
]
RunName = Annotated[
    str | None,
    typer.Argument(metavar="RUN", help="A run, or the beginning of its name [default: newest]."),
]

TaskFile = Annotated[
    Path | None, typer.Argument(metavar="TASK.TOML", help="A task file; see examples/.")
]
PoolFile = Annotated[
    str | None,
    typer.Option("--pool", help="Examples: .jsonl .json .csv .tsv .txt .parquet, or hf://NAME."),
]
TextColumn = Annotated[
    str | None,
    typer.Option("--text", metavar="COLUMN", help="Which column holds the text; A,B: several."),
]
Labels = Annotated[str | None, typer.Option("--labels", metavar="A,B,C", help="The classes.")]
Kind = Annotated[
    str | None,
    typer.Option(
        "--kind",
        metavar="KIND",
        help="Of task: classification, matching, relation, preference, or a plug-in's.",
    ),
]
IdColumn = Annotated[
    str | None,
    typer.Option("--id", metavar="COLUMN", help="Which column holds ids; `none`: none does."),
]
GoldColumn = Annotated[
    str | None,
    typer.Option("--gold", metavar="COLUMN", help="Known labels; only reports look at them."),
]
Encoding = Annotated[
    str | None,
    typer.Option("--encoding", metavar="NAME", help="Of text files [default: found by itself]."),
]
TestFile = Annotated[
    str | None, typer.Option("--test", metavar="FILE", help="Labelled examples for the report.")
]
Instructions = Annotated[
    str | None, typer.Option("--instructions", metavar="TEXT", help="What annotators go by.")
]
Budget = Annotated[str | None, typer.Option("--budget", metavar="USD", help="What it may cost.")]
HumanLabelUsd = Annotated[
    str | None,
    typer.Option("--human-label-usd", metavar="USD", help="What a person's answer costs."),
]
Model = Annotated[
    str | None, typer.Option("--model", metavar="NAME", help="Who labels; see: querist models")
]
BaseUrl = Annotated[
    str | None,
    typer.Option("--base-url", metavar="URL", help="An OpenAI-compatible server, ends in /v1."),
]
Prices = Annotated[
    list[str] | None,
    typer.Option(
        "--price", metavar="MODEL=IN,OUT", help="USD per million tokens; may be given again."
    ),
]
People = Annotated[
    Literal["inbox", "simulated", "none"] | None,
    typer.Option("--people", help="Who answers questions."),
]
Change = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Change a key, as loop.batch=20; may be given again."
    ),
]
Rounds = Annotated[
    str | None, typer.Option("--rounds", metavar="N", help="How many rounds it may have in all.")
]
Stay = Annotated[
    bool | None,
    typer.Option(
        "--stay/--leave",
        help="Stay while it waits for people [default: at a terminal].",
        show_default=False,
    ),
]
Form = Annotated[
    Literal["jsonl", "csv", "parquet", "hf", "label-studio"] | None,
    typer.Option("--format", "-f", help="What to write [default: by the name of --output]."),
]
Force = Annotated[bool, typer.Option("--force", help="Replace what is there.")]
Seed = Annotated[int | None, typer.Option("--seed", help="Draw other random numbers.")]
