"""`/v1/deals`: the deals, who earned one, and why it does or does not count for a campaign."""

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request, Response

from services.api import parameters as takes
from services.api.requests import Api, ReadRequest, answer, order_of, read_request
from shared.events.instants import to_rfc3339
from shared.events.money import to_money
from shared.reading.campaigns import campaign_row
from shared.reading.checklist import explain_deal
from shared.reading.cursors import encode_cursor
from shared.reading.deal_list import DEAL_ORDERS, DealFilter, campaigns_of_deals, contacts_of_deal, deals_page
from shared.reading.deals import amount_in_events, as_answered, deal_row, journey, touches_outside_journey
from shared.reading.defined_models import add_defined, found_roles, models_named
from shared.reading.described_touches import touched_assets
from shared.reading.drilldown import deals_behind
from shared.reading.shares import share_under
from shared.reading.snapshot import Snapshot
from shared.reading.touches import counting, traffic_source_fields, traffic_sources, window_statuses
from shared.rules.credit import uncredited
from shared.rules.deal import State
from shared.rules.excluded_traffic import TrafficClass
from shared.rules.influence import TouchType
from shared.rules.model_defined import parts_within_lookback
from shared.rules.models import Parts
from shared.web.problems import Problem


def routes(api: Api) -> APIRouter:
    """The routes of this file."""
    router = APIRouter(prefix="/v1/deals", tags=["deals"])

    @router.get(
        "",
        openapi_extra=takes.read(
            takes.DEAL_STATE, takes.DEALS_WITH, takes.ABOUT_CAMPAIGN, takes.DEAL_SORT, *takes.RANGE, *takes.PAGE
        ),
    )
    async def list_deals(request: Request) -> Response:
        """The deals, each with the campaigns that it counts for; with `campaign`, only those that count for it.

        `from` and `to` are of the close; an open deal is dated by its creation.
        """
        async with read_request(api, request, heavy="campaign" in request.query_params) as read:
            sort = read.choice("sort", list(DEAL_ORDERS), "-closed_at")
            among = None
            if (campaign_id := read.query.get("campaign")) is not None:
                campaign = (await campaign_row(read.snapshot, campaign_id))["campaign"]
                behind = await deals_behind(read.snapshot, [campaign], "influenced_deals", read.range)
                among = {row["deal"] for row in behind}
            wanted = DealFilter(
                read.chosen("state", list(State)), read.query.get("q", ""), read.range, among
            )  # fmt: skip
            rows, keys = await deals_page(
                read.snapshot, wanted, sort, read.after_key(DEAL_ORDERS[sort]), read.limit + 1
            )
            campaigns = await campaigns_of_deals(read.snapshot, [row["deal"] for row in rows])
            items = [{**as_answered(r), "contacts": r["contacts"], "campaigns": campaigns[r["deal"]]} for r in rows]
            return answer(read, {**read.page_of(items, keys), **read.range.as_json()})

    @router.get("/{deal_id:id}", openapi_extra=takes.read())
    async def get_deal(deal_id: str, request: Request) -> Response:
        """The deal, the campaigns that it counts for, and every contact that it ever had: whether it is eligible, or why not."""
        async with read_request(api, request) as read:
            deal = await deal_row(read.snapshot, deal_id)
            contacts = await contacts_of_deal(read.snapshot, deal)
            campaigns = (await campaigns_of_deals(read.snapshot, [deal["deal"]]))[deal["deal"]]
            return answer(read, {**as_answered(deal), "contacts": contacts, "campaigns": campaigns})

    @router.get("/{deal_id:id}/attribution", openapi_extra=takes.read(takes.MODELS_OF_DEAL, takes.ALL, *takes.PAGE))
    async def get_attribution(deal_id: str, request: Request) -> Response:
        """Every touch of the journey with its exact share; the shares add up to the amount.

        With several `model`s, each touch has `by_model`: its weight and share under each; `weight` and `share` are those under the first.
        With `all`, a page of its contacts' other touches too, each with the reason for which it earned nothing.
        """
        async with read_request(api, request) as read:
            deal = await deal_row(read.snapshot, deal_id)
            models = read.models
            shares = await _shares(read.snapshot, deal, models)
            amount, refused = None, None
            if deal["amount_minor"] is not None:
                amount = to_money(deal["amount_minor"], deal["currency"])
            elif (refused_amount := await amount_in_events(read.snapshot, deal["deal"])) is not None:
                refused = {"amount": refused_amount, "currency": deal["currency"]}
            body = {
                "deal_id": deal_id, "name": deal["name"], "state": deal["state"], "model": models[0],
                "models": models, "amount": amount, "amount_refused": refused,
                "created_at": to_rfc3339(deal["created_us"]),
                "closed_at": None if deal["closed_us"] is None else to_rfc3339(deal["closed_us"]), "shares": shares,
            }  # fmt: skip
            if read.flag("all"):
                body |= await _others(read, deal)
            return answer(read, body)

    @router.get("/{deal_id:id}/explain", openapi_extra=takes.read(takes.CAMPAIGN))
    async def get_explain(deal_id: str, request: Request) -> Response:
        """Why the deal counts for the `campaign`, or does not: the checklist, each check with the event that decides."""
        async with read_request(api, request, heavy=True) as read:
            campaign_id = read.query.get("campaign")
            if campaign_id is None:
                raise Problem(422, "bad_parameter", "`campaign` says which campaign to explain", field="campaign")
            return answer(read, await explain_deal(read.snapshot, deal_id, campaign_id))

    return router


async def _shares(snapshot: Snapshot, deal: Any, models: Sequence[str]) -> list[dict[str, Any]]:
    """Every touch of the journey, with its weight and share under the first of the models, and under each if there are several."""
    touches = await journey(snapshot, deal["deal"])
    if not touches:
        return []
    ages_us = [deal["closed_us"] - touch["occurred_at_us"] for touch in touches]
    known, roles = await models_named(snapshot, models), found_roles(touches)
    await add_defined(snapshot, touches, models)
    earned = {
        name: _earned(snapshot, deal, touches, name, parts_within_lookback(known[name], roles, ages_us))
        for name in models
    }
    campaigns, assets = await window_statuses(snapshot, touches), await touched_assets(snapshot, touches)
    by = await traffic_sources(snapshot, touches)
    return [
        {
            "event_id": touch["event_id"], "type": TouchType(touch["type"]).wire,
            "occurred_at": to_rfc3339(touch["occurred_at_us"]), "contact": touch["contact_name"],
            "asset_id": touch["asset_id"], **traffic_source_fields(by[i]),
            "campaigns": counting(TrafficClass.COUNTED, campaigns[i]), "roles": touch["roles"], **earned[models[0]][i],
            **({"by_model": {name: earned[name][i] for name in models}} if len(models) > 1 else {}),
            "url": touch["url"], "asset": assets[i],
        } for i, touch in enumerate(touches)
    ]  # fmt: skip


def _earned(
    snapshot: Snapshot, deal: Any, touches: Sequence[Any], model: str, parts: Parts | None
) -> list[dict[str, Any]]:
    """`weight` and `share` of each touch of a journey under a model; `parts` are its weights, None if the model shares out nothing."""
    return [
        {
            "weight": "0" if parts is None else str(parts.fraction(i)),
            "share": to_money(share_under(snapshot, touch["shares_minor"], model), deal["currency"]) if touch["shares_minor"] else None,
        } for i, touch in enumerate(touches)
    ]  # fmt: skip


async def _others(read: ReadRequest, deal: Any) -> dict[str, Any]:
    """A page of the contacts' touches outside of the journey; none of a deal that is not won, for it has no journey."""
    if deal["state"] != State.WON:
        return {"others": [], "next_cursor": None}
    rows = await touches_outside_journey(read.snapshot, deal["deal"], order_of(read.cursor), read.limit + 1)
    more, rows = len(rows) > read.limit, rows[: read.limit]
    assets, by = await touched_assets(read.snapshot, rows), await traffic_sources(read.snapshot, rows)
    campaigns = await window_statuses(read.snapshot, rows)
    others = [
        {
            "event_id": r["event_id"], "type": TouchType(r["type"]).wire, "occurred_at": to_rfc3339(r["occurred_at_us"]),
            "contact": r["contact_name"], "asset_id": r["asset_id"], **traffic_source_fields(by[n]),
            "campaigns": counting(TrafficClass(r["traffic_class"]), campaigns[n]),
            "reason": uncredited(
                TouchType(r["type"]), TrafficClass(r["traffic_class"]), r["eligible"], r["occurred_at_us"], deal["closed_us"],
                read.snapshot.settings.lookback_days,
            ),
            "url": r["url"], "asset": assets[n],
        } for n, r in enumerate(rows)
    ]  # fmt: skip
    cursor = encode_cursor([rows[-1]["occurred_at_us"], rows[-1]["event_id"]]) if more else None
    return {"others": others, "next_cursor": cursor}
