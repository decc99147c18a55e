"""`GET /v1/p.gif`: the pixel that records page visits. It answers with its picture even if the visit is refused or lost."""

import base64
import time

import structlog
from fastapi import APIRouter, Request, Response

from services.ingest import metrics
from services.ingest.browsers import check_origin, note_invalid, origin_of
from services.ingest.contact_tokens import by_token
from services.ingest.events import append, count
from services.ingest.ingest import Ingest
from services.ingest.refused import keep
from shared.access.keys import Access
from shared.database import AWAY, error_text
from shared.events.codec import Record, Refusal, encode_event
from shared.events.types import PageVisited
from shared.log.port import LogUnavailable
from shared.rules.acceptance import accept
from shared.store.browser_notices import Kind
from shared.web.access import IN_URL, IN_URL_SAYS, key_of
from shared.web.direct import Direct
from shared.web.head import is_head
from shared.web.parameters import Parameter, declared
from shared.web.problems import Problem

PRODUCER = "pixel"
GIF = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAICRAEAOw==")
LOST = "unavailable"  # the code by which a lost visit is counted; a browser does not ask for the picture again
NO_STORE = {"Cache-Control": "no-store, private", "Cross-Origin-Resource-Policy": "cross-origin"}

NOTES: dict[str, Kind] = {"waiting": "consent_awaited", "blocked": "blocked_by_policy"}
"""What the tracker says instead of a visit, by `t`. No event becomes of it."""

logger = structlog.stdlib.get_logger("touchline.ingest")


PARAMETERS = (
    Parameter(IN_URL, "the collect key", required=True),
    Parameter(
        "t", "what happened: a page visit, an opened e-mail, or why the tracker on the page sends nothing",
        {"type": "string", "enum": ["page", "open", *NOTES]},
    ),
    Parameter("v", "the visitor's id; absent: a page view of nobody"), Parameter("u", "the page's URL; absent: the `Referer`"),
    Parameter("r", "the page's referrer"), Parameter("a", "the e-mail that was opened"),
    Parameter("c", "a contact's token: who opened the e-mail, or visits the page"),
)  # fmt: skip


class SecretInUrl(Exception):
    """The URL of a pixel holds a secret key, which everybody who sees the page can read."""


def routes(ingest: Ingest) -> APIRouter:
    """The route of this file."""
    router = APIRouter(route_class=Direct)

    @router.get("/v1/p.gif", tags=["ingest"], response_class=Response, openapi_extra=declared(*PARAMETERS))
    async def pixel(request: Request) -> Response:
        """Record a page visit, or that an e-mail was opened.

        The answer is always the picture; its header `Touchline-Refused` tells if the URL held a secret key, or one that is not for
        pages of this origin.
        """
        headers = NO_STORE
        try:
            if not is_head(request):
                await _record(ingest, request)
        except SecretInUrl:
            headers = NO_STORE | {"Touchline-Refused": f"key_in_url; {IN_URL_SAYS}"}
        except Problem as problem:
            headers = NO_STORE | {"Touchline-Refused": problem.code}
        except (LogUnavailable, *AWAY) as error:
            metrics.EVENTS.labels("lost").inc()
            logger.warning("a page visit is lost", error=error_text(error))
        return Response(GIF, media_type="image/gif", headers=headers)

    return router


async def _record(ingest: Ingest, request: Request) -> None:
    """Append the visit that the request's parameters tell, or keep it as a dead letter. Without a collect key, nothing is kept.

    Raises `SecretInUrl`, a `Problem` if pages of this origin may not use the key, and `LogUnavailable` or one of `AWAY` if the visit is
    lost.
    """
    key = request.query_params.get(IN_URL) or key_of(request)
    access = await ingest.keys.find(key, time.monotonic()) if key else None
    if access is None or access.scope != "collect":
        logger.info("pixel without a valid collect key")
        if access is not None and IN_URL in request.query_params:
            logger.warning(
                "a secret key stands in a pixel's URL: revoke it", scope=access.scope, workspace=access.workspace
            )
            raise SecretInUrl
        if access is None and key:
            note_invalid(ingest, request, key)
        return
    check_origin(ingest, access, request)
    ingest.limits.check_key(access)
    what = request.query_params.get("t", "page")
    if what in NOTES:
        ingest.notices.add(access, origin_of(request), NOTES[what])
        return
    if what not in ("page", "open"):
        says = f"this pixel records `page` and `open`, and the notes {', '.join(NOTES)}"
        await _refuse(ingest, access, request, Refusal(0, None, "bad_value", "t", says))
        return
    now_us = time.time_ns() // 1000
    try:
        outcome = await by_token(ingest, access, request, now_us)
    except AWAY:  # only the database has the keys of tokens
        count(ingest, access, 0, [LOST], PRODUCER)
        raise
    if outcome is None:
        outcome = await _plain_visit(ingest, access, request, now_us)
    outcome = ingest.limits.bounded(access, outcome, 0)
    if isinstance(outcome, Refusal):
        await _refuse(ingest, access, request, outcome)
        return
    try:
        await append(ingest, access.workspace, [outcome])
    except (LogUnavailable, *AWAY):
        count(ingest, access, 0, [LOST], PRODUCER)
        raise
    count(ingest, access, 1, [], PRODUCER)
    ingest.notices.arrived(access, [outcome])


async def _plain_visit(ingest: Ingest, access: Access, request: Request, now_us: int) -> Record | Refusal:
    """The page visit that the request's parameters tell, of a visitor whose contact they do not name."""
    sent = request.query_params
    event = PageVisited(
        visitor_id=sent.get("v"), url=sent.get("u", "") or request.headers.get("referer", ""),
        referrer=sent.get("r") or None,
    )  # fmt: skip
    nobody = (await ingest.accepting.of(access.workspace, time.monotonic())).nobody
    user_agent = request.headers.get("user-agent")
    return accept(encode_event(event), 0, "collect", now_us, user_agent, access.hint, nobody=nobody)


async def _refuse(ingest: Ingest, access: Access, request: Request, refusal: Refusal) -> None:
    body = str(request.url.query).encode()
    await keep(ingest.pool, access, [(refusal, body)], request.headers.get("user-agent"), producer=PRODUCER)
    count(ingest, access, 0, [refusal.code], PRODUCER)
