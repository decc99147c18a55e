"""`GET /v1/p.gif`: the page-visit pixel. It always answers its picture, whatever was wrong."""

import base64
import time
from typing import TYPE_CHECKING

import structlog
from fastapi import APIRouter, Request, Response

from services.ingest import metrics
from services.ingest.events import append
from services.ingest.refused import keep
from shared.access.keys import Access
from shared.database import AWAY, told
from shared.events.codec import Refusal, accept, encode_event
from shared.events.types import PageVisited
from shared.log.port import LogUnavailable
from shared.web.access import key_of

if TYPE_CHECKING:
    from services.ingest.app import Ingest

GIF = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAICRAEAOw==")
NO_STORE = {"Cache-Control": "no-store, private", "Cross-Origin-Resource-Policy": "cross-origin"}

logger = structlog.stdlib.get_logger("touchline.ingest")


def routes(ingest: "Ingest") -> APIRouter:
    """The route of this file."""
    router = APIRouter()

    @router.get("/v1/p.gif", tags=["ingest"], response_class=Response)
    async def pixel(request: Request) -> Response:
        """Record a page visit: `k` collect key, `t=page`, `v` visitor, `u` URL, `r` referrer."""
        try:
            await _record(ingest, request)
        except (LogUnavailable, *AWAY) as error:
            metrics.EVENTS.labels("lost").inc()
            logger.warning("a page visit is lost", error=told(error))
        return Response(GIF, media_type="image/gif", headers=NO_STORE)

    return router


async def _record(ingest: "Ingest", request: Request) -> None:
    key = key_of(request)
    access = await ingest.keys.find(key, time.monotonic()) if key else None
    if access is None or access.scope != "collect":
        logger.info("pixel without a valid collect key")
        return
    sent = request.query_params
    if sent.get("t", "page") != "page":
        await _refuse(ingest, access, request, Refusal(0, None, "bad_value", "t", "this pixel records `page`"))
        return
    event = PageVisited(
        visitor_id=sent.get("v", ""), url=sent.get("u", "") or request.headers.get("referer", ""),
        referrer=sent.get("r") or None,
    )  # fmt: skip
    nobody = await ingest.words.of(access.workspace, time.monotonic())
    now_us, user_agent = time.time_ns() // 1000, request.headers.get("user-agent")
    outcome = accept(encode_event(event), 0, "collect", now_us, user_agent, access.hint, nobody=nobody)
    if isinstance(outcome, Refusal):
        await _refuse(ingest, access, request, outcome)
        return
    await append(ingest, access.workspace, [outcome])


async def _refuse(ingest: "Ingest", access: Access, request: Request, refusal: Refusal) -> None:
    body = str(request.url.query).encode()
    await keep(ingest.pool, access, [(refusal, body)], request.headers.get("user-agent"))
