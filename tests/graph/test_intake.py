"""What a run says about its data before anything is spent, and what it leaves out."""

from contextlib import ExitStack

import pytest
from tests_files_support import LABELS, write, write_json, write_jsonl

from querist.app.terminal.place import Place
from querist.app.terminal.screen import Screen
from querist.app.views.report import write_report
from querist.app.views.report_data import gather
from querist.app.views.summary import show_summary
from querist.graph.config import load_config, make_config
from querist.graph.run import Run
from querist.memory.errors import InvalidInput
from querist.memory.records import Split
from querist.memory.store import open_store

ROWS = [{"text": f"Text number {i}", "label": LABELS[i % 3]} for i in range(30)]
OTHERS = [{"text": f"another text {i}", "label": LABELS[i % 3]} for i in range(6)]


@pytest.fixture
def made(tmp_path):
    """Make a run over ROWS, or over another pool; gives it and what was said."""

    def make(pool=ROWS, **sections):
        said = []
        data = {"pool": str(write_jsonl(tmp_path / "pool.jsonl", pool)), "embedder": "hashing"}
        body = {
            "task": {"labels": list(LABELS)},
            "data": data | sections.pop("data", {}),
            "people": {"kind": "none"} | sections.pop("people", {}),
            **sections,
        }
        store = opened.enter_context(open_store(tmp_path / "work"))
        run = Run.create(make_config(body, source="test"), store, tell=said.append)
        return run, "\n".join(said)

    with ExitStack() as opened:
        yield make


# ---------------------------------------------------------------- texts that are in the pool too


def test_test_texts_of_the_pool_are_left_out_and_said(made, tmp_path, capsys):
    twins = [{"text": "  text NUMBER 4", "label": "bug"}, ROWS[7]]
    test = write_jsonl(tmp_path / "test.jsonl", [*OTHERS, *twins])
    run, said = made(data={"test": str(test)})
    assert run.view().pool.texts(Split.TEST) == [row["text"] for row in OTHERS]
    assert "2 of 8 test texts are in the pool too: they are left out" in said
    data = gather(run)
    expected = "2 test texts were in the pool too and are left out of the figure"
    assert data.headline.leaks == expected
    assert expected in write_report(data, tmp_path / "report.html").read_text()
    show_summary(Screen(), data, Place(tmp_path), report=None)
    assert expected in capsys.readouterr().out


def test_validation_texts_of_the_pool_and_of_the_test_set_are_left_out(made, tmp_path):
    test = write_jsonl(tmp_path / "test.jsonl", OTHERS[:2])
    valid = write_jsonl(tmp_path / "valid.jsonl", [*OTHERS, ROWS[0]])
    run, said = made(data={"test": str(test), "validation": str(valid)})
    assert run.view().pool.texts(Split.VALIDATION) == [row["text"] for row in OTHERS[2:]]
    assert "3 of 7 validation texts are in the pool or the test set too" in said
    assert run.view().config.data.left_out == {"validation": 3}


def test_a_test_set_that_is_the_pool_is_refused(made, tmp_path):
    test = write_jsonl(tmp_path / "test.jsonl", ROWS[:9])
    with pytest.raises(InvalidInput, match=r"of 9 test texts 9 are in the pool too.*--test"):
        made(data={"test": str(test)})


def test_a_count_of_another_run_is_not_believed(made):
    run, _ = made(data={"left_out": {"test": 7}})
    assert run.view().config.data.left_out == {}


def test_a_test_set_without_labels_is_refused(made, tmp_path):
    rows = [{"text": row["text"], "label": None} for row in OTHERS]
    test = write_jsonl(tmp_path / "test.jsonl", rows)
    with pytest.raises(InvalidInput, match=r"no row has a label in column 'label'.*--gold"):
        made(data={"test": str(test)})


# ---------------------------------------------------------------- simulated people


def test_a_simulated_person_says_what_it_does_not_know(made):
    rows = [row | {"label": None} if i % 2 else row for i, row in enumerate(ROWS)]
    _, said = made(rows, people={"kind": "simulated"})
    assert "The simulated person knows 15 of 30 answers; 15 rows have no label" in said
    assert "questions about them are skipped" in said


def test_a_simulated_person_who_knows_nothing_is_refused(made):
    rows = [{"text": row["text"], "label": ""} for row in ROWS]
    with pytest.raises(InvalidInput, match=r"no row has a label in column 'label'.*people\.gold"):
        made(rows, people={"kind": "simulated"})


# ---------------------------------------------------------------- task files


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-16-le"])
def test_a_task_file_is_read_in_every_unicode(tmp_path, encoding):
    text = '[task]\nlabels = ["schön", "häßlich"]\n[data]\npool = "p.jsonl"\n'
    path = write(tmp_path / "task.toml", text.encode(encoding))
    assert list(load_config(path).task.labels) == ["schön", "häßlich"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_task_file_may_have_any_line_end(tmp_path, end):
    text = '[task]\nlabels = ["a", "b"]\n[data]\npool = "p.jsonl"\n'.replace("\n", end)
    assert list(load_config(write(tmp_path / "task.toml", text)).task.labels) == ["a", "b"]


def test_a_task_file_in_another_encoding_is_refused_with_its_place(tmp_path):
    path = write(tmp_path / "task.toml", '[task]\nlabels = ["schön"]\n'.encode("cp1252"))
    with pytest.raises(InvalidInput, match=r"is not UTF-8: see byte 0xf6.*line 2.*Save"):
        load_config(path)


@pytest.mark.parametrize(
    ("section", "key", "value", "says"),
    [
        ("budget", "usd", 0, r"budget\.usd = 0: "),
        ("budget", "usd", "-3", r"budget\.usd = -3: "),
        ("people", "wait", "perhaps", r"people\.wait = 'perhaps': "),
        ("budget", "usd", True, r"budget\.usd = true: "),
        ("loop", "plateau_delta", 1.5, r"loop\.plateau_delta = 1\.5: "),
        ("loop", "bacth", 3, r"There is: batch, rounds|Did you mean 'batch'"),
        ("data", "headers", False, r"Did you mean 'header'"),
    ],
)
def test_values_are_shown_as_people_write_them(made, section, key, value, says):
    with pytest.raises(InvalidInput, match=says):
        made(**{section: {key: value}})


def test_more_mistakes_than_fit_are_counted(made):
    with pytest.raises(InvalidInput, match=r"and 2 more like these"):
        made(loop={f"key{i}": i for i in range(7)})


def test_a_pool_under_a_key_is_a_pool(made, tmp_path):
    path = write_json(tmp_path / "wrapped.json", {"data": ROWS})
    run, said = made(data={"pool": str(path)})
    assert run.view().pool.count() == 30
    assert "30 of 30 rows imported" in said


def test_notes_about_a_file_reach_whoever_starts_the_run(made, tmp_path):
    rows = "text,label\ncafé un,bug\ncafé deux,praise\n"
    path = write(tmp_path / "p.csv", rows.encode("cp1252"))
    _, said = made(data={"pool": str(path)})
    assert "read as Windows-1252" in said
