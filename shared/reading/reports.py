"""What did each campaign earn, under several models side by side? What belongs to no campaign is a row of its own."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from shared.events.money import to_amount
from shared.projection.sql import sql
from shared.reading.campaign_deals import EarnedByCampaign, earned_by_campaign
from shared.reading.snapshot import Snapshot
from shared.reading.time_range import TimeRange

WON = sql("""
SELECT d.deal, d.amount_minor, d.currency, EXISTS (SELECT FROM {g}.credit c WHERE c.ws = $1 AND c.deal = d.deal) AS journey
FROM {g}.deal d WHERE d.ws = $1 AND d.state = 'won' AND d.closed_us >= $2 AND d.closed_us < $3
""")  # every deal won in a span, whatever its amount

DEAL_IN = sql("SELECT 1 FROM {g}.deal WHERE ws = $1 AND currency = $2 LIMIT 1")


async def has_deal_in(snapshot: Snapshot, currency: str) -> bool:
    """Whether any deal of the workspace has an amount in a currency."""
    return await snapshot.fetchrow(DEAL_IN, currency) is not None


async def attribution_report(
    snapshot: Snapshot, span: TimeRange, models: Sequence[str], currency: str
) -> dict[str, Any]:
    """Revenue, deals and contacts by campaign, of the deals won in a range, in one currency: the answer of the report.

    The campaigns are in the order of what they earned under the first model, most first. Raises `WrongShape` if the store lacks a model.
    """
    won = await snapshot.fetch(WON, span.from_us, span.to_us)
    groups = await earned_by_campaign(snapshot, span, models, currency)
    without = EarnedByCampaign(minor=dict.fromkeys(models, 0))
    for deal in won:
        if deal["currency"] == currency and not deal["journey"]:
            without.deals += 1
            for model in models:
                without.minor[model] += deal["amount_minor"] or 0
    named = sorted(
        (group for group in groups if group is not None),
        key=lambda group: (-groups[group].minor[models[0]], group),
    )
    rows = [_row(group, None, groups[group], models, currency) for group in named]
    unnamed = groups.get(None, EarnedByCampaign(minor=dict.fromkeys(models, 0)))
    rows.append(_row(None, "no_campaign", unnamed, models, currency))
    rows.append(_row(None, "no_journey", without, models, currency))
    total = sum(d["amount_minor"] or 0 for d in won if d["currency"] == currency)
    return {
        "models": models, "group_by": "campaign", "currency": currency, **span.as_json(), "rows": rows,
        "total": {model: to_amount(total, currency) for model in models},
        "deals": sum(d["currency"] == currency for d in won),
        "other_currencies": _others(won, currency),
    }  # fmt: skip


def _row(
    group: str | None, reason: str | None, row: EarnedByCampaign, models: Sequence[str], currency: str
) -> dict[str, Any]:
    said = {} if reason is None else {"reason": reason}
    return {
        "group": group, **said, "deals": row.deals, "contacts": row.contacts,
        "revenue": {model: to_amount(row.minor[model], currency) for model in models},
    }  # fmt: skip


def _others(won: list[Any], currency: str) -> list[dict[str, str]]:
    sums: dict[str, int] = defaultdict(int)
    for deal in won:
        if deal["currency"] != currency and deal["amount_minor"] is not None:
            sums[deal["currency"]] += deal["amount_minor"]
    return [{"amount": to_amount(minor, other), "currency": other} for other, minor in sorted(sums.items())]
