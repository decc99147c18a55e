"""`GET /t.js`: the tracker, a script for web pages that sends what visitors do to `POST /v1/events`.

The file in this folder is built from `web/tracker` by `make tracker`; its name holds the digest of its content.
"""

from hashlib import sha256
from pathlib import Path

from fastapi import APIRouter, Request, Response

from shared.web.problems import Problem

DIGEST_CHARACTERS = 12  # of the SHA-256 in hexadecimal
SHORT_S = 10 * 60  # /t.js: a page gets a new release of the tracker after so long
LONG_S = 365 * 24 * 60 * 60  # a name with a digest never gets another content
_HEADERS = {
    "Access-Control-Allow-Origin": "*",  # for `integrity` and `crossorigin` on the script's element
    "Cross-Origin-Resource-Policy": "cross-origin",
    "X-Content-Type-Options": "nosniff",
}


def built() -> tuple[str, bytes]:
    """The tracker's name and content. Raises `RuntimeError` if the folder has not exactly one, or one that has another digest."""
    files = sorted(Path(__file__).parent.glob("t.*.js"))
    if len(files) != 1:
        raise RuntimeError(
            f"the folder {Path(__file__).parent} has {len(files)} built trackers; `make tracker` makes one"
        )
    content = files[0].read_bytes()
    if files[0].name != name_of(content):
        raise RuntimeError(f"{files[0].name} has other content than its name says; `make tracker` builds it")
    return files[0].name, content


def name_of(content: bytes) -> str:
    """The name of the file with this content."""
    return f"t.{sha256(content).hexdigest()[:DIGEST_CHARACTERS]}.js"


def routes() -> APIRouter:
    """The routes of this file."""
    router = APIRouter()
    name, content = built()
    etag = f'"{name}"'

    @router.get("/t.js", tags=["ingest"], response_class=Response)
    async def tracker(request: Request) -> Response:
        """The tracker of this release. A browser asks again after ten minutes."""
        headers = _HEADERS | {"ETag": etag, "Cache-Control": f"public, max-age={SHORT_S}"}
        if etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(content, media_type="text/javascript", headers=headers)

    @router.get("/t.{digest}.js", tags=["ingest"], response_class=Response)
    async def tracker_by_digest(digest: str) -> Response:
        """The tracker with this digest, kept by browsers for a year: for pages that name one release of it."""
        if f"t.{digest}.js" != name:
            raise Problem(404, "not_found", f"this release has the tracker {name}")
        return Response(
            content,
            media_type="text/javascript",
            headers=_HEADERS | {"Cache-Control": f"public, max-age={LONG_S}, immutable"},
        )

    return router
