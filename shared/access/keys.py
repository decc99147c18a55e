"""Who may do what? A key belongs to one workspace and has one scope; only its SHA-256 is stored."""

import asyncio
import secrets
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Literal

import asyncpg

from shared.database import AWAY

Scope = Literal["collect", "server", "read", "admin"]
SCOPES: tuple[Scope, ...] = ("collect", "server", "read", "admin")
PREFIX: dict[Scope, str] = {"collect": "tlc_", "server": "tls_", "read": "tlr_", "admin": "tla_"}
HINT_CHARACTERS = 8  # enough to tell keys apart, too few to guess one
CACHED_KEYS_MAX = 10_000  # per process; a revoked key stops working within CACHE_S
CACHE_S = 5.0
STALE_S = 900.0  # while the database is away, a key that was good goes on being good for so long
ASK_S = 2.0

FIND = "SELECT workspace_id, scope, hint FROM touchline.access_key WHERE sha256 = $1 AND revoked_at IS NULL"
ADD = "INSERT INTO touchline.access_key (sha256, workspace_id, scope, hint) VALUES ($1, $2, $3, $4)"
LIST = """
SELECT hint, scope, created_at, revoked_at FROM touchline.access_key WHERE workspace_id = $1 ORDER BY created_at, scope
"""
IN_FORCE = """
SELECT sha256 FROM touchline.access_key WHERE workspace_id = $1 AND revoked_at IS NULL AND (sha256 = $2 OR hint = $3)
"""
REVOKE = "UPDATE touchline.access_key SET revoked_at = now() WHERE sha256 = $1"
ADD_WORKSPACE = (
    "INSERT INTO touchline.workspace (workspace_id, name) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING number"
)
BEGIN_WORKSPACE = """
INSERT INTO touchline.workspace (workspace_id, name) VALUES ($1, $2)
ON CONFLICT (workspace_id) DO UPDATE SET name = excluded.name
    WHERE NOT EXISTS (SELECT FROM touchline.access_key k WHERE k.workspace_id = workspace.workspace_id)
RETURNING number
"""  # a projector may have met its first event already, and knows its id alone


@dataclass(frozen=True, slots=True)
class Access:
    """What a key opens. `hint` is the key's first characters, by which it is told apart and which open nothing."""

    workspace: str
    scope: Scope
    hint: str


def digest(key: str) -> bytes:
    """What is stored of a key."""
    return sha256(key.encode()).digest()


async def create_key(connection: "asyncpg.Connection[asyncpg.Record]", workspace: str, scope: Scope) -> str:
    """A new key; it is answered here and nowhere else again."""
    key = PREFIX[scope] + secrets.token_urlsafe(24)
    await connection.execute(ADD, digest(key), workspace, scope, key[:HINT_CHARACTERS])
    return key


async def create_workspace(pool: "asyncpg.Pool[asyncpg.Record]", workspace: str, name: str) -> dict[Scope, str] | None:
    """A workspace with one key of each scope; None if it has, or had, keys already."""
    async with pool.acquire() as connection, connection.transaction():
        if await connection.fetchval(BEGIN_WORKSPACE, workspace, name) is None:
            return None
        return {scope: await create_key(connection, workspace, scope) for scope in SCOPES}


@dataclass(slots=True)
class _Known:
    access: Access | None
    asked_s: float
    answered_s: float


async def ensure_workspace(connection: "asyncpg.Connection[asyncpg.Record]", workspace: str) -> None:
    """A workspace called by its id, unless there is one."""
    await connection.execute(ADD_WORKSPACE, workspace, workspace)


async def list_keys(connection: "asyncpg.Connection[asyncpg.Record]", workspace: str) -> list[dict[str, Any]]:
    """Every key that the workspace has or had: hint, scope, and when it was created and revoked (RFC 3339, or None)."""
    rows = await connection.fetch(LIST, workspace)
    return [
        {
            "hint": row["hint"], "scope": row["scope"], "created_at": row["created_at"].isoformat(),
            "revoked_at": row["revoked_at"] and row["revoked_at"].isoformat(),
        }
        for row in rows
    ]  # fmt: skip


async def revoke_keys(connection: "asyncpg.Connection[asyncpg.Record]", workspace: str, beginning: str) -> int:
    """Revoke the one key in force that is, or whose hint is, `beginning`; answers how many there are, 1 if it is done."""
    async with connection.transaction():
        rows = await connection.fetch(IN_FORCE, workspace, digest(beginning), beginning)
        if len(rows) == 1:
            await connection.execute(REVOKE, rows[0]["sha256"])
    return len(rows)


class KeyRing:
    """Looks keys up, remembering them for a few seconds."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool
        self._known: dict[str, _Known] = {}

    async def find(self, key: str, now_s: float) -> Access | None:
        """What the key opens, None if it is unknown or revoked. `now_s` is a monotonic clock.

        While the database is away a key that was found lately is believed; of another, what is raised is one of `AWAY`.
        """
        known = self._known.get(key)
        if known is not None and now_s - known.asked_s < CACHE_S:
            return known.access
        try:
            async with asyncio.timeout(ASK_S):
                row = await self._pool.fetchrow(FIND, digest(key))
        except AWAY:
            if known is None or known.access is None or now_s - known.answered_s > STALE_S:
                raise
            known.asked_s = now_s
            return known.access
        access = None if row is None else Access(row["workspace_id"], row["scope"], row["hint"])
        if len(self._known) >= CACHED_KEYS_MAX:
            self._known.clear()
        self._known[key] = _Known(access, now_s, now_s)
        return access
