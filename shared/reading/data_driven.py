"""What do the groups of a report earn under the models that look at the paths of all journeys (rule **data-driven**)? Worked out touch by touch."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from shared.projection.sql import sql
from shared.reading.created_credit import OWNED_TOUCHES, TOUCH_COLUMNS
from shared.reading.markov import removal_effects
from shared.reading.snapshot import Snapshot
from shared.reading.time_range import TimeRange
from shared.rules import exact
from shared.rules.data_driven import MARKOV, SHAPLEY, path_of_groups, shapley
from shared.rules.models import Parts
from shared.rules.report_groups import Group

# The touches of the journeys of the deals won in [$2, $3), in the currency $4 (null: in each), in order.
WON = sql("""
SELECT cr.deal AS subject, cr.contact, cr.person, cr.occurred_at_us, cr.event_id, cr.type, cr.asset_id, cr.asset_or_page_key, cr.via, cr.utm,
    d.currency, d.amount_minor
FROM {g}.deal d JOIN {g}.credit cr ON cr.ws = $1 AND cr.deal = d.deal
WHERE d.ws = $1 AND d.state = 'won' AND d.closed_us >= $2 AND d.closed_us < $3 AND ($4::text IS NULL OR d.currency = $4)
ORDER BY cr.deal, cr.step
""")
# The revenue touches in [$2, $3) of contacts that have no won deal, in order.
LOST = sql(f"""
SELECT o.contact AS subject, o.contact, {TOUCH_COLUMNS} FROM {{g}}.identity_interval o {OWNED_TOUCHES}
    AND t.occurred_at_us >= $2 AND t.occurred_at_us < $3
WHERE o.ws = $1 AND NOT EXISTS (SELECT FROM {{g}}.deal_contact dc JOIN {{g}}.deal d ON d.ws = $1 AND d.deal = dc.deal AND d.state = 'won'
    WHERE dc.ws = $1 AND dc.contact = o.contact)
ORDER BY o.contact, t.occurred_at_us, t.event_id
""")

Earned = dict[str, dict[str | None, dict[str, int]]]
"""Minor units by model, by the name of the group (None: deals none of whose touches is in a group), and by currency."""


async def earned_by_paths(
    snapshot: Snapshot, span: TimeRange, models: Sequence[str], currency: str | None, groups_of: Any
) -> Earned:
    """What groups earn of the deals won in a range, in a currency (None: in each), under `markov` and `shapley`.

    `groups_of` answers the groups of each of some touches. Raises `TooManyGroups`.
    """
    out: Earned = {model: defaultdict(lambda: defaultdict(int)) for model in models}
    won = await snapshot.fetch(WON, span.from_us, span.to_us, currency)
    paths = _paths(won, await groups_of(won))
    amounts: dict[int, tuple[str, int]] = {
        row["subject"]: (row["currency"], row["amount_minor"]) for row in won if row["amount_minor"] is not None
    }
    revenue: dict[str, int] = defaultdict(int)  # of deals with a path
    for deal, (code, minor) in amounts.items():
        if paths[deal]:
            revenue[code] += minor
        else:
            for model in models:
                out[model][None][code] += minor
        if SHAPLEY in out:
            for group, part in shapley(minor, paths[deal]).items():
                out[SHAPLEY][group][code] += part
    if MARKOV in out:
        lost = await snapshot.fetch(LOST, span.from_us, span.to_us)
        effects = removal_effects(paths.values(), _paths(lost, await groups_of(lost)).values())
        parts = Parts(list(effects.values()), sum(effects.values()))
        for code, minor in revenue.items():
            for group, part in zip(effects, exact.shares(minor, parts), strict=True):
                out[MARKOV][group][code] += part
    return out


def _paths(touches: Sequence[Any], groups: Sequence[Sequence[Group]]) -> Mapping[int, list[str]]:
    """The path of each deal or contact, of rows that are in the order of `subject` and of time."""
    both = groupby(zip(touches, groups, strict=True), key=lambda pair: pair[0]["subject"])
    return {
        subject: path_of_groups([group.name for group in of_touch] for _, of_touch in pairs) for subject, pairs in both
    }
