"""`/v1/reports`: revenue by campaign, several models side by side; what belongs to no campaign is a row, not a footnote."""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from fastapi import APIRouter, Request, Response

from services.api import parameters as takes
from shared.reading.overview import Share, shares_by_model
from services.api.requests import Api, Reading, answer, reading
from shared.events.currencies import CURRENCIES
from shared.events.money import to_amount
from shared.projection.sql import sql
from shared.rules.models import MODELS
from shared.web.problems import Problem

GROUPS = ("campaign",)
WON = sql("""
SELECT d.deal, d.amount_minor, d.currency, EXISTS (SELECT FROM {g}.credit c WHERE c.ws = $1 AND c.deal = d.deal) AS journey
FROM {g}.deal d WHERE d.ws = $1 AND d.state = 'won' AND d.closed_us >= $2 AND d.closed_us < $3
""")  # every deal won in a span, whatever its amount

DEAL_IN = sql("SELECT 1 FROM {g}.deal WHERE ws = $1 AND currency = $2 LIMIT 1")


@dataclass
class Row:
    """One group of a report."""

    deals: set[int] = field(default_factory=set)
    contacts: set[int] = field(default_factory=set)
    revenue_minor: dict[str, int] = field(default_factory=lambda: defaultdict(int))


def routes(api: Api) -> APIRouter:
    """The routes of this file."""
    router = APIRouter(prefix="/v1/reports", tags=["reports"])

    @router.get("/attribution", openapi_extra=takes.read(takes.MODELS_, takes.GROUP_BY, takes.CURRENCY, *takes.RANGE))
    async def get_attribution(request: Request) -> Response:
        """Revenue, deals and contacts by group, for one `model` or several; one currency a call."""
        async with reading(api, request, heavy=True) as read:
            models = read.query.getlist("model") or ["linear"]
            for model in models:
                if model not in MODELS:
                    raise Problem(
                        422,
                        "bad_parameter",
                        f"`model` must be one of {', '.join(MODELS)}, not {model!r}",
                        field="model",
                    )
            group_by = read.choice("group_by", GROUPS, "campaign")
            return answer(read, await _report(read, models, group_by, await _currency(read)))

    return router


async def _currency(read: Reading) -> str:
    """The currency that is asked for. Raises a 422 `Problem` for one that no event of the workspace can have told.

    A log may hold deals in codes that are accepted no more, and their revenue can be read.
    """
    currency = read.query.get("currency", read.settings.currency)
    if currency in CURRENCIES or currency == read.settings.currency or await read.fetchrow(DEAL_IN, currency):
        return currency
    message = (
        f"`currency` must be a code of ISO 4217 such as EUR, or a currency of the workspace, not {currency[:100]!r}"
    )
    raise Problem(422, "bad_parameter", message, field="currency")


async def _report(read: Reading, models: list[str], group_by: str, currency: str) -> dict[str, Any]:
    span = read.range
    won = await read.fetch(WON, span.from_us, span.to_us)
    groups: dict[str | None, Row] = defaultdict(Row)
    without = Row()
    for deal in won:
        if deal["currency"] == currency and not deal["journey"]:
            without.deals.add(deal["deal"])
            for model in models:
                without.revenue_minor[model] += deal["amount_minor"] or 0
    for model, paid in (await shares_by_model(read, span, models)).items():
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
        "models": models, "group_by": group_by, "currency": currency, **span.said, "rows": rows,
        "total": {model: to_amount(total, currency) for model in models},
        "deals": sum(d["currency"] == currency for d in won),
        "other_currencies": _others(won, currency),
    }  # fmt: skip


def _add(groups: dict[str | None, Row], share: Share, model: str) -> None:
    """A deal and a contact are of every group that has a touch in the journey, whatever that touch was paid."""
    parts: list[tuple[str | None, int]] = [*share.parts] or [(None, share.share_minor)]
    for group, minor in parts:
        row = groups[group]
        row.revenue_minor[model] += minor
        row.deals.add(share.deal)
        row.contacts.add(share.contact)


def _row(group: str | None, reason: str | None, row: Row, models: list[str], currency: str) -> dict[str, Any]:
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
