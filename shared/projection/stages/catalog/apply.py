"""Stage *catalog*: what each campaign held and claimed, and when.

A change of the catalog rewrites the attribution windows of the assets and values that it concerns. No touch is rewritten:
touches meet windows when they are read, so moving an asset costs the same however much it was touched.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from shared.events import types as e
from shared.events.money import exact_minor
from shared.projection.changes import CatalogChanged, Change, Changes, EntitiesChanged, SettingsChanged, UtmValuesAdded
from shared.projection.pipeline import Context, Stage
from shared.projection.rows import entity_event
from shared.projection.sql import Statement, sql, sql_numbers
from shared.projection.stages.catalog.gather import (
    ASSOCIATED,
    ASSOCIATION_TYPES,
    REGISTRATIONS,
    CatalogEvent,
    CatalogEvents,
    all_campaigns,
    asset_types,
    claimed_values,
    crowding_posts,
    holdings,
    lives,
    order_of,
    pages_of,
)
from shared.rules import association, budget, page
from shared.rules.order import Order
from shared.rules.page import AddressRules
from shared.rules.pre_association import COUNTING_STATUSES, Piece, Route, asset_pieces, utm_pieces, within
from shared.rules.tracking_url import LINK_TYPES

CAMPAIGN_OWNER = 8  # its place in the rows of `SAVE_CAMPAIGNS`
DROP_CAMPAIGNS = sql(
    "DELETE FROM {g}.campaign WHERE ws = $1 AND campaign = ANY($2::bigint[]) RETURNING campaign, owner"
)
SAVE_CAMPAIGNS = sql("""
INSERT INTO {g}.campaign SELECT $1, * FROM unnest(
    $2::bigint[], $3::text[], $4::bigint[], $5::bigint[], $6::text[], $7::text[], $8::date[], $9::date[], $10::text[],
    $11::bigint[], $12::text[], $13::text[])
""")
ASSET_COLUMNS = (
    "ws", "asset", "asset_id", "asset_type", "name", "url", "target_url", "network", "ad_type", "published",
    "published_us",
)  # fmt: skip
DROP_ASSETS = sql("""
DELETE FROM {g}.asset WHERE ws = $1 AND asset = ANY($2::bigint[]) RETURNING asset, asset_id, asset_type, network, ad_type
""")
ASSET_NAMED = ("asset_id", "asset_type", "network", "ad_type")
"""What reports say of an asset that a touch is of."""
DROP_ASSOCIATIONS = sql("DELETE FROM {g}.association WHERE ws = $1 AND asset = ANY($2::bigint[])")
ADD_ASSOCIATIONS = sql("""
INSERT INTO {g}.association SELECT $1, * FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::text[])
""")
DROP_IGNORED_ASSOCIATIONS = sql("DELETE FROM {g}.ignored_association WHERE ws = $1 AND asset = ANY($2::bigint[])")
ADD_IGNORED_ASSOCIATIONS = sql("""
INSERT INTO {g}.ignored_association SELECT $1, * FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::text[], $6::text[])
""")
DROP_ADDRESSES = sql("""
DELETE FROM {g}.address WHERE ws = $1 AND page = ANY($2::bigint[]) RETURNING page, from_us, to_us, asset
""")
ADD_ADDRESSES = sql("""
INSERT INTO {g}.address SELECT $1, * FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::smallint[])
""")
DROP_WINDOWS = sql("""
DELETE FROM {g}.attribution_window WHERE ws = $1 AND key = ANY($2::bigint[])
RETURNING campaign, route, key, from_us, to_us, window_status, asset
""")
COUNTING_WINDOWS = sql(f"""
SELECT DISTINCT route, key, from_us, to_us FROM {{g}}.attribution_window
WHERE ws = $1 AND campaign = ANY($2::bigint[]) AND window_status IN ({sql_numbers(COUNTING_STATUSES)})
""")
ADD_WINDOWS = sql("""
INSERT INTO {g}.attribution_window SELECT $1, * FROM unnest(
    $2::bigint[], $3::smallint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::smallint[], $8::bigint[])
""")


async def run(context: Context, changes: Changes) -> Sequence[Change]:
    """Derive the campaigns, assets and attribution windows that the changes concern; pass on the keys of the windows."""
    entities, values = changes.of(EntitiesChanged), changes.of(UtmValuesAdded).values
    campaigns, assets = set(entities.campaigns), set(entities.assets)
    settings = changes.settings()
    if settings is not None and settings.was.currency != settings.now.currency:
        campaigns |= await all_campaigns(context)
    if not campaigns and not assets and not values:
        return []
    events = CatalogEvents(context)
    lived_otherwise, owned_otherwise = await _derive_campaigns(context, events, campaigns)
    assets |= lived_otherwise
    pages, renamed = await _derive_assets(context, events, assets)
    assets |= await crowding_posts(context, events, campaigns, assets)
    await _derive_associations(context, events, assets)
    claimed = await claimed_values(context, events, campaigns, values)
    rows, moved = await _windows_of_assets(context, assets, pages)
    for (value, campaign), spans in claimed.spans.items():
        rows += [(campaign, Route.UTM, value, *p, None) for p in utm_pieces(spans)]
    keys = frozenset((*assets, *pages, *claimed.values))
    was = {tuple(row) for row in await context.connection.fetch(DROP_WINDOWS, context.ws, list(keys))}
    await _add(context, ADD_WINDOWS, rows)
    campaigns_changed = frozenset(campaign for campaign, *_ in was.symmetric_difference(rows))
    named = renamed | moved | (pages if renamed else set())
    windows = {*_counting_otherwise(was, rows), *await _windows_of_campaigns(context, owned_otherwise)}
    return [CatalogChanged(keys, campaigns_changed, tuple(windows), frozenset(named))]


async def _windows_of_campaigns(context: Context, campaigns: Collection[int]) -> list[tuple[int, int, int, int]]:
    """When which keys count for some campaigns: see `CatalogChanged.windows`."""
    if not campaigns:
        return []
    return [tuple(row) for row in await context.connection.fetch(COUNTING_WINDOWS, context.ws, list(campaigns))]


def _counting_otherwise(
    was: Iterable[tuple[Any, ...]], now: Iterable[tuple[Any, ...]]
) -> tuple[tuple[int, int, int, int], ...]:
    """When keys count for other campaigns than before, of the rows of their windows: `CatalogChanged.windows`."""
    spans: dict[tuple[int, int, int], tuple[list[tuple[int, int]], list[tuple[int, int]]]] = {}
    for n, windows in enumerate((was, now)):
        for campaign, route, key, from_us, to_us, status, *_ in windows:
            if status in COUNTING_STATUSES:
                spans.setdefault((campaign, route, key), ([], []))[n].append((from_us, to_us))
    out = []
    for (_, route, key), (before, after) in spans.items():
        points = sorted({at_us for span in (*before, *after) for at_us in span})
        differing = [
            (from_us, to_us)
            for from_us, to_us in pairwise(points)
            if _covers(before, from_us) != _covers(after, from_us)
        ]
        if differing:
            out.append((int(route), key, differing[0][0], differing[-1][1]))
    return tuple(out)


def _covers(spans: Iterable[tuple[int, int]], at_us: int) -> bool:
    return any(from_us <= at_us < to_us for from_us, to_us in spans)


async def _derive_campaigns(
    context: Context, events: CatalogEvents, campaigns: Collection[int]
) -> tuple[set[int], set[int]]:
    """Campaign rows; answers every asset ever associated with a campaign whose life has changed, and the campaigns that have another owner now."""
    if not campaigns:
        return set(), set()
    was = await lives(context, campaigns)
    about, held = await events.about(campaigns), await events.with_object(campaigns)
    events_of = {key: [*about[key], *held[key]] for key in campaigns}
    rows = [_campaign_row(key, events_of[key], context.settings.currency) for key in campaigns if events_of[key]]
    owned = {
        row["campaign"]: row["owner"]
        for row in await context.connection.fetch(DROP_CAMPAIGNS, context.ws, list(campaigns))
    }
    await _add(context, SAVE_CAMPAIGNS, rows)
    owned_otherwise = {row[0] for row in rows if row[CAMPAIGN_OWNER] != owned.get(row[0])}
    now = {row[0]: association.Life(row[2], None if row[3] is None else Order(row[3], row[4])) for row in rows}
    changed = [key for key in campaigns if was.get(key) != now.get(key)]
    return {event.subject for key in changed for event in held[key]}, owned_otherwise


def _campaign_row(key: int, catalog_events: Iterable[CatalogEvent], workspace_currency: str) -> tuple[Any, ...]:
    events = sorted(catalog_events, key=lambda t: t.order)
    first: Any = events[0].event
    lived = association.life((t.order, t.type) for t in events)
    fields: dict[str, Any] = {}
    for t in events:
        event = t.event
        if isinstance(event, e.CampaignCreated):
            for field in ("name", "starts_on", "ends_on", "owner", "budget", "currency", "notes"):
                if (value := getattr(event, field)) is not None:
                    fields[field] = value
    budget_minor, currency = _budget(fields, [t.event for t in events], workspace_currency)
    return (
        key, first.campaign_id, lived.created_us,
        lived.deleted.at_us if lived.deleted else None, lived.deleted.event_id if lived.deleted else None,
        fields.get("name"), fields.get("starts_on"), fields.get("ends_on"), fields.get("owner"),
        budget_minor, currency, fields.get("notes"),
    )  # fmt: skip


def _budget(fields: Mapping[str, Any], events: Iterable[e.Event], workspace_currency: str) -> tuple[int | None, str]:
    """The campaign's budget in minor units, None if it has none, and its currency: of its items, if it has any (rule **budget**)."""
    currency = fields.get("currency", workspace_currency)
    items = [event for event in events if isinstance(event, e.BudgetRecorded)]
    if not items:
        return None if (amount := fields.get("budget")) is None else exact_minor(amount, currency), currency
    return budget.of_items([(item.amount, item.currency) for item in items], currency)


async def _derive_assets(context: Context, events: CatalogEvents, assets: Collection[int]) -> tuple[set[int], set[int]]:
    """Asset rows; answers the page addresses and links that the assets ever registered, before or now, and those assets of which reports
    say something else now.
    """
    if not assets:
        return set(), set()
    rows: list[tuple[Any, ...]] = []
    pages: set[int] = set()
    for key, asset_events in (await events.about(assets)).items():
        if asset_events:
            in_order = [(t.order, t.event) for t in sorted(asset_events, key=lambda t: t.order)]
            rows.append((context.ws, key, *_asset_columns(in_order)))
            pages |= _pages_registered(in_order, context.settings.addresses)
    pages |= await pages_of(context, assets)
    was = {tuple(row) for row in await context.connection.fetch(DROP_ASSETS, context.ws, list(assets))}
    await context.connection.copy("asset", ASSET_COLUMNS, rows)
    now = {(row[1], *(row[ASSET_COLUMNS.index(name)] for name in ASSET_NAMED)) for row in rows}
    return pages, {asset for asset, *_ in was ^ now}


def _asset_columns(registrations: Sequence[tuple[Order, e.Event]]) -> tuple[Any, ...]:
    """What an asset's events, in order, say of it: from `asset_id` on the columns of its row."""
    type_ = name = url = target_url = network = ad_type = None
    published, published_us = False, set()
    for order, event in registrations:
        if isinstance(event, e.AssetRegistered):
            type_, name = event.asset_type, event.name or name
            url, target_url = event.url or url, event.target_url or target_url
            network, ad_type = event.network or network, event.ad_type or ad_type
        elif isinstance(event, e.AssetUnpublished):
            published = False
        elif isinstance(event, e.AssetPublished):
            published = True
            published_us.add(order.at_us)
    first: Any = registrations[0][1]
    return first.asset_id, type_, name, url, target_url, network, ad_type, published, sorted(published_us)


def _pages_registered(registrations: Iterable[tuple[Order, e.Event]], rules: AddressRules) -> set[int]:
    return {
        key
        for _, event in registrations
        if isinstance(event, e.AssetRegistered)
        for key in entity_event(event, rules)[1:]
        if key is not None
    }


async def _derive_associations(context: Context, events: CatalogEvents, assets: Collection[int]) -> None:
    """Who held the assets when; where a campaign may be full of social posts, all of these are among them."""
    if not assets:
        return
    changes = [
        association.Change(t.order, asset, t.object, t.type == ASSOCIATED)
        for asset, asset_events in (await events.about(assets)).items()
        for t in asset_events
        if t.type in ASSOCIATION_TYPES and t.object is not None
    ]
    lived = await lives(context, {change.campaign for change in changes})
    types = await asset_types(context, assets)
    held, ignored = association.intervals(changes, lived, types, context.social_posts_max)
    await context.connection.execute(DROP_ASSOCIATIONS, context.ws, list(assets))
    await context.connection.execute(DROP_IGNORED_ASSOCIATIONS, context.ws, list(assets))
    await _add(context, ADD_ASSOCIATIONS, held)
    await _add(context, ADD_IGNORED_ASSOCIATIONS, [_ignored_row(change) for change in ignored])


def _ignored_row(ignored: association.Idle) -> tuple[Any, ...]:
    return ignored.asset, ignored.campaign, ignored.order.at_us, ignored.order.event_id, str(ignored.reason)


async def _windows_of_assets(
    context: Context, assets: Collection[int], pages: Collection[int]
) -> tuple[list[tuple[Any, ...]], set[int]]:
    """What a touch of each of these assets, addresses and links is to each campaign that ever held the asset; and which addresses and
    links are other assets' now.
    """
    held_addresses, moved = await _derive_addresses(context, pages)
    pieces: dict[int, list[tuple[int, list[Piece]]]] = defaultdict(list)
    for held in await holdings(context, {*assets, *(address.asset for address, _ in held_addresses)}):
        pieces[held.asset].append((held.campaign, asset_pieces(held.spans)))
    rows: list[tuple[Any, ...]] = []
    for asset in assets:
        for campaign, cut in pieces[asset]:
            for route in (Route.ASSET, Route.VIA):
                rows += [(campaign, route, asset, *p, asset) for p in cut]
    for address, route in held_addresses:
        for campaign, cut in pieces[address.asset]:
            within_it = within(cut, address.from_us, address.to_us)
            rows += [(campaign, route, address.key, *p, address.asset) for p in within_it]
    return rows, moved


async def _derive_addresses(context: Context, pages: Collection[int]) -> tuple[list[tuple[page.Held, Route]], set[int]]:
    """Whose the addresses and the links are, and by which route a visit of them is; and which are other assets' now."""
    if not pages:
        return [], set()
    registrations = await context.connection.fetch(REGISTRATIONS, context.ws, list(pages))
    types = await asset_types(context, {r["subject"] for r in registrations})
    held = []
    for route, column, of in ((Route.ASSET, "object", page.PAGE_TYPES), (Route.VIA, "leads_to", LINK_TYPES)):
        ordered = [
            page.Registration(order_of(r), r[column], r["subject"])
            for r in registrations
            if r[column] in pages and types.get(r["subject"]) in of
        ]
        held += [(h, route) for h in page.addresses(ordered)]
    was = {tuple(row) for row in await context.connection.fetch(DROP_ADDRESSES, context.ws, list(pages))}
    await _add(context, ADD_ADDRESSES, [(h.key, h.from_us, h.to_us, h.asset, route) for h, route in held])
    return held, {key for key, *_ in was ^ {(h.key, h.from_us, h.to_us, h.asset) for h, _ in held}}


async def _add(context: Context, statement: Statement, rows: Sequence[tuple[Any, ...]]) -> None:
    if rows:
        await context.connection.execute(statement, context.ws, *map(list, zip(*rows, strict=True)))


STAGE = Stage(
    "catalog", run, takes=(EntitiesChanged, SettingsChanged, UtmValuesAdded), passes_on=(CatalogChanged,), package=__package__,
    owns=("campaign", "asset", "association", "ignored_association", "address", "attribution_window"),
    reads=("entity_event", "utm_reading"),
)  # fmt: skip
