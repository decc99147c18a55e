"""`/v1/deals`: who earned a deal, and why it does or does not count for a campaign."""

from typing import Any

from fastapi import APIRouter, Request, Response

from services.api.campaigns import campaign_row
from services.api.contacts import standings
from services.api.reading import Api, Reading, answer, not_found, reading
from shared.events.codec import decode_event
from shared.events.instants import to_rfc3339
from shared.events.money import to_money
from shared.projection.attribution import REACHED
from shared.projection.deals import CONTACTS_OF, FACTS, keys_named, members_of, told_of
from shared.projection.sql import sql
from shared.rules.deal import Deal, DealReason, Member, Reached, before_close, eligible, fold, reason
from shared.rules.influence import DEAL_TOUCHES, TouchType
from shared.rules.keys import deal_key
from shared.rules.models import MODELS, Role, weights
from shared.rules.order import Order
from shared.rules.pre_association import Standing

DEAL = sql("SELECT * FROM {g}.deal WHERE ws = $1 AND deal = $2")
JOURNEY = sql("""
SELECT cr.*, c.name AS contact_name FROM {g}.credit cr
LEFT JOIN {g}.contact c ON c.ws = $1 AND c.contact = cr.contact
WHERE cr.ws = $1 AND cr.deal = $2 ORDER BY cr.step
""")
SAYS: dict[DealReason, str] = {
    DealReason.DEAL_DELETED: "The deal was deleted.",
    DealReason.DEAL_LOST: "The deal was lost.",
    DealReason.NO_CONTACT: "No contact was ever associated with the deal.",
    DealReason.CONTACT_ASSOCIATED_AFTER_CLOSE: "Its contacts were associated with it only when or after it closed.",
    DealReason.CONTACT_DISSOCIATED_BEFORE_CLOSE: "Its contacts were dissociated from it before it closed.",
    DealReason.INFLUENCED_AFTER_CLOSE: "The campaign touched its contacts only when or after it closed.",
    DealReason.STATIC_LIST: "The campaign reached its contacts by a static list alone, which earns no revenue.",
    DealReason.WORKFLOW_ONLY: "The campaign reached its contacts by a workflow alone, which earns no revenue.",
    DealReason.CONTACT_NOT_INFLUENCED: "No touch of the campaign influenced any of its contacts.",
}


def routes(api: Api) -> APIRouter:
    """The routes of this file."""
    router = APIRouter(prefix="/v1/deals", tags=["deals"])

    @router.get("/{deal_id}/attribution")
    async def get_attribution(deal_id: str, request: Request) -> Response:
        """Every touch of the journey with its exact share; the shares add up to the amount."""
        async with reading(api, request) as read:
            deal = await _deal_row(read, deal_id)
            model = read.choice("model", list(MODELS), "linear")
            shares = await _shares(read, deal, model)
            amount = None if deal["amount_minor"] is None else to_money(deal["amount_minor"], deal["currency"])
            body = {
                "deal_id": deal_id, "name": deal["name"], "state": deal["state"], "model": model, "amount": amount,
                "created_at": to_rfc3339(deal["created_us"]),
                "closed_at": None if deal["closed_us"] is None else to_rfc3339(deal["closed_us"]), "shares": shares,
            }  # fmt: skip
            return answer(read, body)

    @router.get("/{deal_id}/explain")
    async def get_explain(deal_id: str, request: Request) -> Response:
        """The checklist: why the deal counts for the campaign, or does not, each check with the event that decides."""
        async with reading(api, request) as read:
            campaign_id = request.query_params.get("campaign", "")
            await _deal_row(read, deal_id)
            campaign = await campaign_row(read, campaign_id)
            return answer(read, await _explain(read, deal_id, campaign_id, campaign["campaign"]))

    return router


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
    place = list(MODELS).index(model)
    campaigns = await standings(read, journey)
    return [
        {
            "event_id": touch["event_id"], "type": TouchType(touch["type"]).wire,
            "occurred_at": to_rfc3339(touch["occurred_at_us"]), "contact": touch["contact_name"],
            "asset_id": touch["asset_id"],
            "campaigns": sorted(c for c, by_route in campaigns[i].items() if Standing.COUNTS in by_route.values()),
            "roles": touch["roles"], "weight": str(parts.fraction(i)),
            "share": to_money(touch["shares_minor"][place], deal["currency"]) if touch["shares_minor"] else None,
        } for i, touch in enumerate(journey)
    ]  # fmt: skip


async def _explain(read: Reading, deal_id: str, campaign_id: str, campaign: int) -> dict[str, Any]:
    facts = [
        (Order(r["occurred_at_us"], r["event_id"]), r["type"], decode_event(r["body"]))
        for r in await read.fetch(FACTS, [deal_key(deal_id)])
    ]
    deal = fold(told_of(*fact) for fact in facts)
    rows = {r["identifier"]: r for r in await read.fetch(CONTACTS_OF, list(keys_named(facts)))}
    members = members_of(facts, {key: r["contact"] for key, r in rows.items()})
    closed_us = None if deal.closed is None else deal.closed.at_us
    present = eligible(members, closed_us)
    touches = await read.fetch(REACHED, [campaign], list(present))
    why = reason(deal, members, _reached(touches))
    return {
        "deal_id": deal_id, "campaign_id": campaign_id, "counts": why is None, "reason": why,
        "checks": _checks(deal, members, present, touches, why),
    }  # fmt: skip


def _reached(touches: list[Any]) -> dict[int, Reached]:
    out: dict[int, Reached] = {}
    for touch in touches:
        seen = out.get(touch["contact"], Reached(None, False, False))
        type_ = TouchType(touch["type"])
        first = seen.deal_touch_us
        if type_ in DEAL_TOUCHES and first is None:
            first = touch["occurred_at_us"]
        out[touch["contact"]] = Reached(
            first, seen.static_list or type_ is TouchType.LIST_JOINED_STATIC,
            seen.workflow or type_ is TouchType.WORKFLOW_ENROLLED,
        )  # fmt: skip
    return out


def _checks(
    deal: Deal, members: list[Member], present: dict[int, Order], touches: list[Any], why: DealReason | None
) -> list[dict[str, Any]]:
    """The checklist in the order of the rule; a check that was not reached holds `null`."""
    closed_us = None if deal.closed is None else deal.closed.at_us
    joined = min(present.values(), default=min((m.order for m in members if m.joins), default=None))
    influencing = [t for t in touches if TouchType(t["type"]) in DEAL_TOUCHES]
    in_time = next((t for t in influencing if before_close(t["occurred_at_us"], closed_us)), None)
    first = in_time or next(iter(influencing or touches), None)
    steps: list[tuple[str, set[DealReason], str, str | None]] = [
        ("not_deleted", {DealReason.DEAL_DELETED}, "The deal was not deleted.", deal.decided_by.event_id),
        ("not_lost", {DealReason.DEAL_LOST}, f"The deal is {deal.state.value}.", deal.decided_by.event_id),
        ("contact_associated_before_close",
         {DealReason.NO_CONTACT, DealReason.CONTACT_ASSOCIATED_AFTER_CLOSE, DealReason.CONTACT_DISSOCIATED_BEFORE_CLOSE},
         "A contact was associated with it in time.", joined.event_id if joined else None),
        ("contact_influenced_before_close",
         {DealReason.INFLUENCED_AFTER_CLOSE, DealReason.STATIC_LIST, DealReason.WORKFLOW_ONLY,
          DealReason.CONTACT_NOT_INFLUENCED},
         "The campaign touched one of its contacts in time.", first["event_id"] if first else None),
    ]  # fmt: skip
    out: list[dict[str, Any]] = []
    failed = False
    for name, reasons, says, event_id in steps:
        holds = None if failed else why not in reasons
        said = says if holds else ("Not reached." if holds is None else SAYS[why])  # type: ignore[index]
        out.append(
            {
                "rule": "deal",
                "check": name,
                "holds": holds,
                "says": said,
                "deciding_event": None if failed else event_id,
            }
        )
        failed = failed or holds is False
    return out
