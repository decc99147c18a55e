"""Rules **once** and **retracted**: how does a batch change the set of events?

Gathers what is known of the batch's ids, decides, and answers with a `SetChange`: the events that enter the set, those that
leave it, and those that stay outside.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from shared.events import types as e
from shared.events.codec import canonical
from shared.log.port import EventLog
from shared.projection.rows import Prepared, prepared
from shared.projection.sql import Connection, sql
from shared.rules.keys import event_key
from shared.rules.order import Order
from shared.rules.retracted import Retraction, retracted

SEEN = sql("""
SELECT event_key, occurred_at_us, place, is_touch, live, log_offset, sent_hash FROM {g}.seen
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

MEET = sql("UPDATE {g}.retraction SET met = true WHERE ws = $1 AND target = ANY($2::text[]) AND NOT met")
SET_LIVE = sql("""
UPDATE {g}.seen s SET live = u.live FROM unnest($2::bytea[], $3::bool[]) u(event_key, live)
WHERE s.ws = $1 AND s.event_key = u.event_key
""")
REPLACE_SEEN = sql("DELETE FROM {g}.seen WHERE ws = $1 AND event_key = ANY($2::bytea[])")
DROP_RETRACTION = sql("DELETE FROM {g}.retraction WHERE ws = $1 AND event_id = ANY($2::text[])")
ADD_RETRACTION = sql("""
INSERT INTO {g}.retraction (ws, target, event_id, occurred_at_us, met)
SELECT $1, t.target, t.event_id, t.at_us, EXISTS (SELECT FROM {g}.seen s WHERE s.ws = $1 AND s.event_key = t.key)
FROM unnest($2::text[], $3::text[], $4::bigint[], $5::bytea[]) t(target, event_id, at_us, key)
""")


@dataclass
class SetChange:
    """What a batch does to the set of events.

    `entering` were outside and are in now; `leaving` were in and are out; `outside` arrived already retracted.
    Of these, `fresh` have no row yet; `replaced` lose their row (another event has won their id). `losers` never counted, or
    count no more: an event with their id has precedence.
    """

    entering: list[Prepared] = field(default_factory=list)
    leaving: list[Prepared] = field(default_factory=list)
    outside: list[Prepared] = field(default_factory=list)
    fresh: list[Prepared] = field(default_factory=list)
    replaced: list[Prepared] = field(default_factory=list)
    losers: list[Prepared] = field(default_factory=list)
    duplicates: int = 0


async def admit(connection: Connection, log: EventLog, partition: int, ws: int, batch: Sequence[Prepared]) -> SetChange:
    """Decide for every event of the batch whether it is in the set, and what that does to events already known."""
    change = SetChange()
    seen = await _seen(connection, ws, {arrived.key128: arrived.event_id for arrived in batch})
    rivals = [seen[a.event_id]["log_offset"] for a in batch if a.event_id in seen and not _again(a, seen[a.event_id])]
    claimed = await _from_log(log, partition, rivals)
    fresh: dict[str, Prepared] = {}
    replaced: dict[str, Prepared] = {}
    was_live: dict[str, bool] = {}
    for arrived in batch:
        rival = fresh.get(arrived.event_id)
        known = seen.get(arrived.event_id)
        if rival is None and known is not None:
            if _again(arrived, known):
                change.duplicates += 1
                continue
            rival = claimed[known["log_offset"]]
        if rival is None:
            fresh[arrived.event_id] = arrived
            continue
        winner, loser = (arrived, rival) if _precedence(arrived) < _precedence(rival) else (rival, arrived)
        if canonical(winner.raw) == canonical(loser.raw):
            change.duplicates += 1
        else:
            change.losers.append(loser)
        if winner is arrived:
            if arrived.event_id not in fresh:
                assert known is not None
                replaced[arrived.event_id] = rival
                was_live[arrived.event_id] = known["live"]
            fresh[arrived.event_id] = arrived
    change.fresh = list(fresh.values())
    change.replaced = list(replaced.values())
    change.leaving = [rival for event_id, rival in replaced.items() if was_live[event_id]]
    if replaced:
        await connection.execute(REPLACE_SEEN, ws, [event_key(event_id) for event_id in replaced])
    await _retract(connection, log, partition, ws, change, fresh)
    return change


async def _retract(
    connection: Connection, log: EventLog, partition: int, ws: int, change: SetChange, fresh: dict[str, Prepared]
) -> None:
    """Sort the fresh events into entering and outside, and flip known ones whose retractions changed."""
    told = [a for a in change.fresh if isinstance(a.event, e.EventRetracted)]
    gone = [a for a in change.replaced if isinstance(a.event, e.EventRetracted)]
    unmet = {row["target"] for row in await connection.fetch(UNMET, ws)}
    met = [event_id for event_id in fresh if event_id in unmet]
    touched = {a.event.event_id for a in (*told, *gone) if isinstance(a.event, e.EventRetracted)}
    if gone:
        await connection.execute(DROP_RETRACTION, ws, [a.event_id for a in gone])
    if told:
        targets = [a.event.event_id for a in told if isinstance(a.event, e.EventRetracted)]
        await connection.execute(
            ADD_RETRACTION, ws, targets, [a.event_id for a in told], [a.occurred_at_us for a in told],
            [event_key(t) for t in targets],
        )  # fmt: skip
    if not touched and not met and not change.replaced:
        change.entering = change.fresh
        return
    near = sorted({*touched, *met, *(a.event_id for a in (*told, *change.replaced))})
    await connection.execute(BY_INDEX)
    rows = await connection.fetch(RETRACTIONS_NEAR, ws, near)
    await connection.execute(AS_BEFORE)
    out = retracted(Retraction(Order(r["occurred_at_us"], r["event_id"]), r["target"]) for r in rows)
    await connection.execute(MEET, ws, [*met, *(t for t in touched if t in fresh)])
    for arrived in change.fresh:
        (change.outside if arrived.event_id in out else change.entering).append(arrived)
    bearing = {r["target"] for r in rows} | touched
    known = await _seen(connection, ws, {event_key(target): target for target in bearing if target not in fresh})
    flipped = {target: row for target, row in known.items() if row["live"] == (target in out)}
    flipping = await _from_log(log, partition, [row["log_offset"] for row in flipped.values()])
    for target, row in flipped.items():
        (change.leaving if target in out else change.entering).append(flipping[row["log_offset"]])
    await connection.execute(SET_LIVE, ws, [event_key(t) for t in flipped], [t not in out for t in flipped])


async def _seen(connection: Connection, ws: int, by_key: dict[bytes, str]) -> dict[str, Any]:
    if not by_key:
        return {}
    rows = await connection.fetch(SEEN, ws, sorted(by_key))
    return {by_key[row["event_key"]]: row for row in rows}


def _again(arrived: Prepared, known: Any) -> bool:
    """The same event once more, received no earlier."""
    return bool(known["sent_hash"] == arrived.sent_hash and known["occurred_at_us"] <= arrived.occurred_at_us)


def _precedence(arrived: Prepared) -> tuple[bytes, int]:
    """Of events that claim one id the one with the smaller digest counts; of the same event, its earliest receipt."""
    return sha256(canonical(arrived.raw)).digest(), arrived.occurred_at_us


async def _from_log(log: EventLog, partition: int, offsets: Sequence[int]) -> dict[int, Prepared]:
    if not offsets:
        return {}
    entries = await log.entries(partition, sorted(set(offsets)))
    return {entry.offset: prepared(entry.value, entry.offset) for entry in entries}
