"""What people send from a browser, kept by the sender's own name of it; reasons in groups."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "replies",
        sa.Column("run", sa.String(), primary_key=True),
        sa.Column("who", sa.String(), primary_key=True),
        sa.Column("client", sa.String(), primary_key=True),
        sa.Column("question", sa.String(), nullable=False),
        sa.Column("deed", sa.String(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("words", sa.String(), nullable=False),
        sa.Column("ms", sa.Integer(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("replies_at", "replies", ["run", "at"])
    reason = sa.Column("reason", sa.String(), nullable=False, server_default="")
    op.add_column("questions", reason)
    _group(op.get_bind())
    op.create_index("questions_reason", "questions", ["run", "status", "reason", "value"])
    holder: list[str | sa.TextClause] = [
        "run",
        "status",
        "assignee",
        sa.text("value DESC"),
        "id",
        "lease_until",
    ]
    op.create_index("questions_holder", "questions", holder)


def _group(connection: sa.Connection) -> None:
    """Sort what was asked before into groups, as new ones are."""
    questions = sa.table(
        "questions",
        sa.column("run", sa.String),
        sa.column("id", sa.String),
        sa.column("reason", sa.String),
        sa.column("body", sa.JSON),
    )
    reason = questions.c.body["reason"].as_string()
    for (words,) in connection.execute(sa.select(reason).distinct()).all():
        group = (words or "").partition(":")[0].strip()[:80]
        connection.execute(sa.update(questions).where(reason == words).values(reason=group))
