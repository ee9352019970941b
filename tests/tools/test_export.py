"""Exports say where every label came from, and never leave half a file behind."""

from __future__ import annotations

import csv
import json
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args
from xml.etree import ElementTree as ET

import pytest

from querist.memory.answers import Answer, Choice, Choices, Number, Preference, Span, Spans, Text
from querist.memory.errors import InvalidInput, StoreError
from querist.memory.records import Example, ExampleId, Label, LabelClass, Origin, Task
from querist.tools.data.export import ExportFormat, ExportRow, export_rows
from querist.tools.data.load import ColumnMap, load_examples

DATA = Path(os.environ.get("QUERIST_DATA", Path(__file__).parents[3] / "shared" / "data"))
TASK = Task(
    name="requests",
    kind="classification",
    labels=(LabelClass('a "quoted" <b>', "for & against"), LabelClass("other")),
)
FORMATS: tuple[ExportFormat, ...] = get_args(ExportFormat)


def make_label(answer: Answer, *, source: Any = "llm", p_correct: float = 0.75) -> Label:
    return Label(
        example=ExampleId("1"),
        answer=answer,
        source=source,
        who=f"{source}:someone",
        weight=0.5,
        p_correct=p_correct,
        round=3,
        probabilities={"other": 0.75, 'a "quoted" <b>': 0.25},
    )


def make_row(text: str = "=1+1, a\n\"text\" with 'all'", **options: Any) -> ExportRow:
    answer = options.pop("answer", Choice("other"))
    return ExportRow(
        example=Example(
            ExampleId("1"), {"text": text}, origin=Origin.GENERATED, parents=(ExampleId("p"),)
        ),
        label=make_label(answer, **options),
        usd=Decimal("0.0000105"),
        annotators=("llm:someone", "human:ann"),
        rationale="because",
    )


UNLABELLED = ExportRow(Example(ExampleId("2"), {"text": "later"}))


def export(path: Path, *rows: ExportRow, format: ExportFormat, task: Task = TASK) -> Path:  # noqa: A002
    assert export_rows(rows, path, format=format, task=task) == len(rows)
    return path


def read(path: Path, kind: str) -> list[dict[str, Any]]:
    """Read an export with the tool that its users would take."""
    if kind == "jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    if kind == "csv":
        with path.open(newline="") as stream:
            return list(csv.DictReader(stream))
    if kind == "parquet":
        import pyarrow.parquet as pq

        return list(pq.read_table(path).to_pylist())
    from datasets import load_from_disk

    return list(load_from_disk(str(path)))


# ---------------------------------------------------------------- columns


def test_json_lines_carry_the_whole_provenance(tmp_path: Path) -> None:
    path = export(tmp_path / "out.jsonl", make_row(), UNLABELLED, format="jsonl")
    first, second = read(path, "jsonl")
    assert first == {
        "id": "1",
        "text": "=1+1, a\n\"text\" with 'all'",
        "label": "other",
        "source": "llm",
        "who": "llm:someone",
        "weight": 0.5,
        "p_correct": 0.75,
        "round": 3,
        "origin": "generated",
        "parents": ["p"],
        "probabilities": {"other": 0.75, 'a "quoted" <b>': 0.25},
        "aspects": None,
        "usd": "0.0000105",
        "split": "pool",
        "annotators": ["llm:someone", "human:ann"],
        "rationale": "because",
    }
    assert second["label"] is second["who"] is second["probabilities"] is None
    assert list(first) == list(second)


@pytest.mark.parametrize("kind", ["csv", "parquet", "hf"])
def test_tables_hold_the_same_columns_with_lists_as_json_text(tmp_path: Path, kind: Any) -> None:
    first, second = read(export(tmp_path / "out", make_row(), UNLABELLED, format=kind), kind)
    assert first["text"] == "=1+1, a\n\"text\" with 'all'"
    assert json.loads(first["probabilities"]) == {"other": 0.75, 'a "quoted" <b>': 0.25}
    assert json.loads(first["parents"]) == ["p"]
    assert Decimal(first["usd"]) == Decimal("0.0000105")
    assert float(first["weight"]) == 0.5
    assert second["label"] in {"", None}
    assert list(first) == list(json.loads(_one_line(tmp_path)))


def _one_line(folder: Path) -> str:
    return export(folder / "one.jsonl", make_row(), format="jsonl").read_text()


def test_a_datasets_folder_has_a_class_label(tmp_path: Path) -> None:
    from datasets import ClassLabel, load_from_disk

    dataset = load_from_disk(str(export(tmp_path / "out", make_row(), UNLABELLED, format="hf")))
    assert dataset.features["label"] == ClassLabel(names=list(TASK.names))
    assert dataset["label"][:] == [1, None]


def test_a_label_that_the_task_lost_is_exported_as_text(tmp_path: Path) -> None:
    row = make_row(answer=Choice("removed"))
    (read_back,) = read(export(tmp_path / "out", row, format="hf"), "hf")
    assert read_back["label"] == "removed"


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet", "hf"])
def test_fields_named_like_our_columns_keep_their_names(tmp_path: Path, kind: Any) -> None:
    fields = {"id": "theirs", "source": "en", "label": "old", "weight": "5 kg"}
    row = ExportRow(Example(ExampleId("1"), fields), make_label(Choice("other")))
    (out,) = read(export(tmp_path / "out", row, format=kind), kind)
    assert {name: out[name] for name in fields} == fields
    assert (out["querist_id"], out["querist_source"]) == ("1", "llm")
    assert float(out["querist_weight"]) == 0.5


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet", "hf"])
def test_an_export_without_rows_still_names_its_columns(tmp_path: Path, kind: Any) -> None:
    path = export(tmp_path / "out", format=kind)
    assert read(path, kind) == []
    if kind == "csv":
        assert path.read_text().startswith("id,text,label,source,who,")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Choices(("a", "b")), ["a", "b"]),
        (Spans((Span(0, 2, "x"),)), [{"start": 0, "end": 2, "label": "x"}]),
        (Preference("tie"), "tie"),
        (Text("a summary"), "a summary"),
        (Number(4.5), 4.5),
        (Number(float("nan")), None),
    ],
)
def test_every_kind_of_answer_is_exported(tmp_path: Path, answer: Answer, expected: object) -> None:
    row = make_row(answer=answer)
    (out,) = read(export(tmp_path / "out.jsonl", row, format="jsonl"), "jsonl")
    assert out["label"] == expected
    for kind in ("csv", "parquet", "hf"):
        (cells,) = read(export(tmp_path / kind, row, format=kind), kind)
        if isinstance(expected, list):
            assert json.loads(cells["label"]) == expected
        else:
            assert cells["label"] == (str(expected) if expected is not None else cells["label"])


def test_aspects_and_the_strength_of_a_preference_are_kept(tmp_path: Path) -> None:
    row = make_row(answer=Preference("a", strength=0.25, aspects={"tone": 0.5}))
    (out,) = read(export(tmp_path / "out.jsonl", row, format="jsonl"), "jsonl")
    assert out["aspects"] == {"tone": 0.5, "strength": 0.25}


@pytest.mark.parametrize("kind", FORMATS)
def test_what_no_file_can_hold_does_not_stop_the_export(tmp_path: Path, kind: Any) -> None:
    row = make_row("half a pair \ud800", p_correct=float("nan"))
    path = export(tmp_path / "out", row, format=kind)
    if kind == "jsonl":
        (out,) = read(path, kind)
        assert out["p_correct"] is None


# ---------------------------------------------------------------- Label Studio


def tasks_of(path: Path, row: ExportRow, task: Task = TASK) -> tuple[Any, ET.Element]:
    export(path, row, format="label-studio", task=task)
    (entry,) = json.loads(path.read_text())
    return entry, ET.fromstring(path.with_suffix(".config.xml").read_text())


def test_what_models_say_is_a_prediction_with_its_score(tmp_path: Path) -> None:
    entry, view = tasks_of(tmp_path / "tasks.json", make_row())
    (prediction,) = entry["predictions"]
    assert (prediction["model_version"], prediction["score"]) == ("llm:someone", 0.75)
    assert prediction["result"] == [
        {
            "from_name": "label",
            "to_name": "text",
            "type": "choices",
            "value": {"choices": ["other"]},
        }
    ]
    assert "annotations" not in entry
    assert entry["data"] == {"text": make_row().example.text, "querist_id": "1"}
    assert entry["meta"]["usd"] == "0.0000105"
    choices = view.find("Choices")
    assert choices is not None
    assert choices.attrib == {"name": "label", "toName": "text", "choice": "single"}


def test_what_people_say_is_an_annotation(tmp_path: Path) -> None:
    entry, _ = tasks_of(tmp_path / "tasks.json", make_row(source="human"))
    assert entry["annotations"][0]["ground_truth"] is False
    assert "predictions" not in entry


def test_a_field_from_inside_an_object_has_a_name_that_label_studio_finds(tmp_path: Path) -> None:
    row = ExportRow(Example(ExampleId("1"), {"doc.body": "a b"}))
    task = Task("t", TASK.kind, TASK.labels, fields=("doc.body",))
    entry, view = tasks_of(tmp_path / "t.json", row, task)
    assert entry["data"]["doc_body"] == "a b"
    assert view.find("Text").attrib == {"name": "doc_body", "value": "$doc_body"}
    assert view.find("Choices").attrib["toName"] == "doc_body"


def test_what_was_exported_to_label_studio_comes_back_as_a_pool(tmp_path: Path) -> None:
    rows = (make_row("a b", source="human"), UNLABELLED)
    path = export(tmp_path / "tasks.json", *rows, format="label-studio")
    columns = ColumnMap(("text",), "querist_id", "label")
    back = load_examples(path, columns=columns, labels=TASK.names)
    assert [(e.id, e.text, e.gold and e.gold.value) for e in back.examples] == [
        ("1", "a b", "other"),
        ("2", "later", None),
    ]


def test_the_interface_is_escaped_xml_that_lists_the_labels(tmp_path: Path) -> None:
    _, view = tasks_of(tmp_path / "tasks.json", make_row())
    assert [choice.get("value") for choice in view.iter("Choice")] == list(TASK.names)
    assert next(view.iter("Choice")).get("hint") == "for & against"


@pytest.mark.parametrize(
    ("kind", "answer", "control", "value"),
    [
        ("multilabel", Choices(("other",)), "Choices", {"choices": ["other"]}),
        (
            "spans",
            Spans((Span(0, 4, "other"),)),
            "Labels",
            {"start": 0, "end": 4, "text": "some", "labels": ["other"]},
        ),
        ("preference", Preference("b"), "Choices", {"choices": ["b"]}),
        ("generation", Text("short"), "TextArea", {"text": ["short"]}),
        ("qa", Number(7.0), "TextArea", {"text": ["7.0"]}),
    ],
)
def test_the_control_fits_the_kind_of_task(
    tmp_path: Path, kind: str, answer: Answer, control: str, value: object
) -> None:
    task = Task("t", kind, TASK.labels)
    entry, view = tasks_of(tmp_path / "tasks.json", make_row("some text", answer=answer), task)
    assert view.find(control) is not None
    assert entry["predictions"][0]["result"][0]["value"] == value


def test_an_export_without_rows_is_an_empty_list_of_tasks(tmp_path: Path) -> None:
    assert json.loads(export(tmp_path / "t.json", format="label-studio").read_text()) == []


# ---------------------------------------------------------------- safety


@contextmanager
def a_full_disk() -> Iterator[None]:
    """Let no file grow beyond 2,000 bytes: the kernel then refuses as it does on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("kind", FORMATS)
def test_a_full_disk_leaves_the_former_export_as_it_was(tmp_path: Path, kind: Any) -> None:
    path = export(tmp_path / "out", UNLABELLED, format=kind)
    before = {file.name: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    many = [make_row(os.urandom(40).hex()) for _ in range(500)]
    with a_full_disk(), pytest.raises(StoreError, match="Free some space"):
        export_rows(many, path, format=kind, task=TASK)
    after = {file.name: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    assert before == after


@pytest.mark.parametrize("kind", FORMATS)
def test_a_new_export_replaces_the_former_one_and_leaves_nothing_else(
    tmp_path: Path, kind: Any
) -> None:
    path = tmp_path / "new folder" / "out"
    export(path, UNLABELLED, format=kind)
    names = sorted(entry.name for entry in path.parent.iterdir())
    export(path, make_row(), UNLABELLED, format=kind)
    assert sorted(entry.name for entry in path.parent.iterdir()) == names
    if kind != "label-studio":
        assert len(read(path, kind)) == 2


def test_a_folder_of_other_things_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    with pytest.raises(InvalidInput, match="other things than a former export"):
        export_rows([UNLABELLED], tmp_path, format="hf", task=TASK)
    with pytest.raises(InvalidInput, match="is a folder"):
        export_rows([UNLABELLED], tmp_path, format="csv", task=TASK)
    with pytest.raises(InvalidInput, match="hf writes a folder"):
        export_rows([UNLABELLED], tmp_path / "precious.txt", format="hf", task=TASK)
    assert (tmp_path / "precious.txt").read_text() == "mine"


def test_an_unknown_format_gets_a_near_match(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="Did you mean 'jsonl'"):
        export_rows([], tmp_path / "x", format="json", task=TASK)  # type: ignore[arg-type]


# ---------------------------------------------------------------- real data


@pytest.mark.skipif(not (DATA / "trec6").is_dir(), reason="the shared data sets are not here")
@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet", "hf"])
def test_a_real_pool_comes_back_unchanged(tmp_path: Path, kind: Any) -> None:
    pool = load_examples(DATA / "trec6" / "test.jsonl.gz", columns=ColumnMap(gold="label")).examples
    task = Task("trec", "classification", tuple(LabelClass(e.gold.value) for e in pool[:0]))
    rows = [ExportRow(example, make_label(example.gold)) for example in pool]
    name = "out" if kind == "hf" else f"out.{kind}"
    path = export(tmp_path / name, *rows, format=kind, task=task)
    back = load_examples(path, columns=ColumnMap(fields=("text",), gold="label")).examples
    assert back == pool
