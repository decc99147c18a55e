"""What is stored of the campaigns, assets, addresses and utm values of a batch, and what do their events say?"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from shared.events import types as e
from shared.events.codec import decode_event
from shared.events.registry import name_of, names_like, names_with, sql_names
from shared.projection.pipeline import Context
from shared.projection.sql import Statement, sql
from shared.rules import utm
from shared.rules.association import IgnoredAssociation, Life
from shared.rules.keys import utm_key
from shared.rules.order import Order
from shared.rules.pre_association import Route

ASSOCIATION_TYPES = names_like(e.AssetAssociated)
ASSOCIATED = name_of(e.AssetAssociated)  # the others end one

EVENTS_ABOUT = sql("""
SELECT subject, object, type, occurred_at_us, event_id, body FROM {g}.entity_event
WHERE ws = $1 AND subject = ANY($2::bigint[]) AND live
""")
EVENTS_WITH = sql("""
SELECT subject, object, type, occurred_at_us, event_id, body FROM {g}.entity_event
WHERE ws = $1 AND object = ANY($2::bigint[]) AND live
""")
ALL_CAMPAIGNS = sql("SELECT campaign FROM {g}.campaign WHERE ws = $1")
CAMPAIGNS = sql(
    "SELECT campaign, created_us, deleted_us, deleted_event FROM {g}.campaign WHERE ws = $1 AND campaign = ANY($2::bigint[])"
)
ASSET_TYPES = sql("SELECT asset, asset_type FROM {g}.asset WHERE ws = $1 AND asset = ANY($2::bigint[])")
CROWDED = sql(f"""
SELECT EXISTS (
    SELECT FROM {{g}}.entity_event WHERE ws = $1 AND object = ANY($2::bigint[]) AND type = '{ASSOCIATED}' AND live
    GROUP BY object HAVING count(DISTINCT subject) > $3)
OR EXISTS (
    SELECT FROM {{g}}.ignored_association WHERE ws = $1 AND campaign = ANY($2::bigint[])
    AND reason = '{IgnoredAssociation.SOCIAL_POST_LIMIT}')
""")  # whether any of these campaigns may reach the limit of social posts, or did
SOCIAL_POSTS = sql("SELECT asset FROM {g}.asset WHERE ws = $1 AND asset_type = 'social_post'")
ASSOCIATIONS = sql(
    "SELECT asset, campaign, from_us, to_us FROM {g}.association WHERE ws = $1 AND asset = ANY($2::bigint[])"
)
REGISTRATIONS = sql(f"""
SELECT subject, object, leads_to, occurred_at_us, event_id FROM {{g}}.entity_event
WHERE ws = $1 AND type IN {sql_names(names_with("page", "link"))} AND live AND (object = ANY($2::bigint[]) OR leads_to = ANY($2::bigint[]))
""")  # who registered these pages or links
PAGES_OF = sql("SELECT DISTINCT page FROM {g}.address WHERE ws = $1 AND asset = ANY($2::bigint[])")
VALUES_OF = sql(f"""
SELECT DISTINCT key FROM {{g}}.attribution_window WHERE ws = $1 AND campaign = ANY($2::bigint[]) AND route = {Route.UTM:d}
""")
READING_AS = sql("SELECT value FROM {g}.utm_reading WHERE ws = $1 AND decoded = ANY($2::bigint[])")
READINGS_OF = sql("SELECT value, decoded FROM {g}.utm_reading WHERE ws = $1 AND value = ANY($2::bigint[])")


@dataclass(frozen=True)
class CatalogEvent:
    """An entity event about a campaign or an asset. It is decoded when it is asked for first, and once."""

    subject: int
    object: int | None
    type: str
    order: Order
    body: bytes

    @cached_property
    def event(self) -> e.Event:
        """The event, decoded."""
        return decode_event(self.body)


class CatalogEvents:
    """The entity events that a batch's catalog is derived from: each is read from the store once, and remembered.

    No entity event is written while it is in use.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._by_id: dict[str, CatalogEvent] = {}
        self._about: dict[int, list[CatalogEvent]] = {}
        self._with: dict[int, list[CatalogEvent]] = {}

    async def about(self, subjects: Collection[int]) -> Mapping[int, list[CatalogEvent]]:
        """The events about each of these campaigns or assets; an empty list where there are none."""
        return await self._of(EVENTS_ABOUT, "subject", self._about, subjects)

    async def with_object(self, objects: Collection[int]) -> Mapping[int, list[CatalogEvent]]:
        """The events that name each of these campaigns, pages or utm values as their object; an empty list where there are none."""
        return await self._of(EVENTS_WITH, "object", self._with, objects)

    async def _of(
        self, statement: Statement, column: str, known: dict[int, list[CatalogEvent]], keys: Collection[int]
    ) -> Mapping[int, list[CatalogEvent]]:
        if missing := [key for key in keys if key not in known]:
            known.update((key, []) for key in missing)
            for row in await self._context.connection.fetch(statement, self._context.ws, missing):
                known[row[column]].append(self._remember(row))
        return {key: known[key] for key in keys}

    def _remember(self, row: Any) -> CatalogEvent:
        event = self._by_id.get(row["event_id"])
        if event is None:
            event = CatalogEvent(row["subject"], row["object"], row["type"], order_of(row), row["body"])
            self._by_id[row["event_id"]] = event
        return event


def order_of(row: Any) -> Order:
    """The place of a stored event among all events."""
    return Order(row["occurred_at_us"], row["event_id"])


async def all_campaigns(context: Context) -> set[int]:
    """Every campaign of the workspace."""
    return {row["campaign"] for row in await context.connection.fetch(ALL_CAMPAIGNS, context.ws)}


async def lives(context: Context, campaigns: Collection[int]) -> dict[int, Life]:
    """The stored lives of these campaigns; those without a row have none."""
    if not campaigns:
        return {}
    return {
        r["campaign"]: Life(
            r["created_us"], None if r["deleted_us"] is None else Order(r["deleted_us"], r["deleted_event"])
        )
        for r in await context.connection.fetch(CAMPAIGNS, context.ws, list(campaigns))
    }


async def asset_types(context: Context, assets: Collection[int]) -> dict[int, str | None]:
    """The stored types of these assets; None where no event says it."""
    if not assets:
        return {}
    rows = await context.connection.fetch(ASSET_TYPES, context.ws, list(assets))
    return {r["asset"]: r["asset_type"] for r in rows}


async def pages_of(context: Context, assets: Collection[int]) -> set[int]:
    """The page addresses and links that are stored as these assets'."""
    return {row["page"] for row in await context.connection.fetch(PAGES_OF, context.ws, list(assets))}


async def crowding_posts(
    context: Context, events: CatalogEvents, campaigns: Collection[int], assets: Collection[int]
) -> set[int]:
    """All social posts, where a campaign may be full of them: one post's refusal is another one's matter."""
    concerned = set(campaigns)
    for asset_events in (await events.about(assets)).values():
        concerned |= {event.object for event in asset_events if event.type == ASSOCIATED and event.object is not None}
    if not concerned:
        return set()
    if await context.connection.fetchval(CROWDED, context.ws, list(concerned), context.social_posts_max):
        return {row["asset"] for row in await context.connection.fetch(SOCIAL_POSTS, context.ws)}
    return set()


class Holding(NamedTuple):
    """The campaign holds the asset in each of `spans`: from (inclusive) to (exclusive)."""

    asset: int
    campaign: int
    spans: list[tuple[int, int]]


async def holdings(context: Context, assets: Collection[int]) -> list[Holding]:
    """Who is stored to hold these assets, and when."""
    if not assets:
        return []
    held: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
    for r in await context.connection.fetch(ASSOCIATIONS, context.ws, list(assets)):
        held[r["asset"], r["campaign"]].append((r["from_us"], r["to_us"]))
    return [Holding(asset, campaign, spans) for (asset, campaign), spans in held.items()]


@dataclass(frozen=True, slots=True)
class ClaimedValues:
    """utm values whose windows are derived again, and when which campaign has one: `spans` by value and campaign."""

    values: frozenset[int]
    spans: Mapping[tuple[int, int], list[tuple[int, int]]]


async def claimed_values(
    context: Context, events: CatalogEvents, campaigns: Collection[int], values_too: Iterable[int]
) -> ClaimedValues:
    """The values that the campaigns claim or claimed, and whatever reads as one of them; and who has these when.

    To be asked before the windows are written: the values that a campaign claimed until now are found by these.
    """
    values = set(values_too)
    if campaigns:
        rows = await context.connection.fetch(VALUES_OF, context.ws, list(campaigns))
        values |= {r["key"] for r in rows}
        for campaign_events in (await events.about(campaigns)).values():
            values |= {event.object for event in campaign_events if event.object is not None}
    if not values:
        return ClaimedValues(frozenset(), {})
    values |= {r["value"] for r in await context.connection.fetch(READING_AS, context.ws, list(values))}
    rows = await context.connection.fetch(READINGS_OF, context.ws, list(values))
    decoded = {r["value"]: r["decoded"] for r in rows}
    claimed = await _claimed(context, events, values | set(decoded.values()))
    spans: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
    for value in values:
        otherwise = claimed.get(decoded[value], ()) if value in decoded else ()
        for campaign, from_us, to_us in utm.read_as_either(claimed.get(value, ()), otherwise):
            spans[value, campaign].append((from_us, to_us))
    return ClaimedValues(frozenset(values), spans)


async def _claimed(context: Context, events: CatalogEvents, values: set[int]) -> Mapping[int, list[utm.Span]]:
    """Who claimed each of these values when."""
    claims = []
    for value_claims in (await events.with_object(values)).values():
        for claim in value_claims:
            event = claim.event
            assert isinstance(event, e.CampaignCreated)
            claims.append(utm.Claim(claim.order, utm.normalised(event.utm_campaign or ""), claim.subject))
    lived = await lives(context, {claim.campaign for claim in claims})
    deleted = {campaign: life.deleted for campaign, life in lived.items() if life.deleted is not None}
    out: dict[int, list[utm.Span]] = defaultdict(list)
    for value, campaign, from_us, to_us in utm.claimed(claims, deleted):
        out[utm_key(value)].append((campaign, from_us, to_us))
    return out
