"""What does a person read whose link `/r/…` leads nowhere? A short page. Programs get the error as JSON; `Accept` says which of the two is asking.

The page has no script, loads nothing, and shows nothing of the link, because whoever made the link can write any text into it.
"""

import base64
from hashlib import sha256

from fastapi import Request, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.web.accept import quality
from shared.web.request_ids import request_id_of

LINKS = "/r/"
GONE = (
    "This link does not work",
    "The page that it led to may have been removed, or the address may not be complete. Please ask whoever gave you the link for another one.",
)
LATER = ("This link cannot be opened just now", "Please try again in a minute.")
LATER_STATUS = frozenset({408, 429, 500, 503})  # for all others, to try again is of no use
STYLE = "body{font:1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:15vh auto;padding:0 1rem}small{opacity:.7}"
PAGE = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    '<meta name="color-scheme" content="light dark"><title>{title}</title><style>{style}</style></head>'
    "<body><h1>{title}</h1><p>{says}</p>{reference}</body></html>\n"
)
_STYLE_DIGEST = base64.b64encode(sha256(STYLE.encode()).digest()).decode()
HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_STYLE_DIGEST}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex, nofollow",
    "Cache-Control": "no-store, private",
    "Vary": "Accept",
}
_REPLACED = frozenset({b"content-type", b"content-length", *(name.lower().encode() for name in HEADERS)})


class DeadLinks:
    """Middleware: answers a browser whose link leads nowhere with a page, of the same status as the error that it replaces."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http" or not scope["path"].startswith(LINKS) or not _is_for_people(Request(scope)):
            await self.app(scope, receive, send)
            return
        page: Response | None = None

        async def sending(message: Message) -> None:
            nonlocal page
            if message["type"] == "http.response.start" and message["status"] >= 400:
                page = _page(scope, message["status"])
                kept = [each for each in message["headers"] if each[0].lower() not in _REPLACED]
                await send({**message, "headers": [*page.raw_headers, *kept]})
            elif page is None:
                await send(message)
            elif not message.get("more_body"):
                await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else page.body})

        await self.app(scope, receive, sending)


def _is_for_people(request: Request) -> bool:
    """Whether the client names `text/html`, and wants JSON less: browsers do when a person opens an address."""
    html_q, named = quality(request, "text/html")
    json_q, json_named = quality(request, "application/json")
    return request.method in ("GET", "HEAD") and named and html_q > 0 and (html_q > json_q or not json_named)


def _page(scope: Scope, status: int) -> Response:
    """The page for an error of this status."""
    title, says = LATER if status in LATER_STATUS else GONE
    request_id = request_id_of(scope)
    reference = "" if request_id is None else f"<p><small>Request {request_id}</small></p>"
    body = PAGE.format(title=title, says=says, style=STYLE, reference=reference)
    return Response(body, status, HEADERS, "text/html")
