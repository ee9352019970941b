"""Rows of a run's own beside those of its data set, under one id; caps and settings."""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

_COLUMNS = "dataset, run, id, position, split, origin, fields, parents, gold, written_as"


def upgrade() -> None:
    """Apply."""
    _widen_key()
    op.create_table(
        "caps",
        sa.Column("name", sa.String(), primary_key=True),
        sa.Column("usd", sa.BigInteger(), nullable=False),
        sa.Column("who", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "settings",
        sa.Column("name", sa.String(), primary_key=True),
        sa.Column("value", sa.String(), nullable=False),
        sa.Column("who", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "days",
        sa.Column("day", sa.String(), primary_key=True),
        sa.Column("settled", sa.BigInteger(), nullable=False),
    )
    _count_today(op.get_bind())


def _count_today(connection: sa.Connection) -> None:
    """Sum what was settled since midnight in UTC; days that are over have no cap any more."""
    day = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    spend = sa.table(
        "spend",
        sa.column("entry", sa.String),
        sa.column("amount", sa.BigInteger),
        sa.column("at", sa.DateTime(timezone=True)),
    )
    query = sa.select(sa.func.sum(spend.c.amount))
    mine = query.where(spend.c.entry == "settle", spend.c.at >= day)
    settled = int(connection.execute(mine).scalar() or 0)
    days = sa.table("days", sa.column("day", sa.String), sa.column("settled", sa.BigInteger))
    connection.execute(sa.insert(days).values(day=f"{day:%Y-%m-%d}", settled=settled))


def _widen_key() -> None:
    """Make an example's run part of its key: two runs of a data set may own the same text."""
    op.drop_index("examples_split", table_name="examples")
    # SQLite cannot change a key in place.
    op.create_table(
        "examples_wide",
        sa.Column("dataset", sa.String(), primary_key=True),
        sa.Column("run", sa.String(), primary_key=True),
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("split", sa.String(), nullable=False),
        sa.Column("origin", sa.String(), nullable=False),
        sa.Column("fields", sa.JSON(), nullable=False),
        sa.Column("parents", sa.JSON(), nullable=False),
        sa.Column("gold", sa.JSON(), nullable=True),
        sa.Column("written_as", sa.JSON(), nullable=True),
    )
    op.execute(f"INSERT INTO examples_wide ({_COLUMNS}) SELECT {_COLUMNS} FROM examples")  # noqa: S608
    op.drop_table("examples")
    op.rename_table("examples_wide", "examples")
    op.create_index("examples_split", "examples", ["dataset", "split", "position"])
