"""Rules **contact** and **created**: which identifiers belong to one contact, what is its name, and since when does it exist?"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from shared.rules.keys import Identifier
from shared.rules.order import Order

SALESFORCE_PROPERTY = "salesforce_campaign_id"
PROPERTY_SOURCE = "property"  # the source of a membership that a contact's property gives


class NamedIdentifier(NamedTuple):
    """An identifier and the earliest event that names it."""

    identifier: Identifier
    first: Order


class Merge(NamedTuple):
    """A `contact_merged`: when, and the name that its `into` gives (the id if any, else the email)."""

    order: Order
    into: str


class SalesforceChange(NamedTuple):
    """A contact joined a Salesforce campaign by way of `source`, or left it (None)."""

    order: Order
    salesforce_campaign_id: str
    source: str | None


class Membership(NamedTuple):
    """A contact is in a Salesforce campaign: how it came in, and the event since which it is."""

    salesforce_campaign_id: str
    source: str
    joined: Order


def components(nodes: Iterable[int], links: Iterable[tuple[int, int]]) -> list[frozenset[int]]:
    """The connected components of identifiers, by their keys."""
    parent = {node: node for node in nodes}

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for a, b in links:
        parent[root(a)] = root(b)
    groups: dict[int, set[int]] = {}
    for node in parent:
        groups.setdefault(root(node), set()).add(node)
    return [frozenset(group) for group in groups.values()]


def representative(component: Iterable[int]) -> int:
    """The key of a contact: the smallest of its identifiers' keys."""
    return min(component)


def name(named: Sequence[NamedIdentifier], merges: Iterable[Merge]) -> str:
    """The name of a contact: the `into` of its latest merge, else the id that was named earliest, else such an email."""
    latest = max(merges, default=None)
    if latest is not None:
        return latest.into
    ids = [n for n in named if not n.identifier.is_email]
    return min((n.first, n.identifier.text) for n in ids or named)[1]


def created(named: Iterable[NamedIdentifier]) -> Order:
    """The contact's conversion: the earliest event that names any of its identifiers."""
    return min(n.first for n in named)


def salesforce_campaigns(
    events: Iterable[SalesforceChange], properties: Iterable[tuple[Order, str | None]]
) -> list[Membership]:
    """The Salesforce campaigns that a contact is in, by their ids: those that it joined and did not leave since, and the
    one that its property names.

    A membership has the event that began it: the first joining after which the contact has not left, or the first event since
    which the property has named this campaign without interruption; the earlier of the two.
    """
    joined: dict[str, Membership] = {}
    for event in sorted(events):
        if event.source is None:
            joined.pop(event.salesforce_campaign_id, None)
        else:
            joined.setdefault(
                event.salesforce_campaign_id, Membership(event.salesforce_campaign_id, event.source, event.order)
            )
    named: Membership | None = None
    for order, value in sorted(properties, key=lambda t: t[0]):
        if not value:
            named = None
        elif named is None or named.salesforce_campaign_id != value:
            named = Membership(value, PROPERTY_SOURCE, order)
    if named is not None:
        present = joined.get(named.salesforce_campaign_id, named)
        joined[named.salesforce_campaign_id] = min(present, named, key=lambda m: m.joined)
    return [joined[key] for key in sorted(joined)]
