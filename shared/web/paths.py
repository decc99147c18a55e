"""How does a path name an id that holds a slash? URL-encoded; it is decoded after the path was split into segments."""

from urllib.parse import unquote, unquote_to_bytes

from starlette.convertors import StringConvertor, register_url_convertor
from starlette.types import ASGIApp, Receive, Scope, Send


class _Id(StringConvertor):
    def convert(self, value: str) -> str:
        """The id, URL-decoded."""
        return unquote(value)


register_url_convertor("id", _Id())  # a route's `{name:id}`


class WholeSegments:
    """Leaves `%2F` and `%25` encoded until the router has split the path into segments."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        raw = scope.get("raw_path") or b""
        if b"%" in raw:
            kept = raw.replace(b"%25", b"%2525").replace(b"%2F", b"%252F").replace(b"%2f", b"%252F")
            scope = {**scope, "path": unquote_to_bytes(kept).decode(errors="replace")}
        await self.app(scope, receive, send)
