"""What the data-driven models say of a range, read touch by touch: the steps of all paths, and what `shapley` gives to groups."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from itertools import groupby
from typing import Any

from shared.projection.sql import Statement, sql
from shared.reading.created_credit import OWNED_TOUCHES, TOUCH_COLUMNS
from shared.reading.groups import groups_of
from shared.reading.snapshot import Snapshot
from shared.reading.time_range import TimeRange
from shared.rules.exact import split
from shared.rules.report_groups import Group, GroupBy

WON = sql("""
SELECT cr.deal AS subject, cr.contact, cr.person, cr.occurred_at_us, cr.event_id, cr.type, cr.asset_id, cr.asset_or_page_key, cr.via, cr.utm,
    d.currency, d.amount_minor
FROM {g}.deal d JOIN {g}.credit cr ON cr.ws = $1 AND cr.deal = d.deal
WHERE d.ws = $1 AND d.state = 'won' AND d.closed_us >= $2 AND d.closed_us < $3
ORDER BY cr.deal, cr.step
""")  # the touches of the journeys of the deals won in [$2, $3), in order
LOST = sql(f"""
SELECT o.contact AS subject, o.contact, {TOUCH_COLUMNS} FROM {{g}}.identity_interval o {OWNED_TOUCHES}
    AND t.occurred_at_us >= $2 AND t.occurred_at_us < $3
WHERE o.ws = $1 AND o.contact NOT IN (
    SELECT dc.contact FROM {{g}}.deal_contact dc JOIN {{g}}.deal d ON d.ws = $1 AND d.deal = dc.deal AND d.state = 'won' WHERE dc.ws = $1)
ORDER BY o.contact, t.occurred_at_us, t.event_id
""")  # the revenue touches in [$2, $3) of the contacts who are eligible in no won deal, in order

Steps = Mapping[tuple[str | None, str | None], int]
"""How often each group (None: the beginning) was followed by each (None: the end)."""


async def _journeys(
    snapshot: Snapshot, by: GroupBy, statement: Statement, span: TimeRange
) -> list[tuple[Any, list[Group]]]:
    """The first touch of each journey, and the groups of all of its touches."""
    touches = await snapshot.fetch(statement, span.from_us, span.to_us)
    told = zip(touches, await groups_of(snapshot, by, touches), strict=True)
    journeys = [list(some) for _, some in groupby(told, key=lambda one: one[0]["subject"])]
    return [(journey[0][0], [group for _, groups in journey for group in groups]) for journey in journeys]


def _add(steps: Counter[tuple[str | None, str | None]], groups: list[Group]) -> list[str]:
    """Add the steps of a path; answers the path."""
    path = [group.name for group in groups if group.name is not None]
    for pair in zip([None, *path], [*path, None], strict=True):
        if pair[0] != pair[1]:
            steps[pair] += 1
    return path


async def lost_by_touches(snapshot: Snapshot, span: TimeRange, by: GroupBy) -> Steps:
    """The steps on the paths of the contacts who are eligible in no won deal."""
    steps: Counter[tuple[str | None, str | None]] = Counter()
    for _, groups in await _journeys(snapshot, by, LOST, span):
        _add(steps, groups)
    return steps


async def won_by_touches(
    snapshot: Snapshot, span: TimeRange, by: GroupBy
) -> tuple[dict[str, Steps], dict[tuple[Group, str], int]]:
    """The steps on the paths of the won deals by currency; and what groups earn under `shapley` by group and currency, but for 0."""
    steps: dict[str, Counter[tuple[str | None, str | None]]] = defaultdict(Counter)
    earned: Counter[tuple[Group, str]] = Counter()
    for deal, groups in await _journeys(snapshot, by, WON, span):
        path = _add(steps[deal["currency"]], groups)
        if (amount := deal["amount_minor"]) is None:
            continue
        sharing = [Group(name) for name in dict.fromkeys(path)] or groups[:1]
        for group, part in zip(sharing, split(amount, len(sharing)), strict=True):
            earned[group, deal["currency"]] += part
    return {code: of for code, of in steps.items() if of}, {place: minor for place, minor in earned.items() if minor}
