"""`GET /v1/p.gif`: the pixel that records page visits. It answers with its picture even if the visit is refused or lost."""

import base64
import time

import structlog
from fastapi import APIRouter, Request, Response

from services.ingest import metrics
from services.ingest.contact_tokens import IN_QUERY, by_token
from services.ingest.cors import check_origin, key_of_url, note_invalid, origin_of
from services.ingest.events import append, count
from services.ingest.ingest import Ingest
from services.ingest.refused_events import keep
from shared.access.keys import HINT_CHARACTERS, SECRET, Access
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
VISIT, OPEN = "page", "open"  # what `t` says that happened
LOST = "unavailable"  # the code by which a lost visit is counted; a browser does not ask for the picture again
NO_STORE = {"Cache-Control": "no-store, private", "Cross-Origin-Resource-Policy": "cross-origin"}

NOTES: dict[str, Kind] = {"waiting": "consent_awaited", "blocked": "blocked_by_policy"}
"""What the tracker says instead of a visit, by `t`. No event becomes of it."""

logger = structlog.stdlib.get_logger("touchline.ingest")


PARAMETERS = (
    Parameter(IN_URL, "the collect key", required=True),
    Parameter(
        "t", "what happened: a page visit, an opened e-mail, or why the tracker on the page sends nothing",
        {"type": "string", "enum": [VISIT, OPEN, *NOTES]},
    ),
    Parameter("v", "the visitor's id; absent: a page view of nobody"), Parameter("u", "the page's URL; absent: the `Referer`"),
    Parameter("r", "the page's referrer"), Parameter("a", "the e-mail that was opened"),
    Parameter("c", "a contact's token: who opened the e-mail, or visits the page"),
)  # fmt: skip


def routes(ingest: Ingest) -> APIRouter:
    """The route of this file."""
    router = APIRouter(route_class=Direct)

    @router.get("/v1/p.gif", tags=["ingest"], response_class=Response, openapi_extra=declared(*PARAMETERS))
    async def pixel(request: Request) -> Response:
        """Record a page visit, or that an e-mail was opened.

        The answer is always the picture. If nothing was recorded, its header `Touchline-Refused` has the code of the reason.
        """
        refused: str | None = None
        try:
            if not is_head(request):
                refused = await _record(ingest, request)
        except Problem as problem:
            refused = problem.code
        except (LogUnavailable, *AWAY) as error:
            metrics.EVENTS.labels("lost").inc()
            logger.warning("a page visit is lost", error=error_text(error))
            refused = LOST
        headers = NO_STORE if refused is None else NO_STORE | {"Touchline-Refused": refused}
        return Response(GIF, media_type="image/gif", headers=headers)

    return router


async def _record(ingest: Ingest, request: Request) -> str | None:
    """Append the visit that the request's parameters describe, or keep it as a dead letter. Without a collect key, nothing is kept.

    Answers None, or the code for which nothing was recorded. Raises a `Problem` if the key has sent too much, or if pages of this origin
    may not use it, and `LogUnavailable` or one of `AWAY` if the visit is lost.
    """
    in_url = key_of_url(request)
    if in_url and in_url.startswith(SECRET):
        logger.warning("a secret key stands in a pixel's URL: revoke it", key=in_url[:HINT_CHARACTERS])
        note_invalid(ingest, request, in_url)
        return f"key_in_url; {IN_URL_SAYS}"
    key = in_url or key_of(request)
    access = await ingest.keys.find(key, time.monotonic()) if key else None
    if access is None:
        logger.info("pixel without a valid collect key")
        if key:
            note_invalid(ingest, request, key)
        return "unauthorized"
    if access.scope != "collect":
        return "forbidden"
    what = request.query_params.get("t", VISIT)
    if what != OPEN:  # an e-mail is read on the pages of any mail service, and the contact's token vouches for it
        check_origin(ingest, access, request)
    ingest.limits.check_key(access)
    if what in NOTES:
        ingest.notices.add(access, origin_of(request), NOTES[what])
        return None
    if what not in (VISIT, OPEN):
        says = f"this pixel records `{VISIT}` and `{OPEN}`, and the notes {', '.join(NOTES)}"
        return await _refuse(ingest, access, request, Refusal(0, None, "bad_value", "t", says))
    now_us = time.time_ns() // 1000
    try:
        outcome = await by_token(ingest, access, request, now_us)
    except AWAY:  # only the database has the keys of tokens
        count(ingest, access, 0, [LOST], PRODUCER)
        raise
    if outcome is None:
        outcome = await _plain_visit(ingest, access, request, now_us)
    addresses = (await ingest.accepting.of(access.workspace, time.monotonic())).addresses
    outcome = ingest.limits.bounded(access, outcome, 0, by_token=IN_QUERY in request.query_params, addresses=addresses)
    if isinstance(outcome, Refusal):
        return await _refuse(ingest, access, request, outcome)
    try:
        await append(ingest, access.workspace, [outcome])
    except (LogUnavailable, *AWAY):
        count(ingest, access, 0, [LOST], PRODUCER)
        raise
    count(ingest, access, 1, [], PRODUCER)
    ingest.notices.arrived(access, [outcome])
    return None


async def _plain_visit(ingest: Ingest, access: Access, request: Request, now_us: int) -> Record | Refusal:
    """The page visit that the request's parameters describe, of a visitor whose contact they do not name."""
    sent = request.query_params
    event = PageVisited(
        visitor_id=sent.get("v") or None, url=sent.get("u", "") or request.headers.get("referer", ""),
        referrer=sent.get("r") or None,
    )  # fmt: skip
    nobody = (await ingest.accepting.of(access.workspace, time.monotonic())).nobody
    user_agent = request.headers.get("user-agent")
    return accept(encode_event(event), 0, "collect", now_us, user_agent, access.hint, nobody=nobody)


async def _refuse(ingest: Ingest, access: Access, request: Request, refusal: Refusal) -> str:
    """Keep what was sent as a dead letter; answers the code of the refusal."""
    body = str(request.url.query).encode()
    await keep(ingest.pool, access, [(refusal, body)], request.headers.get("user-agent"), producer=PRODUCER)
    count(ingest, access, 0, [refusal.code], PRODUCER)
    return refusal.code
