"""Run by Alembic. The connection comes from `schema.migrate`; there is no offline mode and no second address."""

from alembic import context

from schema.tables import METADATA

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=METADATA, transaction_per_migration=True)
with context.begin_transaction():
    context.run_migrations()
