"""Which words name nobody in a workspace, beside those of the published list? As its stored settings say."""

import asyncio
from dataclasses import dataclass

import asyncpg

from shared.database import AWAY
from shared.store.generations import NoGeneration, WrongShape, live_generation

CACHE_S = 3.0  # a word that a workspace adds is refused within so long
ASK_S = 2.0
CACHED_WORKSPACES_MAX = 10_000  # per process

WORDS = """
SELECT s.body->'nobody' FROM {}.settings s JOIN touchline.workspace w ON w.number = s.ws WHERE w.workspace_id = $1
"""


async def words_of(pool: "asyncpg.Pool[asyncpg.Record]", workspace: str) -> frozenset[str]:
    """The workspace's own words, folded; none before anything was projected. Raises one of `AWAY`."""
    try:
        live = await live_generation(pool)
        told = await pool.fetchval(WORDS.format(live.name), workspace)
    except (NoGeneration, WrongShape, asyncpg.UndefinedTableError):  # a rebuild will make it, or has just replaced it
        return frozenset()
    return frozenset(told or ())


@dataclass(slots=True)
class _Known:
    words: frozenset[str]
    asked_s: float


class Words:
    """Looks a workspace's words up, remembering them for a few seconds; while the database is away, for as long as it is."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool
        self._known: dict[str, _Known] = {}

    async def of(self, workspace: str, now_s: float) -> frozenset[str]:
        """The words; none where the database is away and was never asked. `now_s` is a monotonic clock."""
        known = self._known.get(workspace)
        if known is not None and now_s - known.asked_s < CACHE_S:
            return known.words
        try:
            async with asyncio.timeout(ASK_S):
                words = await words_of(self._pool, workspace)
        except AWAY:
            words = frozenset() if known is None else known.words
        if len(self._known) >= CACHED_WORKSPACES_MAX:
            self._known.clear()
        self._known[workspace] = _Known(words, now_s)
        return words
