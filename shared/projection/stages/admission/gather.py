"""What is known of a batch's ids, and which retractions bear on them?"""

from collections.abc import Mapping, Sequence
from typing import Any

from shared.projection.pipeline import Context
from shared.projection.rows import Prepared, prepared
from shared.projection.sql import sql
from shared.rules.once import Version
from shared.rules.order import Order
from shared.rules.retracted import Retraction

KNOWN = sql("""
SELECT event_key, occurred_at_us, place, is_touch, live, log_offset, sent_hash, as_of_us FROM {g}.event_index
WHERE ws = $1 AND event_key = ANY($2::bytea[])
""")  # which of a batch's ids are known

UNMET = sql("SELECT DISTINCT target FROM {g}.retraction WHERE ws = $1 AND NOT met")  # taken out before they arrived

RETRACTIONS_NEAR = sql("""
WITH RECURSIVE near(id) AS (
    SELECT unnest($2::text[]) COLLATE "C"
    UNION
    SELECT other.id FROM near CROSS JOIN LATERAL (
        SELECT event_id AS id FROM {g}.retraction WHERE ws = $1 AND target = near.id
        UNION ALL SELECT target FROM {g}.retraction WHERE ws = $1 AND event_id = near.id) other
)
SELECT r.target, r.event_id, r.occurred_at_us FROM near JOIN {g}.retraction r ON r.ws = $1 AND r.target = near.id
""")  # every retraction that can bear on these ids, through chains of retractions

BY_INDEX = sql("SET LOCAL enable_seqscan = off")
AS_BEFORE = sql("SET LOCAL enable_seqscan = on")
# each step along a chain looks two rows up; by what the planner takes for a small table it reads all of it, at every step


async def known_ids(context: Context, by_key: Mapping[bytes, str]) -> dict[str, Any]:
    """What the event index holds of these ids, by id; `by_key` has the id of each key."""
    if not by_key:
        return {}
    rows = await context.connection.fetch(KNOWN, context.ws, sorted(by_key))
    return {by_key[row["event_key"]]: row for row in rows}


async def unmet_targets(context: Context) -> set[str]:
    """The ids that were retracted before an event with them arrived."""
    return {row["target"] for row in await context.connection.fetch(UNMET, context.ws)}


async def retractions_near(context: Context, ids: Sequence[str]) -> list[Retraction]:
    """Every retraction that can bear on these ids."""
    await context.connection.execute(BY_INDEX)
    rows = await context.connection.fetch(RETRACTIONS_NEAR, context.ws, ids)
    await context.connection.execute(AS_BEFORE)
    return [Retraction(Order(r["occurred_at_us"], r["event_id"]), r["target"]) for r in rows]


async def from_log(context: Context, offsets: Sequence[int]) -> dict[int, Prepared]:
    """Events that were projected before, by their offsets."""
    if not offsets:
        return {}
    assert context.log is not None
    entries = await context.log.entries(context.partition, sorted(set(offsets)))
    return {entry.offset: prepared(entry.value, entry.offset) for entry in entries}


def new_version(arrived: Prepared) -> Version:
    """What rule **once** reads of an event that arrives."""
    return Version(arrived.as_of_us, arrived.sent_hash, arrived.occurred_at_us, arrived.offset)


def known_version(row: Any) -> Version:
    """What rule **once** reads of a row of the event index."""
    return Version(row["as_of_us"], row["sent_hash"], row["occurred_at_us"], row["log_offset"])
