"""Rules **once** and **retracted**: how does a batch change the set of events?

Gathers what is known of the batch's ids, decides, and answers with a `SetChange`: the events that enter the set, those that
leave it, and those that stay outside.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from shared.events import types as e
from shared.events.codec import canonical
from shared.log.port import EventLog
from shared.projection.rows import Prepared, prepared
from shared.projection.sql import Connection, sql
from shared.rules.keys import event_key
from shared.rules.once import Telling, is_plain, latest, winner
from shared.rules.order import Order
from shared.rules.retracted import Retraction, retracted

SEEN = sql("""
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

MEET = sql("UPDATE {g}.retraction SET met = true WHERE ws = $1 AND target = ANY($2::text[]) AND NOT met")
SET_LIVE = sql("""
UPDATE {g}.event_index s SET live = u.live FROM unnest($2::bytea[], $3::bool[]) u(event_key, live)
WHERE s.ws = $1 AND s.event_key = u.event_key
""")
DROP_FROM_EVENT_INDEX = sql("DELETE FROM {g}.event_index WHERE ws = $1 AND event_key = ANY($2::bytea[])")
RENEW_IN_EVENT_INDEX = sql("""
UPDATE {g}.event_index s SET as_of_us = u.as_of_us, log_offset = u.log_offset, sent_hash = u.sent_hash
FROM unnest($2::bytea[], $3::bigint[], $4::bigint[], $5::bigint[]) u(event_key, as_of_us, log_offset, sent_hash)
WHERE s.ws = $1 AND s.event_key = u.event_key
""")
DROP_RETRACTION = sql("DELETE FROM {g}.retraction WHERE ws = $1 AND event_id = ANY($2::text[])")
ADD_RETRACTION = sql("""
INSERT INTO {g}.retraction (ws, target, event_id, occurred_at_us, met)
SELECT $1, t.target, t.event_id, t.at_us, EXISTS (SELECT FROM {g}.event_index s WHERE s.ws = $1 AND s.event_key = t.key)
FROM unnest($2::text[], $3::text[], $4::bigint[], $5::bytea[]) t(target, event_id, at_us, key)
""")


@dataclass
class SetChange:
    """What a batch does to the set of events.

    `entering` were outside and are in now; `leaving` were in and are out; `outside` arrived already retracted.
    Of these, `fresh` have no row yet; `replaced` lose their row (another event has won their id). `losers` never counted, or
    count no more: another event with their id and the same `as_of` (or none) has precedence. Who lost to a later `as_of` is
    only counted (`superseded`). `renewed` say what was known of their id at a later `as_of`: no row but that of the id
    changes. Each comes with the telling before it, which is None where both have an `as_of`.
    """

    entering: list[Prepared] = field(default_factory=list)
    leaving: list[Prepared] = field(default_factory=list)
    outside: list[Prepared] = field(default_factory=list)
    fresh: list[Prepared] = field(default_factory=list)
    replaced: list[Prepared] = field(default_factory=list)
    losers: list[Prepared] = field(default_factory=list)
    renewed: list[tuple[Prepared | None, Prepared]] = field(default_factory=list)
    duplicates: int = 0
    superseded: int = 0

    @property
    def all(self) -> list[Prepared]:
        """Every event whose rows are written or taken away, once."""
        lists = (self.entering, self.leaving, self.outside, self.fresh, self.replaced)
        return list({id(a): a for some in lists for a in some}.values())


@dataclass
class _Claim:
    """The tellings of one id: those of a batch, in its order, and the one known before. `contenders` have the latest `as_of`."""

    tellings: list[Prepared]
    known: Any
    contenders: list[Telling] = field(default_factory=list)

    def __post_init__(self) -> None:
        told = [_telling(arrived) for arrived in self.tellings]
        self.contenders = latest(told if self.known is None else [_known_telling(self.known), *told])

    @property
    def known_contends(self) -> bool:
        """Whether the known telling has the latest `as_of` too; it is then the first of the contenders."""
        return self.known is not None and self.contenders[0].offset == self.known["log_offset"]

    @property
    def renews(self) -> bool:
        """Whether it is plain, without a look at the log, that a later telling says what was known."""
        known = self.known
        return known["as_of_us"] is not None and all(
            c.sent_hash == known["sent_hash"] and c.occurred_at_us == known["occurred_at_us"] for c in self.contenders
        )

    @property
    def needs_the_known(self) -> bool:
        """Whether the known telling must be read from the log: to be compared, or to leave the set."""
        if self.known is None:
            return False
        if not self.known_contends:
            return not self.renews
        return not is_plain(self.contenders) or winner(self.contenders, _no_digest) is not self.contenders[0]


def _no_digest(_: Telling) -> bytes:
    raise AssertionError("tellings of one content are settled without a digest")


async def admit(connection: Connection, log: EventLog, partition: int, ws: int, batch: Sequence[Prepared]) -> SetChange:
    """Decide for every event of the batch whether it is in the set, and what that does to events already known."""
    change = SetChange()
    seen = await _seen(connection, ws, {arrived.key128: arrived.event_id for arrived in batch})
    told: dict[str, list[Prepared]] = {}
    for arrived in batch:
        told.setdefault(arrived.event_id, []).append(arrived)
    fresh: dict[str, Prepared] = {}
    claims = []
    for event_id, tellings in told.items():
        known = seen.get(event_id)
        if known is None and len(tellings) == 1:
            fresh[event_id] = tellings[0]
        else:
            claims.append(_Claim(tellings, known))
    rivals = await _from_log(log, partition, [c.known["log_offset"] for c in claims if c.needs_the_known])
    for claim in claims:
        if (first := _settle(change, claim, rivals)) is not None:
            fresh[first.event_id] = first
    change.fresh = list(fresh.values())
    if change.replaced:
        await connection.execute(DROP_FROM_EVENT_INDEX, ws, [rival.key128 for rival in change.replaced])
    await _renew(connection, ws, [arrived for _, arrived in change.renewed])
    await _retract(connection, log, partition, ws, change, fresh)
    return change


def _settle(change: SetChange, claim: _Claim, rivals: Mapping[int, Prepared]) -> Prepared | None:
    """Note what becomes of the tellings of one id; answers the one that gets a row, if any does (rule **once**)."""
    known, tellings = claim.known, {arrived.offset: arrived for arrived in claim.tellings}
    rival = None if known is None else rivals.get(known["log_offset"])
    in_hand = tellings if rival is None else {rival.offset: rival, **tellings}
    digests: dict[int, bytes] = {}

    def digest(telling: Telling) -> bytes:
        if telling.offset not in digests:
            digests[telling.offset] = sha256(canonical(in_hand[telling.offset].raw)).digest()
        return digests[telling.offset]

    counts = winner(claim.contenders, digest)
    first = tellings.get(counts.offset)
    for telling in claim.contenders:
        if telling is counts:
            continue
        if telling.sent_hash == counts.sent_hash or digest(telling) == digest(counts):
            change.duplicates += 1
        else:
            change.losers.append(in_hand[telling.offset])
    change.superseded += len(tellings) + (known is not None) - len(claim.contenders)
    if first is None or known is None:
        return first
    if rival is None or (rival.occurred_at_us == first.occurred_at_us and canonical(rival.raw) == canonical(first.raw)):
        change.renewed.append((rival, first))
        return None
    change.replaced.append(rival)
    if known["live"]:
        change.leaving.append(rival)
    return first


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


def _telling(arrived: Prepared) -> Telling:
    return Telling(arrived.as_of_us, arrived.sent_hash, arrived.occurred_at_us, arrived.offset)


def _known_telling(row: Any) -> Telling:
    return Telling(row["as_of_us"], row["sent_hash"], row["occurred_at_us"], row["log_offset"])


async def _renew(connection: Connection, ws: int, renewed: Sequence[Prepared]) -> None:
    """Let ids be known by a later telling of the same content."""
    if renewed:
        rows = sorted((a.key128, a.as_of_us, a.offset, a.sent_hash) for a in renewed)
        await connection.execute(RENEW_IN_EVENT_INDEX, ws, *map(list, zip(*rows, strict=True)))


async def _from_log(log: EventLog, partition: int, offsets: Sequence[int]) -> dict[int, Prepared]:
    if not offsets:
        return {}
    entries = await log.entries(partition, sorted(set(offsets)))
    return {entry.offset: prepared(entry.value, entry.offset) for entry in entries}
