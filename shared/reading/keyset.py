"""How does a list page in the database? In the order of an index, each page after the key of the last item before it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.projection.sql import Statement, sql

AT_ONCE = 250  # items that are looked through together: the touches of so many deals or contacts are some 7,500
LOOKED_THROUGH_MAX = 1_000  # of one page: of what few items have, a page is short rather than slow


@dataclass(frozen=True, slots=True)
class Ordering:
    """An order of a list: SQL expressions, the last of which is different for each item, each with its type in PostgreSQL and its collation.

    An index of the table has the same expressions after `ws`, so that a page reads only what it shows and what its filters drop.
    """

    columns: tuple[tuple[str, str], ...]
    descending: bool = False

    def reversed(self) -> "Ordering":
        """The same order from its other end."""
        return Ordering(self.columns, not self.descending)

    def clauses(self, first: int) -> tuple[str, str]:
        """The condition that an item comes after the key in the parameters `$first` and following, and `ORDER BY`.

        The condition is true for every item where the key is null: the first page.
        """
        names = ", ".join(name for name, _ in self.columns)
        values = ", ".join(f"${first + i}::{kind}" for i, (_, kind) in enumerate(self.columns))
        sign, way = ("<", " DESC") if self.descending else (">", "")
        last = first + len(self.columns) - 1
        after = f"(${last}::{self.columns[-1][1]} IS NULL OR ({names}) {sign} ({values}))"
        return after, "ORDER BY " + ", ".join(name + way for name, _ in self.columns)

    def keys(self) -> str:
        """The expressions as columns `key_0`, `key_1`, … of a SELECT."""
        return ", ".join(f"{name} AS key_{i}" for i, (name, _) in enumerate(self.columns))

    def key_of(self, row: Any) -> list[Any]:
        """The key of a row of a SELECT with `keys`."""
        return [row[f"key_{i}"] for i in range(len(self.columns))]

    def fits(self, key: Sequence[Any]) -> bool:
        """Whether a key, of a cursor, can be of this order."""
        return len(key) == len(self.columns) and all(
            isinstance(value, int if kind == "bigint" else str)
            for value, (_, kind) in zip(key, self.columns, strict=True)
        )


def both_ways(orders: Mapping[str, Ordering]) -> dict[str, Ordering]:
    """Each order by its name, and its reverse by the name with a minus before it."""
    return {
        f"{sign}{name}": order.reversed() if sign else order for name, order in orders.items() for sign in ("", "-")
    }


def paged(select: str, orders: Mapping[str, Ordering], first: int) -> dict[str, Statement]:
    """The statement of one page in each order. `{keys}` in `select` becomes the columns of the key; what `{after}` becomes holds
    for the items after the page before, whose key is in the parameters `$first` and following; the last parameter is the limit.
    """
    out = {}
    for name, order in orders.items():
        after, order_by = order.clauses(first)
        text = select.replace("{keys}", order.keys()).replace("{after}", after)
        out[name] = sql(f"{text} {order_by} LIMIT ${first + len(order.columns)}")
    return out


def key_arguments(order: Ordering, key: Sequence[Any] | None) -> list[Any]:
    """The parameters of a key; nulls for the first page."""
    return [None] * len(order.columns) if key is None else list(key)


HOLDS_TEXT = "strpos(lower({column}), lower($3)) > 0"
"""Whether a column holds the text $3, in any case."""


async def looked_through(
    read: Callable[[Sequence[Any] | None, int], Awaitable[list[Any]]],
    behind: Callable[[Sequence[Any]], Awaitable[Mapping[int, Any]]],
    column: str,
    order: Ordering,
    after: Sequence[Any] | None,
    limit: int,
) -> tuple[list[tuple[Any, Any]], list[Any] | None]:
    """At most `limit` rows that are behind something, each with what answers show of it, and the key of the last row that was looked at.

    `read(key, n)` reads at most `n` of the next rows after a key. `behind` gives what answers show of the rows that are behind it, by `column`.
    """
    page: list[tuple[Any, Any]] = []
    key = None if after is None else list(after)
    for _ in range(LOOKED_THROUGH_MAX // AT_ONCE):
        rows = await read(key, AT_ONCE + 1)
        more, rows = len(rows) > AT_ONCE, rows[:AT_ONCE]
        details = await behind(rows) if rows else {}
        for n, row in enumerate(rows):
            key = order.key_of(row)
            if row[column] in details:
                page.append((row, details[row[column]]))
                if len(page) == limit:
                    return page, key if more or n + 1 < len(rows) else None
        if not more:
            return page, None
    return page, key
