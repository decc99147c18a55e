"""The visitor's cookie, set by the server where it is of the same site as the page.

Some browsers delete a cookie that a script has set after 7 days, and keep one of the page's own site that a server has set. So the
tracker asks the server to set the cookie of a new visitor (`?c=1`). It is set once, and never prolonged.
"""

import re
from urllib.parse import urlsplit

import msgspec
from fastapi import Request

from shared.rules.referrer import site

COOKIE = "tl_visitor"
ASKED = "c"  # the query parameter
COOKIE_S = 34_128_000  # 395 days, 13 months: the longest that data protection authorities advise
_FORM = re.compile(r"[A-Za-z0-9_-]{8,128}")  # of the tracker's ids; nothing else is written into a header


class _Visit(msgspec.Struct):
    visitor_id: str | None = None


_decode = msgspec.json.Decoder(_Visit).decode


def cookie_of(request: Request, events: list[msgspec.Raw] | list[bytes]) -> str | None:
    """The header `Set-Cookie` for the visitor of the request's first event; None if it is not asked for, or not of the same site."""
    if request.query_params.get(ASKED) != "1" or not events:
        return None
    try:
        origin, host = urlsplit(request.headers.get("origin", "")), urlsplit("//" + request.headers.get("host", ""))
    except ValueError:  # such as `[::1`, which no browser sends
        return None
    page, ours = origin.hostname, host.hostname
    if not page or not ours or origin.scheme not in ("http", "https"):
        return None
    shared = site(ours)
    if page != ours and (site(page) != shared or "." not in shared):
        return None
    try:
        visitor = _decode(events[0]).visitor_id
    except msgspec.DecodeError:
        return None
    if visitor is None or not _FORM.fullmatch(visitor):
        return None
    domain = f"; Domain={shared}" if "." in shared and not shared[-1:].isdigit() and ":" not in shared else ""
    secure = "; Secure" if origin.scheme == "https" else ""
    return f"{COOKIE}={visitor}; Max-Age={COOKIE_S}; Path=/; SameSite=Lax{domain}{secure}"
