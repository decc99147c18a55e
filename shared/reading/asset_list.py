"""Which assets are there, who held each when, what happened to it, and whom did it influence?"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.events.instants import END_US, to_rfc3339
from shared.events.registry import name_of, names_like, sql_names
from shared.events.types import AssetAssociated, CampaignDeleted
from shared.projection.sql import sql, sql_numbers
from shared.projection.windows import COUNTING_STATUSES, KEY_COLUMN, within
from shared.reading.assets import _HISTORY, _SPAN
from shared.reading.attribution import OWNER_OF
from shared.reading.keyset import HOLDS_TEXT, Ordering, both_ways, key_arguments, paged
from shared.reading.snapshot import NotFound, Snapshot
from shared.reading.time_range import TimeRange
from shared.rules.deal import COUNTING_STATES, State, counts, dated_us
from shared.rules.influence import DEAL_TOUCHES, INFLUENCING, TouchType
from shared.rules.keys import asset_key, campaign_key

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
COUNTS = sql(f"""
WITH span AS MATERIALIZED ({_SPAN}
), history AS ({_HISTORY})
SELECT asset, type, sum(count)::bigint AS touches, min(occurred_at_us) AS first_us, max(occurred_at_us) AS last_us
FROM history GROUP BY asset, type
""")  # the touches that count of these assets ($2) in [$3, $4), by type
ENDS = sql(f"""
SELECT occurred_at_us, event_id, subject, object, type FROM {{g}}.entity_event
WHERE ws = $1 AND subject = ANY($2::bigint[]) AND occurred_at_us = ANY($3::bigint[]) AND live
    AND type IN {sql_names((*names_like(AssetAssociated), name_of(CampaignDeleted)))}
ORDER BY occurred_at_us, event_id
""")  # the events of assets and campaigns ($2) at these instants ($3) that may have ended an association
_DAY = "(('epoch'::timestamptz + t.occurred_at_us * interval '1 microsecond') AT TIME ZONE $5)::date"
DAYS = sql(f"""
WITH span AS MATERIALIZED ({_SPAN}
), history AS ({_HISTORY}
), counted AS (
    SELECT DISTINCT h.person, h.occurred_at_us, h.event_id, h.count, c.campaign_id
    FROM history h JOIN {{g}}.touch t ON t.ws = $1 AND t.person = h.person AND t.occurred_at_us = h.occurred_at_us
        AND t.event_id = h.event_id
    CROSS JOIN LATERAL (VALUES {", ".join(f"({route:d}, t.{column})" for route, column in KEY_COLUMN.items())}) k(route, key)
    LEFT JOIN {{g}}.attribution_window w ON w.ws = $1 AND w.key = k.key AND w.route = k.route
        AND w.window_status IN ({COUNTING_STATUSES}) AND {within("w")}
    LEFT JOIN {{g}}.campaign c ON c.ws = $1 AND c.campaign = w.campaign
)
SELECT {_DAY} AS "on", campaign_id, sum(count)::bigint AS touches FROM counted t
WHERE campaign_id IS NOT NULL OR NOT EXISTS (
    SELECT FROM counted o WHERE o.person = t.person AND o.event_id = t.event_id AND o.campaign_id IS NOT NULL)
GROUP BY 1, 2 ORDER BY 1, 2 NULLS LAST
""")  # its touches a day, in the time zone $5, by the campaigns for which they count; those that count for none are of null
REACHED = sql(f"""
WITH span AS MATERIALIZED ({_SPAN}
), history AS ({_HISTORY})
SELECT t.asset, o.contact, min(t.occurred_at_us) AS influence_us,
    min(t.occurred_at_us) FILTER (WHERE t.type IN ({sql_numbers(DEAL_TOUCHES)})) AS deal_touch_us
FROM history t {OWNER_OF} WHERE t.type IN ({sql_numbers(INFLUENCING)}) GROUP BY t.asset, o.contact
""")  # when each asset ($2) first reached each contact in [$3, $4)
DEALS_OF_CONTACTS = sql(f"""
SELECT d.deal, d.state, d.amount_minor, d.currency, d.created_us, d.closed_us, dc.contact
FROM {{g}}.deal_contact dc JOIN {{g}}.deal d ON d.ws = $1 AND d.deal = dc.deal
WHERE dc.ws = $1 AND dc.contact = ANY($2::bigint[]) AND d.state IN ({", ".join(f"'{state}'" for state in sorted(COUNTING_STATES))})
""")  # the deals, of the states that count, that contacts ($2) are eligible for; one row a deal and contact


@dataclass(frozen=True, slots=True)
class AssetFilter:
    """Which assets: of a type (None: any), with a text in id, name or URL, ever held by a campaign (its key), held by none now."""

    asset_type: str | None
    text: str
    campaign: int | None = None
    unheld: bool = False


@dataclass
class AssetTouches:
    """The touches of an asset that count: by type, and the instants of the first and the last in microseconds."""

    by_type: dict[str, int] = field(default_factory=dict)
    first_us: int | None = None
    last_us: int | None = None

    @property
    def total(self) -> int:
        """Of all types."""
        return sum(self.by_type.values())


@dataclass
class AssetResults:
    """Whom an asset influenced: its first touch of each contact, by key, in microseconds; the deals; the amounts of the won ones in
    minor units by currency.
    """

    contacts: dict[int, int] = field(default_factory=dict)
    deals: set[int] = field(default_factory=set)
    revenue_minor: dict[str, int] = field(default_factory=lambda: defaultdict(int))


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


async def touches_of_assets(snapshot: Snapshot, assets: Collection[int], span: TimeRange) -> dict[int, AssetTouches]:
    """The touches that count of each of these assets, by key, in a range."""
    out: dict[int, AssetTouches] = defaultdict(AssetTouches)
    for row in await snapshot.fetch(COUNTS, list(assets), span.from_us, span.to_us):
        one, name = out[row["asset"]], TouchType(row["type"]).wire
        one.by_type[name] = one.by_type.get(name, 0) + row["touches"]
        one.first_us = row["first_us"] if one.first_us is None else min(one.first_us, row["first_us"])
        one.last_us = row["last_us"] if one.last_us is None else max(one.last_us, row["last_us"])
    return out


async def days_of_asset(snapshot: Snapshot, asset: int, span: TimeRange) -> list[dict[str, Any]]:
    """The touches of an asset, by key, a day of the workspace and campaign. A touch that counts for two campaigns is in both."""
    rows = await snapshot.fetch(DAYS, [asset], span.from_us, span.to_us, snapshot.settings.time_zone)
    return [{"on": row["on"], "campaign": row["campaign_id"], "touches": row["touches"]} for row in rows]


async def results_of_assets(snapshot: Snapshot, assets: Collection[int], span: TimeRange) -> dict[int, AssetResults]:
    """Whom each of these assets, by key, influenced (rules **influence**, **deal**), whatever campaign held it.

    A contact is of the range if the asset's first touch of it is, a deal if its close (open: its creation) is.
    """
    out: dict[int, AssetResults] = defaultdict(AssetResults)
    reached: dict[int, list[tuple[int, int | None]]] = defaultdict(list)
    for row in await snapshot.fetch(REACHED, list(assets), TimeRange().from_us, TimeRange().to_us):
        if row["influence_us"] in span:
            out[row["asset"]].contacts[row["contact"]] = row["influence_us"]
        reached[row["contact"]].append((row["asset"], row["deal_touch_us"]))
    for deal in await snapshot.fetch(DEALS_OF_CONTACTS, list(reached)):
        if dated_us(deal["created_us"], deal["closed_us"]) not in span:
            continue
        state = State(deal["state"])
        for asset, deal_touch_us in reached[deal["contact"]]:
            one = out[asset]
            if counts(state, deal["closed_us"], deal_touch_us) and deal["deal"] not in one.deals:
                one.deals.add(deal["deal"])
                if state is State.WON and deal["amount_minor"] is not None:
                    one.revenue_minor[deal["currency"]] += deal["amount_minor"]
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
    """A time in which a campaign held an asset, as answers tell it."""
    return {
        "campaign": row["campaign_id"], "from": to_rfc3339(row["from_us"]),
        "to": None if row["to_us"] == END_US else to_rfc3339(row["to_us"]), "associated_by": row["event_id"],
    }  # fmt: skip
