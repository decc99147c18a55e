"""Which rows of two generations differ, and which event is each about?

Tables are compared by checksum; tables that differ, by buckets of keys; buckets that differ, row by row. So of a large store
with a few wrong rows, little more than those rows is fetched.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg
import sqlalchemy as sa

from shared.events.codec import decode_record
from shared.log.port import EventLog, partition_of
from shared.projection.checksums import EVERYTHING, Part, column, row_hash, rows_to_compare
from shared.projection.tables import projection

BUCKETS = 4096
ROWS_MAX = 100  # of one table that are reported one by one
OF_TOUCH = ("ws", "person", "occurred_at_us", "event_id")  # the table has no primary key
EVENT_COLUMNS = (
    "event_id", "created_event", "associated_event", "first_event", "closed_event", "newest_event", "from_event",
    "deleted_event",
)  # fmt: skip
SUBJECT_COLUMNS = ("deal", "contact", "campaign", "asset", "key", "page", "visitor", "person", "identifier", "a")

LATEST_FACT = """
SELECT event_id FROM {schema}.entity_event
WHERE ws = (SELECT ws FROM {schema}.workspace_rows WHERE workspace = $1) AND (subject = ANY($2::bigint[]) OR object = ANY($2::bigint[]))
ORDER BY occurred_at_us DESC, event_id COLLATE "C" DESC LIMIT 1
"""  # the last event about the entity of a row


@dataclass(frozen=True)
class Side:
    """One of the two generations, read in one snapshot."""

    connection: "asyncpg.Connection[asyncpg.Record]"
    schema: str
    part: Part = EVERYTHING
    left_out: Sequence[int] = ()
    """Numbers of workspaces that are not compared."""

    def rows(self, table: str) -> str:
        """SQL for the rows of a table `t` that are compared."""
        return rows_to_compare(self.schema, table, self.part.condition(table) or "false", self.left_out)


@dataclass(frozen=True)
class Difference:
    """A row that differs in the live generation, is missing there (`live` is None), or is only there (`rebuilt` is None)."""

    table: str
    key: dict[str, Any]
    live: dict[str, Any] | None
    rebuilt: dict[str, Any] | None
    event: str | None
    """The event that the row comes from, or else the last event about its entity."""

    @property
    def columns(self) -> list[str]:
        """The columns that differ; all columns of a row that only one side has."""
        if self.live is None or self.rebuilt is None:
            return sorted((self.live or self.rebuilt or {}).keys())
        return [name for name in self.live if self.live[name] != self.rebuilt[name]]

    def in_words(self) -> str:
        """Which row differs, where, and by which event; without values other than numbers."""
        key = ", ".join(f"{name} {value}" for name, value in self.key.items() if isinstance(value, int))
        if self.live is None:
            how = "is missing from the live generation"
        elif self.rebuilt is None:
            how = "is in the live generation alone"
        else:
            how = f"differs in {', '.join(self.columns)}"
        return f"{self.table} ({key}) {how}" + ("" if self.event is None else f"; event {self.event}")


def _key_of(table: sa.Table) -> tuple[str, ...]:
    return tuple(each.name for each in table.primary_key) or OF_TOUCH


async def differing_rows(live: Side, rebuilt: Side, table: str, log: EventLog) -> list[Difference]:
    """Up to `ROWS_MAX` rows of a table that differ between the two, in the order of their keys."""
    of = projection.tables[table]
    one, other = await _buckets(live, of), await _buckets(rebuilt, of)
    differing = sorted(bucket for bucket in one.keys() | other.keys() if one.get(bucket) != other.get(bucket))
    found: list[Difference] = []
    for bucket in differing:
        rows, wanted = await _rows(live, of, bucket), await _rows(rebuilt, of, bucket)
        for key in sorted(rows.keys() | wanted.keys(), key=repr):
            row, right = rows.get(key), wanted.get(key)
            if row == right:
                continue
            side = rebuilt if right is not None else live
            event = await _event(side, right or row or {}, log)
            found.append(Difference(table, dict(zip(_key_of(of), key, strict=True)), row, right, event))
            if len(found) == ROWS_MAX:
                return found
    return found


async def _buckets(side: Side, table: sa.Table) -> dict[int, tuple[int, int]]:
    rows = await side.connection.fetch(
        f"SELECT ({row_hash(_key_of(table))} & {BUCKETS - 1})::int AS bucket, count(*) AS rows, "
        f"sum({row_hash(c.name for c in table.columns)}::numeric) AS digest FROM {side.rows(table.name)} GROUP BY 1",
        *side.part.arguments,
    )
    return {row["bucket"]: (row["rows"], int(row["digest"])) for row in rows}


async def _rows(side: Side, table: sa.Table, bucket: int) -> dict[tuple[Any, ...], dict[str, Any]]:
    key = _key_of(table)
    names = ", ".join(f"{column(each.name)} AS {each.name}" for each in table.columns)
    rows = await side.connection.fetch(
        f"SELECT {names} FROM {side.rows(table.name)} AND {row_hash(key)} & {BUCKETS - 1} = {bucket:d}",
        *side.part.arguments,
    )
    return {tuple(row[name] for name in key): dict(row) for row in rows}


async def _event(side: Side, row: dict[str, Any], log: EventLog) -> str | None:
    for name in EVENT_COLUMNS:
        if row.get(name):
            return str(row[name])
    if "log_offset" in row:
        workspace = await side.connection.fetchval(
            f"SELECT workspace_id FROM {side.schema}.workspace_rows WHERE workspace = $1", row["ws"]
        )
        (entry,) = await log.entries(partition_of(workspace, log.partitions), [row["log_offset"]])
        return decode_record(entry.value, entry.offset).event_id
    subjects = [row[name] for name in SUBJECT_COLUMNS if row.get(name) is not None]
    if not subjects:
        return None
    found = await side.connection.fetchval(LATEST_FACT.replace("{schema}", side.schema), row["ws"], subjects)
    return None if found is None else str(found)
