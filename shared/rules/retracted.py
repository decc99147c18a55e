"""Rule **retracted**: which events are out of the set?

An event is out if a retraction that is itself in the set names it. Where retractions name each other in a circle, the
last in order stands.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from shared.rules.order import Order


class Retraction(NamedTuple):
    """An `event_retracted` and the id that it takes out."""

    order: Order
    target: str


def retracted(retractions: Iterable[Retraction]) -> frozenset[str]:
    """The ids of all events that are out, retractions among them."""
    told = list(retractions)
    by_target: dict[str, list[str]] = {}
    for retraction in told:
        by_target.setdefault(retraction.target, []).append(retraction.order.event_id)
    stands: dict[str, bool] = {}
    undecided = {r.order.event_id: r.order for r in told}
    while undecided:
        decided = [i for i in undecided if _decidable(by_target.get(i, ()), stands)]
        if not decided:
            last = max(undecided, key=undecided.__getitem__)
            stands[last] = True
            del undecided[last]
            continue
        for event_id in decided:
            stands[event_id] = not any(stands.get(by, False) for by in by_target.get(event_id, ()))
            del undecided[event_id]
    return frozenset(r.target for r in told if stands[r.order.event_id])


def _decidable(by: Sequence[str], stands: Mapping[str, bool]) -> bool:
    return any(stands.get(i) for i in by) or all(i in stands for i in by)
