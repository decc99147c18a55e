"""Who may do what? A key belongs to one workspace and has one scope; only its SHA-256 is stored."""

import secrets
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

import asyncpg

Scope = Literal["collect", "server", "read", "admin"]
SCOPES: tuple[Scope, ...] = ("collect", "server", "read", "admin")
PREFIX: dict[Scope, str] = {"collect": "tlc_", "server": "tls_", "read": "tlr_", "admin": "tla_"}
HINT_CHARACTERS = 8  # enough to tell keys apart, too few to guess one
CACHED_KEYS_MAX = 10_000  # per process; a revoked key stops working within CACHE_S
CACHE_S = 5.0

FIND = "SELECT workspace_id, scope FROM touchline.access_key WHERE sha256 = $1 AND revoked_at IS NULL"
ADD = "INSERT INTO touchline.access_key (sha256, workspace_id, scope, hint) VALUES ($1, $2, $3, $4)"
ADD_WORKSPACE = (
    "INSERT INTO touchline.workspace (workspace_id, name) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING number"
)


@dataclass(frozen=True, slots=True)
class Access:
    """What a key opens."""

    workspace: str
    scope: Scope


def digest(key: str) -> bytes:
    """What is stored of a key."""
    return sha256(key.encode()).digest()


async def create_key(connection: "asyncpg.Connection[asyncpg.Record]", workspace: str, scope: Scope) -> str:
    """A new key; it is answered here and nowhere else again."""
    key = PREFIX[scope] + secrets.token_urlsafe(24)
    await connection.execute(ADD, digest(key), workspace, scope, key[:HINT_CHARACTERS])
    return key


async def create_workspace(pool: "asyncpg.Pool[asyncpg.Record]", workspace: str, name: str) -> dict[Scope, str] | None:
    """A workspace with one key of each scope; None if it exists already."""
    async with pool.acquire() as connection, connection.transaction():
        if await connection.fetchval(ADD_WORKSPACE, workspace, name) is None:
            return None
        return {scope: await create_key(connection, workspace, scope) for scope in SCOPES}


class KeyRing:
    """Looks keys up, remembering them for a few seconds."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool
        self._known: dict[str, tuple[float, Access | None]] = {}

    async def find(self, key: str, now_s: float) -> Access | None:
        """What the key opens, None if it is unknown or revoked. `now_s` is a monotonic clock."""
        known = self._known.get(key)
        if known is not None and now_s - known[0] < CACHE_S:
            return known[1]
        row = await self._pool.fetchrow(FIND, digest(key))
        access = None if row is None else Access(row["workspace_id"], row["scope"])
        if len(self._known) >= CACHED_KEYS_MAX:
            self._known.clear()
        self._known[key] = (now_s, access)
        return access
