"""Which events name a campaign that nobody created, an asset or a page that nobody registered, or a utm value that nobody claims?

They are behind the numbers of `shared.reading.unresolved`, which counts at most `COUNTED_MAX` of them; here are all. What has been resolved
since can be asked for as well.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from shared.events.codec import decode_event
from shared.events.instants import to_rfc3339
from shared.projection.sql import Statement, sql
from shared.reading.drilldown_touches import TOUCH_ORDER
from shared.reading.keyset import Ordering, key_arguments
from shared.reading.snapshot import Snapshot
from shared.reading.time_range import TimeRange
from shared.reading.touch_items import touch_items
from shared.rules.excluded_traffic import TrafficClass
from shared.rules.influence import TouchType
from shared.rules.keys import asset_key, campaign_key, page_key, utm_key
from shared.rules.page import address_of
from shared.rules.utm import normalised

EVENT_ORDER = Ordering((("occurred_at_us", "bigint"), ("event_id", "text")))
"""By the instant of an event and its id: the columns occurred_at_us and event_id of a row."""

# $2 the key of what is named, $3 and $4 the key of the event before the page (null: the first page), $5 how many.
_AFTER_TOUCH, _BY_TOUCH = TOUCH_ORDER.clauses(3)
_AFTER_EVENT, _BY_EVENT = EVENT_ORDER.clauses(3)
_FIRST_US = TimeRange().from_us


def _touches(columns: Sequence[str], more: str = "") -> Statement:
    """The touches that count with the key in a column; what names it in two columns stands once."""
    parts = " UNION ".join(
        f"""(SELECT t.person, t.occurred_at_us, t.event_id FROM {{g}}.touch t WHERE t.ws = $1 AND t.{column} = $2
    AND t.traffic_class = {TrafficClass.COUNTED:d}{more} AND t.occurred_at_us >= coalesce($3::bigint, '{_FIRST_US}'::bigint)
    AND {_AFTER_TOUCH} {_BY_TOUCH} LIMIT $5::bigint)"""
        for column in columns
    )
    return sql(f"SELECT t.* FROM ({parts}) t {_BY_TOUCH} LIMIT $5::bigint")


_VISITS = f" AND t.type = {TouchType.PAGE_VISITED:d}"
TOUCHES: Mapping[str, Statement] = {
    "assets": _touches(("asset_or_page_key", "via")),
    "utm_values": _touches(("utm",), _VISITS),
    "pages": _touches(("asset_or_page_key",), _VISITS),
}
"""The touches that name what is of a kind; no touch names a campaign."""


def _events(columns: Sequence[str]) -> Statement:
    """The other events with the key in a column."""
    parts = " UNION ".join(
        f"SELECT occurred_at_us, event_id, type, body FROM {{g}}.entity_event WHERE ws = $1 AND {column} = $2 AND live"
        for column in columns
    )
    return sql(f"SELECT e.* FROM ({parts}) e WHERE {_AFTER_EVENT} {_BY_EVENT} LIMIT $5::bigint")


EVENTS: Mapping[str, Statement] = {"campaigns": _events(("subject", "object")), "assets": _events(("subject",))}
"""The events, other than touches, that name what is of a kind."""


def _key(snapshot: Snapshot, kind: str, name: str) -> int:
    """The key of what is named, by its kind."""
    match kind:
        case "campaigns":
            return campaign_key(name)
        case "assets":
            return asset_key(name)
        case "utm_values":
            return utm_key(normalised(name))
        case _:
            return page_key(address_of(name, snapshot.settings.addresses))


async def events_naming(
    snapshot: Snapshot, kind: str, name: str, after: Sequence[Any] | None, limit: int
) -> tuple[list[dict[str, Any]], list[list[Any]]]:
    """At most `limit` of the events that name what is called `name`, of a kind of `KINDS`, in `EVENT_ORDER`, after a key; and the key of each.

    Of touches only those that count, of pages and utm values only visits. Other events have null for all that only touches have.
    """
    asked = _key(snapshot, kind, name), *key_arguments(EVENT_ORDER, after), limit
    places = await snapshot.fetch(TOUCHES[kind], *asked) if kind in TOUCHES else []
    events = await snapshot.fetch(EVENTS[kind], *asked) if kind in EVENTS else []
    rows = sorted([*places, *events], key=lambda row: (row["occurred_at_us"], row["event_id"]))[:limit]
    touches = {one["event_id"]: one for one in await touch_items(snapshot, [row for row in rows if "person" in row])}
    items = [_touch(touches[row["event_id"]]) if "person" in row else _event(row) for row in rows]
    return items, [[row["occurred_at_us"], row["event_id"]] for row in rows]


def _touch(item: Mapping[str, Any]) -> dict[str, Any]:
    asset = item["asset"]
    return {
        **{name: item[name] for name in ("event_id", "type", "occurred_at", "contact", "name", "email")},
        "campaign_id": None, "asset_id": None if asset is None else asset["asset_id"],
        **{name: item[name] for name in ("via_asset_id", "url", "utm_campaign", "source", "medium", "channel")},
    }  # fmt: skip


def _event(row: Any) -> dict[str, Any]:
    event: Any = decode_event(row["body"])
    return {
        "event_id": row["event_id"], "type": row["type"], "occurred_at": to_rfc3339(row["occurred_at_us"]),
        "contact": None, "name": None, "email": None,
        "campaign_id": getattr(event, "campaign_id", None), "asset_id": getattr(event, "asset_id", None),
        **dict.fromkeys(("via_asset_id", "url", "utm_campaign", "source", "medium", "channel")),
    }  # fmt: skip
