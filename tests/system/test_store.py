"""Is the store what its tables say?"""

import asyncio

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine

from shared.store.durable import durable
from touchline.compose import Running


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
        async with engine.connect() as connection:
            assert await connection.run_sync(compare) == []
        await engine.dispose()

    runner.run(check())
