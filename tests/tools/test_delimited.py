"""CSV and TSV as spreadsheets, databases and people write them."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests_files_support import complaint, golds, load, mended, skipped, texts, write

from querist.memory.answers import Choice

ROWS = [f"text number {i},{('billing', 'bug', 'praise')[i % 3]}" for i in range(60)]


def table(path: Path, *lines: str, end: str = "\n") -> Path:
    return write(path, end.join(("text,label", *lines, "")))


def with_rows(path: Path, *lines: str) -> Path:
    """Sixty good rows, and after them the lines given."""
    return table(path, *ROWS, *lines)


# ---------------------------------------------------------------- header and delimiter


@pytest.mark.parametrize("first", ["sep=;\n", "SEP=;\r\n", '"sep=;"\n', "\ufeffsep=;\n"])
def test_the_line_with_which_excel_names_the_delimiter_is_no_header(
    tmp_path: Path, first: str
) -> None:
    imported = load(write(tmp_path / "p.csv", f"{first}text;label\na, b;bug\n"), gold="label")
    assert (texts(imported), golds(imported)) == (["a, b"], ["bug"])


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_the_delimiter_is_the_one_that_cuts_all_rows_alike(tmp_path: Path, mark: str) -> None:
    rows = [f"one; two | three, {i}" for i in range(9)]
    lines = [f"id{mark}text", *(f'{i}{mark}"{row}"' for i, row in enumerate(rows))]
    assert texts(load(write(tmp_path / "p.csv", "\n".join(lines)))) == rows


def test_a_tsv_that_has_commas_instead_is_read(tmp_path: Path) -> None:
    assert golds(load(table(tmp_path / "p.tsv", "a,bug"), gold="label")) == ["bug"]


@pytest.mark.parametrize(
    "header",
    ['\ufeff"text","label"', '\ufeff\ufeff"text",label', '"\ufefftext",label', "ï»¿text,label"],
)
def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path: Path, header: str) -> None:
    imported = load(write(tmp_path / "p.csv", f"{header}\na b,bug\n"), "text", gold="label")
    assert golds(imported) == ["bug"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\r\r\n", "\n\n"])
def test_every_kind_of_line_end_is_one(tmp_path: Path, end: str) -> None:
    imported = load(table(tmp_path / "p.csv", "a b,bug", "c d,praise", end=end), gold="label")
    assert golds(imported) == ["bug", "praise"]


def test_a_name_that_is_there_twice_is_no_matter_unless_it_is_needed(tmp_path: Path) -> None:
    path = write(tmp_path / "p.csv", "text,note,note,note\na b,x,y,z\n")
    imported = load(path, "text", "note.3")
    assert imported.examples[0].fields["note.3"] == "z"
    assert "names 'note' more than once" in imported.summary()
    assert "or name the later one: 'note.2'" in complaint(path, "note")


def test_columns_without_a_name_are_called_by_their_place(tmp_path: Path) -> None:
    imported = load(write(tmp_path / "p.csv", ",text\n17,a b\n18,c d\n"), "column1", "text")
    assert imported.examples[1].fields == {"column1": "18", "text": "c d"}


def test_delimiters_at_the_end_of_rows_make_no_column(tmp_path: Path) -> None:
    path = write(tmp_path / "p.csv", "text,label,,\na b,bug,,\nc d,praise,,,,\n")
    imported = load(path, "text", gold="label")
    assert golds(imported) == ["bug", "praise"]
    assert not imported.skipped
    assert "column3" not in complaint(path, "nothing")


def test_a_title_above_the_header_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "p.csv", "Export of May\nid,text,label\n1,a,bug\n2,b,bug\n3,c,bug\n")
    assert "line 2: 3 cells where the header has 1" in complaint(path)
    assert "if the first line is a title, delete it" in complaint(path)


# ---------------------------------------------------------------- no header


def test_a_table_without_a_header_is_refused_with_a_remedy_that_works(tmp_path: Path) -> None:
    path = write(tmp_path / "p.csv", "\n".join(ROWS))
    for fields in ((), ("text",)):
        message = complaint(path, *fields)
        assert "--set data.header=false" in message
        assert "column1, column2" in message
    imported = load(path, "column1", gold="column2", header=False)
    assert len(imported.examples) == 60
    assert imported.examples[0].text == "text number 0"


def test_a_first_text_that_was_taken_for_a_header_is_said(tmp_path: Path) -> None:
    path = write(tmp_path / "p.csv", "the tap drips day and night\nno light in the hall\n")
    assert "--set data.header=false" in load(path).summary()
    assert len(load(path, header=False).examples) == 2


def test_columns_named_after_labels_are_no_row(tmp_path: Path) -> None:
    path = write(tmp_path / "p.csv", "text,billing,bug\na b,0,1\nc d,1,0\n")
    assert texts(load(path)) == ["a b", "c d"]


# ---------------------------------------------------------------- rows that do not fit


def test_a_row_with_too_many_cells_is_skipped_and_counted(tmp_path: Path) -> None:
    imported = load(with_rows(tmp_path / "p.csv", "one, two,bug", "last,bug"))
    assert skipped(imported) == {"more cells than the header has": (62,)}
    assert (len(imported.examples), imported.n_rows) == (61, 62)
    assert "61 of 62 rows imported" in imported.summary()


def test_missing_cells_are_empty_and_counted(tmp_path: Path) -> None:
    imported = load(with_rows(tmp_path / "p.csv", "alone", "last,bug"), gold="label")
    assert mended(imported) == {"fewer cells than the header has; the rest is empty": (62,)}
    assert golds(imported)[-2:] == [None, "bug"]


def test_a_table_whose_rows_mostly_do_not_fit_is_refused(tmp_path: Path) -> None:
    path = table(tmp_path / "p.csv", *(f"one, two {i},bug" for i in range(9)), "three,bug")
    assert "line 2: 3 cells where the header has 2" in complaint(path)


def test_commas_in_the_only_column_need_no_quotes(tmp_path: Path) -> None:
    path = write(tmp_path / "p.csv", "text\nHello, you\nno comma\nyes, one, two\n")
    imported = load(path)
    assert texts(imported) == ["Hello, you", "no comma", "yes, one, two"]
    assert mended(imported) == {"commas outside quotes, taken as part of the text": (2, 4)}


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ('"5 inch" screen broken,bug', '"5 inch" screen broken'),
        ('he said "hi" there,bug', 'he said "hi" there'),
        ('"never closed,bug', '"never closed'),
        ('"quoted, and ""doubled""",bug', 'quoted, and "doubled"'),
        ("nul \x00 byte,bug", "nul  byte"),
    ],
)
def test_a_stray_quote_costs_no_other_row(tmp_path: Path, line: str, text: str) -> None:
    imported = load(with_rows(tmp_path / "p.csv", line, *(f"more {r}" for r in ROWS)), gold="label")
    assert len(imported.examples) == imported.n_rows == 121
    assert imported.examples[60].text == text
    assert imported.examples[60].gold == Choice("bug")


def test_stray_quotes_that_pair_up_do_not_swallow_the_rows_between(tmp_path: Path) -> None:
    lines = ['1\t"Hello there', *(f"{i}\tplain {i}" for i in range(2, 12)), '12\tsaid "bye"']
    lines.append('13\tand so" he left')
    path = write(tmp_path / "p.tsv", "\n".join(["id\ttext", *lines]))
    assert len(load(path).examples) == 13


def test_quoted_texts_of_several_lines_stay_whole(tmp_path: Path) -> None:
    path = table(tmp_path / "p.csv", '"Dear team,\nit, broke.\n\nBye",bug', "next,praise")
    assert texts(load(path)) == ["Dear team,\nit, broke.\n\nBye", "next"]


def test_a_few_broken_rows_are_skipped_and_many_refused(tmp_path: Path) -> None:
    broken = '"a"b,c,d,"x'
    imported = load(with_rows(tmp_path / "p.csv", broken, "last,bug"))
    assert skipped(imported) == {"broken quoting": (62,)}
    assert texts(imported)[-1] == "last"
    many = with_rows(tmp_path / "q.csv", *([broken] * 20))
    assert "q.csv, line 62: broken quoting" in complaint(many)
    assert "In all 20 of 80 rows are broken" in complaint(many)


def test_empty_rows_of_a_spreadsheet_are_counted(tmp_path: Path) -> None:
    imported = load(with_rows(tmp_path / "p.csv", ",", ","))
    assert skipped(imported) == {"empty text": (62, 63)}
