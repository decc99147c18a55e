"""What do events name that nobody created, registered or claimed?

A typing error in an id is accepted, because events come in any order. Here it shows: campaigns that nobody created, assets that nobody
registered, `utm_campaign` values with visits that no campaign claims now, and pages with visits that no asset ever registered. Only visits
that are counted are visits here (rule **excluded traffic**).

Keys of touches are found by walking along an index from one key to the next, so a page of the list costs a few look-ups for each key
that it passes, however many touches the keys have. A page passes `WALKED_MAX` keys at most, and counts `COUNTED_MAX` touches of one key
at most.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from shared.events.codec import decode_event
from shared.events.instants import END_US, to_rfc3339
from shared.events.registry import names_like, sql_names
from shared.events.types import CampaignCreated
from shared.projection.sql import Statement, sql
from shared.reading.cursors import encode_cursor
from shared.reading.snapshot import Snapshot
from shared.rules.excluded_traffic import TrafficClass
from shared.rules.influence import TouchType
from shared.rules.page import address_of, parse
from shared.rules.pre_association import Route, WindowStatus

KINDS = ("campaigns", "assets", "utm_values", "pages")
COUNTED_MAX = 10_000  # touches of one key that are counted: more is "more than that" for who looks for mistakes
WALKED_MAX = 3_000  # keys that one page passes in one index: some 0.1 ms each
STEPS_MAX = 5  # pages of keys that are looked at to fill one page; keys without a counted visit are left out
FIRST_KEY = -(2**63)

CAMPAIGNS = sql(f"""
SELECT c.campaign_id, count(*) AS events, min(e.occurred_at_us) AS first_us, max(e.occurred_at_us) AS last_us
FROM (
    SELECT campaign, campaign_id FROM {{g}}.campaign c
    WHERE c.ws = $1 AND c.campaign_id > $2 AND c.deleted_us IS NULL AND NOT EXISTS (
        SELECT FROM {{g}}.entity_event e
        WHERE e.ws = $1 AND e.subject = c.campaign AND e.live AND e.type IN {sql_names(names_like(CampaignCreated))})
    ORDER BY campaign_id LIMIT $3
) c CROSS JOIN LATERAL (
    SELECT occurred_at_us FROM {{g}}.entity_event WHERE ws = $1 AND subject = c.campaign AND live
    UNION ALL SELECT occurred_at_us FROM {{g}}.entity_event WHERE ws = $1 AND object = c.campaign AND live
) e
GROUP BY c.campaign_id ORDER BY c.campaign_id
""")  # named by associations, or by sums of money


def _walk(column: str, wanted: str) -> Statement:
    """The first $3 keys of a column of `touch` after $2 for which `wanted` holds, in order.

    If $4 keys are passed before that, the last of them ends the list and is `cut`; `wanted` is false if it is not one of those.
    `wanted` must be a subquery or an expression, not a join: then PostgreSQL stops walking as soon as it has enough keys.
    """
    following = (
        f"SELECT t.{column} FROM {{g}}.touch t WHERE t.ws = $1 AND t.{column} > {{after}} ORDER BY t.{column} LIMIT 1"
    )
    return sql(f"""
WITH RECURSIVE walked(key, passed) AS (
    SELECT ({following.format(after="$2", g="{g}")}), 1
    UNION ALL SELECT ({following.format(after="w.key", g="{g}")}), w.passed + 1
    FROM walked w WHERE w.key IS NOT NULL AND w.passed < $4
)
SELECT k.key, {wanted} AS wanted, k.passed = $4 AS cut FROM walked k
WHERE k.key IS NOT NULL AND (k.passed = $4 OR ({wanted})) LIMIT $3
""")


_TYPE_OF = "(SELECT s.asset_type FROM {g}.asset s WHERE s.ws = $1 AND s.asset = k.key)"
_NAMES = "(SELECT t.{of} IS NOT NULL FROM {{g}}.touch t WHERE t.ws = $1 AND t.{column} = k.key LIMIT 1)"
_ADDRESS = "(SELECT true FROM {g}.address a WHERE a.ws = $1 AND a.page = k.key LIMIT 1)"
_CLAIM = f"""(SELECT true FROM {{g}}.attribution_window w WHERE w.ws = $1 AND w.key = k.key AND w.route = {Route.UTM:d}
    AND w.window_status = {WindowStatus.COUNTS:d} AND w.to_us = {END_US} LIMIT 1)"""

TOUCHED_ASSETS = _walk(
    "asset_or_page_key",
    f"{_TYPE_OF} IS NULL AND " + _NAMES.format(of="asset_id", column="asset_or_page_key", g="{g}"),
)
LEADING_ASSETS = _walk("via", f"{_TYPE_OF} IS NULL AND " + _NAMES.format(of="via_asset_id", column="via", g="{g}"))
NAMED_ASSETS = sql("""
SELECT asset AS key, true AS wanted, false AS cut FROM {g}.asset
WHERE ws = $1 AND asset > $2 AND asset_type IS NULL ORDER BY asset LIMIT $3
""")
PAGES = _walk(
    "asset_or_page_key",
    f"{_ADDRESS} IS NULL AND NOT " + _NAMES.format(of="asset_id", column="asset_or_page_key", g="{g}"),
)
UTM_VALUES = _walk("utm", f"{_CLAIM} IS NULL")


def _counted(column: str, more: str = "") -> str:
    """For each key $2 of a column: how many touches count, `COUNTED_MAX` at most, the first and the last, and one of them."""
    which = f"t.ws = $1 AND t.{column} = u.key AND t.traffic_class = {TrafficClass.COUNTED:d}{more}"
    last = f"FROM {{g}}.touch t WHERE {which} ORDER BY t.occurred_at_us DESC LIMIT 1"
    return f"""
SELECT u.key, n.touches, n.first_us, l.* FROM unnest($2::bigint[]) u(key)
CROSS JOIN LATERAL (
    SELECT count(*) AS touches, min(occurred_at_us) AS first_us FROM (
        SELECT t.occurred_at_us FROM {{g}}.touch t WHERE {which} ORDER BY t.occurred_at_us LIMIT {COUNTED_MAX}) c) n
CROSS JOIN LATERAL (
    SELECT t.occurred_at_us AS last_us, t.url, t.utm_told, t.asset_id, t.via_asset_id {last}) l
"""


_VISITS = f" AND t.type = {TouchType.PAGE_VISITED:d}"
COUNTED_PAGES = sql(_counted("asset_or_page_key", _VISITS))
COUNTED_VALUES = sql(_counted("utm", _VISITS))
COUNTED_ASSETS = sql(_counted("asset_or_page_key"))
COUNTED_LEADING = sql(
    _counted("via", " AND t.asset_or_page_key IS DISTINCT FROM u.key")
)  # else it is counted as touched
ASSET_EVENTS = sql("""
SELECT subject AS key, count(*) AS events, min(occurred_at_us) AS first_us, max(occurred_at_us) AS last_us, min(body) AS body
FROM {g}.entity_event WHERE ws = $1 AND subject = ANY($2::bigint[]) AND live GROUP BY subject
""")


class Page(NamedTuple):
    """A page of a list; `next_cursor` is None for the last one. A page may have fewer items than were asked for."""

    items: list[dict[str, Any]]
    next_cursor: str | None


async def unresolved(
    snapshot: Snapshot, kind: str, limit: int, after: int | str | None, walked_max: int = WALKED_MAX
) -> Page:
    """A page of one kind of `KINDS`, after the key of the last item of the page before. Raises `TypeError` for another kind's key.

    `walked_max` is how many keys of touches it passes in one index.
    """
    if kind == "campaigns":
        return await _campaigns(snapshot, limit, "" if after is None else after)
    key = FIRST_KEY if after is None else after
    if not isinstance(key, int):
        raise TypeError("the key of a page of assets, values or pages is a number")
    items: list[dict[str, Any]] = []
    for _ in range(STEPS_MAX):
        wanted = limit - len(items)
        keys, end = await _keys(snapshot, kind, key, wanted + 1, walked_max)
        items += await _described(snapshot, kind, keys[:wanted])
        if len(keys) > wanted:
            end = keys[wanted - 1]
        if end is None:
            return Page(items, None)
        key = end
        if len(items) == limit or len(keys) <= wanted:
            break
    return Page(items, encode_cursor([key]))


async def _campaigns(snapshot: Snapshot, limit: int, after: int | str) -> Page:
    if not isinstance(after, str):
        raise TypeError("the key of a page of campaigns is a text")
    rows = await snapshot.fetch(CAMPAIGNS, after, limit + 1)
    items = [
        {"campaign_id": row["campaign_id"], "events": row["events"], **_seen(row["first_us"], row["last_us"])}
        for row in rows
    ]
    return Page(items[:limit], encode_cursor([rows[limit - 1]["campaign_id"]]) if len(rows) > limit else None)


async def _keys(snapshot: Snapshot, kind: str, after: int, limit: int, walked_max: int) -> tuple[list[int], int | None]:
    """The next keys of a kind, in order, and the key up to which these are all; None if there are no more."""
    of_kind = {"assets": (TOUCHED_ASSETS, LEADING_ASSETS, NAMED_ASSETS), "utm_values": (UTM_VALUES,), "pages": (PAGES,)}
    keys: set[int] = set()
    ends: list[int] = []
    for statement in of_kind[kind]:
        arguments = (after, limit) if statement is NAMED_ASSETS else (after, limit, walked_max)
        rows = await snapshot.fetch(statement, *arguments)
        keys |= {row["key"] for row in rows if row["wanted"]}
        if rows and (len(rows) == limit or rows[-1]["cut"]):
            ends.append(rows[-1]["key"])
    end = min(ends, default=None)
    return sorted(key for key in keys if end is None or key <= end), end


async def _described(snapshot: Snapshot, kind: str, keys: Sequence[int]) -> list[dict[str, Any]]:
    """The items of some keys, in order, without those that have nothing that counts."""
    if not keys:
        return []
    if kind == "assets":
        return await _assets(snapshot, keys)
    rows = await snapshot.fetch(COUNTED_VALUES if kind == "utm_values" else COUNTED_PAGES, list(keys))
    items = []
    for row in sorted(rows, key=lambda r: r["key"]):
        if kind == "utm_values":
            named = {"utm_campaign": parse(row["url"] or "", row["utm_told"] or "").campaign}
        else:
            named = {"url": "https://" + address_of(row["url"] or "", snapshot.settings.addresses)}
        items.append({**named, "visits": row["touches"], **_seen(row["first_us"], row["last_us"])})
    return items


async def _assets(snapshot: Snapshot, keys: Sequence[int]) -> list[dict[str, Any]]:
    """Assets with the number of touches and of other events that name them."""
    assets: dict[int, dict[str, Any]] = {}

    def add(key: int, asset_id: str, events: int, first_us: int, last_us: int) -> None:
        was = assets.setdefault(key, {"asset_id": asset_id, "events": 0, "first_us": first_us, "last_us": last_us})
        was["events"] += events
        was["first_us"], was["last_us"] = min(was["first_us"], first_us), max(was["last_us"], last_us)

    for statement, column in ((COUNTED_ASSETS, "asset_id"), (COUNTED_LEADING, "via_asset_id")):
        for row in await snapshot.fetch(statement, list(keys)):
            add(row["key"], row[column], row["touches"], row["first_us"], row["last_us"])
    for row in await snapshot.fetch(ASSET_EVENTS, list(keys)):
        event: Any = decode_event(row["body"])
        add(row["key"], event.asset_id, row["events"], row["first_us"], row["last_us"])
    ordered = [assets[key] for key in keys if key in assets]
    return [{"asset_id": f["asset_id"], "events": f["events"], **_seen(f["first_us"], f["last_us"])} for f in ordered]


def _seen(first_us: int, last_us: int) -> dict[str, str]:
    return {"first_seen": to_rfc3339(first_us), "last_seen": to_rfc3339(last_us)}
