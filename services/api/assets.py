"""`/v1/assets`, and `/v1/campaigns/{id}/assets`: each asset with its own statistics, whoever held it (rule **reassociation**)."""

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from fastapi import APIRouter, Request, Response

from services.api import parameters as takes
from services.api.requests import Api, ReadRequest, answer, read_request
from shared.events.instants import END_US, to_rfc3339
from shared.events.types import AssetType
from shared.reading.asset_histories import AssetHistory, asset_histories
from shared.reading.asset_list import (
    ASSET_ORDERS,
    AssetDeals,
    AssetFilter,
    Seen,
    all_assets,
    asset_row,
    assets_page,
    days_of_asset,
    deals_of_assets,
    held_of_asset,
    holders_of,
    seen_assets,
)
from shared.reading.assets import AssetSection, asset_sections, held_assets, hidden_reasons
from shared.reading.campaigns import campaign_row
from shared.reading.deal_list import DEAL_ORDERS, DealFilter, deals_page
from shared.reading.deals import as_answered
from shared.reading.described_touches import named_contacts
from shared.reading.drilldown_assets import REACHED_ORDER, contacts_influenced, deals_influenced, touches_of_asset
from shared.reading.drilldown_touches import TOUCH_ORDER, TYPES, wanted
from shared.reading.overview import money_by_currency
from shared.reading.touch_items import touch_items


def routes(api: Api) -> APIRouter:
    """The routes of this file."""
    router = APIRouter()

    @router.get(
        "/v1/assets",
        tags=["assets"],
        openapi_extra=takes.read(
            takes.ASSET_TYPE,
            takes.ASSETS_WITH,
            takes.ABOUT_CAMPAIGN,
            takes.UNHELD,
            takes.ASSET_SORT,
            *takes.RANGE,
            *takes.PAGE,
        ),
    )
    async def list_assets(request: Request) -> Response:
        """The assets that are registered or were ever held; with `campaign`, only those that it holds or held.

        `touches` are those in the range that count, whoever held the asset; `statistics` has them by type.
        """
        async with read_request(api, request, heavy=True) as read:
            sort = read.choice("sort", takes.ASSET_SORT.schema["enum"], "name")
            campaign_id = read.query.get("campaign")
            wanted = AssetFilter(
                read.chosen("type", get_args(AssetType)), read.query.get("q", ""),
                None if campaign_id is None else (await campaign_row(read.snapshot, campaign_id))["campaign"], read.flag("unheld"),
            )  # fmt: skip
            if sort in ASSET_ORDERS:
                after = read.after_key(ASSET_ORDERS[sort])
                page = read.page_of(*await assets_page(read.snapshot, wanted, sort, after, read.limit + 1))
                touches = await _touches(read, page["items"])
            else:
                page, touches = await _by_touches(read, wanted, sort)
            shown = [row["asset"] for row in page["items"]]
            holders, seen = await holders_of(read.snapshot, shown), await seen_assets(read.snapshot, shown, read.range)
            items = [
                _list_item(r, touches[r["asset"]], holders[r["asset"]], seen.get(r["asset"])) for r in page["items"]
            ]
            return answer(read, {**page, "items": items, **read.range.as_json()})

    @router.get("/v1/assets/{asset_id:id}", tags=["assets"], openapi_extra=takes.read(*takes.RANGE))
    async def get_asset(asset_id: str, request: Request) -> Response:
        """An asset and its history: who held it when, its touches a day by the campaign that they count for, and whom it influenced.

        A day is of the workspace's time zone. A touch that counts for several campaigns is in the days of each.
        """
        async with read_request(api, request, heavy=True) as read:
            row = await asset_row(read.snapshot, asset_id)
            asset = row["asset"]
            history = (await asset_histories(read.snapshot, [asset], read.range))[asset]
            holders = await holders_of(read.snapshot, [asset])
            deals = (await deals_of_assets(read.snapshot, [asset], read.range))[asset]
            seen = (await seen_assets(read.snapshot, [asset], read.range)).get(asset)
            body = {
                **_list_item(row, history.touches(), holders[asset], seen), "held": await held_of_asset(read.snapshot, asset),
                "days": await days_of_asset(read.snapshot, asset, read.range, seen), "results": _results_json(history, deals),
            }  # fmt: skip
            return answer(read, {**body, **read.range.as_json()})

    @router.get(
        "/v1/campaigns/{campaign_id:id}/assets",
        tags=["campaigns"],
        openapi_extra=takes.read(takes.ASSET_TYPE, *takes.RANGE, *takes.PAGE),
    )
    async def get_assets(campaign_id: str, request: Request) -> Response:
        """Each asset with its own statistics; former ones if they kept something; hidden ones with their reason."""
        async with read_request(api, request, heavy=True) as read:
            campaign = await campaign_row(read.snapshot, campaign_id)
            held = await held_assets(read.snapshot, campaign["campaign"])
            wanted = read.chosen("type", get_args(AssetType))
            held = {key: row for key, row in held.items() if wanted in (None, row["asset_type"])}
            histories = await asset_histories(read.snapshot, held, read.range)
            sections = asset_sections(campaign["campaign"], held, histories)
            hidden = await hidden_reasons(read.snapshot, campaign, held)
            deals = await deals_of_assets(read.snapshot, held, read.range)
            items, keys = [], []
            for key, row in sorted(held.items(), key=lambda h: (h[1]["asset_type"] or "", h[1]["asset_id"])):
                former = row["to_us"] != END_US
                section = sections.get(key, AssetSection())
                if former and not section.statistics:
                    continue
                item = _item(row, section, former, None if former else hidden.get(key))
                items.append({**item, "results": _results_json(histories[key], deals[key])})
                keys.append([row["asset_type"] or "", row["asset_id"]])
            return answer(read, {**read.page(items, keys), **read.range.as_json()})

    _add_influenced(router, api)
    return router


def _add_influenced(router: APIRouter, api: Api) -> None:
    """The routes of what happened to an asset, and of whom it influenced."""

    @router.get(
        "/v1/assets/{asset_id:id}/touches",
        tags=["assets"],
        openapi_extra=takes.read(takes.TOUCH_TYPE, *takes.RANGE, *takes.PAGE),
    )
    async def get_touches(asset_id: str, request: Request) -> Response:
        """The touches of the asset that count, in order, whoever held it; each with the campaigns that it counts for.

        `touches` of all items add up to the asset's number, and those of a `type` to its number in `statistics`.
        """
        async with read_request(api, request, heavy=True) as read:
            type_ = read.chosen("type", TYPES)
            asset, after = (await asset_row(read.snapshot, asset_id))["asset"], read.after_key(TOUCH_ORDER)
            of = wanted(None, type_, None).types
            rows = await touches_of_asset(read.snapshot, asset, of, read.range, after, read.limit + 1)
            page = read.page_of(rows, [[row["occurred_at_us"], row["event_id"]] for row in rows])
            items = await touch_items(read.snapshot, page["items"])
            return answer(read, {**page, "items": items, "type": type_, **read.range.as_json()})

    @router.get(
        "/v1/assets/{asset_id:id}/contacts", tags=["assets"], openapi_extra=takes.read(*takes.RANGE, *takes.PAGE)
    )
    async def get_contacts(asset_id: str, request: Request) -> Response:
        """The contacts whom the asset influenced, whoever held it, by its first touch of each (`at`)."""
        async with read_request(api, request, heavy=True) as read:
            asset = (await asset_row(read.snapshot, asset_id))["asset"]
            seen = (await seen_assets(read.snapshot, [asset], read.range)).get(asset)
            after = read.after_key(REACHED_ORDER)
            keys = await contacts_influenced(read.snapshot, asset, read.range, seen, after, read.limit + 1)
            page = read.page_of(keys, keys)
            who = await named_contacts(read.snapshot, [contact for _, contact in page["items"]])
            items = [
                {"contact": who[contact].name, "name": who[contact].called, "email": who[contact].email, "at": to_rfc3339(at_us)}
                for at_us, contact in page["items"]
            ]  # fmt: skip
            return answer(read, {**page, "items": items, **read.range.as_json()})

    @router.get("/v1/assets/{asset_id:id}/deals", tags=["assets"], openapi_extra=takes.read(*takes.RANGE, *takes.PAGE))
    async def get_deals(asset_id: str, request: Request) -> Response:
        """The open and won deals that the asset influenced, whoever held it, the latest close first (open ones: creation)."""
        async with read_request(api, request, heavy=True) as read:
            asset = (await asset_row(read.snapshot, asset_id))["asset"]
            among = await deals_influenced(read.snapshot, asset, read.range)
            order = "-closed_at"
            wanted = DealFilter(None, "", read.range, among)
            after = read.after_key(DEAL_ORDERS[order])
            rows, keys = await deals_page(read.snapshot, wanted, order, after, read.limit + 1)
            page = read.page_of([as_answered(row) for row in rows], keys)
            return answer(read, {**page, **read.range.as_json()})


def _item(row: Any, section: AssetSection, former: bool, hidden: str | None) -> dict[str, Any]:
    return {
        "asset_id": row["asset_id"], "asset_type": row["asset_type"], "name": row["name"],
        "network": row["network"], "ad_type": row["ad_type"],
        "associated_at": to_rfc3339(row["from_us"]), "held_until": to_rfc3339(row["to_us"]) if former else None,
        "former": former, "visible": not former and hidden is None, "hidden_reason": hidden,
        "statistics": dict(section.statistics), "contacts": section.contacts(),
        "not_shown": section.not_shown,
    }  # fmt: skip


async def _touches(read: ReadRequest, rows: Sequence[Any]) -> dict[int, dict[str, int]]:
    """The touches of assets (their rows) in the range by event type, by the asset's key."""
    assets = [row["asset"] for row in rows]
    histories = await asset_histories(read.snapshot, assets, read.range, contacts=False, by_holders=False)
    return {asset: history.touches() for asset, history in histories.items()}


async def _by_touches(
    read: ReadRequest, wanted: AssetFilter, sort: str
) -> tuple[dict[str, Any], dict[int, dict[str, int]]]:
    """A page of the assets in the order of their touches, and the touches of all."""
    rows = await all_assets(read.snapshot, wanted)
    touches = await _touches(read, rows)
    name, sign = sort.removeprefix("-"), -1 if sort.startswith("-") else 1
    keyed = sorted(
        (([sign * _number(touches[row["asset"]], name), row["asset_id"]], row) for row in rows),
        key=lambda pair: pair[0],
    )
    return read.page([row for _, row in keyed], [key for key, _ in keyed]), touches


def _number(touches: Mapping[str, int], name: str) -> int:
    return sum(touches.values()) if name == "touches" else touches.get(name, 0)


def _list_item(row: Any, touches: Mapping[str, int], holders: Sequence[Any], seen: Seen | None) -> dict[str, Any]:
    held = [h["campaign_id"] for h in holders if h["to_us"] == END_US]
    first_seen, last_seen = (None, None) if seen is None else map(to_rfc3339, seen)
    return {
        "asset_id": row["asset_id"], "asset_type": row["asset_type"], "name": row["name"], "url": row["url"],
        "target_url": row["target_url"], "network": row["network"], "ad_type": row["ad_type"],
        "campaign": held[0] if len(held) == 1 else None, "campaigns": held,
        "touches": sum(touches.values()), "statistics": touches, "first_seen": first_seen, "last_seen": last_seen,
    }  # fmt: skip


def _results_json(history: AssetHistory, deals: AssetDeals) -> dict[str, Any]:
    return {
        "influenced_contacts": history.influenced,
        "influenced_deals": deals.deals,
        "influenced_revenue": money_by_currency(deals.revenue_minor),
    }
