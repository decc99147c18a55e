"""Which key does a request carry, and is it allowed to do this?"""

import base64
import time

from fastapi import Request

from shared.access.keys import Access, KeyRing
from shared.access.scopes import Scope
from shared.web.problems import Problem

CHALLENGE = {"WWW-Authenticate": 'Bearer realm="touchline"'}
IN_URL = "k"
WORKSPACE = "workspace"  # in the state of a request whose key is known
IN_URL_SAYS = (
    "a key in a URL ends up in logs and histories: send `Authorization: Bearer KEY`; only calls that collect events of browsers "
    "take a key in the URL, and only a collect key, which is public"
)


COOKIE = "touchline_key"
"""The cookie of the dashboard, which holds the key of who signed in. A script cannot read it."""
OWN_PAGE = "x-touchline"
"""The header by which the dashboard's own pages say that they ask; no page of another origin can send it."""


def is_own_page(request: Request) -> bool:
    """Whether a page of this server asks: no other page can send this header without leave, which is never given."""
    return OWN_PAGE in request.headers and request.headers.get("sec-fetch-site", "same-origin") == "same-origin"


def key_of(request: Request) -> str | None:
    """The key in `Authorization: Bearer`, or in HTTP Basic's user name, else that of the cookie; None if there is none.

    A request that may change something has its key in the cookie heeded only if a page of this server sent it.
    """
    if "authorization" not in request.headers and (request.method in ("GET", "HEAD") or is_own_page(request)):
        return request.cookies.get(COOKIE)
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip() or None
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).decode().partition(":")[0] or None
        except ValueError:  # not base64, or not UTF-8 in it
            return None
    return None


async def allow(request: Request, keys: KeyRing, *scopes: Scope) -> Access:
    """What the request's key gives access to. Raises a 401 or 403 `Problem`. Called before the body is read."""
    if request.scope["query_string"] and IN_URL in request.query_params:
        raise Problem(401, "key_in_url", IN_URL_SAYS, field=IN_URL, headers=CHALLENGE)
    key = key_of(request)
    access = await keys.find(key, time.monotonic()) if key else None
    if access is None:
        raise Problem(401, "unauthorized", "no valid key: send `Authorization: Bearer KEY`", headers=CHALLENGE)
    if access.scope not in scopes:
        raise Problem(403, "forbidden", f"a {access.scope} key cannot do this; it takes {' or '.join(scopes)}")
    setattr(request.state, WORKSPACE, access.workspace)
    return access
