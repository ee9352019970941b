"""Whatever a message or a page advises exists: options, values, keys, commands, extras."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from pydantic import BaseModel
from typer.main import get_command

from querist.app.terminal.cli import app
from querist.app.terminal.inputs import Inputs
from querist.graph.config import RunConfig

ROOT = Path(__file__).resolve().parents[1]
MODULES = [
    path
    for folder in ("memory", "tools", "agents", "graph", "app")
    for path in sorted((ROOT / folder).rglob("*.py"))
]
TEMPLATES = sorted((ROOT / "app" / "templates").glob("*.html"))
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SECTIONS = {name: field.annotation for name, field in RunConfig.model_fields.items()}
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*[a-z]")
KEY = re.compile(rf"(?<![\w./{{])({'|'.join(SECTIONS)})\.([A-Za-z_]+)")
SET = re.compile(r"--set ([A-Za-z_]+\.[A-Za-z_.]+)=([\w./-]+)")
COMMAND = re.compile(r"querist ([a-z]+)([^\n]*)")
VARIABLE = re.compile(r"QUERIST_[A-Z]+")
EXTRA = re.compile(r"querist\[([a-z,]+)\]")
# Ends of files' names, what stands for a key, and keys of job files.
NO_KEYS = {
    "completions",
    "checker",
    "sample",
    "toml",
    "py",
    "jsonl",
    "json",
    "csv",
    "md",
    "KEY",
    "html",
}


def commands(group: Any, path: str = "") -> dict[str, set[str]]:
    """Map each command to its options."""
    options = {
        word for parameter in group.params for word in (*parameter.opts, *parameter.secondary_opts)
    }
    known = {path: options | {"--help"}}
    for name, command in getattr(group, "commands", {}).items():
        known |= commands(command, f"{path} {name}".strip())
    return known


KNOWN = commands(get_command(app))
GROUPS = {"app", "inbox", "job", "lessons", "strategies"}
"""Names under which the command line declares its commands."""


def _command_in(words: str) -> str:
    """Find the command that words begin with: one of a group, else the first word."""
    first, *rest = words.split(" ")
    both = f"{first} {rest[0]}" if rest else first
    return both if both in KNOWN else first


def literals(tree: ast.AST) -> Iterator[str]:
    """Give all string literals; what is put into one is a pair of braces."""
    inside = {
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr)
        for part in node.values
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = [
                value.value if isinstance(value, ast.Constant) else "{}" for value in node.values
            ]
            yield "".join(map(str, parts))
        elif isinstance(node, ast.Constant) and id(node) not in inside:
            yield node.value if isinstance(node.value, str) else ""


def literal_values(hint: object) -> list[str]:
    """List what a `Literal` allows, wherever it stands in a hint."""
    if get_origin(hint) is Literal:
        return list(get_args(hint))
    return [value for part in get_args(hint) for value in literal_values(part)]


def said() -> Iterator[tuple[str, str]]:
    for path in MODULES:
        for text in literals(ast.parse(path.read_text())):
            yield str(path.relative_to(ROOT)), text
    for path in TEMPLATES:
        text = re.sub(r"(?s)<style>.*?</style>|<[^>]+>|{[{%].*?[%}]}", "", path.read_text())
        yield str(path.relative_to(ROOT)), text
    for path in PAGES:
        yield str(path.relative_to(ROOT)), path.read_text()


# What is said to pip is pip's business.
SAID = [(where, re.sub(r"pip install [^'\n]*", "", text)) for where, text in said()]
EXTRAS = [(where, name) for where, text in said() for name in EXTRA.findall(text)]


def is_key(section: str, key: str) -> bool:
    model = SECTIONS[section]
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        return True
    return key in model.model_fields


def test_every_option_that_a_message_names_exists():
    known = {option for options in KNOWN.values() for option in options}
    experiments = " ".join(path.read_text() for path in (ROOT / "evals").rglob("*.py"))
    known |= set(re.findall(r'add_argument\(\s*"(--[a-z-]+)"', experiments))
    known.add("--allow-blocking")  # of LangGraph's own command
    wrong = [
        (where, option)
        for where, text in SAID
        for option in OPTION.findall(text)
        if option not in known
    ]
    assert not wrong


def test_every_key_that_a_message_names_exists():
    wrong = [
        (where, f"{section}.{key}")
        for where, text in SAID
        for section, key in KEY.findall(text)
        if key not in NO_KEYS and not is_key(section, key)
    ]
    assert not wrong


def test_every_command_that_a_message_names_exists_with_its_options():
    wrong = [
        (where, command, option)
        for where, text in SAID
        for first, rest in COMMAND.findall(text)
        for command in (_command_in(first + re.match(r"( [a-z]+)?", rest)[0]),)
        for option in ("", *OPTION.findall(re.split(r"\.\s|querist |`", rest)[0]))
        if command not in KNOWN or (option and option not in KNOWN[command])
    ]
    assert not wrong


def test_every_command_that_is_put_together_exists():
    calls = [
        (str(path.relative_to(ROOT)), next(literals(call.args[0]), ""))
        for path in MODULES
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr == "command"
        and not (isinstance(call.func.value, ast.Name) and call.func.value.id in GROUPS)
        and call.args
    ]
    assert len(calls) > 5
    wrong = [
        (where, words)
        for where, words in calls
        for command in (_command_in(words),)
        if command not in KNOWN or set(OPTION.findall(words)) - KNOWN[command]
    ]
    assert not wrong


def test_every_value_that_a_message_offers_is_taken():
    choices = {
        word: set(values)
        for command in app.registered_commands
        for hint in get_type_hints(command.callback, include_extras=True).values()
        for values in (literal_values(hint),)
        for option in getattr(hint, "__metadata__", ())
        for word in (option.default, *(option.param_decls or ()))
        if values
    }
    assert {"--people", "--format"} <= set(choices)
    wrong = [
        (where, option, value)
        for where, text in SAID
        for option, value in re.findall(r"(--[a-z-]+) ([a-z-]+)\b", text)
        if option in choices and value not in choices[option]
    ]
    assert not wrong


def test_every_change_that_a_message_offers_is_taken():
    changes = [(where, *change) for where, text in SAID for change in SET.findall(text)]
    assert ("tools/data/columns.py", "data.header", "false") in changes
    for where, key, value in changes:
        if key == "section.key":
            continue
        value = "local" if value.rstrip(".") == "NAME" else value  # noqa: PLW2901
        inputs = Inputs(pool="p.csv", labels="a,b", changes=[f"{key}={value}"])
        assert inputs.config(), (where, key)


def test_every_variable_that_a_message_names_is_read():
    whole = {text for _, text in SAID}
    wrong = [
        (where, name)
        for where, text in SAID
        for name in VARIABLE.findall(text)
        if name not in whole
    ]
    assert not wrong


def test_every_extra_that_a_message_names_exists():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    known = set(project["optional-dependencies"])
    assert EXTRAS
    assert not [(where, names) for where, names in EXTRAS if set(names.split(",")) - known]
