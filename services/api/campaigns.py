"""`/v1/campaigns`: the campaigns, their numbers, and the contacts and deals behind a number."""

from typing import Any

from fastapi import APIRouter, Request, Response

from services.api import parameters as takes
from services.api.overview import CONTACT_METRICS, DEAL_METRICS, Numbers, money, numbers, settled_through
from services.api.reading import Api, Range, Reading, answer, not_found, reading
from shared.events.codec import decode_event
from shared.events.instants import END_US, to_rfc3339
from shared.events.money import to_minor, to_money
from shared.events.registry import name_of, names_like, sql_names
from shared.events.types import CampaignCreated, SpendRecorded
from shared.projection.attribution import INFLUENCED_CONTACTS
from shared.projection.sql import sql
from shared.rules.association import REFUSED
from shared.rules.keys import campaign_key
from shared.rules.models import MODELS

CAMPAIGNS = sql("SELECT * FROM {g}.campaign WHERE ws = $1 ORDER BY campaign_id")
CAMPAIGN = sql("SELECT * FROM {g}.campaign WHERE ws = $1 AND campaign = $2")
CLAIMED = sql(f"""
SELECT object, min(occurred_at_us) AS since_us, (array_agg(body ORDER BY occurred_at_us, event_id))[1] AS body, subject
FROM {{g}}.entity_event WHERE ws = $1 AND subject = ANY($2::bigint[]) AND type IN {sql_names(names_like(CampaignCreated))} AND live
    AND object IS NOT NULL
GROUP BY subject, object ORDER BY subject, 2
""")  # the utm values that campaigns were told with, each since its first telling
SPENT = sql(f"""
SELECT body FROM {{g}}.entity_event WHERE ws = $1 AND subject = $2 AND type = '{name_of(SpendRecorded)}' AND live
""")
ASSOCIATIONS = sql("""
SELECT a.asset, s.asset_id, s.asset_type, s.name, a.from_us, a.to_us, a.event_id
FROM {g}.association a LEFT JOIN {g}.asset s ON s.ws = $1 AND s.asset = a.asset
WHERE a.ws = $1 AND a.campaign = $2 ORDER BY a.from_us, a.event_id
""")
REFUSALS = sql(f"""
SELECT i.occurred_at_us, i.event_id, i.reason, s.asset_id, s.asset_type, s.name
FROM {{g}}.ignored_association i LEFT JOIN {{g}}.asset s ON s.ws = $1 AND s.asset = i.asset
WHERE i.ws = $1 AND i.campaign = $2 AND i.reason IN ({", ".join(f"'{reason}'" for reason in sorted(REFUSED))})
ORDER BY i.occurred_at_us, i.event_id
""")
NAMES = sql(
    "SELECT contact, name, created_us, created_event FROM {g}.contact WHERE ws = $1 AND contact = ANY($2::bigint[])"
)
LAST_CLOSE_EVENTS = sql("""
SELECT dc.contact, d.closed_us, d.closed_event FROM {g}.deal_contact dc
JOIN {g}.deal d ON d.ws = $1 AND d.deal = dc.deal AND d.state = 'won'
WHERE dc.ws = $1 AND dc.contact = ANY($2::bigint[]) ORDER BY d.closed_us
""")


def routes(api: Api) -> APIRouter:
    """The routes of this file."""
    router = APIRouter(prefix="/v1/campaigns", tags=["campaigns"])

    @router.get("", openapi_extra=takes.read(takes.QUERY, *takes.RANGE, takes.MODEL, *takes.PAGE))
    async def list_campaigns(request: Request) -> Response:
        """Every campaign with its headline metrics; `q` searches id and name."""
        async with reading(api, request, heavy=True) as read:
            rows = await read.fetch(CAMPAIGNS)
            query = read.query.get("q", "").casefold()
            rows = [r for r in rows if query in r["campaign_id"].casefold() or query in (r["name"] or "").casefold()]
            model = read.choice("model", list(MODELS), "linear")
            span = read.range
            page = read.page(rows, [[r["campaign_id"]] for r in rows])
            rows = page["items"]
            counted = await numbers(read, {r["campaign"]: r["campaign_id"] for r in rows}, span, model)
            values = await claimed_values(read, [r["campaign"] for r in rows])
            items = [
                {**campaign_json(r), "utm_campaign": values.get(r["campaign"], []),
                 "metrics": counted[r["campaign"]].metrics(), "touches": counted[r["campaign"]].touches,
                 "excluded": counted[r["campaign"]].excluded} for r in rows
            ]  # fmt: skip
            return answer(read, {**page, "items": items, **span.said, "model": model})

    @router.get("/{campaign_id:id}", openapi_extra=takes.read())
    async def get_campaign(campaign_id: str, request: Request) -> Response:
        """The campaign and its association history."""
        async with reading(api, request) as read:
            row = await campaign_row(read, campaign_id)
            held = [
                {"asset_id": a["asset_id"], "asset_type": a["asset_type"], "name": a["name"],
                 "from": to_rfc3339(a["from_us"]), "to": None if a["to_us"] == END_US else to_rfc3339(a["to_us"]),
                 "event_id": a["event_id"]} for a in await read.fetch(ASSOCIATIONS, row["campaign"])
            ]  # fmt: skip
            values = await claimed_values(read, [row["campaign"]])
            body = {
                **campaign_json(row), "utm_campaign": values.get(row["campaign"], []),
                "spent": await _spent(read, row["campaign"]), "associations": held,
            }  # fmt: skip
            return answer(read, body)

    @router.get("/{campaign_id:id}/overview", openapi_extra=takes.read(*takes.RANGE, takes.MODEL))
    async def get_overview(campaign_id: str, request: Request) -> Response:
        """Every metric of the campaign, and what was kept out of them, by reason."""
        async with reading(api, request, heavy=True, log_end=True) as read:
            counted, span, model = await _counted(read, campaign_id)
            body = {
                "campaign_id": campaign_id, **span.said, "model": model, "metrics": counted.metrics(),
                "touches": counted.touches, "excluded": counted.excluded,
                "settled_through": await settled_through(read, read.log_end_offset),
            }  # fmt: skip
            return answer(read, body)

    @router.get("/{campaign_id:id}/refusals", openapi_extra=takes.read(*takes.PAGE))
    async def get_refusals(campaign_id: str, request: Request) -> Response:
        """The associations that the campaign was refused, in order, each with the reason (rules **interval**, **limit**)."""
        async with reading(api, request) as read:
            row = await campaign_row(read, campaign_id)
            rows = await read.fetch(REFUSALS, row["campaign"])
            items = [
                {"asset_id": r["asset_id"], "asset_type": r["asset_type"], "name": r["name"],
                 "occurred_at": to_rfc3339(r["occurred_at_us"]), "event_id": r["event_id"], "reason": r["reason"]}
                for r in rows
            ]  # fmt: skip
            return answer(read, read.page(items, [[r["occurred_at_us"], r["event_id"]] for r in rows]))

    @router.get(
        "/{campaign_id:id}/contacts",
        openapi_extra=takes.read(takes.CONTACT_METRIC, takes.MODEL, *takes.RANGE, *takes.PAGE),
    )
    async def get_contacts(campaign_id: str, request: Request) -> Response:
        """The contacts behind a number."""
        async with reading(api, request, heavy=True) as read:
            metric = read.choice("metric", CONTACT_METRICS, "influenced_contacts")
            counted, _, _ = await _counted(read, campaign_id)
            items, keys = await _contact_items(read, campaign_id, metric, counted.contacts[metric])
            page = read.page(items, keys)
            return answer(read, {**page, "metric": metric})

    @router.get(
        "/{campaign_id:id}/deals",
        openapi_extra=takes.read(takes.DEAL_METRIC, takes.MODEL, *takes.RANGE, *takes.PAGE),
    )
    async def get_deals(campaign_id: str, request: Request) -> Response:
        """The deals behind a number, with the campaign's share of each."""
        async with reading(api, request, heavy=True) as read:
            metric = read.choice("metric", DEAL_METRICS, "influenced_deals")
            counted, _, model = await _counted(read, campaign_id)
            deals = sorted(
                counted.deals[metric].values(), key=lambda d: (d["closed_us"] or d["created_us"], d["deal_id"])
            )
            items = [_deal_item(deal, counted) for deal in deals]
            page = read.page(items, [[d["closed_us"] or d["created_us"], d["deal_id"]] for d in deals])
            return answer(read, {**page, "metric": metric, "model": model})

    return router


async def campaign_row(read: Reading, campaign_id: str) -> Any:
    """The campaign's row. Raises a 404 `Problem`."""
    row = await read.fetchrow(CAMPAIGN, campaign_key(campaign_id))
    if row is None:
        raise not_found("campaign", campaign_id)
    return row


async def _counted(read: Reading, campaign_id: str) -> tuple[Numbers, Range, str]:
    row = await campaign_row(read, campaign_id)
    model = read.choice("model", list(MODELS), "linear")
    span = read.range
    return (await numbers(read, {row["campaign"]: campaign_id}, span, model))[row["campaign"]], span, model


def campaign_json(row: Any) -> dict[str, Any]:
    """A campaign's particulars."""
    budget = row["budget_minor"]
    return {
        "campaign_id": row["campaign_id"], "name": row["name"],
        "starts_on": row["starts_on"], "ends_on": row["ends_on"], "owner": row["owner"], "notes": row["notes"],
        "budget": None if budget is None else to_money(budget, row["currency"]),
        "created_at": to_rfc3339(row["created_us"]),
        "deleted_at": None if row["deleted_us"] is None else to_rfc3339(row["deleted_us"]),
    }  # fmt: skip


async def claimed_values(read: Reading, campaigns: list[int]) -> dict[int, list[dict[str, str]]]:
    """The utm values that each campaign was told with, as sent, each with the instant of its first telling."""
    out: dict[int, list[dict[str, str]]] = {}
    for row in await read.fetch(CLAIMED, campaigns):
        value: str = getattr(decode_event(row["body"]), "utm_campaign", "")
        out.setdefault(row["subject"], []).append({"value": value, "since": to_rfc3339(row["since_us"])})
    return out


async def _spent(read: Reading, campaign: int) -> list[Any]:
    spent: dict[str, int] = {}
    for row in await read.fetch(SPENT, campaign):
        event = decode_event(row["body"])
        assert isinstance(event, SpendRecorded)
        spent[event.currency] = spent.get(event.currency, 0) + to_minor(event.amount, event.currency)
    return money(spent)


async def _contact_items(
    read: Reading, campaign_id: str, metric: str, contacts: dict[int, int]
) -> tuple[list[dict[str, Any]], list[list[Any]]]:
    """Contacts in the order of the instant that dates them, each with the event that decided; and their sort keys."""
    rows = {r["contact"]: r for r in await read.fetch(NAMES, list(contacts))}
    deciding = {contact: row["created_event"] for contact, row in rows.items()}
    if metric == "influenced_contacts":
        touches = await read.fetch(INFLUENCED_CONTACTS, [campaign_key(campaign_id)])
        deciding = {r["contact"]: r["event_id"] for r in touches}
    elif metric in ("contacts_with_revenue", "contacts_with_attributed_revenue"):
        closes = await read.fetch(LAST_CLOSE_EVENTS, list(contacts))
        deciding = {r["contact"]: r["closed_event"] for r in closes if r["closed_us"] <= contacts[r["contact"]]}
    keys = sorted([at_us, rows[contact]["name"], contact] for contact, at_us in contacts.items())
    items = [
        {"contact": name, "at": to_rfc3339(at_us), "deciding_event": deciding[contact]} for at_us, name, contact in keys
    ]
    return items, keys


def _deal_item(deal: Any, counted: Numbers) -> dict[str, Any]:
    amount, currency = deal["amount_minor"], deal["currency"]
    share = counted.deal_shares_minor.get(deal["deal"])
    return {
        "deal_id": deal["deal_id"], "name": deal["name"], "state": deal["state"],
        "created_at": to_rfc3339(deal["created_us"]),
        "closed_at": None if deal["closed_us"] is None else to_rfc3339(deal["closed_us"]),
        "amount": None if amount is None else to_money(amount, currency),
        "share": None if share is None else to_money(share, currency),
    }  # fmt: skip
