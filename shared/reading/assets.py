"""What happened to each asset that a campaign holds or held, and what of it does the campaign's asset section show?

An asset has one history, whoever held it; rule **reassociation** says which campaign shows what of it.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.events.instants import END_US, from_micros
from shared.projection.key_lists import distinct_keys
from shared.projection.sql import sql
from shared.reading.asset_histories import AssetHistory, Happened
from shared.reading.snapshot import Snapshot
from shared.rules.excluded_traffic import TrafficClass
from shared.rules.influence import TouchType
from shared.rules.pre_association import Route
from shared.rules.reassociation import cta_clicks_stay, former_asset_keeps, keepers
from shared.rules.visibility import NEEDS_A_VISIT, hidden_reason

HELD = sql("""
SELECT a.asset, a.from_us, a.to_us, s.asset_id, s.asset_type, s.name, s.network, s.ad_type, s.published, s.published_us
FROM {g}.association a LEFT JOIN {g}.asset s ON s.ws = $1 AND s.asset = a.asset
WHERE a.ws = $1 AND a.campaign = $2 ORDER BY a.from_us
""")  # every time in which the campaign held an asset, in order

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

    `known` has lists of the contacts' keys. `not_shown` counts the touches of the asset that another campaign shows, by reason and event type.
    """

    statistics: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    known: dict[str, list[bytes]] = field(default_factory=lambda: defaultdict(list))
    not_shown: dict[str, dict[str, int]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(int)))

    def add(self, type_: TouchType, happened: Happened) -> None:
        """Add touches of a type."""
        self.statistics[type_.wire] += happened.touches
        self.known[type_.wire] += happened.contacts

    def contacts(self) -> dict[str, int]:
        """How many contacts are known of each event type; types without any are absent."""
        numbers = {name: distinct_keys(lists) for name, lists in self.known.items()}
        return {name: number for name, number in numbers.items() if number}


async def held_assets(snapshot: Snapshot, campaign: int) -> dict[int, Any]:
    """The rows of all assets that a campaign, by its key, ever held, by key; each with the last time in which it did."""
    return {row["asset"]: row for row in await snapshot.fetch(HELD, campaign)}


def asset_sections(
    campaign: int, held: Mapping[int, Any], histories: Mapping[int, AssetHistory]
) -> dict[int, AssetSection]:
    """What a campaign, by its key, shows of the histories of assets that it holds or held (rows of `held_assets`), by key."""
    sections: dict[int, AssetSection] = defaultdict(AssetSection)
    for asset, history in histories.items():
        section = sections[asset]
        for (type_, since_us), happened in history.by_type.items():
            kept_by = frozenset[int]() if since_us is None else keepers(history.held, since_us)
            if held[asset]["to_us"] != END_US:
                if former_asset_keeps(type_, kept_by, campaign):
                    section.add(type_, happened)
            elif (why := cta_clicks_stay(type_, kept_by, campaign)) is None:
                section.add(type_, happened)
            else:
                section.not_shown[str(why)][type_.wire] += happened.touches
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
