"""What happened to assets, whoever held them: touches and contacts by event type, and whom each asset influenced.

Read from the cells of key sets (`shared.projection.campaign_cells`) where the store has them, else from the touches. Both
answer exactly the same.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

from shared.events.instants import BEGINNING_US, END_US
from shared.projection.campaign_cells import BucketSums, add_planned, kind_of, plan_of
from shared.projection.cell_plan import StatusInterval
from shared.projection.cell_statements import CONTACTS, EVERY_KIND
from shared.projection.days import ALWAYS, Days
from shared.projection.key_lists import first_in_buckets
from shared.projection.sql import owned, sql, sql_numbers
from shared.projection.windows import COUNTING_STATUSES, KEY_COLUMN
from shared.reading.cells import cells_days
from shared.reading.influenced import Piece, pieces_of
from shared.reading.snapshot import Snapshot
from shared.reading.time_range import TimeRange
from shared.rules.excluded_traffic import TrafficClass
from shared.rules.influence import INFLUENCING, TouchType
from shared.rules.pre_association import Route, WindowStatus
from shared.rules.reassociation import CTA_TYPES, Held

_ASSET, _VIA = f"{Route.ASSET:d}", f"{Route.VIA:d}"
SPAN = f"""
    SELECT u.asset, {_ASSET} AS route, u.asset AS key, '{BEGINNING_US}'::bigint AS from_us, {END_US} AS to_us
    FROM unnest($2::bigint[]) u(asset)
    UNION ALL SELECT u.asset, {_VIA}, u.asset, '{BEGINNING_US}'::bigint, {END_US} FROM unnest($2::bigint[]) u(asset)
    UNION ALL SELECT asset, route, page, from_us, to_us FROM {{g}}.address
    WHERE ws = $1 AND asset = ANY($2::bigint[])"""
"""SQL for when touches of which keys are touches of assets ($2): of the asset itself, and of its addresses."""

HISTORY = " UNION ".join(
    f"""
    SELECT s.asset, t.person, t.occurred_at_us, t.event_id, t.type, t.count
    FROM span s JOIN {{g}}.touch t ON t.ws = $1 AND t.{column} = s.key AND t.traffic_class = {TrafficClass.COUNTED:d}
        AND t.occurred_at_us >= greatest(s.from_us, $3::bigint) AND t.occurred_at_us < least(s.to_us, $4::bigint)
    WHERE s.route = {route:d}"""
    for route, column in KEY_COLUMN.items()
    if route is not Route.UTM
)
"""SQL for the touches of the assets of `span` in [$3, $4) that count; one that is of an asset in two ways stands once (UNION)."""

SPANS = sql(SPAN)
KEY_SETS = sql("""
SELECT key_set, asset_or_page_key, via, utm FROM {g}.key_set WHERE ws = $1 AND asset_or_page_key = ANY($2::bigint[])
UNION SELECT key_set, asset_or_page_key, via, utm FROM {g}.key_set WHERE ws = $1 AND via = ANY($3::bigint[]) AND via <> 0
""")
HOLDERS = sql("""
SELECT asset, campaign, from_us, to_us FROM {g}.association WHERE ws = $1 AND asset = ANY($2::bigint[])
""")  # every time in which any campaign held these assets

# The history of assets ($2) in [$3, $4), by type; CTA events also by the change of holders that came last by then (none: the beginning).
BY_TYPE = sql(f"""
WITH span AS MATERIALIZED ({SPAN}
), history AS ({HISTORY}
), known AS (
    SELECT h.asset, h.type, h.count, o.contact,
        CASE WHEN h.type IN ({sql_numbers(CTA_TYPES)}) THEN coalesce((
            SELECT max(change.at_us) FROM {{g}}.association a
            CROSS JOIN LATERAL (VALUES (a.from_us), (a.to_us)) change(at_us)
            WHERE a.ws = $1 AND a.asset = h.asset AND change.at_us <= h.occurred_at_us), '{BEGINNING_US}'::bigint) END AS since_us
    FROM history h LEFT JOIN {{g}}.identity_interval o ON o.ws = $1 AND o.person = h.person
        AND {owned("h")}
)
SELECT asset, type, since_us, sum(count)::bigint AS touches, coalesce(string_agg(DISTINCT int8send(contact), ''::bytea), ''::bytea) AS contacts
FROM known GROUP BY asset, type, since_us
""")
# How many contacts each asset ($2) influenced first in [$5, $6); $3 and $4 are the beginning and the end of time.
INFLUENCED = sql(f"""
WITH span AS MATERIALIZED ({SPAN}
), history AS ({HISTORY}
), reached AS (
    SELECT t.asset, o.contact, min(t.occurred_at_us) AS first_us FROM history t
    JOIN {{g}}.identity_interval o ON o.ws = $1 AND o.person = t.person AND {owned()}
    WHERE t.type IN ({sql_numbers(INFLUENCING)}) GROUP BY t.asset, o.contact
)
SELECT asset, count(*) AS contacts FROM reached WHERE first_us >= $5 AND first_us < $6 GROUP BY asset
""")

_DAY = (
    "(('epoch'::timestamptz + t.occurred_at_us * interval '1 microsecond') AT TIME ZONE $5)::date - date '1970-01-01'"
)
# The touches of an asset ($2) a day, in the time zone $5, by the campaigns for which they count; those that count for none are of null.
BY_DAY = sql(f"""
WITH span AS MATERIALIZED ({SPAN}
), history AS ({HISTORY}
), counted AS (
    SELECT DISTINCT h.person, h.occurred_at_us, h.event_id, h.count, w.campaign
    FROM history h JOIN {{g}}.touch t ON t.ws = $1 AND t.person = h.person AND t.occurred_at_us = h.occurred_at_us
        AND t.event_id = h.event_id
    CROSS JOIN LATERAL (VALUES {", ".join(f"({route:d}, t.{column})" for route, column in KEY_COLUMN.items())}) k(route, key)
    LEFT JOIN {{g}}.attribution_window w ON w.ws = $1 AND w.key = k.key AND w.route = k.route
        AND w.window_status IN ({COUNTING_STATUSES}) AND h.occurred_at_us >= w.from_us AND h.occurred_at_us < w.to_us
)
SELECT {_DAY} AS day, campaign, sum(count)::bigint AS touches FROM counted t
WHERE campaign IS NOT NULL OR NOT EXISTS (
    SELECT FROM counted o WHERE o.person = t.person AND o.event_id = t.event_id AND o.campaign IS NOT NULL)
GROUP BY 1, 2
""")
COUNTING = sql(f"""
SELECT campaign, route, key, from_us, to_us FROM {{g}}.attribution_window
WHERE ws = $1 AND key = ANY($2::bigint[]) AND window_status IN ({COUNTING_STATUSES})
""")

_WHOLLY = WindowStatus.COUNTS, None, None
"""Statuses that say only that a key set is a subject's."""


@dataclass
class Happened:
    """The touches of one type: the sum of their `count`, and lists of the 64-bit keys of their contacts; a key may be in several."""

    touches: int = 0
    contacts: list[bytes] = field(default_factory=list)


@dataclass
class AssetHistory:
    """What happened to an asset in a range.

    `by_type` has what happened by touch type and, of CTA events, by the instant of the change of holders that came last by then (None for
    other types). `influenced` is how many contacts the asset influenced first in the range (rule **influence**).
    """

    held: list[Held] = field(default_factory=list)
    by_type: dict[tuple[TouchType, int | None], Happened] = field(default_factory=lambda: defaultdict(Happened))
    influenced: int = 0

    def touches(self) -> dict[str, int]:
        """The touches by event type, as it is sent."""
        out: dict[str, int] = defaultdict(int)
        for (type_, _), happened in self.by_type.items():
            out[type_.wire] += happened.touches
        return out


async def asset_histories(
    snapshot: Snapshot, assets: Collection[int], span: TimeRange, *, contacts: bool = True, by_holders: bool = True,
    by_touches: bool = False,
) -> dict[int, AssetHistory]:  # fmt: skip
    """What happened to assets, by key, in a range. Without `contacts` no contact is read, and without `by_holders` it is not read who
    held an asset when. `by_touches`: no cells are read.
    """
    histories: dict[int, AssetHistory] = {asset: AssetHistory() for asset in assets}
    for row in await snapshot.fetch(HOLDERS, list(assets) if by_holders else []):
        histories[row["asset"]].held.append(Held(row["campaign"], row["from_us"], row["to_us"]))
    days = None if by_touches else await cells_days(snapshot)
    if days is None:
        await _add_of_touches(snapshot, histories, span, contacts=contacts)
    else:
        await _add_of_cells(snapshot, histories, days, span, contacts=contacts)
    return histories


async def _add_of_touches(
    snapshot: Snapshot, histories: Mapping[int, AssetHistory], span: TimeRange, *, contacts: bool
) -> None:
    for row in await snapshot.fetch(BY_TYPE, list(histories), span.from_us, span.to_us):
        happened = histories[row["asset"]].by_type[TouchType(row["type"]), row["since_us"]]
        happened.touches += row["touches"]
        happened.contacts.append(row["contacts"])
    if contacts:
        always = list(histories), BEGINNING_US, END_US
        for row in await snapshot.fetch(INFLUENCED, *always, span.from_us, span.to_us):
            histories[row["asset"]].influenced = row["contacts"]


class _Part(NamedTuple):
    """An asset between two changes of its holders."""

    asset: int
    since_us: int


async def _add_of_cells(
    snapshot: Snapshot, histories: Mapping[int, AssetHistory], days: Days, span: TimeRange, *, contacts: bool
) -> None:
    parts: list[_Part] = []
    windows: list[tuple[int, int, int, int, int, int]] = []
    spans = await _spans_by_asset(snapshot, histories)
    for asset, history in histories.items():
        for since_us, until_us in pairwise([BEGINNING_US, *_changes(history.held), END_US]):
            for route, key, from_us, to_us in spans[asset]:
                begin, end = max(from_us, since_us), min(to_us, until_us)
                if begin < end:
                    windows.append((len(parts), route, key, begin, end, WindowStatus.COUNTS))
            parts.append(_Part(asset, since_us))
    plan = await plan_of(
        snapshot, days, [span.from_us, span.to_us], dict.fromkeys(range(len(parts)), ALWAYS), lambda _: EVERY_KIND * contacts
    )  # fmt: skip
    plan.ask(windows, await _key_sets(snapshot, spans))
    sums = [BucketSums() for _ in parts]
    await add_planned(dict(enumerate(sums)), snapshot, plan)
    influenced: dict[int, dict[int, list[bytes]]] = defaultdict(lambda: defaultdict(list))
    for (asset, since_us), of in zip(parts, sums, strict=True):
        _add_sums(histories[asset], since_us, of)
        for bucket, lists in of.contacts.items():
            influenced[asset][bucket] += lists
    for asset, lists_by_bucket in influenced.items():
        (histories[asset].influenced,) = first_in_buckets(lists_by_bucket, 1)


def _changes(held: Iterable[Held]) -> list[int]:
    """When an asset's holders changed, in order."""
    return sorted({at_us for one in held for at_us in (one.from_us, one.to_us)} - {BEGINNING_US, END_US})


def _add_sums(history: AssetHistory, since_us: int, sums: BucketSums) -> None:
    """Add what cells say of an asset between two changes of its holders."""
    for (_, kind), number in sums.touches[1].items():
        type_, traffic_class = kind_of(kind)
        if traffic_class is TrafficClass.COUNTED:
            history.by_type[type_, since_us if type_ in CTA_TYPES else None].touches += number
    for kind, lists in sums.contacts_of_kinds[1].items():
        type_, _ = kind_of(kind)
        history.by_type[type_, since_us if type_ in CTA_TYPES else None].contacts += lists


_Span = tuple[int, int, int, int]
"""When touches of a key are touches of an asset: route, key, from, to."""


async def _spans_by_asset(snapshot: Snapshot, assets: Collection[int]) -> dict[int, list[_Span]]:
    spans: dict[int, list[_Span]] = defaultdict(list)
    for asset, *span in await snapshot.fetch(SPANS, list(assets)):
        route, key, from_us, to_us = span
        spans[asset].append((route, key, from_us, to_us))
    return spans


async def _key_sets(snapshot: Snapshot, spans: Mapping[int, Sequence[_Span]]) -> list[Any]:
    keys: dict[int, set[int]] = {Route.ASSET: set(), Route.VIA: set()}
    for some in spans.values():
        for route, key, _, _ in some:
            keys[route].add(key)
    return await snapshot.fetch(KEY_SETS, list(keys[Route.ASSET]), list(keys[Route.VIA]))


async def influenced_between(
    snapshot: Snapshot, asset: int, span: TimeRange, seen: tuple[int, int]
) -> list[Piece] | None:
    """Whom an asset, by its key, influenced before the end of a range: before its beginning, and day by day, in order.

    `seen` are the instants of the asset's first and last touch in the range. None where there are no cells.
    """
    days = await cells_days(snapshot)
    if days is None:
        return None
    edges_us = sorted({span.from_us, *_edges_of_days(days, span, seen)})
    plan = await plan_of(snapshot, days, edges_us, {0: ALWAYS}, lambda _: CONTACTS)
    spans = await _spans_by_asset(snapshot, [asset])
    plan.ask([(0, *one, WindowStatus.COUNTS) for one in spans[asset]], await _key_sets(snapshot, spans))
    sums = BucketSums()
    await add_planned({0: sums}, snapshot, plan)
    return pieces_of(sums, edges_us)


def _edges_of_days(days: Days, span: TimeRange, seen: tuple[int, int]) -> list[int]:
    """When the days from the first touch to the last begin, and when the last of them ends; all of it within the range."""
    first, last = (days.day_of(at_us) for at_us in seen)
    begins = [days.start_us(day) for day in range(first + 1, last + 1)]
    return [max(days.start_us(first), span.from_us), *begins, min(days.start_us(last + 1), span.to_us)]


DayTouches = dict[tuple[int, int | None], int]
"""Touches by the day, of the workspace's time zone, and the key of the campaign for which they count; None: for none."""


async def touches_by_day(
    snapshot: Snapshot, asset: int, span: TimeRange, seen: tuple[int, int], *, by_touches: bool = False
) -> DayTouches:
    """The touches of an asset, by key, in a range. A touch that counts for two campaigns is in both.

    `seen` are the instants of its first and last touch in the range. `by_touches`: no cells are read.
    """
    days = None if by_touches else await cells_days(snapshot)
    if days is None:
        rows = await snapshot.fetch(BY_DAY, [asset], span.from_us, span.to_us, snapshot.settings.time_zone)
        return {(row["day"], row["campaign"]): row["touches"] for row in rows}
    first, edges_us = days.day_of(seen[0]), _edges_of_days(days, span, seen)
    subjects: dict[frozenset[int], int] = {}
    plan = await plan_of(snapshot, days, edges_us, defaultdict(lambda: ALWAYS), lambda _: 0)
    spans = await _spans_by_asset(snapshot, [asset])
    key_sets = await _key_sets(snapshot, spans)
    keys = {key for _, *named in key_sets for key in named if key}
    windows: dict[tuple[int, int], list[tuple[int, int, int]]] = defaultdict(list)
    for campaign, route, key, from_us, to_us in await snapshot.fetch(COUNTING, list(keys)):
        windows[route, key].append((from_us, to_us, campaign))
    for key_set, *named in key_sets:
        naming = [span for span in spans[asset] if named[span[0] - 1] == span[1]]
        within, looked_up_by = [(begin, end) for _, _, begin, end in naming], Route(min(route for route, *_ in naming))
        counting = [window for route in Route for window in windows.get((route, named[route - 1]), ())]
        for campaigns, stretches in _stretches_by_campaigns(within, counting).items():
            subject = subjects.setdefault(campaigns, len(subjects))
            plan.ask_stretches(subject, key_set, looked_up_by, tuple(stretches))
    sums: dict[int, BucketSums] = defaultdict(BucketSums)
    await add_planned(sums, snapshot, plan)
    out: DayTouches = defaultdict(int)
    for campaigns, subject in subjects.items():
        for bucket, touches in sums[subject].touches.items():
            number = sum(n for (_, kind), n in touches.items() if kind_of(kind)[1] is TrafficClass.COUNTED)
            for campaign in campaigns or [None]:
                out[first + bucket - 1, campaign] += number
    return {place: number for place, number in out.items() if number}


def _stretches_by_campaigns(
    within: Sequence[tuple[int, int]], counting: Sequence[tuple[int, int, int]]
) -> dict[frozenset[int], list[StatusInterval]]:
    """The times in which a key set is an asset's, `within`, by the campaigns for which it counts then (from, to, campaign)."""
    points = sorted({at_us for begin, end, *_ in [*within, *counting] for at_us in (begin, end)})
    out: dict[frozenset[int], list[StatusInterval]] = defaultdict(list)
    for begin, end in pairwise(points):
        if any(from_us <= begin < to_us for from_us, to_us in within):
            campaigns = frozenset(c for from_us, to_us, c in counting if from_us <= begin < to_us)
            out[campaigns].append(StatusInterval(begin, end, _WHOLLY))
    return out
