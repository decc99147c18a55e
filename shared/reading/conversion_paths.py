"""By which paths were deals won, how many touches did they take, and how long? And which deals were won by one path?"""

import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal
from itertools import pairwise
from typing import Any

from shared.events.instants import DAY_US
from shared.projection.sql import sql
from shared.reading.deal_list import DEAL_ORDERS
from shared.reading.deals import as_answered
from shared.reading.keyset import Ordering, key_arguments, paged
from shared.reading.overview import money_by_currency
from shared.reading.snapshot import Snapshot
from shared.reading.time_range import TimeRange
from shared.rules.influence import REVENUE_TOUCHES, TouchType

TENTH = Decimal("0.1")
STEPS = {type_.wire: type_ for type_ in sorted(REVENUE_TOUCHES)}
"""The kinds of touches that a path can have, as they are sent."""

_WON = "d.ws = $1 AND d.state = 'won' AND d.closed_us >= $2 AND d.closed_us < $3"
PATH_ORDER = Ordering((("-count(*)", "bigint"), ("d.path", "text")))
"""The commonest first, then by its words."""
PATHS = paged(
    f"""
SELECT d.path, sum(d.touches)::bigint AS touches, {{keys}} FROM {{g}}.deal d WHERE {_WON} AND d.path IS NOT NULL GROUP BY d.path HAVING {{after}}""",
    {"": PATH_ORDER},
    4,
)[""]  # the paths of the deals won in a span
DEALS_OF_PATHS = sql(f"""
SELECT d.path, d.currency, count(*) AS deals, array_agg(d.closed_us - d.first_us) AS days_us, sum(d.amount_minor)::bigint AS amount_minor
FROM {{g}}.deal d WHERE {_WON} AND d.path = ANY($4::text[]) GROUP BY d.path, d.currency
""")

PATH_DEAL_ORDER = DEAL_ORDERS["-closed_at"]
DEALS = paged(
    """
SELECT d.deal_id, d.name, d.state, d.amount_minor, d.currency, d.created_us, d.closed_us, d.touches, d.first_us, {keys} FROM {g}.deal d
WHERE d.ws = $1 AND d.state = 'won' AND coalesce(d.closed_us, d.created_us) >= $2 AND coalesce(d.closed_us, d.created_us) < $3
    AND d.path IS NOT NULL AND ($4::text IS NULL OR d.path = $4) AND {after}""",
    {"": PATH_DEAL_ORDER},
    5,
)[""]  # the deals won in a span by a path (null: by any)


@dataclass
class ConversionPath:
    """The deals that were won by one path: the kinds of touches in order, without repetitions."""

    path: tuple[str, ...]
    deals: int = 0
    revenue_minor: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    touches: int = 0
    days_us: list[int] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """The item as it stands in answers."""
        return {
            "path": list(self.path), "deals": self.deals, "revenue": money_by_currency(self.revenue_minor),
            "touches_mean": _tenths(Decimal(self.touches) / self.deals),
            "days_to_close_median": _tenths(Decimal(statistics.median_low(self.days_us)) / DAY_US),
        }  # fmt: skip


def _tenths(number: Decimal) -> str:
    return str(number.quantize(TENTH, ROUND_HALF_EVEN))


async def paths_report(
    snapshot: Snapshot, span: TimeRange, after: Sequence[Any] | None, limit: int
) -> tuple[list[dict[str, Any]], list[list[Any]]]:
    """At most `limit` of the paths of the deals won in a range that have a journey, in `PATH_ORDER`, after a key, as answers have them; and the key
    of each (rule **paths**).
    """
    rows = await snapshot.fetch(PATHS, span.from_us, span.to_us, *key_arguments(PATH_ORDER, after), limit)
    paths = {row["path"]: ConversionPath(tuple(row["path"].split()), touches=row["touches"]) for row in rows}
    for row in await snapshot.fetch(DEALS_OF_PATHS, span.from_us, span.to_us, list(paths)) if paths else ():
        one = paths[row["path"]]
        one.deals += row["deals"]
        one.days_us += row["days_us"]
        if row["amount_minor"] is not None:
            one.revenue_minor[row["currency"]] += row["amount_minor"]
    return [one.as_json() for one in paths.values()], [PATH_ORDER.key_of(row) for row in rows]


def types_of_path(path: str) -> list[TouchType]:
    """The kinds of touches of a path as a request names it, with commas between them. Raises `ValueError` for what can be no path."""
    types = [STEPS[name] for name in path.split(",") if name in STEPS]
    if len(types) != path.count(",") + 1 or any(one is other for one, other in pairwise(types)):
        raise ValueError("a path has the types of touches in order, with commas between them, and none twice in a row")
    return types


async def deals_of_path(
    snapshot: Snapshot, span: TimeRange, path: Sequence[TouchType] | None, after: Sequence[Any] | None, limit: int
) -> tuple[list[dict[str, Any]], list[list[Any]]]:
    """At most `limit` of the deals won in a range by a path (None: by any), in `PATH_DEAL_ORDER`, after a key, as answers have them; and the
    key of each.
    """
    words = None if path is None else " ".join(type_.wire for type_ in path)
    rows = await snapshot.fetch(DEALS, span.from_us, span.to_us, words, *key_arguments(PATH_DEAL_ORDER, after), limit)
    items = [
        {**as_answered(row), "touches": row["touches"],
         "days_to_close": _tenths(Decimal(row["closed_us"] - row["first_us"]) / DAY_US)}
        for row in rows
    ]  # fmt: skip
    return items, [PATH_DEAL_ORDER.key_of(row) for row in rows]
