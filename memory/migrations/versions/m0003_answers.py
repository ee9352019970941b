"""What a file says of an example is an answer; what a text was written as has its own column."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

# Every answer was one class until now.
_ANSWER = {
    "sqlite": "json_object('value', gold, 'aspects', NULL, 'kind', 'choice')",
    "postgresql": "json_build_object('value', gold, 'aspects', NULL, 'kind', 'choice')",
}


def upgrade() -> None:
    """Apply."""
    dialect = op.get_bind().dialect.name
    answer = _ANSWER[dialect]
    op.add_column("examples", sa.Column("written_as", sa.JSON(), nullable=True))
    # No parameter and no text from outside: what is put in is written above.
    op.execute(
        sa.text(f"UPDATE examples SET written_as = {answer} WHERE origin = 'generated'")  # noqa: S608
    )
    op.execute(sa.text("UPDATE examples SET gold = NULL WHERE origin = 'generated'"))
    if dialect == "sqlite":
        op.execute(sa.text(f"UPDATE examples SET gold = {answer} WHERE gold IS NOT NULL"))  # noqa: S608
        with op.batch_alter_table("examples") as table:
            table.alter_column("gold", type_=sa.JSON(), existing_type=sa.String())
        return
    op.alter_column(
        "examples",
        "gold",
        type_=sa.JSON(),
        existing_type=sa.String(),
        postgresql_using=f"CASE WHEN gold IS NULL THEN NULL ELSE {answer} END",
    )
