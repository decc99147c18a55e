"""Which answers are compressed? Those of reads; what collects events of browsers answers with some bytes."""

from starlette.middleware.gzip import GZipMiddleware
from starlette.types import Receive, Scope, Send

SHORT = frozenset({("POST", "/v1/events"), ("GET", "/v1/p.gif")})
"""The calls that are made most, whose answers are shorter than what is worth compressing."""


class Compressed(GZipMiddleware):
    """Starlette's compression, for all calls but those of `SHORT`."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] == "http" and (scope["method"], scope["path"]) in SHORT:
            await self.app(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)
