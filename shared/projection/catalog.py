"""Layer *attribute*: what each campaign held and claimed, and when.

A change of the catalog rewrites the claims of the assets and values that it concerns. No touch is rewritten: touches meet
claims when they are read (`shared.projection.attribution`), so moving an asset costs the same however much it was touched.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from shared.events import types as e
from shared.events.codec import decode_event
from shared.events.money import exact_minor
from shared.events.registry import name_of, names_like, names_with, sql_names
from shared.projection.rows import entity_event
from shared.projection.sql import Connection, sql
from shared.projection.work import Work
from shared.rules import page, utm
from shared.rules.association import Change, Idle, IgnoredAssociation, Interval, Life, intervals, life
from shared.rules.keys import utm_key
from shared.rules.order import Order
from shared.rules.pre_association import Piece, Route, asset_pieces, utm_pieces, within
from shared.rules.tracking_url import LINK_TYPES

KNOWN_READINGS_MAX = 65_536  # keys that a projector remembers to have written; about 6 MB
ASSOCIATIONS_TOLD = names_like(e.AssetAssociated)
ASSOCIATED = name_of(e.AssetAssociated)  # the others end one

EVENTS_ABOUT = sql("""
SELECT subject, object, type, occurred_at_us, event_id, body FROM {g}.entity_event
WHERE ws = $1 AND subject = ANY($2::bigint[]) AND live
""")
EVENTS_WITH = sql("""
SELECT subject, object, type, occurred_at_us, event_id, body FROM {g}.entity_event
WHERE ws = $1 AND object = ANY($2::bigint[]) AND live
""")
CAMPAIGNS = sql(
    "SELECT campaign, created_us, deleted_us, deleted_event FROM {g}.campaign WHERE ws = $1 AND campaign = ANY($2::bigint[])"
)
DROP_CAMPAIGNS = sql("DELETE FROM {g}.campaign WHERE ws = $1 AND campaign = ANY($2::bigint[])")
SAVE_CAMPAIGNS = sql("""
INSERT INTO {g}.campaign SELECT $1, * FROM unnest(
    $2::bigint[], $3::text[], $4::bigint[], $5::bigint[], $6::text[], $7::text[], $8::date[], $9::date[], $10::text[],
    $11::bigint[], $12::text[], $13::text[])
""")
ASSET_COLUMNS = (
    "ws", "asset", "asset_id", "asset_type", "name", "url", "target_url", "network", "ad_type", "published",
    "published_us",
)  # fmt: skip
DROP_ASSETS = sql("DELETE FROM {g}.asset WHERE ws = $1 AND asset = ANY($2::bigint[])")
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

DROP_ASSOCIATIONS = sql("DELETE FROM {g}.association WHERE ws = $1 AND asset = ANY($2::bigint[])")
ADD_ASSOCIATIONS = sql("""
INSERT INTO {g}.association SELECT $1, * FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::text[])
""")
ASSOCIATIONS = sql(
    "SELECT asset, campaign, from_us, to_us FROM {g}.association WHERE ws = $1 AND asset = ANY($2::bigint[])"
)
DROP_IGNORED_ASSOCIATIONS = sql("DELETE FROM {g}.ignored_association WHERE ws = $1 AND asset = ANY($2::bigint[])")
ADD_IGNORED_ASSOCIATIONS = sql("""
INSERT INTO {g}.ignored_association SELECT $1, * FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::text[], $6::text[])
""")
REGISTRATIONS = sql(f"""
SELECT subject, object, leads_to, occurred_at_us, event_id FROM {{g}}.entity_event
WHERE ws = $1 AND type IN {sql_names(names_with("page", "link"))} AND live AND (object = ANY($2::bigint[]) OR leads_to = ANY($2::bigint[]))
""")  # who registered these pages or links
DROP_ADDRESSES = sql("DELETE FROM {g}.address WHERE ws = $1 AND page = ANY($2::bigint[])")
ADD_ADDRESSES = sql("""
INSERT INTO {g}.address SELECT $1, * FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::smallint[])
""")
PAGES_OF = sql("SELECT DISTINCT page FROM {g}.address WHERE ws = $1 AND asset = ANY($2::bigint[])")
VALUES_OF = sql("""
SELECT DISTINCT key FROM {g}.attribution_window WHERE ws = $1 AND campaign = ANY($2::bigint[]) AND route = 3
""")
ADD_READINGS = sql("""
INSERT INTO {g}.utm_reading SELECT $1, * FROM unnest($2::bigint[], $3::bigint[]) ON CONFLICT DO NOTHING RETURNING value
""")
READING_AS = sql("SELECT value FROM {g}.utm_reading WHERE ws = $1 AND decoded = ANY($2::bigint[])")
READINGS_OF = sql("SELECT value, decoded FROM {g}.utm_reading WHERE ws = $1 AND value = ANY($2::bigint[])")
DROP_WINDOWS = sql("DELETE FROM {g}.attribution_window WHERE ws = $1 AND key = ANY($2::bigint[])")
ADD_WINDOWS = sql("""
INSERT INTO {g}.attribution_window SELECT $1, * FROM unnest(
    $2::bigint[], $3::smallint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::smallint[], $8::bigint[])
""")


async def derive_catalog(work: Work) -> None:
    """Derive the campaigns, assets and claims that the batch's catalog events concern."""
    if not work.campaigns and not work.assets and not work.values:
        return
    await _derive_campaigns(work)
    registered = await _derive_assets(work)
    await _derive_associations(work)
    await _derive_windows(work, registered)


async def _derive_campaigns(work: Work) -> None:
    """Campaign rows; a changed life concerns every asset ever associated, a changed value every campaign that told it."""
    keys = list(work.campaigns)
    if not keys:
        return
    was = {r["campaign"]: (r["created_us"], r["deleted_us"], r["deleted_event"])
           for r in await work.connection.fetch(CAMPAIGNS, work.ws, keys)}  # fmt: skip
    told: dict[int, list[Any]] = defaultdict(list)
    for row in await work.connection.fetch(EVENTS_ABOUT, work.ws, keys):
        told[row["subject"]].append(row)
    held: dict[int, set[int]] = defaultdict(set)
    for row in await work.connection.fetch(EVENTS_WITH, work.ws, keys):
        told[row["object"]].append(row)
        held[row["object"]].add(row["subject"])
    rows = [_campaign_row(key, told[key], work.settings.currency) for key in keys if told[key]]
    await work.connection.execute(DROP_CAMPAIGNS, work.ws, keys)
    if rows:
        await work.connection.execute(SAVE_CAMPAIGNS, work.ws, *map(list, zip(*rows, strict=True)))
    now = {row[0]: (row[2], row[3], row[4]) for row in rows}
    for key in keys:
        if was.get(key) != now.get(key):
            work.assets |= held[key]


def _campaign_row(key: int, entity_events: Iterable[Any], workspace_currency: str) -> tuple[Any, ...]:
    events = sorted(
        ((_order(row), row["type"], decode_event(row["body"])) for row in entity_events), key=lambda t: t[0]
    )
    first: Any = events[0][2]
    lived = life((order, kind) for order, kind, _ in events)
    told: dict[str, Any] = {}
    for _, _, event in events:
        if isinstance(event, e.CampaignCreated):
            for field in ("name", "starts_on", "ends_on", "owner", "budget", "currency", "notes"):
                if (value := getattr(event, field)) is not None:
                    told[field] = value
    currency = told.get("currency", workspace_currency)
    budget = told.get("budget")
    return (
        key, first.campaign_id, lived.created_us,
        lived.deleted.at_us if lived.deleted else None, lived.deleted.event_id if lived.deleted else None,
        told.get("name"), told.get("starts_on"), told.get("ends_on"), told.get("owner"),
        None if budget is None else exact_minor(budget, currency), currency, told.get("notes"),
    )  # fmt: skip


async def _derive_assets(work: Work) -> set[int]:
    """Asset rows; answers the page addresses and links that the assets ever registered, before or now."""
    assets = list(work.assets)
    told: dict[int, list[Any]] = defaultdict(list)
    for row in await work.connection.fetch(EVENTS_ABOUT, work.ws, assets):
        told[row["subject"]].append(row)
    rows: list[tuple[Any, ...]] = []
    pages: set[int] = set()
    for key in assets:
        events = sorted(((_order(row), decode_event(row["body"])) for row in told[key]), key=lambda t: t[0])
        if not events:
            continue
        type_ = name = url = asset_or_page_key = network = ad_type = None
        published, published_us = False, set()
        for order, event in events:
            if isinstance(event, e.AssetRegistered):
                type_, name = event.asset_type, event.name or name
                url, asset_or_page_key = event.url or url, event.target_url or asset_or_page_key
                network, ad_type = event.network or network, event.ad_type or ad_type
                pages.update(key for key in entity_event(event, work.settings.addresses)[1:] if key is not None)
            elif isinstance(event, e.AssetUnpublished):
                published = False
            elif isinstance(event, e.AssetPublished):
                published = True
                published_us.add(order.at_us)
        first: Any = events[0][1]
        rows.append(
            (
                work.ws,
                key,
                first.asset_id,
                type_,
                name,
                url,
                asset_or_page_key,
                network,
                ad_type,
                published,
                sorted(published_us),
            )
        )
    pages |= {row["page"] for row in await work.connection.fetch(PAGES_OF, work.ws, assets)}
    await work.connection.execute(DROP_ASSETS, work.ws, assets)
    await work.connection.copy("asset", ASSET_COLUMNS, rows)
    return pages


async def _derive_associations(work: Work) -> None:
    """Who held the marked assets when; where a campaign may be full of social posts, all of these together."""
    work.assets |= await _crowded(work)
    assets = list(work.assets)
    entity_events = [r for r in await work.connection.fetch(EVENTS_ABOUT, work.ws, assets)
             if r["type"] in ASSOCIATIONS_TOLD]  # fmt: skip
    changes = [Change(_order(r), r["subject"], r["object"], r["type"] == ASSOCIATED) for r in entity_events]
    lives = await _lives(work, {change.campaign for change in changes})
    types = {r["asset"]: r["asset_type"] for r in await work.connection.fetch(ASSET_TYPES, work.ws, assets)}
    held, idle = intervals(changes, lives, types, work.social_posts_max)
    await work.connection.execute(DROP_ASSOCIATIONS, work.ws, assets)
    await work.connection.execute(DROP_IGNORED_ASSOCIATIONS, work.ws, assets)
    await _add(work, ADD_ASSOCIATIONS, [Interval(i.asset, i.campaign, i.from_us, i.to_us, i.event_id) for i in held])
    await _add(work, ADD_IGNORED_ASSOCIATIONS, [_idle_row(change) for change in idle])


async def _crowded(work: Work) -> set[int]:
    """All social posts, where a campaign may be full of them: one post's refusal is another one's matter."""
    rows = await work.connection.fetch(EVENTS_ABOUT, work.ws, list(work.assets))
    campaigns = work.campaigns | {r["object"] for r in rows if r["type"] == ASSOCIATED}
    if await work.connection.fetchval(CROWDED, work.ws, list(campaigns), work.social_posts_max):
        return {row["asset"] for row in await work.connection.fetch(SOCIAL_POSTS, work.ws)}
    return set()


async def _lives(work: Work, campaigns: set[int]) -> dict[int, Life]:
    return {
        r["campaign"]: Life(
            r["created_us"], None if r["deleted_us"] is None else Order(r["deleted_us"], r["deleted_event"])
        )
        for r in await work.connection.fetch(CAMPAIGNS, work.ws, list(campaigns))
    }


def _idle_row(idle: Idle) -> tuple[Any, ...]:
    return idle.asset, idle.campaign, idle.order.at_us, idle.order.event_id, str(idle.reason)


async def _derive_windows(work: Work, pages: set[int]) -> None:
    """What a touch of each marked asset, address or value is to each campaign that ever held or claimed it."""
    held_addresses = await _derive_addresses(work, pages)
    assets = set(work.assets) | {h.asset for h, _ in held_addresses}
    held: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
    for r in await work.connection.fetch(ASSOCIATIONS, work.ws, list(assets)):
        held[r["asset"], r["campaign"]].append((r["from_us"], r["to_us"]))
    pieces: dict[int, list[tuple[int, list[Piece]]]] = defaultdict(list)
    for (asset, campaign), spans in held.items():
        pieces[asset].append((campaign, asset_pieces(spans)))
    rows: list[tuple[Any, ...]] = []
    for asset in work.assets:
        for campaign, cut in pieces[asset]:
            for route in (Route.ASSET, Route.VIA):
                rows += [(campaign, route, asset, *p, asset) for p in cut]
    for h, route in held_addresses:
        for campaign, cut in pieces[h.asset]:
            rows += [(campaign, route, h.key, *p, h.asset) for p in within(cut, h.from_us, h.to_us)]
    values, claimed = await _claimed_values(work)
    for (value, campaign), spans in claimed.items():
        rows += [(campaign, Route.UTM, value, *p, None) for p in utm_pieces(spans)]
    await work.connection.execute(DROP_WINDOWS, work.ws, [*work.assets, *pages, *values])
    await _add(work, ADD_WINDOWS, rows)


async def _derive_addresses(work: Work, pages: set[int]) -> list[tuple[page.Held, Route]]:
    """Whose the addresses and the links are, and by which route a visit of them is."""
    if not pages:
        return []
    entity_events = await work.connection.fetch(REGISTRATIONS, work.ws, list(pages))
    assets = {r["subject"] for r in entity_events}
    types = {r["asset"]: r["asset_type"] for r in await work.connection.fetch(ASSET_TYPES, work.ws, list(assets))}
    held = []
    for route, column, of in ((Route.ASSET, "object", page.PAGE_TYPES), (Route.VIA, "leads_to", LINK_TYPES)):
        told = [
            page.Registration(_order(r), r[column], r["subject"])
            for r in entity_events
            if r[column] in pages and types.get(r["subject"]) in of
        ]
        held += [(h, route) for h in page.addresses(told)]
    await work.connection.execute(DROP_ADDRESSES, work.ws, list(pages))
    await _add(work, ADD_ADDRESSES, [(h.key, h.from_us, h.to_us, h.asset, route) for h, route in held])
    return held


async def _claimed_values(work: Work) -> tuple[set[int], dict[tuple[int, int], list[tuple[int, int]]]]:
    """The values that the marked campaigns claim or claimed, and whatever reads as one of them; and who has these when."""
    out: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
    campaigns, values = list(work.campaigns), set(work.values)
    if campaigns:
        values |= {r["key"] for r in await work.connection.fetch(VALUES_OF, work.ws, campaigns)}
        told = await work.connection.fetch(EVENTS_ABOUT, work.ws, campaigns)
        values |= {r["object"] for r in told if r["object"] is not None}
    if not values:
        return values, out
    values |= {r["value"] for r in await work.connection.fetch(READING_AS, work.ws, list(values))}
    rows = await work.connection.fetch(READINGS_OF, work.ws, list(values))
    decoded = {r["value"]: r["decoded"] for r in rows}
    claimed = await _claimed(work, values | set(decoded.values()))
    for value in values:
        otherwise = claimed[decoded[value]] if value in decoded else ()
        for campaign, from_us, to_us in utm.read_as_either(claimed[value], otherwise):
            out[value, campaign].append((from_us, to_us))
    return values, out


async def _claimed(work: Work, values: set[int]) -> dict[int, list[utm.Span]]:
    """Who claimed each of these values when."""
    claims = []
    for r in await work.connection.fetch(EVENTS_WITH, work.ws, list(values)):
        event = decode_event(r["body"])
        assert isinstance(event, e.CampaignCreated)
        claims.append(utm.Claim(_order(r), utm.normalised(event.utm_campaign or ""), r["subject"]))
    lives = await _lives(work, {claim.campaign for claim in claims})
    deleted = {campaign: lived.deleted for campaign, lived in lives.items() if lived.deleted is not None}
    out: dict[int, list[utm.Span]] = defaultdict(list)
    for value, campaign, from_us, to_us in utm.claimed(claims, deleted):
        out[utm_key(value)].append((campaign, from_us, to_us))
    return out


async def save_readings(connection: Connection, ws: int, readings: Mapping[int, int], remembered: set[int]) -> set[int]:
    """Write the values that read otherwise decoded, if they are new; answers these. `remembered` are those that the store has."""
    new = {value: decoded for value, decoded in readings.items() if value not in remembered}
    if not new:
        return set()
    if len(remembered) > KNOWN_READINGS_MAX:
        remembered.clear()
    remembered |= set(new)
    rows = await connection.fetch(ADD_READINGS, ws, list(new), list(new.values()))
    return {row["value"] for row in rows}


async def _add(work: Work, statement: Any, rows: list[Any]) -> None:
    if rows:
        await work.connection.execute(statement, work.ws, *map(list, zip(*rows, strict=True)))


def _order(row: Any) -> Order:
    return Order(row["occurred_at_us"], row["event_id"])
