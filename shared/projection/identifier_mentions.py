"""What an event says of identifiers: which it names, and which of them are one contact."""

from collections.abc import Iterable

from shared.projection.rows import IdentifierMention
from shared.rules.keys import Identifier


def named_once(named: IdentifierMention) -> dict[Identifier, int | None]:
    """Every identifier that the event names, once; the first with the visitor that it identifies."""
    out: dict[Identifier, int | None] = {}
    for i, contact in enumerate(named.contacts):
        for j, identifier in enumerate(contact):
            out.setdefault(identifier, named.visitor if i == j == 0 else None)
    return out


def found_by_person(named: IdentifierMention, identifier: Identifier, *, is_touch: bool) -> bool:
    """Whether the touch's own row says that it names the identifier, so that no mention row is needed."""
    return is_touch and named.visitor is None and identifier == named.contacts[0][0]


def edges_of(named: IdentifierMention) -> Iterable[tuple[int, int]]:
    """The pairs of identifiers that the event says are one contact, as keys."""
    for contact in named.contacts:
        if len(contact) > 1:
            yield contact[0].key, contact[1].key
    if named.merge and named.contacts[0][0] != named.contacts[1][0]:
        yield named.contacts[0][0].key, named.contacts[1][0].key
