"""A plug-in as somebody else would write it: the page's own example, installed and run."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "extending.md"
BROKEN = "[querist.strategy]\nlost = no_such_module\nmargin = wordy:wordy\n"


def found_in(pattern: str) -> list:
    found = re.findall(pattern, PAGE.read_text(), re.DOTALL)
    assert found, pattern
    return found


def example() -> str:
    return found_in(r"<!-- plug-in: wordy.py -->\n```python\n(.*?)```")[0]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as pip leaves it: the module, and the metadata with its entry points."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "wordy.py").write_text(example())
    info = folder / "querist_wordy-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: querist-wordy\nVersion: 1.0\n")
    tables = found_in(r'\[project\.entry-points\."([\w.]+)"\]\n(.*?)\n(?:\n|```)')
    assert {group.removeprefix("querist.") for group, _ in tables} == {
        "strategy", "signal", "trainer", "kind", "asking", "answering",
    }  # fmt: skip
    lines = [f"[{group}]\n{body}" for group, body in tables]
    (info / "entry_points.txt").write_text("\n".join(lines).replace('"', "") + "\n")
    return folder


def run(site: Path, *words: object) -> subprocess.CompletedProcess[str]:
    """Run a module in a process that has the plug-in installed."""
    return subprocess.run(
        [sys.executable, *map(str, words)],
        env=os.environ | {"PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


def querist(site: Path, *words: object) -> str:
    done = run(site, "-m", "querist.app.terminal.cli", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def workspace(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run whose task file names the plug-in's strategy and trainer, as the page does."""
    folder = tmp_path_factory.mktemp("run")
    rows = [
        {"text": f"number {i}: {word} film" + " indeed" * (i % 7), "label": label}
        for i in range(40)
        for word, label in (("a great", "5"), ("a dull", "1"))
    ]
    (folder / "pool.jsonl").write_text("\n".join(map(json.dumps, rows[:60])))
    (folder / "test.jsonl").write_text("\n".join(map(json.dumps, rows[60:])))
    page = found_in(r"```toml\n(\[task\].*?)```")[0]
    page = page.replace("[loop]", "[loop]\nrounds = 3\nbatch = 10")
    task = f"""
[data]
pool = "pool.jsonl"
test = "test.jsonl"
text = "text"
gold = "label"
embedder = "hashing"
[annotator]
enabled = false
[generator]
enabled = false
[people]
kind = "simulated"
[budget]
usd = 2.0
{page}
"""
    (folder / "task.toml").write_text(task)
    said = querist(site, "run", folder / "task.toml", "-w", folder / "work")
    (folder / "said.txt").write_text(said)
    return folder


def test_the_example_keeps_the_contracts(site: Path) -> None:
    for port, name in (
        ("strategy", "wordy(most=0.9)"),
        ("signal", "loudness"),
        ("trainer", "word_counts"),
        ("kind", "stars"),
    ):
        done = run(site, "-m", "querist.evals.contracts", port, name)
        assert done.stdout == f"{name}: keeps the contract\n", done.stdout + done.stderr


def test_the_example_is_explained_like_any_other(site: Path) -> None:
    said = querist(site, "strategies", "show", "wordy")
    assert "most = 0.95  (a number, at least 0, at most 1)" in said


def test_a_run_selects_by_the_plug_in_and_delivers_its_model(site: Path, workspace: Path) -> None:
    folder = next((workspace / "work" / "runs").glob("*/model"))
    config = json.loads((folder / "config.json").read_text())
    assert config["trainer"] == "word_counts"
    said = (workspace / "said.txt").read_text()
    assert re.search(r"Take home word_counts: share within one star \d+", said)
    assert "the loop's own head only steered" in said
    assert config["embedder"] is None
    assert list(config["weights"]["files"]) == ["words.json"]
    said = querist(site, "status", folder.parent.name, "-w", workspace / "work")
    assert "The task file names this strategy" in said
    new, out = workspace / "new.jsonl", workspace / "out.csv"
    new.write_text('{"text": "a great film"}\n{"text": "a dull film"}\n')
    querist(site, "predict", folder, new, "-o", out, "--force")
    assert [line.split(",")[1] for line in out.read_text().splitlines()[1:]] == ["5", "1"]


def test_without_the_package_its_model_and_names_are_refused_with_the_reason(
    workspace: Path, tmp_path: Path
) -> None:
    folder = next((workspace / "work" / "runs").glob("*/model"))
    new = tmp_path / "new.jsonl"
    new.write_text('{"text": "a great film"}\n')
    words = ("-m", "querist.app.terminal.cli")
    done = run(tmp_path, *words, "predict", folder, new, "-o", tmp_path / "out.csv")
    assert done.returncode == 2
    assert "Install the package that brings it" in " ".join((done.stdout + done.stderr).split())
    done = run(tmp_path, *words, "quote", workspace / "task.toml")
    assert "training.target" in done.stdout + done.stderr


def test_a_broken_plug_in_stops_nothing_and_is_told(site: Path, tmp_path: Path) -> None:
    (tmp_path / "wordy.py").write_text(example())
    info = tmp_path / "broken-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(BROKEN)
    said = " ".join(querist(tmp_path, "strategies").split())
    assert "Not usable: lost: no_such_module cannot be loaded (ModuleNotFoundError" in said
    done = run(tmp_path, "-m", "querist.app.terminal.cli", "strategies", "show", "lost")
    assert done.returncode == 2
    assert "uninstall the package" in " ".join((done.stdout + done.stderr).split())
