"""Rule **retracted**: which events are retracted?

An event is retracted if a retraction names it that is not retracted itself. Where retractions name each other in a circle, the
last one in order stays valid.
"""

from collections import defaultdict, deque
from collections.abc import Iterable
from typing import NamedTuple

from shared.rules.order import Order


class Retraction(NamedTuple):
    """An `event_retracted` and the id of the event that it retracts."""

    order: Order
    target: str


def retracted(retractions: Iterable[Retraction]) -> frozenset[str]:
    """The ids of all retracted events, including retractions. Linear in their number, however they name each other."""
    all_retractions = list(retractions)
    orders = {r.order.event_id: r.order for r in all_retractions}
    targets: dict[str, list[str]] = defaultdict(list)
    waits_for = dict.fromkeys(orders, 0)  # how many retractions that name it are not decided yet
    for retraction in all_retractions:
        targets[retraction.order.event_id].append(retraction.target)
        if retraction.target in waits_for:
            waits_for[retraction.target] += 1
    stands: dict[str, bool] = {}
    last_first = sorted(orders, key=orders.__getitem__, reverse=True)
    for begin in ([i for i in orders if not waits_for[i]], *([i] for i in last_first)):
        _decide(begin, stands, waits_for, targets)
    return frozenset(r.target for r in all_retractions if stands[r.order.event_id])


def _decide(
    window_status: list[str], stands: dict[str, bool], waits_for: dict[str, int], targets: dict[str, list[str]]
) -> None:
    """Decide that these undecided retractions are valid, and decide all that follows from it. Counts `waits_for` down."""
    decided = deque((event_id, True) for event_id in window_status)
    while decided:
        event_id, stand = decided.popleft()
        if event_id in stands:
            continue
        stands[event_id] = stand
        for target in targets[event_id]:
            if target not in waits_for:
                continue
            waits_for[target] -= 1
            if stand:
                decided.append((target, False))
            elif waits_for[target] == 0:
                decided.append((target, True))
