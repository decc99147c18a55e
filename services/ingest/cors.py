"""Requests of web pages: which key may they carry, from pages of which origins, and which answers may a page read (CORS)?

A collect key is public. A page may read the answers to it unless the key has a list of origins that does not hold the page's.
The answers to a secret key get no CORS header, so that a page which wrongly holds one does not work.
"""

import re
import time
from typing import Final
from urllib.parse import parse_qs, urlsplit

from fastapi import Request
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.ingest.ingest import Ingest
from services.ingest.limits import not_limited
from shared.access.keys import SECRET, Access, KeyRing
from shared.access.origins import allows
from shared.database import AWAY
from shared.web.access import CHALLENGE, IN_URL, IN_URL_SAYS, allow, key_of
from shared.web.headers import header
from shared.web.problems import Problem

EVENTS = "/v1/events"
PATHS = ("/segment/",)
PREFLIGHT_S = 24 * 60 * 60  # how long a browser may remember the answer; browsers shorten it to hours
_SECRET = "touchline.secret_key"  # noqa: S105  (a name in the scope, no secret)
_CORS = (b"access-control-allow-origin", b"access-control-allow-credentials")
_READABLE = (
    (b"access-control-allow-credentials", b"true"),
    (b"access-control-expose-headers", b"Retry-After"),
    (b"vary", b"Origin"),
)
_ONLY_KEY = re.compile(rb"%s=[A-Za-z0-9_-]+" % IN_URL.encode())
NOT_ALLOWED: Final = "origin_not_allowed"


class OpenToBrowsers:
    """Middleware: answers preflight requests to the paths that browsers send to, and adds the CORS headers to the answers there.

    Answers to requests that were given to `keep_from_browsers` get none. A preflight request whose URL has a key that must not be
    used from its page is refused and noted. Without a key in its URL it is allowed, and the request itself is checked.
    """

    def __init__(self, app: ASGIApp, ingest: Ingest) -> None:
        self.app, self.ingest = app, ingest
        self.any_page = CORSMiddleware(
            app, allow_origins=["*"], allow_methods=["GET", "HEAD", "POST"], allow_headers=["*"],
            expose_headers=["Retry-After"], max_age=PREFLIGHT_S,
        )  # fmt: skip
        self.with_cookie = CORSMiddleware(  # of preflight requests; the answer may set the visitor's cookie, so the browser asks for the page's own name
            app, allow_origin_regex=".*", allow_credentials=True, allow_methods=["POST"], allow_headers=["*"],
            expose_headers=["Retry-After"], max_age=PREFLIGHT_S,
        )  # fmt: skip

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        events = scope["type"] == "http" and scope["path"] == EVENTS
        if not events and (scope["type"] != "http" or not scope["path"].startswith(PATHS)):
            await self.app(scope, receive, send)
            return
        origin = header(scope, b"origin")
        if origin is None:
            await self.app(scope, receive, send)
            return
        if events and scope["method"] == "OPTIONS":
            if problem := await self._refuses(scope, origin):
                await problem.response(scope)(scope, receive, send)
            else:
                await self.with_cookie(scope, receive, send)
            return
        secret: list[bool] = []

        async def readable(message: Message) -> None:
            if message["type"] == "http.response.start" and not secret:
                message["headers"] = [*message["headers"], (_CORS[0], origin.encode("latin-1")), *_READABLE]
            await send(message)

        async def sending(message: Message) -> None:
            if secret and message["type"] == "http.response.start":
                message = {**message, "headers": [each for each in message["headers"] if each[0].lower() not in _CORS]}
            await send(message)

        scope[_SECRET] = secret
        if events:  # the same as `with_cookie` would answer, for the call that comes with every page
            await self.app(scope, receive, readable)
        else:
            await self.any_page(scope, receive, sending)

    async def _refuses(self, scope: Scope, origin: str) -> Problem | None:
        """The refusal of a preflight request whose URL has a key that its page must not use; None if it has none, or may."""
        key = _of_several(parse_qs(scope["query_string"].decode("latin-1")).get(IN_URL, []))
        if key is None:
            return None
        if key.startswith(SECRET):
            self.ingest.notices.add_invalid(key, origin)
            return _key_in_url()
        try:
            access = await _found(self.ingest.keys, key)
        except AWAY:  # the request itself is then answered with 503
            return None
        if access is None:
            return None
        return _refused_origin(self.ingest, access, origin)


def keep_from_browsers(request: Request) -> None:
    """Leave the CORS headers out of the answer to this request."""
    secret: list[bool] | None = request.scope.get(_SECRET)
    if secret is not None:
        secret.append(True)


async def allow_collecting(ingest: Ingest, request: Request) -> Access:
    """What the key of a request that sends events gives access to: a server key in a header, or a collect key there or in the URL.

    Raises a 401 or 403 `Problem`. Called before the body is read.
    """
    if request.scope["query_string"] and (key := key_of_url(request)) is not None:
        if key.startswith(SECRET):
            keep_from_browsers(request)
            note_invalid(ingest, request, key)
            raise _key_in_url()
        access = await _found(ingest.keys, key)
        if access is None:
            note_invalid(ingest, request, key)
            raise Problem(
                401,
                "unauthorized",
                "no valid key: the collect key in the URL is unknown, or was revoked",
                headers=CHALLENGE,
            )
    else:
        try:
            access = await allow(request, ingest.keys, "server", "collect")
        except Problem as problem:
            keep_from_browsers(request)
            if problem.status == 401 and (key := key_of(request)) is not None:
                note_invalid(ingest, request, key)
            raise
        if access.scope == "server":
            not_limited(request.scope)
    check_origin(ingest, access, request)
    return access


def key_of_url(request: Request) -> str | None:
    """The key in the URL; of several, one that must not be there. If it is all that the URL has, as nearly always, the query is not parsed: that takes as long as all else here."""
    query: bytes = request.scope["query_string"]
    if _ONLY_KEY.fullmatch(query):
        return query[len(IN_URL) + 1 :].decode("ascii")
    return _of_several(request.query_params.getlist(IN_URL))


def _of_several(keys: list[str]) -> str | None:
    return next((key for key in keys if key.startswith(SECRET)), keys[-1] if keys else None)


def check_origin(ingest: Ingest, access: Access, request: Request) -> None:
    """Refuse a page that must not use the key: a server key from any other site, a collect key by its list. Raises a 403 `Problem`."""
    if access.scope == "collect":
        if access.origins is not None and (problem := _refused_origin(ingest, access, origin_of(request))):
            keep_from_browsers(request)
            raise problem
    elif (origin := header(request.scope, b"origin")) is not None:
        keep_from_browsers(request)
        if origin.partition("://")[2] != request.headers.get("host"):
            ingest.notices.add(access, origin, "secret_key_in_browser")
            says = f"a {access.scope} key is a secret and must not be used in a browser: revoke it, and use a collect key there"
            raise Problem(403, "secret_key_in_browser", says)


def note_invalid(ingest: Ingest, request: Request, key: str) -> None:
    """Note that a web page uses a key that it must not use, or a text that is none. A request that no page sent is not noted."""
    origin = origin_of(request)
    if origin is not None:
        ingest.notices.add_invalid(key, origin)


def origin_of(request: Request) -> str | None:
    """The origin of the page that sent the request, by `Origin`, else by `Referer`; None if the request says neither."""
    if (origin := header(request.scope, b"origin")) is not None:
        return origin
    if (referrer := header(request.scope, b"referer")) is None:
        return None
    try:
        parts = urlsplit(referrer)
    except ValueError:
        return None
    return f"{parts.scheme}://{parts.netloc}" if parts.scheme in ("http", "https") else None


async def _found(keys: KeyRing, key: str) -> Access | None:
    return await keys.find(key, time.monotonic())


def _key_in_url() -> Problem:
    return Problem(401, "key_in_url", IN_URL_SAYS, field=IN_URL, headers=CHALLENGE)


def _refused_origin(ingest: Ingest, access: Access, origin: str | None) -> Problem | None:
    """The refusal of a page by the list of a collect key, which is noted; None if it may use the key, or is no page."""
    if origin is None or allows(access.origins, origin):
        return None
    ingest.notices.add(access, origin, NOT_ALLOWED)
    listed = "its list is empty" if not access.origins else f"it is for {', '.join(access.origins[:3])}"
    says = f"pages of {origin[:100]} may not use this key ({listed}): `touchline keys origins` and `PUT /v1/keys/{{name}}/origins` change it"
    return Problem(403, NOT_ALLOWED, says)
