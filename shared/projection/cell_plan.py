"""Which cells, and which touches, must be read to count the touches, sessions and contacts of subjects between some instants?

A *subject* is a campaign, or an asset. It has *windows*: times in which it has a key. A *key set* is the three keys that a touch has together; its
touches belong to the subject while the subject has one of these keys. A *stretch* is a time in which the window statuses of the three keys do not
change. In a stretch, whole months are read from `month_cell`, other whole days from `day_cell`. Parts of days, and days whose cells are dirty, are
read from the touches.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

from shared.events.instants import BEGINNING_US, END_US
from shared.projection.cell_statements import CONTACTS, EVERY_KIND, LATER, OF_ADDED, OF_DAYS, OF_MONTHS, SESSIONS
from shared.projection.days import EVERY_DAY, NO_DAY, Days, Spans, divided_days, first_whole, month_of, next_month
from shared.projection.renamed_contacts import Renamed
from shared.rules.excluded_traffic import TrafficClass
from shared.rules.first_and_last_touch import FIRST_TOUCH_ROUTES
from shared.rules.pre_association import Route, WindowStatus, kept_out

Statuses = tuple[int | None, int | None, int | None]
"""The window statuses of a key set in a campaign: by asset, by via and by utm. None: the campaign does not have that key."""


class StatusInterval(NamedTuple):
    """A time, `[from_us, to_us)`, in which a key set has the same statuses in a campaign."""

    from_us: int
    to_us: int
    statuses: Statuses


_STATUSES = (None, *WindowStatus)


def status_number(statuses: Statuses) -> int:
    """Statuses as one number, as `campaign_day` stores them."""
    of_asset, of_via, of_utm = (_STATUSES.index(status) for status in statuses)
    return of_asset + len(_STATUSES) * (of_via + len(_STATUSES) * of_utm)


@lru_cache(1_024)
def statuses_of(number: int) -> Statuses:
    """The statuses of a number; the inverse of `status_number`."""
    rest, of_asset = divmod(number, len(_STATUSES))
    of_utm, of_via = divmod(rest, len(_STATUSES))
    return _STATUSES[of_asset], _STATUSES[of_via], _STATUSES[of_utm]


@lru_cache(1_024)
def is_visited(statuses: Statuses) -> bool:
    """Whether page visits with these statuses make sessions of the campaign."""
    return any(statuses[route - 1] == WindowStatus.COUNTS for route in FIRST_TOUCH_ROUTES)


@lru_cache(1_024)
def counts(statuses: Statuses) -> bool:
    """Whether touches with these statuses count for the campaign."""
    return kept_out(TrafficClass.COUNTED, by_route(statuses)) is None


def by_route(statuses: Statuses) -> dict[Route, WindowStatus]:
    """Statuses in the form that the rules take."""
    return {route: WindowStatus(s) for route in Route if (s := statuses[route - 1]) is not None}


Pieces = tuple[tuple[int, int, int], ...]
"""The windows in which one campaign has one key: from, to, window status; in order of time."""


_ALONE: tuple[dict[int, Statuses], ...] = (
    {status: (status, None, None) for status in WindowStatus}, {status: (None, status, None) for status in WindowStatus},
    {status: (None, None, status) for status in WindowStatus},
)  # fmt: skip
"""By route and window status: the statuses if only this route applies."""


def stretches(pieces: tuple[Pieces | None, Pieces | None, Pieces | None]) -> list[StatusInterval]:
    """The stretches of a key set, from the windows of its key of each route. Times in which no route applies are left out."""
    applying = [(route, some) for route, some in enumerate(pieces) if some]
    if len(applying) == 1:
        ((route, only),) = applying
        return [StatusInterval(from_us, to_us, _ALONE[route][status]) for from_us, to_us, status in only]
    points = sorted({at_us for some in pieces for from_us, to_us, _ in some or () for at_us in (from_us, to_us)})
    out: list[StatusInterval] = []
    for from_us, to_us in pairwise(points):
        asset, via, utm = (_status_at(some, from_us) for some in pieces)
        if (asset, via, utm) == (None, None, None):
            continue
        if out and out[-1].to_us == from_us and out[-1].statuses == (asset, via, utm):
            out[-1] = out[-1]._replace(to_us=to_us)
        else:
            out.append(StatusInterval(from_us, to_us, (asset, via, utm)))
    return out


def _status_at(pieces: Pieces | None, at_us: int) -> int | None:
    for from_us, to_us, status in pieces or ():
        if from_us <= at_us < to_us:
            return status
    return None


@dataclass
class _Asked:
    """The arguments of the statements in `shared.projection.cell_statements`.

    A *pattern* is a number for a list of cells and parts of days that several key sets have in common. `members` are the key sets of each pattern, with the
    route by whose key their touches are looked up.
    """

    members: list[tuple[int, int, int]] = field(default_factory=list)
    cells: list[tuple[int, int, int, int, int, int]] = field(default_factory=list)
    parts: list[tuple[int, int, int, int, int]] = field(default_factory=list)
    carried: list[tuple[int, int, int, int]] = field(default_factory=list)


class Plan:
    """Collects which cells and which touches are to be read, for any number of subjects.

    A *group* is a subject with some statuses; its number is its index in `groups`. What is read is counted by group.
    """

    def __init__(
        self, days: Days, edges_us: Sequence[int], times: Mapping[int, Spans], dirty: Mapping[int, list[int]],
        stale: Mapping[int, list[int]], lists: Callable[[Statuses], int], renamed: Renamed,
    ) -> None:  # fmt: skip
        self._times, self._lists, self.renamed = times, lists, renamed
        self.groups: list[tuple[int, Statuses]] = []
        self.asked = _Asked()
        self.days, self.edges_us = days, edges_us
        self._dirty, self._stale = dirty, stale
        states: dict[tuple[tuple[int, ...], tuple[int, ...]], int] = {}
        self._states = {
            key_set: states.setdefault((tuple(dirty.get(key_set, ())), tuple(stale.get(key_set, ()))), len(states))
            for key_set in dirty.keys() | stale.keys()
        }  # key sets with the same number have the same dirty days and stale months
        self._from_us, self._to_us = edges_us[0], edges_us[-1]
        inner = [at_us for at_us in edges_us if at_us not in (BEGINNING_US, END_US)]
        self._divided_days = sorted(divided_days(days, edges_us))
        self._divided_months = sorted(
            {m for at_us in inner if (m := month_of(days.day_of(at_us))) != first_whole(days, at_us)}
        )
        self._patterns: dict[Any, int] = {}
        self._numbers: dict[tuple[int, Statuses], int] = {}
        self._by_day: dict[tuple[int | None, int, int], tuple[list[tuple[int, int, int]], list[tuple[int, int]]]] = {}

    def ask(self, windows: Sequence[Any], key_sets: Sequence[Any]) -> None:
        """Plan to read all stretches of all key sets of subjects.

        `windows` are rows with subject, route, key, from, to and window status. `key_sets` are rows with the number and the three keys of
        each key set that may have touches in a window.
        """
        pieces: dict[tuple[int, int], dict[int, list[tuple[int, int, int]]]] = defaultdict(lambda: defaultdict(list))
        for campaign, route, key, from_us, to_us, status in windows:
            pieces[route, key][campaign].append((from_us, to_us, status))
        of_key = {rk: {c: tuple(sorted(p)) for c, p in of.items()} for rk, of in pieces.items()}
        members = self.asked.members
        nothing: dict[int, Pieces] = {}
        patterns = self._patterns
        for key_set, asset, via, utm in key_sets:
            by_asset = of_key.get((Route.ASSET, asset), nothing)
            by_via = of_key.get((Route.VIA, via), nothing)
            by_utm = of_key.get((Route.UTM, utm), nothing)
            looked_up_by = Route.ASSET if by_asset else Route.VIA if by_via else Route.UTM
            for campaign in by_asset.keys() | by_via.keys() | by_utm.keys():
                routes = by_asset.get(campaign), by_via.get(campaign), by_utm.get(campaign)
                name = (campaign, *map(id, routes), self._states.get(key_set))
                pattern = patterns.get(name)
                if pattern is None:
                    pattern = patterns[name] = len(patterns)
                    for stretch in stretches(routes):
                        self._ask_stretch(pattern, campaign, key_set, stretch)
                members.append((pattern, key_set, looked_up_by))

    def divided(self) -> set[tuple[int, int]]:
        """The days of subjects, by subject and day, that must be read from touches, because the statuses of a key set change within the day."""
        parts = (part for part in self.asked.parts if not part[4] & LATER)
        return {(self.groups[n][0], self.days.day_of(from_us)) for _, n, from_us, _, _ in parts}

    def ask_stretches(self, subject: int, key_set: int, looked_up_by: Route, some: tuple[StatusInterval, ...]) -> None:
        """Plan to read some stretches of a key set. Its touches are looked up by its key of the route `looked_up_by`."""
        name = subject, some, self._states.get(key_set)
        pattern = self._patterns.get(name)
        if pattern is None:
            pattern = self._patterns[name] = len(self._patterns)
            for stretch in some:
                self._ask_stretch(pattern, subject, key_set, stretch)
        self.asked.members.append((pattern, key_set, looked_up_by))

    def _ask_stretch(self, pattern: int, campaign: int, key_set: int, stretch: StatusInterval) -> None:
        group = campaign, stretch.statuses
        n = self._numbers.get(group)
        if n is None:
            n = self._numbers[group] = len(self.groups)
            self.groups.append(group)
        lists = self._lists(stretch.statuses)
        for begin, end in self._times[campaign]:
            from_us, to_us = max(stretch.from_us, begin), min(stretch.to_us, end)
            if from_us < to_us:
                self._ask_span(pattern, n, key_set, from_us, to_us, lists)
        if lists & SESSIONS and stretch.to_us > self._from_us:
            self._ask_later(pattern, n, key_set, stretch)

    def _ask_span(self, pattern: int, n: int, key_set: int, from_us: int, to_us: int, lists: int) -> None:
        if lists & (CONTACTS | EVERY_KIND) and from_us < self._from_us:  # contacts of the time before are not new later
            self._ask_time(pattern, n, key_set, from_us, min(to_us, self._from_us), CONTACTS)
        begin, end = max(from_us, self._from_us), min(to_us, self._to_us)
        if begin < end:
            self._ask_time(pattern, n, key_set, begin, end, lists)

    def _ask_time(self, pattern: int, n: int, key_set: int, from_us: int, to_us: int, lists: int) -> None:
        cells, parts = self._divided(key_set, from_us, to_us)
        self.asked.cells += [(pattern, n, source, begin, end, lists) for source, begin, end in cells]
        self.asked.parts += [(pattern, n, begin, end, lists) for begin, end in parts]

    def _ask_later(self, pattern: int, n: int, key_set: int, stretch: StatusInterval) -> None:
        """Plan to read the visits of sessions that began within the range, if the visits are on a later day or after the range."""
        self.asked.carried.append((pattern, n, max(stretch.from_us, self._from_us), stretch.to_us))
        if self._to_us == END_US:
            return
        days = self.days
        first = first_whole(days, self._to_us)
        dirty = [d for d in self._dirty.get(key_set, ()) if d >= first]
        spans = [(self._to_us, days.start_us(first)), *((days.start_us(d), days.start_us(d + 1)) for d in dirty)]
        for from_us, to_us in spans:
            begin, end = max(from_us, stretch.from_us), min(to_us, stretch.to_us)
            if begin < end:
                self.asked.parts.append((pattern, n, begin, end, SESSIONS | LATER))

    def _divided(
        self, key_set: int, from_us: int, to_us: int
    ) -> tuple[list[tuple[int, int, int]], list[tuple[int, int]]]:
        """Divide a time into cells (source, from day, to day) and parts that are read from touches (from, to)."""
        name = self._states.get(key_set), from_us, to_us
        found = self._by_day.get(name)
        if found is None:
            of_set = self._dirty.get(key_set, ()), self._stale.get(key_set, ())
            found = self._by_day[name] = self._divide(from_us, to_us, *of_set)
        return found

    def _divide(
        self, from_us: int, to_us: int, dirty: Sequence[int], stale: Sequence[int]
    ) -> tuple[list[tuple[int, int, int]], list[tuple[int, int]]]:
        days = self.days
        first = first_whole(days, from_us)
        last = EVERY_DAY if to_us == END_US else days.day_of(to_us)  # not a whole day of the time
        if first > last:  # within one day
            return [], [(from_us, to_us)]
        parts: list[tuple[int, int]] = []
        if from_us != BEGINNING_US and days.start_us(first) > from_us:
            parts.append((from_us, days.start_us(first)))
        if to_us != END_US and days.start_us(last) < to_us:
            parts.append((days.start_us(last), to_us))
        raw = sorted({*_between(self._divided_days, first, last), *_between(dirty, first, last)})
        parts += [(days.start_us(day), days.start_us(day + 1)) for day in raw]
        cells: list[tuple[int, int, int]] = []
        begin = first
        for day in [*raw, last]:
            if begin < day:
                cells.append((OF_ADDED, begin, day))
                cells += self._of_whole_days(begin, day, stale)
            begin = day + 1
        return cells, parts

    def _of_whole_days(self, begin: int, end: int, stale: Sequence[int]) -> Iterator[tuple[int, int, int]]:
        """Divide whole days `[begin, end)` into month cells, if they are up to date and within one bucket, and day cells."""
        first = begin if begin == NO_DAY or month_of(begin) == begin else next_month(month_of(begin))
        last = end if end == EVERY_DAY else month_of(end)
        if first >= last:
            yield OF_DAYS, begin, end
            return
        if begin < first:
            yield OF_DAYS, begin, first
        if last < end:
            yield OF_DAYS, last, end
        by_days = sorted({*_between(stale, first, last), *_between(self._divided_months, first, last)})
        at = first
        for month in by_days:
            if at < month:
                yield OF_MONTHS, at, month
            at = next_month(month)
            yield OF_DAYS, month, at
        if at < last:
            yield OF_MONTHS, at, last


def _between(ordered: Sequence[int], first: int, last: int) -> Sequence[int]:
    return ordered[bisect_left(ordered, first) : bisect_left(ordered, last)]
