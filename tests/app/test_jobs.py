"""Jobs from the command line."""

import json

import pytest
from typer.testing import CliRunner

from querist.app.terminal.cli import app
from querist.memory.store import open_store
from querist.memory.workspace.jobs import Jobs

JOB = """
kind = "create"
name = "thin classes"
rows = 5
gates = ["schema", "exact"]
[task.labels]
noise = "loud neighbours"
rent = "money"
"""


@pytest.fixture
def say(tmp_path):
    (tmp_path / "job.toml").write_text(JOB)

    def run(*words, code=0):
        places = [] if "quote" in words else ["-w", str(tmp_path / "work")]
        words = [str(tmp_path / word) if word.endswith(".toml") else word for word in words]
        done = CliRunner().invoke(app, ["job", *words, *places])
        assert done.exit_code == code, done.output
        return done.output

    return run


def test_a_job_is_handed_in_once_looked_at_paused_resumed_and_ended(say):
    said = say("submit", "job.toml", "--key", "k")
    name = next(line for line in said.splitlines() if line.startswith("Job ")).split()[1]
    assert f"querist job watch {name}" in said
    assert name in say("submit", "job.toml", "--key", "k")
    assert "asks for something else" in say(
        "submit", "job.toml", "--key", "k", "--set", "rows=6", code=2
    )
    listed = say("list")
    assert "queued" in listed
    assert len(listed.splitlines()) == 2
    assert "paused" in say("pause", name[:14])
    assert "cannot be paused" in say("pause", name, code=2)
    assert "queued" in say("resume", name, "--budget", "2")
    assert "of 2.00 USD" in say("show", name)
    assert "queued" in say("extend", name, "--cap", "3")
    assert "of 3.00 USD" in say("show", name)
    assert "neither a pool nor rounds" in say("extend", name, "--rounds", "3", code=2)
    assert "--rows FILE" in say("extend", name, code=2)
    assert "no rows yet" in say("result", name, "-o", "rows.jsonl", code=2)
    assert "cancelled" in say("cancel", name)
    assert "That is final" in say("resume", name, code=2)
    assert f"{name} cancelled: 0 of 5 rows" in say("watch", name)


def test_a_worker_says_what_another_one_still_holds(say, tmp_path):
    say("submit", "job.toml")
    with open_store(tmp_path / "work") as store:
        jobs = Jobs(store)
        lease = jobs.claim()
    done = CliRunner().invoke(app, ["worker", "--once", "-w", str(tmp_path / "work")])
    assert f"Job {lease.job} is with {jobs.worker}. If that one is dead" in done.output
    assert "then run this again" in done.output


def test_caps_hold_over_all_jobs_and_are_shown(say, tmp_path):
    place = ["-w", str(tmp_path / "work")]

    def cap(*words, code=0):
        done = CliRunner().invoke(app, ["workspace", "cap", *words, *place])
        assert done.exit_code == code, done.output
        return " ".join(done.output.split())

    both = "5.00 USD of 5.00 USD; 2.50 USD of 2.50 USD today (UTC)."
    assert both in cap("--usd", "5", "--day-usd", "2.5")
    say("submit", "job.toml")
    assert both in " ".join(say("list").split())
    assert both in " ".join(say("show").split())
    assert "today" not in cap("--day-usd", "none")
    assert "5.00 USD" in cap()
    assert "--day-usd much" in cap("--day-usd", "much", code=2)


def test_a_quote_says_what_ten_million_rows_would_take(say):
    changes = [
        "--set", "rows=10_000_000", "--set", "models.generator=openai:gpt-5-mini",
        "--set", "models.base_url=http://127.0.0.1:9/v1",
    ]  # fmt: skip
    said = say("quote", "job.toml", *changes)
    assert "10,000,000 rows" in said
    assert "The cap pays for about" in said
    assert " days" in said or " h" in said


def test_a_file_that_is_none_and_a_key_that_there_is_not_are_one_message(say, tmp_path):
    assert "There is no job file" in say("submit", "none.toml", code=2)
    assert "there is no such key" in say("submit", "job.toml", "--set", "colour=red", code=2)
    assert "expected KEY=VALUE" in say("submit", "job.toml", "--set", "rows", code=2)
    say("submit", "job.toml")
    assert "no single job is called" in say("show", "nothing", code=2).lower()


def test_a_run_of_a_job_is_not_taken_for_a_run_of_the_loop(say, tmp_path):
    say("submit", "job.toml")
    place = ["-w", str(tmp_path / "work")]
    listed = CliRunner().invoke(app, ["status", *place])
    assert listed.exit_code == 0, listed.output
    run = json.dumps(listed.output)
    name = "create-" + run.partition("create-")[2][:12]
    for command in ("status", "resume", "export"):
        more = ["-o", str(tmp_path / "x.csv")] if command == "export" else []
        done = CliRunner().invoke(app, [command, name, *more, *place])
        assert done.exit_code == 2, (command, done.output)
        assert "job" in done.output


def test_a_workspace_says_where_the_files_of_runs_are(say, tmp_path):
    def files(*words, code=0):
        place = ["-w", str(tmp_path / "work")]
        done = CliRunner().invoke(app, ["workspace", "files", *words, *place])
        assert done.exit_code == code, done.output
        return "".join(done.output.split())

    assert f"file://{tmp_path}/there" in files(f"file://{tmp_path}/there")
    assert f"file://{tmp_path}/there" in files()
    assert "work/runs" in files("none")
    say("submit", "job.toml")
    assert "beforethefirstrun" in files(f"file://{tmp_path}/there", code=2)
