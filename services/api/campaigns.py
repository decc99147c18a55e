"""`/v1/campaigns`: the campaigns, their numbers, and the contacts and deals behind a number."""

from typing import Any

from fastapi import APIRouter, Request, Response

from services.api import parameters as takes
from services.api.requests import Api, answer, read_request
from shared.events.instants import END_US, to_rfc3339
from shared.events.money import to_money
from shared.reading.behind import FIRST, FIRST_DEAL, contacts_behind, deals_behind
from shared.reading.campaign_deals import earned_of_deals
from shared.reading.campaigns import (
    associations,
    campaign_row,
    campaigns_with,
    claimed_values,
    numbers_of_campaign,
    refusals,
    spent_minor,
)
from shared.reading.overview import CONTACT_METRICS, DEAL_METRICS, campaign_numbers, money_by_currency, settled_through
from shared.reading.pages import encode_cursor
from shared.web.problems import Problem


def routes(api: Api) -> APIRouter:
    """The routes of this file."""
    router = APIRouter(prefix="/v1/campaigns", tags=["campaigns"])

    @router.get("", openapi_extra=takes.read(takes.QUERY, *takes.RANGE, takes.MODEL, *takes.PAGE))
    async def list_campaigns(request: Request) -> Response:
        """Every campaign with its headline metrics; `q` searches id and name."""
        async with read_request(api, request, heavy=True) as read:
            rows = await campaigns_with(read.snapshot, read.query.get("q", ""))
            model, span = read.model, read.range
            page = read.page(rows, [[r["campaign_id"]] for r in rows])
            rows = page["items"]
            counted = await campaign_numbers(
                read.snapshot, {r["campaign"]: r["campaign_id"] for r in rows}, span, model
            )
            values = await claimed_values(read.snapshot, [r["campaign"] for r in rows])
            items = [
                {**campaign_json(r), "utm_campaign": values.get(r["campaign"], []),
                 "metrics": counted[r["campaign"]].metrics(), "touches": counted[r["campaign"]].touches,
                 "excluded": counted[r["campaign"]].excluded} for r in rows
            ]  # fmt: skip
            return answer(read, {**page, "items": items, **span.as_json(), "model": model})

    @router.get("/{campaign_id:id}", openapi_extra=takes.read())
    async def get_campaign(campaign_id: str, request: Request) -> Response:
        """The campaign and its association history."""
        async with read_request(api, request) as read:
            row = await campaign_row(read.snapshot, campaign_id)
            held = [
                {"asset_id": a["asset_id"], "asset_type": a["asset_type"], "name": a["name"],
                 "from": to_rfc3339(a["from_us"]), "to": None if a["to_us"] == END_US else to_rfc3339(a["to_us"]),
                 "event_id": a["event_id"]} for a in await associations(read.snapshot, row["campaign"])
            ]  # fmt: skip
            values = await claimed_values(read.snapshot, [row["campaign"]])
            body = {
                **campaign_json(row), "utm_campaign": values.get(row["campaign"], []),
                "spent": money_by_currency(await spent_minor(read.snapshot, row["campaign"])), "associations": held,
            }  # fmt: skip
            return answer(read, body)

    @router.get("/{campaign_id:id}/overview", openapi_extra=takes.read(*takes.RANGE, takes.MODEL))
    async def get_overview(campaign_id: str, request: Request) -> Response:
        """Every metric of the campaign, and what was kept out of them, by reason."""
        async with read_request(api, request, heavy=True, log_end=True) as read:
            model, span = read.model, read.range
            counted = await numbers_of_campaign(read.snapshot, campaign_id, span, model)
            body = {
                "campaign_id": campaign_id, **span.as_json(), "model": model, "metrics": counted.metrics(),
                "touches": counted.touches, "excluded": counted.excluded,
                "settled_through": await settled_through(read.snapshot, read.log_end_offset),
            }  # fmt: skip
            return answer(read, body)

    @router.get("/{campaign_id:id}/refusals", openapi_extra=takes.read(*takes.PAGE))
    async def get_refusals(campaign_id: str, request: Request) -> Response:
        """The associations that the campaign was refused, in order, each with the reason (rules **interval**, **limit**)."""
        async with read_request(api, request) as read:
            row = await campaign_row(read.snapshot, campaign_id)
            rows = await refusals(read.snapshot, row["campaign"])
            items = [
                {"asset_id": r["asset_id"], "asset_type": r["asset_type"], "name": r["name"],
                 "occurred_at": to_rfc3339(r["occurred_at_us"]), "event_id": r["event_id"], "reason": r["reason"]}
                for r in rows
            ]  # fmt: skip
            return answer(read, read.page(items, [[r["occurred_at_us"], r["event_id"]] for r in rows]))

    @router.get(
        "/{campaign_id:id}/contacts",
        openapi_extra=takes.read(takes.CONTACT_METRIC, takes.MODEL, *takes.RANGE, *takes.PAGE),
    )
    async def get_contacts(campaign_id: str, request: Request) -> Response:
        """The contacts behind a number."""
        async with read_request(api, request, heavy=True) as read:
            metric = read.choice("metric", CONTACT_METRICS, "influenced_contacts")
            campaign = (await campaign_row(read.snapshot, campaign_id))["campaign"]
            rows = await contacts_behind(
                read.snapshot, [campaign], metric, read.range, read.model, _contact_of(read.cursor), read.limit + 1
            )
            rows, cursor = _page(rows, read.limit, "at_us", "name", "contact")
            items = [
                {"contact": r["name"], "at": to_rfc3339(r["at_us"]), "deciding_event": r["deciding_event"]} for r in rows
            ]  # fmt: skip
            return answer(read, {"items": items, "next_cursor": cursor, "metric": metric})

    @router.get(
        "/{campaign_id:id}/deals",
        openapi_extra=takes.read(takes.DEAL_METRIC, takes.MODEL, *takes.RANGE, *takes.PAGE),
    )
    async def get_deals(campaign_id: str, request: Request) -> Response:
        """The deals behind a number, with the campaign's share of each."""
        async with read_request(api, request, heavy=True) as read:
            metric = read.choice("metric", DEAL_METRICS, "influenced_deals")
            model, snapshot = read.model, read.snapshot
            campaign = (await campaign_row(snapshot, campaign_id))["campaign"]
            rows = await deals_behind(snapshot, campaign, metric, read.range, _deal_of(read.cursor), read.limit + 1)
            rows, cursor = _page(rows, read.limit, "dated_us", "deal_id")
            paid = await earned_of_deals(snapshot, campaign, [r["deal"] for r in rows], read.range, model)
            items = [_deal_item(r, paid.get(r["deal"])) for r in rows]
            return answer(read, {"items": items, "next_cursor": cursor, "metric": metric, "model": model})

    return router


def campaign_json(row: Any) -> dict[str, Any]:
    """What was told of a campaign, from its row, as answers tell it."""
    budget = row["budget_minor"]
    return {
        "campaign_id": row["campaign_id"], "name": row["name"],
        "starts_on": row["starts_on"], "ends_on": row["ends_on"], "owner": row["owner"], "notes": row["notes"],
        "budget": None if budget is None else to_money(budget, row["currency"]),
        "created_at": to_rfc3339(row["created_us"]),
        "deleted_at": None if row["deleted_us"] is None else to_rfc3339(row["deleted_us"]),
    }  # fmt: skip


def _page(rows: list[Any], limit: int, *key: str) -> tuple[list[Any], str | None]:
    """At most `limit` rows, and the cursor of the page after them, by the columns of their key; None if there are no more rows."""
    if len(rows) <= limit:
        return rows, None
    return rows[:limit], encode_cursor([rows[limit - 1][column] for column in key])


def _contact_of(cursor: list[Any] | None) -> tuple[int, str, int]:
    """The last contact of the page before, by the cursor: the instant that dates it, its name, its key. Raises a 422 `Problem`."""
    match cursor:
        case None:
            return FIRST
        case [int(at_us), str(name), int(contact)]:
            return at_us, name, contact
        case _:
            raise Problem(422, "bad_parameter", "`cursor` is of another list", field="cursor")


def _deal_of(cursor: list[Any] | None) -> tuple[int, str]:
    """The last deal of the page before, by the cursor: the instant that dates it, and its id. Raises a 422 `Problem`."""
    match cursor:
        case None:
            return FIRST_DEAL
        case [int(at_us), str(deal_id)]:
            return at_us, deal_id
        case _:
            raise Problem(422, "bad_parameter", "`cursor` is of another list", field="cursor")


def _deal_item(deal: Any, share: int | None) -> dict[str, Any]:
    amount, currency = deal["amount_minor"], deal["currency"]
    return {
        "deal_id": deal["deal_id"], "name": deal["name"], "state": deal["state"],
        "created_at": to_rfc3339(deal["created_us"]),
        "closed_at": None if deal["closed_us"] is None else to_rfc3339(deal["closed_us"]),
        "amount": None if amount is None else to_money(amount, currency),
        "share": None if share is None else to_money(share, currency),
    }  # fmt: skip
