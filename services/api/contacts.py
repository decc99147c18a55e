"""`/v1/contacts`: a person, and everything that it touched, in order."""

from collections import defaultdict
from typing import Any

from fastapi import APIRouter, Request, Response

from services.api import parameters as takes
from services.api.requests import Api, Reading, answer, encode_cursor, not_found, order_of, reading
from services.api.touches import touch_json, traffic_sources, via_assets, window_statuses
from shared.events.emails import normalised_email
from shared.events.instants import to_rfc3339
from shared.projection.sql import sql
from shared.rules.excluded_traffic import TrafficClass
from shared.rules.keys import Identifier
from shared.web.problems import Problem

CONTACT = sql("""
SELECT c.* FROM {g}.identifier i JOIN {g}.contact c ON c.ws = $1 AND c.contact = i.contact
WHERE i.ws = $1 AND i.identifier = ANY($2::bigint[]) ORDER BY i.is_email LIMIT 1
""")  # the contact of an identifier; an id wins over an email of the same text
IDENTIFIERS = sql("SELECT is_email, text FROM {g}.identifier WHERE ws = $1 AND contact = $2 ORDER BY is_email, text")
SALESFORCE = sql("""
SELECT contact, salesforce_campaign_id, source, joined_us, joined_event FROM {g}.salesforce_member
WHERE ws = $1 AND contact = ANY($2::bigint[]) ORDER BY contact, salesforce_campaign_id
""")


def _page(source: str, condition: str) -> str:
    """A page of contacts by name, after the name $2 and the key $3, at most $4."""
    return f"""
SELECT c.contact, c.name, c.created_us, c.internal FROM {source}
WHERE {condition} AND (c.name, c.contact) > ($2 COLLATE "C", $3::bigint) ORDER BY c.name, c.contact LIMIT $4
"""


CONTACTS = sql(_page("{g}.contact c", "c.ws = $1"))
IN_SALESFORCE = sql(
    _page(
        "{g}.salesforce_member s JOIN {g}.contact c ON c.ws = $1 AND c.contact = s.contact",
        "s.ws = $1 AND s.salesforce_campaign_id = $5",
    )
)
JOURNEY = sql(f"""
SELECT t.* FROM {{g}}.identity_interval o JOIN {{g}}.touch t ON t.ws = $1 AND t.person = o.person
    AND t.occurred_at_us >= greatest(o.from_us, $3::bigint) AND t.occurred_at_us <= o.to_us
    AND (t.occurred_at_us, t.event_id) >= (o.from_us, o.from_event)
    AND (t.occurred_at_us, t.event_id) < (o.to_us, o.to_event)
    AND (t.occurred_at_us, t.event_id) > ($3::bigint, $4 COLLATE "C")
WHERE o.ws = $1 AND o.contact = $2 AND t.traffic_class <> {TrafficClass.RETRACTED:d}
ORDER BY t.occurred_at_us, t.event_id LIMIT $5
""")  # a page of all touches that a contact owns


def routes(api: Api) -> APIRouter:
    """The routes of this file."""
    router = APIRouter(prefix="/v1/contacts", tags=["contacts"])

    @router.get("", openapi_extra=takes.read(takes.SALESFORCE, *takes.PAGE))
    async def list_contacts(request: Request) -> Response:
        """The contacts by name; `salesforce_campaign_id` keeps those that are in that Salesforce campaign."""
        async with reading(api, request) as read:
            after = *_name_of(read.cursor), read.limit + 1
            wanted = read.query.get("salesforce_campaign_id")
            rows = await (read.fetch(CONTACTS, *after) if wanted is None else read.fetch(IN_SALESFORCE, *after, wanted))
            more, rows = len(rows) > read.limit, rows[: read.limit]
            salesforce = await _salesforce(read, [r["contact"] for r in rows])
            items = [
                {"contact": r["name"], "created_at": to_rfc3339(r["created_us"]), "internal": r["internal"],
                 **salesforce[r["contact"]]} for r in rows
            ]  # fmt: skip
            cursor = encode_cursor([rows[-1]["name"], rows[-1]["contact"]]) if more else None
            return answer(read, {"items": items, "next_cursor": cursor})

    @router.get("/{name:id}", openapi_extra=takes.read())
    async def get_contact(name: str, request: Request) -> Response:
        """The person, by any of its identifiers."""
        async with reading(api, request) as read:
            row = await contact_row(read, name)
            named = await read.fetch(IDENTIFIERS, row["contact"])
            body = {
                "contact": row["name"], "ids": [n["text"] for n in named if not n["is_email"]],
                "emails": [n["text"] for n in named if n["is_email"]],
                "created_at": to_rfc3339(row["created_us"]), "conversion": row["created_event"],
                "first_page_visit": row["first_visit_event"], "properties": row["properties"],
                "internal": row["internal"],
                **(await _salesforce(read, [row["contact"]]))[row["contact"]],
            }  # fmt: skip
            return answer(read, body)

    @router.get("/{name:id}/journey", openapi_extra=takes.read(*takes.PAGE))
    async def get_journey(name: str, request: Request) -> Response:
        """Every touch in order: its session, what brought it, the campaigns that it counts for, and why not for others."""
        async with reading(api, request) as read:
            row = await contact_row(read, name)
            after = order_of(read.cursor)
            touches = await read.fetch(JOURNEY, row["contact"], *after, read.limit + 1)
            more, touches = len(touches) > read.limit, touches[: read.limit]
            found, by = await window_statuses(read, touches), await traffic_sources(read, touches)
            via = await via_assets(read, touches)
            items = [touch_json(touch, found[i], by[i], via[i]) for i, touch in enumerate(touches)]
            last = touches[-1] if touches else None
            cursor = encode_cursor([last["occurred_at_us"], last["event_id"]]) if more and last else None
            return answer(read, {"contact": row["name"], "items": items, "next_cursor": cursor})

    return router


async def contact_row(read: Reading, name: str) -> Any:
    """The contact that an identifier names. Raises a 404 `Problem`."""
    keys = [Identifier((False, name)).key, Identifier((True, normalised_email(name))).key]
    row = await read.fetchrow(CONTACT, keys)
    if row is None:
        raise not_found("contact", name)
    return row


async def _salesforce(read: Reading, contacts: list[int]) -> dict[int, dict[str, Any]]:
    """The Salesforce campaigns that each contact is in: their ids, and how and since when (rule **contact**)."""
    rows: dict[int, list[Any]] = defaultdict(list)
    for row in await read.fetch(SALESFORCE, contacts):
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


def _name_of(cursor: list[Any] | None) -> tuple[str, int]:
    """Where a page of contacts begins. Raises a 422 `Problem`."""
    match cursor:
        case None:
            return "", -(2**63)
        case [str(name), int(contact)]:
            return name, contact
        case _:
            raise Problem(422, "bad_parameter", "`cursor` is of another list", field="cursor")
