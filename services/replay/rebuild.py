"""How does a rebuilt generation become the live one, and how is the previous one restored?

The new generation is built beside the live one, brought to the same position, compared, and made live in one transaction, which
locks the live projection while the last few events are projected. Readers see either the one or the other generation, complete.
Projectors keep writing the previous one, so that a rollback can make it live again, until the next rebuild replaces it.

All this concerns the generations of this release's shape. Where there is none yet, the first one is brought to the end of the log
and made live. Generations of other shapes, and services of other releases that use them, are not touched.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import asyncpg

from services.replay.build import Build, Busy, Resources, ends_of
from services.replay.bulk import forget_spill, timed
from services.replay.verify import Comparison, compared, offsets_of
from shared.errors import ExpectedError
from shared.projection.generations import (
    Generation,
    WrongShape,
    check_log,
    create_generation,
    drop_generation,
    forget_other_shapes_live,
    live_generation,
    point_at,
)
from shared.projection.sql import Connection
from shared.projection.tables import shape
from shared.store.verifications import recorded

NEAR_EVENTS = 2_000  # so near to the live position that the last step takes only a moment
POLL_S = 0.05
IDLE_S = 3.0  # a generation without progress for so long has no projector
APPROACH_S = 6 * 3600.0  # the previous generation may be far behind; no lock is held while waiting for it
HELD_S = 1.0  # how long the live projection is locked while the last events are projected
FLIPS_MAX = 20  # attempts of the last step; after that, the previous generation is too slow for the arriving events
UNFOLLOWED_S = 3.0  # by then projectors have stopped the workers of generations that are no longer followed
LOCK = "SELECT pg_try_advisory_lock(hashtext('touchline.rebuild'))"
UNLOCK = "SELECT pg_advisory_unlock(hashtext('touchline.rebuild'))"
UNFINISHED = r"""
SELECT name FROM touchline.generation
WHERE NOT followed AND name NOT IN (SELECT name FROM touchline.live_generation)
    AND shape = $1 AND log = $2 AND partitions = $3 AND name ~ '^g\d+$' ORDER BY name
"""  # left by a rebuild that was killed
LAST_NUMBER = r"SELECT coalesce(max(substr(name, 2)::int), 0) FROM touchline.generation WHERE name ~ '^g\d+$'"
IS_NOT_LIVE = """
SELECT true FROM touchline.generation g
WHERE name = $1 AND (NOT live OR shape = $2) AND NOT EXISTS (SELECT FROM touchline.live_generation l WHERE l.name = g.name)
"""
HOLD_STILL = "SELECT partition, next_offset FROM {schema}.progress ORDER BY partition FOR UPDATE"
OLDER = "SELECT name FROM touchline.generation WHERE followed AND shape = $1 AND name <> $2"
BEFORE = """
SELECT name, log, partitions FROM touchline.generation WHERE followed AND shape = $1 ORDER BY created_at DESC LIMIT 1
"""


class NothingBefore(ExpectedError):
    """There is no previous generation to go back to."""


@dataclass
class Rebuilt:
    """`generation` is now the live one of its shape, `before` was live until now (None: none was); `comparison` compares the two."""

    generation: str
    before: str | None
    comparison: Comparison | None


@dataclass
class Rebuild:
    """Rebuilds the live generation. `begun` is called with the number of events, `advance` with the number just projected."""

    resources: Resources
    begun: Callable[[int], None]
    advance: Callable[[int], None]

    async def run(self) -> Rebuilt:
        """Build, compare with the live generation if there is one, and switch. Raises `Busy`, `NoGeneration`, `WrongLog` or `LogDamaged`.

        It continues the work of a run that was killed.
        """
        async with self.resources.pool.acquire() as guard:
            await _guard(guard)
            try:
                return await self._run()
            finally:
                await guard.execute(UNLOCK)

    async def _run(self) -> Rebuilt:
        pool, log = self.resources.pool, self.resources.log
        try:
            live = await live_generation(pool)
            check_log(live, log.identity, log.partitions)
        except WrongShape:
            live = None  # only generations of other releases exist, whose rows cannot be compared with ours
        before = None if live is None else live.name
        made = await self._made()
        build = Build(self.resources, made, self.advance)
        with timed("project"):
            await self._approach(build, before)
        comparison = None
        if live is not None:
            with timed("compare"):
                async with recorded(pool, "rebuild", live.name) as record:
                    comparison = await compared(self.resources, live, build)
                    record.result = comparison.result()
            await self._approach(build, before)
        async with pool.acquire() as connection, connection.transaction():
            if before is not None:
                await build.run(await _held_still(connection, before))
            await point_at(connection, made.name)
        for row in await pool.fetch(OLDER, shape(), before):
            await drop(pool, row["name"])
        return Rebuilt(made.name, before, comparison)

    async def _made(self) -> Generation:
        """The generation to build: an unfinished one, or a new one."""
        pool, log = self.resources.pool, self.resources.log
        begun = await pool.fetchval(UNFINISHED, shape(), log.identity, log.partitions)
        if begun is not None:
            return Generation(begun, log.identity, log.partitions)
        number = await pool.fetchval(LAST_NUMBER) + 1
        generation = Generation(f"g{number}", log.identity, log.partitions)
        async with pool.acquire() as connection, connection.transaction():
            await create_generation(connection, generation, live=False)
        return generation

    async def _approach(self, build: Build, before: str | None) -> None:
        """Project until near the live generation's position or, without a live one, near the end of the log; both move meanwhile."""
        while True:
            aim = await (ends_of(self.resources.log) if before is None else offsets_of(self.resources.pool, before))
            at = await offsets_of(self.resources.pool, build.generation.name)
            self.begun(sum(aim.values()))
            await build.run(aim)
            if sum(aim.values()) - sum(at.values()) <= NEAR_EVENTS:
                return


async def rollback(resources: Resources) -> Rebuilt:
    """Make the previous generation live again, after bringing it to the same position.

    Raises `Busy`, `NothingBefore`, `NoGeneration` or `WrongShape`.

    Live events are delayed for a moment only: it first waits, without a lock, until the previous generation has caught up.
    """
    async with resources.pool.acquire() as guard:
        await _guard(guard)
        try:
            pool, log = resources.pool, resources.log
            live = (await live_generation(pool)).name
            row = await pool.fetchrow(BEFORE, shape())
            if row is None:
                raise NothingBefore("there is no generation of this release to go back to")
            back = Generation(**row)
            check_log(back, log.identity, log.partitions)
            for _ in range(FLIPS_MAX):
                if not await _bring(resources, back, await offsets_of(pool, live), APPROACH_S):
                    break
                async with pool.acquire() as connection, connection.transaction():
                    offsets = await _held_still(connection, live)
                    if await _bring(resources, back, offsets, HELD_S) or await _take_the_last(resources, back, offsets):
                        await point_at(connection, back.name)
                        return Rebuilt(back.name, live, None)
            raise Busy(
                f"{back.name} does not catch up with {live} while events arrive; try again when fewer events arrive"
            )
        finally:
            await guard.execute(UNLOCK)


async def _take_the_last(resources: Resources, back: Generation, offsets: Mapping[int, int]) -> bool:
    """Project the last few events that the projectors have not projected in time; False if there are too many."""
    at = await offsets_of(resources.pool, back.name)
    if sum(offsets.values()) - sum(at.values()) > NEAR_EVENTS:
        return False
    await Build(resources, back, lambda _: None).run(offsets)
    return True


async def _bring(resources: Resources, back: Generation, offsets: Mapping[int, int], within_s: float) -> bool:
    """Wait until a followed generation reaches the offsets, or project it if no projector runs; False after `within_s` seconds."""
    deadline_s = time.monotonic() + within_s
    last, idle_s = await offsets_of(resources.pool, back.name), 0.0
    while any(last.get(partition, 0) < offset for partition, offset in offsets.items()):
        if idle_s >= IDLE_S:
            await Build(resources, back, lambda _: None).run(offsets)
        elif time.monotonic() > deadline_s:
            return False
        await asyncio.sleep(POLL_S)
        at = await offsets_of(resources.pool, back.name)
        last, idle_s = at, 0.0 if at != last else idle_s + POLL_S
    return True


async def drop(pool: "asyncpg.Pool[asyncpg.Record]", name: str, *, other_shapes_live: bool = False) -> bool:
    """Remove a generation that is not live; a rollback to it is then impossible. False if there is no such generation.

    With `other_shapes_live`, also the live one of a shape other than this release's. If a release with that shape still runs,
    it stops projecting at once, and answers reads with 503 from then on.
    """
    async with pool.acquire() as connection:
        if other_shapes_live:
            await forget_other_shapes_live(connection, name)
        if not await connection.fetchval(IS_NOT_LIVE, name, shape()):
            return False
        await connection.execute("UPDATE touchline.generation SET followed = false WHERE name = $1", name)
        await asyncio.sleep(UNFOLLOWED_S)
        await forget_spill(Connection(connection, name))
        return await drop_generation(connection, name)


async def _guard(connection: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]") -> None:
    if not await connection.fetchval(LOCK):
        raise Busy("another rebuild or rollback is running")


async def _held_still(connection: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]", schema: str) -> Mapping[int, int]:
    """Lock a generation against projectors until the transaction ends; returns its offsets by partition."""
    rows = await connection.fetch(HOLD_STILL.replace("{schema}", schema))
    return {row["partition"]: row["next_offset"] for row in rows if row["next_offset"]}
