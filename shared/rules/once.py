"""Rule **once**: several events have the same id; which of them (each is a *telling* of the id) counts?

The one with the latest `as_of`; an event without `as_of` is older than any event with one. Of equal `as_of` (or none), the one
with the smaller digest of its content, without `as_of`; of equal content, the one that occurred, then arrived, first. An event
with an older `as_of` is *superseded*; an event with the same `as_of` and other content *conflicts*.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

BEFORE_ALL_US = -(2**63)  # older than any instant that an event may have


class Telling(NamedTuple):
    """One event with the id. Equal `sent_hash` and `as_of` mean equal content; with unequal `sent_hash` it may still be equal."""

    as_of_us: int | None
    sent_hash: int
    occurred_at_us: int
    offset: int


def recency(as_of_us: int | None) -> int:
    """A number that is greater for a newer `as_of`."""
    return BEFORE_ALL_US if as_of_us is None else as_of_us


def latest(tellings: Iterable[Telling]) -> list[Telling]:
    """The tellings with the latest `as_of`, one of which counts, in the order given; `tellings` must not be empty."""
    told = list(tellings)
    newest = max(recency(telling.as_of_us) for telling in told)
    return [telling for telling in told if recency(telling.as_of_us) == newest]


def is_plain(contenders: list[Telling]) -> bool:
    """Whether tellings with one `as_of` surely have the same content, so that no digest is needed to choose."""
    return all(telling.sent_hash == contenders[0].sent_hash for telling in contenders)


def winner(contenders: list[Telling], digest: Callable[[Telling], bytes]) -> Telling:
    """Which of several tellings with one `as_of` counts. `digest` returns the SHA-256 of a telling's content; called if needed."""
    if is_plain(contenders):
        return min(contenders, key=lambda telling: (telling.occurred_at_us, telling.offset))
    return min(contenders, key=lambda telling: (digest(telling), telling.occurred_at_us, telling.offset))
