"""A partition of `touch` is born while a `verify` holds its snapshot: readers and projectors must not wait for it."""

import asyncio
import datetime as dt
import os
import signal
import sys
import time
from typing import Any

import asyncpg
import httpx
import orjson

from shared.projection.generations import live_generation
from shared.projection.partitions import attached, leaf_of
from tests.chaos.world import World, Wrong, send_until_accepted

YEARS = range(2001, 2022)  # of which the load tells nothing
VISITS = 20
HELD_S = 4.0  # how long the snapshot is held after the birth
READABLE_WITHIN_S = (
    60.0  # a second or two; the rest is a busy machine's. Who waited for the `verify` would wait as long as it is held
)
CAUGHT_WITHIN_S = 60.0
VERIFIED_WITHIN_S = 120.0

BEGUN = "SELECT to_regclass($1 || '.event_index') IS NOT NULL"
WAITS = "SELECT EXISTS (SELECT FROM pg_locks WHERE relation = to_regclass($1 || '.event_index') AND NOT granted)"
ROWS = "SELECT count(*) FROM ONLY {g}.touch_other WHERE occurred_at_us >= $1 AND occurred_at_us < $2"
PROJECTED = "SELECT coalesce(sum(next_offset), 0) FROM {g}.progress"


async def birth(world: World) -> str:
    """Hold a real `touchline replay verify` up while it holds its snapshot, let a quarter be born, and let it go on.

    It is held up by a lock on a table of the projection that it makes for itself, and which nobody else knows.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "touchline", "replay", "verify", "--json", *world.reached_by(), env=world.environment(),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    own = f"verify_{process.pid}"
    connection, lock = [await asyncpg.connect(world.database_url()) for _ in range(2)]
    try:
        await _until(connection, BEGUN, own, process)
        async with lock.transaction():
            await lock.execute(f"LOCK TABLE {own}.event_index IN ACCESS EXCLUSIVE MODE")
            await _until(connection, WAITS, own, process)
            showed, leaf = await _born(world, connection)
        comparison = await _ended(process)
        world.leaves.add(leaf)
        rows = sum(table["rows"] for table in comparison["tables"].values())
        return f"{showed}, beside the snapshot of a `verify` of {rows:,} rows, which then found no difference"
    finally:
        await connection.close()
        await lock.close()
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


async def _until(
    connection: "asyncpg.Connection[asyncpg.Record]", question: str, own: str, process: asyncio.subprocess.Process
) -> None:
    """Wait until `verify` is so far."""
    deadline_s = time.monotonic() + CAUGHT_WITHIN_S
    while not await connection.fetchval(question, own):
        if process.returncode is not None:
            await _ended(process)
            raise Wrong("`verify` was over before it could be held")
        if time.monotonic() > deadline_s:
            raise Wrong(f"`verify` was not so far within {CAUGHT_WITHIN_S:g} s: {question}")
        await asyncio.sleep(0.005)


async def _born(world: World, connection: "asyncpg.Connection[asyncpg.Record]") -> tuple[str, int]:
    """Send the first events of a quarter, and check that nobody waits; answers what it showed, and the partition."""
    generation = (await live_generation(connection)).name
    there = await attached(connection, generation)
    year = world.rng.choice([year for year in YEARS if leaf_of(_at_us(year)) not in there | world.leaves])
    leaf, workspace = leaf_of(_at_us(year)), world.rng.choice(list(world.keys))
    events = [
        {"type": "page_visited", "id": f"birth-{year}-{n}", "visitor_id": f"b{n}", "url": "https://birth.example/",
         "occurred_at": f"{year}-05-17T00:00:{n:02}Z"} for n in range(VISITS)
    ]  # fmt: skip
    projected = await connection.fetchval(PROJECTED.replace("{g}", generation))
    reads, began_s = len(world.reads.took_s), time.monotonic()
    async with httpx.AsyncClient(timeout=15) as client:
        position = await send_until_accepted(world, client, workspace, events)
        await _readable(world, client, workspace, position)
    readable_s = time.monotonic() - began_s
    await asyncio.sleep(HELD_S)
    from_us = _at_us(year) // 1_000_000 * 1_000_000
    rows = await connection.fetchval(ROWS.replace("{g}", generation), from_us, from_us + 60_000_000)
    if rows != VISITS or leaf in await attached(connection, generation):
        raise Wrong(f"the quarter of {year} was not born beside a snapshot: {rows} of {VISITS} rows wait for it")
    if await connection.fetchval(PROJECTED.replace("{g}", generation)) <= projected + VISITS:
        raise Wrong("nothing else was projected while `verify` held its snapshot")
    during = [took_s for _, took_s in world.reads.took_s[reads:]]
    showed = (
        f"the first events of a quarter of {year} could be read {readable_s:.1f} s after they were sent, and the slowest of "
        f"{len(during)} reads within {HELD_S + readable_s:.0f} s took {max(during, default=0):.2f} s"
    )
    return showed, leaf


def _at_us(year: int) -> int:
    return int(dt.datetime(year, 5, 17, tzinfo=dt.UTC).timestamp()) * 1_000_000


async def _readable(world: World, client: httpx.AsyncClient, workspace: str, position: str) -> None:
    deadline_s = time.monotonic() + READABLE_WITHIN_S
    while time.monotonic() < deadline_s:
        answer = await client.get(
            f"{world.read_urls()[0]}/v1/status", params={"after": position}, headers=world.headers(workspace, "read")
        )
        if answer.status_code == 200:
            return
    raise Wrong(f"the first events of a quarter could not be read within {READABLE_WITHIN_S:g} s beside a `verify`")


async def _ended(process: asyncio.subprocess.Process) -> Any:
    """What a `verify` said. It must have found no difference."""
    async with asyncio.timeout(VERIFIED_WITHIN_S):
        output, errors = await process.communicate()
    if process.returncode:
        raise Wrong(f"`verify` ended with {process.returncode}: {output[-1000:]!r} {errors[-2000:]!r}")
    return orjson.loads(output)
