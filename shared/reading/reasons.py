"""Why does a touch not count for a campaign, in SQL? The rule is asked for every case, and the statement looks the answer up."""

from itertools import product

from shared.rules.excluded_traffic import TrafficClass
from shared.rules.pre_association import Route, WindowStatus, kept_out

_NONE = len(WindowStatus)  # the place of a route by which a touch does not reach the campaign


def _reasons() -> str:
    """What rule **pre-association** says of a class and the statuses by the three routes, as an array that `reason_of_touch` looks up."""
    reasons = []
    for traffic_class, statuses in product(sorted(TrafficClass), product(range(_NONE + 1), repeat=len(Route))):
        by_route = {
            route: WindowStatus(status) for route, status in zip(Route, statuses, strict=True) if status != _NONE
        }
        if traffic_class is TrafficClass.RETRACTED or not by_route:
            reasons.append("NULL")
        else:
            reasons.append(kept_out(traffic_class, by_route) or "NULL")
    listed = ",".join(reasons)
    return f"'{{{listed}}}'::text[]"


def reason_of_touch() -> str:
    """Why a touch `t` does not count for the campaign of a row `m` with `by_asset`, `by_via` and `by_utm`, as text; null: it counts."""
    place = "t.traffic_class"
    for route in Route:
        place = f"({place}) * {_NONE + 1} + coalesce(m.by_{route.name.lower()}, {_NONE})"
    return f"({_reasons()})[1 + {place}]"
