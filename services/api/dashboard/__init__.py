"""The dashboard's pages and their files: static, under a strict content security policy, without a build step."""

from pathlib import Path

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse, RedirectResponse

from shared.web.problems import Problem

FILES = Path(__file__).parent / "static"
PAGES = {"campaigns": "campaigns.html", "campaign": "campaign.html", "install": "install.html"}
THEMES = ("light", "dark")
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


def routes() -> APIRouter:
    """The pages; the numbers on them come from the read API, with the key that the visitor enters."""
    router = APIRouter(include_in_schema=False)
    static_files = {path.name for path in FILES.iterdir() if path.is_file()}

    @router.get("/")
    async def home() -> Response:
        return RedirectResponse("/dashboard/campaigns")

    @router.get("/dashboard/{page}")
    async def page(page: str, request: Request) -> Response:
        if page not in PAGES:
            raise Problem(404, "not_found", f"there is no page {page[:100]!r}")
        html = (FILES / PAGES[page]).read_text()
        theme = request.cookies.get("touchline_theme")
        if theme in THEMES:  # the server sets it, so that no inline script is needed and nothing flashes
            html = html.replace('<html lang="en">', f'<html lang="en" data-theme="{theme}">', 1)
        return Response(html, media_type="text/html", headers=HEADERS)

    @router.get("/dashboard/static/{name}")
    async def static(name: str) -> Response:
        if name not in static_files:
            raise Problem(404, "not_found", f"there is no file {name[:100]!r}")
        return FileResponse(FILES / name, headers=HEADERS)

    return router
