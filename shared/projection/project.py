"""How does a batch of the log become rows? Gather, let the rules decide, apply: in one transaction with the offset."""

import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, TypeVar

import msgspec

from shared.events import types as e
from shared.events.codec import decode_event, sender_of
from shared.events.limits import MESSAGE_CHARACTERS_MAX
from shared.events.refusal import UNDECODABLE
from shared.events.registry import name_of
from shared.log.port import Entry, EventLog
from shared.projection.admission import admit
from shared.projection.catalog import derive_catalog, save_readings
from shared.projection.deals import derive_deals
from shared.projection.persons import derive_contacts, derive_identity_intervals, record_mentions
from shared.projection.record import record_lateness, sort_out, write
from shared.projection.rows import SETTINGS_SUBJECT, Prepared, Unfit, agents_of, prepared, suit
from shared.projection.scanners import settle_scanners
from shared.projection.sessions import in_order, rederive_all, save, settle_late
from shared.projection.sql import Connection, sql
from shared.projection.traffic_classes import apply_machine_rules, save_agents, settle_internal
from shared.projection.urls import apply_url_rules
from shared.projection.work import Work
from shared.rules.association import SOCIAL_POSTS_MAX
from shared.rules.order import Order
from shared.rules.settings import NOTHING_SET, Settings, settings
from shared.store.touch_partitions import attach_partitions, attached, leaf_of, wanted

LEAVES_AGAIN_S = 10.0  # who reads for long, such as `verify`, does so for minutes

MOVE = sql("""
UPDATE {g}.progress SET next_offset = $4, events = events + $5, received_us = greatest(received_us, $6)
WHERE partition = $1 AND next_offset = $2 AND epoch = $3
""")  # compare-and-set: one projector alone can pass this offset, and only once
TAKE = sql("""
INSERT INTO {g}.progress (partition, next_offset, epoch, events, received_us) VALUES ($1, 0, 1, 0, 0)
ON CONFLICT (partition) DO UPDATE SET epoch = progress.epoch + 1 RETURNING next_offset, epoch
""")  # from now on whoever held the partition before moves nothing
SETTINGS_TOLD = sql(f"""
SELECT occurred_at_us, event_id, body FROM {{g}}.entity_event
WHERE ws = $1 AND subject = {SETTINGS_SUBJECT} AND type = '{name_of(e.WorkspaceConfigured)}' AND live
""")
SAVE_SETTINGS = sql("""
INSERT INTO {g}.settings VALUES ($1, $2) ON CONFLICT (ws) DO UPDATE SET body = excluded.body
""")
DROP_SETTINGS = sql("DELETE FROM {g}.settings WHERE ws = $1")
NUMBER_OF = sql("SELECT number FROM touchline.workspace WHERE workspace_id = $1")
NEW_NUMBER = sql("""
INSERT INTO touchline.workspace (workspace_id, name) VALUES ($1, $1)
ON CONFLICT (workspace_id) DO UPDATE SET workspace_id = excluded.workspace_id RETURNING number
""")  # of a workspace that the log knows and the database does not
ADD_DEAD_LETTERS = sql("""
INSERT INTO touchline.dead_letter
    (workspace_id, key_class, key_hint, reason, detail, event_id, partition, "offset", body)
SELECT u.workspace, u.key_class, u.key_hint, u.reason, u.detail, u.event_id, $1, u.at, u.body
FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bigint[], $9::bytea[])
    u(workspace, key_class, key_hint, reason, detail, event_id, at, body)
ON CONFLICT (partition, "offset") DO NOTHING RETURNING reason
""")


class Letter(NamedTuple):
    """An event to keep aside, in the order of the arguments of `ADD_DEAD_LETTERS`. `key_hint` tells which key sent it."""

    workspace: str
    key_class: str
    key_hint: str | None
    reason: str
    detail: str
    event_id: str | None
    offset: int
    body: bytes


def _unread(entry: Entry, reason: str, why: str) -> Letter:
    """An entry of the log to keep aside as it is."""
    sent = sender_of(entry.value)
    return Letter(entry.workspace, sent.key, sent.key_hint, reason, why, sent.event_id, entry.offset, entry.value)


Texts = TypeVar("Texts", str, str | None)


def _cut(text: Texts) -> Texts:
    """What a column takes: an error may tell what the event told."""
    return None if text is None else text[:MESSAGE_CHARACTERS_MAX].replace("\0", "\N{REPLACEMENT CHARACTER}")


def _lost(workspace: str, loser: Prepared) -> Letter:
    return Letter(
        workspace, loser.key, loser.key_hint, "conflicting_duplicate", "another event has claimed this id", loser.event_id,
        loser.offset, loser.raw,
    )  # fmt: skip


@dataclass
class Batch:
    """Entries of the log, decoded; those that cannot be, or tell what no row can hold, are to be kept as dead letters.

    `unreadable` and `unfit` hold them, each with what is wrong with it.
    """

    entries: Sequence[Entry]
    arrived: dict[str, list[Prepared]]
    readings: dict[str, dict[int, int]]
    """By workspace: utm values that read otherwise when they are decoded once more, of all touches that were read."""
    unreadable: list[tuple[Entry, str]]
    unfit: list[tuple[Entry, str]] = field(default_factory=list)

    @property
    def leaves(self) -> set[int]:
        """The partitions of `touch` that its touches belong to."""
        return {
            leaf_of(a.row.occurred_at_us) for arrived in self.arrived.values() for a in arrived if a.row is not None
        }

    @property
    def received_from_us(self) -> int | None:
        """When the first of the events was received; None if none can be read."""
        return min((a.received_at_us for arrived in self.arrived.values() for a in arrived), default=None)

    @property
    def received_us(self) -> int:
        """When the latest of the events was received."""
        return max((a.received_at_us for arrived in self.arrived.values() for a in arrived), default=0)


def decode(entries: Sequence[Entry]) -> Batch:
    """Decode a batch and prepare its rows. No I/O: this is done while the database works on the batch before."""
    batch = Batch(entries, defaultdict(list), defaultdict(dict), [])
    for entry in entries:
        if not entry.workspace:
            batch.unreadable.append((entry, "the record names no workspace of this partition"))
            continue
        try:
            arrived = prepared(entry.value, entry.offset)
        except Unfit as error:
            batch.unfit.append((entry, str(error)))
            continue
        except UNDECODABLE as error:
            batch.unreadable.append((entry, str(error)))
            continue
        batch.arrived[entry.workspace].append(arrived)
        if arrived.reading is not None:
            batch.readings[entry.workspace].update([arrived.reading])
    return batch


class Fenced(Exception):
    """Another projector has taken the partition; this one must stop with it."""


@dataclass
class Projector:
    """Projects one partition of the log into one generation. One instance per partition, driven by one task."""

    log: EventLog
    partition: int
    offset: int = 0
    epoch: int = 0
    _numbers: dict[str, int] = field(default_factory=dict)
    _settings: dict[int, Settings] = field(default_factory=dict)
    _leaves: set[int] | None = None
    _leaves_again_s: float = 0.0
    _agents: dict[int, set[int]] = field(default_factory=lambda: defaultdict(set))
    _readings: dict[int, set[int]] = field(default_factory=lambda: defaultdict(set))
    social_posts_max: int = SOCIAL_POSTS_MAX
    keeps_dead_letters: bool = True
    kept: Counter[str] = field(default_factory=Counter)
    """The events kept aside so far, by reason; of what was rolled back none."""

    async def take(self, connection: Connection) -> None:
        """Take the partition over from whoever had it, and continue where the projection stands."""
        row = await connection.fetchrow(TAKE, self.partition)
        self.offset, self.epoch = row["next_offset"], row["epoch"]
        self.forget()

    def forget(self) -> None:
        """Drop what is remembered of the database: after a rollback it may not be so."""
        self._numbers.clear()
        self._settings.clear()
        self._leaves = None
        self._agents.clear()
        self._readings.clear()

    async def project(self, connection: Connection, batch: "Batch") -> None:
        """Project a batch and move the offset, all or nothing. Raises `Fenced` if the partition has a new owner.

        A batch is projected once: what it holds is worked on. To try again, decode it again.
        """
        after = batch.entries[-1].offset + 1
        kept: Counter[str] = Counter()
        await self._make_room(connection, batch)
        try:
            async with connection.raw.transaction():
                moved = await connection.execute(
                    MOVE, self.partition, self.offset, self.epoch, after, len(batch.entries), batch.received_us
                )
                if moved != "UPDATE 1":
                    raise Fenced(f"partition {self.partition} is no longer at offset {self.offset}, epoch {self.epoch}")
                letters = [_unread(entry, "cannot_be_decoded", why) for entry, why in batch.unreadable]
                letters += [_unread(entry, "cannot_be_projected", why) for entry, why in batch.unfit]
                kept += await self._keep(connection, letters)
                for workspace, arrived in batch.arrived.items():
                    kept += await self._project_workspace(
                        connection, workspace, arrived, batch.readings.get(workspace, {})
                    )
        except BaseException:
            self.forget()
            raise
        self.offset = after
        self.kept += kept

    async def dead_letter(self, connection: Connection, entry: Entry, why: str) -> None:
        """Keep an event that no rule can take as a dead letter, and move past it. Raises `Fenced`."""
        async with connection.raw.transaction():
            moved = await connection.execute(MOVE, self.partition, self.offset, self.epoch, entry.offset + 1, 1, 0)
            if moved != "UPDATE 1":
                raise Fenced(f"partition {self.partition} is no longer at offset {self.offset}")
            kept = await self._keep(connection, [_unread(entry, "cannot_be_projected", why)])
        self.offset = entry.offset + 1
        self.kept += kept

    async def _make_room(self, connection: Connection, batch: "Batch") -> None:
        """Make the partitions of `touch` that the batch needs and that are not there, before the batch and outside of it.

        Where one cannot be attached, because somebody reads for long, the default partition takes the rows for now.
        """
        needed = batch.leaves - (self._leaves or set())
        if not needed or time.monotonic() < self._leaves_again_s:
            return
        self._leaves = await attached(connection.raw, connection.generation)
        if missing := wanted(needed - self._leaves):
            made = await attach_partitions(connection.raw, connection.generation, missing)
            self._leaves |= made
            if made != missing:
                self._leaves_again_s = time.monotonic() + LEAVES_AGAIN_S

    async def _keep(self, connection: Connection, letters: Sequence[Letter]) -> Counter[str]:
        """Keep events aside, each with its place in the log and once, however often it is projected.

        Answers how many of each reason were not kept before.
        """
        if not letters or not self.keeps_dead_letters:
            return Counter()
        told = [letter._replace(detail=_cut(letter.detail), event_id=_cut(letter.event_id)) for letter in letters]
        rows = await connection.fetch(ADD_DEAD_LETTERS, self.partition, *map(list, zip(*told, strict=True)))
        return Counter(row["reason"] for row in rows)

    async def _project_workspace(
        self, connection: Connection, workspace: str, arrived: list[Prepared], readings: dict[int, int]
    ) -> Counter[str]:
        """Project the events of one workspace; answers what was kept aside of them, by reason."""
        ws = self._numbers.get(workspace)
        if ws is None:
            ws = self._numbers[workspace] = await workspace_number(connection, workspace)
        current = await self._settings_of(connection, ws)
        await save_agents(connection, ws, current.machine_rules, agents_of(arrived), self._agents[ws])
        change = await admit(connection, self.log, self.partition, ws, arrived)
        kept = await self._keep(connection, [_lost(workspace, loser) for loser in change.losers])
        await record_lateness(connection, ws, change)
        work = Work(connection, ws, change, current, self.social_posts_max)
        work.values = await save_readings(connection, ws, readings, self._readings[ws])
        if not change.fresh and not change.entering and not change.leaving and not work.values:
            return kept
        if current.urls != NOTHING_SET:
            suit(change.all, current.urls)
        work.has_internal = bool(work.settings.internal_domains)
        sort_out(work)
        await derive(work)
        self._settings[ws] = work.settings
        return kept

    async def _settings_of(self, connection: Connection, ws: int) -> Settings:
        if ws not in self._settings:
            self._settings[ws] = await read_settings(connection, ws)
        return self._settings[ws]


async def workspace_number(connection: Connection, workspace: str) -> int:
    """The short key of a workspace."""
    return int(await connection.fetchval(NUMBER_OF, workspace) or await connection.fetchval(NEW_NUMBER, workspace))


async def derive(work: Work) -> None:
    """Record ▸ derive ▸ attribute for one workspace's part of a batch."""
    states, late = await in_order(work)
    await write(work)
    await record_mentions(work)
    await settle_late(work, states, late)
    await derive_identity_intervals(work, states, late)
    await save(work, states)
    if work.settings_told:
        await _derive_settings(work)
    await derive_contacts(work)
    await settle_internal(work)
    await settle_scanners(work)
    await derive_catalog(work)
    await derive_deals(work)


ALL_CONTACTS = sql("SELECT contact FROM {g}.contact WHERE ws = $1")
CONTACTS_AT = sql("""
SELECT contact FROM {g}.identifier WHERE ws = $1 AND is_email AND split_part(text, '@', 2) = ANY($2::text[])
""")  # contacts with an email of these domains
ALL_CAMPAIGNS = sql("SELECT campaign FROM {g}.campaign WHERE ws = $1")


async def _derive_settings(work: Work) -> None:
    """Apply changed settings to all of the workspace's history."""
    was, now = work.settings, await read_settings(work.connection, work.ws)
    work.settings = now
    work.has_internal = bool(was.internal_domains or now.internal_domains)
    await save_settings(work.connection, work.ws, now)
    if was.urls != now.urls:
        await apply_url_rules(work)
    if was.session_gap_minutes != now.session_gap_minutes or was.referrers != now.referrers:
        await rederive_all(work)
        work.contacts |= {row["contact"] for row in await work.connection.fetch(ALL_CONTACTS, work.ws)}
    if was.currency != now.currency:
        work.campaigns |= {row["campaign"] for row in await work.connection.fetch(ALL_CAMPAIGNS, work.ws)}
    if was.machine_rules != now.machine_rules:
        work.all_clicks = True
        await apply_machine_rules(work)
    if domains := was.internal_domains ^ now.internal_domains:
        rows = await work.connection.fetch(CONTACTS_AT, work.ws, list(domains))
        work.contacts |= {row["contact"] for row in rows if row["contact"] is not None}
    work.all_deals = replace(was, producers=now.producers) != now


async def save_settings(connection: Connection, ws: int, now: Settings) -> None:
    """Keep a workspace's settings for readers; those of one that has set nothing are known."""
    if now == Settings():
        await connection.execute(DROP_SETTINGS, ws)
    else:
        await connection.execute(SAVE_SETTINGS, ws, msgspec.to_builtins(now, order="deterministic"))


async def read_settings(connection: Connection, ws: int) -> Settings:
    """The settings that the workspace's entity events make."""
    told = []
    for row in await connection.fetch(SETTINGS_TOLD, ws):
        event = decode_event(row["body"])
        assert isinstance(event, e.WorkspaceConfigured)
        told.append((Order(row["occurred_at_us"], row["event_id"]), event.settings))
    return settings(told)
