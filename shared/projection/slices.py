"""Into which slices are days divided, by when deals were won, so that a new or changed deal makes the sums of few deals stale?

Sums of credit are made, and marked as stale, by slice. A day without rows in `credit_slice` is one slice.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from shared.projection.days import Days
from shared.projection.spans import Span, joined
from shared.projection.sql import sql

STALE_SLICES = sql("""
SELECT DISTINCT m.day, s.from_us, s.to_us FROM {g}.stale_credit m
LEFT JOIN {g}.credit_slice s ON s.ws = $1 AND s.day = m.day AND s.from_us <= m.closed_us AND s.to_us > m.closed_us
WHERE m.ws = $1 AND m.day >= $2 AND m.day < $3 ORDER BY 1, 2 LIMIT $4
""")  # those of the days from $2, inclusive, to $3, exclusive, at most $4 of them; without times, a whole day


class Slice(NamedTuple):
    """A time, `[from_us, to_us)`, of one day."""

    day: int
    from_us: int
    to_us: int


def slices_of(days: Days, rows: Iterable[Any]) -> list[Slice]:
    """Slices, of rows with `day`, `from_us` and `to_us`, of which the last two are null for a whole day."""
    return [whole_day(days, day) if from_us is None else Slice(day, from_us, to_us) for day, from_us, to_us in rows]


def whole_day(days: Days, day: int) -> Slice:
    """A day that is not divided."""
    return Slice(day, days.start_us(day), days.start_us(day + 1))


def spans_of(slices: Iterable[Slice]) -> list[Span]:
    """The times of slices, which are in order; of slices that follow one another, one."""
    return joined((one.from_us, one.to_us) for one in slices)


def divided(whole: Slice, closes_us: Sequence[int], deals: int) -> list[Slice]:
    """A slice divided into slices of so many deals each. `closes_us` are the instants at which its deals were won, in order.

    Deals that were won at the same instant stay together, so a slice may have more deals, and the last ones may have fewer.
    """
    starts = sorted({whole.from_us, *closes_us[deals::deals]})
    return [Slice(whole.day, *span) for span in zip(starts, [*starts[1:], whole.to_us], strict=True)]


def to_unite(slices: Sequence[tuple[Slice, int]], deals_max: int, slices_min: int) -> list[Slice]:
    """The first slices of a day, at least `slices_min`, that follow one another and have at most `deals_max` deals together. Empty if there are none.

    `slices` are those of the day in order, each with its number of deals.
    """
    some: list[Slice] = []
    together = 0
    for one, deals in slices:
        if together + deals > deals_max:
            if len(some) >= slices_min:
                return some
            some, together = [], 0
        some.append(one)
        together += deals
    return some if len(some) >= slices_min else []
