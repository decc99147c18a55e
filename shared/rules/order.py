"""Rule **order**: which of two events is earlier?

By `(occurred_at, event id)`, ids compared as UTF-8 bytes. Python compares strings by code point, which is the same order.
"""

from typing import NamedTuple

from shared.events.instants import BEGINNING_US, END_US


class Order(NamedTuple):
    """An event's position in the order of all events."""

    at_us: int
    event_id: str


BEGINNING = Order(BEGINNING_US, "")
END = Order(END_US, "")
