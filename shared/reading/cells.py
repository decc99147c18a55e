"""How many touches, sessions and influenced contacts do campaigns have in some times? Read from digests.

Whole days of a campaign are read from `campaign_day`. Parts of days, stale days, and campaigns that have no rows in `campaign_day` yet
are read from the cells of key sets (`shared.projection.campaign_cells`).

The numbers are exactly those that the statements of `shared.reading.attribution` read from touches.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple

from shared.events.instants import BEGINNING_US, END_US
from shared.projection.campaign_cells import BucketSums, add_added, add_of_cells, plan_of_added, renamed_of
from shared.projection.cell_plan import Plan, Statuses, statuses_of
from shared.projection.days import (
    ALWAYS,
    EVERY_DAY,
    NO_DAY,
    Days,
    Spans,
    days_of,
    divided_days,
    first_whole,
    month_of,
    next_month,
    spans_of_days,
)
from shared.projection.key_lists import distinct_keys, first_in_buckets, without
from shared.projection.renamed_contacts import Renamed
from shared.projection.sql import Statement, sql
from shared.projection.stages.cells.gather import KEPT, WINDOWS_OF_CELLS
from shared.reading.snapshot import Snapshot

CAMPAIGNS_KEPT = sql(
    "SELECT campaign, through_day FROM {g}.campaign_kept WHERE ws = $1 AND campaign = ANY($2::bigint[])"
)
EVERY_CAMPAIGN = sql("SELECT campaign FROM {g}.campaign WHERE ws = $1")
_OF_WINDOWS = (
    f"SELECT DISTINCT w.campaign, c.day FROM ({{cells}}) c {WINDOWS_OF_CELLS} AND w.campaign = ANY($2::bigint[])"
)
ADDED = sql(_OF_WINDOWS.format(cells="SELECT DISTINCT key_set, day FROM {g}.added_cell WHERE ws = $1", g="{g}"))
"""Days of campaigns whose cells batches have added to (`added_cell`), while the days do not contain it yet."""
CHANGED = sql(f"""
{_OF_WINDOWS.format(cells="SELECT key_set, day FROM {g}.dirty_cell WHERE ws = $1", g="{g}")}
UNION SELECT campaign, day FROM {{g}}.stale_campaign_day WHERE ws = $1 AND campaign = ANY($2::bigint[]) AND of_touches
""")
"""Days of campaigns that differ from their touches for another reason than `ADDED`."""
PENDING = sql(f"{ADDED} UNION {CHANGED}")
KEY_SETS_ADDED = sql("SELECT DISTINCT key_set FROM {g}.added_cell WHERE ws = $1 AND day = ANY($2::int[])")
SESSIONS_OF_DAYS = sql("""
SELECT s.campaign, s.day, s.sessions, s.new_sessions FROM unnest($2::bigint[], $3::int[]) u(campaign, day)
JOIN {g}.campaign_day_sessions s ON s.ws = $1 AND s.campaign = u.campaign AND s.day = u.day
""")
PENDING_NEW = sql("""
SELECT campaign, day FROM {g}.stale_campaign_day WHERE ws = $1 AND campaign = ANY($2::bigint[]) AND of_contacts
""")
WITH_RENAMED = sql("""
SELECT DISTINCT w.campaign FROM {g}.renamed_contact r CROSS JOIN LATERAL unnest(r.persons) p(person)
JOIN {g}.touch t ON t.ws = $1 AND t.person = p.person
JOIN {g}.attribution_window w ON w.ws = $1 AND w.key = ANY(ARRAY[t.asset_or_page_key, t.via, t.utm])
WHERE r.ws = $1
""")  # the campaigns whose lists of contacts may have a former key of a contact

WHOLE_DAYS = """unnest($2::bigint[], $3::int[], $4::int[]) c(campaign, first, before)
CROSS JOIN LATERAL (
    SELECT * FROM {g}.campaign_day WHERE ws = $1 AND campaign = c.campaign AND day >= c.first AND day < c.before OFFSET 0) d
WHERE (d.campaign, d.day) NOT IN (SELECT * FROM unnest($5::bigint[], $6::int[])) AND d.day <> ALL($7::int[])"""
"""SQL for rows of `campaign_day`, with the arguments of `DaysRead.arguments`. $2 to $4: a campaign, the first day, and the day after the last one.
$5 and $6: campaign and day of each row to leave out; $7: days to leave out for all campaigns. OFFSET 0 makes PostgreSQL look up each part:
it estimates that a part is a third of all days, and would read them all for two days beside whole months."""

MONTHS_KEPT = sql("""
SELECT m.campaign, m.month FROM {g}.campaign_month m WHERE m.ws = $1 AND m.campaign = ANY($2::bigint[])
    AND NOT EXISTS (SELECT FROM {g}.stale_campaign_month s WHERE s.ws = $1 AND s.campaign = m.campaign AND s.month = m.month)
""")

# Adds up days, and months ($9, $10), of campaigns. $8: the first days of the buckets. Of bucket 0, only the contacts are read.
OF_CAMPAIGN_DAYS = sql(f"""
WITH met AS MATERIALIZED (
    SELECT d.campaign, d.statuses, d.kinds, d.touches, d.sessions, d.new_sessions, d.contacts, width_bucket(d.day, $8::int[]) AS bucket
    FROM {WHOLE_DAYS}
    UNION ALL
    SELECT m.campaign, m.statuses, m.kinds, m.touches, m.sessions, m.new_sessions, m.contacts, width_bucket(m.month, $8::int[])
    FROM unnest($9::bigint[], $10::int[]) u(campaign, month)
    JOIN {{g}}.campaign_month m ON m.ws = $1 AND m.campaign = u.campaign AND m.month = u.month
)
SELECT campaign, bucket, u.status, u.kind, sum(u.touches)::bigint AS touches, NULL::int AS sessions, NULL::int AS new_sessions,
    NULL::bytea AS contacts
FROM met CROSS JOIN LATERAL unnest(statuses, kinds, touches) u(status, kind, touches) WHERE bucket > 0 GROUP BY 1, 2, 3, 4
UNION ALL
SELECT campaign, bucket, NULL, NULL, NULL, sum(sessions)::int, sum(new_sessions)::int, string_agg(contacts, ''::bytea)
FROM met GROUP BY 1, 2
""")


@dataclass
class CampaignCells:
    """The numbers of one campaign, each a list with one element per bucket of time.

    `touches` is the sum of `count` by statuses and kind (`KINDS_A_TYPE` times the type, plus the traffic class).
    """

    touches: list[Mapping[tuple[Statuses, int], int]]
    sessions: list[int]
    new_sessions: list[int]
    influenced_contacts: list[int]


async def cells_days(snapshot: Snapshot) -> Days | None:
    """The days of the time zone for which the snapshot has cells. None: it has no complete cells, so read the touches."""
    kept = await snapshot.fetchrow(KEPT)
    if kept is None or kept["through_day"] != EVERY_DAY:
        return None
    return days_of(kept["time_zone"])


async def campaigns_with_stale_days(snapshot: Snapshot) -> frozenset[int] | None:
    """The keys of the campaigns whose days are not up to date: their touches or their windows changed since the days were made. None: there are no
    digests, so all campaigns may have changed.

    A transaction that has projected events on top of up-to-date digests finds in this way which campaigns these events changed.
    """
    if await cells_days(snapshot) is None:
        return None
    every = [row["campaign"] for row in await snapshot.fetch(EVERY_CAMPAIGN)]
    kept = {row["campaign"] for row in await snapshot.fetch(CAMPAIGNS_KEPT, every) if row["through_day"] == EVERY_DAY}
    pending = {campaign for campaign, _ in await snapshot.fetch(PENDING, list(kept))}
    renamed = {row["campaign"] for row in await snapshot.fetch(WITH_RENAMED)}
    return frozenset(every) - kept | pending | renamed


class DaysRead(NamedTuple):
    """Which days of campaigns are read from `campaign_day` between some instants. The rest is read from cells and touches.

    `through` is by campaign the day before which `campaign_day` has its days; campaigns without any are absent. `pending` are stale days of campaigns.
    `cut` are the days that one of the instants divides. `last` is the first day that begins after the last instant.
    """

    days: Days
    edges_us: Sequence[int]
    through: Mapping[int, int]
    pending: Sequence[tuple[int, int]]
    cut: frozenset[int]
    last: int

    def arguments(self, months: Mapping[int, Sequence[int]] | None = None) -> list[Any]:
        """The arguments of `WHOLE_DAYS`, without the days of some months. The months of each campaign are in order."""
        parts = [
            (campaign, *part)
            for campaign, before in self.through.items()
            for part in _parts_without(months.get(campaign, ()) if months else (), min(self.last, before))
        ]
        return [
            *([part[n] for part in parts] for n in range(3)), [c for c, _ in self.pending], [day for _, day in self.pending],
            sorted(self.cut),
        ]  # fmt: skip

    def whole_months(self, kept: Iterable[tuple[int, int]]) -> dict[int, list[int]]:
        """The months that can be read instead of their days, by campaign, in order: all days of the month are read, and they lie between the same two
        instants. `kept` are the campaigns and months of `campaign_month`.
        """
        buckets = self.buckets()
        without = {(campaign, month_of(day)) for campaign, day in self.pending}
        divided = {month_of(day) for day in self.cut}
        out: dict[int, list[int]] = defaultdict(list)
        for campaign, month in sorted(kept):
            end = next_month(month)
            if end > min(self.last, self.through[campaign]) or month in divided or (campaign, month) in without:
                continue
            if bisect_right(buckets, month) == bisect_right(buckets, end - 1):
                out[campaign].append(month)
        return out

    def buckets(self) -> list[int]:
        """The first whole day of each bucket."""
        return [first_whole(self.days, at_us) for at_us in self.edges_us]

    def others(self) -> dict[int, set[int]]:
        """The days that are not read from `campaign_day`, by campaign."""
        out = {campaign: {day for day in self.cut if day < before} for campaign, before in self.through.items()}
        for campaign, day in self.pending:
            out[campaign].add(day)
        return out

    def spans(self) -> dict[int, Spans]:
        """The times of `others`, and of all days that `campaign_day` does not have yet, by campaign. Campaigns without any are absent."""
        spans = {c: _spans(self.days, some, self.through[c]) for c, some in self.others().items()}
        return {campaign: some for campaign, some in spans.items() if some}


async def days_read(
    snapshot: Snapshot, days: Days, campaigns: Collection[int], edges_us: Sequence[int], excluded: Statement = PENDING
) -> DaysRead:
    """Which days of campaigns can be read from `campaign_day` between some instants, which are in order. `campaigns` are keys.

    `excluded` is the statement for the days that are not read: those whose touches changed (`PENDING`, or `CHANGED` without the additions), or
    those whose new contacts changed (`PENDING_NEW`).
    """
    through = {row["campaign"]: row["through_day"] for row in await snapshot.fetch(CAMPAIGNS_KEPT, list(campaigns))}
    last, cut = first_whole(days, edges_us[-1]), frozenset(divided_days(days, edges_us))
    pending = [
        (campaign, day)
        for campaign, day in await snapshot.fetch(excluded, list(through))
        if day < min(last, through[campaign]) and day not in cut
    ]
    return DaysRead(days, edges_us, through, pending, cut, last)


async def campaign_cells(
    snapshot: Snapshot, days: Days, campaigns: Sequence[int], edges_us: Sequence[int]
) -> dict[int, CampaignCells]:
    """The numbers of campaigns, by key, for the buckets between the instants `edges_us`, which are in order."""
    sums: dict[int, BucketSums] = {campaign: BucketSums() for campaign in campaigns}
    read = await days_read(snapshot, days, campaigns, edges_us, CHANGED)
    if without_days := {campaign: ALWAYS for campaign in campaigns if campaign not in read.through}:
        await add_of_cells(sums, snapshot, days, edges_us, without_days)
    sessions = {place: _Sessions() for place in product(campaigns, range(1, len(edges_us)))}
    if read.through:
        renamed = await renamed_of(snapshot)
        read = await _add_added(sums, snapshot, read, renamed)
        await _add_of_days(sums, sessions, snapshot, read, renamed)
    for (campaign, bucket), number in sessions.items():
        of = sums[campaign]
        number.all += distinct_keys(of.sessions.get(bucket, ()))
        number.new += distinct_keys(of.new_sessions.get(bucket, ()))
    buckets = range(1, len(edges_us))
    return {
        campaign: CampaignCells(
            [of.touches.get(bucket, {}) for bucket in buckets],
            [sessions[campaign, bucket].all for bucket in buckets],
            [sessions[campaign, bucket].new for bucket in buckets],
            first_in_buckets(of.contacts, len(buckets)),
        )
        for campaign, of in sums.items()
    }


@dataclass
class _Sessions:
    """How many sessions began in a bucket, and how many of them are new."""

    all: int = 0
    new: int = 0


async def _add_added(sums: Mapping[int, BucketSums], snapshot: Snapshot, read: DaysRead, renamed: Renamed) -> DaysRead:
    """Add to `sums` what batches have added to the days that are read. Returns `read` with the days as pending to which it cannot be added."""
    pending = set(read.pending)
    added = {
        (campaign, day)
        for campaign, day in await snapshot.fetch(ADDED, list(read.through))
        if day < min(read.last, read.through[campaign]) and day not in read.cut and (campaign, day) not in pending
    }
    if not added:
        return read
    key_sets = [row["key_set"] for row in await snapshot.fetch(KEY_SETS_ADDED, sorted({day for _, day in added}))]
    plan, spans = await _plan_of_added(snapshot, read, added, key_sets, renamed)
    if divided := plan.divided() & added:
        read = read._replace(pending=[*read.pending, *divided])
        plan, spans = await _plan_of_added(snapshot, read, added - divided, key_sets, renamed)
    parts: dict[int, BucketSums] = {campaign: BucketSums() for campaign in spans}
    await add_added(parts, snapshot, plan)
    await _remove_counted_sessions(parts, snapshot, plan)
    for campaign, part in parts.items():
        _add_part(sums[campaign], part, read.edges_us, plan.edges_us, spans[campaign])
    return read


async def _plan_of_added(
    snapshot: Snapshot, read: DaysRead, added: Iterable[tuple[int, int]], key_sets: Sequence[int], renamed: Renamed
) -> tuple[Plan, dict[int, Spans]]:
    """A plan to read days of campaigns day by day, and the times of these days by campaign."""
    by_campaign: dict[int, list[int]] = defaultdict(list)
    for campaign, day in added:
        by_campaign[campaign].append(day)
    bounds = {read.days.start_us(at) for some in by_campaign.values() for day in some for at in (day, day + 1)}
    spans: dict[int, Spans] = {campaign: spans_of_days(read.days, some) for campaign, some in by_campaign.items()}
    edges_us = sorted({*read.edges_us, *bounds})
    return await plan_of_added(snapshot, read.days, edges_us, spans, key_sets, renamed), spans


async def _remove_counted_sessions(parts: Mapping[int, BucketSums], snapshot: Snapshot, plan: Plan) -> None:
    """Remove the sessions that days of campaigns count already. Each bucket that has sessions is a day."""
    buckets = [(campaign, n) for campaign, part in parts.items() for n in part.sessions]
    day_of = {n: plan.days.day_of(plan.edges_us[n - 1]) for _, n in buckets}
    asked = [campaign for campaign, _ in buckets], [day_of[n] for _, n in buckets]
    had = {(row["campaign"], row["day"]): row for row in await snapshot.fetch(SESSIONS_OF_DAYS, *asked)}
    for campaign, n in buckets:
        if (row := had.get((campaign, day_of[n]))) is not None:
            part = parts[campaign]
            part.sessions[n] = [without(part.sessions[n], row["sessions"])]
            part.new_sessions[n] = [without(part.new_sessions.get(n, []), row["new_sessions"])]


async def _add_of_days(
    sums: Mapping[int, BucketSums], sessions: Mapping[tuple[int, int], _Sessions], snapshot: Snapshot, read: DaysRead,
    renamed: Renamed,
) -> None:  # fmt: skip
    """Add the campaigns that have days in `campaign_day`. A session counts on the day on which it began."""
    months = read.whole_months([tuple(row) for row in await snapshot.fetch(MONTHS_KEPT, list(read.through))])
    pairs = [(campaign, month) for campaign, some in months.items() for month in some]
    of_months = [campaign for campaign, _ in pairs], [month for _, month in pairs]
    for campaign, bucket, status, kind, number, begun, new, contacts in await snapshot.fetch(
        OF_CAMPAIGN_DAYS, *read.arguments(months), read.buckets(), *of_months
    ):
        if kind is not None:
            sums[campaign].touches[bucket][statuses_of(status), kind] += number
            continue
        sums[campaign].add_lists(bucket, None, None, contacts and renamed(contacts))
        if bucket > 0:
            sessions[campaign, bucket].all += begun
            sessions[campaign, bucket].new += new
    if not (spans := read.spans()):
        return
    edges_us = sorted({*read.edges_us, *(at_us for some in spans.values() for span in some for at_us in span)})
    parts: dict[int, BucketSums] = {campaign: BucketSums() for campaign in spans}
    whole = all(before == EVERY_DAY for before in read.through.values())
    only_of = sorted(set().union(*read.others().values())) if whole else None
    await add_of_cells(parts, snapshot, read.days, edges_us, spans, only_of)
    for campaign, part in parts.items():
        _add_part(sums[campaign], part, read.edges_us, edges_us, spans[campaign])


def _add_part(of: BucketSums, part: BucketSums, edges_us: Sequence[int], finer_us: Sequence[int], spans: Spans) -> None:
    """Add a part that was read by finer instants. Of its sessions, add only those that began within some spans of time."""
    for n, from_us in enumerate([BEGINNING_US, *finer_us]):
        bucket = 0 if n == 0 else bisect_right(edges_us, from_us)
        if bucket == len(edges_us):  # after the last instant
            continue
        of.contacts[bucket] += part.contacts.get(n, ())
        if bucket == 0:
            continue
        for place, number in part.touches.get(n, {}).items():
            of.touches[bucket][place] += number
        if any(begin <= from_us < end for begin, end in spans):
            of.sessions[bucket] += part.sessions.get(n, ())
            of.new_sessions[bucket] += part.new_sessions.get(n, ())


def _parts_without(months: Sequence[int], before: int) -> Iterator[tuple[int, int]]:
    """The days before the day `before`, without those of some months, which are in order: pairs of first day and the day after the last one."""
    first = NO_DAY
    for month in months:
        if first < month:
            yield first, month
        first = next_month(month)
    if first < before:
        yield first, before


def _spans(days: Days, some: Iterable[int], before: int) -> Spans:
    """The times of some days, and of all days from the day `before` on."""
    spans = spans_of_days(days, some)
    return spans if before == EVERY_DAY else [*spans, (days.start_us(before), END_US)]
