"""What encoding a file is in: found where that is certain, assumed with a word, else refused."""
# ruff: noqa: RUF001 - letters of other alphabets are what it is about

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from tests_files_support import complaint, load, texts, write

from querist.memory.errors import InvalidInput
from querist.tools.data.encoding import decode

TABLE = "text,label\ncafé crème,billing\n“naïve” – 5 €,bug\n"
RUSSIAN = "text,label\nсчёт неверный,billing\nошибка при входе,bug\n"


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]
)
def test_unicode_is_found_by_itself(tmp_path: Path, encoding: str) -> None:
    imported = load(write(tmp_path / "p.csv", TABLE.encode(encoding)), gold="label")
    assert texts(imported) == ["café crème", "“naïve” – 5 €"]


@pytest.mark.parametrize("order", ["le", "be"])
def test_utf_16_with_its_mark_is_found_in_both_orders(tmp_path: Path, order: str) -> None:
    content = ("\ufeff" + TABLE).encode(f"utf-16-{order}")
    imported = load(write(tmp_path / "p.csv", content))
    assert texts(imported)[0] == "café crème"
    assert imported.notes == ()


def test_utf_16_without_a_mark_is_read_and_said(tmp_path: Path) -> None:
    imported = load(write(tmp_path / "p.csv", TABLE.encode("utf-16-le")))
    assert "p.csv has no byte order mark; it was read as utf-16-le" in imported.summary()


@pytest.mark.parametrize("name", ["p.csv", "p.csv.gz", "p.txt"])
def test_western_text_is_read_as_windows_1252_with_a_word(tmp_path: Path, name: str) -> None:
    content = TABLE.encode("cp1252")
    path = write(tmp_path / name, gzip.compress(content) if name.endswith(".gz") else content)
    imported = load(path)
    assert any("naïve” – 5 €" in text for text in texts(imported))
    summary = imported.summary()
    assert "is not UTF-8 (byte 0xe9 in line 2): it was read as Windows-1252" in summary
    assert "--encoding" in summary
    assert "data.encoding" in summary


def test_json_lines_in_windows_1252_are_read_too(tmp_path: Path) -> None:
    path = write(tmp_path / "p.jsonl", '{"text": "café"}\n{"text": "tea"}\n'.encode("cp1252"))
    assert texts(load(path)) == ["café", "tea"]


def test_a_stray_byte_in_utf_8_spoils_only_itself(tmp_path: Path) -> None:
    lines = ["text", *(f"naïve {i}" for i in range(20))]
    content = "\n".join(lines).encode() + b"\nna\xefve 20\n"
    imported = load(write(tmp_path / "p.csv", content))
    assert texts(imported)[-2:] == ["naïve 19", "naïve 20"]
    assert "p.csv is UTF-8 but for line 22" in imported.summary()


def test_two_letters_that_happen_to_be_utf_8_do_not_mix_encodings(tmp_path: Path) -> None:
    # É and a no-break space are C9 A0, one letter in UTF-8; the other lines tell.
    content = "text\nCAFÉ\xa0!\ncafé un\ncafé deux\n".encode("cp1252")
    assert texts(load(write(tmp_path / "p.csv", content)))[0] == "CAFÉ\xa0!"


@pytest.mark.parametrize("encoding", ["cp1251", "koi8-r", "shift_jis", "gb18030"])
def test_another_alphabet_is_refused_not_garbled(tmp_path: Path, encoding: str) -> None:
    rows = RUSSIAN if encoding in {"cp1251", "koi8-r"} else "text\n請求書が間違っています\n"
    path = write(tmp_path / "p.csv", rows.encode(encoding))
    message = complaint(path)
    assert "--encoding cp1251, shift_jis or gb18030" in message
    assert texts(load(path, "text", encoding=encoding))[0] in rows


def test_another_alphabet_among_many_plain_letters_is_refused_too(tmp_path: Path) -> None:
    line = '{"identifier": "ticket number 12", "text": "Счёт неверный", "language": "russian"}\n'
    message = complaint(write(tmp_path / "p.jsonl", (line * 9).encode("cp1251")), "text")
    assert "--encoding cp1251" in message


def test_an_encoding_that_was_named_is_taken_at_its_word(tmp_path: Path) -> None:
    path = write(tmp_path / "p.csv", TABLE.encode("cp1252"))
    assert texts(load(path, encoding="cp1252"))[0] == "café crème"
    assert texts(load(path, encoding="cp1250"))[0] != "café crème"
    message = complaint(path, encoding="utf-8")
    assert "byte 0xe9 at offset 14 (line 2)" in message
    assert "Leave --encoding" in message
    assert "begins with the mark of utf-16" in complaint(
        write(tmp_path / "u.csv", TABLE.encode("utf-16")), encoding="utf-8"
    )


@pytest.mark.parametrize("encoding", ["klingon", "base64", "rot13", "utf 8 or so"])
def test_an_encoding_that_does_not_exist_is_refused_with_some_that_do(
    tmp_path: Path, encoding: str
) -> None:
    message = complaint(write(tmp_path / "p.csv", TABLE), encoding=encoding)
    assert f"There is no text encoding {encoding!r}" in message


def test_gzip_without_its_ending_is_known_by_its_first_bytes(tmp_path: Path) -> None:
    path = write(tmp_path / "p.csv", gzip.compress(TABLE.encode()))
    assert texts(load(path))[0] == "café crème"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
def test_small_files_that_people_write_are_decoded(encoding: str) -> None:
    assert decode("[task]\nname = 'é'\n".encode(encoding), "task.toml") == "[task]\nname = 'é'\n"


def test_a_small_file_in_another_encoding_is_refused_with_place_and_remedy() -> None:
    with pytest.raises(InvalidInput, match=r"task.toml is not UTF-8: .*line 2.* Save it as UTF-8"):
        decode("[task]\nname = 'é'\n".encode("cp1252"), "task.toml")
