"""Who are the contacts, by which identifiers are they known, and what did each of them touch?"""

from collections import defaultdict
from typing import Any

from shared.events.emails import normalised_email
from shared.events.instants import to_rfc3339
from shared.projection.sql import owned, sql
from shared.reading.snapshot import NotFound, Snapshot
from shared.rules.excluded_traffic import TrafficClass
from shared.rules.keys import Identifier
from shared.rules.order import Order

CONTACT = sql("""
SELECT c.* FROM {g}.identifier i JOIN {g}.contact c ON c.ws = $1 AND c.contact = i.contact
WHERE i.ws = $1 AND i.identifier = ANY($2::bigint[]) ORDER BY i.is_email LIMIT 1
""")  # the contact of an identifier; an id wins over an email of the same text
IDENTIFIERS = sql("SELECT is_email, text FROM {g}.identifier WHERE ws = $1 AND contact = $2 ORDER BY is_email, text")
SALESFORCE = sql("""
SELECT contact, salesforce_campaign_id, source, joined_us, joined_event FROM {g}.salesforce_member
WHERE ws = $1 AND contact = ANY($2::bigint[]) ORDER BY contact, salesforce_campaign_id
""")

JOURNEY = sql(f"""
SELECT t.* FROM {{g}}.identity_interval o JOIN {{g}}.touch t ON t.ws = $1 AND t.person = o.person
    AND t.occurred_at_us >= greatest(o.from_us, $3::bigint) AND t.occurred_at_us <= o.to_us
    AND {owned()}
    AND (t.occurred_at_us, t.event_id) > ($3::bigint, $4 COLLATE "C")
WHERE o.ws = $1 AND o.contact = $2 AND t.traffic_class <> {TrafficClass.RETRACTED:d}
ORDER BY t.occurred_at_us, t.event_id LIMIT $5
""")  # a page of all touches that a contact owns


async def contact_row(snapshot: Snapshot, name: str) -> Any:
    """The row of the contact that an identifier names: an id, or an e-mail address in any case. Raises `NotFound`."""
    keys = [Identifier((False, name)).key, Identifier((True, normalised_email(name))).key]
    row = await snapshot.fetchrow(CONTACT, keys)
    if row is None:
        raise NotFound("contact", name)
    return row


async def identifiers_of(snapshot: Snapshot, contact: int) -> tuple[list[str], list[str]]:
    """The ids and the e-mail addresses by which a contact, by its key, is known, each in order."""
    rows = await snapshot.fetch(IDENTIFIERS, contact)
    return [r["text"] for r in rows if not r["is_email"]], [r["text"] for r in rows if r["is_email"]]


async def salesforce_campaigns_of(snapshot: Snapshot, contacts: list[int]) -> dict[int, dict[str, Any]]:
    """The Salesforce campaigns that each contact is in, by its key: their ids, and how and since when (rule **contact**)."""
    rows: dict[int, list[Any]] = defaultdict(list)
    for row in await snapshot.fetch(SALESFORCE, contacts):
        rows[row["contact"]].append(row)
    return {
        contact: {
            "salesforce_campaign_ids": [m["salesforce_campaign_id"] for m in rows[contact]],
            "salesforce_campaigns": [
                {"salesforce_campaign_id": m["salesforce_campaign_id"], "source": m["source"],
                 "joined_at": to_rfc3339(m["joined_us"]), "event_id": m["joined_event"]} for m in rows[contact]
            ],
        } for contact in contacts
    }  # fmt: skip


async def touches_of_contact(snapshot: Snapshot, contact: int, after: Order, limit: int) -> list[Any]:
    """The rows of at most `limit` touches that a contact, by its key, owns, in order, after one of them."""
    return await snapshot.fetch(JOURNEY, contact, *after, limit)
