"""The tables of a workspace, for SQLite and PostgreSQL alike.

Alembic (`memory/migrations`) makes and upgrades them; a test keeps both descriptions equal.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from querist.memory.columns import Usd, Utc

# SQL's NULL for None: JSON's own null would be a value.
_Json = sa.JSON(none_as_null=True)

metadata = sa.MetaData()

# Autoincrement ids must be INTEGER on SQLite (only that is the rowid) and 64 bit on PostgreSQL.
_Serial = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _table(name: str, *columns: Any) -> sa.Table:
    return sa.Table(name, metadata, *columns)


def _key(name: str, kind: Any = sa.String) -> sa.Column[Any]:
    return sa.Column(name, kind, primary_key=True)


def _column(name: str, kind: Any, *, default: Any = None) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False, default=default)


def _optional(name: str, kind: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=True)


tasks = _table("tasks", _key("id"), _column("body", sa.JSON), _column("at", Utc))

datasets = _table("datasets", _key("id"), _column("name", sa.String), _column("body", sa.JSON))

examples = _table(
    "examples",
    _key("dataset"),
    _key("run"),  # whose own it is: generated, or appended later; "" for what was imported
    _key("id"),
    _column("position", sa.Integer),
    _column("split", sa.String),
    _column("origin", sa.String),
    _column("fields", sa.JSON),
    _column("parents", sa.JSON),
    _optional("gold", _Json),
    _optional("written_as", _Json),
    sa.Index("examples_split", "dataset", "split", "position"),
)

runs = _table(
    "runs",
    _key("id"),
    _column("task", sa.String),
    _column("kind", sa.String, default="loop"),
    _column("dataset", sa.String),
    _column("config", sa.JSON),
    _column("status", sa.String),
    _column("reason", sa.String, default=""),
    _column("cap", Usd),
    _column("settled", Usd, default=Decimal(0)),
    _column("owner", sa.String, default=""),
    _column("fencing", sa.Integer, default=0),
    _optional("lease_until", Utc),
    _column("at", Utc),
)

batch_items = _table(
    "batch_items",
    _key("run"),
    _key("round", sa.Integer),
    _key("example"),
    _column("rank", sa.Integer),
    _column("status", sa.String),
    _column("attempt", sa.Integer, default=0),
    sa.Index("batch_items_status", "run", "round", "status"),
)

opinions = _table(
    "annotations",
    _key("run"),
    _key("round", sa.Integer),
    _key("example"),
    _key("who"),
    _key("prompt_version"),
    _key("sample", sa.Integer),
    _column("body", sa.JSON),
    _column("usd", Usd),
    sa.Index("annotations_example", "run", "example"),
)

verdicts = _table(
    "verdicts",
    _key("run"),
    _key("round", sa.Integer),
    _key("example"),
    _key("attempt", sa.Integer),
    _column("body", sa.JSON),
)

labels = _table(
    "labels",
    _key("run"),
    _key("example"),
    _column("round", sa.Integer),
    _column("source", sa.String),
    _column("body", sa.JSON),
)

set_aside = _table(
    "set_aside",
    _key("run"),
    _key("example"),
    _key("command", sa.Integer),
    _column("who", sa.String),
    _optional("round", sa.Integer),  # that annotates it anew; NULL while it waits
    _optional("label", _Json),
    _column("at", Utc),
)

questions = _table(
    "questions",
    _key("run"),
    _key("id"),
    _column("example", sa.String),
    _column("round", sa.Integer),
    _column("value", sa.Float),
    _column("status", sa.String),
    _column("assignee", sa.String, default=""),
    _optional("lease_until", Utc),
    _column("folded", sa.Boolean, default=False),
    _column("reason", sa.String, default=""),  # the group of its reason, to sort and count by
    _column("checks", sa.String, default=""),
    _optional("due", Utc),
    _column("body", sa.JSON),
    sa.Index("questions_status", "run", "status", "value"),
    sa.Index("questions_reason", "run", "status", "reason", "value"),
    # In the order in which questions are served, so that none is sorted.
    sa.Index(
        "questions_holder", "run", "status", "assignee", sa.text("value DESC"), "id", "lease_until"
    ),
    sa.Index("questions_example", "run", "example", "assignee", "status"),
    sa.Index("questions_checks", "run", "checks", "status"),
    sa.Index("questions_due", "run", "status", "due"),
)

replies = _table(
    "replies",
    _key("run"),
    _key("who"),
    _key("client"),  # the sender's own name of it: what is sent twice counts once
    _column("question", sa.String),
    _column("deed", sa.String),
    _column("outcome", sa.String),
    _column("words", sa.String, default=""),
    _column("ms", sa.Integer, default=0),  # how long the person looked at the question
    _column("body", sa.JSON),
    _column("at", Utc),
    sa.Index("replies_at", "run", "at"),
)

decisions = _table(
    "decisions",
    _key("run"),
    _key("round", sa.Integer),
    _key("agent"),
    _key("step"),
    _column("body", sa.JSON),
    _column("at", Utc),
)

rounds = _table(
    "rounds",
    _key("run"),
    _key("number", sa.Integer),
    _column("body", sa.JSON),
    _column("at", Utc),
)

spend = _table(
    "spend",
    _key("id", _Serial),
    _column("run", sa.String),
    _column("round", sa.Integer),
    _column("entry", sa.String),
    _column("kind", sa.String),
    _column("agent", sa.String),
    _column("call_key", sa.String),
    _column("hold", sa.String),
    _column("amount", Usd),
    _column("detail", sa.JSON),
    _column("at", Utc),
    sa.Index("spend_run", "run", "entry"),
)

caps = _table(
    "caps",
    _key("name"),  # workspace or day
    _column("usd", Usd),
    _column("who", sa.String),
    _column("at", Utc),
)

days = _table("days", _key("day"), _column("settled", Usd))

settings = _table(
    "settings",
    _key("name"),  # of the workspace: files
    _column("value", sa.String),
    _column("who", sa.String),
    _column("at", Utc),
)

holds = _table(
    "holds",
    _key("id"),
    _column("run", sa.String),
    _column("kind", sa.String),
    _column("agent", sa.String),
    _column("call_key", sa.String),
    _column("amount", Usd),
    _column("fencing", sa.Integer),
    _column("at", Utc),
    sa.Index("holds_run", "run"),
)

calls = _table(
    "calls",
    _key("key"),
    _column("model", sa.String),
    _column("run", sa.String),
    _column("usd", Usd),
    _column("reply", sa.JSON),
    _column("at", Utc),
)

commands = _table(
    "commands",
    _key("id", _Serial),
    _column("run", sa.String),
    _column("name", sa.String),
    _column("arguments", sa.JSON),
    _column("who", sa.String),
    _column("token", sa.String),
    _column("status", sa.String),
    _column("result", sa.String, default=""),
    _column("at", Utc),
    sa.UniqueConstraint("run", "token", name="commands_token"),
)

events = _table(
    "events",
    _key("id", _Serial),
    _column("run", sa.String),
    _column("kind", sa.String),
    _column("data", sa.JSON),
    _column("at", Utc),
    sa.Index("events_run", "run", "id"),
)

jobs = _table(
    "jobs",
    _key("id"),
    _column("kind", sa.String),
    _column("name", sa.String),
    _column("status", sa.String),
    _column("reason", sa.String, default=""),
    _column("request", sa.JSON),
    _column("digest", sa.String),  # of the request, to tell another one under the same key
    _optional("key", sa.String),
    _column("run", sa.String),
    _column("priority", sa.Integer, default=0),
    _optional("deadline", Utc),
    _column("wish", sa.String, default=""),  # what a person wants of a running one
    _optional("result", _Json),
    _column("owner", sa.String, default=""),
    _column("fencing", sa.Integer, default=0),
    _optional("lease_until", Utc),
    _column("at", Utc),
    _column("changed", Utc),
    sa.UniqueConstraint("key", name="jobs_key"),
    sa.Index("jobs_status", "status", "priority", "at"),
)

created_rows = _table(
    "created_rows",
    _key("run"),
    _key("wave", sa.Integer),
    _key("place", sa.Integer),
    _column("id", sa.String),
    _column("status", sa.String),
    _column("gate", sa.String),
    _column("usd", Usd),
    _column("body", sa.JSON),
    sa.Index("created_rows_status", "run", "status"),
)

outbox = _table(
    "outbox",
    _key("token"),
    _column("job", sa.String),
    _column("body", sa.JSON),
    _column("status", sa.String),
    _column("attempts", sa.Integer, default=0),
    _column("due", Utc),
    _column("trouble", sa.String, default=""),
    _column("at", Utc),
    sa.Index("outbox_due", "status", "due"),
)

lessons = _table(
    "lessons",
    _key("id"),
    _key("version", sa.Integer),
    _column("kind", sa.String),
    _column("state", sa.String),
    _column("labels", sa.String),
    _column("run", sa.String),
    _column("body", sa.JSON),
    _column("at", Utc),
    sa.Index("lessons_labels", "labels", "kind"),
)

people = _table(
    "people",
    _key("name"),
    _column("role", sa.String),
    _column("invite", sa.String, default=""),  # the SHA-256 of a secret; "" for none
    _column("revoked", sa.Boolean, default=False),
    _column("at", Utc),
    sa.Index("people_invite", "invite"),
)

sessions = _table(
    "sessions",
    _key("id"),  # the SHA-256 of a secret
    _column("person", sa.String),
    _column("at", Utc),
    _column("until", Utc),
    sa.Index("sessions_person", "person"),
)

chat = _table(
    "chat",
    _key("id", _Serial),
    _column("run", sa.String),
    _column("who", sa.String),
    _column("role", sa.String),
    _column("text", sa.String),
    _column("citations", sa.JSON),
    _optional("rows", _Json),
    _optional("proposal", _Json),
    _column("state", sa.String, default=""),  # of the proposal
    _column("at", Utc),
    sa.Index("chat_run", "run", "id"),
)
