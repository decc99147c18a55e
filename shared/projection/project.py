"""How does a batch of the log become rows? Gather, let the rules decide, apply: in one transaction with the offset."""

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from shared.events import types as e
from shared.events.codec import decode_event
from shared.log.port import Entry, EventLog
from shared.projection.admission import admit
from shared.projection.catalog import derive_catalog
from shared.projection.deals import derive_deals
from shared.projection.persons import derive_contacts, derive_ownership, record_namings
from shared.projection.record import record_lateness, sort_out, write
from shared.projection.rows import SETTINGS_SUBJECT, Prepared, agents_of, prepared
from shared.projection.sessions import in_order, rederive_all, save, settle_late
from shared.projection.sql import Connection, sql
from shared.projection.verdicts import apply_machine_rules, save_agents, settle_internal
from shared.projection.work import Work
from shared.rules.association import SOCIAL_POSTS_MAX
from shared.rules.order import Order
from shared.rules.settings import Settings, settings
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
SELECT occurred_at_us, event_id, body FROM {{g}}.fact
WHERE ws = $1 AND subject = {SETTINGS_SUBJECT} AND type = 'workspace_configured' AND live
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
BURY = sql("""
INSERT INTO touchline.dead_letter (workspace_id, key_class, reason, detail, event_id, partition, "offset", body)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (partition, "offset") DO NOTHING
""")


@dataclass
class Batch:
    """Entries of the log, decoded; those that cannot be are to be kept as dead letters."""

    entries: Sequence[Entry]
    arrived: dict[str, list[Prepared]]
    unreadable: list[tuple[Entry, str]]

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
    batch = Batch(entries, defaultdict(list), [])
    for entry in entries:
        if not entry.workspace:
            batch.unreadable.append((entry, "the record names no workspace of this partition"))
            continue
        try:
            batch.arrived[entry.workspace].append(prepared(entry.value, entry.offset))
        except msgspec.DecodeError as error:
            batch.unreadable.append((entry, str(error)))
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
    social_posts_max: int = SOCIAL_POSTS_MAX
    keeps_dead_letters: bool = True

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

    async def project(self, connection: Connection, batch: "Batch") -> None:
        """Project a batch and move the offset, all or nothing. Raises `Fenced` if the partition has a new owner.

        A batch is projected once: what it holds is worked on. To try again, decode it again.
        """
        after = batch.entries[-1].offset + 1
        await self._make_room(connection, batch)
        try:
            async with connection.raw.transaction():
                moved = await connection.execute(
                    MOVE, self.partition, self.offset, self.epoch, after, len(batch.entries), batch.received_us
                )
                if moved != "UPDATE 1":
                    raise Fenced(f"partition {self.partition} is no longer at offset {self.offset}, epoch {self.epoch}")
                for entry, why in batch.unreadable:
                    await self.keep(connection, entry.workspace, "cannot_be_decoded", why, entry.offset, entry.value)
                for workspace, arrived in batch.arrived.items():
                    await self._project_workspace(connection, workspace, arrived)
        except BaseException:
            self.forget()
            raise
        self.offset = after

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

    async def keep(
        self, connection: Connection, workspace: str, reason: str, why: str, offset: int, body: bytes,
        key: str = "server", event_id: str | None = None,
    ) -> None:  # fmt: skip
        """Keep an event aside, with its place in the log; once, however often it is projected."""
        if self.keeps_dead_letters:
            await connection.execute(BURY, workspace, key, reason, why, event_id, self.partition, offset, body)

    async def _project_workspace(self, connection: Connection, workspace: str, arrived: list[Prepared]) -> None:
        ws = self._numbers.get(workspace)
        if ws is None:
            ws = self._numbers[workspace] = await workspace_number(connection, workspace)
        current = await self._settings_of(connection, ws)
        await save_agents(connection, ws, current.machine_rules, agents_of(arrived), self._agents[ws])
        change = await admit(connection, self.log, self.partition, ws, arrived)
        for loser in change.losers:
            await self.keep(
                connection, workspace, "conflicting_duplicate", "another event has claimed this id", loser.offset,
                loser.raw, loser.key, loser.event_id,
            )  # fmt: skip
        if not change.fresh and not change.entering and not change.leaving:
            return
        work = Work(connection, ws, change, current, self.social_posts_max)
        work.has_internal = bool(work.settings.internal_domains)
        sort_out(work)
        await record_lateness(work)
        await derive(work)
        self._settings[ws] = work.settings

    async def _settings_of(self, connection: Connection, ws: int) -> Settings:
        if ws not in self._settings:
            self._settings[ws] = await read_settings(connection, ws)
        return self._settings[ws]


async def workspace_number(connection: Connection, workspace: str) -> int:
    """The short key of a workspace."""
    return int(await connection.fetchval(NUMBER_OF, workspace) or await connection.fetchval(NEW_NUMBER, workspace))


async def bury(connection: Connection, projector: Projector, entry: Entry, why: str) -> None:
    """Keep an event that no rule can take as a dead letter, and move past it."""
    async with connection.raw.transaction():
        moved = await connection.execute(
            MOVE, projector.partition, projector.offset, projector.epoch, entry.offset + 1, 1, 0
        )
        if moved != "UPDATE 1":
            raise Fenced(f"partition {projector.partition} is no longer at offset {projector.offset}")
        await projector.keep(
            connection, entry.workspace, "cannot_be_projected", why, entry.offset, entry.value
        )  # fmt: skip
    projector.offset = entry.offset + 1


async def derive(work: Work) -> None:
    """Record ▸ derive ▸ attribute for one workspace's part of a batch."""
    states, late = await in_order(work)
    await write(work)
    await record_namings(work)
    await settle_late(work, states, late)
    await derive_ownership(work, states, late)
    await save(work, states)
    if work.settings_told:
        await _derive_settings(work)
    await derive_contacts(work)
    await settle_internal(work)
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
    if was.session_gap_minutes != now.session_gap_minutes:
        await rederive_all(work)
        work.contacts |= {row["contact"] for row in await work.connection.fetch(ALL_CONTACTS, work.ws)}
    if was.currency != now.currency:
        work.campaigns |= {row["campaign"] for row in await work.connection.fetch(ALL_CAMPAIGNS, work.ws)}
    if was.machine_rules != now.machine_rules:
        await apply_machine_rules(work)
    if domains := was.internal_domains ^ now.internal_domains:
        rows = await work.connection.fetch(CONTACTS_AT, work.ws, list(domains))
        work.contacts |= {row["contact"] for row in rows if row["contact"] is not None}
    work.all_deals = was != now


async def save_settings(connection: Connection, ws: int, now: Settings) -> None:
    """Keep a workspace's settings for readers; those of one that has set nothing are known."""
    if now == Settings():
        await connection.execute(DROP_SETTINGS, ws)
    else:
        await connection.execute(SAVE_SETTINGS, ws, msgspec.to_builtins(now))


async def read_settings(connection: Connection, ws: int) -> Settings:
    """The settings that the workspace's facts make."""
    told = []
    for row in await connection.fetch(SETTINGS_TOLD, ws):
        event = decode_event(row["body"])
        assert isinstance(event, e.WorkspaceConfigured)
        told.append((Order(row["occurred_at_us"], row["event_id"]), event.settings))
    return settings(told)
