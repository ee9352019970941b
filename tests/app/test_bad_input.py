"""Every bad input, as a user meets it: one clear message with the remedy, and nothing lost."""

from __future__ import annotations

import gzip
import json
import os
import re
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from querist.app.terminal.cli import app
from querist.evals.mock_server import Behaviour, serving
from querist.memory.run.runs import Runs
from querist.memory.store import open_store

QUICK = (
    "--set", "data.embedder=hashing",
    "--set", "generator.enabled=false",
    "--set", "loop.plateau_window=9",
    "--set", "loop.rounds=2",
    "--set", "loop.batch=10",
)  # fmt: skip


def ask(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def refusal(*words: object) -> str:
    """Run a command that must fail, and give its one message."""
    result = ask(*words)
    assert result.exit_code not in (0, 1), result.output
    assert "Traceback" not in result.output
    assert len(re.findall(r"^Error: |^Usage: ", result.stderr, re.MULTILINE)) == 1, result.stderr
    return " ".join(result.stderr.split())


def row(number: int) -> dict[str, str]:
    label = "good" if number % 2 else "bad"
    return {"id": f"e{number}", "text": f"number {number}: a {label} film", "label": label}


def jsonl(rows: list[dict[str, str]]) -> bytes:
    return "\n".join(json.dumps(fields) for fields in rows).encode()


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    path = tmp_path / "pool.jsonl"
    path.write_bytes(jsonl([row(i) for i in range(40)]))
    return path


@pytest.fixture
def work(tmp_path: Path) -> Path:
    return tmp_path / "work"


def run(pool: Path, work: Path, *more: object) -> tuple[object, ...]:
    base = ("run", "--pool", pool, "--labels", "good,bad", "-w", work, *QUICK)
    return (*base, "--people", "none", "--budget", "1", *more)


def served(pool: Path, work: Path, url: str, *more: object) -> tuple[object, ...]:
    endpoint = ("--model", "mock", "--base-url", url, "--price", "mock=1,2")
    return (*run(pool, work), *endpoint, *more)


def resumed(work: Path) -> str:
    result = ask("resume", "-w", work)
    assert result.exit_code == 0, result.output
    return result.output


# ---------------------------------------------------------------- files


def conflicting() -> bytes:
    return jsonl([row(1), row(1) | {"text": "another text"}])


def unknown_label() -> bytes:
    return jsonl([*(row(i) for i in range(9)), row(9) | {"label": "goood"}])


FILES: dict[str, tuple[str, Callable[[], bytes] | None, str]] = {
    "missing file": ("nothing.jsonl", None, r"no file .*nothing.jsonl"),
    "empty file": ("empty.jsonl", lambda: b"", r"empty"),
    "one id for two texts": ("twice.jsonl", conflicting, r"e1.*(two|different)"),
    "unknown label in the data": ("label.jsonl", unknown_label, r"goood.*good"),
    "another alphabet": ("p.csv", lambda: "text\nщёлк\n".encode("cp1251"), r"--encoding cp1251"),
    "broken JSON": ("broken.jsonl", lambda: b'{"text": "a"}\n{"text": ', r"line 2"),
    "cut-off gzip": ("cut.jsonl.gz", lambda: gzip.compress(jsonl([row(1)]))[:-9], r"cut.jsonl.gz"),
}


@pytest.mark.parametrize("case", FILES)
def test_a_file_that_cannot_be_used_is_refused_and_no_run_is_made(
    case: str, tmp_path: Path, work: Path
) -> None:
    name, content, expected = FILES[case]
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content())
    words = refusal(*run(path, work, "--text", "text"), "--people", "simulated")
    assert re.search(expected, words), words
    assert "There are no runs here yet" in ask("status", "-w", work).output


def test_a_wrong_column_is_named_with_those_there_are(pool: Path, work: Path) -> None:
    words = refusal(*run(pool, work, "--text", "txt"))
    assert "'txt'" in words
    assert "text" in words


def test_one_class_only_is_refused(pool: Path, work: Path) -> None:
    assert "two labels" in refusal("run", "--pool", pool, "--labels", "good", "-w", work)


def test_one_class_only_in_the_peoples_answers_still_ends_well(tmp_path: Path, work: Path) -> None:
    pool = tmp_path / "pool.jsonl"
    pool.write_bytes(jsonl([row(i) | {"label": "good"} for i in range(30)]))
    people = ("--people", "simulated", "--set", "annotator.enabled=false", "--budget", "1")
    result = ask("run", "--pool", pool, "--labels", "good,bad", "-w", work, *QUICK, *people)
    assert result.exit_code == 0, result.output
    assert "no example was labelled bad" in result.output


def test_a_text_of_five_megabytes_is_labelled_like_any_other(tmp_path: Path, work: Path) -> None:
    pool = tmp_path / "pool.jsonl"
    long = row(0) | {"text": "a good film " * 420_000}
    pool.write_bytes(jsonl([long, *(row(i) for i in range(1, 20))]))
    with serving(Behaviour(keywords={"good": "good", "bad": "bad"})) as server:
        result = ask(*served(pool, work, server.base_url))
    assert result.exit_code == 0, result.output


# ---------------------------------------------------------------- money and models


@pytest.mark.parametrize("budget", ["0", "-3", "lots", "inf"])
def test_a_budget_that_is_no_sum_of_money_is_refused(pool: Path, work: Path, budget: str) -> None:
    assert "budget.usd" in refusal(*run(pool, work), "--budget", budget)


def test_a_budget_too_small_for_one_call_spends_nothing(pool: Path, work: Path) -> None:
    with serving(Behaviour()) as server:
        dear = (*served(pool, work, server.base_url), "--price", "mock=100000,100000")
        words = (*dear, "--budget", "0.001")
        quote = refusal("quote", *(word for word in words[1:] if word not in ("-w", work)))
        assert "does not pay for one label" in quote
        assert "--model local" in quote
        ask(*words)
        assert server.counts.requests == 0
    assert "0.00 USD" in ask("status", "-w", work).output


def test_an_unknown_model_is_refused_with_the_names_there_are(pool: Path, work: Path) -> None:
    assert "local" in refusal(*run(pool, work), "--model", "lokal")


def test_a_model_without_a_price_is_refused_with_the_lines_that_set_one(
    pool: Path, work: Path
) -> None:
    words = refusal(*run(pool, work), "--model", "mock", "--base-url", "http://127.0.0.1:9/v1")
    assert "[prices" in words


# ---------------------------------------------------------------- endpoints


def test_an_unreachable_endpoint_is_named_with_the_remedy(pool: Path, work: Path) -> None:
    with serving(Behaviour()) as server:
        url = server.base_url
    words = refusal(*served(pool, work, url))
    assert "cannot be reached" in words
    assert "querist resume" in words


@pytest.mark.parametrize(
    ("behaviour", "expected"),
    [
        (
            Behaviour(babble=1.0),
            "10 of 10 replies of mock gave no label (100%). One of them: 'I would",
        ),
        (Behaviour(garbage=1.0), "querist resume"),
        (Behaviour(key="right"), "Check the API key"),
        (Behaviour(limit=1.0, retry_after=0.4), "querist resume"),
        (Behaviour(fail=1.0), "querist resume"),
    ],
    ids=["garbage", "half a response", "401", "429 without end", "500 without end"],
)
def test_a_failing_endpoint_is_one_message_and_nothing_is_paid_twice(
    behaviour: Behaviour, expected: str, pool: Path, work: Path
) -> None:
    with serving(behaviour) as server:
        words = (*served(pool, work, server.base_url), "--set", "models.patience=1")
        result = ask(*words)
        assert result.exit_code == 6, result.output
        assert expected in " ".join(result.output.split())
        assert "Traceback" not in result.output
        if behaviour.key:
            return
        server.behaviour = Behaviour(keywords={"good": "good", "bad": "bad"})
        resumed(work)
    assert "\tfinished\t" in ask("status", "-w", work).output


def test_a_minute_of_429_is_waited_out(pool: Path, work: Path) -> None:
    # The minute is 5 refusals long here, with pauses that grow.
    with serving(Behaviour(mode="limit", until=5)) as server:
        result = ask(*served(pool, work, server.base_url))
        assert result.exit_code == 0, result.output
        assert server.counts.requests > 5 + 10


# ---------------------------------------------------------------- workspace


def test_a_workspace_of_a_newer_version_is_left_alone(pool: Path, work: Path) -> None:
    with open_store(work) as store, store.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    assert "Upgrade Querist" in refusal(*run(pool, work))


def test_a_second_process_on_the_same_run_is_refused(pool: Path, work: Path) -> None:
    people = ("--people", "inbox", "--set", "annotator.enabled=false", "--set", "people.wait=true")
    assert ask(*run(pool, work), *people).exit_code in (0, 3, 4), "it waits for people"
    with open_store(work) as store:
        runs = Runs(store)
        lease = runs.take(runs.all()[0].id)
        words = refusal("resume", "-w", work)
        assert "querist status" in words
        runs.give_up(lease)


def test_a_full_disk_stops_the_run_and_a_resume_ends_it(pool: Path, work: Path) -> None:
    pool.write_bytes(jsonl([row(i) | {"text": f"{i} " + "word " * 40} for i in range(300)]))
    words = ["run", "--pool", pool, "--labels", "good,bad", "-w", work, "--people", "simulated"]
    words += ["--budget", "10", "--set", "annotator.enabled=false", *QUICK]
    command = [sys.executable, "-m", "querist.app.terminal.cli", *map(str, words)]
    most = 1_000_000  # bytes that a file may have: reached in the middle of the run

    def fill() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))

    done = subprocess.run(
        command, capture_output=True, text=True, preexec_fn=fill, env=os.environ, check=False
    )
    assert done.returncode == 3, done.stdout + done.stderr
    assert "Free some disk space" in done.stderr
    assert "Traceback" not in done.stderr
    assert "selected" in done.stdout
    resumed(work)
    assert "\tfinished\t" in ask("status", "-w", work).output
