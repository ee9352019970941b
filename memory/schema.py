"""The tables of a workspace, for SQLite and PostgreSQL alike.

Alembic (`memory/migrations`) makes and upgrades them; a test keeps both descriptions equal.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import ROUND_CEILING, Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.types import TypeDecorator

_NANO = Decimal(1_000_000_000)


class Usd(TypeDecorator[Decimal]):
    """Dollars as whole nano-dollars, so that sums in SQL are exact; rounded up, never down."""

    impl = sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: sa.Dialect) -> int | None:  # noqa: ARG002
        """Turn dollars into nano-dollars."""
        if value is None:
            return None
        return int((Decimal(value) * _NANO).to_integral_value(ROUND_CEILING))

    def process_result_value(self, value: int | None, dialect: sa.Dialect) -> Decimal | None:  # noqa: ARG002
        """Turn nano-dollars into dollars."""
        return None if value is None else Decimal(value) / _NANO


class Utc(TypeDecorator[datetime]):
    """Aware UTC times; SQLite would forget the zone."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:  # noqa: ARG002
        """Keep UTC only."""
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:  # noqa: ARG002
        """Give the zone back."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


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
    _key("id"),
    _column("position", sa.Integer),
    _column("split", sa.String),
    _column("origin", sa.String),
    _column("run", sa.String, default=""),  # who generated it; "" for what was imported
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
    _column("body", sa.JSON),
    sa.Index("questions_status", "run", "status", "value"),
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
