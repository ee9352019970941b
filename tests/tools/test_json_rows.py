"""JSON Lines and JSON in the shapes that other programs write."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests_files_support import (
    LABELS,
    complaint,
    golds,
    load,
    skipped,
    texts,
    write,
    write_json,
    write_jsonl,
)

from querist.memory.records import Split

ROWS = [{"text": f"text number {i}", "label": LABELS[i % 3]} for i in range(60)]
TWO = [{"text": "a b", "label": "bug"}, {"text": "c d", "label": "praise"}]


def lines(*more: str) -> str:
    return "".join(f"{line}\n" for line in (*map(json.dumps, ROWS), *more))


# ---------------------------------------------------------------- broken lines


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        ('{"text": "cut off', "not valid JSON"),
        ("{'text': 'python'}", "not valid JSON"),
        ("17", "no object with named columns"),
        ("", None),
        (" \t", None),
    ],
)
def test_a_broken_line_is_skipped_and_counted(tmp_path: Path, broken: str, why: str | None) -> None:
    path = write(tmp_path / "p.jsonl", lines(broken, json.dumps({"text": "last"})))
    imported = load(path)
    assert texts(imported)[-1] == "last"
    assert skipped(imported) == ({why: (61,)} if why else {})
    assert imported.n_rows == (62 if why else 61)


def test_a_nul_byte_in_a_line_of_json_is_that_lines_trouble(tmp_path: Path) -> None:
    path = write(tmp_path / "p.jsonl", lines('{"text": "a\x00b"}'))
    assert skipped(load(path)) == {"not valid JSON": (61,)}


def test_many_broken_lines_are_refused_with_the_first_of_them(tmp_path: Path) -> None:
    path = write(tmp_path / "p.jsonl", lines(*(["{'text': 'python'}"] * 7)))
    message = complaint(path)
    assert message.startswith("p.jsonl, line 61: not valid JSON")
    assert "In all 7 of 67 rows are broken (lines 61, 62, 63, 64, 65 and 2 more)" in message


def test_one_percent_of_a_large_file_may_be_broken(tmp_path: Path) -> None:
    content = "".join(
        "{broken\n" if i % 200 == 7 else json.dumps({"text": f"text {i}"}) + "\n"
        for i in range(2_000)
    )
    imported = load(write(tmp_path / "p.jsonl", content))
    assert len(imported.examples) == 1_990
    assert "Skipped 10: not valid JSON (lines 8, 208, 408, 608, 808 and 5 more)" in (
        imported.summary()
    )


def test_values_in_an_array_that_are_no_objects_are_counted_too(tmp_path: Path) -> None:
    imported = load(write_json(tmp_path / "p.json", [*ROWS, None]))
    assert skipped(imported) == {"no object with named columns": (61,)}


# ---------------------------------------------------------------- shapes


@pytest.mark.parametrize(
    "value",
    [
        {"data": TWO},
        {"version": "1.0", "meta": {"count": 2}, "rows": TWO},
        {"schema": {"fields": [{"name": "text"}]}, "data": TWO},
        {"text": ["a b", "c d"], "label": ["bug", "praise"]},
        {"text": {"0": "a b", "1": "c d"}, "label": {"0": "bug", "1": "praise"}},
        {
            "columns": ["text", "label"],
            "index": [0, 1],
            "data": [["a b", "bug"], ["c d", "praise"]],
        },
        {"t1": TWO[0], "t2": TWO[1]},
        {"export": {"items": TWO}},
    ],
    ids=["key", "key among others", "table", "lists", "pandas", "split", "by id", "deep"],
)
@pytest.mark.parametrize("name", ["p.json", "p.jsonl"])
def test_rows_are_found_wherever_an_object_keeps_them(
    tmp_path: Path, name: str, value: object
) -> None:
    path = write(tmp_path / name, json.dumps(value, indent=1))
    imported = load(path, gold="label")
    assert (texts(imported), golds(imported)) == (["a b", "c d"], ["bug", "praise"])


def test_of_several_splits_the_usual_one_is_taken(tmp_path: Path) -> None:
    path = write_json(tmp_path / "p.json", {"train": TWO[:1], "test": TWO[1:]})
    assert texts(load(path)) == ["a b"]
    assert texts(load(path, split=Split.TEST)) == ["c d"]
    other = write_json(tmp_path / "q.json", {"en": TWO[:1], "de": TWO[1:]})
    assert "several keys ('en', 'de')" in complaint(other)


def test_plain_strings_are_texts(tmp_path: Path) -> None:
    assert texts(load(write_json(tmp_path / "p.json", ["a b", "c d"]))) == ["a b", "c d"]
    assert texts(load(write_jsonl(tmp_path / "p.jsonl", ["a b", "c d"]))) == ["a b", "c d"]


def test_a_text_file_holds_one_text_a_line(tmp_path: Path) -> None:
    imported = load(write(tmp_path / "p.txt", 'the tap, it "drips"\n\nno light\r\n'))
    assert texts(imported) == ['the tap, it "drips"', "no light"]
    assert imported.examples[0].fields.keys() == {"text"}


def test_commas_after_lines_are_read_over(tmp_path: Path) -> None:
    path = write(tmp_path / "p.jsonl", '{"text": "a b"},\n{"text": "c d"},\n')
    assert texts(load(path)) == ["a b", "c d"]


def test_an_array_in_a_file_of_lines_is_read_as_an_array(tmp_path: Path) -> None:
    assert texts(load(write(tmp_path / "p.jsonl", json.dumps(TWO, indent=2)))) == ["a b", "c d"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('{"data": []}', "has no rows"),
        ("{}", "has no rows"),
        ("null", "holds 'null', no rows"),
        ('{"data": [{"text": "a"}, {"te', "p.json: not valid JSON"),
        ("12", "holds '12', no rows"),
    ],
)
def test_json_without_rows_is_one_message(tmp_path: Path, content: str, expected: str) -> None:
    assert expected in complaint(write(tmp_path / "p.json", content))
