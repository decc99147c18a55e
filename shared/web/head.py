"""HEAD answers like GET, without a body."""

from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_WAS_HEAD = "touchline.head"


class Head:
    """Passes a HEAD request to the app as a GET, and drops the body of the answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return

        async def without_body(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        await self.app({**scope, "method": "GET", _WAS_HEAD: True}, receive, without_body)


def is_head(request: Request) -> bool:
    """Whether the request was a HEAD; such a request must change nothing."""
    return bool(request.scope.get(_WAS_HEAD))
