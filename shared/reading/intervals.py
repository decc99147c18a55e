"""Into which hours, days, weeks or months is a range divided, and with which range is another compared? In a workspace's time zone."""

import datetime as dt
from zoneinfo import ZoneInfo

from shared.events.instants import BEGINNING_US, END_US, HOUR_US, from_micros, to_micros
from shared.projection.days import Days, days_of, month_of, next_month
from shared.reading.time_range import TimeRange

INTERVALS = ("hour", "day", "week", "month")
POINTS_MAX = 1_000  # of a series: nearly three years of days, and six weeks of hours
WEEK_DAYS = 7
MONDAY = 4  # 1970-01-05, the first Monday: weeks begin on Mondays, as in ISO 8601
DEFAULT_DAYS = {
    "hour": 2,
    "day": 30,
    "week": 182,
    "month": 365,
}  # before the end of a range that does not say where it begins


class TooManyPoints(ValueError):
    """A range has more than `POINTS_MAX` intervals."""


def bounded(span: TimeRange, interval: str, now_us: int, zone: ZoneInfo) -> TimeRange:
    """The range with both of its sides: an open end is the end of today, an open beginning some intervals before the end."""
    days = days_of(zone.key)
    to_us = days.start_us(days.day_of(now_us) + 1) if span.to_us == END_US else span.to_us
    from_us = span.from_us
    if from_us == BEGINNING_US:
        from_us = days.start_us(days.day_of(to_us - 1) + 1 - DEFAULT_DAYS[interval])
    return TimeRange(from_us, max(to_us, from_us + 1))


def divided(span: TimeRange, interval: str, zone: ZoneInfo) -> list[TimeRange]:
    """The intervals of a range, in order; the first and the last are cut where the range begins and ends.

    Raises `TooManyPoints`.
    """
    days = days_of(zone.key)
    out: list[TimeRange] = []
    at_us = span.from_us
    while at_us < span.to_us:
        if len(out) == POINTS_MAX:
            raise TooManyPoints(f"the range has more than {POINTS_MAX:,} intervals of one {interval}")
        end_us = min(_next_us(at_us, interval, days, zone), span.to_us)
        out.append(TimeRange(at_us, end_us))
        at_us = end_us
    return out


def _next_us(at_us: int, interval: str, days: Days, zone: ZoneInfo) -> int:
    """When the interval ends that an instant is in."""
    day = days.day_of(at_us)
    match interval:
        case "hour":
            return min(_next_hour_us(at_us, zone), days.start_us(day + 1))
        case "day":
            end = day + 1
        case "week":
            end = day + WEEK_DAYS - (day - MONDAY) % WEEK_DAYS
        case _:
            end = next_month(month_of(day))
    while days.start_us(end) <= at_us:  # a day that the zone's clocks have left out
        end += 1
    return days.start_us(end)


def _next_hour_us(at_us: int, zone: ZoneInfo) -> int:
    """The next full hour of the zone's clocks, as they stand at the instant."""
    offset = from_micros(at_us).astimezone(zone).utcoffset() or dt.timedelta()
    local_us = at_us + offset // dt.timedelta(microseconds=1)
    return at_us + HOUR_US - local_us % HOUR_US


def range_before(span: TimeRange) -> TimeRange:
    """The range of the same length that ends where this one begins."""
    return TimeRange(span.from_us - (span.to_us - span.from_us), span.from_us)


def year_before(span: TimeRange, zone: ZoneInfo) -> TimeRange:
    """The range between the same dates and times of the year before; 29 February becomes 28 February."""
    from_us, to_us = (_year_before_us(at_us, zone) for at_us in (span.from_us, span.to_us))
    return TimeRange(from_us, max(to_us, from_us + 1))


def _year_before_us(at_us: int, zone: ZoneInfo) -> int:
    local = from_micros(at_us).astimezone(zone)
    try:
        return to_micros(local.replace(year=local.year - 1))
    except ValueError:
        return to_micros(local.replace(year=local.year - 1, day=28))
