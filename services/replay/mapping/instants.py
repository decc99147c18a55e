"""Which instant does a text in a table mean? A text with only a minute or a day means the whole minute or day: an interval.

A date such as 05/04/2024 is read in the order of day and month that other dates of the file prove; where none proves it, the
file is refused (`Instants.settle`). A column is never read in both orders.
"""

import calendar
import datetime as dt
import re
from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from services.replay.mapping.errors import BadCell, BadMapping
from shared.events.instants import from_micros, to_micros

Order = Literal["day_first", "month_first"]
ORDERS: tuple[Order, ...] = ("day_first", "month_first")
EPOCHS = {"epoch_seconds": 1_000_000, "epoch_milliseconds": 1_000, "epoch_microseconds": 1}
"""Words of a mapping for numbers since 1970, each with its unit in microseconds."""

TEXTS_KEPT = 65_536  # recently read texts in the cache; a table repeats its days
TEXT_CHARACTERS_MAX = 100  # of an instant with weekday and zone; a longer text is not an instant
MICROSECOND = dt.timedelta(microseconds=1)
# What Python can count, but for a year at either end: there is an instant before and after, in every zone.
FIRST_US, LAST_US = (
    to_micros(dt.datetime(2, 1, 1, tzinfo=dt.UTC)),
    to_micros(dt.datetime(9999, 1, 1, tzinfo=dt.UTC)) - 1,
)
_PROBE = dt.datetime(2031, 11, 23, 13, 14, 15)  # noqa: DTZ001 - all its parts differ from each other

_FLAGS = re.IGNORECASE | re.ASCII
_MONTHS = {
    name.casefold(): n for names in (calendar.month_name, calendar.month_abbr) for n, name in enumerate(names) if n
}
_MONTHS["sept"] = 9
_WEEKDAY = r"(?:(?:mon|tue|tues|wed|wednes|thu|thur|thurs|fri|sat|satur|sun)(?:day)?\.?,? )?"
_TIME = r"(?P<H>\d{1,2})(?:[:.h](?P<M>\d{2})(?:[:.](?P<S>\d{2})(?:[.,](?P<F>\d{1,9}))?)?)?(?: ?(?P<P>[ap])\.?m\b\.?)?"
_ZONE = (
    r"(?: ?(?P<Z>[+-]\d{2}(?::?\d{2})?|(?:UTC|GMT)[+-]\d{1,2}(?::?\d{2})?|[a-z]+(?:/[a-z0-9_+-]+)+|[a-z]{1,5}))?"
    r"(?: ?[(\[](?P<B>[^()\[\]]*)[)\]])?"
)
_MONTH = r"(?P<mon>[a-z]{3,9})\.?"
_DAY = r"(?P<d>\d{1,2})(?:st|nd|rd|th)?"
_DATES = (
    r"(?P<y>\d{4})(?P<s>[-/.])(?P<m>\d{1,2})(?P=s)(?P<d>\d{1,2})",
    r"(?P<y>\d{4})(?P<m>\d{2})(?P<d>\d{2})",
    r"(?P<a>\d{1,2})(?P<s>[-/]|\. ?)(?P<b>\d{1,2})(?P=s)(?P<y>\d{4}|\d{2})",
    rf"{_WEEKDAY}{_DAY}\.?[ -](?:of )?{_MONTH},?[ -](?P<y>\d{{4}})",
    rf"{_WEEKDAY}{_MONTH}[ -]{_DAY},?[ -](?P<y>\d{{4}})",
    rf"(?P<y>\d{{4}})[ -]{_MONTH}[ -]{_DAY}",
)
_FORMS = [
    *(re.compile(rf"{date}(?:(?:t|,? (?:at |kl\.? |- )?){_TIME})?{_ZONE}", _FLAGS) for date in _DATES),
    *(re.compile(rf"{_TIME},? {date}", _FLAGS) for date in _DATES),
    re.compile(r"(?P<y>\d{4})(?P<m>\d{2})(?P<d>\d{2})t(?P<H>\d{2})(?P<M>\d{2})(?P<S>\d{2})?(?P<F>)(?P<P>)" + _ZONE, _FLAGS),
    re.compile(rf"{_WEEKDAY}{_MONTH} {_DAY} {_TIME} (?P<y>\d{{4}})", _FLAGS),
]  # fmt: skip
_ZONE_BEHIND = re.compile(
    r"(?P<text>.*\S)\s+(?P<Z>[+-]\d{2}:?\d{2}|[A-Za-z]+(?:/[A-Za-z0-9_+-]+)*(?:[+-]\d{1,2})?)", re.ASCII
)
_OFFSET = re.compile(r"(?:UTC|GMT)?([+-])(\d{1,2}):?(\d{2})?", _FLAGS)
_NUMBER = re.compile(r"-?\d{1,20}(?:\.\d{1,9})?", re.ASCII)


class Interval(NamedTuple):
    """From `start_us` to `end_us`, both inclusive, in microseconds since 1970 UTC."""

    start_us: int
    end_us: int


class Shown(NamedTuple):
    """The content of a text: its first instant on the local clock, the interval's length, and the zone that it names, if any."""

    local: dt.datetime
    length: dt.timedelta
    zone: str | None = None


class Parsed(NamedTuple):
    """The readings of a text, by each order of day and month that gives a valid date; `shape` is its format, if the order matters.

    `short`: its year has two digits.
    """

    by: dict[Order, Shown]
    shape: tuple[str, str] | None = None
    short: bool = False


@lru_cache(TEXTS_KEPT)
def parsed(text: str) -> Parsed:
    """Read a text by all formats that Touchline knows; `by` is empty if none fits."""
    if len(text) > TEXT_CHARACTERS_MAX:
        return Parsed({})
    text = " ".join(text.replace("\u2212", "-").split())
    for form in _FORMS:
        if (found := form.fullmatch(text)) is None:
            continue
        part = {name: value for name, value in found.groupdict().items() if value}
        time, length, clock = _clock(part)
        if time is None:
            return Parsed({})
        zone = part.get("Z") or part.get("B")
        if "a" not in part:
            month = _MONTHS.get(part["mon"].casefold()) if "mon" in part else int(part["m"])
            shown = _shown(int(part["y"]), month, int(part["d"]), time, length, zone)
            return Parsed(dict.fromkeys(ORDERS, shown) if shown else {})
        first, second, year = int(part["a"]), int(part["b"]), int(part["y"])
        short = len(part["y"]) == 2
        if short:
            year += 2000 if year < 69 else 1900  # as POSIX defines it
        by = {
            "day_first": _shown(year, second, first, time, length, zone),
            "month_first": _shown(year, first, second, time, length, zone),
        }
        return Parsed({order: by[order] for order in ORDERS if by[order]}, (part["s"].strip(), clock), short)  # type: ignore[misc]
    return Parsed({})


def _clock(part: dict[str, str]) -> tuple[dt.time | None, dt.timedelta, str]:
    """The time of day in a text, the interval's length, and its clock (`12`, `24`, or empty); None if it is not a time."""
    if "H" not in part:
        return dt.time(), dt.timedelta(days=1), ""
    hour, half = int(part["H"]), part.get("P", "").casefold()
    if half:
        if not 1 <= hour <= 12:
            return None, MICROSECOND, ""
        hour = hour % 12 + (12 if half == "p" else 0)
    elif "M" not in part:
        return None, MICROSECOND, ""  # 14 alone is not a time of day
    digits = part.get("F", "")
    lengths = (
        max(MICROSECOND, dt.timedelta(seconds=1) / 10 ** len(digits)) if digits
        else dt.timedelta(seconds=1) if "S" in part
        else dt.timedelta(minutes=1) if "M" in part
        else dt.timedelta(hours=1)
    )  # fmt: skip
    try:
        time = dt.time(hour, int(part.get("M", 0)), int(part.get("S", 0)), int(digits[:6].ljust(6, "0")))
    except ValueError:
        return None, MICROSECOND, ""
    return time, lengths, "12" if half else "24"


def _shown(
    year: int, month: int | None, day: int, time: dt.time, length: dt.timedelta, zone: str | None
) -> Shown | None:
    try:
        return Shown(dt.datetime.combine(dt.date(year, month or 0, day), time), length, zone)
    except ValueError:
        return None


def checked_forms(forms: Sequence[str]) -> None:
    """Raise `ValueError` if one of a mapping's `instants` is neither a known word nor a format that can read what it writes."""
    if set(ORDERS) <= set(forms):
        raise ValueError("day_first and month_first cannot be used together")
    for form in forms:
        if form in ORDERS or form in EPOCHS:
            continue
        if "%" not in form:
            words = ", ".join((*ORDERS, *EPOCHS))
            raise ValueError(f"{form!r} is neither a form such as %d.%m.%Y nor one of {words}")
        if "%Z" in form:
            raise ValueError(f"{form!r}: leave %Z out; the name of a zone after an instant is read without it")
        try:
            text = _PROBE.replace(tzinfo=dt.UTC).strftime(form)
            again = dt.datetime.strptime(text, form)  # noqa: DTZ007 - only its parts are compared
        except ValueError as error:
            raise ValueError(f"{form!r} is not a valid format: {error}") from error
        hours = any(sign in form for sign in ("%H", "%I", "%X", "%c"))
        if (again.year, again.month) != (_PROBE.year, _PROBE.month) or (hours and again.hour != _PROBE.hour):
            raise ValueError(f"{form!r} lacks year, month or day, or has %I without %p")


def _length(form: str) -> dt.timedelta:
    """The length of the interval that a text in a mapping's own format means."""
    for signs, length in (
        (("%f",), MICROSECOND),
        (("%S", "%T", "%X", "%c", "%s"), dt.timedelta(seconds=1)),
        (("%M", "%R"), dt.timedelta(minutes=1)),
        (("%H", "%I"), dt.timedelta(hours=1)),
        (("%d", "%j", "%x", "%D", "%F", "%e", "%u", "%w", "%a", "%A"), dt.timedelta(days=1)),
    ):
        if any(sign in form for sign in signs):
            return length
    return dt.timedelta(days=31)  # of a month; `_by_form` cuts it to its days


@lru_cache(TEXTS_KEPT)
def _by_form(text: str, form: str) -> Shown | None:
    """Read a text by one format of a mapping; the name of a zone may follow."""
    if len(text) > TEXT_CHARACTERS_MAX:
        return None
    if form in EPOCHS:
        return _since_1970(text, EPOCHS[form])
    behind = _ZONE_BEHIND.fullmatch(text)
    for part, zone in ((text, None), (behind["text"], behind["Z"])) if behind else ((text, None),):
        try:
            found = dt.datetime.strptime(part, form)  # noqa: DTZ007 - its zone follows
        except ValueError:
            continue
        length = _length(form)
        if length > dt.timedelta(days=1):
            length = dt.timedelta(days=calendar.monthrange(found.year, found.month)[1])
        offset = zone if found.tzinfo is None else found.strftime("%z")[:5]
        return Shown(found.replace(tzinfo=None), length, offset)
    return None


def _since_1970(text: str, unit_us: int) -> Shown | None:
    if not _NUMBER.fullmatch(text):
        return None
    whole, _, fraction = text.partition(".")
    digits = fraction.rstrip("0")
    length_us = max(1, unit_us // 10 ** len(digits))
    try:
        at_us = int(whole) * unit_us + int(digits or "0") * unit_us // 10 ** len(digits)
        return Shown(from_micros(at_us).replace(tzinfo=None), dt.timedelta(microseconds=length_us), "UTC")
    except OverflowError:
        return None


@lru_cache(512)
def _abbreviations(year: int) -> dict[str, set[dt.timedelta]]:
    """The offsets from UTC that each abbreviation means in a year, in all zones of the package `tzdata`."""
    found: dict[str, set[dt.timedelta]] = defaultdict(set)
    for name in available_timezones():
        for abbreviation, offset in _of_zone(name, year).items():
            found[abbreviation].add(offset)
    return found


@lru_cache(8_192)
def _of_zone(name: str, year: int) -> dict[str, dt.timedelta]:
    zone = ZoneInfo(name)
    found = {}
    for month in range(1, 13):
        at = dt.datetime(year, month, 15, tzinfo=zone)
        found[(at.tzname() or "").upper()] = at.utcoffset() or dt.timedelta()
    return found


@lru_cache(TEXTS_KEPT)
def zone_of(text: str, year: int, own: ZoneInfo) -> dt.tzinfo:
    """The zone that a text names: UTC, an offset, a name such as Europe/Oslo, or an abbreviation.

    An abbreviation has its meaning in `own`, the mapping's zone, or else the one that all zones agree on. Raises `BadCell`.
    """
    upper = text.strip().upper()
    if upper in {"Z", "UTC", "GMT", "UT"}:
        return dt.UTC
    if offset := _OFFSET.fullmatch(upper):
        length = dt.timedelta(hours=int(offset[2]), minutes=int(offset[3] or 0))
        if length >= dt.timedelta(hours=24):
            raise BadCell(f"{text!r} is not an offset from UTC")
        return dt.timezone(-length if offset[1] == "-" else length)
    if "/" in text:
        try:
            return ZoneInfo(text.strip())
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise BadCell(f"{text!r} is not a time zone") from error
    if upper in (named := _of_zone(own.key, year)):
        return dt.timezone(named[upper])
    meant = _abbreviations(year).get(upper, set()) if len(upper) > 1 else set()
    if len(meant) == 1:
        return dt.timezone(next(iter(meant)))
    if meant:
        several = ", ".join(str(dt.timezone(offset)) for offset in sorted(meant))
        raise BadCell(f"{text!r} is the name of several time zones ({several}): --zone says which is meant")
    raise BadCell(f"{text!r} is not a time zone")


@lru_cache(TEXTS_KEPT)
def interval(shown: Shown, own: ZoneInfo) -> Interval:
    """The interval that a text means, from its first microsecond to its last. Raises `BadCell`.

    A local time that occurs twice, when clocks are set back, means both; one that never occurs is read with the offset before.
    """
    try:
        zone = own if shown.zone is None else zone_of(shown.zone, shown.local.year, own)
        last = shown.local + shown.length - MICROSECOND
        start_us = to_micros(shown.local.replace(tzinfo=zone, fold=0))
        end_us = max(to_micros(last.replace(tzinfo=zone, fold=fold)) for fold in (0, 1))
        if FIRST_US <= start_us <= end_us <= LAST_US:
            return Interval(start_us, end_us)
    except OverflowError as error:
        raise BadCell(f"the year {shown.local.year} is out of range") from error
    raise BadCell(f"the year {shown.local.year} is out of range")


class Seen(NamedTuple):
    """A cell that proves something about the format of its column."""

    line: int
    text: str


class Instants:
    """Reads the instants of one file. Call `observe` with every cell first, then `settle` once, then `read`."""

    def __init__(self, zone: ZoneInfo, forms: Sequence[str], order: Order | None = None) -> None:
        """`zone` is for texts that name none; `forms` are a mapping's `instants`; `order` is the user's choice, if any."""
        self.zone = zone
        self._own = [form for form in forms if form not in ORDERS]
        self._given_order = order or next((word for word in ORDERS if word in forms), None)
        self._numeric = not self._own or self._given_order is not None
        """Whether dates such as 05/04/2024 are read at all; not if a mapping names its own formats."""
        self._proof: dict[tuple[str, tuple[str, str]], dict[Order, Seen]] = defaultdict(dict)
        self._doubt: dict[tuple[str, tuple[str, str]], Seen] = {}
        self._settled: dict[tuple[str, tuple[str, str]], Order] = {}
        self._only: dict[tuple[str, str, str], Seen] = {}
        self._clash: dict[tuple[str, str, str], Seen] = {}
        self._beaten: set[tuple[str, str, str]] = set()

    def observe(self, column: str, text: str, line: int, *, needed: bool) -> None:
        """Learn from a cell of a column. Only the order of cells that an event needs (`needed`) must be proven in the end."""
        seen = Seen(line, text)
        if self._own:
            self._observe_forms(column, text, seen, needed=needed)
            return
        found = parsed(text)
        if found.shape is None or self._given_order is not None:
            return
        key = (column, found.shape)
        if len(found.by) == 1:
            self._proof[key].setdefault(next(iter(found.by)), seen)
        elif needed and found.by and found.by["day_first"].local != found.by["month_first"].local:
            self._doubt.setdefault(key, seen)

    def _observe_forms(self, column: str, text: str, seen: Seen, *, needed: bool) -> None:
        by = self._by_forms(text)
        forms = (*self._own, "")
        for one in forms:
            for other in forms:
                if one in by and other not in by:
                    self._only.setdefault((column, one, other), seen)
                elif one < other and one in by and other in by and by[one].local != by[other].local and needed:
                    self._clash.setdefault((column, one, other), seen)

    def _by_forms(self, text: str) -> dict[str, Shown]:
        """The readings of a text by each of the mapping's own formats, and under "" by the formats that are always read."""
        by = {form: shown for form in self._own if (shown := _by_form(text, form)) is not None}
        if (shown := self._known(parsed(text))) is not None:
            by[""] = shown
        return by

    def _known(self, found: Parsed, order: Order | None = None) -> Shown | None:
        if found.shape is not None and not self._numeric:
            return None
        if found.short and self._given_order is None:
            return None
        return found.by.get(order or self._given_order or "day_first")

    def settle(self) -> None:
        """Decide from the observed cells. Raises `BadMapping` where cells can be read in two ways and nothing decides which."""
        for key, seen in self._doubt.items():
            self._settled[key] = self._order_of(key, seen)
        for (column, one, other), seen in self._clash.items():
            proof, against = self._only.get((column, one, other)), self._only.get((column, other, one))
            if (proof is None) == (against is None) and (proof is not None or "" not in {one, other}):
                names = [form or "RFC 3339" for form in (one, other)]
                raise BadMapping(
                    f"line {seen.line}: {column}: {seen.text!r} can be read by {names[0]} and by {names[1]}, and the column does "
                    "not settle which: leave one of them out of `instants`"
                )
            wins_one = (against is None and proof is not None) or (proof is None and against is None and other == "")
            self._beaten.add((column, other, one) if wins_one else (column, one, other))

    def _order_of(self, key: tuple[str, tuple[str, str]], seen: Seen) -> Order:
        """The order of a column's dates of one format: proven by such dates, else by the column's others, else by the file's.

        Dates with 12-hour and with 24-hour clocks prove nothing about each other, nor do those with dots and other separators.
        """
        column, shape = key
        related = {
            k: proof
            for k, proof in self._proof.items()
            if (k[1][0] == ".") == (shape[0] == ".") and (k[1][1] == shape[1] or "" in {k[1][1], shape[1]})
        }
        for tier in (
            [self._proof.get(key, {})],
            [proof for k, proof in related.items() if k[0] == column],
            list(related.values()),
        ):
            proven: dict[Order, Seen] = {}
            for proof in tier:
                proven = {**proof, **proven}
            if len(proven) == 1:
                return next(iter(proven))
            if proven:
                one, other = sorted(proven.items(), key=lambda item: item[1].line)
                raise BadMapping(
                    f"line {seen.line}: {column}: {seen.text!r} can be read day first and month first, and the file does not settle "
                    f"which: line {one[1].line} has {one[1].text!r}, line {other[1].line} has {other[1].text!r}. "
                    "Say --day-first or --month-first; rows that are written otherwise are then refused"
                )
        if shape[0] == ".":
            return "day_first"
        day, month = (from_parts(parsed(seen.text).by[order]) for order in ORDERS)
        raise BadMapping(
            f"line {seen.line}: {column}: {seen.text!r} can be {day} or {month}, and nothing in the file says which: say --day-first "
            'or --month-first, or in a mapping instants = ["day_first"] or ["month_first"]'
        )

    def read(self, column: str, text: str) -> Interval:
        """The interval that a cell of a column means. Raises `BadCell`."""
        shown = self._shown(column, text)
        if shown is None:
            raise BadCell(f"{text!r} {self._wrong(text)}")
        return interval(shown, self.zone)

    def _shown(self, column: str, text: str) -> Shown | None:
        if self._own:
            by = self._by_forms(text)
            return next((by[f] for f in by if not any((column, f, other) in self._beaten for other in by)), None)
        found = parsed(text)
        order = None if found.shape is None else self._settled.get((column, found.shape))
        if order is None and self._given_order is None and len(found.by) == 1:
            order = next(iter(found.by))
        return self._known(found, order)

    def _wrong(self, text: str) -> str:
        found = parsed(text)
        if found.short and self._given_order is None:
            return (
                "has a year of two digits: say --day-first or --month-first, or in a mapping how it is written, such as "
                'instants = ["%m/%d/%y"]'
            )  # fmt: skip
        if found.by and found.shape and self._numeric:
            return "cannot be read in the order of day and month of the other dates, or of the option"
        if not self._own and _NUMBER.fullmatch(text):
            return (
                f"is a number: if it counts time since 1970, set `instants` in a mapping to one of {', '.join(EPOCHS)}"
            )
        known = " nor ".join(
            ["RFC 3339", *self._own] if self._own else ["RFC 3339", "a date and time such as 15 March 2024 14:30"]
        )
        return f"is not an instant: neither {known}"


def from_parts(shown: Shown) -> str:
    """`5 April 2024`."""
    return f"{shown.local.day} {calendar.month_name[shown.local.month]} {shown.local.year}"
