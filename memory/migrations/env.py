"""How Alembic reaches the database: always through the connection the store hands over."""

from alembic import context

from querist.memory.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    compare_type=False,
)
with context.begin_transaction():
    context.run_migrations()
