"""Rule **settled**: up to which instant have late events become improbable?

Computed from how late the workspace's live events arrived (receipt minus occurrence), in buckets of a quarter of an octave.
Events that a backfill sent, and those that are later than a browser may hold them back, are not used.
"""

import math
from collections.abc import Iterable, Mapping

from shared.events.instants import DAY_US
from shared.events.limits import COLLECT_AGE_DAYS_MAX

LIVE_US_MAX = COLLECT_AGE_DAYS_MAX * DAY_US
SHARE_PER_MILLE = 999  # one event in a thousand may come later still
SECOND_US = 1_000_000
STEPS = 4  # buckets an octave: a bucket's upper edge is less than a fifth above the lateness


def bucket(late_us: int) -> int | None:
    """The bucket of a lateness: 0 up to a second; None for an event of a backfill."""
    if late_us > LIVE_US_MAX:
        return None
    return 0 if late_us <= SECOND_US else math.ceil(STEPS * math.log2(late_us / SECOND_US))


def edge_us(number: int) -> int:
    """The longest lateness in a bucket, in µs."""
    return math.ceil(SECOND_US * 2 ** (number / STEPS))


def counted(late_us: Iterable[int]) -> dict[int, int]:
    """How many live events are in each bucket."""
    out: dict[int, int] = {}
    for late in late_us:
        if (number := bucket(late)) is not None:
            out[number] = out.get(number, 0) + 1
    return out


def settled_through_us(now_us: int, events: Mapping[int, int]) -> int | None:
    """The instant up to which 99.9 % of the events have arrived, if all received until `now_us` are projected; None without live events."""
    total, so_far = sum(events.values()), 0
    for number, count in sorted(events.items()):
        so_far += count
        if so_far * 1000 >= total * SHARE_PER_MILLE:
            return now_us - edge_us(number)
    return None
