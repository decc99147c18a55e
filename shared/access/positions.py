"""How is a position of the log shown to a client that may see one workspace only?

Workspaces share partitions, so a plain offset would show how much other workspaces send. In the operator's workspace a position
is plain, `pPARTITION-OFFSET`, as `touchline status` prints it. In every other workspace it is encrypted with a secret of the
database and the workspace's id: equal positions give equal texts, and a client can read nothing else from them.
"""

from functools import lru_cache
from hashlib import blake2b

import asyncpg

from shared.access.scopes import OPERATOR_WORKSPACE
from shared.log.port import Position

ROUNDS = 6  # of a Feistel network on halves of 32 bits; four are enough for a permutation that looks random
HALF_BITS = 32
HALF = (1 << HALF_BITS) - 1
OFFSET_BITS = 48  # 281 trillion events
PREFIX = "q"
DIGITS = 16
WORKSPACES_CACHED = 1_024  # whose keys are remembered, some 600 bytes each

IDENTIFIER = """
SELECT system_identifier::text || '/' || (SELECT oid FROM pg_database WHERE datname = current_database())
FROM pg_control_system()
"""  # of the database; PostgreSQL made it with the cluster, and only its own users can read it


class Positions:
    """Writes positions as text and reads them; all processes on the same database agree. Clients must not know `secret`."""

    def __init__(self, secret: bytes) -> None:
        self._secret = blake2b(secret, digest_size=32).digest()
        self._keys_of = lru_cache(WORKSPACES_CACHED)(self._keys)

    @classmethod
    async def of(cls, pool: "asyncpg.Pool[asyncpg.Record]") -> "Positions":
        """For a database; its identifier is the secret."""
        return cls(str(await pool.fetchval(IDENTIFIER)).encode())

    def write(self, workspace: str, position: Position) -> str:
        """A position as the text that clients of the workspace get."""
        if workspace == OPERATOR_WORKSPACE:
            return str(position)
        block = position.partition << OFFSET_BITS | position.offset
        left, right = block >> HALF_BITS, block & HALF
        for key in self._keys_of(workspace):
            left, right = right, left ^ _mixed(key, right)
        return f"{PREFIX}{left << HALF_BITS | right:0{DIGITS}x}"

    def read(self, workspace: str, text: str) -> Position:
        """The position that `write` made this text of. Raises `ValueError` on anything else."""
        if workspace == OPERATOR_WORKSPACE:
            return Position.parse(text)
        if len(text) != len(PREFIX) + DIGITS or not text.startswith(PREFIX) or not text.isascii() or not text.isalnum():
            raise ValueError(f"{text[:50]!r} is not a position")
        block = int(text[len(PREFIX) :], 16)
        left, right = block >> HALF_BITS, block & HALF
        for key in reversed(self._keys_of(workspace)):
            left, right = right ^ _mixed(key, left), left
        block = left << HALF_BITS | right
        return Position(block >> OFFSET_BITS, block & ((1 << OFFSET_BITS) - 1))

    def _keys(self, workspace: str) -> tuple[bytes, ...]:
        return tuple(blake2b(workspace.encode(), key=self._secret, salt=bytes([n])).digest() for n in range(ROUNDS))


def _mixed(key: bytes, half: int) -> int:
    return int.from_bytes(blake2b(half.to_bytes(4, "big"), key=key, digest_size=4).digest(), "big")
