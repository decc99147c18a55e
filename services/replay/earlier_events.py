"""Which events of a backfill are new? Each is compared with the earlier event of the same id (rule **once**).

Earlier events are those in the live projection, those in the log that are not projected yet, and those that this run has read.
Nothing is written. Events that others send meanwhile may be missed, so the answer is exact only where nobody else uses these ids.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from struct import Struct
from typing import Any, Literal, NamedTuple

import asyncpg

from services.replay.mapping.campaigns import known
from shared.events.codec import Arrived, Record, canonical, decode_record, encode_record
from shared.events.refusal import UNDECODABLE
from shared.events.registry import names_like, sql_names
from shared.events.types import CampaignCreated
from shared.log.port import Entry, EventLog, partition_of
from shared.projection.generations import Generation, NoGeneration, WrongShape, live_generation
from shared.projection.rows import sent_hash
from shared.projection.sql import Connection, sql
from shared.rules.keys import event_key
from shared.rules.once import recency
from shared.sealing.log import as_stored

IDS_MAX = 1_000_000  # kept in some 200 MB of memory: ids of events that are not in the live projection yet
READ_EVENTS = 5_000  # of the log, at a time
CONFLICTS_SHOWN = 10  # of each source

SEEN = sql("""
SELECT event_key, as_of_us, sent_hash, occurred_at_us, log_offset FROM {g}.event_index
WHERE ws = (SELECT ws FROM {g}.workspace_rows WHERE workspace_id = $1) AND event_key = ANY($2::bytea[])
""")
CAMPAIGNS = sql(f"""
SELECT c.campaign_id, c.name FROM {{g}}.campaign c JOIN {{g}}.workspace_rows w ON w.ws = c.ws
WHERE w.workspace_id = $1 AND EXISTS (
    SELECT FROM {{g}}.entity_event f WHERE f.ws = c.ws AND f.subject = c.campaign AND f.live
    AND f.type IN {sql_names(names_like(CampaignCreated))})
""")  # only campaigns with a `campaign_created` event; others are only named by an association or a spend event
PROJECTED = sql("SELECT next_offset FROM {g}.progress WHERE partition = $1")

FORGOTTEN_SHARE = 20  # a twentieth is dropped at once: finding the oldest id takes longer the more were dropped before

Fate = Literal["new", "duplicates", "updated", "superseded", "conflicts"]
FATES: tuple[Fate, ...] = ("new", "duplicates", "updated", "superseded", "conflicts")
"""`new`: its id is new. `duplicates`: an equal event exists. `updated`: it replaces an event with an older `as_of`.
`superseded`: an event with a later `as_of` exists. `conflicts`: an event with other content and the same `as_of`, or none, exists;
one of the two becomes a dead letter `conflicting_duplicate`."""

_PACKED = Struct("<qqq")


class EventSummary(NamedTuple):
    """A summary of an event: how new it is (`shared.rules.once.recency`), 64 bits of a hash of its content, and its instant."""

    recency: int
    content: int
    occurred_at_us: int


@dataclass
class Compared:
    """How many events of a source have each outcome; and the first ones that conflict, each with source, line and id."""

    counts: Counter[Fate] = field(default_factory=Counter)
    conflicts: list[dict[str, Any]] = field(default_factory=list)
    unknown: str | None = None
    """What could not be compared, and why; None: everything was compared."""

    def add(self, source: Path, line: int, event_id: str, fate: Fate) -> None:
        """Count one event."""
        self.counts[fate] += 1
        if fate == "conflicts" and len(self.conflicts) < CONFLICTS_SHOWN:
            self.conflicts.append({"source": str(source), "line": line, "id": event_id})


class Memory:
    """The events that are not projected yet, by id, at most `IDS_MAX` ids. `forgotten` counts the ids beyond that.

    Ids are kept in two parts by age, so that the whole older part can be dropped once it is projected, while more ids come.
    """

    def __init__(self) -> None:
        self.forgotten = 0
        self._older: dict[bytes, bytes] = {}
        self._younger: dict[bytes, bytes] = {}
        self._older_until = 0
        self._younger_until: int | None = 0

    def get(self, key: bytes) -> EventSummary | None:
        """The summary of the event that counts for an id."""
        packed = self._younger.get(key) or self._older.get(key)
        return None if packed is None else EventSummary(*_PACKED.unpack(packed))

    def put(self, key: bytes, summary: EventSummary) -> None:
        """Set the event that counts for an id. It is not in the log before `sent` is called."""
        self._younger[key] = _PACKED.pack(*summary)
        self._younger_until = None
        if len(self._younger) + len(self._older) > IDS_MAX:
            crowded = self._older or self._younger
            for oldest in list(islice(crowded, max(1, IDS_MAX // FORGOTTEN_SHARE))):
                del crowded[oldest]
                self.forgotten += 1

    def sent(self, offset: int) -> None:
        """All ids put so far are in the log, before this offset."""
        self._younger_until = offset

    def projected(self, offset: int) -> None:
        """Drop ids before this offset: the live projection has them."""
        for _ in ("older", "younger"):
            if offset >= self._older_until and self._younger_until is not None:
                self._older, self._older_until, self._younger = self._younger, self._younger_until, {}
            if offset >= self._older_until:
                self._older = {}


class EarlierEvents:
    """The earlier events of one workspace. One instance serves all sources of a run."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", log: EventLog, workspace: str) -> None:
        self._pool, self._log, self._workspace = pool, log, workspace
        self._partition = partition_of(workspace, log.partitions)
        self._memory = Memory()
        self._begun = False
        self._unknown: str | None = None
        self._created: dict[str, str | None] = {}

    @property
    def unknown(self) -> str | None:
        """What could not be compared, and why; None if everything could."""
        if self._unknown is None and self._memory.forgotten:
            return (
                f"{self._memory.forgotten:,} ids were dropped: no more than {IDS_MAX:,} ids that are not projected are kept "
                "in memory, and events that repeat a dropped id were counted as new"
            )
        return self._unknown

    async def begin(self) -> None:
        """Read the events of the log that are not projected yet. Raises `LogUnavailable` or `LogDamaged`."""
        if self._begun:
            return
        self._begun = True
        end = await self._log.end(self._partition)
        live = await self._live()
        if self._unknown is not None:
            return
        at = await self._projected(live)
        if end - at > IDS_MAX:
            self._memory.forgotten, at = end - IDS_MAX - at, end - IDS_MAX
        while at < end and (entries := await self._log.read(self._partition, at, min(READ_EVENTS, end - at))):
            at = entries[-1].offset + 1
            unread = [arrived for entry in entries if (arrived := self._decoded(entry))]
            for arrived in unread:
                if isinstance(arrived.event, CampaignCreated):
                    name = arrived.event.name or self._created.get(arrived.event.campaign_id)
                    self._created[arrived.event.campaign_id] = name
            await self._judge(live, list(map(_brief, unread)))
        await self._log.leave(self._partition)
        self._memory.sent(end)

    async def campaigns(self) -> dict[str, list[str]] | None:
        """The ids of the created campaigns, by their id and by their name; None if they cannot be read. Call `begin` first."""
        if self.unknown is not None:
            return None
        live = await self._live()
        created: dict[str, str | None] = {}
        if live is not None:
            async with Connection.of(self._pool, live.name) as connection:
                rows = await connection.fetch(CAMPAIGNS, self._workspace)
            created = {row["campaign_id"]: row["name"] for row in rows}
        for campaign_id, name in self._created.items():
            created[campaign_id] = name or created.get(campaign_id)
        return known(created.items())

    async def judge(self, compared: Compared, source: Path, taken: Sequence[tuple[int, Record]]) -> None:
        """Compare the events of some lines of a source, in order, and count the outcomes.

        From now on they count as earlier events, whether they are sent or not. Call `sent` when they are.
        """
        for (line, _), (event_id, fate) in zip(taken, await self.fates([record for _, record in taken]), strict=True):
            compared.add(source, line, event_id, fate)
        compared.unknown = self.unknown

    async def fates(self, records: Sequence[Record]) -> list[tuple[str, Fate]]:
        """The outcome of some events, compared in order: their ids and fates. From now on they count as earlier events."""
        live = await self._live()
        self._memory.projected(await self._projected(live))
        values = await as_stored(self._log, self._workspace, [encode_record(record) for record in records])
        arrived: list[Arrived] = list(map(decode_record, values))
        fates = await self._judge(live, list(map(_brief, arrived)))
        return [(each.event_id, fate) for each, fate in zip(arrived, fates, strict=True)]

    def sent(self, offset: int) -> None:
        """All events compared so far are in the log, before this offset."""
        self._memory.sent(offset)

    async def _judge(self, live: Generation | None, events: Sequence["_Brief"]) -> list[Fate]:
        before = await self._seen(live, [each for each in events if self._memory.get(each.key) is None])
        fates: list[Fate] = []
        for each in events:
            fate, counts = _fate(each.summary, self._memory.get(each.key) or before.get(each.key))
            fates.append(fate)
            if counts:
                self._memory.put(each.key, each.summary)
        return fates

    async def _seen(self, live: Generation | None, events: Sequence["_Brief"]) -> dict[bytes, EventSummary]:
        """The events of some ids in the live projection."""
        if live is None or not events:
            return {}
        async with Connection.of(self._pool, live.name) as connection:
            rows = await connection.fetch(SEEN, self._workspace, [each.key for each in events])
        mine = {each.key: each for each in events}
        found: dict[bytes, EventSummary] = {}
        unlike: dict[int, bytes] = {}
        for row in rows:
            key = row["event_key"]
            if row["as_of_us"] is None and row["sent_hash"] != mine[key].sent_hash:
                unlike[row["log_offset"]] = key  # the content may be equal in other bytes
            else:
                content = mine[key].summary.content if row["as_of_us"] is None else row["sent_hash"]
                found[key] = EventSummary(recency(row["as_of_us"]), content, row["occurred_at_us"])
        if unlike:
            for entry in await self._log.entries(self._partition, list(unlike)):
                arrived: Arrived = decode_record(entry.value, entry.offset)
                found[unlike[entry.offset]] = _brief(arrived).summary
        return found

    async def _live(self) -> Generation | None:
        try:
            return await live_generation(self._pool)
        except NoGeneration:
            return None  # nothing is projected yet
        except WrongShape as error:
            self._unknown = f"events in the store were not compared: {error}"
            return None

    async def _projected(self, live: Generation | None) -> int:
        if live is None:
            return 0
        async with Connection.of(self._pool, live.name) as connection:
            return int(await connection.fetchval(PROJECTED, self._partition) or 0)

    def _decoded(self, entry: Entry) -> Arrived | None:
        """The event of an entry of the log; None where it is another workspace's, or is not valid and so never counts."""
        if entry.workspace != self._workspace:
            return None
        try:
            return decode_record(entry.value, entry.offset)
        except UNDECODABLE:
            return None


class _Brief(NamedTuple):
    """An event's id, as a key, and its summary."""

    key: bytes
    summary: EventSummary
    sent_hash: int


def _brief(arrived: Arrived) -> _Brief:
    content = int.from_bytes(blake2b(canonical(arrived.raw), digest_size=8).digest(), "little", signed=True)
    summary = EventSummary(recency(arrived.as_of_us), content, arrived.occurred_at_us)
    return _Brief(event_key(arrived.event_id), summary, sent_hash(arrived))


def _fate(summary: EventSummary, known: EventSummary | None) -> tuple[Fate, bool]:
    """The outcome of an event, and whether it counts for its id from now on. Of two events that conflict, the first counts."""
    if known is None:
        return "new", True
    newer = summary.recency > known.recency
    if summary[1:] == known[1:]:
        return "duplicates", newer
    if newer:
        return "updated", True
    return "superseded" if summary.recency < known.recency else "conflicts", False
