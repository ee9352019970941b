"""Which column is the text, and what is said of tables where none is."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests_files_support import complaint, golds, load, texts, write, write_jsonl

NESTED = [
    {"doc": {"body": "a b", "tags": [{"name": "bug"}]}, "meta.lang": "en"},
    {"doc": {"body": "c d", "tags": []}, "meta.lang": "de"},
]


def test_a_dotted_path_leads_into_columns(tmp_path: Path) -> None:
    imported = load(
        write_jsonl(tmp_path / "p.jsonl", NESTED), "doc.body", "meta.lang", gold="doc.tags.0.name"
    )
    assert imported.examples[0].fields == {"doc.body": "a b", "meta.lang": "en"}
    assert golds(imported) == ["bug", None]


def test_a_dotted_path_leads_into_structs_of_parquet(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [{"doc": {"body": "a b", "label": "bug"}, "n": 1}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "p.parquet")
    imported = load(tmp_path / "p.parquet", "doc.body", gold="doc.label")
    assert (texts(imported), golds(imported)) == (["a b"], ["bug"])


def test_a_wrong_path_is_told_the_keys_there_are(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "p.jsonl", NESTED)
    message = complaint(path, "doc.boddy")
    assert "no column 'doc.boddy'. Did you mean 'doc.body'?" in message
    assert "'doc.body', 'doc.tags'" in message


def test_texts_inside_objects_are_offered(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "p.jsonl", [{"doc": {"title": "a", "body": "b c"}, "n": 1}])
    assert "--text doc.title" in complaint(path)
    assert "'doc.body'" in complaint(path)


def test_a_table_of_numbers_is_told_what_querist_needs(tmp_path: Path) -> None:
    path = write(tmp_path / "iris.csv", "length,width,kind\n5.1,3.5,1\n4.9,3.0,2\n")
    message = complaint(path)
    assert "no column of words" in message
    assert "'length', 'width', 'kind'" in message
    assert "querist choose features iris.csv --target COLUMN" in message


def test_several_columns_of_words_are_offered_together(tmp_path: Path) -> None:
    path = write(tmp_path / "p.csv", "title,review\none two,three four\n")
    message = complaint(path)
    assert "--text title,review" in message
    assert load(path, "title", "review").examples[0].text == "one two\nthree four"


def test_a_column_of_labels_is_not_the_text(tmp_path: Path) -> None:
    path = write(tmp_path / "p.csv", "kind,remark\nbug,it broke\nBilling,too dear\n")
    assert load(path).columns.fields == ("remark",)


def test_an_odd_value_does_not_make_texts_numbers(tmp_path: Path) -> None:
    rows = [{"remark": f"text {i}", "n": i} for i in range(30)] + [{"remark": 17, "n": 3}]
    assert load(write_jsonl(tmp_path / "p.jsonl", rows)).columns.fields == ("remark",)


def test_eighty_columns_are_not_listed_in_one_sentence(tmp_path: Path) -> None:
    path = write(tmp_path / "p.csv", ",".join(f"c{i}" for i in range(80)) + "\n" + "a b," * 80)
    message = complaint(path, "nothing")
    assert "and 68 more" in message
    assert "c40" not in message


@pytest.mark.parametrize(
    "text", ["\u200b", "\ufeff \u2060", "\u00ad", "\u3164", "\u202e\u202c", "\U000e0041"]
)
def test_a_text_that_shows_nothing_is_empty(tmp_path: Path, text: str) -> None:
    imported = load(write_jsonl(tmp_path / "p.jsonl", [{"text": text}, {"text": f"a{text}"}]))
    assert [note.reason for note in imported.skipped] == ["empty text"]
    assert len(imported.examples) == 1
