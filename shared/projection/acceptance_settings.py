"""Which settings of a workspace decide whether an event is accepted, and how it is read? They are read from the store and cached."""

import asyncio
from dataclasses import dataclass
from typing import NamedTuple

import asyncpg
import msgspec

from shared.database import AWAY
from shared.projection.generations import NoGeneration, generation_of_any_shape
from shared.rules.page import BY_PATH, AddressRules
from shared.rules.settings import Producers

CACHE_S = 3.0  # a changed setting of a workspace is used within so long
ASK_S = 2.0
CACHED_WORKSPACES_MAX = 10_000  # per process

ASK = """
SELECT s.body->'nobody' AS nobody, s.body->'producers' AS producers, s.body->'page_parameters' AS page_parameters,
    s.body->'page_fragments' AS page_fragments
FROM {0}.settings s JOIN {0}.workspace_rows w ON w.ws = s.ws WHERE w.workspace_id = $1
"""


class AcceptanceSettings(NamedTuple):
    """The workspace's own words that name nobody, folded; how it reads outside producers' messages; and which parts of a URL belong to a
    page's address, by which the pages of a public key are counted.
    """

    nobody: frozenset[str] = frozenset()
    producers: Producers = Producers()
    addresses: AddressRules = BY_PATH


async def acceptance_settings_of(pool: "asyncpg.Pool[asyncpg.Record]", workspace: str) -> AcceptanceSettings:
    """What the workspace has set; the defaults before anything was projected. Raises one of `AWAY`.

    Until there is a generation of this release's shape, another release's says it: what is accepted is kept for ever as what
    it was accepted as.
    """
    try:
        row = await pool.fetchrow(ASK.format(await generation_of_any_shape(pool)), workspace)
    except (NoGeneration, asyncpg.UndefinedTableError):  # a rebuild will make it, or has just replaced it
        row = None
    if row is None:
        return AcceptanceSettings()
    return AcceptanceSettings(
        frozenset(row["nobody"] or ()),
        msgspec.convert(row["producers"] or {}, Producers, strict=False),
        AddressRules(tuple(row["page_parameters"] or ()), bool(row["page_fragments"])),
    )


@dataclass(slots=True)
class _Known:
    accepting: AcceptanceSettings
    asked_s: float


class AcceptanceSettingsCache:
    """Looks it up, remembering it for a few seconds; while the database is away, for as long as it is."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool
        self._known: dict[str, _Known] = {}

    async def of(self, workspace: str, now_s: float) -> AcceptanceSettings:
        """What the workspace has set; the defaults where the database is away and was never asked. `now_s` is a monotonic clock."""
        known = self._known.get(workspace)
        if known is not None and now_s - known.asked_s < CACHE_S:
            return known.accepting
        if known is not None:
            known.asked_s = now_s  # requests that come until the answer is there do not ask as well
        try:
            async with asyncio.timeout(ASK_S):
                accepting = await acceptance_settings_of(self._pool, workspace)
        except AWAY:
            accepting = AcceptanceSettings() if known is None else known.accepting
        if len(self._known) >= CACHED_WORKSPACES_MAX:
            self._known.clear()
        self._known[workspace] = _Known(accepting, now_s)
        return accepting
