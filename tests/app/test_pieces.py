"""The parts of the command line that need no run: charts, TOML, inputs, keys, progress."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from querist.app.answers.keys import KEYS
from querist.app.answers.sitting import Sitting
from querist.app.terminal.inputs import Inputs
from querist.app.terminal.screen import Screen, clean, dollars, duration, sparkline
from querist.app.terminal.toml_text import to_toml
from querist.app.views import charts
from querist.app.views.progress import Tally, describe
from querist.memory.answers import Choice
from querist.memory.asking.inbox import Inbox
from querist.memory.events import Annotated, CommandClosed, Planned, RoundDone, Trained
from querist.memory.questions import Option, QuestionPayload
from querist.memory.records import Event, ExampleId, Question
from querist.memory.store import open_store

NASTY = '<script>"&\x1b[31m'
SCALARS = st.text() | st.integers(-(2**40), 2**40) | st.booleans() | st.floats(0, 10**6)
LISTS = st.lists(SCALARS, max_size=3) | st.lists(
    st.dictionaries(st.text(), SCALARS, min_size=1, max_size=3), min_size=1, max_size=2
)
TABLES = st.recursive(
    st.dictionaries(st.text(), SCALARS | LISTS, max_size=4),
    lambda inner: st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(TABLES)
def test_what_is_written_as_toml_reads_back(body: dict[str, object]) -> None:
    read = tomllib.loads(to_toml(body))
    assert without_empty_tables(read) == without_empty_tables(body)


def without_empty_tables(body: object) -> object:
    if not isinstance(body, dict):
        return body
    inner = {key: without_empty_tables(value) for key, value in body.items()}
    return {key: value for key, value in inner.items() if value != {}}


@pytest.mark.parametrize("count", [1, 2, 40])
def test_a_curve_is_well_formed_svg_within_its_frame(count: int) -> None:
    points = [
        charts.Point(
            i * 0.7,
            i / count,
            max(0, i / count - 0.1),
            min(1, i / count + 0.1),
            test=i / count,
            words=NASTY.replace("\x1b", ""),
        )
        for i in range(count)
    ]
    drawn = charts.curve(points, title="T <1>", x_label="US dollars")
    root = ET.fromstring(str(drawn))
    ys = [float(element.attrib["cy"]) for element in root.iter() if element.tag == "circle"]
    assert len(ys) == 2 * count
    assert all(0 <= y <= charts.HEIGHT - charts.BOTTOM + 1 for y in ys)


def test_nothing_measured_draws_nothing() -> None:
    assert not charts.curve([charts.Point(0, None)], title="", x_label="")


def test_bars_escape_the_names_of_labels() -> None:
    drawn = charts.bars([charts.Bar("<b>&", {"human": 2.0})], title="t")
    assert "<b>" not in drawn
    ET.fromstring(str(drawn))


def test_terminal_commands_and_turned_writing_are_taken_out() -> None:
    assert clean("a\x1b[31mb\u202ec\x07\td\n") == "a[31mbc\td\n"


def test_small_sums_keep_the_digits_that_show_something() -> None:
    assert dollars(Decimal("0.000123")) == "0.000123 USD"
    assert dollars(Decimal(1234)) == "1,234.00 USD"


def test_a_sparkline_marks_gaps_and_survives_a_flat_curve() -> None:
    assert sparkline([0.1, None, 0.9]) == "▁·█"
    assert sparkline([0.5, 0.5]) == "▁▁"
    assert sparkline([]) == ""


@pytest.mark.parametrize(("seconds", "words"), [(0.2, "1 s"), (600, "10 min"), (9_000, "2.5 h")])
def test_durations_are_rough(seconds: float, words: str) -> None:
    assert duration(seconds) == words


# ---------------------------------------------------------------- inputs


def test_prices_of_models_with_dots_in_their_names_are_taken(tmp_path: Path) -> None:
    (tmp_path / "pool.csv").write_text("text\none\n")
    config = Inputs(
        pool=str(tmp_path / "pool.csv"),
        labels="a, b",
        model="openai:gpt-9.9",
        base_url="http://127.0.0.1:9/v1",
        prices=["openai:gpt-9.9=0.5,1.5,0.1"],
        changes=[
            "generator.enabled=false",
            "loop.strategy=0.8*margin + 0.2*random",
            'data.text=["a", "b"]',
        ],
    ).config()
    assert config.prices["openai:gpt-9.9"]["cached_input"] == "0.1"
    assert config.loop.strategy == "0.8*margin + 0.2*random"
    assert config.data.text == ["a", "b"]
    assert list(config.task.labels) == ["a", "b"]


def test_a_pool_is_remembered_by_its_full_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pool.csv").write_text("text\none\n")
    monkeypatch.chdir(tmp_path)
    config = Inputs(pool="pool.csv", labels="a,b").config()
    assert config.data.pool == str(tmp_path / "pool.csv")


# ---------------------------------------------------------------- keys


def question(labels: list[str]) -> Question:
    return Question(
        "q",
        ExampleId("e"),
        QuestionPayload({"text": "what?"}, tuple(map(Option, labels))),
        {"kind": "choice", "enum": labels},
        "why not",
        1.0,
        "escalation",
        1,
    )


def test_the_tenth_label_has_a_letter_that_is_no_command(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        inbox = Inbox(store, "run")
        inbox.ask([question([f"label {i}" for i in range(len(KEYS))])])
        typed = iter("ap")
        Sitting(inbox, Screen(), who="ann").work(lambda: next(typed, ""))
        assert inbox.get("q").answer == Choice("label 9")
        assert not set(KEYS) & set("suqmrxf?")


# ---------------------------------------------------------------- progress


def planned(number: int) -> Planned:
    return Planned(number, "select", "", batch=1, questions=0, cap=Decimal(4), rounds=3)


def test_the_time_left_is_that_of_the_rounds_to_come() -> None:
    now = [0.0]
    tally = Tally(rounds=3, cap=Decimal(4), clock=lambda: now[0])
    assert tally.seconds_left is None
    for number in (0, 1):
        tally.take(planned(number))
        now[0] += 10
        tally.take(RoundDone(number, 0.5, "x", None, labelled=5, people=1, usd=Decimal("1.5")))
    assert tally.seconds_left == 10, "one of three rounds is left"
    tally.take(planned(2))
    now[0] += 4
    assert tally.seconds_left == 6
    assert tally.spent == Decimal("1.5")


def test_a_budget_that_is_raised_in_mid_round_is_the_one_shown() -> None:
    tally = Tally(rounds=3, cap=Decimal(1))
    tally.take(CommandClosed("budget", "ann", status="done", result="", cap=Decimal(2)))
    tally.take(Annotated(1, done=4, total=9, usd=Decimal("1.2")))
    assert tally.spent <= tally.cap == Decimal(2)


def test_a_model_that_learnt_from_pseudo_labels_is_told_of() -> None:
    tally = Tally(rounds=1, cap=Decimal(1))
    plain = Trained(1, rows=40, people=9, trust=1.0, seconds=0.1)
    assert describe(plain, tally) is None
    said = describe(replace(plain, pseudo=1200), tally)
    assert said is not None
    assert "1,200 pseudo-labels" in said


def test_events_that_nobody_knows_are_passed_over() -> None:
    tally = Tally(rounds=1, cap=Decimal(1))
    news = Event(1, "news", {"cap": "9"}, datetime.now(UTC)).body
    tally.take(news)
    assert tally.cap == 1
    assert describe(news, tally) is None


def test_a_time_that_nobody_waits_for_is_told_in_days() -> None:
    assert duration(25_000_000) == "289 days"
