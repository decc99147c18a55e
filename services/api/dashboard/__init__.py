"""The dashboard's pages and their files, under a strict content security policy, without a build step; and signing in to it.

The numbers come from the read API. A visitor signs in with a key, which is kept in a cookie that scripts cannot read
(`shared.web.access.COOKIE`).
"""

import time
from html import escape
from pathlib import Path

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse, RedirectResponse

from shared.access.keys import PREFIX, KeyRing
from shared.web.access import COOKIE, is_own_page
from shared.web.problems import Problem

FILES = Path(__file__).parent / "static"
PAGES = {
    "campaigns": "Campaigns", "campaign": "Campaign", "deals": "Deals", "deal": "Deal", "contacts": "Contacts", "contact": "Contact",
    "attribution": "Attribution", "assets": "Assets", "asset": "Asset", "unresolved": "Unresolved", "live": "Live", "operations": "Operations",
    "install": "Put it on your site",
}  # fmt: skip
"""By the last part of its address, the title of each page; the script has the same name."""
PARTS = ("api", "dialogs", "dom", "format", "parts", "ranges", "shell", "words")
"""Modules that every page needs: the browser fetches them at once, not one after another as it finds the imports."""
FIRST_REQUEST = '<link rel="preload" as="fetch" crossorigin="anonymous" href="/v1/status">'
"""Sent by the browser before it has any script: what the pages ask first."""
FIRST_NUMBERS = {"campaigns": "/v1/reports/attribution?model=linear&amp;group_by=campaign"}
"""What a page without choices in its address asks first: the browser fetches it before the page's modules have come."""
THEMES = ("light", "dark")
SIGNED_IN_S = 90 * 86_400
SIGN_IN_BYTES_MAX = 1_000
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'; require-trusted-types-for 'script'"
)
HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def routes(keys: KeyRing) -> APIRouter:
    """The pages, and `POST /dashboard/sign-in` and `/dashboard/sign-out`."""
    router = APIRouter(include_in_schema=False)
    static_files = {path.name for path in FILES.iterdir() if path.is_file()}
    template = (FILES / "page.html").read_text()

    @router.get("/")
    async def home() -> Response:
        return RedirectResponse("/dashboard/campaigns")

    @router.post("/dashboard/sign-in")
    async def sign_in(request: Request) -> Response:
        if not is_own_page(request):
            raise Problem(403, "forbidden", "only a page of the dashboard signs in")
        body = await request.body()
        if len(body) > SIGN_IN_BYTES_MAX:
            raise Problem(413, "too_large", f"a key has fewer than {SIGN_IN_BYTES_MAX} bytes")
        key = body.decode(errors="replace").strip()
        access = await keys.find(key, time.monotonic())
        if access is None:
            raise Problem(401, "unauthorized", "this is not a key of a workspace, or it was revoked")
        if access.scope not in ("read", "admin"):
            detail = f"this is a {access.scope} key; the dashboard takes a read key or an admin key"
            raise Problem(403, "forbidden", detail)
        response = Response(status_code=204)
        response.set_cookie(
            COOKIE, key, max_age=SIGNED_IN_S, httponly=True, samesite="lax", secure=request.url.scheme == "https"
        )
        return response

    @router.post("/dashboard/sign-out")
    async def sign_out(request: Request) -> Response:
        if not is_own_page(request):
            raise Problem(403, "forbidden", "only a page of the dashboard signs out")
        response = Response(status_code=204)
        response.delete_cookie(COOKIE)
        return response

    @router.get("/dashboard/{page}")
    async def page(page: str, request: Request) -> Response:
        if page not in PAGES:
            raise Problem(404, "not_found", f"there is no page {page[:100]!r}")
        theme = request.cookies.get("touchline_theme")  # set by the server, so that no inline script is needed
        html = template.replace("{title}", escape(PAGES[page])).replace("{page}", page)
        attributes = (f' data-theme="{theme}"' if theme in THEMES else "") + (
            f' data-signed-in="{_scope_shown(request.cookies[COOKIE])}"' if COOKIE in request.cookies else ""
        )
        html = html.replace("{attributes}", attributes)
        preloads = "\n".join(f'<link rel="modulepreload" href="/dashboard/static/{name}.js">' for name in PARTS)
        if page in FIRST_NUMBERS and not request.query_params and COOKIE in request.cookies:
            preloads = (
                f'<link rel="preload" as="fetch" crossorigin="anonymous" href="{FIRST_NUMBERS[page]}">\n{preloads}'
            )
        if COOKIE in request.cookies:
            preloads = f"{FIRST_REQUEST}\n{preloads}"
        return Response(html.replace("{preloads}", preloads), media_type="text/html", headers=HEADERS)

    @router.get("/dashboard/static/{name}")
    async def static(name: str) -> Response:
        if name not in static_files:
            raise Problem(404, "not_found", f"there is no file {name[:100]!r}")
        return FileResponse(FILES / name, headers=HEADERS)

    return router


def _scope_shown(key: str) -> str:
    """What a page may show: `admin` if the key says so. Whether it is valid, and may do something, is checked at each request."""
    return "admin" if key.startswith(PREFIX["admin"]) else "read"
