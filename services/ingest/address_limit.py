"""Middleware: how many requests may one address send to the calls that collect events of browsers?

A request that a valid server key was found to have sent takes nothing from its address: backends send from few addresses, and much.
"""

import time

import structlog
from fastapi import Request, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.ingest import metrics
from services.ingest.limits import SERVER_KEY, Limits, address_of, limited
from services.ingest.pixel import GIF, NO_STORE
from shared.access.keys import PREFIX
from shared.web.access import key_of

COLLECT_PATHS = ("/v1/events", "/v1/p.gif", "/segment/v1/", "/t.js", "/r/")
PIXEL = "/v1/p.gif"

logger = structlog.stdlib.get_logger("touchline.ingest")


class LimitedByAddress:
    """Answers 429 to an address that sends too many requests."""

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self.app, self.limits = app, limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        client = scope.get("client")
        if scope["type"] != "http" or client is None or not _collects(scope):
            await self.app(scope, receive, send)
            return
        address, buckets = address_of(client[0]), self.limits.addresses
        if address is None:
            await self.app(scope, receive, send)
            return
        if wait_s := buckets.wait_s(address, time.monotonic()):
            metrics.RATE_LIMITED.labels("address").inc()
            await self._refusal(scope, wait_s)(scope, receive, send)
            return
        if not (key_of(Request(scope)) or "").startswith(PREFIX["server"]):
            buckets.take(address, 1, time.monotonic())
            await self.app(scope, receive, send)
            return

        valid: list[bool] = []
        scope[SERVER_KEY] = valid  # `not_limited` puts True into it

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start" and not valid:
                buckets.take(address, 1, time.monotonic())
            await send(message)

        await self.app(scope, receive, sending)

    def _refusal(self, scope: Scope, wait_s: int) -> Response:
        if scope["path"] == PIXEL:
            headers = NO_STORE | {"Retry-After": str(wait_s), "Touchline-Refused": "rate_limited"}
            return Response(GIF, 429, headers, "image/gif")
        most = self.limits.rates.address_requests_per_s
        return limited(f"one address may send {most:,} requests a second; wait {wait_s} s", wait_s).response(scope)


def _collects(scope: Scope) -> bool:
    """Whether a request sends events of browsers. The reads below `/v1/events` have longer paths and another method."""
    path: str = scope["path"]
    if path.startswith("/v1/events"):
        return path == "/v1/events" and scope["method"] == "POST"
    return path.startswith(COLLECT_PATHS)
