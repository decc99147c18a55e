"""What did each campaign earn, under several models side by side? What belongs to no campaign is a row of its own."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.events.money import to_amount
from shared.projection.sql import sql
from shared.reading.shares import Share, shares_by_model
from shared.reading.snapshot import Snapshot
from shared.reading.time_range import TimeRange

WON = sql("""
SELECT d.deal, d.amount_minor, d.currency, EXISTS (SELECT FROM {g}.credit c WHERE c.ws = $1 AND c.deal = d.deal) AS journey
FROM {g}.deal d WHERE d.ws = $1 AND d.state = 'won' AND d.closed_us >= $2 AND d.closed_us < $3
""")  # every deal won in a span, whatever its amount

DEAL_IN = sql("SELECT 1 FROM {g}.deal WHERE ws = $1 AND currency = $2 LIMIT 1")


@dataclass
class ReportRow:
    """The numbers of one campaign: the keys of its deals and contacts, and its revenue in minor units by model."""

    deals: set[int] = field(default_factory=set)
    contacts: set[int] = field(default_factory=set)
    revenue_minor: dict[str, int] = field(default_factory=lambda: defaultdict(int))


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
    groups: dict[str | None, ReportRow] = defaultdict(ReportRow)
    without = ReportRow()
    for deal in won:
        if deal["currency"] == currency and not deal["journey"]:
            without.deals.add(deal["deal"])
            for model in models:
                without.revenue_minor[model] += deal["amount_minor"] or 0
    for model, paid in (await shares_by_model(snapshot, span, models)).items():
        for share in paid:
            if share.currency == currency:
                _add(groups, share, model)
    named = sorted(
        (group for group in groups if group is not None),
        key=lambda group: (-groups[group].revenue_minor[models[0]], group),
    )
    rows = [_row(group, None, groups[group], models, currency) for group in named]
    rows.append(_row(None, "no_campaign", groups[None], models, currency))
    rows.append(_row(None, "no_journey", without, models, currency))
    total = sum(d["amount_minor"] or 0 for d in won if d["currency"] == currency)
    return {
        "models": models, "group_by": "campaign", "currency": currency, **span.as_json(), "rows": rows,
        "total": {model: to_amount(total, currency) for model in models},
        "deals": sum(d["currency"] == currency for d in won),
        "other_currencies": _others(won, currency),
    }  # fmt: skip


def _add(groups: dict[str | None, ReportRow], share: Share, model: str) -> None:
    """Add a touch's share. Deal and contact are of every campaign with a touch in the journey, even if that earned 0."""
    parts: list[tuple[str | None, int]] = [*share.parts] or [(None, share.share_minor)]
    for group, minor in parts:
        row = groups[group]
        row.revenue_minor[model] += minor
        row.deals.add(share.deal)
        row.contacts.add(share.contact)


def _row(group: str | None, reason: str | None, row: ReportRow, models: Sequence[str], currency: str) -> dict[str, Any]:
    said = {} if reason is None else {"reason": reason}
    return {
        "group": group, **said, "deals": len(row.deals), "contacts": len(row.contacts),
        "revenue": {model: to_amount(row.revenue_minor[model], currency) for model in models},
    }  # fmt: skip


def _others(won: list[Any], currency: str) -> list[dict[str, str]]:
    sums: dict[str, int] = defaultdict(int)
    for deal in won:
        if deal["currency"] != currency and deal["amount_minor"] is not None:
            sums[deal["currency"]] += deal["amount_minor"]
    return [{"amount": to_amount(minor, other), "currency": other} for other, minor in sorted(sums.items())]
