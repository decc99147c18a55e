"""Rule **once**: several events have the same id; which of them (each is a *version* of the event) counts?

The one with the latest `as_of`; an event without `as_of` is older than any event with one. Of equal `as_of` (or none), the one
with the smaller digest of its content, without `as_of`; of equal content, the one that occurred, then arrived, first. An event
with an older `as_of` is *superseded*; an event with the same `as_of` and other content *conflicts*.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

BEFORE_ALL_US = -(2**63)  # older than any instant that an event may have


class Version(NamedTuple):
    """One event with the id. Equal `sent_hash` and `as_of` mean equal content; with unequal `sent_hash` it may still be equal."""

    as_of_us: int | None
    sent_hash: int
    occurred_at_us: int
    offset: int


def recency(as_of_us: int | None) -> int:
    """A number that is greater for a newer `as_of`."""
    return BEFORE_ALL_US if as_of_us is None else as_of_us


def latest(versions: Iterable[Version]) -> list[Version]:
    """The versions with the latest `as_of`, one of which counts, in the order given; `versions` must not be empty."""
    all_versions = list(versions)
    newest = max(recency(version.as_of_us) for version in all_versions)
    return [version for version in all_versions if recency(version.as_of_us) == newest]


def is_plain(contenders: list[Version]) -> bool:
    """Whether versions with one `as_of` surely have the same content, so that no digest is needed to choose."""
    return all(version.sent_hash == contenders[0].sent_hash for version in contenders)


def winner(contenders: list[Version], digest: Callable[[Version], bytes]) -> Version:
    """Which of several versions with one `as_of` counts. `digest` returns the SHA-256 of a version's content; called if needed."""
    if is_plain(contenders):
        return min(contenders, key=lambda version: (version.occurred_at_us, version.offset))
    return min(contenders, key=lambda version: (digest(version), version.occurred_at_us, version.offset))
