"""`/docs`: the calls of `/openapi.json`, to read and to try. All files come from this process, under a strict content security policy."""

from importlib.resources import files
from pathlib import Path

from fastapi import APIRouter, Response
from fastapi.responses import FileResponse

from shared.web.problems import Problem

HERE = Path(__file__).parent / "static"
PACKAGE = Path(str(files("fastapi_offline"))) / "static"
FILES = {
    "swagger-ui-bundle.js": PACKAGE, "swagger-ui.css": PACKAGE, "begin.js": HERE, "page.css": HERE,
}  # fmt: skip
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'none'"
)
HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def routes() -> APIRouter:
    """The page and its files. It takes no key: the document says nothing of any workspace."""
    router = APIRouter(include_in_schema=False)

    @router.get("/docs")
    async def page() -> Response:
        return FileResponse(HERE / "docs.html", headers=HEADERS)

    @router.get("/docs/{name}")
    async def file(name: str) -> Response:
        if name not in FILES:
            raise Problem(404, "not_found", f"there is no file {name[:100]!r}")
        return FileResponse(FILES[name] / name, headers=HEADERS)

    return router
