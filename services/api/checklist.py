"""Why does a deal count for a campaign, or not? The checklist of rule **deal**, each check with the event that decides it."""

from dataclasses import dataclass
from typing import Any

from services.api import sentences
from services.api.described_touches import Standpoint, people, standpoints, touches_at
from services.api.requests import Reading, not_found
from services.api.sentences import Clock, Who
from shared.events.codec import decode_event
from shared.events.instants import END_US
from shared.reading.attribution import KEPT_OUT_OF, REACHED
from shared.projection.deals import CONTACTS_OF, ENTITY_EVENTS, keys_named, members_of, told_of
from shared.projection.sql import sql
from shared.rules.deal import Deal, DealReason, Decision, Member, Met, decide, eligible, fold
from shared.rules.influence import TouchType
from shared.rules.keys import campaign_key, deal_key
from shared.rules.order import Order
from shared.rules.pre_association import KeptOut

CAMPAIGN = sql("SELECT campaign_id, name FROM {g}.campaign WHERE ws = $1 AND campaign = $2")

NOT_ASSOCIATED = frozenset(
    {DealReason.NO_CONTACT, DealReason.CONTACT_ASSOCIATED_AFTER_CLOSE, DealReason.CONTACT_DISSOCIATED_BEFORE_CLOSE}
)
NOT_REACHED = frozenset(
    {
        DealReason.INFLUENCED_AFTER_CLOSE, DealReason.STATIC_LIST, DealReason.WORKFLOW_ONLY,
        DealReason.CONTACT_NOT_INFLUENCED,
    }
)  # fmt: skip
CHECKS = ("not_deleted", "not_lost", "contact_associated_before_close", "contact_influenced_before_close")


@dataclass
class Found:
    """What the checklist tells of: the deal, the decision, and who and what it names."""

    clock: Clock
    campaign: str
    deal: Deal
    told: sentences.Deal
    decision: Decision
    present: dict[int, Order]
    who: dict[int, Who]
    touch: Standpoint | None
    kept_out: list[tuple[str, Standpoint]]


async def explain_deal(read: Reading, deal_id: str, campaign_id: str) -> dict[str, Any]:
    """Why a deal counts for a campaign, or does not: the checklist, each check with the event that decides it.

    Raises a 404 `Problem` if either is unknown.
    """
    entity_events = [
        (Order(r["occurred_at_us"], r["event_id"]), r["type"], decode_event(r["body"]))
        for r in await read.fetch(ENTITY_EVENTS, [deal_key(deal_id)])
    ]
    if not entity_events:
        raise not_found("deal", deal_id)
    campaign = await read.fetchrow(CAMPAIGN, campaign_key(campaign_id))
    if campaign is None:
        raise not_found("campaign", campaign_id)
    deal = fold(told_of(*entity_event) for entity_event in entity_events)
    rows = {r["identifier"]: r["contact"] for r in await read.fetch(CONTACTS_OF, list(keys_named(entity_events)))}
    found = await _found(read, deal_id, campaign, deal, members_of(entity_events, rows))
    why = found.decision.reason
    return {
        "deal_id": deal_id, "campaign_id": campaign_id, "counts": why is None, "reason": why,
        "checks": [*_checks(found), *_kept_out(found)],
    }  # fmt: skip


async def _found(read: Reading, deal_id: str, campaign: Any, deal: Deal, members: list[Member]) -> Found:
    """Let the rule decide, and gather what its decision names."""
    key, campaign_id = campaign_key(campaign["campaign_id"]), campaign["campaign_id"]
    reached = await read.fetch(REACHED, [key], list({m.contact for m in members if m.joins}))
    decision = decide(
        deal, members,
        [Met(Order(r["occurred_at_us"], r["event_id"]), r["contact"], TouchType(r["type"])) for r in reached],
    )  # fmt: skip
    closed_us = None if deal.closed is None else deal.closed.at_us
    present = eligible(members, closed_us)
    kept: list[Any] = []
    if decision.reason in NOT_REACHED:
        kept = await read.fetch(KEPT_OUT_OF, [key], list(present), END_US if closed_us is None else closed_us)
    mine = [] if decision.touch is None else [r for r in reached if r["event_id"] == decision.touch.order.event_id]
    named = sorted(present, key=lambda contact: present[contact])[: sentences.PEOPLE_NAMED_MAX]
    who = await people(
        read, {*named, *(r["contact"] for r in (*mine, *kept)), *(c for c in (decision.contact,) if c is not None)}
    )
    shown = [*mine, *kept]
    points = await standpoints(read, await touches_at(read, shown), [who[r["contact"]] for r in shown])
    mine_here = [point[campaign_id] for point in points]
    told = sentences.Deal(deal_id, deal.name, deal.state, deal.created.at_us, closed_us, deal.decided_by.at_us)
    return Found(
        Clock(read.zone), campaign["name"] or campaign_id, deal, told, decision, present, who,
        mine_here[0] if mine else None,
        [(r["event_id"], point) for r, point in zip(kept, mine_here[len(mine) :], strict=True)],
    )  # fmt: skip


def _checks(found: Found) -> list[dict[str, Any]]:
    """The checklist in the order of the rule; a check that was not reached holds `null`."""
    deal, clock = found.told, found.clock
    reason = found.decision.reason
    state, created = found.deal.decided_by.event_id, found.deal.created.event_id
    gone = reason is DealReason.DEAL_DELETED
    out = [_check("deal", "not_deleted", not gone, sentences.deletion(clock, deal), state if gone else created)]
    if not gone:
        lost = reason is DealReason.DEAL_LOST
        out.append(_check("deal", "not_lost", not lost, sentences.outcome(clock, deal), state))
        if not lost:
            out.append(_associated(found))
            if reason not in NOT_ASSOCIATED:
                out.append(_influenced(found))
    return out + [_check("deal", name, None, sentences.NOT_REACHED, None) for name in CHECKS[len(out) :]]


def _associated(found: Found) -> dict[str, Any]:
    decision, present = found.decision, found.present
    decided_by, reason = decision.decided_by, decision.reason
    if reason in NOT_ASSOCIATED:
        who = None if decision.contact is None else found.who[decision.contact]
        says = sentences.not_associated(
            found.clock, found.told, reason, who, decided_by.at_us if decided_by else None,
            found.touch.deed if found.touch else None, found.campaign,
        )  # fmt: skip
        return _check(
            "deal", "contact_associated_before_close", False, says, decided_by.event_id if decided_by else None
        )
    contact = min(present, key=lambda c: present[c]) if decision.contact is None else decision.contact
    joined = present[contact]
    says = sentences.associated(found.clock, found.told, found.who[contact], joined.at_us, len(present) - 1)
    return _check("deal", "contact_associated_before_close", True, says, joined.event_id)


def _influenced(found: Found) -> dict[str, Any]:
    decision, name = found.decision, "contact_influenced_before_close"
    event_id = None if decision.decided_by is None else decision.decided_by.event_id
    if decision.reason is None:
        assert found.touch is not None
        says = sentences.influenced(found.clock, found.told, found.touch.deed, found.campaign)
        return _check("deal", name, True, says, event_id)
    if event_id is None and found.kept_out:
        event_id = found.kept_out[0][0]
    named = sorted(found.present, key=lambda contact: found.present[contact])
    says = sentences.not_influenced(
        found.clock, found.told, decision.reason, found.touch.deed if found.touch else None,
        [found.who[contact] for contact in named[: sentences.PEOPLE_NAMED_MAX]], len(named), found.campaign,
        kept_out=bool(found.kept_out),
    )  # fmt: skip
    return _check("deal", name, False, says, event_id)


def _kept_out(found: Found) -> list[dict[str, Any]]:
    """The touches that would have made the deal count, had they not been kept out of the campaign."""
    out = []
    for event_id, point in found.kept_out:
        assert point.why is not None
        rule = "excluded traffic" if point.why in (KeptOut.MACHINE, KeptOut.INTERNAL) else "pre-association"
        out.append(_check(rule, f"touch_not_{point.why}", False, point.said(found.clock, found.campaign), event_id))
    return out


def _check(rule: str, check: str, holds: bool | None, says: str, event_id: str | None) -> dict[str, Any]:
    return {"rule": rule, "check": check, "holds": holds, "says": says, "deciding_event": event_id}
