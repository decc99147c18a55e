"""How is a statement written once and run in any generation? `{g}` in it is the generation's schema."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Any

import asyncpg


class Statement(str):
    """SQL with `{g}` in the place of the generation's schema."""

    __slots__ = ()


def sql(text: str) -> Statement:
    """A named statement; what it is for stands beside it."""
    return Statement(text.strip())


def sql_numbers(numbers: Iterable[int]) -> str:
    """Numbers as an SQL list without its brackets, such as `1, 2`."""
    return ", ".join(str(int(number)) for number in sorted(numbers))


def columns(rows: Iterable[Sequence[Any]]) -> list[list[Any]]:
    """Rows, at least one, as the arrays that a statement takes: one a column."""
    return [list(column) for column in zip(*rows, strict=True)]


def utc_day(at_us: str) -> str:
    """The day of UTC that an instant in microseconds, a column, is of: the number of days since 1970-01-01."""
    return f"CASE WHEN {at_us} >= 0 THEN {at_us} ELSE {at_us} - 86399999999 END / 86400000000"


def owned(touch: str = "t") -> str:
    """A condition (rule **owner**): the row `o` of `identity_interval` is of the time of a touch. The person is another condition."""
    at = f"({touch}.occurred_at_us, {touch}.event_id)"
    return f"{at} >= (o.from_us, o.from_event) AND {at} < (o.to_us, o.to_event)"


@lru_cache(maxsize=4096)
def _bound(statement: Statement, generation: str) -> str:
    return statement.replace("{g}", generation)


class Connection:
    """A connection that reads and writes one generation."""

    def __init__(self, raw: "asyncpg.Connection[asyncpg.Record]", generation: str) -> None:
        self.raw = raw
        self.generation = generation

    @classmethod
    @asynccontextmanager
    async def of(cls, pool: "asyncpg.Pool[asyncpg.Record]", generation: str) -> AsyncIterator["Connection"]:
        """A connection of a pool, for a while."""
        async with pool.acquire() as raw:
            yield cls(raw, generation)

    async def fetch(self, statement: Statement, *arguments: Any) -> list[Any]:
        """All rows."""
        rows: list[Any] = await self.raw.fetch(_bound(statement, self.generation), *arguments)
        return rows

    async def fetchrow(self, statement: Statement, *arguments: Any) -> Any:
        """The first row, None if there is none."""
        return await self.raw.fetchrow(_bound(statement, self.generation), *arguments)

    async def fetchval(self, statement: Statement, *arguments: Any) -> Any:
        """The first row's first column, None if there is none."""
        return await self.raw.fetchval(_bound(statement, self.generation), *arguments)

    async def fetched_in_parts(self, statement: Statement, rows_max: int, *arguments: Any) -> AsyncIterator[list[Any]]:
        """All rows, so many at a time. The connection must be in a transaction; other statements may run between the parts."""
        cursor = await self.raw.cursor(_bound(statement, self.generation), *arguments)
        while rows := await cursor.fetch(rows_max):
            yield rows

    async def execute(self, statement: Statement, *arguments: Any) -> str:
        """The command's tag, such as `UPDATE 3`."""
        tag: str = await self.raw.execute(_bound(statement, self.generation), *arguments)
        return tag

    async def copy(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Binary COPY into a table of the generation."""
        if rows:
            await self.raw.copy_records_to_table(
                table, schema_name=self.generation, columns=list(columns), records=rows
            )
