"""`/v1/campaigns/{id}/spend` and `…/budget-items`: what was spent on a campaign and what is planned for it, item by item."""

from fastapi import APIRouter, Request, Response

from services.api import parameters as takes
from services.api.requests import Api, answer, read_request
from shared.reading.campaigns import campaign_row
from shared.reading.roi import budget_items, spend_items

SHOWN = ("event_id", "on", "amount", "asset_id")
PLANNED = ("event_id", "name", "amount")


def routes(api: Api) -> APIRouter:
    """The routes of this file."""
    router = APIRouter(prefix="/v1/campaigns", tags=["campaigns"])

    @router.get("/{campaign_id:id}/spend", openapi_extra=takes.read(*takes.RANGE, *takes.PAGE))
    async def get_spend(campaign_id: str, request: Request) -> Response:
        """The campaign's spend in the range, in the order of its days; an item is of the range if its day begins in it."""
        async with read_request(api, request) as read:
            row = await campaign_row(read.snapshot, campaign_id)
            items = (await spend_items(read.snapshot, [row["campaign"]], read.range)).get(row["campaign"], [])
            shown = [{name: item[name] for name in SHOWN} for item in items]
            page = read.page(shown, [[item["on"].isoformat(), item["event_id"]] for item in items])
            return answer(read, {**page, **read.range.as_json()})

    @router.get("/{campaign_id:id}/budget-items", openapi_extra=takes.read(*takes.PAGE))
    async def get_budget_items(campaign_id: str, request: Request) -> Response:
        """The items of the campaign's budget, in the order of their `occurred_at` (rule **budget**)."""
        async with read_request(api, request) as read:
            row = await campaign_row(read.snapshot, campaign_id)
            items = await budget_items(read.snapshot, row["campaign"])
            shown = [{name: item[name] for name in PLANNED} for item in items]
            return answer(read, read.page(shown, [[item["at_us"], item["event_id"]] for item in items]))

    return router
