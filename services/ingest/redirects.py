"""`GET /r/{collect key}/{asset_id}`: leads to the registered target of a tracking URL, a paid-search campaign or a CTA, and nowhere else.

A CTA's click is recorded here. The visit of a tracking URL is recorded by the page that it leads to, which finds `tl_via` in its URL.
"""

import asyncio
import time
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

import asyncpg
import structlog
from fastapi import APIRouter, Request, Response

from services.ingest import metrics
from services.ingest.contact_tokens import agent_of, contact_of, taken
from services.ingest.events import append, count
from services.ingest.ingest import Ingest
from services.ingest.link_targets import CTA, Target, target_of
from services.ingest.refused_events import keep
from services.ingest.registered_addresses import Registered, in_generation
from shared.access.keys import Access
from shared.database import AWAY, error_text
from shared.events.codec import Record, Refusal, encode_event
from shared.events.limits import TEXT_CHARACTERS_MAX, URL_CHARACTERS_MAX
from shared.events.types import CtaClicked
from shared.log.port import EventLog, LogUnavailable
from shared.projection.generations import NoGeneration, generation_of_any_shape
from shared.projection.sql import Statement
from shared.rules.acceptance import accept
from shared.rules.click_ids import CLICK_IDS
from shared.rules.keys import asset_key
from shared.rules.utm import IDS, UTM
from shared.sealing.log import vault_of
from shared.sealing.reveal import revealed_url
from shared.web.access import IN_URL_SAYS
from shared.web.head import is_head
from shared.web.problems import Problem, unavailable

PRODUCER = "redirect"
LOST = "unavailable"
VIA = "tl_via"
PASSED_ON = frozenset({*(name for names in UTM.values() for name in names), *IDS, *CLICK_IDS})
"""The parameters, in lower case, that go from the redirect's URL to the target's: advertising networks add them to the link."""

CACHE_S = 5.0  # a new target of a registered link is used after this time at most
UNKNOWN_S = 1.0  # a link that has just been registered is found after this time at most
CACHED_MAX = 10_000  # targets of a process; about 5 MB
ASK_S = 2.0
EXACT_S = 1.0  # of them, for the log: without it, an address of a sealed store means the same, but may be encoded in another way
HEADERS = {"Cache-Control": "no-store, private", "X-Robots-Tag": "noindex, nofollow"}
PREFETCHING = (
    "sec-purpose",
    "purpose",
    "x-purpose",
    "x-moz",
)  # headers by which a browser says that nobody clicked yet

ASK = """
SELECT s.ws, s.asset_type, s.target_url FROM {0}.asset s JOIN {0}.workspace_rows w ON w.ws = s.ws
WHERE w.workspace_id = $1 AND s.asset = $2
"""

logger = structlog.stdlib.get_logger("touchline.ingest")


class Targets:
    """Looks targets up and caches them for `CACHE_S` seconds, or for as long as the database cannot be reached."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", log: EventLog) -> None:
        """`log`: if it is sealed, rows have digests in URLs, and it has the addresses as they were sent."""
        self._pool, self._registered, self._vault = pool, Registered(log), vault_of(log)
        self._known: dict[tuple[str, str], tuple[Target | None, float]] = {}

    async def find(self, workspace: str, asset_id: str, now_s: float) -> Target | None:
        """The target of an asset; None if it has none. `now_s` is a monotonic clock. Raises one of `AWAY`, `LogUnavailable`, or `NoGeneration`."""
        known = self._known.get((workspace, asset_id))
        if known is not None and now_s - known[1] < (CACHE_S if known[0] else UNKNOWN_S):
            return known[0]
        try:
            async with asyncio.timeout(ASK_S):
                # links of e-mails that were sent long ago must also work while a new release makes its generation
                generation = await generation_of_any_shape(self._pool)
                row = await self._pool.fetchrow(ASK.format(generation), workspace, asset_key(asset_id))
                url = None if row is None else row["target_url"]
                if row is not None and url:
                    url = await self._as_registered(generation, row["ws"], workspace, asset_id, url)
                target = None if row is None else target_of(row["asset_type"], url)
        except (LogUnavailable, *AWAY):
            if known is None:
                raise
            return known[0]
        if len(self._known) >= CACHED_MAX:
            self._known.clear()
        self._known[workspace, asset_id] = target, now_s
        return target

    async def _as_registered(self, generation: str, ws: int, workspace: str, asset_id: str, stored: str) -> str:
        """The address that was registered, for that which the row holds. Raises one of `AWAY`, or `LogUnavailable`."""

        async def fetch(statement: Statement, *arguments: Any) -> Sequence[Any]:
            rows: Sequence[Any] = await self._pool.fetch(in_generation(statement, generation), ws, *arguments)
            return rows

        try:
            async with asyncio.timeout(EXACT_S):
                sent = await self._registered.target(fetch, workspace, asset_id, stored)
        except (LogUnavailable, TimeoutError) as error:
            logger.warning("the log could not be asked how the address of a link was written", error=error_text(error))
            sent = None
        return await revealed_url(self._vault, workspace, stored) if sent is None else sent


def routes(ingest: Ingest) -> APIRouter:
    """The route of this file."""
    router = APIRouter()
    targets = Targets(ingest.pool, ingest.log)

    @router.get("/r/{key}/{asset_id:id}", tags=["ingest"], response_class=Response, status_code=302)
    async def redirect(key: str, asset_id: str, request: Request) -> Response:
        """Lead to where a tracking URL, a paid-search campaign or a CTA leads; record the click of a CTA. Unknown: 404.

        `v` names the visitor and `c` is a contact's token, both for the click. utm parameters and click ids go on to the target.
        """
        access = await ingest.keys.find(key, time.monotonic())
        if access is not None and access.scope != "collect":
            logger.warning("a secret key stands in a link: revoke it", scope=access.scope, workspace=access.workspace)
            raise Problem(401, "key_in_url", IN_URL_SAYS)
        try:
            target = None if access is None else await targets.find(access.workspace, asset_id, time.monotonic())
        except NoGeneration as error:
            raise unavailable("there is nothing to read where the link leads", code="no_generation") from error
        if access is None or target is None:
            raise Problem(404, "not_found", "this link leads nowhere")
        if target.asset_type == CTA and not is_head(request) and not _prefetched(request):
            await _record(ingest, access, asset_id, request)
        location = leading(target.url, asset_id, request.query_params.multi_items())
        return Response(status_code=302, headers={**HEADERS, "Location": location})

    return router


def leading(target: str, asset_id: str, sent: Iterable[tuple[str, str]]) -> str:
    """The target with `tl_via`, and with those parameters `sent` to the link that go on to it and that it has no value for.

    All else stays as it was written, character by character.
    """
    address, mark, fragment = target.partition("#")
    address, _, own = address.partition("?")
    has = {name.lower() for name, value in parse_qsl(own) if value.strip()}
    passed: dict[str, str] = {}
    for name, value in sent:
        if name.lower() in PASSED_ON and name.lower() not in has and value and _fits(value):
            passed.setdefault(name, value)
    via = urlencode({VIA: asset_id}, quote_via=quote, safe="")
    more = urlencode(passed, quote_via=quote, safe="")
    # of several values of one name the first counts, so an id that the target names already is outdone
    parts = [via, own, more] if VIA in has else [own, more, via]
    return f"{address}?{'&'.join(part for part in parts if part)}{mark}{fragment}"


def _fits(value: str) -> bool:
    """Whether a visit may have this value. The visit of the page would be refused with any other value."""
    return "\0" not in value and len(value) <= TEXT_CHARACTERS_MAX


def _prefetched(request: Request) -> bool:
    """Whether the browser only loads the link ahead, because somebody may click it later."""
    return any(
        word in request.headers.get(name, "").lower() for name in PREFETCHING for word in ("prefetch", "preview")
    )


async def _record(ingest: Ingest, access: Access, asset_id: str, request: Request) -> None:
    """Append the click of a CTA, or keep it as a dead letter. Whatever happens, the link leads to its target.

    Of a key that has sent too many events, nothing is kept.
    """
    try:
        ingest.limits.check_key(access)
    except Problem:
        return
    try:
        outcome = await _click(ingest, access, asset_id, request)
        outcome = ingest.limits.bounded(access, outcome, 0, by_token=True)  # only a token names a contact here
        if isinstance(outcome, Refusal):
            body = f"{request.url.path}?{request.url.query}".encode()
            await keep(ingest.pool, access, [(outcome, body)], agent_of(request), producer=PRODUCER)
            count(ingest, access, 0, [outcome.code], PRODUCER)
            return
        await append(ingest, access.workspace, [outcome])
    except (LogUnavailable, *AWAY) as error:
        metrics.EVENTS.labels("lost").inc()
        count(ingest, access, 0, [LOST], PRODUCER)
        logger.warning("a click is lost", error=error_text(error))
        return
    count(ingest, access, 1, [], PRODUCER)


async def _click(ingest: Ingest, access: Access, asset_id: str, request: Request) -> Record | Refusal:
    """The click that a request means: of the visitor and the contact that its parameters name, on the page that led here."""
    now_us, sent = time.time_ns() // 1000, request.query_params
    contact = await contact_of(ingest, access, sent, now_us)
    if isinstance(contact, Refusal):
        return contact
    page = request.headers.get("referer") or None
    event = CtaClicked(
        asset_id=asset_id, visitor_id=sent.get("v") or None, contact=contact,
        url=page if page and len(page) <= URL_CHARACTERS_MAX else None, user_agent=agent_of(request),
    )  # fmt: skip
    if contact is not None:
        return await taken(ingest, access, event, now_us)
    nobody = (await ingest.accepting.of(access.workspace, time.monotonic())).nobody
    return accept(encode_event(event), 0, "collect", now_us, None, access.hint, nobody=nobody)
