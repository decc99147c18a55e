"""Which parts of a URL belong to a page's address, by the workspace's settings? The daily limit of pages of a public key counts addresses."""

import asyncio
from collections import OrderedDict

import asyncpg

from shared.access.keys import Access
from shared.database import AWAY
from shared.projection.generations import NoGeneration, generation_of_any_shape
from shared.rules.page import BY_PATH, AddressRules

CACHE_S = 3.0  # a setting that a workspace changes is heeded within so long
ASK_S = 2.0
WORKSPACES_MAX = 10_000  # that a process remembers; the one that was remembered first is forgotten first

ASK = """
SELECT s.body->'page_parameters' AS parameters, s.body->'page_fragments' AS fragments
FROM {0}.settings s JOIN {0}.workspace_rows w ON w.ws = s.ws WHERE w.workspace_id = $1
"""


class KnownAddresses:
    """Looks it up, remembering it for a few seconds; while the database is away, for as long as it is."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool
        self._known: OrderedDict[str, tuple[AddressRules, float]] = OrderedDict()

    async def of(self, access: Access, now_s: float) -> AddressRules:
        """What the workspace of a public key has set; by path where the database is away and was never asked. `now_s` is a monotonic clock.

        Of other keys no pages are counted, so nobody is asked.
        """
        if access.scope != "collect":
            return BY_PATH
        workspace = access.workspace
        known = self._known.get(workspace)
        if known is not None:
            if now_s - known[1] < CACHE_S:
                return known[0]
            self._known[workspace] = known[0], now_s  # requests that come until the answer is there do not ask as well
        try:
            async with asyncio.timeout(ASK_S):
                rules = await self._asked(workspace)
        except AWAY:
            rules = BY_PATH if known is None else known[0]
        self._known[workspace] = rules, now_s
        if len(self._known) > WORKSPACES_MAX:
            self._known.popitem(last=False)
        return rules

    async def _asked(self, workspace: str) -> AddressRules:
        try:
            told = await self._pool.fetchrow(ASK.format(await generation_of_any_shape(self._pool)), workspace)
        except (NoGeneration, asyncpg.UndefinedTableError):  # a rebuild will make it, or has just replaced it
            told = None
        if told is None:
            return BY_PATH
        return AddressRules(tuple(told["parameters"] or ()), bool(told["fragments"]))
