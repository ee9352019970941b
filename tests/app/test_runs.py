"""A run from its first word to its report, and everything that people do with it on the way."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from querist.app.terminal.cli import app
from querist.evals.mock_server import Behaviour, serving
from querist.graph.run import Run
from querist.memory.asking.inbox import Inbox
from querist.memory.records import CallKey
from querist.memory.run.ledger import Ledger, Request
from querist.memory.run.runs import Runs
from querist.memory.store import Store, open_store

NASTY = "<script>alert(1)</script> the film was great & good \x1b[31m"
QUICK = (
    "--set",
    "data.embedder=hashing",
    "--set",
    "generator.enabled=false",
    "--set",
    "loop.plateau_window=9",
)
PEOPLE_ONLY = (*QUICK, "--set", "annotator.enabled=false")


def ask(*words: object, typed: str | None = None) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], input=typed)


def done(*words: object, typed: str | None = None) -> str:
    result = ask(*words, typed=typed)
    assert result.exit_code == 0, f"{result.output}\n{result.exception!r}"
    return result.output


def write_pool(path: Path, count: int = 40, *, start: int = 0) -> Path:
    rows = [
        {
            "id": f"e{i}",
            "text": f"number {i}: {'a great film' if i % 2 else 'a dull film'}",
            "label": "good" if i % 2 else "bad",
        }
        for i in range(start, start + count)
    ]
    rows[1]["text"] = f"{NASTY}{start or ''}"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return path


@contextmanager
def opened(workspace: Path) -> Iterator[Store]:
    with open_store(workspace) as store:
        yield store


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    return write_pool(tmp_path / "pool.jsonl")


@pytest.fixture
def work(tmp_path: Path) -> Path:
    return tmp_path / "work"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a finished run whose person was simulated."""
    folder = tmp_path_factory.mktemp("finished")
    pool, test = write_pool(folder / "pool.jsonl"), write_pool(folder / "test.jsonl", 20, start=100)
    output = done(
        "run",
        "--pool",
        pool,
        "--labels",
        "good,bad",
        "--gold",
        "label",
        "--test",
        test,
        "--people",
        "simulated",
        "--budget",
        "1",
        *PEOPLE_ONLY,
        "--set",
        "loop.rounds=2",
        "--set",
        "people.error_rate=0.05",
        "-w",
        folder / "work",
    )
    (folder / "output.txt").write_text(output)
    return folder


# ---------------------------------------------------------------- what a run says


def test_a_run_tells_import_quote_progress_and_summary_in_plain_lines(finished: Path) -> None:
    output = (finished / "output.txt").read_text()
    assert "pool.jsonl: 40 of 40 rows imported." in output
    assert "people\tup to 20 answers at 0.05 USD\t1.00 USD\t1.00 USD" in output
    assert re.search(
        r"^Round 1 done: .* % \(.*\), test .*; \d+ labels, \d+ by people;", output, re.MULTILINE
    )
    assert "simulated, wrong on purpose in 5%" in output
    assert re.search(r"^Money     (\S+) USD of 1.00 USD: people \1 USD$", output, re.MULTILINE)
    assert re.search(r"^Report    .*report.html$", output, re.MULTILINE)
    assert "\x1b" not in output


def test_status_lists_runs_and_shows_one(finished: Path) -> None:
    table = done("status", "-w", finished / "work").splitlines()
    assert table[0].startswith("run\tstatus\t")
    name, status = table[1].split("\t")[:2]
    assert status == "finished"
    said = done("status", name[:8], "-w", finished / "work")
    assert "Latest decisions" in said
    assert "budget_controller (rules)" in said


def test_a_run_whose_process_died_is_interrupted(finished: Path, tmp_path: Path) -> None:
    work = copied(finished / "work", tmp_path)
    with opened(work) as store:
        runs = Runs(store)
        lease = runs.take(runs.get().id)
        runs.set_status(lease, "running")
        runs.give_up(lease)
    assert "\tinterrupted\t" in done("status", "-w", work)


def copied(work: Path, target: Path) -> Path:
    import shutil

    shutil.copytree(work, target / "copy")
    return target / "copy"


def test_a_finished_run_can_neither_pause_nor_stop(finished: Path) -> None:
    for command in ("pause", "stop"):
        result = ask(command, "-w", finished / "work")
        assert result.exit_code == 2
        assert "finished" in result.stderr


def test_more_money_lets_a_finished_run_go_on(finished: Path, tmp_path: Path) -> None:
    work = copied(finished / "work", tmp_path)
    output = done("resume", "--budget", "1.50", "-w", work)
    assert "of 1.50 USD" in output
    assert ask("resume", "--budget", "nought", "-w", work).exit_code == 2


# ---------------------------------------------------------------- the report


class Page(HTMLParser):
    """What a page is made of."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def test_the_report_stands_alone_and_escapes_texts(finished: Path, tmp_path: Path) -> None:
    path = tmp_path / "out" / "report.html"
    done("report", "-w", finished / "work", "--output", path)
    text = path.read_text()
    page = Page()
    page.feed(text)
    names = [tag for tag, _ in page.tags]
    assert not {"script", "link", "img", "iframe"} & set(names)
    assert not re.findall(r"https?://|url\(|@import", text)
    assert "default-src 'none'" in text
    assert names.count("svg") >= 4
    assert names.count("table") >= 5
    assert "simulated" in text
    assert "budget controller" in text


def test_the_reports_task_file_is_one_that_runs(finished: Path, tmp_path: Path) -> None:
    from html import unescape

    path = tmp_path / "report.html"
    done("report", "-w", finished / "work", "-o", path)
    config = unescape(re.findall(r"<pre>(.*?)</pre>", path.read_text(), re.DOTALL)[-1])
    (tmp_path / "task.toml").write_text(config)
    assert "up to 20 answers" in done("quote", tmp_path / "task.toml")


def test_open_questions_are_in_the_report_and_cannot_run(pool: Path, work: Path) -> None:
    done(
        "run",
        "--pool",
        pool,
        "--labels",
        "good,bad",
        "--budget",
        "3",
        *PEOPLE_ONLY,
        "--set",
        "loop.rounds=2",
        "--set",
        "loop.batch=40",
        "-w",
        work,
    )
    path = next(work.glob("runs/*/report.html"))
    text = path.read_text()
    assert "Open questions" in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "<script>" not in text


# ---------------------------------------------------------------- export


def test_export_writes_what_stands_and_where_it_came_from(finished: Path, tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    done("export", "-w", finished / "work", "-o", path)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    people = [row for row in rows if row["source"] == "human"]
    assert {row["who"] for row in people} == {"human:simulated"}
    with opened(finished / "work") as store:
        settled = Ledger(store, Runs(store).get().id).balance().settled
    assert sum(Decimal(row["usd"]) for row in rows) == settled > 0
    words = ("export", "-w", finished / "work", "-o", path, "--all")
    assert "replace it with --force" in ask(*words).output
    assert "Wrote 40 examples" in done(*words, "--force")
    everything = [json.loads(line) for line in path.read_text().splitlines()]
    assert sum(row["label"] is not None for row in everything) == len(rows) < 40


@pytest.mark.parametrize("form", ["csv", "parquet", "label-studio"])
def test_every_format_is_written(finished: Path, tmp_path: Path, form: str) -> None:
    done("export", "-w", finished / "work", "-f", form, "-o", tmp_path / "labels.out")
    assert (tmp_path / "labels.out").stat().st_size > 100


def test_an_unknown_format_is_refused(finished: Path, tmp_path: Path) -> None:
    result = ask("export", "-w", finished / "work", "-f", "xml", "-o", tmp_path / "x")
    assert result.exit_code == 2
    assert "label-studio" in result.stderr


# ---------------------------------------------------------------- people


@pytest.fixture
def waiting(pool: Path, work: Path) -> Path:
    """A workspace whose run waits for people."""
    output = done(
        "run",
        "--pool",
        pool,
        "--labels",
        "good,bad",
        "--budget",
        "0.60",
        *PEOPLE_ONLY,
        "--set",
        "loop.rounds=2",
        "-w",
        work,
    )
    assert "querist inbox" in output
    return work


def answers(work: Path) -> dict[str, str]:
    with opened(work) as store:
        inbox = Inbox(store, Runs(store).get().id)
        return {
            question.id: getattr(question.answer, "value", "")
            for question in inbox.all(status="answered")
        }


def test_keys_answer_skip_undo_and_quit(waiting: Path) -> None:
    output = done("inbox", "-w", waiting, "--name", "ann", typed="?m1u2sx1q")
    assert "2 answers, 1 skipped" in output
    assert "take back your last answer" in output
    assert "no guess to show" in output  # the seed is asked without a guess
    assert sorted(answers(waiting).values()) == ["bad", "good"]
    assert "querist resume" in output


def test_the_text_is_shown_without_what_a_terminal_obeys(waiting: Path) -> None:
    output = done("inbox", "-w", waiting, typed="s" * 30)
    assert "\x1b" not in output
    assert "No questions are open for you." in output


def test_there_is_nothing_to_undo_at_first(waiting: Path) -> None:
    assert "nothing to undo" in done("inbox", "-w", waiting, typed="uq")


def test_a_resumed_run_uses_the_answers(waiting: Path) -> None:
    done("inbox", "-w", waiting, typed="12" * 20)
    output = done("resume", "-w", waiting)
    assert re.search(r"Labels    [1-9]\d* of 40 examples: \d+ by people", output)


def test_a_stop_closes_a_waiting_run_at_its_next_resume(waiting: Path) -> None:
    assert "querist resume" in done("stop", "-w", waiting)
    assert "said stop" in done("resume", "-w", waiting)
    assert "\tfinished\t" in done("status", "-w", waiting)


def test_real_key_presses_are_read_one_by_one(waiting: Path) -> None:
    parent, child = pty.openpty()
    command = [sys.executable, "-m", "querist.app.terminal.cli", "inbox", "-w", str(waiting)]
    with subprocess.Popen(
        command,
        stdin=child,
        stdout=child,
        stderr=child,
        close_fds=True,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "100"},
    ) as process:
        os.close(child)
        for keys in (b"1", b"\x1b[A", b"2", b"q"):
            read_until(parent, b"? help")
            os.write(parent, keys)
        process.wait(timeout=20)
    os.close(parent)
    assert process.returncode == 0
    assert sorted(answers(waiting).values()) == ["bad", "good"]


def read_until(descriptor: int, words: bytes) -> bytes:
    seen = b""
    while words not in seen:
        seen += os.read(descriptor, 4096)
    return seen


# ---------------------------------------------------------------- a provider


def served(url: str, pool: Path, work: Path, *more: object) -> tuple[object, ...]:
    return (
        "run",
        "--pool",
        pool,
        "--labels",
        "good,bad",
        "--model",
        "mock",
        "--base-url",
        url,
        "--price",
        "mock=1,2",
        "--budget",
        "1",
        "--people",
        "none",
        *QUICK,
        "--set",
        "loop.rounds=2",
        "--set",
        "loop.batch=10",
        "-w",
        work,
        *more,
    )


def test_a_served_model_labels_and_its_bill_is_shown(pool: Path, work: Path) -> None:
    behaviour = Behaviour(keywords={"great": "good", "dull": "bad"}, limit=0.1)
    with serving(behaviour) as server:
        output = done(*served(server.base_url, pool, work))
        assert server.counts.answered == server.counts.distinct > 0
    assert re.search(r"Money     0\.\d+ USD of 1.00 USD: annotator", output)
    assert "not accuracy" in output


def test_a_wrong_key_is_one_message_with_the_remedy(pool: Path, work: Path) -> None:
    with serving(Behaviour(key="right")) as server:
        result = ask(*served(server.base_url, pool, work))
    assert result.exit_code == 6
    assert "Check the API key" in result.stderr
    assert "Traceback" not in result.output
    assert "\tfailed\t" in done("status", "-w", work)


def test_ctrl_c_pauses_and_a_resume_finishes(pool: Path, work: Path) -> None:
    with serving(Behaviour(latency=0.3)) as server:
        words = served(
            server.base_url, pool, work, "--set", "loop.chunk=2", "--set", "models.in_flight=1"
        )
        command = [sys.executable, "-m", "querist.app.terminal.cli", *map(str, words)]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            assert process.stdout is not None
            while "selected" not in process.stdout.readline():
                pass
            time.sleep(0.2)
            process.send_signal(signal.SIGINT)
            output = process.stdout.read()
        assert process.returncode == 130, output
        assert "Pausing at the next step" in output
        assert "querist resume" in output
        server.behaviour = Behaviour()
        assert "\tpaused\t" in done("status", "-w", work)
        done("resume", "-w", work)
        assert server.counts.answered == server.counts.distinct
    assert "\tfinished\t" in done("status", "-w", work)


# ---------------------------------------------------------------- money in doubt


def test_reconcile_wants_to_know_and_then_settles(finished: Path, tmp_path: Path) -> None:
    work = copied(finished / "work", tmp_path)
    assert "no reservations in doubt" in done("reconcile", "-w", work)
    with opened(work) as store:
        runs = Runs(store)
        run = runs.get().id
        lease = runs.take(run)
        ledger = Ledger(store, run, lease=lease)
        settled = ledger.balance().settled
        ledger.set_cap(Decimal(2))
        ledger.reserve([Request(CallKey("call"), Decimal("0.25"), "annotator")])
        runs.give_up(lease)
    result = ask("reconcile", "-w", work)
    assert result.exit_code == 2
    assert "--billed or --not-billed" in result.stderr
    assert "reconcile" in done("status", run, "-w", work)
    assert "given back" in done("reconcile", run, "--not-billed", "-w", work)
    with opened(work) as store:
        balance = Ledger(store, run).balance()
    assert (balance.settled, balance.reserved) == (settled, Decimal(0))


# ---------------------------------------------------------------- the demo


def test_the_demo_says_that_its_person_is_simulated(tmp_path: Path) -> None:
    output = done(
        "demo",
        "--budget",
        "1",
        "--seed",
        "3",
        "--set",
        "annotator.enabled=false",
        "--set",
        "data.embedder=hashing",
        "--set",
        "loop.rounds=2",
        "-w",
        tmp_path / "work",
    )
    assert "The person is SIMULATED" in output
    assert "5% of them are wrong on purpose" in output
    assert "pool.jsonl: 490 of 490 rows imported." in output
    with opened(tmp_path / "work") as store:
        assert Run.open(store).view().config.loop.seed == 3
