"""Exports of Label Studio, doccano and Prodigy as pools with labels."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests_files_support import (
    complaint,
    golds,
    load,
    mended,
    texts,
    write,
    write_json,
    write_jsonl,
)

OVERRULED = "annotators disagree: the majority's label was taken"
TIED = "annotators disagree without a majority: left without a label"


# ---------------------------------------------------------------- Label Studio


def choice(*names: str, control: str = "label") -> dict[str, object]:
    value = {"choices": list(names)}
    return {"from_name": control, "to_name": "text", "type": "choices", "value": value}


def said(*results: dict[str, object], **more: object) -> dict[str, object]:
    return {"id": 1, "completed_by": 1, "result": list(results), **more}


def task(number: int, *annotations: dict[str, object], **more: object) -> dict[str, object]:
    data = {"text": f"text number {number}"}
    return {"id": 100 + number, "data": data, "annotations": list(annotations), **more}


def test_label_studios_tasks_are_rows_with_labels(tmp_path: Path) -> None:
    tasks = [task(0, said(choice("bug")), predictions=[5]), task(1), task(2, said(choice("bug")))]
    imported = load(write_json(tmp_path / "ls.json", tasks), gold="label")
    assert texts(imported) == ["text number 0", "text number 1", "text number 2"]
    assert golds(imported) == ["bug", None, "bug"]
    assert [example.id for example in imported.examples] == ["100", "101", "102"]
    assert "1 row: predictions of models, not taken for labels (row 1)" in imported.summary()


def test_annotators_vote_and_what_is_cancelled_does_not_count(tmp_path: Path) -> None:
    bug, praise = said(choice("bug")), said(choice("praise"))
    tasks = [
        task(0, bug, praise, bug),
        task(1, bug, praise),
        task(2, bug, said(choice("praise"), was_cancelled=True)),
        task(3, bug, bug, said(choice("praise"), ground_truth=True)),
        task(4, said()),
    ]
    imported = load(write_json(tmp_path / "ls.json", tasks), gold="label")
    assert golds(imported) == ["bug", None, "bug", "praise", None]
    assert mended(imported) == {
        OVERRULED: (1,),
        TIED: (2,),
        "cancelled annotations, not counted": (3,),
    }


def test_each_control_is_a_column_under_its_own_name(tmp_path: Path) -> None:
    tasks = [task(0, said(choice("bug", control="topic"), choice("bad", control="mood")))]
    path = write_jsonl(tmp_path / "ls.jsonl", tasks)
    assert golds(load(path, "text", gold="topic")) == ["bug"]
    assert golds(load(path, "text", gold="mood", labels=("good", "bad"))) == ["bad"]
    assert "'topic', 'mood'" in complaint(path, "text", gold="label")


def test_several_choices_of_one_annotator_are_several_labels(tmp_path: Path) -> None:
    tasks = [task(i, said(choice("bug", "praise"))) for i in range(3)]
    assert "multi-label" in complaint(write_json(tmp_path / "ls.json", tasks), gold="label")


def test_stretches_of_text_are_refused_as_spans(tmp_path: Path) -> None:
    value = {"start": 0, "end": 4, "text": "text", "labels": ["bug"]}
    tasks = [task(0, said({"from_name": "label", "type": "labels", "value": value}))]
    assert "span labelling" in complaint(write_json(tmp_path / "ls.json", tasks), gold="label")


def test_a_field_of_the_data_keeps_its_value_beside_the_annotation(tmp_path: Path) -> None:
    tasks = [{"data": {"text": "a b", "label": "spam"}, "annotations": [said(choice("bug"))]}]
    path = write_json(tmp_path / "ls.json", tasks)
    assert golds(load(path, gold="label")) == ["bug"]
    assert golds(load(path, gold="data.label", labels=("spam",))) == ["spam"]


@pytest.mark.parametrize("odd", [{"annotations": None}, {"annotations": 3}, {"data": None}, {}])
def test_an_odd_task_stops_no_other(tmp_path: Path, odd: dict[str, object]) -> None:
    tasks = [task(0, said(choice("bug"))), task(1, said(choice("bug"))), task(2) | odd]
    assert golds(load(write_json(tmp_path / "ls.json", tasks), gold="label"))[:2] == ["bug"] * 2


MIN = {"annotator": 1, "annotation_id": 7, "created_at": "2024", "lead_time": 1.5}


def test_label_studios_short_export_has_a_row_for_each_annotator(tmp_path: Path) -> None:
    labels = [(1, "bug"), (2, "bug"), (1, "praise"), (1, "bug"), (2, "praise")]
    rows = [
        {"id": number, "text": f"text number {number}", "label": label, **MIN, "annotation_id": i}
        for i, (number, label) in enumerate(labels)
    ]
    imported = load(write_json(tmp_path / "min.json", rows), gold="label")
    assert dict(zip(texts(imported), golds(imported), strict=True)) == {
        "text number 1": "bug",
        "text number 2": None,
    }
    assert set(mended(imported)) == {OVERRULED, TIED}


def test_label_studios_table_is_read_too(tmp_path: Path) -> None:
    content = (
        "annotation_id,annotator,created_at,id,label,lead_time,text,updated_at\n"
        "1,1,2024,5,bug,1.5,a b,2024\n"
        '2,1,2024,6,"{""choices"":[""bug""]}",1.5,c d,2024\n'
    )
    imported = load(write(tmp_path / "ls.csv", content), gold="label")
    assert (texts(imported), golds(imported)) == (["a b", "c d"], ["bug", "bug"])


# ---------------------------------------------------------------- doccano


def test_doccanos_lists_of_one_label_are_labels(tmp_path: Path) -> None:
    rows = [{"id": 1, "text": "a b", "label": ["bug"]}, {"id": 2, "text": "c d", "label": []}]
    assert golds(load(write_jsonl(tmp_path / "d.jsonl", rows), gold="label")) == ["bug", None]


def test_doccanos_older_name_of_the_text_is_known(tmp_path: Path) -> None:
    rows = [{"id": 1, "data": "a b", "label": ["bug"], "Comments": []}]
    imported = load(write_jsonl(tmp_path / "d.jsonl", rows), gold="label")
    assert (texts(imported), golds(imported)) == (["a b"], ["bug"])


def test_doccanos_spans_and_relations_are_refused_as_such(tmp_path: Path) -> None:
    spans = [{"id": 1, "text": "a b", "label": [[0, 1, "PER"]]}]
    assert "span labelling" in complaint(write_jsonl(tmp_path / "d.jsonl", spans), gold="label")
    entity = {"id": 3, "label": "PER", "start_offset": 0, "end_offset": 1}
    rows = [{"id": 1, "text": "a b", "entities": [entity], "relations": []}]
    path = write_jsonl(tmp_path / "r.jsonl", rows)
    assert "'entities', 'relations' hold stretches of text" in complaint(path, gold="label")
    assert "span labelling" in complaint(path, gold="entities")


# ---------------------------------------------------------------- Prodigy


def answer(number: int, given: str = "accept", **more: object) -> dict[str, object]:
    text = f"text number {number}"
    return {"text": text, "_input_hash": number, "_task_hash": number, "answer": given, **more}


def test_prodigys_accepted_choices_are_labels(tmp_path: Path) -> None:
    options = [{"id": 1, "text": "bug"}, {"id": 2, "text": "praise"}]
    rows = [
        answer(0, accept=["bug"]),
        answer(1, accept=[2], options=options),
        answer(2, "reject", accept=["bug"]),
        answer(3, "ignore", accept=[]),
        answer(4, accept=[]),
    ]
    imported = load(write_jsonl(tmp_path / "p.jsonl", rows), gold="label")
    assert golds(imported) == ["bug", "praise", None, None, None]
    assert mended(imported) == {
        "answered with reject: left without a label": (3,),
        "answered with ignore: left without a label": (4,),
    }


def test_prodigys_questions_about_one_label_come_together(tmp_path: Path) -> None:
    rows = [
        answer(0, "reject", label="praise"),
        answer(0, label="bug"),
        answer(1, label="bug"),
        answer(1, label="praise"),
    ]
    imported = load(write_jsonl(tmp_path / "p.jsonl", rows), gold="label")
    assert golds(imported) == ["bug", None]
    assert mended(imported)[TIED] == (3,)


def test_prodigys_several_choices_and_spans_are_refused_as_such(tmp_path: Path) -> None:
    several = [answer(i, accept=["bug", "praise"]) for i in range(3)]
    assert "multi-label" in complaint(write_jsonl(tmp_path / "p.jsonl", several), gold="label")
    spans = [answer(0, spans=[{"start": 0, "end": 4, "label": "PER"}])]
    assert "span labelling" in complaint(write_jsonl(tmp_path / "s.jsonl", spans), gold="label")
