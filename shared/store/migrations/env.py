"""Runs the migrations of the durable tables on the connection that `shared.store.migrate` hands over."""

from alembic import context

from shared.store.durable import durable

connection = context.config.attributes["connection"]
context.configure(
    connection=connection, target_metadata=durable, version_table_schema="touchline", include_schemas=True
)
with context.begin_transaction():
    context.run_migrations()
