"""Rule **owner**: to which contact does a visitor's touch belong?

To the contact that the visitor was last identified as, up to the touch; touches before the first identification belong to the
first contact.
"""

from collections.abc import Iterable
from typing import NamedTuple

from shared.rules.order import BEGINNING, END, Order


class Owned(NamedTuple):
    """The visitor belonged to the contact of this identifier from `start` (inclusive) to `end` (exclusive), in order."""

    start: Order
    end: Order
    identifier: int


def owned(identifications: Iterable[tuple[Order, int]]) -> list[Owned]:
    """The intervals of one visitor, from its identifications in any order."""
    out: list[Owned] = []
    for order, identifier in sorted(identifications):
        if not out:
            out.append(Owned(BEGINNING, END, identifier))
        elif out[-1].identifier != identifier:
            out[-1] = out[-1]._replace(end=order)
            out.append(Owned(order, END, identifier))
    return out
