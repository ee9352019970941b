"""What a run leaves to take home: labels in a file, a model that predicts, predictions marked."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from querist.app.terminal.cli import app
from querist.memory.run.labelling import Labelling
from querist.memory.run.runs import Runs
from querist.memory.store import open_store
from querist.tools.training.model_folder import Model


def ask(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def done(*words: object) -> str:
    result = ask(*words)
    assert result.exit_code == 0, f"{result.output}\n{result.exception!r}"
    return result.output


def write_films(path: Path, count: int, *, start: int = 0) -> Path:
    rows = [
        {
            "text": f"number {i}: {'a great film' if i % 2 else 'a dull film'}",
            "label": "good" if i % 2 else "bad",
        }
        for i in range(start, start + count)
    ]
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return path


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a finished run; people labelled a part of its pool of 60."""
    folder = tmp_path_factory.mktemp("films")
    pool = write_films(folder / "pool.jsonl", 60)
    words = ("run", "--pool", pool, "--labels", "good,bad", "--gold", "label", "--budget", "1.5")
    keys = (
        "data.embedder=hashing", "generator.enabled=false", "annotator.enabled=false",
        "loop.rounds=2",
    )  # fmt: skip
    changes = [word for key in keys for word in ("--set", key)]
    said = done(*words, "--people", "simulated", *changes, "-w", folder / "work")
    (folder / "work" / "said.txt").write_text(said)
    return folder / "work"


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_predictions_are_handed_out_marked_as_such_and_are_no_labels(
    work: Path, tmp_path: Path
) -> None:
    path = tmp_path / "all.csv"
    words = done("export", "-w", work, "-o", path, "--all", "--predict")
    rows = rows_of(path)
    predicted = [row for row in rows if row["source"] == "prediction"]
    assert f"{len(predicted)} of them predicted by the model" in words
    assert len(rows) == 60
    assert 10 < len(predicted) < 60
    assert {row["label"] for row in predicted} <= {"good", "bad"}
    assert all(float(row["weight"]) == 0 for row in predicted)
    store = open_store(work)
    labels = Labelling(store, Runs(store).get().id).labels()
    store.close()
    assert len(labels) == 60 - len(predicted)


def test_the_trained_model_predicts_a_new_file(work: Path, tmp_path: Path) -> None:
    new, out = write_films(tmp_path / "new.jsonl", 30, start=500), tmp_path / "out.csv"
    folder = next((work / "runs").glob("*/model"))
    run = folder.parent.name
    assert f"querist predict {run} FILE --output predicted.csv" in (work / "said.txt").read_text()
    words = done("predict", run, new, "-o", out, "-w", work)
    assert "Predicted 30 rows from 'text'" in words
    assert "The model: " in words
    assert sum(row["predicted"] == row["label"] for row in rows_of(out)) > 25
    assert "Predicted 30 rows" in done("predict", folder, new, "-o", tmp_path / "again.jsonl")
    assert Model.load(folder).predict(["a great film"]).labels == ["good"]


def test_the_name_of_a_file_says_its_format(work: Path, tmp_path: Path) -> None:
    done("export", "-w", work, "-o", tmp_path / "x.csv")
    assert rows_of(tmp_path / "x.csv")[0]["label"] in {"good", "bad"}
    done("export", "-w", work, "-o", tmp_path / "x.json")
    assert "data" in json.loads((tmp_path / "x.json").read_text())[0]


@pytest.mark.parametrize(
    ("name", "more", "words"),
    [
        ("out.txt", (), "does not say in which format"),
        ("out.csv", ("-f", "parquet"), "is named as csv"),
        ("new.jsonl", (), "replace it with --force"),
    ],
    ids=["nameless", "two minds", "taken"],
)
def test_a_target_that_will_not_do_is_refused(
    work: Path, tmp_path: Path, name: str, more: tuple[str, ...], words: str
) -> None:
    new = write_films(tmp_path / "new.jsonl", 3)
    run = next((work / "runs").glob("*/model"))
    for command in (("predict", run, new), ("export", "-w", work)):
        result = ask(*command, "-o", tmp_path / name, *more)
        assert result.exit_code == 2
        assert words in " ".join(result.output.split())
    assert len(new.read_text().splitlines()) == 3


def test_a_run_without_a_model_says_so(tmp_path: Path) -> None:
    write_films(tmp_path / "pool.jsonl", 8)
    words = ("run", "--pool", tmp_path / "pool.jsonl", "--labels", "good,bad")
    keys = ("data.embedder=hashing", "annotator.enabled=false")
    changes = [word for key in keys for word in ("--set", key)]
    done(*words, *changes, "--people", "inbox", "-w", tmp_path / "work")
    run = next((tmp_path / "work" / "runs").iterdir()).name
    asked = ("predict", run, tmp_path / "pool.jsonl", "-o", tmp_path / "out.csv")
    result = ask(*asked, "-w", tmp_path / "work")
    assert "has no model yet" in result.output
    assert result.exit_code == 2
    assert "no model in" in ask("predict", tmp_path, *asked[2:]).output
