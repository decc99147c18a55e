"""Stage *admission*: which of the events that arrive are in the set, and what does that do to events already known?

Rules **once** and **retracted** decide. The event index gets a row for every id that is new.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from operator import itemgetter
from typing import Any

from shared.events import types as e
from shared.events.codec import canonical
from shared.projection.changes import Change, Changes, EventsAdmitted, EventsArrived
from shared.projection.pipeline import Context, Stage
from shared.projection.rows import Prepared
from shared.projection.sql import sql
from shared.projection.stages.admission.gather import (
    from_log,
    known_ids,
    known_version,
    new_version,
    retractions_near,
    unmet_targets,
)
from shared.rules.keys import event_key
from shared.rules.once import Version, is_plain, latest, winner
from shared.rules.retracted import retracted
from shared.rules.settled import counted

EVENT_INDEX_COLUMNS = (
    "ws", "event_key", "occurred_at_us", "place", "is_touch", "live", "log_offset", "sent_hash", "as_of_us",
)  # fmt: skip

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
ADD_LATENESS = sql("""
INSERT INTO {g}.lateness SELECT $1, * FROM unnest($2::smallint[], $3::bigint[])
ON CONFLICT (ws, bucket) DO UPDATE SET events = lateness.events + excluded.events
""")
DROP_NO_LATENESS = sql("DELETE FROM {g}.lateness WHERE ws = $1 AND events = 0")


@dataclass
class _Settling:
    """What is found out about the batch's ids, until it becomes the change `EventsAdmitted`.

    `renewed` say what was known of their id at a later `as_of`: no row but that of the id changes. Each comes with the version
    before it, which is None where both have an `as_of`.
    """

    entering: list[Prepared] = field(default_factory=list)
    leaving: list[Prepared] = field(default_factory=list)
    outside: list[Prepared] = field(default_factory=list)
    fresh: dict[str, Prepared] = field(default_factory=dict)
    replaced: list[Prepared] = field(default_factory=list)
    losers: list[Prepared] = field(default_factory=list)
    renewed: list[tuple[Prepared | None, Prepared]] = field(default_factory=list)

    def as_change(self) -> EventsAdmitted:
        """The change of the set that the stage passes on."""
        return EventsAdmitted(
            tuple(self.entering), tuple(self.leaving), tuple(self.outside), tuple(self.fresh.values()),
            tuple(self.replaced), tuple(self.losers),
        )  # fmt: skip


@dataclass
class _Contest:
    """The versions of one id: those of a batch, in its order, and the one known before. `contenders` have the latest `as_of`."""

    versions: list[Prepared]
    known: Any
    contenders: list[Version] = field(default_factory=list)

    def __post_init__(self) -> None:
        versions = [new_version(arrived) for arrived in self.versions]
        self.contenders = latest(versions if self.known is None else [known_version(self.known), *versions])

    @property
    def known_contends(self) -> bool:
        """Whether the known version has the latest `as_of` too; it is then the first of the contenders."""
        return self.known is not None and self.contenders[0].offset == self.known["log_offset"]

    @property
    def renews(self) -> bool:
        """Whether it is plain, without a look at the log, that a later version says what was known."""
        known = self.known
        return known["as_of_us"] is not None and all(
            c.sent_hash == known["sent_hash"] and c.occurred_at_us == known["occurred_at_us"] for c in self.contenders
        )

    @property
    def needs_the_known(self) -> bool:
        """Whether the known version must be read from the log: to be compared, or to leave the set."""
        if self.known is None:
            return False
        if not self.known_contends:
            return not self.renews
        return not is_plain(self.contenders) or winner(self.contenders, _no_digest) is not self.contenders[0]


def _no_digest(_: Version) -> bytes:
    raise AssertionError("versions of one content are settled without a digest")


async def run(context: Context, changes: Changes) -> Sequence[Change]:
    """Settle the ids of the events that arrived, write the event index, and pass on what entered and left the set."""
    settling = await _admit(context, changes.of(EventsArrived).arrived)
    await _count_lateness(context, settling)
    await _write_event_index(context, settling)
    return [settling.as_change()]


async def _admit(context: Context, batch: Sequence[Prepared]) -> _Settling:
    """Decide for every event of the batch whether it is in the set, and what that does to events already known."""
    settling = _Settling()
    known_by_id = await known_ids(context, {arrived.key128: arrived.event_id for arrived in batch})
    settling.fresh = {arrived.event_id: arrived for arrived in batch}
    contests = []
    for event_id, versions in _contested(batch, settling.fresh, known_by_id).items():
        del settling.fresh[event_id]
        contests.append(_Contest(versions, known_by_id.get(event_id)))
    rivals = await from_log(context, [c.known["log_offset"] for c in contests if c.needs_the_known])
    for contest in contests:
        if (first := _settle(settling, contest, rivals)) is not None:
            settling.fresh[first.event_id] = first
    if settling.replaced:
        keys = [rival.key128 for rival in settling.replaced]
        await context.connection.execute(DROP_FROM_EVENT_INDEX, context.ws, keys)
    await _renew(context, [arrived for _, arrived in settling.renewed])
    await _retract(context, settling)
    return settling


def _contested(
    batch: Sequence[Prepared], ids: Collection[str], known_by_id: Mapping[str, Any]
) -> dict[str, list[Prepared]]:
    """The events of a batch whose id another of them has too, or is known, by id; `ids` are all of them, each once."""
    if len(ids) == len(batch) and not known_by_id:
        return {}
    twice = {event_id for event_id, times in Counter(arrived.event_id for arrived in batch).items() if times > 1}
    by_id: dict[str, list[Prepared]] = {}
    for arrived in batch:
        if arrived.event_id in twice or arrived.event_id in known_by_id:
            by_id.setdefault(arrived.event_id, []).append(arrived)
    return by_id


def _settle(settling: _Settling, contest: _Contest, rivals: Mapping[int, Prepared]) -> Prepared | None:
    """Note what becomes of the versions of one id; answers the one that gets a row, if any does (rule **once**)."""
    known, versions = contest.known, {arrived.offset: arrived for arrived in contest.versions}
    rival = None if known is None else rivals.get(known["log_offset"])
    in_hand = versions if rival is None else {rival.offset: rival, **versions}
    digests: dict[int, bytes] = {}

    def digest(version: Version) -> bytes:
        if version.offset not in digests:
            digests[version.offset] = sha256(canonical(in_hand[version.offset].raw)).digest()
        return digests[version.offset]

    counts = winner(contest.contenders, digest)
    first = versions.get(counts.offset)
    for version in contest.contenders:
        if version is counts or version.sent_hash == counts.sent_hash or digest(version) == digest(counts):
            continue
        settling.losers.append(in_hand[version.offset])
    if first is None or known is None:
        return first
    if rival is None or (rival.occurred_at_us == first.occurred_at_us and canonical(rival.raw) == canonical(first.raw)):
        settling.renewed.append((rival, first))
        return None
    settling.replaced.append(rival)
    if known["live"]:
        settling.leaving.append(rival)
    return first


async def _retract(context: Context, settling: _Settling) -> None:
    """Sort the fresh events into entering and outside, and flip known ones whose retractions changed."""
    connection, ws, fresh = context.connection, context.ws, settling.fresh
    retractions = [(a, a.event.event_id) for a in fresh.values() if isinstance(a.event, e.EventRetracted)]
    gone = [(a, a.event.event_id) for a in settling.replaced if isinstance(a.event, e.EventRetracted)]
    unmet = await unmet_targets(context)
    met = [event_id for event_id in fresh if event_id in unmet]
    touched = {target for _, target in (*retractions, *gone)}
    if gone:
        await connection.execute(DROP_RETRACTION, ws, [a.event_id for a, _ in gone])
    if retractions:
        await connection.execute(
            ADD_RETRACTION, ws, [target for _, target in retractions], [a.event_id for a, _ in retractions],
            [a.occurred_at_us for a, _ in retractions], [event_key(target) for _, target in retractions],
        )  # fmt: skip
    if not touched and not met and not settling.replaced:
        settling.entering = list(fresh.values())
        return
    ids = {*touched, *met, *(a.event_id for a, _ in retractions), *(a.event_id for a in settling.replaced)}
    near = await retractions_near(context, sorted(ids))
    out = retracted(near)
    await connection.execute(MEET, ws, [*met, *(target for target in touched if target in fresh)])
    for arrived in fresh.values():
        (settling.outside if arrived.event_id in out else settling.entering).append(arrived)
    await _flip(context, settling, {r.target for r in near} | touched, out)


async def _flip(context: Context, settling: _Settling, bearing: Iterable[str], out: frozenset[str]) -> None:
    """Let known events leave or enter the set, where their retractions changed."""
    known = await known_ids(context, {event_key(id_): id_ for id_ in bearing if id_ not in settling.fresh})
    flipped = {target: row for target, row in known.items() if row["live"] == (target in out)}
    if not flipped:
        return
    flipping = await from_log(context, [row["log_offset"] for row in flipped.values()])
    for target, row in flipped.items():
        (settling.leaving if target in out else settling.entering).append(flipping[row["log_offset"]])
    await context.connection.execute(
        SET_LIVE, context.ws, [event_key(target) for target in flipped], [target not in out for target in flipped]
    )


async def _renew(context: Context, renewed: Sequence[Prepared]) -> None:
    """Let ids be known by a later version of the same content."""
    if renewed:
        rows = sorted((a.key128, a.as_of_us, a.offset, a.sent_hash) for a in renewed)
        await context.connection.execute(RENEW_IN_EVENT_INDEX, context.ws, *map(list, zip(*rows, strict=True)))


async def _count_lateness(context: Context, settling: _Settling) -> None:
    """Count how late the batch's live events came (rule **settled**), each id once."""
    late = Counter(counted(a.late_us for a in settling.fresh.values() if a.is_punctual))
    before = (*settling.replaced, *(before for before, _ in settling.renewed))
    if gone := [a for a in before if a is not None and a.is_punctual]:
        late.subtract(counted(a.late_us for a in gone))
    if late:
        await context.connection.execute(ADD_LATENESS, context.ws, list(late), list(late.values()))
    if gone:
        await context.connection.execute(DROP_NO_LATENESS, context.ws)


async def _write_event_index(context: Context, settling: _Settling) -> None:
    out = {a.event_id for a in settling.outside}
    rows = [event_index_row(context.ws, a, live=a.event_id not in out) for a in settling.fresh.values()]
    rows.sort(key=itemgetter(1))  # neighbours in the index one after another
    await context.connection.copy("event_index", EVENT_INDEX_COLUMNS, rows)


def event_index_row(ws: int, arrived: Prepared, *, live: bool) -> tuple[object, ...]:
    """The row that knows an event's id."""
    return (
        ws, arrived.key128, arrived.occurred_at_us, arrived.place, arrived.is_touch, live, arrived.offset,
        arrived.sent_hash, arrived.as_of_us,
    )  # fmt: skip


STAGE = Stage(
    "admission", run, takes=(EventsArrived,), passes_on=(EventsAdmitted,), package=__package__,
    owns=("event_index", "retraction", "lateness"),
)  # fmt: skip
