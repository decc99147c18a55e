"""What do the groups of a report earn under the models that look at the paths of all journeys (rule **data-driven**)? Worked out touch by touch."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from shared.projection.sql import Statement, sql
from shared.reading.created_credit import OWNED_TOUCHES, TOUCH_COLUMNS
from shared.reading.groups import groups_of
from shared.reading.markov import Walked, removal_effects
from shared.reading.snapshot import Snapshot
from shared.reading.time_range import TimeRange
from shared.rules import exact
from shared.rules.data_driven import MARKOV, SHAPLEY, path_of_groups, shapley
from shared.rules.models import Parts
from shared.rules.report_groups import Group, GroupBy

TOUCHES_AT_ONCE = 5_000  # that are in memory, with the rest of the journey that the last of them is of

# The touches of the journeys of the deals won in [$2, $3), in the currency $4 (null: in each), in order.
WON = sql("""
SELECT cr.deal AS subject, cr.contact, cr.person, cr.occurred_at_us, cr.event_id, cr.type, cr.asset_id, cr.asset_or_page_key, cr.via, cr.utm,
    d.currency, d.amount_minor
FROM {g}.deal d JOIN {g}.credit cr ON cr.ws = $1 AND cr.deal = d.deal
WHERE d.ws = $1 AND d.state = 'won' AND d.closed_us >= $2 AND d.closed_us < $3 AND ($4::text IS NULL OR d.currency = $4)
ORDER BY cr.deal, cr.step
""")
# The revenue touches in [$2, $3) of the contacts that are eligible in no won deal, in order.
LOST = sql(f"""
SELECT o.contact AS subject, o.contact, {TOUCH_COLUMNS} FROM {{g}}.identity_interval o {OWNED_TOUCHES}
    AND t.occurred_at_us >= $2 AND t.occurred_at_us < $3
WHERE o.ws = $1 AND NOT EXISTS (SELECT FROM {{g}}.deal_contact dc JOIN {{g}}.deal d ON d.ws = $1 AND d.deal = dc.deal AND d.state = 'won'
    WHERE dc.ws = $1 AND dc.contact = o.contact)
ORDER BY o.contact, t.occurred_at_us, t.event_id
""")

Earned = Mapping[tuple[Group, str], int]
"""Minor units by group and currency. A group without a name has what deals are worth none of whose touches is in a group."""


async def earned_by_paths(
    snapshot: Snapshot, span: TimeRange, by: GroupBy, models: Sequence[str], currency: str | None
) -> dict[str, Earned]:
    """What groups earn of the deals won in a range, in a currency (None: in each), under `markov` and `shapley`, by model.

    Raises `TooManyGroups`.
    """
    out: dict[str, dict[tuple[Group, str], int]] = {model: defaultdict(int) for model in models}
    converted: dict[str, Walked] = defaultdict(Walked)
    revenue: dict[str, int] = defaultdict(int)  # of deals with a path
    async for journey in _journeys(snapshot, by, WON, span.from_us, span.to_us, currency):
        deal, groups_of_first = journey[0]
        path, code, minor = _path(journey), deal["currency"], deal["amount_minor"]
        converted[code].add(path)
        if minor is None:
            continue
        if not path:
            for model in models:
                out[model][groups_of_first[0], code] += minor
            continue
        revenue[code] += minor
        if SHAPLEY in models:
            for name, part in shapley(minor, path).items():
                out[SHAPLEY][Group(name), code] += part
    if MARKOV in models and revenue:
        lost = Walked()
        async for journey in _journeys(snapshot, by, LOST, span.from_us, span.to_us):
            lost.add(_path(journey))
        for code, minor in revenue.items():
            effects = await asyncio.to_thread(removal_effects, converted[code], lost)
            parts = exact.shares(minor, Parts(list(effects.values()), sum(effects.values())))
            for name, part in zip(effects, parts, strict=True):
                if part:  # else it may be a group from which no path converts, and has no row
                    out[MARKOV][Group(name), code] += part
    return dict(out)


_Journey = Sequence[tuple[Any, Sequence[Group]]]
"""The touches of one deal or contact, in order, each with its groups."""


def _path(journey: _Journey) -> list[str]:
    return path_of_groups([group.name for group in groups] for _, groups in journey)


async def _journeys(snapshot: Snapshot, by: GroupBy, statement: Statement, *arguments: Any) -> AsyncIterator[_Journey]:
    """The journeys of which a statement answers the touches, in the order of `subject` and of time."""
    journey: list[tuple[Any, Sequence[Group]]] = []
    async for touches in snapshot.fetched_in_parts(statement, TOUCHES_AT_ONCE, *arguments):
        for touch, groups in zip(touches, await groups_of(snapshot, by, touches), strict=True):
            if journey and journey[0][0]["subject"] != touch["subject"]:
                yield journey
                journey = []
            journey.append((touch, groups))
    if journey:
        yield journey
