"""A storm of events that no rule can take, as records of the log that an earlier release, or a broken producer, may have written."""

import asyncio
import time
from collections import Counter

import asyncpg
import msgspec

from shared.database import AWAY, open_pool
from shared.events.codec import Record, encode_record
from shared.log.port import EventLog, LogUnavailable
from tests.chaos.world import World, Wrong

STORM = 1_200
PART = 50  # records in one append, so that good events lie between
KEPT_WITHIN_S = 60.0

LETTERS = "SELECT count(*) FROM touchline.dead_letter"


def records(begin: int) -> list[tuple[str, bytes]]:
    """`STORM` poisonous records, each with the reason for which it must be kept aside. Ids count from `begin` on."""
    now_us = time.time_ns() // 1_000
    kinds = [
        (
            "cannot_be_projected",
            "page_visited",
            {"url": "https://x.example/?tl_via=%00"},
            1,
        ),  # a text that no table can hold
        ("cannot_be_decoded", "page_teleported", {"url": "https://x.example/"}, 1),
        ("cannot_be_decoded", "page_visited", {"url": "https://x.example/"}, 9),  # of a release to come
        ("cannot_be_decoded", "page_visited", {"url": 7}, 1),
    ]
    out = []
    for n in range(begin, begin + STORM):
        reason, type_, fields, version = kinds[n % len(kinds)]
        event = {"type": type_, "id": f"poison-{n}", "visitor_id": f"p{n % 50}", **fields}
        raw = msgspec.Raw(msgspec.json.encode(event))
        out.append((reason, encode_record(Record(version, "collect", now_us, raw, occurred_at=now_us))))
    return out


async def storm(world: World) -> str:
    """The log gets `STORM` poisonous records among good ones; each must be kept aside, and the projection go on."""
    workspace = world.rng.choice(list(world.keys))
    expected = world.poison.setdefault(workspace, Counter())
    pool = await open_pool(world.database_url(), 2)
    log = await world.open_log(pool)
    try:
        before = await pool.fetchval(LETTERS)
        kinds = records(expected.total())
        for begin in range(0, STORM, PART):
            part = kinds[begin : begin + PART]
            await _append(world, log, workspace, [value for _, value in part])
            expected.update(reason for reason, _ in part)
        began_s = time.monotonic()
        while (kept := await _letters(pool, before)) < STORM:
            if time.monotonic() - began_s > KEPT_WITHIN_S:
                raise Wrong(
                    f"of {STORM:,} events that no rule can take {kept:,} were kept aside in {KEPT_WITHIN_S:g} s"
                )
            await asyncio.sleep(0.1)
        return (
            f"{STORM:,} events that no rule can take were kept aside {time.monotonic() - began_s:.1f} s after the last"
        )
    finally:
        await log.close()
        await pool.close()


async def _append(world: World, log: EventLog, workspace: str, values: list[bytes]) -> None:
    """Append, again until it is sure; what may be there twice then is remembered."""
    for _ in range(100):
        try:
            await log.append(workspace, values)
        except LogUnavailable:
            world.poison_again += len(values)
            await asyncio.sleep(0.3)
        else:
            return
    raise Wrong("the log took nothing in 100 tries")


async def _letters(pool: "asyncpg.Pool[asyncpg.Record]", before: int) -> int:
    try:
        return int(await pool.fetchval(LETTERS)) - before
    except AWAY:
        return 0
