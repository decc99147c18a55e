"""Rule **pre-association**: does a touch of this asset or value count for the campaign, and if not, why?

For a campaign, the time of each key that it ever held or claimed is divided into pieces, each with the window status.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum, StrEnum
from typing import NamedTuple

from shared.events.instants import BEGINNING_US, END_US
from shared.rules.excluded_traffic import TrafficClass


class Route(IntEnum):
    """How a touch reaches a campaign; of several, the lowest gives the reason."""

    ASSET = 1
    VIA = 2
    UTM = 3


class WindowStatus(IntEnum):
    """Whether a touch at that time counts for the campaign, and if not, why."""

    COUNTS = 0
    BEFORE_ASSOCIATION = 1
    AFTER_ASSOCIATION_ENDED = 2
    UTM_NOT_CLAIMED_THEN = 3


class KeptOut(StrEnum):
    """Why a touch of a campaign's asset or value is in none of its metrics."""

    MACHINE = "machine"
    INTERNAL = "internal"
    BEFORE_ASSOCIATION = "before_association"
    AFTER_ASSOCIATION_ENDED = "after_association_ended"
    UTM_NOT_CLAIMED_THEN = "utm_not_claimed_then"


class Piece(NamedTuple):
    """An interval of time, `[from_us, to_us)`, and its window status."""

    from_us: int
    to_us: int
    window_status: WindowStatus


def asset_pieces(held: Iterable[tuple[int, int]]) -> list[Piece]:
    """The pieces of one asset for one campaign, from the intervals `(from, to)` in which the campaign held it."""
    out: list[Piece] = []
    at_us, outside = BEGINNING_US, WindowStatus.BEFORE_ASSOCIATION
    for from_us, to_us in sorted(held):
        if at_us < from_us:
            out.append(Piece(at_us, from_us, outside))
        out.append(Piece(from_us, to_us, WindowStatus.COUNTS))
        at_us, outside = to_us, WindowStatus.AFTER_ASSOCIATION_ENDED
    if at_us < END_US:
        out.append(Piece(at_us, END_US, outside))
    return out


def utm_pieces(claimed: Iterable[tuple[int, int]]) -> list[Piece]:
    """The pieces of one utm value for one campaign that ever claimed it."""
    not_then = WindowStatus.UTM_NOT_CLAIMED_THEN
    return [
        p if p.window_status is WindowStatus.COUNTS else p._replace(window_status=not_then)
        for p in asset_pieces(claimed)
    ]


def within(pieces: Sequence[Piece], from_us: int, to_us: int) -> list[Piece]:
    """The pieces within `[from_us, to_us)`: a page's address belongs to an asset only for some time."""
    cut = (p._replace(from_us=max(p.from_us, from_us), to_us=min(p.to_us, to_us)) for p in pieces)
    return [p for p in cut if p.from_us < p.to_us]


def kept_out(traffic_class: TrafficClass, by_route: Mapping[Route, WindowStatus]) -> KeptOut | None:
    """Why a touch does not count for a campaign, None if it does.

    `by_route` has the window status by each route that applies: the touch counts if it counts by one of them, else the lowest
    route gives the reason.
    Raises `ValueError` for a retracted touch, and for one without any route: neither is a touch of the campaign.
    """
    if traffic_class is TrafficClass.MACHINE:
        return KeptOut.MACHINE
    if traffic_class is TrafficClass.INTERNAL:
        return KeptOut.INTERNAL
    if traffic_class is TrafficClass.RETRACTED:
        raise ValueError("a retracted touch is no touch of any campaign")
    if not by_route:
        raise ValueError("a touch without any route to the campaign is not one of its touches")
    if WindowStatus.COUNTS in by_route.values():
        return None
    return KeptOut[by_route[min(by_route)].name]


COUNTING_CLASSES = frozenset(
    traffic_class for traffic_class in TrafficClass
    if traffic_class is not TrafficClass.RETRACTED and kept_out(traffic_class, {Route.ASSET: WindowStatus.COUNTS}) is None
)  # fmt: skip
"""The classes of touches that count where one of their routes counts."""
COUNTING_STATUSES = frozenset(
    status for status in WindowStatus if kept_out(TrafficClass.COUNTED, {Route.ASSET: status}) is None
)
"""The statuses of a route by which a counted touch counts."""
