"""Which schema holds the live projection of this release's shape, and of which log?

Each shape has a live generation of its own (`touchline.live_generation`), so two releases with other shapes serve side by side.
`touchline.generation.live` is the one pointer that releases before 0010 know: it stays with the shape that it is of.
"""

from dataclasses import dataclass

import asyncpg

from shared.errors import ExpectedError
from shared.projection.content import lists
from shared.projection.partitions import create_partitions, present, tend_partitions
from shared.projection.tables import create_statements, shape

LIVE = """
SELECT g.name, g.shape, g.log, g.partitions FROM touchline.live_generation l JOIN touchline.generation g USING (name)
WHERE l.shape = $1
"""
OTHERS = "SELECT name, shape FROM touchline.generation WHERE ready_at IS NOT NULL AND workspace_id IS NULL ORDER BY created_at DESC"
LOCK = "SELECT pg_advisory_xact_lock(hashtext('touchline.generation'))"
ADD = "INSERT INTO touchline.generation (name, shape, log, partitions, lists) VALUES ($1, $2, $3, $4, $5)"
NAMED = """
SELECT name, shape, log, partitions FROM touchline.generation
WHERE name = ANY($1) AND ready_at IS NOT NULL AND (workspace_id IS NULL OR workspace_id = $2)
    AND (expires_at IS NULL OR expires_at > now())
"""
WHAT_IF = "what_if_"
"""What the names of generations that answer a what-if begin with; who asks leaves it out."""
FOLLOWED = """
SELECT g.name, l.name IS NOT NULL AS live
FROM touchline.generation g LEFT JOIN touchline.live_generation l ON l.name = g.name
WHERE (g.followed OR l.name IS NOT NULL) AND g.shape = $1 AND g.log = $2 ORDER BY g.name
"""
POINT = [
    """
    UPDATE touchline.generation SET followed = true
    WHERE name = (SELECT l.name FROM touchline.live_generation l JOIN touchline.generation g USING (shape) WHERE g.name = $1)
    """,
    """
    INSERT INTO touchline.live_generation (shape, name) SELECT shape, name FROM touchline.generation WHERE name = $1
    ON CONFLICT (shape) DO UPDATE SET name = excluded.name, since = now()
    """,
    "UPDATE touchline.generation SET followed = false, ready_at = coalesce(ready_at, now()) WHERE name = $1",
    """
    UPDATE touchline.generation SET live = false
    WHERE live AND shape = (SELECT shape FROM touchline.generation WHERE name = $1)
    """,
    "UPDATE touchline.generation SET live = true WHERE name = $1 AND NOT EXISTS (SELECT FROM touchline.generation WHERE live)",
]
DROP = """
DELETE FROM touchline.generation g WHERE name = $1 AND NOT EXISTS (SELECT FROM touchline.live_generation l WHERE l.name = g.name)
    AND (NOT live OR shape = $2) RETURNING 1
"""
FORGET_LIVE = [
    "DELETE FROM touchline.live_generation WHERE name = $1 AND shape <> $2",
    "UPDATE touchline.generation SET live = false WHERE name = $1 AND shape <> $2 AND live",
    """
    UPDATE touchline.generation SET live = true
    WHERE name = (SELECT l.name FROM touchline.live_generation l WHERE l.shape = $2 AND l.name <> $1)
        AND NOT EXISTS (SELECT FROM touchline.generation WHERE live)
    """,
]


@dataclass(frozen=True, slots=True)
class Generation:
    """One complete projection: the schema `name`, of the log `log` with so many partitions."""

    name: str
    log: str
    partitions: int


class WrongShape(ExpectedError):
    """What there is was made by a release with another shape; `touchline replay rebuild` makes a generation of this one's."""


class WrongLog(ExpectedError):
    """The live generation is a projection of another log; its offsets mean nothing in this one."""


class NoGeneration(ExpectedError):
    """Nothing was projected into this database yet."""


def lacks_model(name: str, model: str) -> str:
    """The error text for a generation that holds no shares under a model, for it was made by a release without it."""
    return f"generation {name} holds no shares under the model {model}: `touchline replay rebuild` makes them"


async def live_generation(database: "asyncpg.Pool[asyncpg.Record] | asyncpg.Connection[asyncpg.Record]") -> Generation:
    """The live generation of this release's shape. Raises `NoGeneration`, or `WrongShape` if there are those of others only."""
    try:
        row = await database.fetchrow(LIVE, shape())
        if row is None and (other := await database.fetchrow(OTHERS)) is not None:
            raise WrongShape(
                f"generation {other['name']} has shape {other['shape']}, this release needs {shape()}: "
                f"`touchline replay rebuild` makes one"
            )
    except asyncpg.UndefinedTableError as error:
        raise NoGeneration(
            "the database holds no Touchline, or one that this release has not brought up to date"
        ) from error
    if row is None:
        raise NoGeneration("no projector has begun here yet")
    return _generation(row)


async def generation_of_any_shape(pool: "asyncpg.Pool[asyncpg.Record]") -> str:
    """The name of the live generation, or, until there is one of this release's shape, of the newest whole one of another.

    For what every release has alike. Raises `NoGeneration`.
    """
    try:
        return (await live_generation(pool)).name
    except WrongShape:
        return str(await pool.fetchval(OTHERS))


async def named_generation(connection: "asyncpg.Connection[asyncpg.Record]", name: str, workspace: str) -> Generation:
    """A generation that is whole and holds the workspace, by its name. Raises `NoGeneration` or `WrongShape`."""
    row = await connection.fetchrow(NAMED, [name, WHAT_IF + name], workspace)
    if row is None:
        raise NoGeneration(f"there is no generation {name!r}")
    if row["shape"] != shape():
        raise WrongShape(f"generation {name} has shape {row['shape']}, this release reads {shape()} alone")
    return _generation(row)


async def open_generation(pool: "asyncpg.Pool[asyncpg.Record]", log: str, partitions: int) -> Generation | None:
    """The live generation of a log; a first one is made in a store that has none.

    None where there are those of other shapes only: a rebuild makes one of this release's. Raises `WrongLog`.
    """
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(LOCK)
        try:
            found = await live_generation(connection)
        except NoGeneration:
            generation = Generation("g1", log, partitions)
            await drop_generation(connection, generation.name)  # what a restore that was killed has left
            await create_generation(connection, generation, live=True)
            return generation
        except WrongShape:
            return None
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
    await connection.execute(ADD, generation.name, shape(), generation.log, generation.partitions, lists())
    if live:
        await point_at(connection, generation.name)


async def followed_generations(pool: "asyncpg.Pool[asyncpg.Record]", log: str) -> dict[str, bool]:
    """Which generations of a log and of this release's shape are projected; and whether each is the live one."""
    return {row["name"]: row["live"] for row in await pool.fetch(FOLLOWED, shape(), log)}


async def point_at(connection: "asyncpg.Connection[asyncpg.Record]", name: str) -> None:
    """Make a generation the live one of its shape, in the caller's transaction. The one before is projected on."""
    for statement in POINT:
        await connection.execute(statement, name)


async def drop_generation(connection: "asyncpg.Connection[asyncpg.Record]", name: str) -> bool:
    """Remove a generation that is not the live one of its shape; False if there is none such."""
    async with connection.transaction():
        gone = await connection.fetchval(DROP, name, shape()) is not None
        if gone:
            await connection.execute(f"DROP SCHEMA {name} CASCADE")
    return gone


async def forget_other_shapes_live(connection: "asyncpg.Connection[asyncpg.Record]", name: str) -> None:
    """Let a generation be the live one of another shape no more, so that it can be dropped: its release finds none then."""
    async with connection.transaction():
        for statement in FORGET_LIVE:
            await connection.execute(statement, name, shape())


EXPIRED = "SELECT name FROM touchline.generation WHERE expires_at <= now()"


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


def _generation(row: asyncpg.Record) -> Generation:
    return Generation(row["name"], row["log"], row["partitions"])
