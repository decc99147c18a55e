"""What may a request's sender do? A key belongs to one workspace and has one scope; only its SHA-256 is stored."""

import asyncio
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, TypeVar

import asyncpg

from shared.access.scopes import SCOPES, Scope
from shared.database import AWAY

PREFIX: dict[Scope, str] = {"collect": "tlc_", "server": "tls_", "read": "tlr_", "admin": "tla_"}
SECRET = tuple(prefix for scope, prefix in PREFIX.items() if scope != "collect")
"""With which secret keys begin."""
KEY_BYTES = 24  # of randomness; 32 characters
KEY_FORM = re.compile(r"tl[csra]_[A-Za-z0-9_-]{32}\Z")  # other texts are refused without a query
HINT_CHARACTERS = 8  # enough to distinguish keys, too few to guess one
HINT_DRAWS_MAX = 100  # for a hint that is new in the workspace; there are 16 million, so a second draw is rare
CACHED_KEYS_MAX = 10_000  # per process, and as many unknown keys: about 2 MB each
CACHE_S = 5.0  # a revoked key stops working after so long at the latest
ASKED_AT_ONCE_MAX = 4  # look-ups at a time, so that somebody who tries out keys leaves most connections to others
STALE_S = 900.0  # while the database cannot be reached, a key that was valid stays valid for so long
ASK_S = 2.0

FIND = "SELECT workspace_id, scope, hint, origins FROM touchline.access_key WHERE sha256 = $1 AND revoked_at IS NULL"
ADD = "INSERT INTO touchline.access_key (sha256, workspace_id, scope, hint, origins) VALUES ($1, $2, $3, $4, $5)"
HINTS = "SELECT hint FROM touchline.access_key WHERE workspace_id = $1 AND scope = $2"
LIST = """
SELECT hint, scope, created_at, revoked_at, origins FROM touchline.access_key
WHERE workspace_id = $1 ORDER BY created_at, scope
"""
WORKSPACES = """
SELECT w.workspace_id, w.name, w.created_at, count(k.sha256) FILTER (WHERE k.revoked_at IS NULL) AS keys
FROM touchline.workspace w LEFT JOIN touchline.access_key k ON k.workspace_id = w.workspace_id
GROUP BY w.number ORDER BY w.number
"""
IN_FORCE = """
SELECT sha256, scope FROM touchline.access_key WHERE workspace_id = $1 AND revoked_at IS NULL AND (sha256 = $2 OR hint = $3)
"""
SET_ORIGINS = "UPDATE touchline.access_key SET origins = $2 WHERE sha256 = $1"
REVOKE = "UPDATE touchline.access_key SET revoked_at = now() WHERE sha256 = $1"
ADD_WORKSPACE = (
    "INSERT INTO touchline.workspace (workspace_id, name) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING number"
)
BEGIN_WORKSPACE = """
INSERT INTO touchline.workspace (workspace_id, name) VALUES ($1, $2)
ON CONFLICT (workspace_id) DO UPDATE SET name = excluded.name
    WHERE NOT EXISTS (SELECT FROM touchline.access_key k WHERE k.workspace_id = workspace.workspace_id)
RETURNING number
"""  # a projector may have created the workspace at its first event; then its name is its id


@dataclass(frozen=True, slots=True)
class Access:
    """What a key gives access to. `hint` is the key's first characters, which identify it but give no access.

    `origins` are those of the web pages that may use the key (`shared.access.origins`); None: pages of all origins.
    """

    workspace: str
    scope: Scope
    hint: str
    origins: tuple[str, ...] | None = None


def digest(key: str) -> bytes:
    """The SHA-256 that is stored instead of the key."""
    return sha256(key.encode()).digest()


async def create_key(
    connection: "asyncpg.Connection[asyncpg.Record]", workspace: str, scope: Scope, origins: Sequence[str] | None = None
) -> str:
    """A new key; it cannot be read again later. Its hint is unique among all keys, also the revoked ones, of the workspace.

    `origins` are those of the web pages that may use it, as `read_origins` gives them; None: of all. Only collect keys have them.
    """
    taken = {row["hint"] for row in await connection.fetch(HINTS, workspace, scope)}
    drawn = (PREFIX[scope] + secrets.token_urlsafe(KEY_BYTES) for _ in range(HINT_DRAWS_MAX))
    key = next(key for key in drawn if key[:HINT_CHARACTERS] not in taken)
    await connection.execute(ADD, digest(key), workspace, scope, key[:HINT_CHARACTERS], origins)
    return key


async def create_workspace(pool: "asyncpg.Pool[asyncpg.Record]", workspace: str, name: str) -> dict[Scope, str] | None:
    """Create a workspace with one key of each scope; None if it has, or had, keys already."""
    async with pool.acquire() as connection, connection.transaction():
        if await connection.fetchval(BEGIN_WORKSPACE, workspace, name) is None:
            return None
        return {scope: await create_key(connection, workspace, scope) for scope in SCOPES}


@dataclass(slots=True)
class _CachedKey:
    access: Access
    asked_s: float
    answered_s: float


async def ensure_workspace(connection: "asyncpg.Connection[asyncpg.Record]", workspace: str) -> None:
    """Create a workspace, named by its id, unless it exists."""
    await connection.execute(ADD_WORKSPACE, workspace, workspace)


async def list_workspaces(pool: "asyncpg.Pool[asyncpg.Record]") -> list[dict[str, Any]]:
    """Every workspace in the order in which they were made: id, name, how many keys are in force, and when it was made (RFC 3339)."""
    return [
        {
            "workspace": r["workspace_id"],
            "name": r["name"],
            "keys": r["keys"],
            "created_at": r["created_at"].isoformat(),
        }
        for r in await pool.fetch(WORKSPACES)
    ]


async def list_keys(connection: "asyncpg.Connection[asyncpg.Record]", workspace: str) -> list[dict[str, Any]]:
    """Every key that the workspace has or had: hint, scope, when it was created and revoked (RFC 3339, or None), and origins."""
    rows = await connection.fetch(LIST, workspace)
    return [
        {
            "hint": row["hint"], "scope": row["scope"], "created_at": row["created_at"].isoformat(),
            "revoked_at": row["revoked_at"] and row["revoked_at"].isoformat(), "origins": row["origins"],
        }
        for row in rows
    ]  # fmt: skip


async def revoke_keys(connection: "asyncpg.Connection[asyncpg.Record]", workspace: str, beginning: str) -> int:
    """Revoke the valid key that is `beginning` or has it as hint. Returns how many keys match; only a single match is revoked."""
    async with connection.transaction():
        rows = await connection.fetch(IN_FORCE, workspace, digest(beginning), beginning)
        if len(rows) == 1:
            await connection.execute(REVOKE, rows[0]["sha256"])
    return len(rows)


async def set_origins(
    connection: "asyncpg.Connection[asyncpg.Record]", workspace: str, beginning: str, origins: Sequence[str] | None
) -> list[Scope]:
    """Set from which web pages the valid key that is `beginning`, or has it as hint, may be used; None: from all.

    Returns the scope of each key that matches. Only a single match is changed, and only if it is a collect key.
    """
    async with connection.transaction():
        rows = await connection.fetch(IN_FORCE, workspace, digest(beginning), beginning)
        if len(rows) == 1 and rows[0]["scope"] == "collect":
            await connection.execute(SET_ORIGINS, rows[0]["sha256"], origins)
    return [row["scope"] for row in rows]


class KeyRing:
    """Looks keys up and caches their digests for `CACHE_S` seconds; digests of unknown keys have a cache of their own."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool
        self._known: dict[bytes, _CachedKey] = {}
        self._unknown: dict[bytes, float] = {}
        self._asking = asyncio.Semaphore(ASKED_AT_ONCE_MAX)

    async def find(self, key: str, now_s: float) -> Access | None:
        """What the key gives access to; None if it is unknown or revoked. `now_s` is a monotonic clock.

        While the database cannot be reached, a key found in the last `STALE_S` stays valid; any other raises one of `AWAY`.
        """
        if not KEY_FORM.match(key):
            return None
        sha256_ = digest(key)
        known = self._known.get(sha256_)
        if known is not None and now_s - known.asked_s < CACHE_S:
            return known.access
        if now_s - self._unknown.get(sha256_, -CACHE_S) < CACHE_S:
            return None
        try:
            async with asyncio.timeout(ASK_S), self._asking:
                if (found := self._known.get(sha256_)) is not None and now_s - found.asked_s < CACHE_S:
                    return found.access  # another request has asked meanwhile
                row = await self._pool.fetchrow(FIND, sha256_)
        except AWAY:
            if known is None or now_s - known.answered_s > STALE_S:
                raise
            known.asked_s = now_s
            return known.access
        if row is None:
            self._known.pop(sha256_, None)
            _remember(self._unknown, sha256_, now_s)
            return None
        origins = row["origins"]
        access = Access(row["workspace_id"], row["scope"], row["hint"], None if origins is None else tuple(origins))
        _remember(self._known, sha256_, _CachedKey(access, now_s, now_s))
        return access


Value = TypeVar("Value")


def _remember(among: dict[bytes, Value], key: bytes, value: Value) -> None:
    """Add an entry at the end; where the cache is full, drop the oldest entry."""
    among.pop(key, None)
    if len(among) >= CACHED_KEYS_MAX:
        del among[next(iter(among))]
    among[key] = value
