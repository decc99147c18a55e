"""By which paths were deals won, how many touches did they take, and how long? And which deals were won by one path?"""

import statistics
from collections import defaultdict
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal
from itertools import pairwise
from typing import Any

from shared.events.instants import DAY_US
from shared.projection.sql import sql
from shared.reading.deal_list import DEAL_ORDERS
from shared.reading.deals import as_answered
from shared.reading.keyset import key_arguments, looked_through, paged
from shared.reading.overview import money_by_currency
from shared.reading.snapshot import Snapshot
from shared.reading.time_range import TimeRange
from shared.rules.influence import REVENUE_TOUCHES, TouchType

TENTH = Decimal("0.1")
STEPS = {type_.wire: type_ for type_ in sorted(REVENUE_TOUCHES)}
"""The kinds of touches that a path can have, as they are sent."""

JOURNEYS = sql("""
SELECT path, currency, count(*) AS deals, sum(touches)::bigint AS touches, array_agg(closed_us - first_us) AS days_us,
    sum(amount_minor)::bigint AS amount_minor
FROM (SELECT array_agg(type ORDER BY step) FILTER (WHERE type IS DISTINCT FROM before) AS path, count(*) AS touches,
    min(occurred_at_us) AS first_us, closed_us, amount_minor, currency
FROM (
    SELECT cr.deal, cr.step, cr.type, cr.occurred_at_us, d.closed_us, d.amount_minor, d.currency,
        lag(cr.type) OVER (PARTITION BY cr.deal ORDER BY cr.step) AS before
    FROM {g}.deal d JOIN {g}.credit cr ON cr.ws = $1 AND cr.deal = d.deal
    WHERE d.ws = $1 AND d.state = 'won' AND d.closed_us >= $2 AND d.closed_us < $3) touch
GROUP BY deal, closed_us, amount_minor, currency) deal
GROUP BY path, currency
""")  # the deals won in a span that have a journey, by path and currency; a path leaves out a touch of the same type as the one before

PATH_DEAL_ORDER = DEAL_ORDERS["-closed_at"]
DEALS = paged(
    """
SELECT d.deal, d.deal_id, d.name, d.state, d.amount_minor, d.currency, d.created_us, d.closed_us, j.path, j.touches, j.first_us, {keys}
FROM {g}.deal d CROSS JOIN LATERAL (
    SELECT array_agg(type ORDER BY step) FILTER (WHERE type IS DISTINCT FROM before) AS path, count(*) AS touches,
        min(occurred_at_us) AS first_us
    FROM (SELECT cr.step, cr.type, cr.occurred_at_us, lag(cr.type) OVER (ORDER BY cr.step) AS before
        FROM {g}.credit cr WHERE cr.ws = $1 AND cr.deal = d.deal) touch) j
WHERE d.ws = $1 AND d.state = 'won' AND coalesce(d.closed_us, d.created_us) >= $2 AND coalesce(d.closed_us, d.created_us) < $3 AND {after}""",
    {"": PATH_DEAL_ORDER},
    4,
)[""]  # a row a deal won in a span, with the path of its journey (null: it has none)


@dataclass
class ConversionPath:
    """The deals that were won by one path: the kinds of touches in order, without repetitions."""

    path: tuple[str, ...]
    deals: int = 0
    revenue_minor: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    touches: int = 0
    days_us: list[int] = field(default_factory=list)

    @property
    def key(self) -> list[Any]:
        """Its place in the list: the commonest first, then by its words."""
        return [-self.deals, " ".join(self.path)]

    def as_json(self) -> dict[str, Any]:
        """The item as it stands in answers."""
        return {
            "path": list(self.path), "deals": self.deals, "revenue": money_by_currency(self.revenue_minor),
            "touches_mean": _tenths(Decimal(self.touches) / self.deals),
            "days_to_close_median": _tenths(Decimal(statistics.median_low(self.days_us)) / DAY_US),
        }  # fmt: skip


def _tenths(number: Decimal) -> str:
    return str(number.quantize(TENTH, ROUND_HALF_EVEN))


async def paths_report(snapshot: Snapshot, span: TimeRange) -> list[ConversionPath]:
    """The paths of the deals won in a range that have a journey, the commonest first (rule **paths**)."""
    out: dict[tuple[str, ...], ConversionPath] = {}
    for row in await snapshot.fetch(JOURNEYS, span.from_us, span.to_us):
        path = tuple(TouchType(type_).wire for type_ in row["path"])
        one = out.setdefault(path, ConversionPath(path))
        one.deals += row["deals"]
        one.touches += row["touches"]
        one.days_us += row["days_us"]
        if row["amount_minor"] is not None:
            one.revenue_minor[row["currency"]] += row["amount_minor"]
    return sorted(out.values(), key=lambda one: one.key)


def types_of_path(path: str) -> list[TouchType]:
    """The kinds of touches of a path as a request names it, with commas between them. Raises `ValueError` for what can be no path."""
    types = [STEPS[name] for name in path.split(",") if name in STEPS]
    if len(types) != path.count(",") + 1 or any(one is other for one, other in pairwise(types)):
        raise ValueError("a path has the types of touches in order, with commas between them, and none twice in a row")
    return types


async def deals_of_path(
    snapshot: Snapshot, span: TimeRange, path: Sequence[TouchType] | None, after: Sequence[Any] | None, limit: int
) -> tuple[list[dict[str, Any]], list[Any] | None]:
    """At most `limit` of the deals won in a range by a path (None: by any), in `PATH_DEAL_ORDER`, after a key, as answers have them; and the
    key of the last one that was looked at (None: there are no more). There may be fewer, also none, although more follow.
    """

    def read(key: Sequence[Any] | None, limit: int) -> Awaitable[list[Any]]:
        return snapshot.fetch(DEALS, span.from_us, span.to_us, *key_arguments(PATH_DEAL_ORDER, key), limit)

    async def behind(rows: Sequence[Any]) -> Mapping[int, Any]:
        return {
            row["deal"]: {
                "touches": row["touches"],
                "days_to_close": _tenths(Decimal(row["closed_us"] - row["first_us"]) / DAY_US),
            } for row in rows if row["path"] is not None and (path is None or row["path"] == list(path))
        }  # fmt: skip

    found, last = await looked_through(read, behind, "deal", PATH_DEAL_ORDER, after, limit)
    return [{**as_answered(row), **fields} for row, fields in found], last
