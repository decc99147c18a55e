"""What does the catalog hold now? What is asked before a call changes it: who is there, who holds what, and which event made it so.

"Now" is the state after all events of the snapshot, in order (rule **order**).
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from shared.events.codec import decode_event
from shared.events.instants import BEGINNING_US, END_US
from shared.events.registry import name_of, names_like, sql_names
from shared.events.types import (
    AssetAssociated,
    AssetDissociated,
    AssetRegistered,
    CampaignCreated,
    CampaignDeleted,
    Event,
)
from shared.projection.sql import sql
from shared.reading.snapshot import Snapshot
from shared.rules.keys import asset_key, campaign_key, event_key
from shared.rules.order import Order
from shared.rules.pre_association import Route, WindowStatus

CAMPAIGN_EVENTS = (*names_like(CampaignCreated), name_of(CampaignDeleted))
CAMPAIGN_FIELDS = ("name", "starts_on", "ends_on", "owner", "budget", "currency", "notes", "goals")
ASSET_FIELDS = ("asset_type", "name", "url", "target_url", "network", "ad_type")

EVENTS_OF_CAMPAIGN = sql(f"""
SELECT type, occurred_at_us, event_id, body FROM {{g}}.entity_event
WHERE ws = $1 AND subject = $2 AND type IN {sql_names(CAMPAIGN_EVENTS)} AND live ORDER BY occurred_at_us, event_id
""")
FIRST_NAMED = sql("SELECT campaign_id, created_us, deleted_event FROM {g}.campaign WHERE ws = $1 AND campaign = $2")
CLAIMED_NOW_BY = sql(f"""
SELECT c.campaign_id FROM {{g}}.attribution_window w JOIN {{g}}.campaign c ON c.ws = $1 AND c.campaign = w.campaign
WHERE w.ws = $1 AND w.key = $2 AND w.route = {Route.UTM:d} AND w.window_status = {WindowStatus.COUNTS:d} AND w.to_us = {END_US}
""")
EVENTS_OF_ASSETS = sql(f"""
SELECT subject, type, occurred_at_us, event_id, body FROM {{g}}.entity_event
WHERE ws = $1 AND subject = ANY($2::bigint[]) AND live
    AND type IN {sql_names((*names_like(AssetRegistered), *names_like(AssetAssociated)))}
ORDER BY occurred_at_us, event_id
""")
HELD_NOW = sql(f"""
SELECT a.asset, a.event_id, c.campaign_id
FROM {{g}}.association a JOIN {{g}}.campaign c ON c.ws = $1 AND c.campaign = a.campaign
WHERE a.ws = $1 AND a.asset = ANY($2::bigint[]) AND a.to_us = {END_US}
""")
SOCIAL_POSTS_NOW = sql(f"""
SELECT count(*) AS posts FROM {{g}}.association a JOIN {{g}}.asset s ON s.ws = $1 AND s.asset = a.asset
WHERE a.ws = $1 AND a.campaign = $2 AND a.to_us = {END_US} AND s.asset_type = 'social_post'
""")
ADDRESS_NOW_OF = sql(f"""
SELECT s.asset_id FROM {{g}}.address p JOIN {{g}}.asset s ON s.ws = $1 AND s.asset = p.asset
WHERE p.ws = $1 AND p.page = $2 AND p.to_us = {END_US}
""")
REGISTERED = sql(f"""
SELECT s.asset_id, s.asset_type, s.name, s.url, s.target_url, coalesce(h.campaigns, '{{}}') AS campaigns FROM {{g}}.asset s
LEFT JOIN LATERAL (
    SELECT array_agg(c.campaign_id ORDER BY c.campaign_id) AS campaigns FROM {{g}}.association a
    JOIN {{g}}.campaign c ON c.ws = $1 AND c.campaign = a.campaign
    WHERE a.ws = $1 AND a.asset = s.asset AND a.to_us = {END_US}) h ON true
WHERE s.ws = $1 AND s.asset_type IS NOT NULL AND ($2::text IS NULL OR s.asset_type = $2) AND (NOT $3 OR h.campaigns IS NULL)
ORDER BY s.asset_id LIMIT $4
""")
ITEM = sql("""
SELECT i.live, i.as_of_us, e.occurred_at_us, e.body
FROM {g}.event_index i JOIN {g}.entity_event e
    ON e.ws = $1 AND e.subject = i.place AND e.occurred_at_us = i.occurred_at_us AND e.event_id = $3
WHERE i.ws = $1 AND i.event_key = $2
""")
RETRACTIONS = sql("SELECT event_id, occurred_at_us FROM {g}.retraction WHERE ws = $1 AND target = $2")
LIVE_OF = sql("SELECT event_key FROM {g}.event_index WHERE ws = $1 AND event_key = ANY($2::bytea[]) AND live")


@dataclass
class CampaignNow:
    """A campaign as its events say. `changed_by` is the latest event that created or changed it; None: nobody created it."""

    campaign_id: str
    fields: dict[str, Any] = field(default_factory=dict)
    changed_by: str | None = None
    deleted_by: str | None = None
    latest_us: int = BEGINNING_US
    """The instant of the latest event that created, changed or deleted it."""
    named_since_us: int | None = None
    """Since when events name it; None: none does."""


@dataclass
class AssetNow:
    """An asset as its events say. `registered_by` are its registrations in order; empty: nobody registered it."""

    asset_id: str
    fields: dict[str, Any] = field(default_factory=dict)
    registered_by: list[str] = field(default_factory=list)
    holders: dict[str, str] = field(default_factory=dict)
    """The campaigns that hold it now, each with the event that associated it."""
    ended_by: dict[str, str] = field(default_factory=dict)
    """By campaign: the event that dissociated it last, if that came after the last association."""
    latest_us: int = BEGINNING_US
    """The instant of the latest event that registered, associated or dissociated it."""


class ItemNow(NamedTuple):
    """An event that stands for an item, such as a sum that was spent. `retractions` are those that take it back now."""

    event: Event
    live: bool
    as_of_us: int | None
    retractions: Sequence[Order]


async def campaign_now(snapshot: Snapshot, campaign_id: str) -> CampaignNow:
    """What is known of a campaign, whether anybody created it or not."""
    now = CampaignNow(campaign_id)
    if (row := await snapshot.fetchrow(FIRST_NAMED, campaign_key(campaign_id))) is not None:
        now.named_since_us, now.deleted_by = row["created_us"], row["deleted_event"]
    for row in await snapshot.fetch(EVENTS_OF_CAMPAIGN, campaign_key(campaign_id)):
        now.latest_us = max(now.latest_us, row["occurred_at_us"])
        event = decode_event(row["body"])
        if isinstance(event, CampaignCreated):
            now.changed_by = row["event_id"]
            now.fields |= {name: v for name in CAMPAIGN_FIELDS if (v := getattr(event, name)) is not None}
    return now


async def claimed_now_by(snapshot: Snapshot, value: int) -> str | None:
    """The campaign that claims a utm value, by its key; None if no campaign does."""
    row = await snapshot.fetchrow(CLAIMED_NOW_BY, value)
    return None if row is None else str(row["campaign_id"])


async def assets_now(snapshot: Snapshot, asset_ids: Collection[str]) -> Mapping[str, AssetNow]:
    """What is known of each of these assets, whether anybody registered it or not."""
    assets = {asset_key(asset_id): AssetNow(asset_id) for asset_id in asset_ids}
    changes: dict[int, dict[str, tuple[str, str]]] = defaultdict(dict)
    for row in await snapshot.fetch(EVENTS_OF_ASSETS, list(assets)):
        now, event = assets[row["subject"]], decode_event(row["body"])
        now.latest_us = max(now.latest_us, row["occurred_at_us"])
        if isinstance(event, AssetRegistered):
            now.registered_by.append(row["event_id"])
            now.fields |= {name: v for name in ASSET_FIELDS if (v := getattr(event, name)) is not None}
        elif isinstance(event, AssetAssociated):
            changes[row["subject"]][event.campaign_id] = (row["event_id"], row["type"])
    for row in await snapshot.fetch(HELD_NOW, list(assets)):
        assets[row["asset"]].holders[row["campaign_id"]] = row["event_id"]
    for asset, latest in changes.items():
        ended = {c: event_id for c, (event_id, type_) in latest.items() if type_ == name_of(AssetDissociated)}
        assets[asset].ended_by = ended
    return {now.asset_id: now for now in assets.values()}


async def asset_now(snapshot: Snapshot, asset_id: str) -> AssetNow:
    """What is known of an asset, whether anybody registered it or not."""
    return (await assets_now(snapshot, [asset_id]))[asset_id]


async def registered_assets(
    snapshot: Snapshot, asset_type: str | None, limit: int, *, unheld: bool = False
) -> list[dict[str, Any]]:
    """The first registered assets by id, with the campaigns that hold them; of one type if it is given, and `unheld` ones alone if wanted."""
    return [dict(row) for row in await snapshot.fetch(REGISTERED, asset_type, unheld, limit)]


async def social_posts_now(snapshot: Snapshot, campaign_id: str) -> int:
    """How many social posts a campaign holds."""
    return int((await snapshot.fetchrow(SOCIAL_POSTS_NOW, campaign_key(campaign_id)))["posts"])


async def address_now_of(snapshot: Snapshot, key: int) -> str | None:
    """The asset whose address or link has this key; None if it is no asset's."""
    row = await snapshot.fetchrow(ADDRESS_NOW_OF, key)
    return None if row is None else str(row["asset_id"])


async def item_now(snapshot: Snapshot, event_id: str) -> ItemNow | None:
    """An entity event by its id, retracted or not; None if there is none."""
    row = await snapshot.fetchrow(ITEM, event_key(event_id), event_id)
    if row is None:
        return None
    by_key = {event_key(r["event_id"]): r for r in await snapshot.fetch(RETRACTIONS, event_id)}
    live = {r["event_key"] for r in await snapshot.fetch(LIVE_OF, list(by_key))}
    orders = [Order(r["occurred_at_us"], r["event_id"]) for key, r in by_key.items() if key in live]
    return ItemNow(decode_event(row["body"]), row["live"], row["as_of_us"], sorted(orders))
