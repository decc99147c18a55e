"""`/marketing/v3/campaigns…`: HubSpot's own read paths of campaigns, in HubSpot's shapes, so that what reads HubSpot reads this."""

import datetime as dt
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response

from services.api import parameters as takes
from services.api.requests import Api, ReadRequest, answer_of, read_request
from shared.events.instants import END_US, to_micros, to_rfc3339
from shared.events.money import Money, to_amount
from shared.producers.hubspot_asset_types import asset_types
from shared.reading.asset_histories import asset_histories
from shared.reading.assets import AssetSection, asset_sections, held_assets
from shared.reading.campaigns import (
    campaign_row,
    campaigns_with,
    claimed_values,
    numbers_of_campaign,
)
from shared.reading.drilldown import contacts_behind
from shared.reading.limits import HUBSPOT_LIMIT_MAX
from shared.reading.overview import CampaignNumbers
from shared.reading.roi import spend_items, updated_us
from shared.reading.snapshot import Snapshot
from shared.reading.time_range import ALL_TIME, TimeRange
from shared.rules.models import MODELS
from shared.web.problems import Problem

FIRST_DAY = dt.date(2006, 1, 1)  # HubSpot's default for `startDate`
ASSETS_PAGE, CONTACTS_PAGE, CAMPAIGNS_PAGE = (
    10,
    100,
    50,
)  # results of a page, where no `limit` is given; as HubSpot has it
AFTER_DIGITS_MAX = 9
CONTACT_TYPES = {
    "contactFirstTouch": "new_contacts_first_touch", "contactLastTouch": "new_contacts_last_touch",
    "influencedContacts": "influenced_contacts",
}  # fmt: skip
METRICS = {
    "email_sent": "SENT", "email_opened": "OPEN", "email_clicked": "CLICKS", "form_submitted": "SUBMISSIONS", "page_visited": "VIEWS",
    "cta_viewed": "VIEWS", "cta_clicked": "CLICKS", "social_clicked": "CLICKS", "ad_viewed": "IMPRESSIONS", "ad_clicked": "CLICKS",
}  # fmt: skip
"""HubSpot's names of what an asset's statistics count, by the type of event."""


def routes(api: Api) -> APIRouter:
    """The routes of this file."""
    router = APIRouter(prefix="/marketing/v3/campaigns", tags=["hubspot"])

    @router.get("", openapi_extra=takes.read_as_hubspot(*takes.HUBSPOT_LIST))
    async def list_campaigns(request: Request) -> Response:
        """The campaigns that exist, with the `properties` that are asked for."""
        async with _read(api, request) as read:
            sort = read.choice("sort", takes.HUBSPOT_SORT.schema["enum"], "hs_name")
            rows = [r for r in await campaigns_with(read.snapshot, "") if r["deleted_us"] is None]
            wanted = read.query.get("name", "").casefold()
            rows = [r for r in rows if wanted in (r["name"] or r["campaign_id"]).casefold()]
            updated = await updated_us(read.snapshot, [r["campaign"] for r in rows])
            name = sort.removeprefix("-")
            rows.sort(key=lambda r: (_sorted_by(name, r, updated), r["campaign_id"]), reverse=sort.startswith("-"))
            page = _page(request, rows, CAMPAIGNS_PAGE)
            results = [await _campaign(read, r, updated[r["campaign"]]) for r in page.pop("results")]
            return answer_of(read, {"total": len(rows), "results": results, **page})

    @router.get(
        "/{campaign_id:id}", openapi_extra=takes.read_as_hubspot(takes.HUBSPOT_PROPERTIES, *takes.HUBSPOT_DATES)
    )
    async def get_campaign(campaign_id: str, request: Request) -> Response:
        """The campaign and its assets by HubSpot's types; their metrics if both dates are given."""
        async with _read(api, request, heavy=True) as read:
            row = await _existing(read.snapshot, campaign_id)
            updated = await updated_us(read.snapshot, [row["campaign"]])
            assets = await _assets(read, row["campaign"])
            by_type = {
                kind: _with_next(
                    some[:ASSETS_PAGE], ASSETS_PAGE, len(some), f"{str(request.url).partition('?')[0]}/assets/{kind}?after={ASSETS_PAGE}"
                ) for kind, some in assets.items()
            }  # fmt: skip
            return answer_of(read, {**await _campaign(read, row, updated[row["campaign"]]), "assets": by_type})

    @router.get(
        "/{campaign_id:id}/assets/{asset_type:id}",
        openapi_extra=takes.read_as_hubspot(*takes.HUBSPOT_PAGE, *takes.HUBSPOT_DATES),
    )
    async def get_assets(campaign_id: str, asset_type: str, request: Request) -> Response:
        """The campaign's assets of one of HubSpot's types; their metrics if both dates are given."""
        async with _read(api, request, heavy=True) as read:
            row = await _existing(read.snapshot, campaign_id)
            return answer_of(
                read, _page(request, (await _assets(read, row["campaign"])).get(asset_type, []), ASSETS_PAGE)
            )

    @router.get("/{campaign_id:id}/reports/metrics", openapi_extra=takes.read_as_hubspot(*takes.HUBSPOT_DATES))
    async def get_metrics(campaign_id: str, request: Request) -> Response:
        """The campaign's metrics in the days from `startDate` to `endDate`: sessions, new contacts by first and last touch, influenced contacts."""
        async with _read(api, request, heavy=True) as read:
            counts = (await _numbers(read, campaign_id, "linear")).counts
            body = {
                "sessions": counts["sessions"], "newContactsFirstTouch": counts["new_contacts_first_touch"],
                "newContactsLastTouch": counts["new_contacts_last_touch"], "influencedContacts": counts["influenced_contacts"],
            }  # fmt: skip
            return answer_of(read, body)

    @router.get(
        "/{campaign_id:id}/reports/revenue",
        openapi_extra=takes.read_as_hubspot(takes.HUBSPOT_MODEL, *takes.HUBSPOT_DATES),
    )
    async def get_revenue(campaign_id: str, request: Request) -> Response:
        """The campaign's revenue: closed deals, the contacts that earned, and the revenue in the workspace's currency, by `attributionModel`."""
        async with _read(api, request, heavy=True) as read:
            model = read.choice("attributionModel", takes.HUBSPOT_MODEL.schema["enum"], "LINEAR").lower()
            assert model in MODELS
            counted, currency = await _numbers(read, campaign_id, model), read.snapshot.settings.currency
            metrics = counted.metrics()
            body = {
                "contactsNumber": counted.counts["contacts_with_attributed_revenue"], "dealsNumber": counted.counts["closed_deals"],
                "dealAmount": _number(metrics["influenced_revenue"], currency),
                "revenueAmount": _number(metrics["attributed_revenue"], currency), "currencyCode": currency,
            }  # fmt: skip
            return answer_of(read, body)

    @router.get(
        "/{campaign_id:id}/reports/contacts/{contact_type:id}",
        openapi_extra=takes.read_as_hubspot(*takes.HUBSPOT_PAGE, *takes.HUBSPOT_DATES),
    )
    async def get_contacts(campaign_id: str, contact_type: str, request: Request) -> Response:
        """The contacts behind a number: `contactFirstTouch`, `contactLastTouch` or `influencedContacts`."""
        async with _read(api, request, heavy=True) as read:
            if contact_type not in CONTACT_TYPES:
                raise Problem(
                    404, "not_found", f"contacts are of {', '.join(CONTACT_TYPES)}, not of {contact_type[:100]!r}"
                )
            campaign = (await _existing(read.snapshot, campaign_id))["campaign"]
            contacts = await contacts_behind(
                read.snapshot, [campaign], CONTACT_TYPES[contact_type], _span(read), "linear"
            )
            return answer_of(read, _page(request, [{"id": row["name"]} for row in contacts], CONTACTS_PAGE))

    @router.get("/{campaign_id:id}/budget/totals", openapi_extra=takes.read_as_hubspot())
    async def get_budget(campaign_id: str, request: Request) -> Response:
        """The budget, and the spend item by item, in the campaign's currency, else the workspace's."""
        async with _read(api, request) as read:
            row = await _existing(read.snapshot, campaign_id)
            return answer_of(read, await _budget(read.snapshot, row))

    return router


@asynccontextmanager
async def _read(api: Api, request: Request, *, heavy: bool = False) -> AsyncIterator[ReadRequest]:
    async with read_request(api, request, heavy=heavy, waits=False) as read:
        yield read


def _sorted_by(name: str, row: Any, updated: Mapping[int, int]) -> Any:
    """The value of a campaign by which a list is sorted: its name, or an instant in microseconds."""
    if name == "hs_name":
        return (row["name"] or row["campaign_id"]).casefold()
    return row["created_us"] if name == "createdAt" else updated[row["campaign"]]


async def _existing(snapshot: Snapshot, campaign_id: str) -> Any:
    """The row of a campaign that is not deleted. Raises a 404 `Problem` for one that is, and `NotFound`."""
    row = await campaign_row(snapshot, campaign_id)
    if row["deleted_us"] is not None:
        raise Problem(404, "not_found", f"campaign {campaign_id!r} was deleted")
    return row


async def _numbers(read: ReadRequest, campaign_id: str, model: str) -> CampaignNumbers:
    await _existing(read.snapshot, campaign_id)
    return await numbers_of_campaign(read.snapshot, campaign_id, _span(read), model)


def _span(read: ReadRequest) -> TimeRange:
    """The days from `startDate` to `endDate`, both included, in the workspace's time zone; to today if there is none.
    Raises a 422 `Problem`.
    """
    zone = read.snapshot.zone
    first = _day(read, "startDate") or FIRST_DAY
    last = _day(read, "endDate") or dt.datetime.now(zone).date()
    if first > last:
        raise Problem(422, "bad_parameter", "`startDate` must not be after `endDate`", field="startDate")
    begins = dt.datetime.combine(first, dt.time(), zone)
    ends = dt.datetime.combine(last + dt.timedelta(days=1), dt.time(), zone)
    return TimeRange(to_micros(begins), to_micros(ends))


def _day(read: ReadRequest, name: str) -> dt.date | None:
    text = read.query.get(name)
    if text is None:
        return None
    try:
        day = dt.date.fromisoformat(text)
        if not dt.date(1900, 1, 1) <= day < dt.date(9999, 1, 1):
            raise ValueError(text)
    except ValueError as error:
        detail = f"`{name}` must be a date such as 2024-01-31, not {text[:100]!r}"
        raise Problem(422, "bad_parameter", detail, field=name) from error
    return day


def _number(amounts: Sequence[Money], currency: str) -> orjson.Fragment:
    """The amount of a currency as a JSON number with all its digits; 0 if there is none."""
    return orjson.Fragment(next((m["amount"] for m in amounts if m["currency"] == currency), "0"))


def _page(request: Request, items: Sequence[Any], limit_default: int) -> dict[str, Any]:
    """A page as HubSpot has it; `after` is how many items the pages before had. Raises a 422 `Problem`."""
    text, after = request.query_params.get("limit", str(limit_default)), request.query_params.get("after", "0")
    if not text.isdecimal() or len(text) > 3 or not 1 <= int(text) <= HUBSPOT_LIMIT_MAX:
        detail = f"`limit` must be from 1 to {HUBSPOT_LIMIT_MAX}, not {text[:20]!r}"
        raise Problem(422, "bad_parameter", detail, field="limit")
    if not after.isdecimal() or len(after) > AFTER_DIGITS_MAX:
        raise Problem(422, "bad_parameter", "`after` is not one that an answer of this service had", field="after")
    end = int(after) + int(text)
    return _with_next(items[int(after) : end], end, len(items), request.url.include_query_params(after=end))


def _with_next(results: Sequence[Any], end: int, count: int, link: Any) -> dict[str, Any]:
    page: dict[str, Any] = {"results": list(results)}
    if end < count:
        page["paging"] = {"next": {"after": str(end), "link": str(link)}}
    return page


async def _campaign(read: ReadRequest, row: Any, updated: int) -> dict[str, Any]:
    return {
        "id": row["campaign_id"], "properties": await _properties(read, row), "createdAt": to_rfc3339(row["created_us"]),
        "updatedAt": to_rfc3339(updated), "businessUnits": [],
    }  # fmt: skip


async def _properties(read: ReadRequest, row: Any) -> dict[str, str]:
    """The properties that are asked for and that the campaign has; none if none are asked for, as HubSpot answers."""
    names = {name for text in read.query.getlist("properties") for name in text.split(",")}
    if not names:
        return {}
    budget = await _budget(read.snapshot, row)
    values = await claimed_values(read.snapshot, [row["campaign"]])
    has = {
        "hs_name": row["name"] or row["campaign_id"], "hs_start_date": row["starts_on"], "hs_end_date": row["ends_on"],
        "hs_notes": row["notes"], "hs_owner": row["owner"], "hs_currency_code": row["currency"], "hs_object_id": row["campaign_id"],
        "hs_utm": next((value["value"] for value in reversed(values.get(row["campaign"], []))), None),
        "hs_budget_items_sum_amount": _text(budget["budgetTotal"]), "hs_spend_items_sum_amount": _text(budget["spendTotal"]),
    }  # fmt: skip
    return {name: str(value) for name, value in has.items() if name in names and value is not None}


def _text(number: orjson.Fragment) -> str:
    return orjson.dumps(number).decode()


async def _budget(snapshot: Snapshot, row: Any) -> dict[str, Any]:
    currency = row["currency"] or snapshot.settings.currency
    items = (await spend_items(snapshot, [row["campaign"]], ALL_TIME)).get(row["campaign"], [])
    spent = [item for item in items if item["amount"]["currency"] == currency]
    budget = Decimal(0) if row["budget_minor"] is None else Decimal(to_amount(row["budget_minor"], currency))
    spend = sum((Decimal(item["amount"]["amount"]) for item in spent), Decimal(0))
    return {
        "currencyCode": currency, "budgetTotal": _decimal(budget), "spendTotal": _decimal(spend),
        "remainingBudget": _decimal(budget - spend),
        "budgetItems": [] if row["budget_minor"] is None else [_item(row["campaign_id"], "budget", budget, 0, row["created_us"])],
        "spendItems": [
            _item(item["event_id"], item["asset_id"] or "", Decimal(item["amount"]["amount"]), n, _noon_us(snapshot, item["on"]))
            for n, item in enumerate(spent)
        ],
    }  # fmt: skip


def _decimal(number: Decimal) -> orjson.Fragment:
    return orjson.Fragment(f"{number:f}")


def _noon_us(snapshot: Snapshot, day: dt.date) -> int:
    return to_micros(dt.datetime.combine(day, dt.time(12), snapshot.zone))


def _item(id_: str, name: str, amount: Decimal, order: int, at_us: int) -> dict[str, Any]:
    milliseconds = at_us // 1000
    return {
        "id": id_, "name": name, "amount": _decimal(amount), "order": order, "description": "", "createdAt": milliseconds,
        "updatedAt": milliseconds,
    }  # fmt: skip


def hubspot_type(asset_type: str | None) -> str:
    """HubSpot's name of an asset type; of one that HubSpot does not have, ours in capital letters."""
    for name, kind in asset_types().items():
        if kind.type == asset_type:
            return name
    return (asset_type or "external").upper()


async def _assets(read: ReadRequest, campaign: int) -> Mapping[str, list[dict[str, Any]]]:
    """The assets that a campaign holds now, by HubSpot's type, each with its metrics if both dates are given."""
    held = {key: row for key, row in (await held_assets(read.snapshot, campaign)).items() if row["to_us"] == END_US}
    dated = "startDate" in read.query and "endDate" in read.query
    span = _span(read)
    sections = (
        asset_sections(campaign, held, await asset_histories(read.snapshot, held, span, contacts=False))
        if dated
        else {}
    )
    out: dict[str, list[dict[str, Any]]] = {}
    for key, row in sorted(held.items(), key=lambda found: found[1]["asset_id"]):
        kind = hubspot_type(row["asset_type"])
        asset: dict[str, Any] = {"id": row["asset_id"].removeprefix(f"{row['asset_type']}-")}
        if row["name"] is not None:
            asset["name"] = row["name"]
        if dated:
            asset["metrics"] = _metrics(sections.get(key, AssetSection()))
        out.setdefault(kind, []).append(asset)
    return out


def _metrics(section: AssetSection) -> dict[str, int]:
    out: dict[str, int] = {}
    for type_, number in section.statistics.items():
        if (name := METRICS.get(type_)) is not None:
            out[name] = out.get(name, 0) + number
    return out
