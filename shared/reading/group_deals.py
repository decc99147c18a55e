"""Which won deals are behind a row of an attribution report, and what did the group earn of each?

Deals are looked through from the latest close back, a few at a time, so that a page costs the same however many deals there are.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

from shared.events.money import to_money
from shared.reading.deal_list import DEAL_ORDERS
from shared.reading.deals import as_answered
from shared.reading.keyset import key_arguments, paged
from shared.reading.reports import ALL_CURRENCIES, Question, credited
from shared.reading.snapshot import Snapshot
from shared.reading.time_range import TimeRange
from shared.rules.exact import split
from shared.rules.report_groups import Group, NoGroup

AT_ONCE = 500  # deals whose touches are read together: some 15,000
LOOKED_THROUGH_MAX = 2_000  # deals of one page: of a group that few deals have, a page is short rather than slow

GROUP_DEAL_ORDER = DEAL_ORDERS["-closed_at"]
_PAGES = paged(
    """
SELECT d.deal, d.deal_id, d.name, d.state, d.amount_minor, d.currency, d.created_us, d.closed_us, {keys},
    EXISTS (SELECT FROM {g}.credit c WHERE c.ws = $1 AND c.deal = d.deal) AS journey
FROM {g}.deal d WHERE d.ws = $1 AND d.state = 'won' AND coalesce(d.closed_us, d.created_us) >= $2 AND coalesce(d.closed_us, d.created_us) < $3
    AND ($4::text IS NULL OR d.currency = $4) AND {after}""",
    {"": GROUP_DEAL_ORDER},
    5,
)


class GroupDeals(NamedTuple):
    """A page: the deals as answers tell them, and the key of the last one that was looked at (None: there are no more)."""

    items: list[dict[str, Any]]
    after: list[Any] | None


async def deals_of_group(
    snapshot: Snapshot, span: TimeRange, asked: Question, group: Group | None, after: Sequence[Any] | None, limit: int
) -> GroupDeals:
    """At most `limit` of the deals won in the range that are behind the row of `group` (None: behind the total), under the first model
    of the question: those with a touch of the group in the journey. Each has its `share`: what the group earned of it.

    Behind `no_journey` are the deals without a journey, and what models with a lookback share out to no touch. A page may have fewer
    items than `limit`, also none, although more follow. Raises as `attribution_report`.
    """
    items: list[dict[str, Any]] = []
    key = None if after is None else list(after)
    for _ in range(LOOKED_THROUGH_MAX // AT_ONCE):
        deals = await snapshot.fetch(
            _PAGES[""], span.from_us, span.to_us, None if asked.currency == ALL_CURRENCIES else asked.currency,
            *key_arguments(GROUP_DEAL_ORDER, key), AT_ONCE + 1,
        )  # fmt: skip
        more, deals = len(deals) > AT_ONCE, deals[:AT_ONCE]
        shares = await _shares(snapshot, asked, group, deals)
        for n, deal in enumerate(deals):
            key = GROUP_DEAL_ORDER.key_of(deal)
            if deal["deal"] in shares:
                share = shares[deal["deal"]]
                items.append(
                    {**as_answered(deal), "share": None if share is None else to_money(share, deal["currency"])}
                )
                if len(items) == limit:
                    return GroupDeals(items, key if more or n + 1 < len(deals) else None)
        if not more:
            return GroupDeals(items, None)
    return GroupDeals(items, key)


async def _shares(
    snapshot: Snapshot, asked: Question, group: Group | None, deals: Sequence[Any]
) -> dict[int, int | None]:
    """What the group earned of each of these deals that are behind its row, in minor units (None: the deal has no amount), by key."""
    amounts: dict[int, int | None] = {deal["deal"]: deal["amount_minor"] for deal in deals}
    if group is None or not deals:
        return amounts
    closes = [deal["closed_us"] for deal in deals]
    model, span = asked.models[0], TimeRange(min(closes), max(closes) + 1)
    own: set[int] = set()
    earned: dict[int, int] = defaultdict(int)
    left = {deal: amount for deal, amount in amounts.items() if amount is not None}
    for one in await credited(snapshot, span, asked):
        if one.subject not in amounts:
            continue
        paid = one.units.get(model, 0)
        if one.subject in left:
            left[one.subject] -= paid
        for each, part in zip(one.groups, split(paid, len(one.groups)), strict=True):
            if each == group:
                own.add(one.subject)
                earned[one.subject] += part
    if group == Group(None, NoGroup.NO_JOURNEY):
        own = {deal["deal"] for deal in deals if not deal["journey"]} | {deal for deal, rest in left.items() if rest}
        earned.update(left)
    return {deal: None if amounts[deal] is None else earned[deal] for deal in own}
