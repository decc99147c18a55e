"""What do the groups of a report earn under `markov`, which looks at the paths of all journeys (rule **data-driven**)?"""

import asyncio
from collections import defaultdict

from shared.reading.credit_sums import OfGroups
from shared.reading.lost_paths import lost_paths
from shared.reading.markov import removal_effects
from shared.reading.snapshot import Snapshot
from shared.reading.time_range import TimeRange
from shared.rules import exact
from shared.rules.data_driven import SHAPLEY
from shared.rules.models import Parts
from shared.rules.report_groups import Group, GroupBy


async def earned_under_markov(
    snapshot: Snapshot, span: TimeRange, by: GroupBy, found: OfGroups
) -> dict[tuple[Group, str], int]:
    """What groups earn of the deals won in a range under `markov`, in minor units by group and currency, where that is not 0.

    `found` is what they earned under `shapley`, with the steps between them. The sum over the groups with names is the same under both models, because it is the revenue of the deals
    that have a path; and a group without a name earns the same under both, of the deals that have none. Raises `TooManyGroups`.
    """
    out: dict[tuple[Group, str], int] = {}
    revenue: dict[str, int] = defaultdict(int)
    for (group, currency), one in found.earned.items():
        if group.name is None:
            out[group, currency] = one.minor[SHAPLEY]
        elif one.paid:
            revenue[currency] += one.minor[SHAPLEY]
    if revenue:
        lost = await lost_paths(snapshot, span, by)
        for currency, minor in revenue.items():
            effects = await asyncio.to_thread(removal_effects, found.walked[currency], lost)
            parts = exact.shares(minor, Parts(list(effects.values()), sum(effects.values())))
            out |= {(Group(name), currency): part for name, part in zip(effects, parts, strict=True)}
    return {place: minor for place, minor in out.items() if minor}
