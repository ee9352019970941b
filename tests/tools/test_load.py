"""What an import takes, what it skips, and what it says about files that cannot be taken."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pytest

from querist.memory.answers import Choice
from querist.memory.errors import InvalidInput
from querist.memory.records import Split, content_id
from querist.tools.data.load import ColumnMap, Imported, dataset_id, load_examples

DATA = Path(os.environ.get("QUERIST_DATA", Path(__file__).parents[3] / "shared" / "data"))
ROWS: list[dict[str, object]] = [
    {"id": "a", "text": "the tap drips", "label": "repair"},
    {"id": "b", "text": "thank you all", "label": "praise"},
]


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def write_jsonl(path: Path, rows: list[dict[str, object]]) -> Path:
    return write(path, "".join(json.dumps(row) + "\n" for row in rows))


def complaint(source: Path | str, **options: object) -> str:
    with pytest.raises(InvalidInput) as caught:
        load_examples(source, **options)  # type: ignore[arg-type]
    return str(caught.value)


def texts(imported: Imported) -> list[str]:
    return [example.text for example in imported.examples]


# ---------------------------------------------------------------- formats


def write_as(path: Path) -> Path:
    """Save ROWS in the format that the name asks for."""
    import pandas as pd

    frame = pd.DataFrame(ROWS)
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    elif ".csv" in path.name or ".tsv" in path.name:
        frame.to_csv(path, index=False, sep="\t" if ".tsv" in path.name else ",")
    else:
        frame.to_json(path, orient="records", lines=".jsonl" in path.name)
    return path


@pytest.mark.parametrize(
    "name",
    [
        "pool.jsonl",
        "pool.jsonl.gz",
        "pool.json",
        "pool.csv",
        "pool.csv.gz",
        "pool.tsv",
        "pool.parquet",
    ],
)
def test_every_format_gives_the_same_examples(tmp_path: Path, name: str) -> None:
    imported = load_examples(write_as(tmp_path / name), columns=ColumnMap(gold="label"))
    assert [(e.id, dict(e.fields), e.gold and e.gold.value) for e in imported.examples] == [
        ("a", {"text": "the tap drips"}, "repair"),
        ("b", {"text": "thank you all"}, "praise"),
    ]
    assert imported.columns == ColumnMap(fields=("text",), id="id", gold="label")


def test_a_json_file_may_hold_json_lines(tmp_path: Path) -> None:
    assert len(load_examples(write_jsonl(tmp_path / "pool.json", ROWS)).examples) == 2


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv_delimiter_is_found_and_quoted_cells_keep_line_breaks(
    tmp_path: Path, delimiter: str
) -> None:
    content = f'\ufeffnr{delimiter}text\r\n1{delimiter}"two\nlines; and, all"\r\n'
    imported = load_examples(write(tmp_path / "p.csv", content))
    assert texts(imported) == ["two\nlines; and, all"]


def test_csv_rows_are_numbered_by_the_line_where_they_begin(tmp_path: Path) -> None:
    path = write(tmp_path / "p.csv", 'text\n"two\nlines"\n" "\nlast\n')
    assert load_examples(path).skipped[0].rows == (4,)


def test_a_datasets_folder_gives_the_split_that_is_asked_for(tmp_path: Path) -> None:
    from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

    features = Features({"sentence": Value("string"), "y": ClassLabel(names=["neg", "pos"])})
    splits = {
        name: Dataset.from_dict({"sentence": [f"{name} text"], "y": [1]}, features=features)
        for name in ("train", "validation", "extra")
    }
    folder = tmp_path / "saved"
    DatasetDict(splits).save_to_disk(str(folder))
    gold = ColumnMap(gold="y")
    pool = load_examples(folder, columns=gold, labels=["neg", "pos"])
    assert (texts(pool), pool.examples[0].gold.value) == (["train text"], "pos")
    held_out = load_examples(folder, columns=gold, split=Split.VALIDATION)
    assert texts(held_out) == ["validation text"]
    assert held_out.examples[0].split is Split.VALIDATION
    assert texts(load_examples(f"{folder}:extra")) == ["extra text"]
    assert "no split 'test'; it has train, validation, extra" in complaint(folder, split=Split.TEST)
    arrow = next((folder / "train").glob("*.arrow"))
    assert texts(load_examples(arrow)) == ["train text"]


def test_class_names_in_parquet_replace_their_integers(tmp_path: Path) -> None:
    from datasets import ClassLabel, Dataset, Features, Value

    features = Features({"text": Value("string"), "label": ClassLabel(names=["no", "yes"])})
    dataset = Dataset.from_dict({"text": ["a", "b"], "label": [1, -1]}, features=features)
    dataset.to_parquet(str(tmp_path / "p.parquet"))
    imported = load_examples(tmp_path / "p.parquet", columns=ColumnMap(gold="label"))
    assert [example.gold for example in imported.examples] == [Choice("yes"), None]


def test_the_hub_without_a_network_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    from datasets import config

    # What HF_HUB_OFFLINE=1 sets, which datasets reads only when it is first imported.
    monkeypatch.setattr(config, "HF_HUB_OFFLINE", True)
    message = complaint("hf://querist-tests/not-cached:train")
    assert "hf://querist-tests/not-cached:train cannot be reached" in message
    assert "save_to_disk" in message


# ---------------------------------------------------------------- columns and ids


def test_the_only_text_column_is_found(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "p.jsonl", [{"nr": 1, "review": "fine", "stars": "5"}])
    assert load_examples(path).columns.fields == ("review",)


def test_an_ambiguous_text_column_is_asked_for(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "p.jsonl", [{"title": "one", "review": "two"}])
    message = complaint(path)
    assert "--text title" in message
    assert "'title', 'review'" in message


def test_a_wrong_column_gets_a_near_match(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "p.jsonl", ROWS)
    message = complaint(path, columns=ColumnMap(fields=("txet",)))
    assert "no column 'txet'. Did you mean 'text'?" in message


def test_gold_labels_cannot_be_the_text(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "p.jsonl", ROWS)
    assert "both text and gold" in complaint(
        path, columns=ColumnMap(fields=("text", "label"), gold="label")
    )


def test_two_fields_become_a_pair(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "p.jsonl", [{"left": "a", "right": 3.0, "more": ["x", "é"]}])
    (example,) = load_examples(path, columns=ColumnMap(("left", "right", "more"))).examples
    assert example.fields == {"left": "a", "right": "3", "more": '["x", "é"]'}


def test_ids_may_be_integers_or_come_from_the_content(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "p.jsonl", [{"id": 7, "text": "hello"}])
    assert load_examples(path).examples[0].id == "7"
    derived = load_examples(path, columns=ColumnMap(id=None)).examples[0].id
    assert derived == content_id({"text": "hello"})


def test_one_id_for_two_texts_is_refused_with_the_remedy(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "p.jsonl", [{"id": 1, "text": "x"}, {"id": 1, "text": "y"}])
    message = complaint(path)
    assert "line 1 ('x') and line 2 ('y')" in message
    assert "--id none" in message


def test_the_dataset_id_depends_on_content_but_not_on_order(tmp_path: Path) -> None:
    whole = load_examples(write_jsonl(tmp_path / "1.jsonl", ROWS)).examples
    other = load_examples(write_jsonl(tmp_path / "2.jsonl", ROWS[:1])).examples
    assert dataset_id(whole) == dataset_id(whole[::-1])
    assert dataset_id(whole) != dataset_id(other)
    assert len(dataset_id(whole)) == 64


# ---------------------------------------------------------------- skipped rows


def test_unusable_rows_are_skipped_counted_and_shown(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"id": 1, "text": "kept"},
        {"id": 2, "text": "  "},
        {"id": 3, "text": None},
        {"id": 1, "text": "kept"},
        {"id": 4, "text": "kept"},
        {"id": None, "text": "no id"},
        {"id": 5, "text": "x" * 5_000_000},
    ]
    imported = load_examples(write_jsonl(tmp_path / "p.jsonl", rows))
    assert texts(imported) == ["kept"]
    assert imported.n_rows == 7
    assert {skip.reason: skip.rows for skip in imported.skipped} == {
        "empty text": (2, 3),
        "duplicate of an earlier row": (4,),
        "same text as an earlier row": (5,),
        "nothing in the id column 'id'": (6,),
        "text over 100,000 characters": (7,),
    }
    summary = imported.summary()
    assert "p.jsonl: 1 of 7 rows imported" in summary
    assert "Skipped 2: empty text (lines 2, 3)" in summary


def test_equal_texts_with_different_gold_are_told_apart_in_the_report(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"text": "x", "y": "a"}, {"text": "x", "y": "b"}]
    path = write_jsonl(tmp_path / "p.jsonl", rows)
    (skip,) = load_examples(path, columns=ColumnMap(gold="y")).skipped
    assert skip.reason == "same text as an earlier row but another gold label"


def test_control_characters_are_cleaned_and_reported(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"text": "nul\x00 and\x07 page\x0cbreak\ttab"},
        {"text": "don\x92t \ud800"},
        {"text": "clean"},
    ]
    imported = load_examples(write_jsonl(tmp_path / "p.jsonl", rows))
    assert texts(imported) == ["nul and page break\ttab", "don\u2019t \ufffd", "clean"]
    assert imported.cleaned == (1, 2)


def test_a_file_without_anything_usable_is_refused(tmp_path: Path) -> None:
    message = complaint(write_jsonl(tmp_path / "p.jsonl", [{"text": ""}]))
    assert message.startswith("Nothing usable")
    assert "Skipped 1: empty text (line 1)" in message


# ---------------------------------------------------------------- gold labels


def test_unknown_gold_labels_are_listed_with_counts_and_near_matches(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        *ROWS,
        {"id": "c", "text": "t", "label": "Repairs"},
        {"id": "d", "text": "u"},
    ]
    path = write_jsonl(tmp_path / "p.jsonl", rows)
    columns = ColumnMap(gold="label")
    message = complaint(path, columns=columns, labels=["repair", "praise"])
    assert "'Repairs' (1 row). Did you mean 'repair'?" in message
    assert "Known: 'repair', 'praise'" in message


# ---------------------------------------------------------------- broken files


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("p.jsonl", "", "p.jsonl is empty"),
        ("p.jsonl", "\n \n", "p.jsonl has no rows"),
        ("p.csv", "text\n", "p.csv has no rows"),
        ("p.jsonl", '{"text": "x"}\n{"text": \n', "p.jsonl, line 2: not valid JSON"),
        ("p.jsonl", '["x"]\n', "p.jsonl, line 1: expected an object"),
        ("p.jsonl", "[" * 100_000, "p.jsonl, line 1: not valid JSON"),
        ("p.jsonl", '{"text": ' + "9" * 5000 + "}", "p.jsonl, line 1: not valid JSON"),
        ("p.json", "[1]", "p.json, row 1: expected an object"),
        ("p.json", "[", "p.json: not valid JSON"),
        ("p.csv", "a,text\n1,x,y\n", "p.csv, line 2: 3 cells where the header has 2"),
        ("p.csv", 'a,text\n1,"x\n', "broken quoting"),
        ("p.csv", "text,text\na,b\n", "names 'text' more than once"),
        ("p.parquet", "PAR1 not", "p.parquet is damaged or not what its name says"),
        ("p.arrow", "nothing", "p.arrow is damaged or not what its name says"),
        ("p.csv.gz", "text\nx\n", "p.csv.gz is not a whole gzip file"),
        ("p.xlsx", "PK", "save the sheet as CSV"),
        ("p.csv", b"PK\x03\x04 a renamed workbook", "save the sheet as CSV"),
        ("p.zip", "PK", "Unpack it"),
        ("p.doc", "text", "cannot tell its format from its name"),
    ],
)
def test_each_broken_file_is_one_message(
    tmp_path: Path, name: str, content: str | bytes, expected: str
) -> None:
    assert expected in complaint(write(tmp_path / name, content))


def test_a_truncated_gzip_file_is_told_from_a_whole_one(tmp_path: Path) -> None:
    # Random letters do not compress, so that cutting the file cuts the rows.
    content = json.dumps({"text": os.urandom(50_000).hex()}).encode()
    path = write(tmp_path / "p.jsonl.gz", gzip.compress(content)[:-5000])
    assert "p.jsonl.gz is not a whole gzip file" in complaint(path)


def test_a_missing_file_gets_a_near_name(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "tickets.jsonl", ROWS)
    assert "Did you mean 'tickets.jsonl'?" in complaint(tmp_path / "ticket.jsonl")
    assert "There is no folder" in complaint(tmp_path / "nowhere" / "p.jsonl")
    assert "There is no file" in complaint("nul\x00byte.csv")
    assert "cannot be opened" in complaint("x" * 5000 + ".csv")


def test_a_plain_folder_lists_the_files_to_choose_from(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "tickets.jsonl", ROWS)
    assert "It holds tickets.jsonl" in complaint(tmp_path)


def test_a_damaged_datasets_folder_is_one_message(tmp_path: Path) -> None:
    write(tmp_path / "dataset_info.json", "{")
    assert "is damaged" in complaint(tmp_path)


def test_an_arrow_file_that_points_outside_itself_is_refused_unread(tmp_path: Path) -> None:
    import pyarrow as pa

    offsets = pa.array([0, 2_000_000_000, 5], pa.int32()).buffers()[1]
    column = pa.StringArray.from_buffers(2, offsets, pa.py_buffer(b"short"))
    batch = pa.record_batch({"text": column})
    path = str(tmp_path / "p.arrow")
    with pa.OSFile(path, "wb") as file, pa.ipc.new_stream(file, batch.schema) as stream:
        stream.write_batch(batch)
    assert "p.arrow is damaged" in complaint(tmp_path / "p.arrow")


# ---------------------------------------------------------------- real data


@pytest.mark.skipif(not (DATA / "sms_spam").is_dir(), reason="the shared data sets are not here")
def test_a_real_pool_is_imported_whole() -> None:
    source = DATA / "sms_spam" / "train.jsonl.gz"
    imported = load_examples(source, columns=ColumnMap(gold="label"), labels=["ham", "spam"])
    assert len(imported.examples) == imported.n_rows == 4031
    assert {example.gold.value for example in imported.examples} == {"ham", "spam"}
