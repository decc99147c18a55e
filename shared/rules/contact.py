"""Rules **contact** and **created**: which identifiers are one contact, what is it called, and since when does it exist?"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from shared.rules.keys import Identifier
from shared.rules.order import Order

SALESFORCE_PROPERTY = "salesforce_campaign_id"


class Named(NamedTuple):
    """An identifier and the earliest event that names it."""

    identifier: Identifier
    first: Order


class Merge(NamedTuple):
    """A `contact_merged`: when, and the name that its `into` gives (the id if any, else the email)."""

    order: Order
    into: str


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
    """The key that stands for a contact: the smallest of its identifiers' keys."""
    return min(component)


def name(named: Sequence[Named], merges: Iterable[Merge]) -> str:
    """What a contact is called: by the `into` of its latest merge, else its earliest-named id, else email."""
    latest = max(merges, default=None)
    if latest is not None:
        return latest.into
    ids = [n for n in named if not n.identifier.is_email]
    return min((n.first, n.identifier.text) for n in ids or named)[1]


def created(named: Iterable[Named]) -> Order:
    """The contact's conversion: the earliest event that names any of its identifiers."""
    return min(n.first for n in named)


def salesforce_campaigns(joined: Iterable[str], properties: Mapping[str, str]) -> set[str]:
    """The Salesforce campaigns that a contact is in: those it joined, and the one that its property names."""
    return {*joined, *(value for value in (properties.get(SALESFORCE_PROPERTY, ""),) if value)}
