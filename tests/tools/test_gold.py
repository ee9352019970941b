"""Gold labels: one class a row is read however it is written, everything else has a word."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from tests_files_support import LABELS, complaint, golds, load, mended, write, write_jsonl

GOOD = [LABELS[i % 3] for i in range(40)]


def file_of(path: Path, *cells: object) -> Path:
    rows = [{"text": f"text number {i}", "label": cell} for i, cell in enumerate(cells)]
    return write_jsonl(path / "p.jsonl", rows)


def read(path: Path, *cells: object, labels: tuple[str, ...] = LABELS) -> list[str | None]:
    return golds(load(file_of(path, *cells), gold="label", labels=labels))


def refused(path: Path, *cells: object, labels: tuple[str, ...] = LABELS) -> str:
    return complaint(file_of(path, *cells), gold="label", labels=labels)


# ---------------------------------------------------------------- what is one label


@pytest.mark.parametrize(
    "cell",
    [
        "bug", ["bug"], [["bug"]], ["bug", None], ["bug", "bug"], '["bug"]', "['bug']",
        {"choices": ["bug"]}, '{"choices": ["bug"]}', {"bug": 1, "praise": 0},
        {"billing": 0.0, "bug": 1.0, "praise": False},
    ],
)  # fmt: skip
def test_a_cell_with_one_label_is_read(tmp_path: Path, cell: object) -> None:
    assert read(tmp_path, cell, "praise") == ["bug", "praise"]


@pytest.mark.parametrize(
    "cell", [None, "", " ", [], [None], math.nan, "NaN", "nan", "None", "null", "N/A", "\u200b", {}]
)
def test_a_cell_without_a_label_is_no_label(tmp_path: Path, cell: object) -> None:
    imported = load(file_of(tmp_path, cell, "bug"), gold="label")
    assert golds(imported) == [None, "bug"]
    assert "(1 example without)" in imported.summary()


@pytest.mark.parametrize("name", ["None", "N/A", "nan", "[x]", "a|b", "1.0", "true"])
def test_what_the_task_calls_a_label_is_one(tmp_path: Path, name: str) -> None:
    assert read(tmp_path, name, "bug", labels=(name, "bug")) == [name, "bug"]


@pytest.mark.parametrize(
    ("cell", "labels", "label"),
    [
        (1, ("0", "1"), "1"),
        (1.0, ("0", "1"), "1"),
        ("1.0", ("0", "1"), "1"),
        (True, ("true", "false"), "true"),
        (True, ("True", "False"), "True"),
        ("C#", ("C", "C#"), "C#"),
        ("billing, refunds & <money>", ("billing, refunds & <money>", "bug"), None),
    ],
)
def test_numbers_and_odd_names_are_labels_too(
    tmp_path: Path, cell: object, labels: tuple[str, ...], label: str | None
) -> None:
    assert read(tmp_path, cell, labels=labels) == [label or cell]


# ---------------------------------------------------------------- spelling


def test_case_and_blanks_are_read_over_and_counted(tmp_path: Path) -> None:
    imported = load(file_of(tmp_path, "Billing ", "BUG", "bug", " Billing"), gold="label")
    assert golds(imported) == ["billing", "bug", "bug", "billing"]
    assert "3 labels spelt otherwise than in the task: read 'Billing ' as 'billing'" in (
        imported.summary()
    )


def test_labels_that_differ_in_case_are_matched_exactly(tmp_path: Path) -> None:
    labels = ("Polish", "polish", "other")
    assert read(tmp_path, "polish", "Polish", " polish", labels=labels) == [
        "polish", "Polish", "polish",
    ]  # fmt: skip


def test_a_cell_that_may_be_either_is_an_error_with_its_row(tmp_path: Path) -> None:
    message = refused(tmp_path, "polish", "POLISH", labels=("Polish", "polish"))
    assert "'POLISH' in column 'label' (line 2) may be 'Polish' or 'polish'" in message


def test_a_doubtful_mark_is_not_read_over(tmp_path: Path) -> None:
    assert "'bug?' (1 row). Did you mean 'bug'? Known:" in refused(tmp_path, "bug?", "bug")


# ---------------------------------------------------------------- several labels, spans, objects


@pytest.mark.parametrize(
    "cell",
    [
        ["bug", "praise"], '["bug", "praise"]', "['bug', 'praise']", "bug|praise", "bug; praise",
        "bug,praise", "bug#praise", {"choices": ["bug", "praise"]}, {"bug": 1, "praise": 1},
    ],
)  # fmt: skip
def test_several_labels_of_a_text_are_refused_with_the_remedy(tmp_path: Path, cell: object) -> None:
    message = refused(tmp_path, "bug", cell, cell, cell)
    assert "several labels in 3 of 4 rows (lines 2, 3, 4" in message
    assert "multi-label" in message
    assert "Keep one label a row" in message


def test_a_few_rows_with_several_labels_stay_without_one(tmp_path: Path) -> None:
    imported = load(file_of(tmp_path, *GOOD, ["bug", "praise"]), gold="label")
    assert golds(imported)[-1] is None
    assert mended(imported) == {"several labels where one is meant: left without one": (41,)}


@pytest.mark.parametrize(
    "cell",
    [
        [[0, 4, "PER"]],
        "[[0, 4, 'PER'], [6, 9, 'LOC']]",
        [{"start": 0, "end": 4, "labels": ["PER"]}],
        [{"id": 1, "label": "PER", "start_offset": 0, "end_offset": 4}],
    ],
)
def test_spans_are_refused_as_what_they_are(tmp_path: Path, cell: object) -> None:
    message = refused(tmp_path, cell, cell)
    assert "stretches of text" in message
    assert "span labelling" in message
    assert "--gold" in message


def test_objects_are_refused_with_the_path_that_leads_into_them(tmp_path: Path) -> None:
    path = file_of(tmp_path, {"name": "bug", "by": "ann"}, {"name": "praise", "by": "bob"})
    assert "--gold label.name" in complaint(path, gold="label")
    assert golds(load(path, gold="label.name")) == ["bug", "praise"]


# ---------------------------------------------------------------- labels the task does not know


def test_rows_are_counted_not_parts_of_lists(tmp_path: Path) -> None:
    message = refused(tmp_path, ["spam"], ["spam"], "spam", "bug")
    assert "1 label that the task does not know, in 3 rows (lines 1, 2, 3)" in message
    assert "'spam' (3 rows)" in message


def test_a_long_list_of_unknown_labels_is_cut(tmp_path: Path) -> None:
    message = refused(tmp_path, *(f"topic {i}" for i in range(79)))
    assert "79 labels that the task does not know" in message
    assert "and 71 more" in message
    assert "topic 30" not in message
    assert "Is it the right column?" in message
    many = tuple(f"topic {i}" for i in range(79))
    assert "and 67 more" in refused(tmp_path, "other", labels=many)


def test_numbers_for_names_are_explained(tmp_path: Path) -> None:
    assert "have to be replaced by their names" in refused(tmp_path, 0, 1, 2)


def test_gold_of_a_later_row_of_the_same_text_is_not_lost(tmp_path: Path) -> None:
    rows = [{"text": "a b", "label": None}, {"text": "a b", "label": "bug"}, {"text": "c"}]
    imported = load(write_jsonl(tmp_path / "p.jsonl", rows), gold="label")
    assert golds(imported) == ["bug", None]
    assert "a later row of the same text has one" in imported.summary()


def test_empty_cells_of_a_csv_are_no_labels(tmp_path: Path) -> None:
    content = "text,label\na,\nb,NaN\nc,null\nd,bug\n"
    imported = load(write(tmp_path / "p.csv", content), "text", gold="label")
    assert golds(imported) == [None, None, None, "bug"]


def test_without_a_task_every_name_is_a_label(tmp_path: Path) -> None:
    path = file_of(tmp_path, "x", ["y"], None, json.dumps(["z"]))
    assert golds(load(path, gold="label", labels=None)) == ["x", "y", None, "z"]
