"""What is known of a deal, and what did each touch of its contacts earn?"""

from typing import Any

from shared.events.codec import decode_event
from shared.events.instants import to_rfc3339
from shared.events.money import to_money
from shared.projection.sql import owned, sql
from shared.projection.stages.deals.gather import ENTITY_EVENTS, fields_of
from shared.reading.snapshot import NotFound, Snapshot
from shared.rules.deal import fold
from shared.rules.excluded_traffic import TrafficClass
from shared.rules.keys import deal_key
from shared.rules.order import Order

DEAL = sql("SELECT * FROM {g}.deal WHERE ws = $1 AND deal = $2")
_CAME_BY = "t.url, t.utm_told, t.referrer, t.session, t.session_at_us, t.session_is_new"  # what channels are read from
JOURNEY = sql(f"""
SELECT cr.*, c.name AS contact_name, {_CAME_BY} FROM {{g}}.credit cr
LEFT JOIN {{g}}.contact c ON c.ws = $1 AND c.contact = cr.contact
LEFT JOIN {{g}}.touch t ON t.ws = $1 AND t.person = cr.person AND t.occurred_at_us = cr.occurred_at_us AND t.event_id = cr.event_id
WHERE cr.ws = $1 AND cr.deal = $2 ORDER BY cr.step
""")
OTHERS = sql(f"""
SELECT t.event_id, t.type, t.occurred_at_us, t.traffic_class, t.person, t.asset_id, t.asset_or_page_key, t.via, t.utm, {_CAME_BY},
    c.name AS contact_name,
    EXISTS (SELECT FROM {{g}}.deal_contact d WHERE d.ws = $1 AND d.deal = $2 AND d.contact = c.contact) AS eligible
FROM (SELECT DISTINCT i.contact FROM {{g}}.deal_named n
    JOIN {{g}}.identifier i ON i.ws = $1 AND i.identifier = n.identifier WHERE n.ws = $1 AND n.deal = $2) ever
JOIN {{g}}.contact c ON c.ws = $1 AND c.contact = ever.contact
JOIN {{g}}.identity_interval o ON o.ws = $1 AND o.contact = c.contact
JOIN {{g}}.touch t ON t.ws = $1 AND t.person = o.person AND t.traffic_class <> {TrafficClass.RETRACTED:d}
    AND {owned()}
    AND t.occurred_at_us >= $3::bigint AND (t.occurred_at_us, t.event_id) > ($3::bigint, $4 COLLATE "C")
WHERE NOT EXISTS (SELECT FROM {{g}}.credit cr WHERE cr.ws = $1 AND cr.deal = $2 AND cr.event_id = t.event_id)
ORDER BY t.occurred_at_us, t.event_id LIMIT $5
""")  # a page of the touches of all contacts that a deal's events name, but for those of its journey


def as_answered(deal: Any) -> dict[str, Any]:
    """A deal, from its row, as answers have it."""
    return {
        "deal_id": deal["deal_id"], "name": deal["name"], "state": deal["state"],
        "amount": None if deal["amount_minor"] is None else to_money(deal["amount_minor"], deal["currency"]),
        "created_at": to_rfc3339(deal["created_us"]),
        "closed_at": None if deal["closed_us"] is None else to_rfc3339(deal["closed_us"]),
    }  # fmt: skip


async def deal_row(snapshot: Snapshot, deal_id: str) -> Any:
    """The row of a deal. Raises `NotFound`."""
    row = await snapshot.fetchrow(DEAL, deal_key(deal_id))
    if row is None:
        raise NotFound("deal", deal_id)
    return row


async def amount_in_events(snapshot: Snapshot, deal: int) -> str | None:
    """The amount in a deal's events, even if its currency cannot express it; None if they have none."""
    rows = await snapshot.fetch(ENTITY_EVENTS, [deal])
    events = ((Order(r["occurred_at_us"], r["event_id"]), r["type"], decode_event(r["body"])) for r in rows)
    return fold(fields_of(*event) for event in events).amount


async def journey(snapshot: Snapshot, deal: int) -> list[Any]:
    """The rows of the touches of a deal's journey, in order."""
    return await snapshot.fetch(JOURNEY, deal)


async def touches_outside_journey(snapshot: Snapshot, deal: int, after: Order, limit: int) -> list[Any]:
    """The rows of at most `limit` touches that a deal's contacts own and that are not in its journey, in order, after one."""
    return await snapshot.fetch(OTHERS, deal, *after, limit)
