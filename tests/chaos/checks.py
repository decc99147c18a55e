"""What must be true at the end, whatever failed before."""

import asyncio
from collections import Counter, defaultdict

import asyncpg

from services.replay.build import Resources
from services.replay.verify import verify
from shared.database import open_pool
from shared.log.port import EventLog
from shared.projection.generations import live_generation
from shared.projection.partitions import LEAF_US, attached
from shared.rules.keys import event_key
from tests.chaos.world import World, Wrong

SETTLE_S = 240.0
VERIFIED_WITHIN_S = 600.0
CONNECTIONS_MAX = 12  # as the command has that verifies
ATTACHED_WITHIN_S = 75.0  # projectors look every 30 s

NUMBER = "SELECT ws FROM {g}.workspace_rows WHERE workspace_id = $1"
LETTERS = "SELECT workspace_id, reason, count(*) AS events FROM touchline.dead_letter GROUP BY 1, 2"
STEPPED = "SELECT event_id, person, session, occurred_at_us FROM {g}.touch WHERE ws = $1 AND event_id = ANY($2::text[])"
LEFT = "SELECT count(*) FROM ONLY {g}.touch_other WHERE occurred_at_us / $1 = ANY($2::bigint[])"


async def check(world: World) -> int:
    """Raise `Wrong` unless what was accepted is counted, once, and as it should be; answers how many events were checked."""
    pool = await open_pool(world.database_url(), CONNECTIONS_MAX)
    log = await world.open_log(pool)
    try:
        generation = (await live_generation(pool)).name
        await _settled(pool, log, generation)
        for workspace, sent in world.sent.items():
            await _all_once(pool, generation, workspace, sent)
        await _letters(world, pool)
        await _stepped(world, pool, generation)
        await _attached(world, pool, generation)
        async with asyncio.timeout(VERIFIED_WITHIN_S):
            comparison = await verify(Resources(pool, log), "chaos", lambda _: None, lambda _: None)
        if comparison.differing:
            raise Wrong(f"{', '.join(comparison.differing)} differ: {comparison.rows[:5]}")
        return sum(map(len, world.sent.values()))
    finally:
        await log.close()
        await pool.close()


async def _settled(pool: "asyncpg.Pool[asyncpg.Record]", log: EventLog, generation: str) -> None:
    """Wait until everything is projected."""
    async with asyncio.timeout(SETTLE_S):
        for partition in range(log.partitions):
            end = await log.end(partition)
            statement = f"SELECT next_offset FROM {generation}.progress WHERE partition = $1"
            while (await pool.fetchval(statement, partition) or 0) < end:
                await asyncio.sleep(0.2)


async def _all_once(pool: "asyncpg.Pool[asyncpg.Record]", generation: str, workspace: str, sent: set[str]) -> None:
    """Every event of a workspace was seen, and is one touch or one entity event."""
    number = await pool.fetchval(NUMBER.replace("{g}", generation), workspace)
    rows = await pool.fetch(f"SELECT event_key FROM {generation}.event_index WHERE ws = $1", number)
    there, due = {row["event_key"] for row in rows}, {event_key(event_id) for event_id in sent}
    if there != due or len(rows) != len(due):
        raise Wrong(f"{workspace}: {len(due - there)} events are missing, {len(there - due)} were never sent")
    counts = await pool.fetchval(
        f"SELECT (SELECT count(*) FROM {generation}.touch WHERE ws = $1) "
        f"+ (SELECT count(DISTINCT event_id) FROM {generation}.entity_event WHERE ws = $1)", number
    )  # fmt: skip
    if counts != len(due):
        rows = await pool.fetch(
            f"SELECT event_id FROM {generation}.touch WHERE ws = $1 UNION ALL "
            f"SELECT DISTINCT event_id FROM {generation}.entity_event WHERE ws = $1", number
        )  # fmt: skip
        made = Counter(row["event_id"] for row in rows)
        lacking = sorted(sent - made.keys())
        twice = sorted(event_id for event_id, times in made.items() if times > 1)
        again = await pool.fetchval(NUMBER.replace("{g}", generation), workspace)
        raise Wrong(
            f"{workspace}: {len(due)} events make {counts} touches and entity_events, {len(rows)} when asked again; {len(lacking)} "
            f"make none, as {lacking[:5]}, {len(twice)} several, as {twice[:5]}; its rows were {number}, and are {again}"
        )


async def _letters(world: World, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
    """Every event that cannot be projected is a dead letter once, with its reason, and no other event is one."""
    kept: dict[str, Counter[str]] = defaultdict(Counter)
    for row in await pool.fetch(LETTERS):
        kept[row["workspace_id"]][row["reason"]] += row["events"]
    poison = {workspace: reasons for workspace, reasons in world.poison.items() if reasons}
    again = sum((reasons.total() for reasons in kept.values()), -sum(reasons.total() for reasons in poison.values()))
    fewer = any(
        kept[workspace][reason] < events for workspace, reasons in poison.items() for reason, events in reasons.items()
    )
    if kept.keys() != poison.keys() or fewer or again > world.poison_again:
        raise Wrong(f"{dict(kept)} were kept aside, not {poison}")


async def _stepped(world: World, pool: "asyncpg.Pool[asyncpg.Record]", generation: str) -> None:
    """What a sender with a wrong clock sent happened when it really did, and a visit of seconds is one session."""
    by_workspace: dict[str, list[str]] = defaultdict(list)
    for event_id, (workspace, _, _) in world.stepped.items():
        by_workspace[workspace].append(event_id)
    for workspace, ids in by_workspace.items():
        number = await pool.fetchval(NUMBER.replace("{g}", generation), workspace)
        rows = await pool.fetch(STEPPED.replace("{g}", generation), number, ids)
        for row in rows:
            _, least_us, most_us = world.stepped[row["event_id"]]
            if not least_us <= row["occurred_at_us"] <= most_us:
                off_s = (row["occurred_at_us"] - least_us) / 1e6
                raise Wrong(f"{row['event_id']} of a sender whose clock stepped is {off_s:+.0f} s off")
        sessions, persons = {(row["person"], row["session"]) for row in rows}, {row["person"] for row in rows}
        if len(rows) != len(ids) or len(sessions) != len(persons):
            raise Wrong(
                f"{len(ids)} visits of {len(persons)} senders are {len(rows)} touches in {len(sessions)} sessions"
            )


async def _attached(world: World, pool: "asyncpg.Pool[asyncpg.Record]", generation: str) -> None:
    """Every partition that was born beside a snapshot is attached by now, or soon, and its rows have moved into it."""
    try:
        async with asyncio.timeout(ATTACHED_WITHIN_S):
            while True:
                async with pool.acquire() as connection:
                    missing = world.leaves - await attached(connection, generation)
                    left = await connection.fetchval(LEFT.replace("{g}", generation), LEAF_US, list(world.leaves))
                if not missing and not left:
                    return
                await asyncio.sleep(0.5)
    except TimeoutError as error:
        raise Wrong(f"partitions {sorted(missing)} of `touch` are not attached, {left} rows wait for them") from error
