"""What is known of a visitor from batch to batch, and what a batch brings of it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.projection.rows import TouchRow
from shared.projection.sql import sql
from shared.rules.order import Order
from shared.rules.session import Session

VISITORS = sql("SELECT * FROM {g}.visitor WHERE ws = $1 AND visitor = ANY($2::bigint[])")


@dataclass(slots=True)
class VisitorEvents:
    """A visitor's events in a batch: between which places in order, its touches, and the identifiers that it is identified as.

    `loses`: one of them leaves the set.
    """

    earliest: Order
    latest: Order
    touches: list[TouchRow] = field(default_factory=list)
    identified_as: list[int] = field(default_factory=list)
    loses: bool = False


class VisitorState:
    """A row of `visitor`: its newest event, the identifier that it is identified as, and its last session so far."""

    __slots__ = ("newest", "owner", "session")

    def __init__(self, newest: Order, owner: int | None, session: Session | None) -> None:
        self.newest, self.owner, self.session = newest, owner, session

    @classmethod
    def of(cls, row: Any) -> "VisitorState":
        """The state that a row holds."""
        session = None
        if row["session"] is not None:
            session = Session(
                row["session"], row["session_at_us"], row["session_is_new"], row["session_last_us"],
                row["session_source"],
            )  # fmt: skip
        return cls(Order(row["newest_us"], row["newest_event"]), row["owner"], session)

    def row(self, visitor: int) -> tuple[Any, ...]:
        """The visitor's row, without its workspace."""
        s = self.session
        session = (None,) * 5 if s is None else (s.key, s.started_at_us, s.is_new, s.last_at_us, s.source)
        return (visitor, *self.newest, self.owner, *session)


def owned_persons(states: Mapping[int, VisitorState], touches: Iterable[TouchRow]) -> list[int]:
    """The persons of touches that a contact may own: all but the visitors of whom the batch knows that nobody identified them."""
    nobodys = {visitor for visitor, state in states.items() if state.owner is None}
    return list({row.person for row in touches if not row.by_visitor or row.person not in nobodys})
