"""Layer *attribute*: what each campaign held and claimed, and when.

A change of the catalog rewrites the claims of the assets and values that it concerns. No touch is rewritten: touches meet
claims when they are read (`shared.projection.attribution`), so moving an asset costs the same however much it was touched.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from shared.events import types as e
from shared.events.codec import decode_event
from shared.events.money import exact_minor
from shared.projection.sql import sql
from shared.projection.work import Work
from shared.rules import page, utm
from shared.rules.association import Change, Idle, Ineffective, Interval, Life, intervals, life
from shared.rules.keys import page_key, utm_key
from shared.rules.order import Order
from shared.rules.pre_association import Piece, Route, asset_pieces, utm_pieces, within

CAMPAIGN_EVENTS = (e.CampaignCreated, e.CampaignDeleted, e.SpendRecorded, e.AssetAssociated)
ASSET_EVENTS = (e.AssetRegistered, e.AssetPublished, e.AssetAssociated)

FACTS_ABOUT = sql("""
SELECT subject, object, type, occurred_at_us, event_id, body FROM {g}.fact
WHERE ws = $1 AND subject = ANY($2::bigint[]) AND live
""")
FACTS_WITH = sql("""
SELECT subject, object, type, occurred_at_us, event_id, body FROM {g}.fact
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
SAVE_ASSETS = sql("""
INSERT INTO {g}.asset SELECT $1, * FROM unnest(
    $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bool[], $9::bigint[])
""")
DROP_ASSETS = sql("DELETE FROM {g}.asset WHERE ws = $1 AND asset = ANY($2::bigint[])")
ASSET_TYPES = sql("SELECT asset, asset_type FROM {g}.asset WHERE ws = $1 AND asset = ANY($2::bigint[])")

CROWDED = sql(f"""
SELECT EXISTS (
    SELECT FROM {{g}}.fact WHERE ws = $1 AND object = ANY($2::bigint[]) AND type = 'asset_associated' AND live
    GROUP BY object HAVING count(DISTINCT subject) > $3)
OR EXISTS (
    SELECT FROM {{g}}.ineffective WHERE ws = $1 AND campaign = ANY($2::bigint[])
    AND reason = '{Ineffective.SOCIAL_POST_LIMIT}')
""")  # whether any of these campaigns may reach the limit of social posts, or did
SOCIAL_POSTS = sql("SELECT asset FROM {g}.asset WHERE ws = $1 AND asset_type = 'social_post'")

DROP_ASSOCIATIONS = sql("DELETE FROM {g}.association WHERE ws = $1 AND asset = ANY($2::bigint[])")
ADD_ASSOCIATIONS = sql("""
INSERT INTO {g}.association SELECT $1, * FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::text[])
""")
ASSOCIATIONS = sql(
    "SELECT asset, campaign, from_us, to_us FROM {g}.association WHERE ws = $1 AND asset = ANY($2::bigint[])"
)
DROP_INEFFECTIVE = sql("DELETE FROM {g}.ineffective WHERE ws = $1 AND asset = ANY($2::bigint[])")
ADD_INEFFECTIVE = sql("""
INSERT INTO {g}.ineffective SELECT $1, * FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::text[], $6::text[])
""")
DROP_ADDRESSES = sql("DELETE FROM {g}.address WHERE ws = $1 AND page = ANY($2::bigint[])")
ADD_ADDRESSES = sql(
    "INSERT INTO {g}.address SELECT $1, * FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[])"
)
PAGES_OF = sql("SELECT DISTINCT page FROM {g}.address WHERE ws = $1 AND asset = ANY($2::bigint[])")
VALUES_OF = sql("""
SELECT DISTINCT key FROM {g}.claim WHERE ws = $1 AND campaign = ANY($2::bigint[]) AND route = 3
""")
DROP_CLAIMS = sql("DELETE FROM {g}.claim WHERE ws = $1 AND key = ANY($2::bigint[])")
ADD_CLAIMS = sql("""
INSERT INTO {g}.claim SELECT $1, * FROM unnest(
    $2::bigint[], $3::smallint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::smallint[], $8::bigint[])
""")


async def derive_catalog(work: Work) -> None:
    """Derive the campaigns, assets and claims that the batch's catalog events concern."""
    if not work.campaigns and not work.assets:
        return
    await _derive_campaigns(work)
    registered = await _derive_assets(work)
    await _derive_associations(work)
    await _derive_claims(work, registered)


async def _derive_campaigns(work: Work) -> None:
    """Campaign rows; a changed life concerns every asset ever associated, a changed value every campaign that told it."""
    keys = list(work.campaigns)
    if not keys:
        return
    was = {r["campaign"]: (r["created_us"], r["deleted_us"], r["deleted_event"])
           for r in await work.connection.fetch(CAMPAIGNS, work.ws, keys)}  # fmt: skip
    told: dict[int, list[Any]] = defaultdict(list)
    for row in await work.connection.fetch(FACTS_ABOUT, work.ws, keys):
        told[row["subject"]].append(row)
    held: dict[int, set[int]] = defaultdict(set)
    for row in await work.connection.fetch(FACTS_WITH, work.ws, keys):
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


def _campaign_row(key: int, facts: Iterable[Any], workspace_currency: str) -> tuple[Any, ...]:
    events = sorted(((_order(row), row["type"], decode_event(row["body"])) for row in facts), key=lambda t: t[0])
    first = events[0][2]
    assert isinstance(first, CAMPAIGN_EVENTS)
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
    """Asset rows; answers the page addresses that the assets ever registered, before or now."""
    assets = list(work.assets)
    told: dict[int, list[Any]] = defaultdict(list)
    for row in await work.connection.fetch(FACTS_ABOUT, work.ws, assets):
        told[row["subject"]].append(row)
    rows, pages = [], set()
    for key in assets:
        events = sorted(((_order(row), decode_event(row["body"])) for row in told[key]), key=lambda t: t[0])
        if not events:
            continue
        type_ = name = url = target = None
        published, first_us = False, None
        for order, event in events:
            if isinstance(event, e.AssetRegistered):
                type_, name = event.asset_type, event.name or name
                url, target = event.url or url, event.target_url or target
                if event.url:
                    pages.add(page_key(page.parse(event.url).address))
            elif isinstance(event, e.AssetUnpublished):
                published = False
            elif isinstance(event, e.AssetPublished):
                published = True
                first_us = order.at_us if first_us is None else first_us
        first = events[0][1]
        assert isinstance(first, ASSET_EVENTS)
        rows.append((key, first.asset_id, type_, name, url, target, published, first_us))
    pages |= {row["page"] for row in await work.connection.fetch(PAGES_OF, work.ws, assets)}
    await work.connection.execute(DROP_ASSETS, work.ws, assets)
    if rows:
        await work.connection.execute(SAVE_ASSETS, work.ws, *map(list, zip(*rows, strict=True)))
    return pages


async def _derive_associations(work: Work) -> None:
    """Who held the marked assets when; where a campaign may be full of social posts, all of these together."""
    work.assets |= await _crowded(work)
    assets = list(work.assets)
    facts = [r for r in await work.connection.fetch(FACTS_ABOUT, work.ws, assets)
             if r["type"] in ("asset_associated", "asset_dissociated")]  # fmt: skip
    changes = [Change(_order(r), r["subject"], r["object"], r["type"] == "asset_associated") for r in facts]
    lives = await _lives(work, {change.campaign for change in changes})
    types = {r["asset"]: r["asset_type"] for r in await work.connection.fetch(ASSET_TYPES, work.ws, assets)}
    held, idle = intervals(changes, lives, types, work.social_posts_max)
    await work.connection.execute(DROP_ASSOCIATIONS, work.ws, assets)
    await work.connection.execute(DROP_INEFFECTIVE, work.ws, assets)
    await _add(work, ADD_ASSOCIATIONS, [Interval(i.asset, i.campaign, i.from_us, i.to_us, i.event_id) for i in held])
    await _add(work, ADD_INEFFECTIVE, [_idle_row(change) for change in idle])


async def _crowded(work: Work) -> set[int]:
    """All social posts, where a campaign may be full of them: one post's refusal is another one's matter."""
    rows = await work.connection.fetch(FACTS_ABOUT, work.ws, list(work.assets))
    campaigns = work.campaigns | {r["object"] for r in rows if r["type"] == "asset_associated"}
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


async def _derive_claims(work: Work, pages: set[int]) -> None:
    """What a touch of each marked asset, address or value is to each campaign that ever held or claimed it."""
    held_addresses = await _derive_addresses(work, pages)
    assets = set(work.assets) | {asset for _, asset, _, _ in held_addresses}
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
    for address, asset, from_us, to_us in held_addresses:
        for campaign, cut in pieces[asset]:
            rows += [(campaign, Route.ASSET, address, *p, asset) for p in within(cut, from_us, to_us)]
    values, claimed = await _claimed_values(work)
    for (value, campaign), spans in claimed.items():
        rows += [(campaign, Route.UTM, value, *p, None) for p in utm_pieces(spans)]
    await work.connection.execute(DROP_CLAIMS, work.ws, [*work.assets, *pages, *values])
    await _add(work, ADD_CLAIMS, rows)


async def _derive_addresses(work: Work, pages: set[int]) -> list[tuple[int, int, int, int]]:
    """Whose the addresses are, as (page, asset, from, to)."""
    if not pages:
        return []
    facts = await work.connection.fetch(FACTS_WITH, work.ws, list(pages))
    assets = {r["subject"] for r in facts}
    types = {r["asset"]: r["asset_type"] for r in await work.connection.fetch(ASSET_TYPES, work.ws, list(assets))}
    registrations = []
    for r in facts:
        event = decode_event(r["body"])
        if isinstance(event, e.AssetRegistered) and event.url and types.get(r["subject"]) in page.PAGE_TYPES:
            registrations.append(page.Registration(_order(r), page.parse(event.url).address, r["subject"]))
    held = [(page_key(h.address), h.asset, h.from_us, h.to_us) for h in page.addresses(registrations)]
    await work.connection.execute(DROP_ADDRESSES, work.ws, list(pages))
    await _add(work, ADD_ADDRESSES, [(key, from_us, to_us, asset) for key, asset, from_us, to_us in held])
    return held


async def _claimed_values(work: Work) -> tuple[set[int], dict[tuple[int, int], list[tuple[int, int]]]]:
    """The values that the marked campaigns claim or claimed, and who claimed these when."""
    out: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
    if not work.campaigns:
        return set(), out
    campaigns = list(work.campaigns)
    values = {r["key"] for r in await work.connection.fetch(VALUES_OF, work.ws, campaigns)}
    for r in await work.connection.fetch(FACTS_ABOUT, work.ws, campaigns):
        if r["object"] is not None:
            values.add(r["object"])
    facts = await work.connection.fetch(FACTS_WITH, work.ws, list(values)) if values else []
    claims = []
    for r in facts:
        event = decode_event(r["body"])
        assert isinstance(event, e.CampaignCreated)
        claims.append(utm.Claim(_order(r), utm.normalised(event.utm_campaign or ""), r["subject"]))
    lives = await _lives(work, {claim.campaign for claim in claims})
    deleted = {campaign: lived.deleted for campaign, lived in lives.items() if lived.deleted is not None}
    for value, campaign, from_us, to_us in utm.claimed(claims, deleted):
        out[utm_key(value), campaign].append((from_us, to_us))
    return values, out


async def _add(work: Work, statement: Any, rows: list[Any]) -> None:
    if rows:
        await work.connection.execute(statement, work.ws, *map(list, zip(*rows, strict=True)))


def _order(row: Any) -> Order:
    return Order(row["occurred_at_us"], row["event_id"])
