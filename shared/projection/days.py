"""Which day of a time zone is an instant of? Days are numbers of days since 1970-01-01."""

import datetime as dt
from collections.abc import Iterable, Sequence
from functools import lru_cache
from zoneinfo import ZoneInfo

from shared.events.instants import BEGINNING_US, DAY_US, END_US, to_micros
from shared.projection.spans import joined

FIRST = dt.date(1970, 1, 1)
NO_DAY = -(2**31)  # before every day
EVERY_DAY = 2**31 - 1  # after every day
_OUTSIDE = dt.date(1, 1, 3).toordinal() - FIRST.toordinal(), dt.date(9999, 12, 29).toordinal() - FIRST.toordinal()


class Days:
    """The days of a time zone. They follow one another without a gap; where clocks were set past a whole day, it is empty."""

    def __init__(self, time_zone: str) -> None:
        self._zone = ZoneInfo(time_zone)
        self._starts: dict[int, int] = {}

    def start_us(self, day: int) -> int:
        """The instant at which a day begins, in microseconds."""
        found = self._starts.get(day)
        if found is None:
            found = self._starts[day] = self._start_us(day)
        return found

    def _start_us(self, day: int) -> int:
        if not _OUTSIDE[0] < day < _OUTSIDE[1]:
            return day * DAY_US  # beyond what a calendar can say in every zone: days of UTC
        date = FIRST + dt.timedelta(days=day)
        return to_micros(dt.datetime(date.year, date.month, date.day, tzinfo=self._zone))

    def day_of(self, at_us: int) -> int:
        """The day that an instant in microseconds is of."""
        day = at_us // DAY_US
        while at_us < self.start_us(day):
            day -= 1
        while at_us >= self.start_us(day + 1):
            day += 1
        return day

    def first_whole(self, from_us: int) -> int:
        """The first day that does not begin before an instant."""
        day = self.day_of(from_us)
        return day if self.start_us(day) == from_us else day + 1


@lru_cache(64)
def days_of(time_zone: str) -> Days:
    """The days of a time zone, with the instants that were asked for before."""
    return Days(time_zone)


@lru_cache(65_536)
def month_of(day: int) -> int:
    """The number of the first day of a day's month."""
    if not _OUTSIDE[0] < day < _OUTSIDE[1]:
        return day
    return day - (FIRST + dt.timedelta(days=day)).day + 1


@lru_cache(4_096)
def next_month(month: int) -> int:
    """The number of the first day of the month after."""
    return month_of(month + 31) if _OUTSIDE[0] < month < _OUTSIDE[1] - 31 else month + 1


def date_of(day: int) -> dt.date:
    """The date of a day."""
    return FIRST + dt.timedelta(days=day)


Spans = Sequence[tuple[int, int]]
"""Times from an instant to another, in order and apart."""
ALWAYS: Spans = ((BEGINNING_US, END_US),)


def spans_of_days(days: Days, some: Iterable[int]) -> list[tuple[int, int]]:
    """The times of some days; of days that follow one another, one."""
    return joined((days.start_us(day), days.start_us(day + 1)) for day in sorted(some))


def first_whole(days: Days, at_us: int) -> int:
    """The first day that does not begin before an instant."""
    if at_us == BEGINNING_US:
        return NO_DAY
    return EVERY_DAY if at_us == END_US else days.first_whole(at_us)


def divided_days(days: Days, edges_us: Iterable[int]) -> set[int]:
    """The days that begin before, and end after, one of some instants."""
    inner = [at_us for at_us in edges_us if at_us not in (BEGINNING_US, END_US)]
    return {day for at_us in inner if days.start_us(day := days.day_of(at_us)) != at_us}
