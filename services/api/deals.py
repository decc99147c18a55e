"""`/v1/deals`: who earned a deal, and why it does or does not count for a campaign."""

from typing import Any

from fastapi import APIRouter, Request, Response

from services.api import parameters as takes
from services.api.checklist import explain_deal
from services.api.requests import Api, Reading, answer, encode_cursor, not_found, order_of, reading
from services.api.touches import counting, window_statuses
from shared.events.codec import decode_event
from shared.events.instants import to_rfc3339
from shared.events.money import to_money
from shared.projection.deals import ENTITY_EVENTS, told_of
from shared.projection.sql import sql
from shared.rules.credit import uncredited
from shared.rules.deal import State, fold
from shared.rules.excluded_traffic import TrafficClass
from shared.rules.influence import TouchType
from shared.rules.keys import deal_key
from shared.rules.models import MODELS, Role, weights
from shared.rules.order import Order
from shared.store.generations import WrongShape, lacks_model
from shared.web.problems import Problem

DEAL = sql("SELECT * FROM {g}.deal WHERE ws = $1 AND deal = $2")
JOURNEY = sql("""
SELECT cr.*, c.name AS contact_name FROM {g}.credit cr
LEFT JOIN {g}.contact c ON c.ws = $1 AND c.contact = cr.contact
WHERE cr.ws = $1 AND cr.deal = $2 ORDER BY cr.step
""")
OTHERS = sql(f"""
SELECT t.event_id, t.type, t.occurred_at_us, t.traffic_class, t.asset_id, c.name AS contact_name,
    EXISTS (SELECT FROM {{g}}.deal_contact d WHERE d.ws = $1 AND d.deal = $2 AND d.contact = c.contact) AS eligible
FROM (SELECT DISTINCT i.contact FROM {{g}}.deal_named n
    JOIN {{g}}.identifier i ON i.ws = $1 AND i.identifier = n.identifier WHERE n.ws = $1 AND n.deal = $2) ever
JOIN {{g}}.contact c ON c.ws = $1 AND c.contact = ever.contact
JOIN {{g}}.identity_interval o ON o.ws = $1 AND o.contact = c.contact
JOIN {{g}}.touch t ON t.ws = $1 AND t.person = o.person AND t.traffic_class <> {TrafficClass.RETRACTED:d}
    AND (t.occurred_at_us, t.event_id) >= (o.from_us, o.from_event)
    AND (t.occurred_at_us, t.event_id) < (o.to_us, o.to_event)
    AND t.occurred_at_us >= $3::bigint AND (t.occurred_at_us, t.event_id) > ($3::bigint, $4 COLLATE "C")
WHERE NOT EXISTS (SELECT FROM {{g}}.credit cr WHERE cr.ws = $1 AND cr.deal = $2 AND cr.event_id = t.event_id)
ORDER BY t.occurred_at_us, t.event_id LIMIT $5
""")  # a page of the touches of all contacts that a deal's events name, but for those of its journey


def routes(api: Api) -> APIRouter:
    """The routes of this file."""
    router = APIRouter(prefix="/v1/deals", tags=["deals"])

    @router.get("/{deal_id:id}/attribution", openapi_extra=takes.read(takes.MODEL, takes.ALL, *takes.PAGE))
    async def get_attribution(deal_id: str, request: Request) -> Response:
        """Every touch of the journey with its exact share; the shares add up to the amount.

        With `all`, a page of its contacts' other touches too, each with the reason for which it earned nothing.
        """
        async with reading(api, request) as read:
            deal = await _deal_row(read, deal_id)
            model = read.choice("model", list(MODELS), "linear")
            shares = await _shares(read, deal, model)
            amount, refused = None, None
            if deal["amount_minor"] is not None:
                amount = to_money(deal["amount_minor"], deal["currency"])
            elif (told := await _amount_told(read, deal["deal"])) is not None:
                refused = {"amount": told, "currency": deal["currency"]}
            body = {
                "deal_id": deal_id, "name": deal["name"], "state": deal["state"], "model": model, "amount": amount,
                "amount_refused": refused,
                "created_at": to_rfc3339(deal["created_us"]),
                "closed_at": None if deal["closed_us"] is None else to_rfc3339(deal["closed_us"]), "shares": shares,
            }  # fmt: skip
            if read.flag("all"):
                body |= await _others(read, deal)
            return answer(read, body)

    @router.get("/{deal_id:id}/explain", openapi_extra=takes.read(takes.CAMPAIGN))
    async def get_explain(deal_id: str, request: Request) -> Response:
        """The checklist: why the deal counts for the `campaign`, or does not, each check with the event that decides."""
        async with reading(api, request, heavy=True) as read:
            campaign_id = read.query.get("campaign")
            if campaign_id is None:
                raise Problem(422, "bad_parameter", "`campaign` says which campaign to explain", field="campaign")
            return answer(read, await explain_deal(read, deal_id, campaign_id))

    return router


async def _amount_told(read: Reading, deal: int) -> str | None:
    """The amount that the deal's events tell, though its currency may not be able to express it."""
    rows = await read.fetch(ENTITY_EVENTS, [deal])
    told = ((Order(r["occurred_at_us"], r["event_id"]), r["type"], decode_event(r["body"])) for r in rows)
    return fold(told_of(*entity_event) for entity_event in told).amount


async def _deal_row(read: Reading, deal_id: str) -> Any:
    row = await read.fetchrow(DEAL, deal_key(deal_id))
    if row is None:
        raise not_found("deal", deal_id)
    return row


async def _shares(read: Reading, deal: Any, model: str) -> list[dict[str, Any]]:
    journey = await read.fetch(JOURNEY, deal["deal"])
    if not journey:
        return []
    found = {Role(role): i for i, touch in enumerate(journey) for role in touch["roles"]}
    ages_us = [deal["closed_us"] - touch["occurred_at_us"] for touch in journey]
    parts = weights(MODELS[model], found, ages_us)
    campaigns = await window_statuses(read, journey)
    return [
        {
            "event_id": touch["event_id"], "type": TouchType(touch["type"]).wire,
            "occurred_at": to_rfc3339(touch["occurred_at_us"]), "contact": touch["contact_name"],
            "asset_id": touch["asset_id"],
            "campaigns": counting(TrafficClass.COUNTED, campaigns[i]),
            "roles": touch["roles"], "weight": str(parts.fraction(i)),
            "share": to_money(share_under(read, touch, model), deal["currency"]) if touch["shares_minor"] else None,
        } for i, touch in enumerate(journey)
    ]  # fmt: skip


def share_under(read: Reading, touch: Any, model: str) -> int:
    """What a touch was paid under a model, in minor units. Raises `WrongShape` if the store does not know the model."""
    if model not in touch["shares_minor"]:
        raise WrongShape(lacks_model(read.generation, model))
    return int(touch["shares_minor"][model])


async def _others(read: Reading, deal: Any) -> dict[str, Any]:
    """A deal that is not won has no journey, so nothing is outside of it."""
    if deal["state"] != State.WON:
        return {"others": [], "next_cursor": None}
    rows = await read.fetch(OTHERS, deal["deal"], *order_of(read.cursor), read.limit + 1)
    more, rows = len(rows) > read.limit, rows[: read.limit]
    others = [
        {
            "event_id": r["event_id"], "type": TouchType(r["type"]).wire, "occurred_at": to_rfc3339(r["occurred_at_us"]),
            "contact": r["contact_name"], "asset_id": r["asset_id"],
            "reason": uncredited(
                TouchType(r["type"]), TrafficClass(r["traffic_class"]), r["eligible"], r["occurred_at_us"], deal["closed_us"],
                read.settings.lookback_days,
            ),
        } for r in rows
    ]  # fmt: skip
    cursor = encode_cursor([rows[-1]["occurred_at_us"], rows[-1]["event_id"]]) if more else None
    return {"others": others, "next_cursor": cursor}
