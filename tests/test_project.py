"""The limits and promises that hold for the whole project."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("memory", "tools", "agents", "graph", "app", "evals")
MODULES = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
BIN = Path(sys.executable).parent


def run(*command: str, **options) -> subprocess.CompletedProcess:
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=600, **options
    )


@pytest.mark.parametrize(
    "command",
    [
        [str(BIN / "ruff"), "format", "--check", "."],
        [str(BIN / "ruff"), "check", "."],
        [sys.executable, "-m", "mypy"],
        [str(BIN / "lint-imports")],
    ],
    ids=["format", "lint", "types", "layers"],
)
def test_the_code_passes(command):
    done = run(*command)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]


def test_no_module_is_longer_than_400_lines_and_the_loop_80():
    long = {
        str(path.relative_to(ROOT)): count
        for path in MODULES
        if (count := len(path.read_text().splitlines())) > 400
    }
    assert not long
    assert len((ROOT / "graph" / "loop.py").read_text().splitlines()) <= 80


def test_no_function_is_longer_than_40_lines():
    long = []
    for path in MODULES:
        if "migrations/versions" in str(path):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            body = node.body[0]
            is_documented = isinstance(body, ast.Expr) and isinstance(body.value, ast.Constant)
            start = body.end_lineno if is_documented else node.lineno
            if node.end_lineno - start + 1 > 40:
                long.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}")
    assert not long


def test_only_the_loops_draw_graphs():
    drawers = [str(path.relative_to(ROOT)) for path in MODULES if ".add_node(" in path.read_text()]
    # A server's own two steps around the loop are no part of it.
    loops = ["graph/jobs/creation/loop.py", "graph/loop.py"]
    assert sorted(drawers) == [*loops, "graph/serving.py"]


def test_no_file_names_a_package_index():
    for name in ("pyproject.toml", "constraints.txt", "Makefile", ".ci/run"):
        text = (ROOT / name).read_text()
        assert "index-url" not in text
        assert "://" not in text, name


def test_help_does_not_import_anything_heavy():
    code = (
        "import sys; sys.argv = ['querist', '--help']\n"
        "from querist.app.terminal.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'langgraph', 'chromadb', 'sqlalchemy', 'pydantic', 'openai', 'numpy'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    done = run(sys.executable, "-c", code)
    assert done.returncode == 0, done.stderr


def test_importing_the_graph_package_is_light():
    code = "import sys, querist.graph; assert 'langgraph' not in sys.modules"
    assert run(sys.executable, "-c", code).returncode == 0


def test_what_is_installed_is_all_that_there_is():
    """A checkout that is installed as it lies finds everything; a wheel has what is listed."""
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    tracked = run("git", "ls-files", *FOLDERS, "examples").stdout.splitlines()
    if not tracked:
        pytest.skip("this is no checkout of git")
    packages = {f"querist.{'.'.join(Path(name).parent.parts)}" for name in tracked
                if name.endswith("__init__.py")}  # fmt: skip
    assert packages == set(listed["packages"])
    lost = [name for name in tracked if not name.endswith(".py") and not _is_shipped(name, listed)]
    assert not lost


def _is_shipped(name: str, listed: dict) -> bool:
    """Tell whether a file matches the patterns of the package that it lies in."""
    path = Path(name)
    home = next(folder for folder in path.parents if (ROOT / folder / "__init__.py").exists())
    return any(path.relative_to(home).match(pattern) for pattern in listed["package-data"]["*"])
