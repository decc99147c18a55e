"""What happened to each asset that a campaign holds or held, and what of it does the campaign's asset section show?

An asset has one history, whoever held it; rule **reassociation** says which campaign shows what of it.
"""

import datetime as dt
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from shared.events.instants import BEGINNING_US, END_US, from_micros
from shared.projection.sql import owned, sql, sql_numbers
from shared.projection.windows import KEY_COLUMN
from shared.reading.snapshot import Snapshot
from shared.reading.time_range import TimeRange
from shared.rules.excluded_traffic import TrafficClass
from shared.rules.influence import TouchType
from shared.rules.pre_association import Route
from shared.rules.reassociation import CTA_TYPES, Held, cta_clicks_stay, former_asset_keeps, keepers
from shared.rules.visibility import NEEDS_A_VISIT, hidden_reason

# Types whose numbers come in several groups: their contacts are joined as sets, for they cannot be added.
IN_PARTS = CTA_TYPES | {TouchType.LIST_JOINED_STATIC, TouchType.LIST_JOINED_ACTIVE}

HELD = sql("""
SELECT a.asset, a.from_us, a.to_us, s.asset_id, s.asset_type, s.name, s.network, s.ad_type, s.published, s.published_us
FROM {g}.association a LEFT JOIN {g}.asset s ON s.ws = $1 AND s.asset = a.asset
WHERE a.ws = $1 AND a.campaign = $2 ORDER BY a.from_us
""")  # every time in which the campaign held an asset, in order

_SPAN = f"""
    SELECT u.asset, {Route.ASSET:d} AS route, u.asset AS key, '{BEGINNING_US}'::bigint AS from_us, {END_US} AS to_us
    FROM unnest($2::bigint[]) u(asset)
    UNION ALL SELECT u.asset, {Route.VIA:d}, u.asset, '{BEGINNING_US}'::bigint, {END_US} FROM unnest($2::bigint[]) u(asset)
    UNION ALL SELECT asset, route, page, from_us, to_us FROM {{g}}.address
    WHERE ws = $1 AND asset = ANY($2::bigint[])"""

_HISTORY = " UNION ".join(
    f"""
    SELECT s.asset, t.person, t.occurred_at_us, t.event_id, t.type, t.count
    FROM span s JOIN {{g}}.touch t ON t.ws = $1 AND t.{column} = s.key AND t.traffic_class = {TrafficClass.COUNTED:d}
        AND t.occurred_at_us >= greatest(s.from_us, $3::bigint) AND t.occurred_at_us < least(s.to_us, $4::bigint)
    WHERE s.route = {route:d}"""
    for route, column in KEY_COLUMN.items()
    if route is not Route.UTM
)

# The history of assets ($2) in [$3, $4), by type; CTA events also by the change of holders that came last by then (none: the
# beginning). A touch that is of an asset in two ways stands once (UNION).
STATISTICS = sql(f"""
WITH span AS MATERIALIZED ({_SPAN}
), history AS ({_HISTORY}
), owned AS (
    SELECT h.asset, h.type, h.count, o.contact,
        CASE WHEN h.type IN ({sql_numbers(CTA_TYPES)}) THEN coalesce((
            SELECT max(change.at_us) FROM {{g}}.association a
            CROSS JOIN LATERAL (VALUES (a.from_us), (a.to_us)) change(at_us)
            WHERE a.ws = $1 AND a.asset = h.asset AND change.at_us <= h.occurred_at_us), '{BEGINNING_US}'::bigint) END AS since_us
    FROM history h LEFT JOIN {{g}}.identity_interval o ON o.ws = $1 AND o.person = h.person
        AND {owned("h")}
)
SELECT asset, type, since_us, sum(count)::bigint AS n, count(DISTINCT contact) AS contacts,
    CASE WHEN type IN ({sql_numbers(IN_PARTS)}) THEN
        coalesce(array_agg(DISTINCT contact) FILTER (WHERE contact IS NOT NULL), '{{}}') END AS known
FROM owned GROUP BY asset, type, since_us
""")

HOLDERS = sql("""
SELECT asset, campaign, from_us, to_us FROM {g}.association WHERE ws = $1 AND asset = ANY($2::bigint[])
""")  # every time in which any campaign held these assets

_A_VISIT = f"t.type = {TouchType.PAGE_VISITED:d} AND t.traffic_class = {TrafficClass.COUNTED:d}"
_LATEST = " UNION ALL ".join(
    f"""
    (SELECT t.occurred_at_us FROM {{g}}.touch t WHERE t.ws = $1 AND t.{column} = u.asset AND {_A_VISIT}
    ORDER BY t.occurred_at_us DESC LIMIT 1)"""
    for column in ("asset_or_page_key", "via")
)
_LATEST_BY_LINK = f"""
    (SELECT l.occurred_at_us FROM {{g}}.address a CROSS JOIN LATERAL (
        SELECT t.occurred_at_us FROM {{g}}.touch t WHERE t.ws = $1 AND t.via = a.page AND {_A_VISIT}
            AND t.occurred_at_us >= a.from_us AND t.occurred_at_us < a.to_us
        ORDER BY t.occurred_at_us DESC LIMIT 1) l
    WHERE a.ws = $1 AND a.asset = u.asset AND a.route = {Route.VIA:d})"""
VISITED = sql(f"""
SELECT u.asset, max(v.occurred_at_us) AS last_visit_us
FROM unnest($2::bigint[]) u(asset) CROSS JOIN LATERAL ({_LATEST} UNION ALL {_LATEST_BY_LINK}) v
GROUP BY u.asset
""")  # which of these assets were ever visited, and when last


@dataclass
class AssetSection:
    """What a campaign's asset section shows of one asset: touches and contacts by event type.

    `known` has the keys of the contacts, for the types whose contacts come in several groups. `not_shown` counts the touches of
    the asset that another campaign shows, by reason and event type.
    """

    statistics: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    contacts: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    known: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    not_shown: dict[str, dict[str, int]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(int)))

    def add(self, row: Any) -> None:
        """Add a row of `STATISTICS`."""
        name = TouchType(row["type"]).wire
        self.statistics[name] += row["n"]
        if row["known"] is None:
            self.contacts[name] += row["contacts"]
        else:
            self.known[name].update(row["known"])
            self.contacts[name] = len(self.known[name])


async def held_assets(snapshot: Snapshot, campaign: int) -> dict[int, Any]:
    """The rows of all assets that a campaign, by its key, ever held, by key; each with the last time in which it did."""
    return {row["asset"]: row for row in await snapshot.fetch(HELD, campaign)}


async def asset_sections(
    snapshot: Snapshot, campaign: int, held: dict[int, Any], span: TimeRange
) -> dict[int, AssetSection]:
    """What a campaign, by its key, shows in a range of the assets that it holds or held (rows of `held_assets`), by key."""
    holders: dict[int, list[Held]] = defaultdict(list)
    for row in await snapshot.fetch(HOLDERS, list(held)):
        holders[row["asset"]].append(Held(row["campaign"], row["from_us"], row["to_us"]))
    sections: dict[int, AssetSection] = defaultdict(AssetSection)
    for row in await snapshot.fetch(STATISTICS, list(held), span.from_us, span.to_us):
        type_, section = TouchType(row["type"]), sections[row["asset"]]
        kept_by = frozenset[int]() if row["since_us"] is None else keepers(holders[row["asset"]], row["since_us"])
        if held[row["asset"]]["to_us"] != END_US:
            if former_asset_keeps(type_, kept_by, campaign):
                section.add(row)
        elif (why := cta_clicks_stay(type_, kept_by, campaign)) is None:
            section.add(row)
        else:
            section.not_shown[str(why)][type_.wire] += row["n"]
    return sections


async def hidden_reasons(snapshot: Snapshot, campaign: Any, held: dict[int, Any]) -> dict[int, str | None]:
    """Why a campaign's page hides each of these assets (rule **visible**), by key; None if it shows it."""
    asking = [key for key, row in held.items() if row["asset_type"] in NEEDS_A_VISIT]
    visited = {row["asset"]: row["last_visit_us"] for row in await snapshot.fetch(VISITED, asking)}
    return {
        key: hidden_reason(
            row["asset_type"], published=bool(row["published"]), last_visit_us=visited.get(key),
            campaign_created_us=campaign["created_us"],
            published_on={_day(snapshot, at_us) for at_us in row["published_us"] or ()},
            starts_on=campaign["starts_on"], ends_on=campaign["ends_on"],
        ) for key, row in held.items()
    }  # fmt: skip


def _day(snapshot: Snapshot, at_us: int) -> dt.date:
    """The day of an instant in the workspace's time zone."""
    return from_micros(at_us).astimezone(snapshot.zone).date()
