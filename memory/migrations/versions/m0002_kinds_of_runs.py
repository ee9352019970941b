"""Choices are told from runs of the loop by a column, not by how their names begin."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Apply."""
    kind = sa.Column("kind", sa.String(), nullable=False, server_default="loop")
    op.add_column("runs", kind)
    runs = sa.table("runs", sa.column("id"), sa.column("kind"))
    is_choice = runs.c.id.startswith("choice.")
    op.execute(sa.update(runs).where(is_choice).values(kind="choice"))
