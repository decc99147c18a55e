"""`/v1/contacts`: contacts, what is known of one, its deals, and all its touches in order."""

from typing import Any

from fastapi import APIRouter, Request, Response

from services.api import parameters as takes
from services.api.requests import Api, answer, order_of, read_request
from shared.events.instants import to_rfc3339
from shared.reading.contact_list import CONTACT_ORDERS, contacts_page, last_touches_us
from shared.reading.contacts import (
    contact_row,
    identifiers_of,
    salesforce_campaigns_of,
    touches_of_contact,
)
from shared.reading.cursors import encode_cursor
from shared.reading.deal_list import DEAL_ORDERS, campaigns_of_deals, deals_of_contact
from shared.reading.deals import as_answered
from shared.reading.described_touches import named_contacts, touched_assets
from shared.reading.touches import (
    WindowStatuses,
    campaigns_of_touch,
    session_name,
    traffic_source_fields,
    traffic_sources,
    via_assets,
    window_statuses,
)
from shared.rules.channel import TrafficSource
from shared.rules.excluded_traffic import TrafficClass
from shared.rules.influence import TouchType


def routes(api: Api) -> APIRouter:
    """The routes of this file."""
    router = APIRouter(prefix="/v1/contacts", tags=["contacts"])

    @router.get(
        "",
        openapi_extra=takes.read(takes.CONTACTS_WITH, takes.SALESFORCE, takes.CONTACT_SORT, *takes.RANGE, *takes.PAGE),
    )
    async def list_contacts(request: Request) -> Response:
        """The contacts created in the range; `salesforce_campaign_id` keeps those that are in that Salesforce campaign."""
        async with read_request(api, request) as read:
            sort = read.choice("sort", list(CONTACT_ORDERS), "name")
            searched = await read.contact(read.query["q"]) if read.query.get("q") else ""
            rows, keys = await contacts_page(
                read.snapshot, searched, read.range, read.query.get("salesforce_campaign_id"), sort,
                read.after_key(CONTACT_ORDERS[sort]), read.limit + 1,
            )  # fmt: skip
            page = read.page_of(rows, keys)
            contacts = [row["contact"] for row in page["items"]]
            salesforce = await salesforce_campaigns_of(read.snapshot, contacts)
            who, last_us = await named_contacts(read.snapshot, contacts), await last_touches_us(read.snapshot, contacts)
            items = [
                {"contact": r["name"], "name": who[r["contact"]].called, "email": who[r["contact"]].email,
                 "created_at": to_rfc3339(r["created_us"]), "first_visit_at": _instant(r["first_visit_us"]),
                 "last_touch_at": _instant(last_us.get(r["contact"])), "internal": r["internal"],
                 **salesforce[r["contact"]]} for r in page["items"]
            ]  # fmt: skip
            return answer(read, {**page, "items": items, **read.range.as_json()})

    @router.get("/{name:id}", openapi_extra=takes.read())
    async def get_contact(name: str, request: Request) -> Response:
        """A contact, by any of its identifiers."""
        async with read_request(api, request) as read:
            row = await contact_row(read.snapshot, await read.contact(name))
            ids, emails = await identifiers_of(read.snapshot, row["contact"])
            body = {
                "contact": row["name"], "ids": ids, "emails": emails,
                "created_at": to_rfc3339(row["created_us"]), "conversion": row["created_event"],
                "first_page_visit": row["first_visit_event"], "properties": row["properties"],
                "internal": row["internal"],
                **(await salesforce_campaigns_of(read.snapshot, [row["contact"]]))[row["contact"]],
            }  # fmt: skip
            return answer(read, body)

    @router.get("/{name:id}/deals", openapi_extra=takes.read(takes.DEAL_SORT, *takes.PAGE))
    async def get_deals(name: str, request: Request) -> Response:
        """The deals that the contact was ever associated with: whether it is eligible, or why not, and the campaigns that each deal counts for.

        Deals that only ever dissociated the contact are looked through and left out. After 1,000 deals that were looked through, a page ends, with fewer
        items than `limit`, also none, although more may follow.
        """
        async with read_request(api, request) as read:
            contact = (await contact_row(read.snapshot, await read.contact(name)))["contact"]
            sort = read.choice("sort", list(DEAL_ORDERS), "-closed_at")
            after = read.after_key(DEAL_ORDERS[sort])
            deals, last = await deals_of_contact(read.snapshot, contact, sort, after, read.limit)
            campaigns = await campaigns_of_deals(read.snapshot, [row["deal"] for row, _ in deals])
            items = [{**as_answered(row), **member, "campaigns": campaigns[row["deal"]]} for row, member in deals]
            return answer(read, {"items": items, "next_cursor": None if last is None else encode_cursor(last)})

    @router.get("/{name:id}/journey", openapi_extra=takes.read(*takes.PAGE))
    async def get_journey(name: str, request: Request) -> Response:
        """Every touch of the contact, in order: its session, what brought it, the campaigns that it counts for, and why not for others."""
        async with read_request(api, request) as read:
            row = await contact_row(read.snapshot, await read.contact(name))
            touches = await touches_of_contact(read.snapshot, row["contact"], order_of(read.cursor), read.limit + 1)
            more, touches = len(touches) > read.limit, touches[: read.limit]
            statuses, by = await window_statuses(read.snapshot, touches), await traffic_sources(read.snapshot, touches)
            via, assets = await via_assets(read.snapshot, touches), await touched_assets(read.snapshot, touches)
            items = [
                {**_touch_json(touch, statuses[i], by[i], via[i]), "asset": assets[i]}
                for i, touch in enumerate(touches)
            ]
            last = touches[-1] if touches else None
            cursor = encode_cursor([last["occurred_at_us"], last["event_id"]]) if more and last else None
            return answer(read, {"contact": row["name"], "items": items, "next_cursor": cursor})

    return router


def _touch_json(touch: Any, statuses: WindowStatuses, by: TrafficSource, via_asset_id: str | None) -> dict[str, Any]:
    """A touch: whether it counts at all, for which campaigns, and why not for others whose asset or value it touched."""
    traffic_class = TrafficClass(touch["traffic_class"])
    counted = traffic_class is TrafficClass.COUNTED
    campaigns = campaigns_of_touch(traffic_class, statuses)
    return {
        "event_id": touch["event_id"], "type": TouchType(touch["type"]).wire,
        "occurred_at": to_rfc3339(touch["occurred_at_us"]), "asset_id": touch["asset_id"],
        "via_asset_id": via_asset_id, "url": touch["url"],
        "session": session_name(touch["session"]), **traffic_source_fields(by),
        "campaigns": [c["campaign_id"] for c in campaigns if c["counts"]], "counted": counted,
        "reason": None if counted else traffic_class.name.lower(),
        "kept_out": [{"campaign_id": c["campaign_id"], "reason": c["reason"]} for c in campaigns if not c["counts"]],
    }  # fmt: skip


def _instant(at_us: int | None) -> str | None:
    return None if at_us is None else to_rfc3339(at_us)
