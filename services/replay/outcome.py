"""What is the outcome of a source? Counts every row, and the deals that can never count for a campaign, with the reason."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.events import types as e
from shared.events.instants import to_micros
from shared.rules.deal import DealReason


@dataclass
class Rows:
    """Counts of a source's rows: read = with events + without events + refused."""

    read: int = 0
    with_events: int = 0
    without_events: int = 0
    refused: int = 0

    def count(self, *, with_events: bool, refused: bool) -> None:
        """Count one row: whether it gave events, and whether it was refused."""
        self.read += 1
        if refused:
            self.refused += 1
        elif with_events:
            self.with_events += 1
        else:
            self.without_events += 1

    def add(self, other: "Rows") -> None:
        """Add what another counted."""
        for name, count in vars(other).items():
            setattr(self, name, getattr(self, name) + count)


@dataclass
class Deals:
    """Counts of rows about a deal, by what they say of it. A row is about one deal."""

    rows: int = 0
    without_contact: int = 0
    without_amount: int = 0
    """Won deals without an amount: they count, with no revenue."""
    states: Counter[str] = field(default_factory=Counter)
    """Won, lost and open."""
    never: Counter[str] = field(default_factory=Counter)
    """Deals that, by their row, can count for no campaign, by reason (rule **deal**)."""

    def observe(self, events: Sequence[e.Event]) -> None:
        """Count a row by its events."""
        if not any(isinstance(event, e.DealCreated) for event in events):
            return
        self.rows += 1
        closes = [event for event in events if isinstance(event, e.DealClosed)]
        closed = max(closes, key=_at_us, default=None)
        reopened = any(
            isinstance(event, e.DealReopened) and (closed is None or _at_us(event) > _at_us(closed)) for event in events
        )
        joined_us = [_at_us(event) for event in events if _names_contact(event)]
        amounts = [event for event in events if getattr(event, "amount", None) is not None]
        self.without_contact += not joined_us
        state = "open" if closed is None or reopened else "won" if closed.won else "lost"
        self.states[state] += 1
        self.without_amount += state == "won" and not amounts
        if (reason := _never(state, None if closed is None else _at_us(closed), joined_us)) is not None:
            self.never[str(reason)] += 1

    def add(self, other: "Deals") -> None:
        """Add what another counted."""
        for name, count in vars(other).items():
            setattr(self, name, getattr(self, name) + count)

    def as_json(self, *, names_contacts: bool) -> dict[str, Any]:
        """The counts for the report; if the file cannot name contacts, a deal without contacts in it is not reported."""
        never = {reason: n for reason, n in self.never.items() if names_contacts or reason != DealReason.NO_CONTACT}
        return {
            "rows": self.rows, **{state: self.states[state] for state in ("won", "lost", "open")},
            "without_contact": self.without_contact, "won_without_amount": self.without_amount, "can_never_count": never,
        }  # fmt: skip


def _never(state: str, closed_us: int | None, joined_us: Sequence[int]) -> DealReason | None:
    if state == "lost":
        return DealReason.DEAL_LOST
    if not joined_us:
        return DealReason.NO_CONTACT
    if state == "won" and closed_us is not None and min(joined_us) >= closed_us:
        return DealReason.CONTACT_ASSOCIATED_AFTER_CLOSE
    return None


def _names_contact(event: e.Event) -> bool:
    if isinstance(event, e.DealCreated):
        return bool(event.contacts)
    return isinstance(event, e.DealContactAssociated) and not isinstance(event, e.DealContactDissociated)


def _at_us(event: e.Event) -> int:
    """`occurred_at` of an event, or else its `as_of`, in µs; 0 if it has neither."""
    at = event.occurred_at or event.as_of
    return 0 if at is None else to_micros(at)
