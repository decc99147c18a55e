"""Cross-origin requests (CORS): which answers may a web page of another origin read?

On the paths that browser SDKs send to, a page of any origin may read the answers to a collect key, which is public. The answers to a
secret key get no CORS header, so that a page which wrongly holds one does not work.
"""

from fastapi import Request
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

PATHS = ("/segment/",)
PREFLIGHT_S = 24 * 60 * 60  # how long a browser may remember the answer; browsers shorten it to hours
_SECRET = "touchline.secret_key"  # noqa: S105  (a name in the scope, no secret)
_ALLOW = b"access-control-allow-origin"


class OpenToBrowsers:
    """Middleware: answers preflight requests to `PATHS`, and adds the CORS headers to the answers there.

    Answers to requests that were given to `keep_from_browsers` get none.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.open = CORSMiddleware(
            app, allow_origins=["*"], allow_methods=["GET", "HEAD", "POST"], allow_headers=["*"],
            expose_headers=["Retry-After"], max_age=PREFLIGHT_S,
        )  # fmt: skip

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http" or not scope["path"].startswith(PATHS):
            await self.app(scope, receive, send)
            return
        secret: list[bool] = []

        async def sending(message: Message) -> None:
            if secret and message["type"] == "http.response.start":
                message = {**message, "headers": [each for each in message["headers"] if each[0].lower() != _ALLOW]}
            await send(message)

        await self.open({**scope, _SECRET: secret}, receive, sending)


def keep_from_browsers(request: Request) -> None:
    """Leave the CORS headers out of the answer to this request."""
    secret: list[bool] | None = request.scope.get(_SECRET)
    if secret is not None:
        secret.append(True)
