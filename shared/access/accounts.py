"""Whose is the account that a producer's message names, and with which secret is it signed?

Some producers cannot send an access key: their messages name an account (HubSpot's portal, or a name in the webhook's URL) and
are signed. An account belongs to one workspace. A secret is kept as it is, for signatures are checked with it; it opens no read.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from shared.database import AWAY

CACHE_S = 5.0  # a new secret is heeded within so long
CACHED_ACCOUNTS_MAX = 10_000  # per process, those that nobody has among them
ASK_S = 2.0
ACCOUNT_CHARACTERS_MAX = 128

FIND = "SELECT workspace_id, secret FROM touchline.producer_account WHERE producer = $1 AND account = $2"
CONNECT = """
INSERT INTO touchline.producer_account AS a (producer, account, workspace_id, secret) VALUES ($1, $2, $3, $4)
ON CONFLICT (producer, account) DO UPDATE SET secret = excluded.secret WHERE a.workspace_id = excluded.workspace_id
"""
DISCONNECT = "DELETE FROM touchline.producer_account WHERE producer = $1 AND account = $2 AND workspace_id = $3"
LIST = """
SELECT producer, account, created_at FROM touchline.producer_account WHERE workspace_id = $1 ORDER BY producer, account
"""


@dataclass(frozen=True, slots=True)
class Account:
    """Whose it is. The secret is left out of what is printed."""

    workspace: str
    secret: str = field(repr=False)


async def connect(
    pool: "asyncpg.Pool[asyncpg.Record]", producer: str, account: str, workspace: str, secret: str
) -> bool:
    """Make an account the workspace's, or replace its secret; False if it is another workspace's already."""
    return bool(await pool.execute(CONNECT, producer, account, workspace, secret) == "INSERT 0 1")


async def disconnect(pool: "asyncpg.Pool[asyncpg.Record]", producer: str, account: str, workspace: str) -> bool:
    """Forget an account of the workspace; False if it has none of this name."""
    return bool(await pool.execute(DISCONNECT, producer, account, workspace) == "DELETE 1")


async def list_accounts(pool: "asyncpg.Pool[asyncpg.Record]", workspace: str) -> list[dict[str, Any]]:
    """The workspace's accounts, without their secrets."""
    rows = await pool.fetch(LIST, workspace)
    return [{**row, "created_at": row["created_at"].isoformat()} for row in rows]


@dataclass(slots=True)
class _Known:
    account: Account | None
    asked_s: float


class Accounts:
    """Looks accounts up, remembering them for a few seconds; while the database is away, for as long as it is."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool
        self._known: dict[tuple[str, str], _Known] = {}

    async def find(self, producer: str, account: str, now_s: float) -> Account | None:
        """Whose it is, None if nobody's. `now_s` is a monotonic clock. Raises one of `AWAY` if it was never asked."""
        if len(account) > ACCOUNT_CHARACTERS_MAX or "\0" in account:
            return None
        known = self._known.get((producer, account))
        if known is not None and now_s - known.asked_s < CACHE_S:
            return known.account
        try:
            async with asyncio.timeout(ASK_S):
                row = await self._pool.fetchrow(FIND, producer, account)
        except AWAY:
            if known is None:
                raise
            return known.account
        if len(self._known) >= CACHED_ACCOUNTS_MAX:
            self._known.clear()
        found = None if row is None else Account(row["workspace_id"], row["secret"])
        self._known[producer, account] = _Known(found, now_s)
        return found
