"""Which changes of settings are too much for one batch, and what is recorded about them?

Some settings concern every stored row: the session gap, the machine rules, the currency, … If a workspace has little history,
the batch that brings such a change applies it to all of it. Otherwise the batch records that the workspace's rows must
be rebuilt (table `reprojection`), and goes on with the settings as they were. `shared.projection.reprojector` builds the new
rows beside those that are read, and then replaces these by them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from shared.events import types as e
from shared.projection.pipeline import Context
from shared.projection.rows import Prepared
from shared.projection.sql import Connection, sql
from shared.projection.stages.entities.gather import as_read, as_stored
from shared.rules.settings import Settings


class Limits(NamedTuple):
    """Up to how much history changed settings are applied within the batch that brings them: about a second of work."""

    events: int = 20_000  # to read again, and to give their sessions and keys
    deals: int = 300  # each is derived again, with all touches of its contacts before its close: some 3 ms


IN_BATCH = Limits()

PENDING = sql("SELECT * FROM {g}.reprojection WHERE from_ws = $1 FOR UPDATE")
IS_BIG = sql("""
SELECT (SELECT count(*) FROM (SELECT FROM {g}.event_index WHERE ws = $1 LIMIT $2::bigint + 1) e) > $2
    OR (SELECT count(*) FROM (SELECT FROM {g}.deal WHERE ws = $1 LIMIT $3::bigint + 1) d) > $3
""")  # reads no more rows than the limits
NEW_WS = "nextval(pg_get_serial_sequence('touchline.workspace', 'number'))"
BEGIN = sql(f"""
INSERT INTO {{g}}.reprojection
    (workspace, workspace_id, from_ws, ws, partition, next_offset, told_offset, settings, started_us, events_done)
SELECT w.workspace, w.workspace_id, w.ws, {NEW_WS}, $2, 0, $3, $4,
    (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, 0
FROM {{g}}.workspace_rows w WHERE w.workspace_id = $1
""")
BEGIN_AGAIN = sql(f"""
UPDATE {{g}}.reprojection SET ws = {NEW_WS}, next_offset = 0, settings = $2, events_done = 0, events_to_do = NULL,
    started_us = (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
WHERE workspace = $1
""")  # `told_offset` stays: a read that waits for the first change still waits
CHANGE_SETTINGS = sql("UPDATE {g}.reprojection SET settings = $2 WHERE workspace = $1")
DROP = sql("DELETE FROM {g}.reprojection WHERE workspace = $1")
SUPERSEDE = sql("INSERT INTO {g}.superseded_rows (ws, partition) VALUES ($1, $2) ON CONFLICT DO NOTHING")
STORED = sql("""
SELECT s.body FROM {g}.reprojection p LEFT JOIN {g}.settings s ON s.ws = p.from_ws WHERE p.from_ws = $1
""")  # a row where new rows are being made: until then the stored settings count, not those that were set last


async def keep_settings(context: Context, _: Settings) -> Settings:
    """Keep the given settings, whatever the events set: for rows that are being rebuilt."""
    return context.settings


@dataclass
class SettingsDecision:
    """Decides which settings apply; `arrived` is a workspace's part of a batch of `partition`.

    With `limits` None nothing new is recorded: for builds, which nobody waits for.
    """

    workspace: str
    partition: int
    arrived: Sequence[Prepared]
    limits: Limits | None
    noted: bool = False
    """Whether the table `reprojection` was changed."""

    async def __call__(self, context: Context, new: Settings) -> Settings:
        """What applies from this batch on. In the batch's transaction."""
        connection, was = context.connection, context.settings
        pending = await connection.fetchrow(PENDING, context.ws)
        if pending is None:
            if new.of_history == was.of_history or not await self._is_big(context):
                return new
            await connection.execute(BEGIN, self.workspace, self.partition, self._settings_offset(), as_stored(new))
        elif new.of_history == was.of_history:  # what was changed is taken back
            await self._drop_new_rows(connection, pending)
            await connection.execute(DROP, pending["workspace"])
        elif new.of_history == as_read(pending["settings"]).of_history:
            await connection.execute(CHANGE_SETTINGS, pending["workspace"], as_stored(new))
        else:
            await self._drop_new_rows(connection, pending)
            await connection.execute(BEGIN_AGAIN, pending["workspace"], as_stored(new))
        self.noted = True
        return replace(was, time_zone=new.time_zone, nobody=new.nobody, producers=new.producers)

    async def _is_big(self, context: Context) -> bool:
        return self.limits is not None and await context.connection.fetchval(IS_BIG, context.ws, *self.limits)

    def _settings_offset(self) -> int:
        """The offset of the first event that may have changed the settings: settings, a retraction, or another event with the id of such an event."""
        offsets = [a.offset for a in self.arrived if isinstance(a.event, e.WorkspaceConfigured | e.EventRetracted)]
        return min(offsets or [a.offset for a in self.arrived])

    async def _drop_new_rows(self, connection: Connection, pending: Any) -> None:
        await connection.execute(SUPERSEDE, pending["ws"], pending["partition"])


async def settings_until_then(connection: Connection, ws: int) -> Settings | None:
    """The settings that count while new rows are being made of a workspace whose rows stand under `ws`; None if none are."""
    row = await connection.fetchrow(STORED, ws)
    return None if row is None else as_read(row["body"])
