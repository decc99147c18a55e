"""Rule **once**: an event id was told several times; which telling counts?

The one with the latest `as_of`; a telling without one is older than any that has one. Of equal `as_of` (or none) the one with
the smaller digest of its content, which is what was sent without `as_of`; of the same content the one that occurred, then
arrived, first. A telling that is older by `as_of` is *superseded*; one of the same `as_of` with other content *conflicts*.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

BEFORE_ALL_US = -(2**63)  # older than any instant that an event may say


class Telling(NamedTuple):
    """One telling of an id. Equal `sent_hash` of the same `as_of` means the same content; unequal ones may still be the same."""

    as_of_us: int | None
    sent_hash: int
    occurred_at_us: int
    offset: int


def recency(as_of_us: int | None) -> int:
    """The greater it is, the newer is the telling."""
    return BEFORE_ALL_US if as_of_us is None else as_of_us


def latest(tellings: Iterable[Telling]) -> list[Telling]:
    """Those with the latest `as_of`, one of which counts, in their order; at least one telling is given."""
    told = list(tellings)
    newest = max(recency(telling.as_of_us) for telling in told)
    return [telling for telling in told if recency(telling.as_of_us) == newest]


def is_plain(contenders: list[Telling]) -> bool:
    """Whether tellings of one `as_of` are known to have the same content, so that no digest is needed to settle them."""
    return all(telling.sent_hash == contenders[0].sent_hash for telling in contenders)


def winner(contenders: list[Telling], digest: Callable[[Telling], bytes]) -> Telling:
    """Which of several tellings of one `as_of` counts. `digest` answers the SHA-256 of a telling's content, where needed."""
    if is_plain(contenders):
        return min(contenders, key=lambda telling: (telling.occurred_at_us, telling.offset))
    return min(contenders, key=lambda telling: (digest(telling), telling.occurred_at_us, telling.offset))
