"""Rules **credit** and **key interactions**: which touches earned a won deal, and what were they?"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from shared.events.instants import DAY_US
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


def earns(type_: TouchType, at_us: int, closed_us: int, lookback_days: int | None) -> bool:
    """Whether an eligible contact's touch is in the journey of a deal won at `closed_us`."""
    return type_ in REVENUE_TOUCHES and lookback_from_us(closed_us, lookback_days) <= at_us < closed_us


def lookback_from_us(closed_us: int, lookback_days: int | None) -> int:
    """The first instant whose touches still earn; without a lookback, the beginning of time."""
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
    """The key interactions that the touch at `index` is, whatever a model weighs."""
    return [role for role in Role if found.get(role) == index]
