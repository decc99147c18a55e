"""How are the durable tables brought up to the installed release? By Alembic, at every start, under a lock."""

from importlib.resources import files
from typing import Any

import structlog
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine

from shared.database import connect

logger = structlog.stdlib.get_logger("touchline.store")


async def migrate(url: str, partitions: int) -> None:
    """Create or upgrade the schema `touchline`, and make sure that the log's partitions exist.

    Tables of a newer release are not changed. Raises `Unreachable` if no connection can be made.
    """
    engine = create_async_engine(
        url.replace("postgresql://", "postgresql+asyncpg://", 1), connect_args={"async_creator_fn": connect}
    )
    try:
        async with engine.begin() as connection:
            await connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('touchline.migrate'))"))
            await connection.execute(text("CREATE SCHEMA IF NOT EXISTS touchline"))
            await connection.run_sync(_upgrade)
            await connection.execute(
                text(
                    "INSERT INTO touchline.log_partition (partition) SELECT generate_series(0, :last) "
                    "ON CONFLICT DO NOTHING"
                ),
                {"last": partitions - 1},
            )
    finally:
        await engine.dispose()


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(files("shared.store") / "migrations"))
    attributes: dict[str, Any] = config.attributes
    attributes["connection"] = connection
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    found = MigrationContext.configure(connection, opts={"version_table_schema": "touchline"}).get_current_revision()
    if found is not None and found not in known:  # migrations only add, so this release works with a newer schema
        logger.warning("the durable tables belong to a newer release and are not changed", revision=found)
        return
    command.upgrade(config, "head")
