"""The command line from outside: light to start, clear when something is wrong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from querist.app.terminal.cli import app
from querist.graph.config import load_config

HEAVY = (
    "torch",
    "langgraph",
    "langchain_core",
    "chromadb",
    "sqlalchemy",
    "pydantic",
    "numpy",
    "rich.console",
    "matplotlib",
    "transformers",
)
POOL = "text,kind\nthe tap drips,water\nthe light is out,power\nno water at all,water\n"


def ask(*words: object, typed: str | None = None) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], input=typed)


def refusal(*words: object) -> str:
    result = ask(*words)
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    return " ".join(result.stderr.split())


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    path = tmp_path / "pool.csv"
    path.write_text(POOL)
    return path


@pytest.fixture
def task(tmp_path: Path, pool: Path) -> Path:
    path = tmp_path / "task.toml"
    path.write_text(
        f'[task]\nlabels = ["water", "power"]\n[data]\npool = "{pool.name}"\n'
        'embedder = "hashing"\n[annotator]\nenabled = false\n'
    )
    return path


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom querist.app.terminal.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "strategies" in done.stdout


@pytest.mark.parametrize(
    "command", [str(o.callback.__name__) for o in app.registered_commands if o.callback]
)
def test_every_command_explains_itself(command: str) -> None:
    result = ask(command, "--help")
    assert result.exit_code == 0
    listed = next(o for o in ask("--help").output.splitlines() if o.startswith(f"  {command} "))
    assert listed.removeprefix(f"  {command}").strip() in result.output


def test_without_a_task_or_a_pool_it_shows_what_to_type() -> None:
    words = refusal("run")
    assert "querist run task.toml" in words
    assert "--labels billing,bug,praise" in words


def test_a_pool_without_labels_is_refused(pool: Path) -> None:
    assert "--labels a,b,c" in refusal("run", "--pool", pool)


def test_a_task_file_and_a_pool_are_refused_together(task: Path, pool: Path) -> None:
    words = refusal("run", task, "--pool", pool, "--labels", "a,b")
    assert "--pool, --labels" in words
    assert "--set data.text" in words


def test_a_missing_task_file_is_named(tmp_path: Path) -> None:
    assert "nothing.toml" in refusal("quote", tmp_path / "nothing.toml")


def test_an_unknown_key_is_refused_with_the_nearest(task: Path) -> None:
    assert "Did you mean 'loop.batch'?" in refusal("quote", task, "--set", "loop.bacth=3")


def test_a_table_is_no_key(task: Path) -> None:
    assert "loop.KEY=VALUE" in refusal("quote", task, "--set", "loop=3")


def test_a_change_without_a_value_is_refused(task: Path) -> None:
    assert "KEY=VALUE" in refusal("quote", task, "--set", "loop.batch")


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("--set", "loop.batch=many"), "loop.batch = 'many'"),
        (("--budget", "-1"), "budget.usd"),
        (("--budget", "much"), "not an amount of money"),
        (("--people", "robots"), "inbox"),
        (("--price", "model=cheap"), "MODEL=INPUT,OUTPUT"),
        (("--set", "people.error_rate=2"), "people.error_rate"),
    ],
)
def test_wrong_values_are_named(task: Path, words: tuple[str, ...], hint: str) -> None:
    assert hint in refusal("quote", task, *words)


def test_two_labels_of_one_name_are_refused(pool: Path) -> None:
    assert "names water twice" in refusal("run", "--pool", pool, "--labels", "water,power,water")


def test_labels_with_commas_stand_in_quotes(tmp_path: Path) -> None:
    pool = tmp_path / "pool.csv"
    pool.write_text('text,kind\nthe tap drips,"water, wet"\nthe light is out,power\n')
    labels = 'power, "water, wet"'
    words = ("quote", "--pool", pool, "--labels", labels, "--gold", "kind", "--model", "local")
    result = ask(*words, "--set", "annotator.enabled=false", "--people", "simulated")
    assert result.exit_code == 0, result.output
    assert "gold labels from 'kind'" in result.output


@pytest.mark.parametrize("words", [(), ("--encoding", "latin-1"), ("--encoding", "cp1252")])
def test_a_file_in_another_encoding_is_read(task: Path, pool: Path, words: tuple[str, ...]) -> None:
    pool.write_bytes(POOL.replace("tap drips", "café").encode("latin-1"))
    for source in ((task,), ("--pool", pool, "--labels", "water,power")):
        result = ask("quote", *source, *words, "--set", "annotator.enabled=false")
        assert result.exit_code == 0, result.output
        assert ("read as Windows-1252" in result.output) is (not words)


def test_columns_of_a_task_file_may_be_named_on_the_command_line(task: Path, pool: Path) -> None:
    pool.write_text("note,remark,kind\nx y,the tap drips,water\nz y,no light,power\n")
    assert "--text note,remark" in refusal("quote", task)
    result = ask("quote", task, "--text", "note,remark", "--gold", "kind", "--id", "none")
    assert result.exit_code == 0, result.output
    assert "Text from 'note', 'remark'" in result.output


def test_an_unknown_column_is_refused_and_no_run_is_made(pool: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    words = refusal("run", "--pool", pool, "--text", "txt", "--labels", "water,power", "-w", work)
    assert "no column 'txt'" in words
    assert ask("status", "-w", work).output.startswith("There are no runs here yet")


def test_a_base_url_for_the_local_model_is_refused(pool: Path) -> None:
    words = refusal("run", "--pool", pool, "--labels", "a,b", "--base-url", "http://127.0.0.1:9/v1")
    assert "--model NAME" in words


def test_a_model_without_a_price_is_refused_before_a_run_is_made(
    pool: Path, tmp_path: Path
) -> None:
    result = ask(
        "run",
        "--pool",
        pool,
        "--labels",
        "a,b",
        "--model",
        "openai:nobody",
        "-w",
        tmp_path / "work",
    )
    assert result.exit_code == 6
    assert "--price openai:nobody=INPUT,OUTPUT" in result.stderr
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize("command", ["status", "resume", "pause", "stop", "report", "inbox"])
def test_looking_where_nothing_is_makes_no_workspace(command: str, tmp_path: Path) -> None:
    words = refusal(command, "-w", tmp_path / "nowhere")
    assert "no workspace" in words
    assert not (tmp_path / "nowhere").exists()


def test_a_quote_leaves_nothing_behind(
    task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    result = ask("quote", task, "--budget", "2", "--human-label-usd", "0.25")
    assert result.exit_code == 0, result.output
    assert "people\tup to 3 answers at 0.25 USD\t0.75 USD\t0.75 USD" in result.output
    assert sorted(tmp_path.rglob("*")) == before


def test_an_unexpected_error_asks_for_a_report(monkeypatch: pytest.MonkeyPatch) -> None:
    def break_down() -> None:
        raise ZeroDivisionError("by nought")

    monkeypatch.setattr("querist.app.views.listing.show_models", break_down)
    result = ask("models")
    assert result.exit_code == 1
    assert "ZeroDivisionError: by nought" in result.stderr
    assert "--debug" in result.stderr


def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def break_down() -> None:
        raise ZeroDivisionError("by nought")

    monkeypatch.setattr("querist.app.views.listing.show_models", break_down)
    monkeypatch.setenv("QUERIST_DEBUG", "1")
    assert isinstance(ask("models").exception, ZeroDivisionError)


def test_models_say_what_they_lack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    lines = ask("models").output.splitlines()
    assert any(line.startswith("local\t0\t0\t") for line in lines)
    mini = next(line for line in lines if line.startswith("openai:gpt-4o-mini\t"))
    assert mini.endswith("no: set OPENAI_API_KEY")
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    lines = ask("models").output.splitlines()
    assert next(o for o in lines if o.startswith("openai:gpt-4o-mini\t")).endswith("yes")


def test_strategies_are_listed_from_the_registry() -> None:
    from querist.tools.strategies import available

    output = ask("strategies").output
    assert all(f"\n{strategy.name}\t" in output for strategy in available())


def test_a_strategy_is_explained_with_its_source_and_cost() -> None:
    result = ask("strategies", "show", "badge")
    assert result.exit_code == 0
    assert "Ash et al. 2020" in result.output
    assert "--set loop.strategy=badge" in result.output


def test_a_strategy_is_explained_with_its_parameters() -> None:
    output = ask("strategies", "show", "contrastive").output
    assert "neighbours = 10  (a whole number, at least 1)" in output
    assert "--set loop.strategy='contrastive(neighbours=10)'" in output


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("loop.strategy=contrastive(neighbors=5)", "Did you mean 'neighbours'?"),
        ("loop.strategy=bage", "Did you mean badge"),
        ("loop.stopping_rule=plato", "Did you mean plateau"),
        ("data.embedder=bert", "There are: hashing, joined, minilm"),
    ],
)
def test_a_wrong_name_or_parameter_is_refused_with_its_key(
    task: Path, change: str, words: str
) -> None:
    said = refusal("quote", task, "--set", change)
    assert words in said
    assert change.partition("=")[0] in said


def test_parameters_of_a_strategy_stand_in_a_table(task: Path) -> None:
    table = '[loop.strategy]\nname = "contrastive"\nneighbours = 5\n'
    task.write_text(f"{task.read_text()}\n{table}")
    assert load_config(task).loop.strategy == "contrastive(neighbours=5)"


def test_an_unknown_strategy_gets_a_near_name() -> None:
    assert "badge" in refusal("strategies", "show", "bage")


def test_a_strategy_for_targets_without_targets_is_refused_before_a_run_is_made(
    task: Path,
) -> None:
    assert "data.test" in refusal("quote", task, "--set", "loop.strategy=go")


def test_a_quote_counts_what_a_strategy_may_ask(pool: Path) -> None:
    words = ("quote", "--pool", pool, "--labels", "water,power", "--model", "mock", "--price")
    more = ("mock=1,2", "--base-url", "http://127.0.0.1:9/v1", "--set", "loop.strategy=ask_llm")
    assert "questions of the strategy ask_llm" in ask(*words, *more).output


@pytest.mark.parametrize(
    ("embedder", "words"),
    [
        ("sentence_transformers", "sentence_transformers needs a model"),
        ('sentence_transformers(model="/nowhere")', "There is no folder /nowhere"),
        ('openai(model="made-up", dimensions=8, base_url="ftp://x")', "is no address"),
    ],
)
def test_an_embedder_that_cannot_be_had_is_refused_before_a_run_is_made(
    task: Path, embedder: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    said = refusal("run", task, "--set", f"data.embedder={embedder}", "-w", task.parent / "new")
    assert words in said
    assert not (task.parent / "new").exists()


def test_an_embedder_without_its_key_is_refused_before_a_run_is_made(
    task: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    result = ask("run", task, "--set", "data.embedder=openai", "-w", task.parent / "new")
    assert result.exit_code == 6, result.output
    assert "needs an API key: set OPENAI_API_KEY" in result.stderr
    assert not (task.parent / "new").exists()
