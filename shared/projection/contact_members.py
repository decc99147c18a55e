"""A contact by the rows of its identifiers."""

from collections.abc import Sequence
from typing import Any

from shared.projection.changes import ContactMembers
from shared.rules.contact import NamedIdentifier, created, representative
from shared.rules.keys import Identifier
from shared.rules.order import Order


def contact_of(rows: Sequence[Any]) -> ContactMembers:
    """A contact by the rows of its identifiers, in the order of their keys."""
    members = tuple(row["identifier"] for row in rows)
    named = tuple(
        NamedIdentifier(Identifier((row["is_email"], row["text"])), Order(row["first_us"], row["first_event"]))
        for row in rows
    )
    return ContactMembers(representative(members), members, named, created(named))
