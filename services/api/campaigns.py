"""`/v1/campaigns`: the campaigns, their numbers, and the contacts and deals behind a number."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from fastapi import APIRouter, Request, Response

from services.api import parameters as takes
from services.api.requests import Api, ReadRequest, answer, read_request
from shared.events.instants import END_US, to_rfc3339
from shared.events.money import to_money
from shared.reading.campaign_deals import earned_of_deals
from shared.reading.campaigns import (
    CAMPAIGN_ORDERS,
    associations,
    campaign_row,
    campaigns_page,
    campaigns_with,
    claimed_values,
    goals_of,
    refusals,
    spent_minor,
)
from shared.reading.described_touches import named_contacts
from shared.reading.drilldown import CONTACT_ORDER, DEAL_ORDER, contacts_behind, deals_behind
from shared.reading.intervals import INTERVALS
from shared.reading.overview import (
    CONTACT_METRICS,
    DEAL_METRICS,
    METRICS,
    CampaignNumbers,
    begins_with_touches,
    metric_of_ranges,
    money_by_currency,
    numbers_and_series,
    numbers_of_ranges,
    settled_through,
)
from shared.reading.time_range import TimeRange


def routes(api: Api) -> APIRouter:
    """The routes of this file."""
    router = APIRouter(prefix="/v1/campaigns", tags=["campaigns"])

    @router.get(
        "",
        openapi_extra=takes.read(
            takes.QUERY,
            takes.NUMBERS,
            *takes.RANGE,
            takes.MODEL,
            takes.SORT,
            takes.SERIES,
            takes.INTERVAL,
            takes.COMPARE,
            *takes.PAGE,
        ),
    )
    async def list_campaigns(request: Request) -> Response:
        """Every campaign with its headline metrics; `q` searches id, name and utm values. With `numbers=false`, names and dates alone."""
        async with read_request(api, request, heavy=request.query_params.get("numbers") != "false") as read:
            if not read.flag("numbers", default=True):
                page = await _page_by_text(read)
                values = await claimed_values(read.snapshot, [r["campaign"] for r in page["items"]])
                goals = await goals_of(read.snapshot, page["items"])
                named = [
                    {**campaign_json(r, goals), "utm_campaign": values.get(r["campaign"], [])} for r in page["items"]
                ]
                return answer(read, {**page, "items": named})
            found = await _page_of_campaigns(read)
            keys = [r["campaign"] for r in found.rows]
            compared = await _compare(read, found.other)
            values = await claimed_values(read.snapshot, keys)
            goals = await goals_of(read.snapshot, found.rows)
            items = [
                {**campaign_json(r, goals), "utm_campaign": values.get(r["campaign"], []), **_numbers(found.counted, r["campaign"]),
                 **found.series.get(r["campaign"], {}), **compared(r["campaign"])} for r in found.rows
            ]  # fmt: skip
            return answer(read, {**found.page, "items": items, **read.range.as_json(), "model": read.model})

    @router.get("/{campaign_id:id}", openapi_extra=takes.read())
    async def get_campaign(campaign_id: str, request: Request) -> Response:
        """The campaign and its association history."""
        async with read_request(api, request) as read:
            row = await campaign_row(read.snapshot, campaign_id)
            held = [
                {"asset_id": a["asset_id"], "asset_type": a["asset_type"], "name": a["name"],
                 "from": to_rfc3339(a["from_us"]), "to": None if a["to_us"] == END_US else to_rfc3339(a["to_us"]),
                 "event_id": a["event_id"]} for a in await associations(read.snapshot, row["campaign"])
            ]  # fmt: skip
            values = await claimed_values(read.snapshot, [row["campaign"]])
            body = {
                **campaign_json(row, await goals_of(read.snapshot, [row])), "utm_campaign": values.get(row["campaign"], []),
                "deleted_by": row["deleted_event"],
                "spent": money_by_currency(await spent_minor(read.snapshot, row["campaign"])), "associations": held,
            }  # fmt: skip
            return answer(read, body)

    @router.get("/{campaign_id:id}/overview", openapi_extra=takes.read(*takes.RANGE, takes.MODEL, takes.COMPARE))
    async def get_overview(campaign_id: str, request: Request) -> Response:
        """Every metric of the campaign, and what was kept out of them, by reason."""
        async with read_request(api, request, heavy=True, log_end=True) as read:
            model, span, other = read.model, read.range, read.compared
            row = await campaign_row(read.snapshot, campaign_id)
            spans = [span] if other is None else [span, other]
            counted, *others = await numbers_of_ranges(read.snapshot, {row["campaign"]: campaign_id}, spans, model)
            goals = await goals_of(read.snapshot, [row])
            compared = await _compare(read, others[0] if others else None)
            body = {
                "campaign_id": campaign_id, **span.as_json(), "model": model, **_numbers(counted, row["campaign"]),
                "goals": goals[row["campaign"]],
                "settled_through": await settled_through(read.snapshot, read.log_end_offset),
                **compared(row["campaign"]),
            }  # fmt: skip
            return answer(read, body)

    @router.get(
        "/{campaign_id:id}/timeline",
        openapi_extra=takes.read(takes.METRIC, takes.INTERVAL, *takes.RANGE, takes.MODEL),
    )
    async def get_timeline(campaign_id: str, request: Request) -> Response:
        """One metric of the campaign in each hour, day, week or month of a range."""
        async with read_request(api, request, heavy=True) as read:
            metric, model = read.choice("metric", METRICS, "sessions"), read.model
            row = await campaign_row(read.snapshot, campaign_id)
            spans = read.intervals()
            values_by_campaign = await metric_of_ranges(
                read.snapshot, {row["campaign"]: campaign_id}, spans, metric, model
            )
            points = [
                {**span.as_json(), "value": value}
                for span, value in zip(spans, values_by_campaign[row["campaign"]], strict=True)
            ]
            interval = read.choice("interval", INTERVALS, "day")
            return answer(read, {"interval": interval, "metric": metric, "model": model, "points": points})

    @router.get("/{campaign_id:id}/refusals", openapi_extra=takes.read(*takes.PAGE))
    async def get_refusals(campaign_id: str, request: Request) -> Response:
        """The associations that the campaign was refused, in order, each with the reason (rules **interval**, **limit**)."""
        async with read_request(api, request) as read:
            row = await campaign_row(read.snapshot, campaign_id)
            rows = await refusals(read.snapshot, row["campaign"])
            items = [
                {"asset_id": r["asset_id"], "asset_type": r["asset_type"], "name": r["name"],
                 "occurred_at": to_rfc3339(r["occurred_at_us"]), "event_id": r["event_id"], "reason": r["reason"]}
                for r in rows
            ]  # fmt: skip
            return answer(read, read.page(items, [[r["occurred_at_us"], r["event_id"]] for r in rows]))

    _add_lists(router, api)
    return router


def _add_lists(router: APIRouter, api: Api) -> None:
    """Add the lists of what is behind a number."""

    @router.get(
        "/{campaign_id:id}/contacts",
        openapi_extra=takes.read(takes.CONTACT_METRIC, takes.MODEL, *takes.RANGE, *takes.PAGE),
    )
    async def get_contacts(campaign_id: str, request: Request) -> Response:
        """The contacts behind a number."""
        async with read_request(api, request, heavy=True) as read:
            metric = read.choice("metric", CONTACT_METRICS, "influenced_contacts")
            campaign = (await campaign_row(read.snapshot, campaign_id))["campaign"]
            rows = await contacts_behind(
                read.snapshot, [campaign], metric, read.range, read.model, read.after_key(CONTACT_ORDER), read.limit + 1
            )
            page = read.page_of(rows, [[r["at_us"], r["name"], r["contact"]] for r in rows])
            who = await named_contacts(read.snapshot, [r["contact"] for r in page["items"]])
            items = [
                {"contact": r["name"], "name": who[r["contact"]].called, "email": who[r["contact"]].email,
                 "at": to_rfc3339(r["at_us"]), "deciding_event": r["deciding_event"]} for r in page["items"]
            ]  # fmt: skip
            return answer(read, {**page, "items": items, "metric": metric})

    @router.get(
        "/{campaign_id:id}/deals",
        openapi_extra=takes.read(takes.DEAL_METRIC, takes.MODEL, *takes.RANGE, *takes.PAGE),
    )
    async def get_deals(campaign_id: str, request: Request) -> Response:
        """The deals behind a number, with the campaign's share of each."""
        async with read_request(api, request, heavy=True) as read:
            metric = read.choice("metric", DEAL_METRICS, "influenced_deals")
            model, snapshot = read.model, read.snapshot
            campaign = (await campaign_row(snapshot, campaign_id))["campaign"]
            after = read.after_key(DEAL_ORDER)
            rows = await deals_behind(snapshot, [campaign], metric, read.range, after, read.limit + 1)
            page = read.page_of(rows, [[r["dated_us"], r["deal_id"]] for r in rows])
            rows = page["items"]
            paid = await earned_of_deals(
                snapshot, (campaign, campaign_id), [r["deal"] for r in rows], read.range, model
            )
            items = [_deal_item(r, paid.get(r["deal"])) for r in rows]
            return answer(read, {**page, "items": items, "metric": metric, "model": model})


class _Page(NamedTuple):
    """A page of campaigns: their rows, the page's body, their numbers by key in the range and in the one to compare with, and `series`."""

    rows: list[Any]
    page: dict[str, Any]
    counted: dict[int, CampaignNumbers]
    other: dict[int, CampaignNumbers] | None
    series: dict[int, dict[str, Any]]


async def _page_of_campaigns(read: ReadRequest) -> _Page:
    """The page that is asked for. Where its order depends on numbers, those of all campaigns are counted, and no others again."""
    sort, model, other = read.choice("sort", takes.SORT.schema["enum"], "campaign_id"), read.model, read.compared
    by, down = sort.removeprefix("-"), sort.startswith("-")
    spans = [read.range] if other is None else [read.range, other]

    metric, points = (read.choice("series", METRICS), read.intervals()) if "series" in read.query else (None, [])

    if by in METRICS:
        rows = await campaigns_with(read.snapshot, read.query.get("q", ""))
        counted, *others = await numbers_of_ranges(read.snapshot, _ids(rows), spans, model)
        currency, sign = read.snapshot.settings.currency, -1 if down else 1
        keyed = sorted(
            ([sign * counted[r["campaign"]].minor(by, currency), r["campaign_id"]], n) for n, r in enumerate(rows)
        )
        page = read.page([rows[n] for _, n in keyed], [key for key, _ in keyed])
        values = (
            {}
            if metric is None or not page["items"]
            else await metric_of_ranges(read.snapshot, _ids(page["items"]), points, metric, model)
        )
    else:
        page = await _page_by_text(read, sort)
        (counted, *others), values = await numbers_and_series(
            read.snapshot, _ids(page["items"]), spans, model, points, metric
        )
    return _Page(page["items"], page, counted, others[0] if others else None, _series(points, values))


def _ids(rows: list[Any]) -> dict[int, str]:
    return {row["campaign"]: row["campaign_id"] for row in rows}


async def _page_by_text(read: ReadRequest, sort: str = "campaign_id") -> dict[str, Any]:
    """A page in an order of `CAMPAIGN_ORDERS` of the campaigns that the request searches."""
    after = read.after_key(CAMPAIGN_ORDERS[sort])
    return read.page_of(*await campaigns_page(read.snapshot, read.query.get("q", ""), sort, after, read.limit + 1))


def _series(points: list[TimeRange], values: Mapping[int, list[Any]]) -> dict[int, dict[str, Any]]:
    """What the parameter `series` asks for, by campaign; nothing without it."""
    return {
        key: {
            "series": [
                {"from": span.as_json()["from"], "value": value} for span, value in zip(points, some, strict=True)
            ]
        }
        for key, some in values.items()
    }


def _numbers(counted: Mapping[int, CampaignNumbers], campaign: int) -> dict[str, Any]:
    one = counted[campaign]
    return {"metrics": one.metrics(), "touches": one.touches, "excluded": one.excluded}


async def _compare(read: ReadRequest, counted: Mapping[int, CampaignNumbers] | None) -> Callable[[int], dict[str, Any]]:
    """The numbers of a campaign, by its key, in the range to compare with; empty without such a range."""
    span = read.compared
    if span is None or counted is None:
        return lambda _: {}
    complete = await begins_with_touches(read.snapshot, span)
    return lambda campaign: {
        "compare": {**span.as_json(), "complete": complete, "metrics": counted[campaign].metrics()}
    }


def campaign_json(row: Any, goals: Mapping[int, Any]) -> dict[str, Any]:
    """The fields of a campaign, from its row and the goals of campaigns by key, as answers have them."""
    budget = row["budget_minor"]
    return {
        "campaign_id": row["campaign_id"], "name": row["name"],
        "starts_on": row["starts_on"], "ends_on": row["ends_on"], "owner": row["owner"], "notes": row["notes"],
        "budget": None if budget is None else to_money(budget, row["currency"]),
        "goals": goals[row["campaign"]],
        "created_at": to_rfc3339(row["created_us"]),
        "deleted_at": None if row["deleted_us"] is None else to_rfc3339(row["deleted_us"]),
    }  # fmt: skip


def _deal_item(deal: Any, share: int | None) -> dict[str, Any]:
    amount, currency = deal["amount_minor"], deal["currency"]
    return {
        "deal_id": deal["deal_id"], "name": deal["name"], "state": deal["state"],
        "created_at": to_rfc3339(deal["created_us"]),
        "closed_at": None if deal["closed_us"] is None else to_rfc3339(deal["closed_us"]),
        "amount": None if amount is None else to_money(amount, currency),
        "share": None if share is None else to_money(share, currency),
    }  # fmt: skip
