"""The trained model stands alone: a folder that loads anywhere, and says what it is."""

from __future__ import annotations

import csv
import hashlib
import json
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from querist.memory.errors import InvalidInput
from querist.memory.files import pack
from querist.memory.records import LabelClass, Task
from querist.tools.data.predictions import predict_file
from querist.tools.embedding.embedders import HashingEmbedder
from querist.tools.training.heads import LinearPredictor
from querist.tools.training.model_folder import Model
from querist.tools.training.proxy import LinearHead

TASK = Task(
    "colours",
    "classification",
    (LabelClass("warm", "red or orange"), LabelClass("cold, or so", "blue")),
)
WARM = ["red fire", "orange flame", "red coal", "orange ember", "red blood", "orange fruit"] * 4
COLD = ["blue ice", "blue sea", "blue sky", "blue frost", "blue lake", "blue snow"] * 4


@pytest.fixture(scope="module")
def model() -> Model:
    embedder = HashingEmbedder()
    targets = np.eye(2)[[0] * len(WARM) + [1] * len(COLD)]
    head = LinearHead().fit(embedder.embed([*WARM, *COLD]), targets)
    facts = {"quality": ["93 % of what people labelled."], "training": ["48 labels."]}
    return Model(
        task=TASK,
        predictor=LinearPredictor(head),
        embedder_name=embedder.name,
        facts=facts,
        embedder=embedder,
    )


@pytest.fixture
def folder(model: Model, tmp_path: Path) -> Path:
    model.save(tmp_path / "model")
    return tmp_path / "model"


def test_a_saved_model_predicts_what_the_trained_one_did(model: Model, folder: Path) -> None:
    texts = ["red hot", "blue cold", ""]
    loaded = Model.load(folder)
    said = loaded.predict(texts)
    assert said.labels[:2] == ["warm", "cold, or so"]
    np.testing.assert_array_equal(said.probabilities, model.predict(texts).probabilities)
    np.testing.assert_allclose(said.probabilities.sum(axis=1), 1, atol=1e-6)
    assert said.confidences[0] == said.probabilities[0].max()
    assert (loaded.classes, loaded.task, len(said)) == (TASK.names, TASK, 3)
    assert len(loaded.predict([])) == 0


def test_texts_are_predicted_one_by_one_as_together(folder: Path) -> None:
    model = Model.load(folder)
    texts = [*WARM[:5], "a much longer text about the blue sea and the red sun " * 3, *COLD[:5]]
    together = model.predict(texts).probabilities
    alone = np.concatenate([model.predict([text]).probabilities for text in texts])
    np.testing.assert_allclose(together, alone, atol=1e-6)


def test_the_folder_says_what_the_model_is(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    assert config["classes"] == list(TASK.names)
    assert config["embedder"]["name"] == HashingEmbedder.name
    card = (folder / "README.md").read_text()
    assert "93 % of what people labelled." in card
    assert "`cold, or so`" in card


def test_a_wrong_embedder_is_refused(folder: Path) -> None:
    other = HashingEmbedder()
    other.name = "hashed-characters-1-3"
    with pytest.raises(InvalidInput, match="trained with the embedder"):
        Model.load(folder, embedder=other)
    config = json.loads((folder / "config.json").read_text())
    config["embedder"]["name"] = "unheard-of-1"
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(InvalidInput, match="No embedder is called 'unheard-of-1'"):
        Model.load(folder).predict(["x"])


def test_other_weights_of_the_same_name_are_refused(model: Model, tmp_path: Path) -> None:
    trained = replace(model, embedder=None, embedder_checksum="abc")
    trained.save(tmp_path / "m")
    with pytest.raises(InvalidInput, match="trained with the embedder"):
        Model.load(tmp_path / "m").predict(["x"])


def test_how_precisely_a_machine_computes_does_not_matter(model: Model, tmp_path: Path) -> None:
    replace(model, embedder_name="minilm-53aa5117-float32").save(tmp_path / "m")
    embedder = HashingEmbedder()
    embedder.name = "minilm-53aa5117-int8"
    assert Model.load(tmp_path / "m", embedder=embedder).predict(["red"]).labels


def change(folder: Path, old: str, new: str) -> None:
    text = (folder / "config.json").read_text()
    assert old in text
    (folder / "config.json").write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda f: (f / "config.json").unlink(), "no model in"),
        (lambda f: (f / "config.json").write_text("{"), "not valid JSON"),
        (lambda f: (f / "config.json").write_text("{}"), "no Querist model"),
        (lambda f: next(f.glob("*/head.npz")).unlink(), "cannot be read"),
        (lambda f: next(f.glob("*/head.npz")).write_bytes(b"other"), "is not the one"),
        (lambda f: change(f, '"format": 2', '"format": 9'), "newer Querist"),
        (lambda f: change(f, '"trainer": "linear"', '"trainer": "lost"'), "Install the package"),
        (lambda f: change(f, '"head.npz"', '"../../head.npz"'), "outside its folder"),
        (lambda f: change(f, '"folder": "weights-', '"folder": "/weights-'), "outside its folder"),
    ],
    ids=[
        "no config", "broken config", "empty config", "no head", "another head", "newer",
        "unknown trainer", "outside", "elsewhere",
    ],
)  # fmt: skip
def test_a_damaged_folder_is_one_message(folder: Path, spoil, words: str) -> None:
    spoil(folder)
    with pytest.raises(InvalidInput, match=words):
        Model.load(folder)


def test_a_folder_of_the_first_format_is_still_read(model: Model, tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.mkdir()
    body = pack(model.predictor.model.arrays())
    (old / "head.npz").write_bytes(body)
    model.save(tmp_path / "new")
    config = json.loads((tmp_path / "new" / "config.json").read_text())
    for key in ("trainer", "weights"):
        del config[key]
    config |= {"format": 1, "head": "linear", "head_sha256": hashlib.sha256(body).hexdigest()}
    del config["embedder"]["call"]
    (old / "config.json").write_text(json.dumps(config))
    said = Model.load(old).predict(["red hot"]).probabilities
    np.testing.assert_array_equal(said, model.predict(["red hot"]).probabilities)
    Model.load(old).save(old)
    assert not (old / "head.npz").exists()
    assert Model.load(old).predict(["red hot"]).labels == ["warm"]


def test_a_second_save_leaves_nothing_of_the_first(model: Model, folder: Path) -> None:
    (folder / "weights-0123456789ab").mkdir()  # a save that was killed
    (folder / "notes.txt").write_text("mine")
    model.save(folder)
    names = sorted(path.name for path in folder.iterdir())
    assert [name for name in names if not name.startswith("weights-")] == [
        "README.md",
        "config.json",
        "notes.txt",
    ]
    assert len(names) == 4
    assert Model.load(folder).predict(["red hot"]).labels == ["warm"]


def test_records_of_several_fields_are_read_by_name(model: Model) -> None:
    pairs = replace(model, task=replace(TASK, fields=("title", "body")))
    said = pairs.predict([{"body": "fire", "title": "red", "more": "x"}, "red\nfire"])
    assert said.probabilities[0].tolist() == said.probabilities[1].tolist()
    with pytest.raises(InvalidInput, match="lacks 'body'"):
        pairs.predict([{"title": "red"}])


def test_predict_wants_a_list(model: Model) -> None:
    with pytest.raises(InvalidInput, match="list of texts"):
        model.predict("one text")


# ---------------------------------------------------------------- files


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "in.csv"
    path.write_text('id,text,predicted\n1,"red, hot",x\n2,  ,y\n3,blue ice,z\n')
    return path


def test_every_row_comes_back_in_its_order_with_its_columns(
    model: Model, table: Path, tmp_path: Path
) -> None:
    done = predict_file(model, table, tmp_path / "out.csv", format="csv")
    assert (done.rows, done.empty, done.fields) == (3, 1, ("text",))
    rows = rows_of(tmp_path / "out.csv")
    assert [row["id"] for row in rows] == ["1", "2", "3"]
    assert [row["predicted"] for row in rows] == ["x", "y", "z"], "the input's own column"
    assert [row["querist_predicted"] for row in rows] == ["warm", "", "cold, or so"]
    assert float(rows[0]["p(warm)"]) == float(rows[0]["confidence"]) > 0.5
    assert rows[1]["p(warm)"] == ""


@pytest.mark.parametrize("form", ["jsonl", "parquet", "hf", "label-studio"])
def test_every_format_is_written(model: Model, table: Path, tmp_path: Path, form: str) -> None:
    out = tmp_path / f"out.{form}"
    predict_file(model, table, out, format=form)
    if form == "jsonl":
        rows = [json.loads(line) for line in out.read_text().splitlines()]
        assert rows[0]["probabilities"]["warm"] > 0.5
        assert rows[1]["querist_predicted"] is None
    elif form == "parquet":
        assert pq.read_table(out).column("querist_predicted").to_pylist() == [
            "warm", None, "cold, or so",
        ]  # fmt: skip
    elif form == "hf":
        datasets = pytest.importorskip("datasets")
        assert datasets.load_from_disk(str(out))["querist_predicted"][2] == "cold, or so"
    else:
        tasks = json.loads(out.read_text())
        assert tasks[0]["predictions"][0]["result"][0]["value"]["choices"] == ["warm"]
        assert out.with_suffix(".config.xml").is_file()


def test_the_one_text_column_is_found_under_another_name(model: Model, tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text('{"body": "red hot", "n": 1}\n{"body": "blue ice", "n": 2}\n')
    done = predict_file(model, path, tmp_path / "out.csv", format="csv")
    assert done.fields == ("body",)


def test_nothing_is_replaced_without_being_told(model: Model, table: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    out.write_text("mine")
    with pytest.raises(InvalidInput, match="--force"):
        predict_file(model, table, out, format="csv")
    assert out.read_text() == "mine"
    predict_file(model, table, out, format="csv", force=True)
    assert len(rows_of(out)) == 3


def test_a_failure_leaves_the_former_file(model: Model, tmp_path: Path) -> None:
    out, bad = tmp_path / "out.csv", tmp_path / "empty.csv"
    out.write_text("mine")
    bad.write_text("text\n")
    with pytest.raises(InvalidInput):
        predict_file(model, bad, out, format="csv", force=True)
    assert out.read_text() == "mine"


def test_memory_does_not_grow_with_the_file(model: Model, tmp_path: Path) -> None:
    path, peaks = tmp_path / "many.csv", []
    path.write_text("text\n" + "red\nsea\n" * 11_000)
    tracemalloc.start()

    def note(rows: int) -> None:
        # By then the reader's look-ahead is as long as it gets.
        if rows >= 11_000:
            peaks.append(tracemalloc.get_traced_memory()[1])

    predict_file(model, path, tmp_path / "out.csv", format="csv", progress=note)
    tracemalloc.stop()
    few, many = peaks[0], peaks[-1]
    assert many < 1.25 * few
