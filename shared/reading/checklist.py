"""Why does a deal count for a campaign, or not? The checks of rule **deal**, each with the event that decides it."""

from dataclasses import dataclass
from typing import Any

from shared.events.codec import decode_event
from shared.projection.sql import sql
from shared.projection.stages.deals.gather import CONTACTS_OF, ENTITY_EVENTS, fields_of, keys_named, members_of
from shared.reading import sentences
from shared.reading.attribution import TOUCHES_OF_CONTACTS
from shared.reading.described_touches import TouchInCampaign, named_contacts, touches_at, touches_in_campaigns
from shared.reading.sentences import LocalTime, NamedContact
from shared.reading.snapshot import NotFound, Snapshot
from shared.reading.touches import statuses_by_route
from shared.rules.deal import CampaignTouch, Deal, DealReason, Decision, Member, before_close, decide, eligible, fold
from shared.rules.excluded_traffic import TrafficClass
from shared.rules.influence import DEAL_TOUCHES, TouchType
from shared.rules.keys import campaign_key, deal_key
from shared.rules.order import Order
from shared.rules.pre_association import KeptOut, kept_out

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
class Explained:
    """What the checks are made of: the deal, the rule's decision, and the contacts and touches that the sentences name.

    `campaign` is the campaign's name; `present` are the eligible contacts, each with the event that associated it; `touch` is
    the touch that the decision names; `kept_out` are the touches, by event id, that would have made the deal count.
    """

    clock: LocalTime
    campaign: str
    deal: Deal
    described: sentences.DescribedDeal
    decision: Decision
    present: dict[int, Order]
    who: dict[int, NamedContact]
    touch: TouchInCampaign | None
    kept_out: list[tuple[str, TouchInCampaign]]


async def explain_deal(snapshot: Snapshot, deal_id: str, campaign_id: str) -> dict[str, Any]:
    """Why a deal counts for a campaign, or does not: the answer of `/v1/deals/{id}/explain`.

    Raises `NotFound` if either is unknown.
    """
    entity_events = [
        (Order(r["occurred_at_us"], r["event_id"]), r["type"], decode_event(r["body"]))
        for r in await snapshot.fetch(ENTITY_EVENTS, [deal_key(deal_id)])
    ]
    if not entity_events:
        raise NotFound("deal", deal_id)
    campaign = await snapshot.fetchrow(CAMPAIGN, campaign_key(campaign_id))
    if campaign is None:
        raise NotFound("campaign", campaign_id)
    deal = fold(fields_of(*entity_event) for entity_event in entity_events)
    rows = {r["identifier"]: r["contact"] for r in await snapshot.fetch(CONTACTS_OF, list(keys_named(entity_events)))}
    explained = await _explained(snapshot, deal_id, campaign, deal, members_of(entity_events, rows))
    why = explained.decision.reason
    return {
        "deal_id": deal_id, "campaign_id": campaign_id, "counts": why is None, "reason": why,
        "checks": [*_checks(explained), *_kept_out(explained)],
    }  # fmt: skip


async def _explained(snapshot: Snapshot, deal_id: str, campaign: Any, deal: Deal, members: list[Member]) -> Explained:
    """Let the rule decide, and gather the contacts and touches that its decision names."""
    key, campaign_id = campaign_key(campaign["campaign_id"]), campaign["campaign_id"]
    touches = await snapshot.fetch(TOUCHES_OF_CONTACTS, [key], list({m.contact for m in members if m.joins}))
    reached = [r for r in touches if _why_not(r) is None]
    decision = decide(
        deal, members,
        [CampaignTouch(Order(r["occurred_at_us"], r["event_id"]), r["contact"], TouchType(r["type"])) for r in reached],
    )  # fmt: skip
    closed_us = None if deal.closed is None else deal.closed.at_us
    present = eligible(members, closed_us)
    kept = (
        _first_kept_out([r for r in touches if r["contact"] in present], closed_us)
        if decision.reason in NOT_REACHED
        else []
    )
    deciding_touches = (
        [] if decision.touch is None else [r for r in reached if r["event_id"] == decision.touch.order.event_id]
    )
    first_present = sorted(present, key=lambda contact: present[contact])[: sentences.PEOPLE_NAMED_MAX]
    shown = [*deciding_touches, *kept]
    deciding = [decision.contact] if decision.contact is not None else []
    who = await named_contacts(snapshot, {*first_present, *(r["contact"] for r in shown), *deciding})
    by_touch = await touches_in_campaigns(
        snapshot, await touches_at(snapshot, shown), [who[r["contact"]] for r in shown]
    )
    here = [by_campaign[campaign_id] for by_campaign in by_touch]
    described = sentences.DescribedDeal(
        deal_id, deal.name, deal.state, deal.created.at_us, closed_us, deal.decided_by.at_us
    )
    return Explained(
        LocalTime(snapshot.zone), campaign["name"] or campaign_id, deal, described, decision, present, who,
        here[0] if deciding_touches else None,
        [(r["event_id"], touch) for r, touch in zip(kept, here[len(deciding_touches) :], strict=True)],
    )  # fmt: skip


def _why_not(row: Any) -> KeptOut | None:
    """Why a touch, of a row of `TOUCHES_OF_CONTACTS`, does not count for the campaign; None if it does."""
    return kept_out(TrafficClass(row["traffic_class"]), statuses_by_route(row))


def _first_kept_out(touches: list[Any], closed_us: int | None) -> list[Any]:
    """The first deal touch before the close of each kind that was kept out of the campaign; touches are given in order.

    Touches are of one kind if they are of one traffic class and each route says the same of them.
    """
    first: dict[Any, Any] = {}
    for row in touches:
        if TouchType(row["type"]) in DEAL_TOUCHES and before_close(row["occurred_at_us"], closed_us) and _why_not(row):
            first.setdefault((row["traffic_class"], *sorted(statuses_by_route(row).items())), row)
    return list(first.values())


def _checks(explained: Explained) -> list[dict[str, Any]]:
    """The checks in the order of the rule; one that was not asked, since an earlier one decides, holds `null`."""
    deal, clock = explained.described, explained.clock
    reason = explained.decision.reason
    state, created = explained.deal.decided_by.event_id, explained.deal.created.event_id
    gone = reason is DealReason.DEAL_DELETED
    out = [_check("deal", "not_deleted", not gone, sentences.deletion(clock, deal), state if gone else created)]
    if not gone:
        lost = reason is DealReason.DEAL_LOST
        out.append(_check("deal", "not_lost", not lost, sentences.outcome(clock, deal), state))
        if not lost:
            out.append(_associated(explained))
            if reason not in NOT_ASSOCIATED:
                out.append(_influenced(explained))
    return out + [_check("deal", name, None, sentences.NOT_REACHED, None) for name in CHECKS[len(out) :]]


def _associated(explained: Explained) -> dict[str, Any]:
    decision, present = explained.decision, explained.present
    decided_by, reason = decision.decided_by, decision.reason
    if reason in NOT_ASSOCIATED:
        who = None if decision.contact is None else explained.who[decision.contact]
        says = sentences.not_associated(
            explained.clock, explained.described, reason, who, decided_by.at_us if decided_by else None,
            explained.touch.touch if explained.touch else None, explained.campaign,
        )  # fmt: skip
        return _check(
            "deal", "contact_associated_before_close", False, says, decided_by.event_id if decided_by else None
        )
    contact = min(present, key=lambda c: present[c]) if decision.contact is None else decision.contact
    joined = present[contact]
    says = sentences.associated(
        explained.clock, explained.described, explained.who[contact], joined.at_us, len(present) - 1
    )
    return _check("deal", "contact_associated_before_close", True, says, joined.event_id)


def _influenced(explained: Explained) -> dict[str, Any]:
    decision, name = explained.decision, "contact_influenced_before_close"
    event_id = None if decision.decided_by is None else decision.decided_by.event_id
    if decision.reason is None:
        assert explained.touch is not None
        says = sentences.influenced(explained.clock, explained.described, explained.touch.touch, explained.campaign)
        return _check("deal", name, True, says, event_id)
    if event_id is None and explained.kept_out:
        event_id = explained.kept_out[0][0]
    named = sorted(explained.present, key=lambda contact: explained.present[contact])
    says = sentences.not_influenced(
        explained.clock, explained.described, decision.reason, explained.touch.touch if explained.touch else None,
        [explained.who[contact] for contact in named[: sentences.PEOPLE_NAMED_MAX]], len(named), explained.campaign,
        kept_out=bool(explained.kept_out),
    )  # fmt: skip
    return _check("deal", name, False, says, event_id)


def _kept_out(explained: Explained) -> list[dict[str, Any]]:
    """The touches that would have made the deal count, had they not been kept out of the campaign."""
    out = []
    for event_id, touch in explained.kept_out:
        assert touch.why is not None
        rule = "excluded traffic" if touch.why in (KeptOut.MACHINE, KeptOut.INTERNAL) else "pre-association"
        out.append(
            _check(rule, f"touch_not_{touch.why}", False, touch.sentence(explained.clock, explained.campaign), event_id)
        )
    return out


def _check(rule: str, check: str, holds: bool | None, says: str, event_id: str | None) -> dict[str, Any]:
    return {"rule": rule, "check": check, "holds": holds, "says": says, "deciding_event": event_id}
