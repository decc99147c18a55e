"""Rules **credit** and **key interactions**: which touches get credit for a won deal, and which are key interactions?"""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from shared.events.instants import DAY_US
from shared.rules.excluded_traffic import TrafficClass
from shared.rules.influence import REVENUE_TOUCHES, TouchType
from shared.rules.models import Role
from shared.rules.order import Order


class Lead(NamedTuple):
    """An eligible contact: its conversion and its name."""

    created: Order
    name: str
    contact: int


class Step(NamedTuple):
    """A touch of a journey and the contact that owns it."""

    order: Order
    contact: int


class Uncredited(StrEnum):
    """Why a touch of a won deal's contact is not in its journey; the first that is true."""

    NOT_REVENUE_TOUCH = "not_revenue_touch"
    CONTACT_NOT_ELIGIBLE = "contact_not_eligible"
    AFTER_CLOSE = "after_close"
    OUTSIDE_LOOKBACK = "outside_lookback"
    MACHINE = "machine"
    INTERNAL = "internal"


def uncredited(
    type_: TouchType, traffic_class: TrafficClass, eligible: bool, at_us: int, closed_us: int, lookback_days: int | None
) -> Uncredited | None:
    """Why a touch of one of a deal's contacts is not in the journey of the deal won at `closed_us`; None if it is."""
    if type_ not in REVENUE_TOUCHES:
        return Uncredited.NOT_REVENUE_TOUCH
    if not eligible:
        return Uncredited.CONTACT_NOT_ELIGIBLE
    if at_us >= closed_us:
        return Uncredited.AFTER_CLOSE
    if at_us < lookback_from_us(closed_us, lookback_days):
        return Uncredited.OUTSIDE_LOOKBACK
    return None if traffic_class is TrafficClass.COUNTED else Uncredited[traffic_class.name]


def lookback_from_us(closed_us: int, lookback_days: int | None) -> int:
    """The first instant whose touches still get credit; without a lookback, `BEGINNING_US`."""
    return -(2**63) if lookback_days is None else closed_us - lookback_days * DAY_US


def roles(journey: Sequence[Step], leads: Iterable[Lead], deal_created_us: int) -> dict[Role, int]:
    """The index of each key interaction in a journey that is in order; those that do not exist are absent."""
    if not journey:
        return {}
    found = {Role.FIRST: 0, Role.LAST: len(journey) - 1}
    earliest = min(leads, key=lambda lead: (lead.created, lead.name))
    for i, step in enumerate(journey):
        if step.contact == earliest.contact and step.order <= earliest.created:
            found[Role.LEAD_CREATION] = i
        if step.order.at_us <= deal_created_us:
            found[Role.DEAL_CREATION] = i
    return found


def roles_at(found: Mapping[Role, int], index: int) -> list[Role]:
    """The key interactions that the touch at `index` is, also those that a model gives no weight."""
    return [role for role in Role if found.get(role) == index]
