"""Which contacts are there, what is each called, and when was it first and last seen?"""

from collections.abc import Sequence
from typing import Any

from shared.projection.sql import owned, sql
from shared.reading.keyset import HOLDS_TEXT, Ordering, both_ways, key_arguments, paged
from shared.reading.snapshot import Snapshot
from shared.reading.time_range import TimeRange
from shared.rules.excluded_traffic import TrafficClass

CONTACT_ORDERS = both_ways(
    {
        "name": Ordering((("c.name", "text"), ("c.contact", "bigint"))),
        "created_at": Ordering((("c.created_us", "bigint"), ("c.contact", "bigint"))),
    }
)
"""By the name of rule **contact**, or by the creation."""

_PAGES = paged(
    f"""
SELECT c.contact, c.name, c.created_us, c.first_visit_us, c.internal, {{keys}} FROM {{g}}.contact c
WHERE c.ws = $1 AND ($2::bigint[] IS NULL OR c.contact = ANY($2))
    AND ($3::text = '' OR EXISTS (SELECT FROM {{g}}.identifier i WHERE i.ws = $1 AND i.contact = c.contact
            AND {HOLDS_TEXT.format(column="i.text")})
        OR {HOLDS_TEXT.format(column="concat_ws(' ', c.properties->>'first_name', c.properties->>'last_name')")})
    AND c.created_us >= $4 AND c.created_us < $5 AND {{after}}""",
    CONTACT_ORDERS,
    6,
)
IN_SALESFORCE = sql("SELECT contact FROM {g}.salesforce_member WHERE ws = $1 AND salesforce_campaign_id = $2")
LAST_TOUCHES = sql(f"""
SELECT u.contact, max(t.occurred_at_us) AS last_us FROM unnest($2::bigint[]) u(contact)
JOIN {{g}}.identity_interval o ON o.ws = $1 AND o.contact = u.contact
CROSS JOIN LATERAL (
    SELECT t.occurred_at_us FROM {{g}}.touch t WHERE t.ws = $1 AND t.person = o.person
        AND t.occurred_at_us >= o.from_us AND t.occurred_at_us <= o.to_us
        AND {owned()} AND t.traffic_class = {TrafficClass.COUNTED:d}
    ORDER BY t.occurred_at_us DESC LIMIT 1) t
GROUP BY u.contact
""")  # when each contact was last touched, of the touches that count


async def contacts_page(
    snapshot: Snapshot,
    text: str,
    span: TimeRange,
    salesforce_campaign_id: str | None,
    sort: str,
    after: Sequence[Any] | None,
    limit: int,
) -> tuple[list[Any], list[list[Any]]]:
    """The rows of at most `limit` contacts in an order of `CONTACT_ORDERS`, after a key; and the key of each.

    Of those created in a range, with `text` in an identifier or in first and last name, in any case.
    """
    order, among = CONTACT_ORDERS[sort], None
    if salesforce_campaign_id is not None:
        among = [row["contact"] for row in await snapshot.fetch(IN_SALESFORCE, salesforce_campaign_id)]
    rows = await snapshot.fetch(
        _PAGES[sort], among, text, span.from_us, span.to_us, *key_arguments(order, after), limit
    )
    return rows, [order.key_of(row) for row in rows]


async def last_touches_us(snapshot: Snapshot, contacts: Sequence[int]) -> dict[int, int]:
    """When each of these contacts, by key, was last touched, in microseconds; those without a touch that counts are absent."""
    return {row["contact"]: row["last_us"] for row in await snapshot.fetch(LAST_TOUCHES, list(contacts))}
