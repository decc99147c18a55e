"""Which touches and sessions are behind a number of a campaign, and what made each of them the campaign's?

The pages are cut by the database. What a page shows is then looked up for its touches alone.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from shared.events.instants import END_US
from shared.events.registry import names_like, sql_names
from shared.events.types import CampaignCreated
from shared.projection.days import Days, spans_of_days
from shared.projection.new_contacts import COUNTING_WINDOW
from shared.projection.sql import sql
from shared.projection.windows import KEY_COLUMN, within
from shared.reading.attribution import COUNTING_CLASSES, in_range, statuses_by_route
from shared.reading.cells import WHOLE_DAYS, cells_days, days_read
from shared.reading.described_touches import deciding_route, named_assets, named_contacts, owned_touches
from shared.reading.keyset import Ordering, key_arguments
from shared.reading.overview import METRIC_OF_TYPE
from shared.reading.reasons import reason_of_touch
from shared.reading.sentences import NamedAsset, NamedContact
from shared.reading.snapshot import Snapshot
from shared.reading.time_range import TimeRange
from shared.reading.touches import (
    RouteStatus,
    route_statuses,
    traffic_sources,
    via_assets,
)
from shared.rules.channel import TrafficSource
from shared.rules.excluded_traffic import TrafficClass
from shared.rules.first_and_last_touch import FIRST_TOUCH_ROUTES
from shared.rules.influence import INFLUENCING, TouchType
from shared.rules.page import parse
from shared.rules.pre_association import KeptOut, Route, WindowStatus, kept_out

TYPES = tuple(dict.fromkeys(type_.wire for type_ in TouchType))
"""The event types of touches, as they are sent."""
TYPE_OF_METRIC = {metric: type_ for type_, metric in METRIC_OF_TYPE.items()}
SESSION_METRICS = ("sessions", "new_sessions")
TOUCH_ORDER = Ordering((("t.occurred_at_us", "bigint"), ("t.event_id", "text")))
"""By the instant of a touch and the id of its event: the columns occurred_at_us and event_id of a row."""
SESSION_ORDER = Ordering((("s.session_at_us", "bigint"), ("s.session", "bigint")))
"""By the beginning of a session and its key: the columns session_at_us and session of a row."""

# $2 the campaigns, [$3, $4) the range, $5 and $6 the key of the item before the page (null: the first page), $7 how many (null: all).
_AFTER_TOUCH, _BY_TOUCH = TOUCH_ORDER.clauses(5)
_AFTER_SESSION, _BY_SESSION = SESSION_ORDER.clauses(5)
_FROM_KEY_ON = "t.occurred_at_us >= coalesce($5::bigint, $3::bigint)"  # with it, an index finds where a page begins

# The touches of some types ($8) that count. Of each window no more are read than a page has: those behind are on no page before.
COUNTED = sql(f"""
WITH {COUNTING_WINDOW}, met AS ({
    " UNION ALL ".join(
        f'''
    SELECT t.* FROM counting_window w CROSS JOIN LATERAL (
        SELECT t.person, t.occurred_at_us, t.event_id FROM {{g}}.touch t
        WHERE t.ws = $1 AND t.{column} = w.key AND {within("w")} AND {in_range("t.occurred_at_us")} AND {_FROM_KEY_ON} AND {_AFTER_TOUCH}
            AND t.type = ANY($8::smallint[]) AND t.traffic_class IN ({COUNTING_CLASSES}) {_BY_TOUCH} LIMIT $7::bigint) t
    WHERE w.route = {route:d}'''
        for route, column in KEY_COLUMN.items()
    )
})
SELECT DISTINCT person, occurred_at_us, event_id FROM met t {_BY_TOUCH} LIMIT $7::bigint
""")

_ROUTES = " OR ".join(f"(o.route = {route:d} AND o.key = t.{column})" for route, column in KEY_COLUMN.items())

# The touches of some types ($8) that are kept out for a reason ($9). Only touches of the classes in $10 in windows of the statuses in $11
# can be. Each is read in the window of its lowest route.
KEPT_OUT = sql(f"""
WITH campaign_window AS MATERIALIZED (
    SELECT campaign, route, key, from_us, to_us FROM {{g}}.attribution_window
    WHERE ws = $1 AND campaign = ANY($2::bigint[]) AND window_status = ANY($11::smallint[])
), met AS ({
    " UNION ALL ".join(
        f'''
    SELECT t.* FROM campaign_window w CROSS JOIN LATERAL (
        SELECT t.person, t.occurred_at_us, t.event_id FROM {{g}}.touch t CROSS JOIN LATERAL (
            SELECT min(o.route) AS route, {statuses_by_route("o.")} FROM {{g}}.attribution_window o
            WHERE o.ws = $1 AND o.campaign = w.campaign AND o.key = ANY (ARRAY[{
            ", ".join(f"t.{each}" for each in KEY_COLUMN.values())
        }])
                AND ({_ROUTES}) AND {within("o")}) m
        WHERE t.ws = $1 AND t.{column} = w.key AND {within("w")} AND {in_range("t.occurred_at_us")} AND {
            _FROM_KEY_ON
        } AND {_AFTER_TOUCH}
            AND t.type = ANY($8::smallint[]) AND t.traffic_class = ANY($10::smallint[]) AND m.route = {route:d}
            AND {reason_of_touch()} = $9::text {_BY_TOUCH} LIMIT $7::bigint) t
    WHERE w.route = {route:d}'''
        for route, column in KEY_COLUMN.items()
    )
})
SELECT DISTINCT person, occurred_at_us, event_id FROM met t {_BY_TOUCH} LIMIT $7::bigint
""")

# The sessions that began in the range and have a page visit that counts, $8: only those that are their visitor's first; each with the
# first of these visits, and how many there are. Their visits are between the instants $9 and $10.
SESSIONS = sql(f"""
WITH {COUNTING_WINDOW}, scan AS MATERIALIZED (
    SELECT w.route, w.key, greatest(w.from_us, s.from_us) AS from_us, least(w.to_us, s.to_us) AS to_us
    FROM counting_window w JOIN unnest($9::bigint[], $10::bigint[]) s(from_us, to_us) ON s.from_us < w.to_us AND w.from_us < s.to_us
), visit AS MATERIALIZED ({
    " UNION ALL ".join(
        f'''
    SELECT t.session, t.session_at_us, t.session_is_new, t.person, t.occurred_at_us, t.event_id FROM scan w
    JOIN {{g}}.touch t ON t.ws = $1 AND t.{KEY_COLUMN[route]} = w.key AND {within("w")}
        AND {in_range("t.session_at_us")} AND t.type = {TouchType.PAGE_VISITED:d} AND t.traffic_class IN ({COUNTING_CLASSES})
    WHERE w.route = {route:d} AND (NOT $8::boolean OR t.session_is_new)'''
        for route in sorted(FIRST_TOUCH_ROUTES)
    )
}), page AS (
    SELECT s.* FROM (SELECT DISTINCT ON (session) * FROM visit ORDER BY session, occurred_at_us, event_id) s
    WHERE {_AFTER_SESSION} {_BY_SESSION} LIMIT $7::bigint
)
SELECT s.session, s.session_at_us, s.session_is_new, s.person, s.occurred_at_us, s.event_id,
    (SELECT count(DISTINCT v.event_id) FROM visit v WHERE v.session = s.session) AS page_views
FROM page s {_BY_SESSION}
""")

SESSIONS_OF_DAYS = sql(f"SELECT d.day, d.sessions, d.new_sessions FROM {WHOLE_DAYS} ORDER BY d.day")
LAST_CARRIED = sql(
    "SELECT max(occurred_at_us) FROM {g}.carried_visit WHERE ws = $1 AND session_at_us >= $2 AND session_at_us < $3"
)
DIRTY_DAYS = sql("SELECT DISTINCT day FROM {g}.dirty_cell WHERE ws = $1 AND day >= $2")
_ASSOCIATED = sql("""
SELECT asset, from_us, to_us, event_id FROM {g}.association WHERE ws = $1 AND campaign = $2 AND asset = ANY($3::bigint[])
ORDER BY asset, from_us
""")
# By which event a campaign ($2) claimed each utm value ($3) when: the value itself, or what it says when it is decoded once more.
_CLAIMED = sql(f"""
SELECT u.value, e.occurred_at_us, e.event_id FROM unnest($3::bigint[]) u(value)
LEFT JOIN {{g}}.utm_reading r ON r.ws = $1 AND r.value = u.value
JOIN {{g}}.entity_event e ON e.ws = $1 AND e.subject = $2 AND e.object = ANY (ARRAY[u.value, r.decoded])
    AND e.type IN {sql_names(names_like(CampaignCreated))} AND e.live
ORDER BY u.value, e.occurred_at_us, e.event_id
""")


@dataclass(frozen=True, slots=True)
class TouchBehind:
    """A touch behind a number, and what makes it the campaign's, or keeps it out.

    `row` is its row of `touch`. `through` is the route that decides: by `asset`, which belongs to what was touched (None for a utm
    value), and `deciding_event`, which associated the asset or claimed the value (None if nothing has).
    """

    row: Any
    contact: NamedContact | None
    asset: NamedAsset | None
    via_asset_id: str | None
    source: TrafficSource
    through: Route
    deciding_event: str | None

    @property
    def utm_campaign(self) -> str | None:
        """The utm value of a page visit, as it was sent; None if it has none."""
        if self.row["utm"] is None:
            return None
        return parse(self.row["url"] or "", self.row["utm_told"] or "").campaign


class TouchFilter(NamedTuple):
    """Which touches of a campaign are asked for: of which types, and kept out for which reason (None: those that count)."""

    types: Collection[TouchType]
    reason: KeptOut | None = None


def wanted(metric: str | None, type_: str | None, reason: str | None) -> TouchFilter:
    """What a metric of `TYPE_OF_METRIC`, an event type and a reason name, each if it is given.

    Of what is kept out, influencing touches alone are counted, and so are those that are listed.
    """
    types = set(TouchType) if reason is None else set(INFLUENCING)
    if metric is not None:
        types &= {TYPE_OF_METRIC[metric]}
    if type_ is not None:
        types &= {one for one in TouchType if one.wire == type_}
    return TouchFilter(types, None if reason is None else KeptOut(reason))


async def touches_behind(
    snapshot: Snapshot, campaign: int, of: TouchFilter, span: TimeRange, after: Sequence[Any] | None, limit: int
) -> list[Any]:
    """Where at most `limit` touches of a campaign are, in `TOUCH_ORDER`, after a key: rows with person, occurred_at_us and event_id."""
    asked = [campaign], span.from_us, span.to_us, *key_arguments(TOUCH_ORDER, after), limit, sorted(of.types)
    if of.reason is None:
        return await snapshot.fetch(COUNTED, *asked)
    cases = [
        (class_, status) for class_ in TrafficClass if class_ is not TrafficClass.RETRACTED for status in WindowStatus
        if kept_out(class_, {Route.ASSET: status}) is of.reason
    ]  # fmt: skip
    classes, statuses = ({int(case[place]) for case in cases} for place in (0, 1))
    return await snapshot.fetch(KEPT_OUT, *asked, str(of.reason), sorted(classes), sorted(statuses))


async def sessions_behind(
    snapshot: Snapshot, campaign: int, metric: str, span: TimeRange, after: Sequence[Any] | None, limit: int
) -> list[Any]:
    """At most `limit` sessions behind a metric of `SESSION_METRICS`, in `SESSION_ORDER`, after a key, with the columns of `SESSIONS`."""
    begun = span if after is None else TimeRange(max(span.from_us, after[0]), span.to_us)
    visits = [(begun.from_us, END_US)]  # no visit is before its session
    if (days := await cells_days(snapshot)) is not None and begun.from_us < begun.to_us:
        begun = await _days_of_a_page(snapshot, days, campaign, metric, begun, limit)
        visits = await _visits_of(snapshot, days, begun)
    return await snapshot.fetch(
        SESSIONS, [campaign], begun.from_us, begun.to_us, *key_arguments(SESSION_ORDER, after), limit, metric == "new_sessions",
        *map(list, zip(*visits, strict=True)),
    )  # fmt: skip


async def _days_of_a_page(
    snapshot: Snapshot, days: Days, campaign: int, metric: str, span: TimeRange, limit: int
) -> TimeRange:
    """The beginning of a range, with so many of a campaign's days that sessions for a page began on them; the day of the beginning counts for none."""
    read = await days_read(snapshot, days, [campaign], (span.from_us, span.to_us))
    begun = 0
    for row in await snapshot.fetch(SESSIONS_OF_DAYS, *read.arguments()):
        if days.start_us(row["day"]) <= span.from_us:
            continue
        begun += row[metric]
        if begun >= limit:
            return TimeRange(span.from_us, min(span.to_us, days.start_us(row["day"] + 1)))
    return span


async def _visits_of(snapshot: Snapshot, days: Days, begun: TimeRange) -> list[tuple[int, int]]:
    """Between which instants the visits of all sessions are that began in a range.

    Visits on a later day than their session's are in `carried_visit`, but for those of days whose cells are dirty.
    """
    if begun.to_us == END_US:
        return [(begun.from_us, END_US)]
    to_us = days.start_us(days.day_of(begun.to_us - 1) + 1)
    carried_us = await snapshot.connection.fetchval(LAST_CARRIED, snapshot.ws, begun.from_us, begun.to_us)
    if carried_us is not None:
        to_us = max(to_us, carried_us + 1)
    dirty = {row["day"] for row in await snapshot.fetch(DIRTY_DAYS, days.day_of(to_us))}
    return [(begun.from_us, to_us), *((max(to_us, from_us), end_us) for from_us, end_us in spans_of_days(days, dirty))]


async def with_their_reasons(
    snapshot: Snapshot, campaign: tuple[int, str], places: Sequence[Any], among: Collection[Route] = tuple(Route)
) -> list[TouchBehind]:
    """The touches at `places` (rows with person, occurred_at_us and event_id), each with what makes it the campaign's (its key and id).

    Only the routes in `among` can; of page visits of sessions, those of `FIRST_TOUCH_ROUTES`.
    """
    if not places:
        return []
    touches = await owned_touches(snapshot, places)
    statuses = await route_statuses(snapshot, touches)
    by_routes = [statuses[n][campaign[1]] for n in range(len(touches))]
    decided = [(route := deciding_route(by_route, among), by_route[route]) for by_route in by_routes]
    owners = await named_contacts(snapshot, {t["contact"] for t in touches if t["contact"] is not None})
    keys = {status.asset or status.key for route, status in decided if route is not Route.UTM}
    assets = await named_assets(snapshot, keys)
    events = await _deciding_events(snapshot, campaign[0], touches, decided)
    via, sources = await via_assets(snapshot, touches), await traffic_sources(snapshot, touches)
    return [
        TouchBehind(
            touch, owners.get(touch["contact"]), None if route is Route.UTM else assets.get(status.asset or status.key),
            via[n], sources[n], route, events[n],
        ) for n, (touch, (route, status)) in enumerate(zip(touches, decided, strict=True))
    ]  # fmt: skip


async def _deciding_events(
    snapshot: Snapshot, campaign: int, touches: Sequence[Any], decided: Sequence[tuple[Route, RouteStatus]]
) -> list[str | None]:
    """The event that associated what each touch touched with the campaign, or claimed its utm value: the last one up to its instant, else
    the first one.
    """
    turns: dict[tuple[bool, int], list[tuple[int, str]]] = defaultdict(list)
    keys: dict[bool, set[int]] = {False: set(), True: set()}
    for route, status in decided:
        keys[route is Route.UTM].add(status.key if route is Route.UTM else status.asset or status.key)
    for row in await snapshot.fetch(_ASSOCIATED, campaign, list(keys[False])):
        turns[False, row["asset"]].append((row["from_us"], row["event_id"]))
    for row in await snapshot.fetch(_CLAIMED, campaign, list(keys[True])):
        turns[True, row["value"]].append((row["occurred_at_us"], row["event_id"]))
    out: list[str | None] = []
    for touch, (route, status) in zip(touches, decided, strict=True):
        by_utm = route is Route.UTM
        begun = turns[by_utm, status.key if by_utm else status.asset or status.key]
        place = bisect_right(begun, touch["occurred_at_us"], key=lambda turn: turn[0])
        out.append(begun[max(place - 1, 0)][1] if begun else None)
    return out
