"""Is the store what its tables say?"""

import asyncio

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine

from shared.store.durable import durable
from tests.conftest import new_workspace
from touchline.compose import Running, compose
from touchline.configuration import Configuration


def test_durable_tables_of_a_newer_release_are_left_alone_and_worked_with(
    own_database: str, runner: asyncio.Runner
) -> None:
    """So an upgrade can be taken back: migrations only add."""

    async def check() -> None:
        for _ in range(2):
            running = await compose(own_database, Configuration(kafka_bootstrap_servers=None))
            workspace = await new_workspace(running, "back")
            assert (await workspace.get("/v1/status")).status_code == 200
            await running.pool.execute("ALTER TABLE touchline.dead_letter ADD COLUMN IF NOT EXISTS of_next_year text")
            await running.pool.execute("UPDATE touchline.alembic_version SET version_num = '9999'")
            await running.close()

    runner.run(check())


def test_the_schema_migrated_is_the_schema_declared(
    database_url: str, running: Running, runner: asyncio.Runner
) -> None:
    def compare(connection: Connection) -> list[object]:
        options = {
            "include_schemas": True,
            "include_name": lambda name, kind, _: kind != "schema" or name == "touchline",
            "version_table_schema": "touchline",
        }
        context = MigrationContext.configure(connection, opts=options)
        return list(compare_metadata(context, durable))

    async def check() -> None:
        engine = create_async_engine(database_url.replace("postgresql://", "postgresql+asyncpg://", 1))
        try:
            async with engine.connect() as connection:
                assert await connection.run_sync(compare) == []
        finally:
            await engine.dispose()

    runner.run(check())
