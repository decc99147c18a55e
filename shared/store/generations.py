"""Which schema holds the live projection?"""

import asyncpg

from shared.store.projection import create_statements, shape

LIVE = "SELECT name, shape FROM touchline.generation WHERE live"
LOCK = "SELECT pg_advisory_xact_lock(hashtext('touchline.generation'))"


class WrongShape(Exception):
    """The live generation was made by another release and must be rebuilt."""


async def live_generation(pool: "asyncpg.Pool[asyncpg.Record]") -> str:
    """The name of the live generation; a first one is made where there is none."""
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(LOCK)
        row = await connection.fetchrow(LIVE)
        if row is None:
            await create_generation(connection, "g1", live=True)
            return "g1"
        if row["shape"] != shape():
            raise WrongShape(f"generation {row['name']} has shape {row['shape']}, this release needs {shape()}")
        return str(row["name"])


async def create_generation(connection: "asyncpg.Connection[asyncpg.Record]", name: str, *, live: bool) -> None:
    """Make an empty generation."""
    for statement in create_statements(name):
        await connection.execute(statement)
    await connection.execute(
        "INSERT INTO touchline.generation (name, live, shape) VALUES ($1, $2, $3)", name, live, shape()
    )
