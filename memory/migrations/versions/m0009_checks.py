"""Questions that check people's answers, and times by which questions are due."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Apply."""
    checks = sa.Column("checks", sa.String(), nullable=False, server_default="")
    op.add_column("questions", checks)
    op.create_index("questions_example", "questions", ["run", "example", "assignee", "status"])
    op.add_column("questions", sa.Column("due", sa.DateTime(timezone=True), nullable=True))
    op.create_index("questions_due", "questions", ["run", "status", "due"])
    op.create_index("questions_checks", "questions", ["run", "checks", "status"])
