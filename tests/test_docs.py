"""The documents say what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from querist.app.terminal.cli import app
from querist.graph.config import RunConfig

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
COMMANDS = {
    command.name or command.callback.__name__
    for command in app.registered_commands
    if command.callback
}
COMMANDS |= {str(group.name) for group in app.registered_groups}


def documented() -> dict[str, dict[str, str]]:
    """Read the tables of docs/configuration.md: section -> key -> default."""
    tables: dict[str, dict[str, str]] = {}
    section = ""
    for line in (ROOT / "docs" / "configuration.md").read_text().splitlines():
        if match := re.fullmatch(r"## \[(\w+)\]", line):
            section = match[1]
            tables[section] = {}
        elif match := re.match(r"\| `(\w+)` \| (.*?) \|", line):
            tables[section][match[1]] = match[2].strip("`").strip("'\"")
    return tables


def declared() -> dict[str, dict[str, str]]:
    """Read the same from the code."""
    tables: dict[str, dict[str, str]] = {}
    for name, field in RunConfig.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            tables[name] = {key: _default(setting) for key, setting in kind.model_fields.items()}
    return tables


def _default(field: object) -> str:
    if getattr(field, "default_factory", None) is not None:
        return "{}"
    value = getattr(field, "default", None)
    if value is PydanticUndefined:
        return "required"
    return str(getattr(value, "value", value))


def test_every_setting_is_documented_with_its_default() -> None:
    assert documented() == declared()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text())
    missing = [target for target in targets if not (page.parent / target).exists()]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_that_is_named_exists(page: Path) -> None:
    named = set(re.findall(r"(?:`|^|\$ )querist ([a-z]+)", page.read_text(), re.MULTILINE))
    assert named <= COMMANDS, named - COMMANDS


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_module_that_is_named_exists(page: Path) -> None:
    modules = re.findall(r"python -m querist\.([\w.]+\w)", page.read_text())
    paths = [ROOT / module.replace(".", "/") for module in modules]
    assert all(
        path.with_suffix(".py").is_file() or (path / "__main__.py").is_file() for path in paths
    ), modules


def test_the_readme_counts_the_strategies_there_are() -> None:
    from querist.tools.strategies import available

    assert len(available()) == 56
    assert "Fifty-six selection strategies" in (ROOT / "README.md").read_text()
