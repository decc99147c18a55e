"""To which groups of a report does each touch belong: which campaigns, asset, kind of interaction, channel, source, …?"""

from collections.abc import Iterator, Sequence
from typing import Any

from shared.projection.sql import sql
from shared.reading.described_touches import touches_at
from shared.reading.snapshot import Snapshot
from shared.reading.touches import counting, traffic_sources, window_statuses
from shared.rules.excluded_traffic import TrafficClass
from shared.rules.influence import TouchType
from shared.rules.report_groups import BY_CAMPAIGNS, Group, GroupBy, NoGroup, named_group, source_group, utm_group

AT_ONCE = 5_000  # touches that are read together: some MB of URLs

ASSETS_OF = sql("""
SELECT u.n, s.asset_id, s.asset_type FROM unnest($2::int[], $3::bigint[], $4::bigint[]) u(n, key, at_us)
LEFT JOIN {g}.address a ON a.ws = $1 AND a.page = u.key AND u.at_us >= a.from_us AND u.at_us < a.to_us
JOIN {g}.asset s ON s.ws = $1 AND s.asset = coalesce(a.asset, u.key)
""")  # the asset that is touched by its key, or by the address of its page at an instant
OWNERS = sql("SELECT campaign_id, owner FROM {g}.campaign WHERE ws = $1")


async def owners_of_campaigns(snapshot: Snapshot) -> dict[str, str | None]:
    """The owner of every campaign, by the campaign's id."""
    return {row["campaign_id"]: row["owner"] for row in await snapshot.fetch(OWNERS)}


def groups_of_campaigns(by: GroupBy, campaigns: Sequence[str], owners: dict[str, str | None]) -> list[Group]:
    """The group of each of a touch's campaigns, in order; one without a name if it has none. `owners` is by campaign."""
    if not campaigns:
        return [Group(None, NoGroup.NO_CAMPAIGN)]
    if by is GroupBy.CAMPAIGN:
        return [Group(campaign) for campaign in campaigns]
    return [named_group(owners.get(campaign), NoGroup.NO_OWNER) for campaign in campaigns]


async def groups_of_touches(snapshot: Snapshot, by: GroupBy, touches: Sequence[Any]) -> list[Group]:
    """The group of each touch, for groups that do not come from its campaigns.

    Touches are rows with `person`, `occurred_at_us`, `event_id`, `type`, `asset_id` and `asset_or_page_key`.
    """
    if by is GroupBy.INTERACTION:
        return [Group(TouchType(touch["type"]).wire) for touch in touches]
    out: list[Group] = []
    for some in _parts(touches):
        if by in (GroupBy.ASSET, GroupBy.ASSET_TYPE):
            out += await _by_asset(snapshot, by, some)
        elif by is GroupBy.UTM_CAMPAIGN:
            rows = await touches_at(snapshot, some)
            out += [utm_group(t["url"] if t["type"] == TouchType.PAGE_VISITED else None, t["utm_told"]) for t in rows]
        else:
            out += await _by_source(snapshot, by, some)
    return out


async def groups_of(snapshot: Snapshot, by: GroupBy, touches: Sequence[Any]) -> list[Sequence[Group]]:
    """The groups of each touch, of rows with the columns of a touch, all of which count."""
    if by not in BY_CAMPAIGNS:
        return [[group] for group in await groups_of_touches(snapshot, by, touches)]
    owners = await owners_of_campaigns(snapshot) if by is GroupBy.OWNER else {}
    out: list[Sequence[Group]] = []
    for some in _parts(touches):
        statuses = await window_statuses(snapshot, some)
        out += [
            groups_of_campaigns(by, counting(TrafficClass.COUNTED, statuses[n]), owners) for n in range(len(statuses))
        ]
    return out


def _parts(touches: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for begin in range(0, len(touches), AT_ONCE):
        yield touches[begin : begin + AT_ONCE]


async def _by_asset(snapshot: Snapshot, by: GroupBy, touches: Sequence[Any]) -> list[Group]:
    looked_up = [
        (n, t["asset_or_page_key"], t["occurred_at_us"])
        for n, t in enumerate(touches)
        if t["asset_or_page_key"] is not None
    ]
    rows = await snapshot.fetch(ASSETS_OF, *map(list, zip(*looked_up, strict=True))) if looked_up else []
    assets = {row["n"]: row for row in rows}
    out = []
    for n, touch in enumerate(touches):
        asset_id = touch["asset_id"] if touch["asset_id"] is not None or n not in assets else assets[n]["asset_id"]
        if asset_id is None:
            out.append(Group(None, NoGroup.NO_ASSET))
        elif by is GroupBy.ASSET:
            out.append(Group(asset_id))
        else:
            out.append(named_group(assets[n]["asset_type"] if n in assets else None, NoGroup.NO_ASSET_TYPE))
    return out


async def _by_source(snapshot: Snapshot, by: GroupBy, touches: Sequence[Any]) -> list[Group]:
    sources = await traffic_sources(snapshot, await touches_at(snapshot, touches))
    return [source_group(by, source) for source in sources]
