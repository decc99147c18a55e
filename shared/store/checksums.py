"""Do two generations hold the same rows? One number a table, whatever the order of its rows."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import asyncpg

from shared.store.projection import projection

UNCOMPARED = ("progress",)  # it tells of the projectors: whose turn it was, and how often
OF_RECEIPT = {
    "lateness": None,
    "seen": ("log_offset", "sent_hash"),
}  # what tells when and how events came; None: all of it


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
        if table.name not in UNCOMPARED:
            columns = [column.name for column in table.columns]
            found[table.name] = await _checksum(connection, f"{generation}.{table.name} t", columns)
    return found


async def set_checksums(
    connection: "asyncpg.Connection[asyncpg.Record]", generation: str, ws: int
) -> dict[str, Checksum]:
    """The checksums of a workspace's rows, without what tells when and how its events came.

    Two stores that hold the same set of events of a workspace agree in all of them, however the events came.
    """
    found = {}
    for table in projection.sorted_tables:
        left_out = OF_RECEIPT.get(table.name, ())
        if table.name not in UNCOMPARED and left_out is not None:
            columns = [column.name for column in table.columns if column.name not in (*left_out, "ws")]
            found[table.name] = await _checksum(connection, f"{generation}.{table.name} t WHERE t.ws = {ws:d}", columns)
    return found


async def _checksum(connection: "asyncpg.Connection[asyncpg.Record]", rows: str, columns: Sequence[str]) -> Checksum:
    row = await connection.fetchrow(
        f"SELECT count(*) AS rows, coalesce(sum({row_hash(columns)}::numeric), 0) AS digest FROM {rows}"
    )
    assert row is not None
    return Checksum(row["rows"], int(row["digest"]))
