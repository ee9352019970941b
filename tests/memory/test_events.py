"""Events are typed, and survive the journal and other versions of it; on both databases."""

import ast
from dataclasses import fields
from decimal import Decimal
from pathlib import Path

import pytest
import sqlalchemy as sa

from querist.memory import schema
from querist.memory.event_parts import ArmRow, PullNote, UsedLesson
from querist.memory.events import (
    EVENT_TYPES,
    Annotated,
    ArmsTried,
    Chosen,
    Notice,
    RoundDone,
    Trained,
    Unread,
)
from querist.memory.records import utc_now
from querist.memory.run.journal import Journal

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("memory", "tools", "agents", "graph", "app")
SOURCES = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
VALUES = {
    "int": 7,
    "float": 0.25,
    "str": "Grüße, “x”",
    "bool": True,
    "Decimal": Decimal("1.50"),
    "float | None": 0.5,
    "int | None": 3,
    "str | None": "why",
    "Decimal | None": Decimal("0.001"),
    "tuple[str, ...]": ("a", "b"),
    "tuple[PullNote, ...]": (PullNote(1, 2, 0.5, Decimal("0.10"), (3,)),),
    "tuple[ArmRow, ...]": (ArmRow("margin", 4, 0.5, 0.2, 0.8), ArmRow("never tried")),
    "tuple[UsedLesson, ...]": (UsedLesson("g", 2, "guideline", "So it is.", "run", 0.9, (0,)),),
    "Mapping[str, object]": {"loop.strategy": "margin"},
    "tuple[Mapping[str, object], ...]": ({"text": "a"},),
}


def sample(body):
    return body(**{part.name: VALUES[part.type] for part in fields(body)})


def calls(name):
    """Every call of a method `name` in the source, with where it stands."""
    return [
        (f"{path.relative_to(ROOT)}:{node.lineno}", node)
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == name
    ]


def note(store, kind, data):
    """Note an event as another version might have."""
    with store.write() as connection:
        row = {"run": "run", "kind": kind, "data": data, "at": utc_now()}
        connection.execute(sa.insert(schema.events), [row])


@pytest.mark.parametrize("body", EVENT_TYPES.values(), ids=EVENT_TYPES)
def test_every_event_comes_back_from_the_journal_as_it_was(store, run, body):
    journal, told = Journal(store, "run", lease=run), sample(body)
    assert journal.event(told).body == told
    (event,) = journal.events(kind=body.kind)
    assert event.body == told
    assert journal.bodies(body) == [told]


def test_nothing_emits_an_event_that_has_no_type():
    known = {body.__name__ for body in EVENT_TYPES.values()}
    emitted = calls("emit")
    assert len(emitted) > 15
    for place, call in emitted:
        assert len(call.args) == 1, place
        assert not call.keywords, place
        (body,) = call.args
        # What is not made on the spot is a variable, whose type mypy holds to `EventBody`.
        is_made = isinstance(body, ast.Call) and getattr(body.func, "id", "") in known
        assert is_made or isinstance(body, ast.Name), place


def test_every_type_of_event_is_made_somewhere():
    made = {
        node.func.id
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert {body.__name__ for body in EVENT_TYPES.values()} <= made


def test_the_journal_keeps_the_names_that_it_always_kept(store, run):
    journal = Journal(store, "run", lease=run)
    trained = journal.event(Trained(1, rows=40, people=9, trust=1.0, seconds=0.1))
    assert (trained.kind, sorted(trained.data)) == (
        "trained",
        ["people", "round", "rows", "seconds", "trust"],
    )
    annotated = journal.event(Annotated(1, done=4, total=9, usd=Decimal("0.10")))
    assert annotated.data == {"round": 1, "done": 4, "total": 9, "usd": "0.10"}
    done = journal.event(RoundDone(0, None, "", None, labelled=1, people=0, usd=Decimal(0)))
    assert done.kind == "round"
    assert done.data["metric"] is None, "what has always been kept is kept"
    assert sorted(done.data) == [
        "labelled",
        "measured_on",
        "metric",
        "people",
        "round",
        "test",
        "usd",
    ]


def test_what_an_earlier_version_noted_is_read(store, run):
    pulls = [[0, 12, 0.75, "0.002", [1, 2]], [3, 12, 1, "0", []]]
    told = {"plan": "p", "pulls": pulls, "done": 2, "total": 9, "best": "x", "usd": "0.002"}
    note(store, "tried", told)
    note(store, "chosen", {"what": "prompt", "rows": [{"name": "x"}], "winners": ["x"]})
    journal = Journal(store, "run")
    (tried,) = journal.bodies(ArmsTried)
    assert tried.pulls[0] == PullNote(0, 12, 0.75, Decimal("0.002"), (1, 2))
    assert journal.bodies(Chosen) == [Chosen("prompt", (ArmRow("x"),), ("x",))]


@pytest.mark.parametrize(
    ("kind", "data"),
    [("news", {"of": "later"}), ("annotated", {"done": 4}), ("round", {"round": "first"})],
    ids=["unknown kind", "missing field", "another type"],
)
def test_what_another_version_noted_otherwise_is_passed_over(store, run, kind, data):
    note(store, kind, data)
    (event,) = Journal(store, "run").events()
    assert event.kind == kind
    assert event.body == Unread(data)
    assert Journal(store, "run").bodies(Annotated) == []


def test_a_field_that_a_later_version_added_does_no_harm(store, run):
    note(store, "notice", {"text": "The server is slow.", "severity": "low"})
    assert Journal(store, "run").bodies(Notice) == [Notice("The server is slow.")]
