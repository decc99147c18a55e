"""Rule **owner**: whose touch is it?

A visitor's touch is of the contact that it was last identified as up to then; what it did before its first identification
belongs to that first contact too.
"""

from collections.abc import Iterable
from typing import NamedTuple

from shared.rules.order import BEGINNING, END, Order


class Owned(NamedTuple):
    """From `start` (inclusive) to `end` (exclusive), in order, the visitor was the contact of this identifier."""

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
