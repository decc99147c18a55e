"""The calls that browsers make all the time: without the work of a framework between request and function.

What Starlette and FastAPI do for every request (layers of middleware, the search for a route, parsing, injecting) takes longer than
such a call itself.
"""

import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from shared.web.operations import request_seconds
from shared.web.problems import unexpected

Function = Callable[[Request], Coroutine[Any, Any, Response]]
Handlers = Mapping[Any, Callable[[Request, Any], Response | Awaitable[Response]]]


class Direct(APIRoute):
    """A route whose function takes the request alone and returns a response: there is nothing to parse or to inject.

    It is documented as any other route, and its errors are answered as any other's.
    """

    def get_route_handler(self) -> Function:
        """The function itself."""
        return self.endpoint


class DirectMiddleware:
    """Middleware: gives a request for a `Direct` route, whose path has no parameters, to the route's function.

    It does itself what the layers within it do for such a request: it measures how long the answer takes (`Timed`), answers the errors
    that have a handler (`add_handlers`), and those that have none (`Unexpected`). Every other request is passed on to them, also another
    method of the same path, and a path that is written in another way.
    """

    def __init__(self, app: ASGIApp, routes: Iterable[BaseRoute], handlers: Handlers) -> None:
        self._app, self._handlers = app, handlers
        self._calls: dict[tuple[str, bytes], tuple[str, Function]] = {
            (method, route.path.encode()): (route.path, route.endpoint)
            for route in routes
            if isinstance(route, Direct) and not route.param_convertors
            for method in route.methods or ()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        call = self._calls.get((scope["method"], scope.get("raw_path", b""))) if scope["type"] == "http" else None
        if call is None:
            await self._app(scope, receive, send)
            return
        began_s = time.perf_counter()
        path, function = call
        status = 500
        try:
            request = Request(scope, receive, send)
            try:
                response = await function(request)
            except Exception as error:
                response = await self._answer(request, error)
            status = response.status_code
            await response(scope, receive, send)
        finally:
            request_seconds(scope["method"], path, status).observe(time.perf_counter() - began_s)

    async def _answer(self, request: Request, error: Exception) -> Response:
        """What an error is answered with: by the handler of its class, or of the nearest class above it."""
        for kind in type(error).__mro__:
            if (handler := self._handlers.get(kind)) is not None:
                answered = handler(request, error)
                return answered if isinstance(answered, Response) else await answered
        return unexpected(request.scope, error)
