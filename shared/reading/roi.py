"""What did campaigns cost, item by item and in all, and what did they return?"""

import datetime as dt
from collections import defaultdict
from typing import Any

from shared.events.codec import decode_event
from shared.events.instants import to_micros
from shared.events.money import exact_minor, to_minor, to_money
from shared.events.registry import name_of
from shared.events.types import BudgetRecorded, SpendRecorded
from shared.projection.sql import sql
from shared.reading.drilldown import contacts_behind, deals_behind
from shared.reading.overview import CampaignNumbers, campaign_numbers, money_by_currency
from shared.reading.snapshot import Snapshot
from shared.reading.time_range import TimeRange
from shared.rules.investment import cost_minor, return_on

CAMPAIGNS = sql(
    "SELECT campaign, campaign_id, name, budget_minor, currency FROM {g}.campaign WHERE ws = $1 ORDER BY campaign_id"
)
SPENT = sql(f"""
SELECT subject, occurred_at_us, event_id, body FROM {{g}}.entity_event
WHERE ws = $1 AND subject = ANY($2::bigint[]) AND type = '{name_of(SpendRecorded)}' AND live
""")
PLANNED = sql(f"""
SELECT occurred_at_us, event_id, body FROM {{g}}.entity_event
WHERE ws = $1 AND subject = $2 AND type = '{name_of(BudgetRecorded)}' AND live ORDER BY occurred_at_us, event_id
""")
UPDATED = sql("""
SELECT u.campaign AS subject, coalesce(max(e.occurred_at_us), c.created_us) AS at_us FROM unnest($2::bigint[]) u(campaign)
JOIN {g}.campaign c ON c.ws = $1 AND c.campaign = u.campaign
LEFT JOIN {g}.entity_event e ON e.ws = $1 AND e.subject = u.campaign AND e.live GROUP BY u.campaign, c.created_us
""")


async def spend_items(snapshot: Snapshot, campaigns: list[int], span: TimeRange) -> dict[int, list[dict[str, Any]]]:
    """What was spent on campaigns, by their keys, on days that begin in a range: items in the order of their days.

    A day is of the workspace's time zone. Each item has `event_id`, `on`, `amount`, and `asset_id` (null: the campaign's).
    """
    out: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for row in await snapshot.fetch(SPENT, campaigns):
        event = decode_event(row["body"])
        assert isinstance(event, SpendRecorded)
        begins_us = to_micros(dt.datetime.combine(event.on, dt.time(), snapshot.zone))
        if begins_us in span:
            minor = to_minor(event.amount, event.currency)
            out[row["subject"]].append(
                {"event_id": row["event_id"], "on": event.on, "amount": to_money(minor, event.currency), "minor": minor,
                 "asset_id": event.asset_id}
            )  # fmt: skip
    for items in out.values():
        items.sort(key=lambda item: (item["on"], item["event_id"]))
    return out


async def budget_items(snapshot: Snapshot, campaign: int) -> list[dict[str, Any]]:
    """The items of the budget of a campaign, by its key, in the order of their events.

    Each has `event_id`, `name` (null: it was sent without one), `amount` (as it was sent, if its currency cannot express it), and `at_us`, the event's `occurred_at` in microseconds.
    """
    out = []
    for row in await snapshot.fetch(PLANNED, campaign):
        event = decode_event(row["body"])
        assert isinstance(event, BudgetRecorded)
        minor = exact_minor(event.amount, event.currency)
        amount = (
            {"amount": event.amount, "currency": event.currency} if minor is None else to_money(minor, event.currency)
        )
        out.append({"event_id": row["event_id"], "name": event.name, "amount": amount, "at_us": row["occurred_at_us"]})
    return out


async def updated_us(snapshot: Snapshot, campaigns: list[int]) -> dict[int, int]:
    """When the latest event about each of these campaigns, by key, occurred, in microseconds."""
    return {row["subject"]: row["at_us"] for row in await snapshot.fetch(UPDATED, campaigns)}


async def roi_report(snapshot: Snapshot, span: TimeRange, model: str, currency: str) -> dict[str, Any]:
    """What each campaign cost and earned in a range, in one currency (rule **return**): the answer of the report."""
    campaigns = await snapshot.fetch(CAMPAIGNS)
    numbers = await campaign_numbers(snapshot, {c["campaign"]: c["campaign_id"] for c in campaigns}, span, model)
    items = await spend_items(snapshot, [c["campaign"] for c in campaigns], span)
    spent: dict[int, dict[str, int]] = {key: defaultdict(int) for key in numbers}
    for campaign, mine in items.items():
        for item in mine:
            spent[campaign][item["amount"]["currency"]] += item["minor"]
    rows = [_row(c, numbers[c["campaign"]], spent[c["campaign"]], currency) for c in campaigns]
    contacts = {
        row["contact"] for row in await contacts_behind(snapshot, list(numbers), "influenced_contacts", span, model)
    }
    deals = await deals_behind(snapshot, list(numbers), "influenced_deals", span)
    others: dict[str, int] = defaultdict(int)
    for by_currency in spent.values():
        for other, minor in by_currency.items():
            if other != currency:
                others[other] += minor
    budget = sum(c["budget_minor"] or 0 for c in campaigns if c["currency"] == currency)
    spend = sum(by_currency[currency] for by_currency in spent.values())
    attributed = sum(one.attributed_minor.get(currency, 0) for one in numbers.values())
    total = {"budget": to_money(budget, currency), **_numbers(spend, attributed, len(contacts), len(deals), currency)}
    return {
        "model": model, "currency": currency, **span.as_json(), "rows": rows, "total": total,
        "spend_in_other_currencies": money_by_currency(others),
    }  # fmt: skip


def _row(campaign: Any, one: CampaignNumbers, spent: dict[str, int], currency: str) -> dict[str, Any]:
    budget = campaign["budget_minor"]
    return {
        "campaign_id": campaign["campaign_id"], "name": campaign["name"],
        "budget": None if budget is None or campaign["currency"] != currency else to_money(budget, currency),
        **_numbers(
            spent[currency], one.attributed_minor.get(currency, 0), one.counts["influenced_contacts"],
            one.counts["influenced_deals"], currency,
        ),
    }  # fmt: skip


def _numbers(spend: int, attributed: int, contacts: int, deals: int, currency: str) -> dict[str, Any]:
    def money(minor: int | None) -> Any:
        return None if minor is None else to_money(minor, currency)

    return {
        "spend": money(spend), "contacts": contacts, "deals": deals, "attributed_revenue": money(attributed),
        "cost_per_contact": money(cost_minor(spend, contacts)), "cost_per_deal": money(cost_minor(spend, deals)),
        "return": return_on(spend, attributed),
    }  # fmt: skip
