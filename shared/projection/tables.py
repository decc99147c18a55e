"""Which tables hold one complete projection?

A generation is a schema with all of these: those of the stages, each beside its stage, and `progress`. They have no migrations:
a new shape is a new generation, rebuilt from the log.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable

import shared.projection.stages.admission.tables
import shared.projection.stages.catalog.tables
import shared.projection.stages.cells.tables
import shared.projection.stages.contacts.tables
import shared.projection.stages.credit_days.tables
import shared.projection.stages.deals.tables
import shared.projection.stages.entities.tables
import shared.projection.stages.identity.tables
import shared.projection.stages.mentions.tables
import shared.projection.stages.sessions.tables
import shared.projection.stages.touches.tables
import shared.projection.stages.traffic.tables  # noqa: F401 - each puts its tables into `projection`
from shared.projection.content import content_parts
from shared.projection.metadata import projection

__all__ = ["CONTENT", "NOT_ROWS", "Index", "create_statements", "indexes", "projection", "shape"]

CONTENT = 12  # grows when the same events make other rows of the same tables
TOUCH_LEAF_DAYS = 91  # a partition of touch; keeps the indexes that live traffic writes to small

progress = sa.Table(
    "progress", projection,
    sa.Column("partition", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("next_offset", sa.BigInteger, nullable=False),
    sa.Column("epoch", sa.BigInteger, nullable=False, comment="grows with every projector that takes the partition"),
    sa.Column("events", sa.BigInteger, nullable=False, comment="projected so far, duplicates among them"),
    sa.Column("received_us", sa.BigInteger, nullable=False, comment="the latest receipt among them"),
    comment="how far each partition is projected; moved by compare-and-set in the batch's own transaction",
)  # fmt: skip

rows_of = sa.Table(
    "rows_of", projection,
    sa.Column("workspace", sa.Integer, primary_key=True, autoincrement=False, comment="touchline.workspace.number"),
    sa.Column("ws", sa.Integer, nullable=False, unique=True, comment="of the same sequence, so that no two are alike"),
    sa.Column("times", sa.Integer, nullable=False, comment="how often they were made anew"),
    comment="under which `ws` a workspace's rows stand, where they were made anew for changed settings; else its own number",
)  # fmt: skip

reprojection = sa.Table(
    "reprojection", projection,
    sa.Column("workspace", sa.Integer, primary_key=True, autoincrement=False, comment="touchline.workspace.number"),
    sa.Column("workspace_id", sa.Text, nullable=False),
    sa.Column("from_ws", sa.Integer, nullable=False, unique=True, comment="the rows that are read until then"),
    sa.Column("ws", sa.Integer, nullable=False, comment="the rows that are made"),
    sa.Column("partition", sa.Integer, nullable=False),
    sa.Column("next_offset", sa.BigInteger, nullable=False, comment="all before it is projected into the new rows"),
    sa.Column("told_offset", sa.BigInteger, nullable=False, comment="of the first event that told what waits for this"),
    sa.Column("settings", postgresql.JSONB, nullable=False, comment="all of the workspace's, as the new rows have them"),
    sa.Column("started_us", sa.BigInteger, nullable=False),
    sa.Column("events_done", sa.BigInteger, nullable=False),
    sa.Column("events_to_do", sa.BigInteger, comment="of the workspace, when it began; null: not counted yet"),
    sa.Index("reprojection_partition", "partition"),
    comment="workspaces whose rows are being made anew, beside those that are read, for settings that concern all of history",
)  # fmt: skip

superseded_rows = sa.Table(
    "superseded_rows", projection,
    sa.Column("ws", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("partition", sa.Integer, nullable=False),
    comment="rows that nobody reads any more, or ever did: they are deleted piece by piece",
)  # fmt: skip

events_until = sa.Table(
    "events_until", projection,
    sa.Column("ws", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("next_offset", sa.BigInteger, nullable=False, comment="behind the last event of the workspace that was projected"),
    comment="up to where events of a workspace were projected batch by batch, whether or not they changed rows; none: not since the generation was made",
)  # fmt: skip

NOT_ROWS = ("progress", "rows_of", "reprojection", "superseded_rows", "events_until")
"""Tables about the progress of the projection, not about the events."""

WORKSPACE_ROWS = """
CREATE VIEW {schema}.workspace_rows AS
SELECT w.workspace_id, w.number AS workspace, coalesce(r.ws, w.number) AS ws, coalesce(r.times, 0) AS times
FROM touchline.workspace w LEFT JOIN {schema}.rows_of r ON r.workspace = w.number
"""  # whoever asks for the rows of a workspace asks here under which `ws` they stand


def create_statements(schema: str) -> list[str]:
    """The DDL of a new generation, in order."""
    tables = sa.MetaData(schema=schema)
    out = [f"CREATE SCHEMA {schema}"]
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    for table in projection.sorted_tables:
        copy = table.to_metadata(tables)
        out.append(str(CreateTable(copy).compile(dialect=dialect)))
        out.extend(str(CreateIndex(index).compile(dialect=dialect)) for index in sorted(copy.indexes, key=str))
    out.append(f"CREATE TABLE {schema}.touch_other PARTITION OF {schema}.touch DEFAULT")
    out.append(WORKSPACE_ROWS.strip().format(schema=schema))
    return out


@dataclass(frozen=True)
class Index:
    """An index or primary key of a table, that can be taken away and made again."""

    name: str
    table: str
    drop: str
    make: str


def indexes(schema: str, tables: Iterable[str]) -> list[Index]:
    """All of some tables: a whole history is written without them, and they are made from it at once."""
    out = []
    copies = sa.MetaData(schema=schema)
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    for name in tables:
        table = projection.tables[name].to_metadata(copies)
        if key := ", ".join(column.name for column in table.primary_key):
            pkey = f"{name}_pkey"
            out.append(
                Index(
                    pkey, name, f"ALTER TABLE {schema}.{name} DROP CONSTRAINT {pkey}",
                    f"ALTER TABLE {schema}.{name} ADD CONSTRAINT {pkey} PRIMARY KEY ({key})",
                )
            )  # fmt: skip
        out += [
            Index(str(i.name), name, f"DROP INDEX {schema}.{i.name}", str(CreateIndex(i).compile(dialect=dialect)))
            for i in sorted(table.indexes, key=str)
        ]
    return out


@cache
def shape() -> str:
    """A digest of the tables and of what decides which rows are in them: this release reads no other. Every read asks for it."""
    parts = [str(CONTENT), *content_parts(), *create_statements("g")]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
