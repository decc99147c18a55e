"""How does a batch of the log become rows? Its workspaces go through the pipeline, in one transaction with the offset."""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from shared.events.codec import sender_of
from shared.events.limits import MESSAGE_CHARACTERS_MAX
from shared.events.types import ContactForgotten
from shared.log.port import Entry, EventLog
from shared.projection.batch import Batch
from shared.projection.changes import EventsAdmitted, EventsArrived
from shared.projection.partitions import attach_partitions, attached, wanted
from shared.projection.pipeline import Context, Heed, WorkspaceCache
from shared.projection.reprojection import IN_BATCH, Limits, SettingsDecision, settings_until_then
from shared.projection.rows import Prepared
from shared.projection.sql import Connection, sql
from shared.projection.stage_order import PIPELINE
from shared.projection.stages.entities.gather import read_settings
from shared.rules.association import SOCIAL_POSTS_MAX
from shared.rules.keys import identifiers
from shared.rules.settings import Settings
from shared.sealing.forget import forget
from shared.sealing.log import vault_of

LEAVES_AGAIN_S = 10.0  # who reads for long, such as `verify`, does so for minutes

MOVE = sql("""
UPDATE {g}.progress SET next_offset = $4, events = events + $5, received_us = greatest(received_us, $6)
WHERE partition = $1 AND next_offset = $2 AND epoch = $3
""")  # compare-and-set: one projector alone can pass this offset, and only once
TAKE = sql("""
INSERT INTO {g}.progress (partition, next_offset, epoch, events, received_us) VALUES ($1, 0, 1, 0, 0)
ON CONFLICT (partition) DO UPDATE SET epoch = progress.epoch + 1 RETURNING next_offset, epoch
""")  # from now on whoever held the partition before moves nothing
PASSED = sql("""
INSERT INTO {g}.events_until (ws, next_offset) VALUES ($1, $2)
ON CONFLICT (ws) DO UPDATE SET next_offset = greatest(events_until.next_offset, excluded.next_offset)
""")  # an answer that was made of a workspace's rows is as it was while this is
NUMBER_OF = sql("SELECT ws FROM {g}.workspace_rows WHERE workspace_id = $1")
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


class DeadLetter(NamedTuple):
    """An event to keep aside, in the order of the arguments of `ADD_DEAD_LETTERS`. `key_hint` says which key sent it."""

    workspace: str
    key_class: str
    key_hint: str | None
    reason: str
    detail: str
    event_id: str | None
    offset: int
    body: bytes


def _unread(entry: Entry, reason: str, why: str) -> DeadLetter:
    """An entry of the log to keep aside as it is."""
    sent = sender_of(entry.value)
    return DeadLetter(entry.workspace, sent.key, sent.key_hint, reason, why, sent.event_id, entry.offset, entry.value)


Texts = TypeVar("Texts", str, str | None)


def _cut(text: Texts) -> Texts:
    """A value that a column can hold: an error message may contain texts of the event."""
    return None if text is None else text[:MESSAGE_CHARACTERS_MAX].replace("\0", "\N{REPLACEMENT CHARACTER}")


def _lost(workspace: str, loser: Prepared) -> DeadLetter:
    return DeadLetter(
        workspace, loser.key, loser.key_hint, "conflicting_duplicate", "another event has claimed this id", loser.event_id,
        loser.offset, loser.raw,
    )  # fmt: skip


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
    _remembered: dict[int, WorkspaceCache] = field(default_factory=lambda: defaultdict(WorkspaceCache))
    _has_noted: bool = False
    _has_forgotten: bool = False
    social_posts_max: int = SOCIAL_POSTS_MAX
    keeps_dead_letters: bool = True
    limits: Limits | None = IN_BATCH
    """Up to how much history new settings are applied in their batch; None: however much there is."""
    noted: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when rows are to be rebuilt for new settings; see `shared.projection.reprojector`."""
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
        self._remembered.clear()
        self._has_noted = False
        self._has_forgotten = False

    async def project(self, connection: Connection, batch: Batch) -> None:
        """Project a batch and move the offset, all or nothing. Raises `Fenced` if the partition has a new owner.

        A batch is projected once: what it holds is worked on. To try again, decode it again.
        """
        after = batch.entries[-1].offset + 1
        kept: Counter[str] = Counter()
        await self._make_room(connection, batch)
        try:
            async with connection.raw.transaction():
                await self._move(connection, batch.entries, batch.received_us)
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
        if self._has_forgotten and (vault := vault_of(self.log)) is not None:
            self._has_forgotten = False
            vault.drop_cache()
        if self._has_noted:
            self._has_noted = False
            self.noted.set()

    async def dead_letter(self, connection: Connection, entry: Entry, why: str) -> None:
        """Keep an event that no rule can take as a dead letter, and move past it. Raises `Fenced`."""
        async with connection.raw.transaction():
            await self._move(connection, [entry], 0)
            kept = await self._keep(connection, [_unread(entry, "cannot_be_projected", why)])
        self.offset = entry.offset + 1
        self.kept += kept

    async def _move(self, connection: Connection, entries: Sequence[Entry], received_us: int) -> None:
        """Hold the partition's place, and let it be behind these entries. Raises `Fenced`."""
        after = entries[-1].offset + 1
        moved = await connection.execute(
            MOVE, self.partition, self.offset, self.epoch, after, len(entries), received_us
        )
        if moved != "UPDATE 1":
            raise Fenced(f"partition {self.partition} is no longer at offset {self.offset}, epoch {self.epoch}")

    async def _make_room(self, connection: Connection, batch: Batch) -> None:
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

    async def _keep(self, connection: Connection, letters: Sequence[DeadLetter]) -> Counter[str]:
        """Keep events aside, each with its place in the log and once, however often it is projected.

        Answers how many of each reason were not kept before.
        """
        if not letters or not self.keeps_dead_letters:
            return Counter()
        cut = [letter._replace(detail=_cut(letter.detail), event_id=_cut(letter.event_id)) for letter in letters]
        rows = await connection.fetch(ADD_DEAD_LETTERS, self.partition, *map(list, zip(*cut, strict=True)))
        return Counter(row["reason"] for row in rows)

    async def _project_workspace(
        self, connection: Connection, workspace: str, arrived: list[Prepared], readings: dict[int, int]
    ) -> Counter[str]:
        """Project the events of one workspace; answers what was kept aside of them, by reason."""
        ws = await self._rows_of(connection, workspace)
        heed = self._heed(workspace, arrived)
        context = Context(
            connection, ws, await self._settings_of(connection, ws), self.social_posts_max, self.log, self.partition,
            self._remembered[ws], heed,
        )  # fmt: skip
        changes = await PIPELINE.run(context, [EventsArrived(tuple(arrived), readings)])
        await connection.execute(PASSED, ws, arrived[-1].offset + 1)
        if (settings := changes.settings()) is not None:
            self._settings[ws] = settings.now
        await self._forget_contacts(connection, workspace, arrived)
        self._has_noted |= isinstance(heed, SettingsDecision) and heed.noted
        return await self._keep(connection, [_lost(workspace, loser) for loser in changes.of(EventsAdmitted).losers])

    async def _forget_contacts(self, connection: Connection, workspace: str, arrived: Sequence[Prepared]) -> None:
        """Forget the contacts that events say are to be forgotten, with all that events so far have joined with them."""
        if (vault := vault_of(self.log)) is None:
            return
        keys = {
            named.key for a in arrived if type(a.event) is ContactForgotten for named in identifiers(a.event.contact)
        }
        if keys:
            await forget(connection.raw, vault, connection.generation, workspace, keys)
            self._has_forgotten = True

    async def _rows_of(self, connection: Connection, workspace: str) -> int:
        """Under which number the workspace's rows stand."""
        if workspace not in self._numbers:
            self._numbers[workspace] = await workspace_number(connection, workspace)
        return self._numbers[workspace]

    def _heed(self, workspace: str, arrived: Sequence[Prepared]) -> Heed:
        """Decides which settings apply if these events change settings."""
        return SettingsDecision(workspace, self.partition, arrived, self.limits)

    async def _settings_of(self, connection: Connection, ws: int) -> Settings:
        if ws not in self._settings:
            until_then = await settings_until_then(connection, ws)
            self._settings[ws] = await read_settings(connection, ws) if until_then is None else until_then
        return self._settings[ws]


async def workspace_number(connection: Connection, workspace: str) -> int:
    """Under which number a workspace's rows stand: its own, or another one since they were rebuilt."""
    return int(await connection.fetchval(NUMBER_OF, workspace) or await connection.fetchval(NEW_NUMBER, workspace))
