"""How does `touch` get its partitions, one for each quarter of a year, without making readers wait?

They are made before they are needed: those around the present with the generation, the next ones by the projectors, between batches.
`CREATE TABLE … PARTITION OF` would lock all of `touch` against readers. So a partition is made as a separate table and
attached, which locks only the default partition `touch_other`. The projector waits for this lock for a moment only. If a long
read prevents it, `touch_other` takes the rows, and they move when the partition can be attached.

While rows move, `touch` itself is locked, too, for that moment. A statement decides which partitions it reads before it waits for the lock of
one of them, and takes its snapshot after: if it waited for `touch_other`, it would find the rows neither there nor in the new partition.

What is before 1999, or more than two years ahead, stays in `touch_other`: such instants are mistakes or few.
"""

import asyncio
import time
from collections.abc import Iterable, Sequence

import asyncpg

from shared.projection.tables import TOUCH_LEAF_DAYS

LEAF_US = TOUCH_LEAF_DAYS * 86_400_000_000
FIRST_LEAF = 120  # begins in November 1999; partitions are numbered from 1970 on
AHEAD_LEAVES = 2  # that always exist: half a year in which making them may fail
AHEAD_LEAVES_MAX = 8  # that are made for events of the future: two years
LOCK_WAIT_MS = 100  # readers of `touch` queue behind the lock so long, so it is short
STEP_MS = 1_000  # of one statement while the lock is held; too many rows to move in it stay until the next rebuild
TRIES, PAUSE_S = 3, 0.1  # a batch of another partition of the log may hold the lock for a moment
LOOK_BYTES_MAX = 64 * 1024 * 1024  # of `touch_other` that is looked through for rows to move, a fraction of a second

ATTACHED = """
SELECT substr(c.relname, 7)::int AS leaf FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = to_regclass($1 || '.touch') AND c.relname ~ '^touch_\\d+$'
"""
LOCK = "SELECT pg_advisory_xact_lock(hashtext('touchline.touch'), hashtext($1))"  # one at a time, in all processes
OTHER_BYTES = "SELECT coalesce(pg_relation_size(to_regclass($1 || '.touch_other')), 0)"

NOT_TO_BE_HAD = (asyncpg.LockNotAvailableError, asyncpg.QueryCanceledError, asyncpg.DeadlockDetectedError)


def leaf_of(at_us: int) -> int:
    """The number of the partition of an instant, in microseconds since 1970."""
    return at_us // LEAF_US


def wanted(leaves: Iterable[int]) -> set[int]:
    """Those of some partitions that are ever made."""
    last = leaf_of(time.time_ns() // 1000) + AHEAD_LEAVES_MAX
    return {leaf for leaf in leaves if FIRST_LEAF <= leaf <= last}


def present() -> set[int]:
    """The partition before the present one, the present one, and those ahead."""
    now = leaf_of(time.time_ns() // 1000)
    return set(range(now - 1, now + AHEAD_LEAVES + 1))


async def attached(connection: "asyncpg.Connection[asyncpg.Record]", generation: str) -> set[int]:
    """The partitions that a generation has, beside `touch_other`; none if there is no such generation."""
    return {row["leaf"] for row in await connection.fetch(ATTACHED, generation)}


async def create_partitions(
    connection: "asyncpg.Connection[asyncpg.Record]", generation: str, leaves: Iterable[int]
) -> None:
    """Make partitions of a generation that nobody reads yet."""
    for leaf in sorted(wanted(leaves)):
        await connection.execute(
            f"CREATE TABLE IF NOT EXISTS {generation}.touch_{leaf} PARTITION OF {generation}.touch {_values(leaf)}"
        )


async def attach_partitions(
    connection: "asyncpg.Connection[asyncpg.Record]", generation: str, leaves: Iterable[int]
) -> set[int]:
    """Make partitions of a generation that is read meanwhile; answers those that there are now, of the ones asked for.

    Not to be called within a transaction. A partition that cannot be attached now is left out.
    """
    return {leaf for leaf in sorted(wanted(leaves)) if await _attach(connection, generation, leaf)}


async def tend_partitions(connection: "asyncpg.Connection[asyncpg.Record]", generation: str) -> set[int]:
    """Make the partitions that will be needed, and those whose rows are in `touch_other`; answers which were made."""
    there = await attached(connection, generation)
    missing = present() - there
    if 0 < await connection.fetchval(OTHER_BYTES, generation) <= LOOK_BYTES_MAX:
        rows = await connection.fetch(
            f"SELECT DISTINCT (occurred_at_us / {LEAF_US})::int AS leaf FROM {generation}.touch_other "
            f"WHERE occurred_at_us >= {FIRST_LEAF * LEAF_US}"
        )
        missing |= {row["leaf"] for row in rows} - there
    return await attach_partitions(connection, generation, missing)


async def _attach(connection: "asyncpg.Connection[asyncpg.Record]", generation: str, leaf: int) -> bool:
    for n in range(TRIES):
        try:
            async with connection.transaction():
                await connection.execute(f"SET LOCAL lock_timeout = {LOCK_WAIT_MS}")
                await connection.execute(f"SET LOCAL statement_timeout = {STEP_MS}")
                await connection.execute(LOCK, generation)
                if leaf not in await attached(connection, generation):
                    await _lock(connection, generation, leaf)
                    for statement in _attaching(generation, leaf):
                        await connection.execute(statement)
        except NOT_TO_BE_HAD:
            if n + 1 < TRIES:
                await asyncio.sleep(PAUSE_S)
        else:
            return True
    return False


async def _lock(connection: "asyncpg.Connection[asyncpg.Record]", generation: str, leaf: int) -> None:
    """Lock what must not be read while a partition is attached. Raises `LockNotAvailableError` if it cannot be now."""
    some = f"SELECT EXISTS (SELECT FROM {generation}.touch_other WHERE {_within(leaf)})"
    move = await connection.fetchval(some)
    if move:
        await connection.execute(f"LOCK TABLE ONLY {generation}.touch IN ACCESS EXCLUSIVE MODE")
    await connection.execute(f"LOCK TABLE {generation}.touch_other IN ACCESS EXCLUSIVE MODE")
    if not move and await connection.fetchval(some):  # they came while the lock was waited for
        raise asyncpg.LockNotAvailableError(f"rows have come into {generation}.touch_other that are to move")


def _within(leaf: int) -> str:
    return f"occurred_at_us >= {leaf * LEAF_US} AND occurred_at_us < {(leaf + 1) * LEAF_US}"


def _attaching(generation: str, leaf: int) -> Sequence[str]:
    """What makes a partition, in one transaction; the rows that are its own already move to it."""
    table, other, within = f"{generation}.touch_{leaf}", f"{generation}.touch_other", _within(leaf)
    return (
        f"CREATE TABLE {table} (LIKE {generation}.touch INCLUDING ALL, CONSTRAINT within CHECK ({within}))",
        f"WITH own AS (DELETE FROM {other} WHERE {within} RETURNING *) INSERT INTO {table} SELECT * FROM own",
        f"ALTER TABLE {generation}.touch ATTACH PARTITION {table} {_values(leaf)}",
        f"ALTER TABLE {table} DROP CONSTRAINT within",
    )


def _values(leaf: int) -> str:
    return f"FOR VALUES FROM ({leaf * LEAF_US}) TO ({(leaf + 1) * LEAF_US})"
