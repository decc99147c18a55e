"""Which generations exist, of which shapes, and how many events are projected into each?"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import asyncpg

from shared.projection.content import lists
from shared.projection.generations import WHAT_IF
from shared.projection.tables import shape

GENERATIONS = """
SELECT g.name, g.shape, g.log, l.name IS NOT NULL OR (g.live AND g.shape <> $1) AS live, g.followed, g.shape = $1 AS ours,
    g.created_at, g.ready_at IS NOT NULL AS ready, g.workspace_id, g.changes, g.expires_at, g.lists,
    (SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = g.name AND c.relkind = 'r') AS bytes
FROM touchline.generation g LEFT JOIN touchline.live_generation l ON l.name = g.name ORDER BY g.created_at
"""
STANDS = "SELECT coalesce(sum(next_offset), 0)::bigint FROM {schema}.progress"


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
    the log are projected into it; None where this release cannot read that.
    """

    name: str
    state: State
    ours: bool
    bytes: int
    events: int | None
    row: dict[str, Any]

    @property
    def other_lists(self) -> dict[str, tuple[str, str]]:
        """The packages with lists whose version has changed since the generation was begun: by name, the version then and now."""
        then = self.row["lists"] or {}
        return {name: (then[name], now) for name, now in lists().items() if name in then and then[name] != now}


async def generations(pool: "asyncpg.Pool[asyncpg.Record]") -> list[Listed]:
    """All generations, the oldest first."""
    found = []
    for row in await pool.fetch(GENERATIONS, shape()):
        events = await _stands(pool, row["name"])
        name = row["name"].removeprefix(WHAT_IF)
        found.append(Listed(name, _state(row), row["ours"], row["bytes"], events, dict(row) | {"name": name}))
    return found


def _state(row: asyncpg.Record) -> State:
    if row["ready"] and row["expires_at"]:
        return State.WHAT_IF
    if row["live"]:
        return State.LIVE
    return State.PROJECTED_ON if row["followed"] else State.UNFINISHED


async def _stands(pool: "asyncpg.Pool[asyncpg.Record]", schema: str) -> int | None:
    """How many events are projected; None where another release's tables differ, or the generation is being dropped."""
    try:
        return int(await pool.fetchval(STANDS.format(schema=schema)))
    except (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError):
        return None
