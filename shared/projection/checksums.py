"""Do two generations hold the same rows? One number a table, whatever the order of its rows."""

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol

import asyncpg

from shared.projection.tables import projection

UNCOMPARED = ("progress",)  # it tells of the projectors: whose turn it was, and how often
OF_RECEIPT = {
    "lateness": None,
    "event_index": ("log_offset", "sent_hash"),
}  # what tells when and how events came; None: all of it


OF_THE_SET = {
    "agent": "t.agent IN (SELECT agent FROM {generation}.touch WHERE ws = {ws} AND agent IS NOT NULL)",
}  # which rows of a table say something of the set of events: agents are kept of tellings that lost their id, too


class Checksum(NamedTuple):
    """How many rows, and the sum of their 64-bit hashes."""

    rows: int
    digest: int


def row_hash(columns: Iterable[str]) -> str:
    """SQL for a 64-bit hash of these columns of a table `t`."""
    return f"hashtextextended(ROW({', '.join(f't.{name}' for name in columns)})::text, 0)"


class Part(Protocol):
    """Which rows of every table are compared."""

    def condition(self, table: str) -> str | None:
        """SQL for the rows of a table `t`; None: none of them."""
        ...

    @property
    def arguments(self) -> list[Any]:
        """The arguments of every condition."""
        ...


class Everything:
    """All rows of all tables."""

    arguments: ClassVar[list[Any]] = []

    def condition(self, table: str) -> str | None:
        """See `Part.condition`."""
        return None if table in UNCOMPARED else "true"


EVERYTHING = Everything()


async def checksums(
    connection: "asyncpg.Connection[asyncpg.Record]", generation: str, part: Part = EVERYTHING
) -> dict[str, Checksum]:
    """The checksum of every table of a generation. Compare within one snapshot, at one position."""
    found = {}
    for table in projection.sorted_tables:
        if (condition := part.condition(table.name)) is not None:
            columns = [column.name for column in table.columns]
            rows = f"{generation}.{table.name} t WHERE {condition}"
            found[table.name] = await _checksum(connection, rows, columns, part.arguments)
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
            also = OF_THE_SET.get(table.name, "true").format(generation=generation, ws=f"{ws:d}")
            rows = f"{generation}.{table.name} t WHERE t.ws = {ws:d} AND {also}"
            found[table.name] = await _checksum(connection, rows, columns)
    return found


async def _checksum(
    connection: "asyncpg.Connection[asyncpg.Record]", rows: str, columns: Sequence[str], arguments: Sequence[Any] = ()
) -> Checksum:
    row = await connection.fetchrow(
        f"SELECT count(*) AS rows, coalesce(sum({row_hash(columns)}::numeric), 0) AS digest FROM {rows}",
        *arguments,
    )
    assert row is not None
    return Checksum(row["rows"], int(row["digest"]))
