"""By which paths were deals won, how many touches did they take, and how long?"""

import statistics
from collections import defaultdict
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from shared.events.instants import DAY_US
from shared.projection.sql import sql
from shared.reading.overview import money_by_currency
from shared.reading.snapshot import Snapshot
from shared.reading.time_range import TimeRange
from shared.rules.influence import TouchType

TENTH = Decimal("0.1")

JOURNEYS = sql("""
SELECT array_agg(type ORDER BY step) FILTER (WHERE type IS DISTINCT FROM before) AS path, count(*) AS touches,
    min(occurred_at_us) AS first_us, closed_us, amount_minor, currency
FROM (
    SELECT cr.deal, cr.step, cr.type, cr.occurred_at_us, d.closed_us, d.amount_minor, d.currency,
        lag(cr.type) OVER (PARTITION BY cr.deal ORDER BY cr.step) AS before
    FROM {g}.deal d JOIN {g}.credit cr ON cr.ws = $1 AND cr.deal = d.deal
    WHERE d.ws = $1 AND d.state = 'won' AND d.closed_us >= $2 AND d.closed_us < $3) touch
GROUP BY deal, closed_us, amount_minor, currency
""")  # a row a deal won in a span that has a journey; its path leaves out a touch of the same type as the one before


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
        """As answers tell it."""
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
        one.deals += 1
        one.touches += row["touches"]
        one.days_us.append(row["closed_us"] - row["first_us"])
        if row["amount_minor"] is not None:
            one.revenue_minor[row["currency"]] += row["amount_minor"]
    return sorted(out.values(), key=lambda one: one.key)
