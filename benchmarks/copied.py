"""An empty generation `copied`, to COPY the live one's rows into: what writing them costs without any rule."""

import asyncpg

from shared.projection.tables import create_statements

LEAVES = """
SELECT c.relname, pg_get_expr(c.relpartbound, c.oid) AS bound FROM pg_inherits i
JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = ($1::text || '.touch')::regclass
"""  # the quarters that a generation's touches lie in


async def create_copied(connection: "asyncpg.Connection[asyncpg.Record]", generation: str = "g1") -> None:
    """Make it, with the indexes and the quarters of another."""
    for statement in create_statements("copied"):
        await connection.execute(statement)
    for leaf in await connection.fetch(LEAVES, generation):
        if leaf["bound"] != "DEFAULT":
            await connection.execute(f"CREATE TABLE copied.{leaf['relname']} PARTITION OF copied.touch {leaf['bound']}")
