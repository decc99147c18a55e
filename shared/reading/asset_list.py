"""Which assets are there, who held each when, what happened to it, and whom did it influence?"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.events.instants import END_US, to_rfc3339
from shared.events.registry import name_of, names_like, sql_names
from shared.events.types import AssetAssociated, CampaignDeleted
from shared.projection.days import date_of
from shared.projection.sql import sql
from shared.projection.windows import KEY_COLUMN
from shared.reading.asset_histories import SPAN, touches_by_day
from shared.reading.campaign_deals import CAMPAIGN_IDS
from shared.reading.keyset import HOLDS_TEXT, Ordering, both_ways, key_arguments, paged
from shared.reading.snapshot import NotFound, Snapshot
from shared.reading.time_range import TimeRange
from shared.rules.deal import State
from shared.rules.excluded_traffic import TrafficClass
from shared.rules.keys import asset_key, campaign_key
from shared.rules.pre_association import Route

NAME = """lower(coalesce(s.name, s.asset_id COLLATE "default")) COLLATE "C\""""
ASSET_ORDERS = both_ways({"name": Ordering(((NAME, "text"), ("s.asset_id", "text")))})
"""By the name; an asset without one by its id."""
TOUCH_SORTS = ("page_visited", "touches")
"""What the whole list can also be sorted by: the page visits, or all touches, of each asset; they are counted first."""

_WHERE = f"""
FROM {{g}}.asset s WHERE s.ws = $1 AND ($2::text IS NULL OR s.asset_type = $2)
    AND ($3::text = '' OR {HOLDS_TEXT.format(column='s.asset_id COLLATE "default"')} OR {HOLDS_TEXT.format(column="s.name")}
        OR {HOLDS_TEXT.format(column="s.url")})
    AND ($4::bigint[] IS NULL OR s.asset = ANY($4))
    AND (NOT $5::bool OR NOT EXISTS (
        SELECT FROM {{g}}.association a WHERE a.ws = $1 AND a.asset = s.asset AND a.to_us = {END_US}))"""
_COLUMNS = "s.asset, s.asset_id, s.asset_type, s.name, s.url, s.target_url, s.network, s.ad_type, s.published"
_PAGES = paged(f"SELECT {_COLUMNS}, {{keys}} {_WHERE} AND {{after}}", ASSET_ORDERS, 6)
ALL = sql(f"SELECT {_COLUMNS} {_WHERE}")
ASSET = sql(f"SELECT {_COLUMNS} FROM {{g}}.asset s WHERE s.ws = $1 AND s.asset = $2")
HELD_BY = sql("SELECT DISTINCT asset FROM {g}.association WHERE ws = $1 AND campaign = $2")
HOLDERS = sql("""
SELECT a.asset, c.campaign_id, a.from_us, a.to_us, a.event_id FROM {g}.association a
JOIN {g}.campaign c ON c.ws = $1 AND c.campaign = a.campaign
WHERE a.ws = $1 AND a.asset = ANY($2::bigint[]) ORDER BY a.from_us, c.campaign_id
""")  # who held these assets when, in order
ENDS = sql(f"""
SELECT occurred_at_us, event_id, subject, object, type FROM {{g}}.entity_event
WHERE ws = $1 AND subject = ANY($2::bigint[]) AND occurred_at_us = ANY($3::bigint[]) AND live
    AND type IN {sql_names((*names_like(AssetAssociated), name_of(CampaignDeleted)))}
ORDER BY occurred_at_us, event_id
""")  # the events of assets and campaigns ($2) at these instants ($3) that may have ended an association
_ROUTES = (Route.ASSET, Route.VIA)  # by which a touch is an asset's


def _seen(order: str) -> str:
    """The first or last touch in [$3, $4) of a span of a key of `span` that counts: one index lookup a span."""
    by_route = " UNION ALL ".join(
        f"""(SELECT t.occurred_at_us FROM {{g}}.touch t WHERE s.route = {route:d} AND t.ws = $1 AND t.{KEY_COLUMN[route]} = s.key
        AND t.traffic_class = {TrafficClass.COUNTED:d} AND t.occurred_at_us >= greatest(s.from_us, $3::bigint)
        AND t.occurred_at_us < least(s.to_us, $4::bigint) ORDER BY t.occurred_at_us {order} LIMIT 1)"""
        for route in _ROUTES
    )
    return f"SELECT s.asset, l.occurred_at_us FROM span s CROSS JOIN LATERAL ({by_route}) l"


SEEN = sql(f"""
WITH span AS MATERIALIZED ({SPAN})
SELECT asset, min(occurred_at_us) AS first_us, max(occurred_at_us) AS last_us FROM ({_seen("ASC")} UNION ALL {_seen("DESC")}) seen
GROUP BY asset
""")  # when assets ($2) had their first and last touch that counts in [$3, $4)

DEALS_MET = " UNION ".join(
    f"""
    SELECT s.asset, t.deal FROM span s CROSS JOIN LATERAL (
        SELECT deal FROM {{g}}.deal_touch WHERE s.route = {route:d} AND ws = $1 AND {KEY_COLUMN[route]} = s.key
            AND dated_us >= $3 AND dated_us < $4 AND occurred_at_us >= s.from_us AND occurred_at_us < s.to_us OFFSET 0) t"""
    for route in _ROUTES
)
"""SQL for the deals dated in [$3, $4) with a deal touch of an asset of `span`."""
# The deals dated in [$3, $4) that count for each asset ($2) by a deal touch, with the amounts of the won ones, by currency.
DEALS = sql(f"""
WITH span AS MATERIALIZED ({SPAN}), met AS ({DEALS_MET})
SELECT m.asset, d.currency, count(*) AS deals, sum(d.amount_minor) FILTER (WHERE d.state = '{State.WON}') AS amount_minor
FROM met m JOIN {{g}}.deal d ON d.ws = $1 AND d.deal = m.deal GROUP BY m.asset, d.currency
""")


@dataclass(frozen=True, slots=True)
class AssetFilter:
    """Which assets: of a type (None: any), with a text in id, name or URL, ever held by a campaign (its key), held by none now."""

    asset_type: str | None
    text: str
    campaign: int | None = None
    unheld: bool = False


@dataclass
class AssetDeals:
    """The deals that count for an asset, whatever campaign held it: how many, and the amounts of the won ones in minor units by currency."""

    deals: int = 0
    revenue_minor: dict[str, int] = field(default_factory=dict)


Seen = tuple[int, int]
"""The instants of the first and the last touch of an asset that counts, in microseconds."""


async def asset_row(snapshot: Snapshot, asset_id: str) -> Any:
    """The row of an asset. Raises `NotFound`."""
    row = await snapshot.fetchrow(ASSET, asset_key(asset_id))
    if row is None:
        raise NotFound("asset", asset_id)
    return row


async def assets_page(
    snapshot: Snapshot, wanted: AssetFilter, sort: str, after: Sequence[Any] | None, limit: int
) -> tuple[list[Any], list[list[Any]]]:
    """The rows of at most `limit` assets in an order of `ASSET_ORDERS`, after a key; and the key of each."""
    order = ASSET_ORDERS[sort]
    rows = await snapshot.fetch(_PAGES[sort], *await _filters(snapshot, wanted), *key_arguments(order, after), limit)
    return rows, [order.key_of(row) for row in rows]


async def all_assets(snapshot: Snapshot, wanted: AssetFilter) -> list[Any]:
    """The rows of all such assets, in no order."""
    return await snapshot.fetch(ALL, *await _filters(snapshot, wanted))


async def _filters(snapshot: Snapshot, wanted: AssetFilter) -> list[Any]:
    among = None
    if wanted.campaign is not None:
        among = [row["asset"] for row in await snapshot.fetch(HELD_BY, wanted.campaign)]
    return [wanted.asset_type, wanted.text, among, wanted.unheld]


async def holders_of(snapshot: Snapshot, assets: Collection[int]) -> dict[int, list[Any]]:
    """Every time in which a campaign held each of these assets, by key, in order."""
    out: dict[int, list[Any]] = defaultdict(list)
    for row in await snapshot.fetch(HOLDERS, list(assets)):
        out[row["asset"]].append(row)
    return out


async def seen_assets(snapshot: Snapshot, assets: Collection[int], span: TimeRange) -> dict[int, Seen]:
    """When each of these assets, by key, was touched first and last in a range; those without a touch that counts are absent."""
    rows = await snapshot.fetch(SEEN, list(assets), span.from_us, span.to_us)
    return {row["asset"]: (row["first_us"], row["last_us"]) for row in rows}


async def days_of_asset(snapshot: Snapshot, asset: int, span: TimeRange, seen: Seen | None) -> list[dict[str, Any]]:
    """The touches of an asset, by key, a day of the workspace and campaign. A touch that counts for two campaigns is in both.

    `seen` is what `seen_assets` says of it in the range; None: it has no touch.
    """
    if seen is None:
        return []
    touches = await touches_by_day(snapshot, asset, span, seen)
    keys = {campaign for _, campaign in touches if campaign is not None}
    ids = {row["campaign"]: row["campaign_id"] for row in await snapshot.fetch(CAMPAIGN_IDS, list(keys))}
    days = [(day, None if campaign is None else ids[campaign], n) for (day, campaign), n in touches.items()]
    days.sort(key=lambda one: (one[0], one[1] is None, one[1]))
    return [{"on": date_of(day), "campaign": campaign, "touches": number} for day, campaign, number in days]


async def deals_of_assets(snapshot: Snapshot, assets: Collection[int], span: TimeRange) -> dict[int, AssetDeals]:
    """The deals of a range that count for each of these assets, by key (rule **deal**): by the close, open ones by the creation."""
    out: dict[int, AssetDeals] = defaultdict(AssetDeals)
    for row in await snapshot.fetch(DEALS, list(assets), span.from_us, span.to_us):
        one = out[row["asset"]]
        one.deals += row["deals"]
        if row["amount_minor"] is not None:
            one.revenue_minor[row["currency"]] = int(row["amount_minor"])
    return out


async def held_of_asset(snapshot: Snapshot, asset: int) -> list[dict[str, Any]]:
    """Every time in which a campaign held an asset, by key, in order, each with the events that began and ended it."""
    rows = (await holders_of(snapshot, [asset]))[asset]
    instants = [row["to_us"] for row in rows if row["to_us"] != END_US]
    keys = {campaign_key(row["campaign_id"]): row["campaign_id"] for row in rows}
    ends = await snapshot.fetch(ENDS, [asset, *keys], instants)
    out = []
    for row in rows:
        at = [end for end in ends if end["occurred_at_us"] == row["to_us"]]
        of_campaign = [end for end in at if row["campaign_id"] in (keys.get(end["object"]), keys.get(end["subject"]))]
        ended_by = next((end["event_id"] for end in reversed(of_campaign or at)), None)
        out.append({**held_json(row), "ended_by": ended_by})
    return out


def held_json(row: Any) -> dict[str, Any]:
    """A time in which a campaign held an asset, as answers have it."""
    return {
        "campaign": row["campaign_id"], "from": to_rfc3339(row["from_us"]),
        "to": None if row["to_us"] == END_US else to_rfc3339(row["to_us"]), "associated_by": row["event_id"],
    }  # fmt: skip
