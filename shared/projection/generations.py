"""Which schema holds the live projection, and of which log?"""

from dataclasses import dataclass

import asyncpg

from shared.projection.partitions import create_partitions, present, tend_partitions
from shared.projection.tables import create_statements, shape

LIVE = "SELECT name, shape, log, partitions FROM touchline.generation WHERE live"
LOCK = "SELECT pg_advisory_xact_lock(hashtext('touchline.generation'))"
ADD = """
INSERT INTO touchline.generation (name, live, followed, shape, log, partitions, ready_at)
VALUES ($1, $2, $2, $3, $4, $5, CASE WHEN $2 THEN now() END)
"""
NAMED = """
SELECT name, shape, log, partitions FROM touchline.generation
WHERE name = ANY($1) AND ready_at IS NOT NULL AND (workspace_id IS NULL OR workspace_id = $2)
    AND (expires_at IS NULL OR expires_at > now())
"""
WHAT_IF = "what_if_"
"""What the names of generations that answer a what-if begin with; who asks leaves it out."""
FOLLOWED = "SELECT name, live FROM touchline.generation WHERE followed AND shape = $1 AND log = $2 ORDER BY name"


@dataclass(frozen=True, slots=True)
class Generation:
    """One complete projection: the schema `name`, of the log `log` with so many partitions."""

    name: str
    log: str
    partitions: int


class WrongShape(Exception):
    """The live generation was made by another release and must be rebuilt."""


class WrongLog(Exception):
    """The live generation is a projection of another log; its offsets mean nothing in this one."""


class NoGeneration(Exception):
    """Nothing was projected into this database yet."""


def lacks_model(name: str, model: str) -> str:
    """What is said of a generation that holds no shares under a model, for it was made by a release without it."""
    return f"generation {name} holds no shares under the model {model}: `touchline replay rebuild` makes them"


async def live_generation(database: "asyncpg.Pool[asyncpg.Record] | asyncpg.Connection[asyncpg.Record]") -> Generation:
    """The live generation. Raises `NoGeneration` or `WrongShape`."""
    try:
        row = await database.fetchrow(LIVE)
    except asyncpg.UndefinedTableError as error:
        raise NoGeneration("the database holds no Touchline") from error
    if row is None:
        raise NoGeneration("no projector has begun here yet")
    return _checked(row)


async def named_generation(connection: "asyncpg.Connection[asyncpg.Record]", name: str, workspace: str) -> Generation:
    """A generation that is whole and holds the workspace, by its name. Raises `NoGeneration` or `WrongShape`."""
    row = await connection.fetchrow(NAMED, [name, WHAT_IF + name], workspace)
    if row is None:
        raise NoGeneration(f"there is no generation {name!r}")
    return _checked(row)


async def open_generation(pool: "asyncpg.Pool[asyncpg.Record]", log: str, partitions: int) -> Generation:
    """The live generation of a log; a first one is made where there is none. Raises `WrongShape` or `WrongLog`."""
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(LOCK)
        row = await connection.fetchrow(LIVE)
        if row is None:
            generation = Generation("g1", log, partitions)
            await drop_generation(connection, generation.name)  # what a restore that was killed has left
            await create_generation(connection, generation, live=True)
            return generation
    found = _checked(row)
    check_log(found, log, partitions)
    return found


def check_log(generation: Generation, log: str, partitions: int) -> None:
    """Raise `WrongLog` if a generation is a projection of another log than this one."""
    if (generation.log, generation.partitions) != (log, partitions):
        raise WrongLog(
            f"generation {generation.name} is a projection of {generation.log} with {generation.partitions} partitions, "
            f"not of {log} with {partitions}; use a database of its own"
        )


async def create_generation(
    connection: "asyncpg.Connection[asyncpg.Record]", generation: Generation, *, live: bool
) -> None:
    """Make an empty generation."""
    for statement in create_statements(generation.name):
        await connection.execute(statement)
    await create_partitions(connection, generation.name, present())
    await connection.execute(ADD, generation.name, live, shape(), generation.log, generation.partitions)


async def followed_generations(pool: "asyncpg.Pool[asyncpg.Record]", log: str) -> dict[str, bool]:
    """Which generations of a log and of this release's shape are projected; and whether each is the live one."""
    return {row["name"]: row["live"] for row in await pool.fetch(FOLLOWED, shape(), log)}


async def point_at(connection: "asyncpg.Connection[asyncpg.Record]", name: str) -> None:
    """Make a generation the live one, in the caller's transaction. The one before is projected on."""
    await connection.execute("UPDATE touchline.generation SET live = false WHERE live")
    await connection.execute(
        "UPDATE touchline.generation SET live = true, followed = true, ready_at = coalesce(ready_at, now()) WHERE name = $1",
        name,
    )


async def drop_generation(connection: "asyncpg.Connection[asyncpg.Record]", name: str) -> None:
    """Remove a generation that is not the live one."""
    async with connection.transaction():
        if await connection.fetchval("DELETE FROM touchline.generation WHERE name = $1 AND NOT live RETURNING 1", name):
            await connection.execute(f"DROP SCHEMA {name} CASCADE")


EXPIRED = "SELECT name FROM touchline.generation WHERE NOT live AND expires_at <= now()"


async def drop_expired(pool: "asyncpg.Pool[asyncpg.Record]") -> list[str]:
    """Remove the generations whose time is over; answers their names."""
    gone = [row["name"] for row in await pool.fetch(EXPIRED)]
    for name in gone:
        async with pool.acquire() as connection:
            await drop_generation(connection, name)
    return gone


async def tend_followed(pool: "asyncpg.Pool[asyncpg.Record]", log: str) -> None:
    """Make the partitions ahead of need, in every generation that is projected. Raises what a database that is away raises."""
    for name in await followed_generations(pool, log):
        async with pool.acquire() as connection:
            await tend_partitions(connection, name)


def _checked(row: asyncpg.Record) -> Generation:
    if row["shape"] != shape():
        raise WrongShape(
            f"generation {row['name']} has shape {row['shape']}, this release needs {shape()}: `touchline replay rebuild` makes one"
        )
    return Generation(row["name"], row["log"], row["partitions"])
