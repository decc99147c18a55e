"""How many touches, sessions and influenced contacts had campaigns, by digests?

Whole days of a campaign are read from `campaign_day`. Its parts of days, its days that are to be made again, and campaigns
without days of their own are read from the cells of key sets (`shared.projection.campaign_cells`).

What it answers is exactly what the statements of `shared.reading.attribution` answer from the touches alone.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shared.events.instants import END_US
from shared.projection.campaign_cells import (
    ALWAYS,
    Found,
    Spans,
    Statuses,
    add_of_cells,
    divided_days,
    first_whole,
    spans_of_days,
    statuses_of,
)
from shared.projection.days import EVERY_DAY, Days, days_of
from shared.projection.sql import sql
from shared.projection.stages.cells.gather import KEPT, WINDOWS_OF_CELLS
from shared.reading.snapshot import Snapshot

CAMPAIGNS_KEPT = sql(
    "SELECT campaign, through_day FROM {g}.campaign_kept WHERE ws = $1 AND campaign = ANY($2::bigint[])"
)
EVERY_CAMPAIGN = sql("SELECT campaign FROM {g}.campaign WHERE ws = $1")
PENDING = sql(f"""
SELECT DISTINCT w.campaign, c.day
FROM (SELECT key_set, day FROM {{g}}.added_cell WHERE ws = $1 UNION SELECT key_set, day FROM {{g}}.dirty_cell WHERE ws = $1) c
{WINDOWS_OF_CELLS} AND w.campaign = ANY($2::bigint[])
UNION SELECT campaign, day FROM {{g}}.stale_campaign_day WHERE ws = $1 AND campaign = ANY($2::bigint[])
""")

# What days of campaigns say. $2 and $3: the campaigns, and before which days each is read. $4 and $5: of each day that is not read,
# the campaign and the day; $6: the days that are read of no campaign. $7: the first days of the buckets; of bucket 0 the contacts alone.
OF_CAMPAIGN_DAYS = sql("""
WITH met AS MATERIALIZED (
    SELECT d.*, width_bucket(d.day, $7::int[]) AS bucket
    FROM unnest($2::bigint[], $3::int[]) c(campaign, before)
    JOIN {g}.campaign_day d ON d.ws = $1 AND d.campaign = c.campaign AND d.day < c.before
    LEFT JOIN unnest($4::bigint[], $5::int[]) n(campaign, day) ON n.campaign = d.campaign AND n.day = d.day
    WHERE n.day IS NULL AND d.day <> ALL($6::int[]))
SELECT campaign, bucket, u.status, u.kind, sum(u.touches)::bigint AS touches, NULL::bytea AS sessions, NULL::bytea AS new_sessions,
    NULL::bytea AS contacts
FROM met CROSS JOIN LATERAL unnest(statuses, kinds, touches) u(status, kind, touches) WHERE bucket > 0 GROUP BY 1, 2, 3, 4
UNION ALL
SELECT campaign, bucket, NULL, NULL, NULL, string_agg(sessions, ''::bytea) FILTER (WHERE bucket > 0),
    string_agg(new_sessions, ''::bytea) FILTER (WHERE bucket > 0), string_agg(contacts, ''::bytea)
FROM met GROUP BY 1, 2
""")


@dataclass
class CampaignCells:
    """What cells say of one campaign, for each bucket of time.

    `touches` has by statuses and kind (`KINDS_A_TYPE` times the type, plus the traffic class) the sum of `count`.
    """

    touches: list[Mapping[tuple[Statuses, int], int]]
    sessions: list[int]
    new_sessions: list[int]
    influenced_contacts: list[int]


async def cells_days(snapshot: Snapshot) -> Days | None:
    """The days whose cells the snapshot has; None where it must be read from the touches alone."""
    kept = await snapshot.fetchrow(KEPT)
    if kept is None or kept["through_day"] != EVERY_DAY:
        return None
    return days_of(kept["time_zone"])


async def campaigns_read_anew(snapshot: Snapshot) -> frozenset[int] | None:
    """The keys of the campaigns of which digests by day do not say everything: their touches, or what they hold, changed since these
    were made. None if any campaign's may have changed, for there are no digests.

    Within a transaction that has projected events, all others have the same touches as before it.
    """
    if await cells_days(snapshot) is None:
        return None
    every = [row["campaign"] for row in await snapshot.fetch(EVERY_CAMPAIGN)]
    kept = {row["campaign"] for row in await snapshot.fetch(CAMPAIGNS_KEPT, every) if row["through_day"] == EVERY_DAY}
    pending = {campaign for campaign, _ in await snapshot.fetch(PENDING, list(kept))}
    return frozenset(every) - kept | pending


async def campaign_cells(
    snapshot: Snapshot, days: Days, campaigns: Sequence[int], edges_us: Sequence[int]
) -> dict[int, CampaignCells]:
    """What cells say of campaigns, by key, between each two of the instants `edges_us`, which are in order."""
    found: dict[int, Found] = {campaign: Found() for campaign in campaigns}
    through = {row["campaign"]: row["through_day"] for row in await snapshot.fetch(CAMPAIGNS_KEPT, list(campaigns))}
    if alone := {campaign: ALWAYS for campaign in campaigns if campaign not in through}:
        await add_of_cells(found, snapshot, days, edges_us, alone)
    if through:
        await _add_of_days(found, snapshot, days, edges_us, through)
    buckets = range(1, len(edges_us))
    return {
        campaign: CampaignCells(
            [of.touches.get(bucket, {}) for bucket in buckets],
            [_distinct(of.sessions.get(bucket, ())) for bucket in buckets],
            [_distinct(of.new_sessions.get(bucket, ())) for bucket in buckets],
            _first_met(of.contacts, len(buckets)),
        )
        for campaign, of in found.items()
    }


async def _add_of_days(
    found: Mapping[int, Found], snapshot: Snapshot, days: Days, edges_us: Sequence[int], through: Mapping[int, int]
) -> None:
    """Add what is said of campaigns that have days of their own, before the days of `through`."""
    last = first_whole(days, edges_us[-1])
    cut = divided_days(days, edges_us)
    pending = [
        (campaign, day)
        for campaign, day in await snapshot.fetch(PENDING, list(through))
        if day < min(last, through[campaign]) and day not in cut
    ]
    rows = await snapshot.fetch(
        OF_CAMPAIGN_DAYS, list(through), [min(last, before) for before in through.values()], [c for c, _ in pending],
        [day for _, day in pending], sorted(cut), [first_whole(days, at_us) for at_us in edges_us],
    )  # fmt: skip
    for campaign, bucket, status, kind, number, sessions, new_sessions, contacts in rows:
        if kind is None:
            found[campaign].add_lists(bucket, sessions, new_sessions, contacts)
        else:
            found[campaign].touches[bucket][statuses_of(status), kind] += number
    asked: dict[int, set[int]] = {
        campaign: {day for day in cut if day < before} for campaign, before in through.items()
    }
    for campaign, day in pending:
        asked[campaign].add(day)
    spans = {campaign: _spans(days, some, through[campaign]) for campaign, some in asked.items()}
    whole = all(before == EVERY_DAY for before in through.values())
    only_of = sorted(set().union(*asked.values())) if whole else None
    if wanted := {campaign: some for campaign, some in spans.items() if some}:
        await add_of_cells(found, snapshot, days, edges_us, wanted, only_of)


def _spans(days: Days, some: Iterable[int], before: int) -> Spans:
    """The times of some days, and of all from the day `before` on."""
    spans = spans_of_days(days, some)
    return spans if before == EVERY_DAY else [*spans, (days.start_us(before), END_US)]


def _keys(lists: Sequence[bytes]) -> "npt.NDArray[np.int64]":
    return np.frombuffer(b"".join(lists), np.int64)


def _distinct(lists: Sequence[bytes]) -> int:
    """How many different keys lists hold."""
    if not lists:
        return 0
    keys = np.sort(_keys(lists))
    return 1 + int(np.count_nonzero(keys[1:] != keys[:-1]))


def _first_met(lists: Mapping[int, Sequence[bytes]], buckets: int) -> list[int]:
    """How many keys are met in each bucket, from 1 on, and in none before it; bucket 0 is what was before all."""
    if len(lists) <= 1:
        return [_distinct(lists.get(bucket, ())) for bucket in range(1, buckets + 1)]
    ordered = sorted(lists)
    parts = [_keys(lists[bucket]) for bucket in ordered]
    _, firsts = np.unique(np.concatenate(parts), return_index=True)
    place = np.searchsorted(np.cumsum([len(part) for part in parts]), firsts, side="right")
    by_place = np.bincount(place, minlength=len(ordered))
    met = {bucket: int(number) for bucket, number in zip(ordered, by_place, strict=True)}
    return [met.get(bucket, 0) for bucket in range(1, buckets + 1)]
