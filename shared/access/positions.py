"""How is a position told to those who may not know the whole log?

Workspaces share partitions, so an offset counts what the neighbours have sent. In the operator's workspace a position is
plain, `pPARTITION-OFFSET`, as `touchline status` tells it. In every other it is the same, enciphered under a secret of the
database and the workspace's id: equal positions are equal texts, and nothing else can be read from them.
"""

from collections.abc import Iterator
from hashlib import blake2b

import asyncpg

from shared.access.scopes import OPERATOR_WORKSPACE
from shared.log.port import Position

ROUNDS = 6  # of a Feistel network on halves of 32 bits; four are enough for one that cannot be told from chance
HALF_BITS = 32
HALF = (1 << HALF_BITS) - 1
OFFSET_BITS = 48  # 281 trillion events
PREFIX = "q"
DIGITS = 16

IDENTIFIER = """
SELECT system_identifier::text || '/' || (SELECT oid FROM pg_database WHERE datname = current_database())
FROM pg_control_system()
"""  # of the database; PostgreSQL made it with the store, and tells it to its own users alone


class Positions:
    """Tells and reads positions; every process on the same database agrees. `secret` is known to none of its users."""

    def __init__(self, secret: bytes) -> None:
        self._secret = blake2b(secret, digest_size=32).digest()

    @classmethod
    async def of(cls, pool: "asyncpg.Pool[asyncpg.Record]") -> "Positions":
        """Those of a database, whose identifier is the secret."""
        return cls(str(await pool.fetchval(IDENTIFIER)).encode())

    def tell(self, workspace: str, position: Position) -> str:
        """The text of a position."""
        if workspace == OPERATOR_WORKSPACE:
            return str(position)
        block = position.partition << OFFSET_BITS | position.offset
        left, right = block >> HALF_BITS, block & HALF
        for key in self._keys(workspace):
            left, right = right, left ^ _mixed(key, right)
        return f"{PREFIX}{left << HALF_BITS | right:0{DIGITS}x}"

    def read(self, workspace: str, text: str) -> Position:
        """The position of a text. Raises `ValueError` on anything else."""
        if workspace == OPERATOR_WORKSPACE:
            return Position.parse(text)
        if len(text) != len(PREFIX) + DIGITS or not text.startswith(PREFIX) or not text.isascii() or not text.isalnum():
            raise ValueError(f"{text[:50]!r} is no position")
        block = int(text[len(PREFIX) :], 16)
        left, right = block >> HALF_BITS, block & HALF
        for key in reversed(list(self._keys(workspace))):
            left, right = right ^ _mixed(key, left), left
        block = left << HALF_BITS | right
        return Position(block >> OFFSET_BITS, block & ((1 << OFFSET_BITS) - 1))

    def _keys(self, workspace: str) -> Iterator[bytes]:
        yield from (blake2b(workspace.encode(), key=self._secret, salt=bytes([n])).digest() for n in range(ROUNDS))


def _mixed(key: bytes, half: int) -> int:
    return int.from_bytes(blake2b(half.to_bytes(4, "big"), key=key, digest_size=4).digest(), "big")
