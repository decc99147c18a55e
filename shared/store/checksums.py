"""Do two generations hold the same rows? One number a table, whatever the order of its rows."""

from typing import NamedTuple

import asyncpg

from shared.store.projection import projection

UNCOMPARED = ("progress",)  # it tells of the projectors: whose turn it was, and how often


class Checksum(NamedTuple):
    """How many rows, and the sum of their 64-bit hashes."""

    rows: int
    digest: int


async def checksums(connection: "asyncpg.Connection[asyncpg.Record]", generation: str) -> dict[str, Checksum]:
    """The checksum of every table of a generation. Compare within one snapshot, at one position."""
    found = {}
    for table in projection.sorted_tables:
        if table.name in UNCOMPARED:
            continue
        columns = ", ".join(f"t.{column.name}" for column in table.columns)
        row = await connection.fetchrow(
            f"SELECT count(*) AS rows, coalesce(sum(hashtextextended(ROW({columns})::text, 0)::numeric), 0) AS digest "
            f"FROM {generation}.{table.name} t"
        )
        assert row is not None
        found[table.name] = Checksum(row["rows"], int(row["digest"]))
    return found
