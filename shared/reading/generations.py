"""Which generations exist, of which shapes, how many events are projected into each, and how large is it?"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import asyncpg

from shared.projection.content import lists
from shared.projection.generations import WHAT_IF
from shared.projection.tables import shape

GENERATIONS = """
SELECT g.name, g.shape, g.log, l.name IS NOT NULL OR (g.live AND g.shape <> $1) AS live, g.followed, g.shape = $1 AS ours,
    g.created_at, l.since, g.ready_at IS NOT NULL AS ready, g.workspace_id, g.changes, g.expires_at, g.lists,
    g.events_built, g.events_to_build, g.built_at
FROM touchline.generation g LEFT JOIN touchline.live_generation l ON l.name = g.name ORDER BY g.created_at
"""
STANDS = "SELECT coalesce(sum(next_offset), 0)::bigint FROM {schema}.progress"
BYTES = """
SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relkind = 'r'
"""
LOCK_WAIT = "SET LOCAL lock_timeout = '200ms'"  # a step that builds tables or indexes may hold them for minutes


class State(StrEnum):
    """The state of a generation for the releases of its shape."""

    LIVE = "live"
    PROJECTED_ON = "projected on"
    UNFINISHED = "unfinished"
    WHAT_IF = "what-if"


@dataclass(frozen=True)
class Listed:
    """A generation in the list.

    `ours` says whether it has this release's shape; `row` is its row of `touchline.generation`. `events` is how many events of
    the log are projected into it, and `bytes` its size on disk; None where that cannot be read at the moment or by this release.
    """

    name: str
    state: State
    ours: bool
    bytes: int | None
    events: int | None
    row: dict[str, Any]

    @property
    def built_percent(self) -> int | None:
        """How much of a generation that is being built is done, in percent, as last recorded; None if it is complete or nothing was recorded."""
        to_build = self.row["events_to_build"]
        if self.state is not State.UNFINISHED or not to_build:
            return None
        return int(min(100, 100 * self.row["events_built"] // to_build))

    @property
    def other_lists(self) -> dict[str, tuple[str, str]]:
        """The packages with lists whose version has changed since the generation was begun: by name, the version then and now."""
        then = self.row["lists"] or {}
        return {name: (then[name], now) for name, now in lists().items() if name in then and then[name] != now}


async def generations(connection: Any) -> list[Listed]:
    """All generations, the oldest first. The connection may be in a transaction."""
    listed = []
    for row in await connection.fetch(GENERATIONS, shape()):
        events, size = await _measured(connection, row["name"])
        name = row["name"].removeprefix(WHAT_IF)
        listed.append(Listed(name, _state(row), row["ours"], size, events, dict(row) | {"name": name}))
    return listed


def _state(row: asyncpg.Record) -> State:
    if row["ready"] and row["expires_at"]:
        return State.WHAT_IF
    if row["live"]:
        return State.LIVE
    return State.PROJECTED_ON if row["followed"] else State.UNFINISHED


async def _measured(connection: Any, schema: str) -> tuple[int | None, int | None]:
    """How many events are projected, and the size in bytes.

    The first is None where another release's tables differ, both where the generation is being dropped or a step of its builder
    holds its tables.
    """
    events = size = None
    try:
        async with connection.transaction():
            await connection.execute(LOCK_WAIT)
            size = int(await connection.fetchval(BYTES, schema))
            events = int(await connection.fetchval(STANDS.format(schema=schema)))
    except (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError, asyncpg.LockNotAvailableError):
        pass  # the answer has what could be read
    return events, size
