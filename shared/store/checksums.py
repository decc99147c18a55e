"""Do two generations hold the same rows? One number a table, whatever the order of its rows."""

from collections.abc import Iterable
from typing import NamedTuple

import asyncpg

from shared.store.projection import projection

UNCOMPARED = ("progress",)  # it tells of the projectors: whose turn it was, and how often


class Checksum(NamedTuple):
    """How many rows, and the sum of their 64-bit hashes."""

    rows: int
    digest: int


def row_hash(columns: Iterable[str]) -> str:
    """SQL for a 64-bit hash of these columns of a table `t`."""
    return f"hashtextextended(ROW({', '.join(f't.{name}' for name in columns)})::text, 0)"


async def checksums(connection: "asyncpg.Connection[asyncpg.Record]", generation: str) -> dict[str, Checksum]:
    """The checksum of every table of a generation. Compare within one snapshot, at one position."""
    found = {}
    for table in projection.sorted_tables:
        if table.name in UNCOMPARED:
            continue
        digest = row_hash(column.name for column in table.columns)
        row = await connection.fetchrow(
            f"SELECT count(*) AS rows, coalesce(sum({digest}::numeric), 0) AS digest FROM {generation}.{table.name} t"
        )
        assert row is not None
        found[table.name] = Checksum(row["rows"], int(row["digest"]))
    return found
