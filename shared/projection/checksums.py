"""Do two generations hold the same rows? One number a table, whatever the order of its rows."""

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol

import asyncpg

from shared.projection.stages.cells.tables import CELL_TABLES
from shared.projection.stages.credit_days.tables import SUM_TABLES
from shared.projection.tables import NOT_ROWS, projection
from shared.rules.pre_association import Route

UNCOMPARED = (*NOT_ROWS, *CELL_TABLES, *SUM_TABLES)
OF_RECEIPT = {
    "lateness": None,
    "event_index": ("log_offset", "sent_hash"),
}  # the columns that depend on when and how events arrived; None: all columns of the table


OF_THE_SET = {
    "agent": "t.agent IN (SELECT agent FROM {generation}.touch WHERE ws = {ws} AND agent IS NOT NULL)",
    "utm_reading": "t.value IN (SELECT utm FROM {generation}.touch WHERE ws = {ws} AND utm IS NOT NULL)",
    "attribution_window": f"(t.route <> {Route.UTM:d} OR t.key IN ("
    "SELECT utm FROM {generation}.touch WHERE ws = {ws} AND utm IS NOT NULL))",
}  # which rows of a table say something of the set of events: agents and utm values are kept of versions that lost their id, too


class Checksum(NamedTuple):
    """How many rows, and the sum of their 64-bit hashes."""

    rows: int
    digest: int


def column(name: str) -> str:
    """SQL for a column of a row of `rows_to_compare`; `ws` is the workspace's own number, wherever its rows stand."""
    return "coalesce(own.workspace, t.ws)" if name == "ws" else f"t.{name}"


def row_hash(columns: Iterable[str]) -> str:
    """SQL for a 64-bit hash of these columns of a row of `rows_to_compare`."""
    return f"hashtextextended(ROW({', '.join(map(column, columns))})::text, 0)"


def rows_to_compare(generation: str, table: str, condition: str, left_out: Sequence[int] = ()) -> str:
    """SQL for the rows `t` of a table that are read, now or ever: `FROM` and `WHERE`. `{g}` in the condition is the generation.

    `left_out` are numbers of workspaces. Rows that are being rebuilt, or that others have replaced, do not belong to them.
    """
    hidden = f"SELECT ws FROM {generation}.reprojection UNION ALL SELECT ws FROM {generation}.superseded_rows"
    others = f" AND {column('ws')} <> ALL('{{{','.join(map(str, left_out))}}}'::int[])" if left_out else ""
    return (
        f"{generation}.{table} t LEFT JOIN {generation}.rows_of own ON own.ws = t.ws "
        f"WHERE t.ws NOT IN ({hidden}){others} AND {condition.replace('{g}', generation)}"
    )


async def workspaces_being_rebuilt(connection: "asyncpg.Connection[asyncpg.Record]", generation: str) -> dict[int, str]:
    """The workspaces whose rows are being rebuilt for changed settings, by number: until then their rows are those of the earlier settings."""
    rows = await connection.fetch(f"SELECT workspace, workspace_id FROM {generation}.reprojection")
    return {row["workspace"]: row["workspace_id"] for row in rows}


class Part(Protocol):
    """Which rows of every table are compared."""

    def condition(self, table: str) -> str | None:
        """SQL for the rows of a table `t` of a generation `{g}`; None: none of them."""
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
    connection: "asyncpg.Connection[asyncpg.Record]", generation: str, part: Part = EVERYTHING,
    left_out: Sequence[int] = (),
) -> dict[str, Checksum]:  # fmt: skip
    """The checksum of every table of a generation. Compare within one snapshot, at one position.

    `left_out` are numbers of workspaces whose rows do not count.
    """
    found = {}
    for table in projection.sorted_tables:
        if (condition := part.condition(table.name)) is not None:
            columns = [each.name for each in table.columns]
            rows = rows_to_compare(generation, table.name, condition, left_out)
            found[table.name] = await _checksum(connection, rows, columns, part.arguments)
    return found


async def set_checksums(
    connection: "asyncpg.Connection[asyncpg.Record]", generation: str, ws: int
) -> dict[str, Checksum]:
    """The checksums of the rows that stand under a number `ws`, without columns about when and how its events came.

    Two stores that hold the same set of events of a workspace agree in all of them, however the events came.
    """
    found = {}
    for table in projection.sorted_tables:
        left_out = OF_RECEIPT.get(table.name, ())
        if table.name not in UNCOMPARED and left_out is not None:
            columns = [each.name for each in table.columns if each.name not in (*left_out, "ws")]
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
