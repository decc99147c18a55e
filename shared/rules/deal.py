"""Rule **deal**: what is a deal's state, which contacts are eligible, and does it count for a campaign?"""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from shared.events.registry import check_known
from shared.rules.influence import DEAL_TOUCHES, TouchType
from shared.rules.order import Order

CREATED, CLOSED, REOPENED, DELETED = check_known(
    ("deal_created", "deal_closed", "deal_reopened", "deal_deleted"), "shared/rules/deal.py", stage="deals"
)


class State(StrEnum):
    """The state of a deal."""

    OPEN = "open"
    WON = "won"
    LOST = "lost"
    DELETED = "deleted"


COUNTING_STATES = frozenset({State.OPEN, State.WON})
"""A lost deal and a deleted one count for no campaign."""


class DealReason(StrEnum):
    """Why a deal does not count for a campaign; the first that is true."""

    DEAL_DELETED = "deal_deleted"
    DEAL_LOST = "deal_lost"
    NO_CONTACT = "no_contact"
    CONTACT_ASSOCIATED_AFTER_CLOSE = "contact_associated_after_close"
    CONTACT_DISSOCIATED_BEFORE_CLOSE = "contact_dissociated_before_close"
    INFLUENCED_AFTER_CLOSE = "influenced_after_close"
    STATIC_LIST = "static_list"
    WORKFLOW_ONLY = "workflow_only"
    CONTACT_NOT_INFLUENCED = "contact_not_influenced"


class DealFields(NamedTuple):
    """The fields of one deal event; absent fields are None."""

    order: Order
    kind: str
    won: bool | None = None
    name: str | None = None
    amount: str | None = None
    currency: str | None = None
    closed_at_us: int | None = None


class Deal(NamedTuple):
    """A deal after all its events. `closed` is the close that counts, if it is closed: since when, and its event."""

    state: State
    created: Order
    closed: Order | None
    name: str | None
    amount: str | None
    currency: str | None
    decided_by: Order


class Member(NamedTuple):
    """A contact joins (`joins`) or leaves a deal."""

    order: Order
    contact: int
    joins: bool


class CampaignTouch(NamedTuple):
    """An influencing touch that counts for the campaign, and its contact."""

    order: Order
    contact: int
    type: TouchType


class Absence(NamedTuple):
    """Why a contact that the deal once had is not eligible for it, and the event of the deal that says so."""

    reason: DealReason
    decided_by: Order


class Decision(NamedTuple):
    """Whether a deal counts for a campaign.

    `reason` says why not, None if it counts. `decided_by` is the event that decided it, None if there is none: an event of the
    deal, of a contact that joined or left it, or a touch. `contact` is the contact of that event, `touch` the touch of the
    campaign that made the deal count, or would have.
    """

    reason: DealReason | None
    decided_by: Order | None
    contact: int | None = None
    touch: CampaignTouch | None = None


def fold(fields: Iterable[DealFields]) -> Deal:
    """Apply a deal's events in order. The last close counts, a reopened deal is open, deletion is final.

    The close that counts is at the latest `closed_at` of an event since the deal was last reopened, if there is one.
    """
    events = sorted(fields)
    created = next((t.order for t in events if t.kind == CREATED), events[0].order)
    deal = Deal(State.OPEN, created, None, None, None, None, created)
    closed_at_us: int | None = None
    for t in events:
        closed_at_us = None if t.kind == REOPENED else closed_at_us if t.closed_at_us is None else t.closed_at_us
        deal = deal._replace(
            name=deal.name if t.name is None else t.name,
            amount=deal.amount if t.amount is None else t.amount,
            currency=deal.currency if t.currency is None else t.currency,
        )
        if deal.state is State.DELETED:
            continue
        if t.kind == DELETED:
            deal = deal._replace(state=State.DELETED, decided_by=t.order)
        elif t.kind == CLOSED:
            state = State.WON if t.won else State.LOST
            deal = deal._replace(state=state, closed=t.order, decided_by=t.order)
        elif t.kind == REOPENED:
            deal = deal._replace(state=State.OPEN, closed=None, decided_by=t.order)
    if deal.closed is not None and closed_at_us is not None:
        deal = deal._replace(closed=deal.closed._replace(at_us=closed_at_us))
    return deal


def eligible(members: Iterable[Member], closed_us: int | None) -> dict[int, Order]:
    """The contacts associated immediately before the close (open deal: now), each with the event that associated it."""
    present: dict[int, Order] = {}
    for member in sorted(members):
        if closed_us is not None and member.order.at_us >= closed_us:
            break
        if not member.joins:
            present.pop(member.contact, None)
        else:
            present.setdefault(member.contact, member.order)
    return present


def before_close(at_us: int | None, closed_us: int | None) -> bool:
    """Whether a touch (None: there is none) came strictly before the close; every touch did if the deal is open."""
    return at_us is not None and (closed_us is None or at_us < closed_us)


def counts(state: State, closed_us: int | None, deal_touch_us: int | None) -> bool:
    """Whether a deal counts for a campaign.

    `deal_touch_us` is the campaign's earliest deal touch of any contact that is eligible for the deal, None if there is none.
    """
    return state in COUNTING_STATES and before_close(deal_touch_us, closed_us)


def brings_revenue(state: State, closed_us: int | None, revenue_touch_us: int | None) -> bool:
    """Whether a deal makes one of its eligible contacts a contact with revenue of a campaign.

    `revenue_touch_us` is the campaign's earliest revenue touch of that contact, None if there is none.
    """
    return state is State.WON and before_close(revenue_touch_us, closed_us)


def dated_us(created_us: int, closed_us: int | None) -> int:
    """The instant of a deal, for ranges of time: its close, or its creation while it is open."""
    return created_us if closed_us is None else closed_us


def absences(members: Sequence[Member], closed_us: int | None) -> dict[int, Absence]:
    """For each contact that the deal ever had and that is not eligible: why it is not.

    It was associated only at or after the close (decided by the first time), or it was dissociated before the close
    (decided by the last dissociation before it that ended an association).
    """
    present = eligible(members, closed_us)
    out: dict[int, Absence] = {}
    joined: set[int] = set()
    for member in sorted(members):
        contact = member.contact
        if contact in present:
            continue
        if closed_us is not None and member.order.at_us >= closed_us:
            if member.joins:
                out.setdefault(contact, Absence(DealReason.CONTACT_ASSOCIATED_AFTER_CLOSE, member.order))
        elif member.joins:
            joined.add(contact)
        elif contact in joined:
            joined.discard(contact)
            out[contact] = Absence(DealReason.CONTACT_DISSOCIATED_BEFORE_CLOSE, member.order)
    return out


def decide(deal: Deal, members: Sequence[Member], touches: Iterable[CampaignTouch]) -> Decision:
    """Whether the deal counts for a campaign, and if not, why: the first reason that is true.

    `touches` are the campaign's influencing touches of all contacts that the deal ever had, in any order.
    """
    if deal.state is State.DELETED:
        return Decision(DealReason.DEAL_DELETED, deal.decided_by)
    if deal.state is State.LOST:
        return Decision(DealReason.DEAL_LOST, deal.decided_by)
    closed_us = None if deal.closed is None else deal.closed.at_us
    present, absent = eligible(members, closed_us), absences(members, closed_us)
    if not present and not absent:
        return Decision(DealReason.NO_CONTACT, None)
    met = sorted(touches)
    first = next((t for t in met if t.type in DEAL_TOUCHES and t.contact in present), None)
    if first is not None and counts(deal.state, closed_us, first.order.at_us):
        return Decision(None, first.order, first.contact, first)
    early = [t for t in met if t.type in DEAL_TOUCHES and before_close(t.order.at_us, closed_us)]
    for why in (DealReason.CONTACT_ASSOCIATED_AFTER_CLOSE, DealReason.CONTACT_DISSOCIATED_BEFORE_CLOSE):
        for touch in early:
            if touch.contact in absent and absent[touch.contact].reason is why:
                return Decision(why, absent[touch.contact].decided_by, touch.contact, touch)
    if not present:
        return _nobody_left(absent)
    return _not_influenced([t for t in met if t.contact in present])


def _nobody_left(absent: Mapping[int, Absence]) -> Decision:
    """No contact was eligible: none was associated before the close, else none was left (the last to leave decides)."""
    left = [(a.decided_by, contact) for contact, a in absent.items()
            if a.reason is DealReason.CONTACT_DISSOCIATED_BEFORE_CLOSE]  # fmt: skip
    if left:
        decided_by, contact = max(left)
        return Decision(DealReason.CONTACT_DISSOCIATED_BEFORE_CLOSE, decided_by, contact)
    decided_by, contact = min((a.decided_by, contact) for contact, a in absent.items())
    return Decision(DealReason.CONTACT_ASSOCIATED_AFTER_CLOSE, decided_by, contact)


def _not_influenced(touches: Sequence[CampaignTouch]) -> Decision:
    """The eligible contacts' touches, in order, of which none is a deal touch before the close."""
    for why, types in (
        (DealReason.INFLUENCED_AFTER_CLOSE, DEAL_TOUCHES),
        (DealReason.STATIC_LIST, {TouchType.LIST_JOINED_STATIC}),
        (DealReason.WORKFLOW_ONLY, {TouchType.WORKFLOW_ENROLLED}),
    ):
        touch = next((t for t in touches if t.type in types), None)
        if touch is not None:
            return Decision(why, touch.order, touch.contact, touch)
    return Decision(DealReason.CONTACT_NOT_INFLUENCED, None)
