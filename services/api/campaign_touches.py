"""`/v1/campaigns/{id}/touches` and `…/sessions`: what is behind the numbers of a campaign that count touches and sessions."""

from typing import Any

from fastapi import APIRouter, Request, Response

from services.api import parameters as takes
from services.api.requests import Api, answer, read_request
from shared.events.instants import to_rfc3339
from shared.reading.campaigns import campaign_row
from shared.reading.drilldown_touches import (
    SESSION_METRICS,
    SESSION_ORDER,
    TOUCH_ORDER,
    TYPE_OF_METRIC,
    TYPES,
    TouchBehind,
    sessions_behind,
    touches_behind,
    wanted,
    with_their_reasons,
)
from shared.reading.touches import session_name, traffic_source_fields
from shared.rules.first_and_last_touch import FIRST_TOUCH_ROUTES
from shared.rules.influence import TouchType
from shared.rules.pre_association import KeptOut


def routes(api: Api) -> APIRouter:
    """The routes of this file."""
    router = APIRouter(prefix="/v1/campaigns", tags=["campaigns"])

    @router.get(
        "/{campaign_id:id}/touches",
        openapi_extra=takes.read(takes.TOUCH_METRIC, takes.TOUCH_TYPE, takes.REASON, *takes.RANGE, *takes.PAGE),
    )
    async def get_touches(campaign_id: str, request: Request) -> Response:
        """The touches behind a number, each with the asset or utm value by which it is the campaign's, and since which event.

        Without `reason`, those that count; their `touches` add up to the number. With it, the influencing ones that are kept out for this
        reason; theirs add up to `excluded`.
        """
        async with read_request(api, request, heavy=True) as read:
            metric, type_ = read.chosen("metric", tuple(TYPE_OF_METRIC)), read.chosen("type", TYPES)
            reason = read.chosen("reason", tuple(map(str, KeptOut)))
            campaign = (await campaign_row(read.snapshot, campaign_id))["campaign"]
            of, after = wanted(metric, type_, reason), read.after_key(TOUCH_ORDER)
            rows = await touches_behind(read.snapshot, campaign, of, read.range, after, read.limit + 1)
            page = read.page_of(rows, [[r["occurred_at_us"], r["event_id"]] for r in rows])
            touches = await with_their_reasons(read.snapshot, (campaign, campaign_id), page["items"])
            items = [_touch(one) for one in touches]
            filters = {"metric": metric, "type": type_, "reason": reason, **read.range.as_json()}
            return answer(read, {**page, "items": items, **filters})

    @router.get("/{campaign_id:id}/sessions", openapi_extra=takes.read(takes.SESSION_METRIC, *takes.RANGE, *takes.PAGE))
    async def get_sessions(campaign_id: str, request: Request) -> Response:
        """The sessions behind a number, each with its first page visit that counts for the campaign, and what makes that so."""
        async with read_request(api, request, heavy=True) as read:
            metric = read.choice("metric", SESSION_METRICS, "sessions")
            campaign = (await campaign_row(read.snapshot, campaign_id))["campaign"]
            after = read.after_key(SESSION_ORDER)
            rows = await sessions_behind(read.snapshot, campaign, metric, read.range, after, read.limit + 1)
            page = read.page_of(rows, [[r["session_at_us"], r["session"]] for r in rows])
            rows = page["items"]
            touches = await with_their_reasons(read.snapshot, (campaign, campaign_id), rows, FIRST_TOUCH_ROUTES)
            items = [
                {"session": session_name(r["session"]), "at": to_rfc3339(r["session_at_us"]), "new": r["session_is_new"],
                 "page_views": r["page_views"], "event_id": r["event_id"], **_touch_as_json(one)}
                for r, one in zip(rows, touches, strict=True)
            ]  # fmt: skip
            return answer(read, {**page, "items": items, "metric": metric, **read.range.as_json()})

    return router


def _touch(one: TouchBehind) -> dict[str, Any]:
    row = one.row
    return {
        "event_id": row["event_id"], "type": TouchType(row["type"]).wire, "occurred_at": to_rfc3339(row["occurred_at_us"]),
        "touches": row["count"], "session": session_name(row["session"]), **_touch_as_json(one),
    }  # fmt: skip


def _touch_as_json(one: TouchBehind) -> dict[str, Any]:
    """Who touched what, what brought the touch, and what makes it the campaign's."""
    who, asset = one.contact, one.asset
    return {
        "contact": None if who is None else who.name, "name": None if who is None else who.called,
        "asset_id": asset.asset_id if asset else None, "asset_type": asset.asset_type if asset else None,
        "asset_name": asset.name if asset else None, "via_asset_id": one.via_asset_id, "url": one.row["url"], "utm_campaign": one.utm_campaign,
        **traffic_source_fields(one.source), "through": one.through.name.lower(), "deciding_event": one.deciding_event,
    }  # fmt: skip
