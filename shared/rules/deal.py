"""Rule **deal**: what became of a deal, whose was it, and does it count for a campaign?"""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from shared.rules.order import Order


class State(StrEnum):
    """Where a deal stands."""

    OPEN = "open"
    WON = "won"
    LOST = "lost"
    DELETED = "deleted"


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


class Told(NamedTuple):
    """What one deal event tells; fields that it does not carry are None."""

    order: Order
    kind: str
    won: bool | None = None
    name: str | None = None
    amount: str | None = None
    currency: str | None = None


class Deal(NamedTuple):
    """A deal after all that was told of it. `closed` is the event of the close that counts, if it is closed."""

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


class Reached(NamedTuple):
    """How a campaign reached one eligible contact: instants of its first touches of each kind, None if it has none."""

    deal_touch_us: int | None
    static_list: bool
    workflow: bool


def fold(told: Iterable[Told]) -> Deal:
    """Apply a deal's events in order. The last close counts, a reopened deal is open, deletion is final."""
    events = sorted(told)
    created = next((t.order for t in events if t.kind == "deal_created"), events[0].order)
    deal = Deal(State.OPEN, created, None, None, None, None, created)
    for t in events:
        deal = deal._replace(
            name=deal.name if t.name is None else t.name,
            amount=deal.amount if t.amount is None else t.amount,
            currency=deal.currency if t.currency is None else t.currency,
        )
        if deal.state is State.DELETED:
            continue
        if t.kind == "deal_deleted":
            deal = deal._replace(state=State.DELETED, decided_by=t.order)
        elif t.kind == "deal_closed":
            state = State.WON if t.won else State.LOST
            deal = deal._replace(state=state, closed=t.order, decided_by=t.order)
        elif t.kind == "deal_reopened":
            deal = deal._replace(state=State.OPEN, closed=None, decided_by=t.order)
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
    """Whether a touch (None: there is none) came strictly before the close; a deal that is open has none yet."""
    return at_us is not None and (closed_us is None or at_us < closed_us)


def no_contact_reason(members: Sequence[Member], closed_us: int | None) -> DealReason | None:
    """Why a deal has no eligible contact; None if it has one."""
    if eligible(members, closed_us):
        return None
    joined = [m for m in members if m.joins]
    if not joined:
        return DealReason.NO_CONTACT
    if closed_us is not None and all(m.order.at_us >= closed_us for m in joined):
        return DealReason.CONTACT_ASSOCIATED_AFTER_CLOSE
    return DealReason.CONTACT_DISSOCIATED_BEFORE_CLOSE


def reason(deal: Deal, members: Sequence[Member], reached: Mapping[int, Reached]) -> DealReason | None:
    """Why the deal does not count for a campaign, None if it does. `reached` holds the campaign's touches by contact."""
    if deal.state is State.DELETED:
        return DealReason.DEAL_DELETED
    if deal.state is State.LOST:
        return DealReason.DEAL_LOST
    closed_us = None if deal.closed is None else deal.closed.at_us
    if (missing := no_contact_reason(members, closed_us)) is not None:
        return missing
    touched = [reached[contact] for contact in eligible(members, closed_us) if contact in reached]
    instants = [r.deal_touch_us for r in touched if r.deal_touch_us is not None]
    if any(before_close(at_us, closed_us) for at_us in instants):
        return None
    if instants:
        return DealReason.INFLUENCED_AFTER_CLOSE
    if any(r.static_list for r in touched):
        return DealReason.STATIC_LIST
    if any(r.workflow for r in touched):
        return DealReason.WORKFLOW_ONLY
    return DealReason.CONTACT_NOT_INFLUENCED
