"""A route without FastAPI's work between request and function, for the calls that browsers make all the time."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute


class Direct(APIRoute):
    """A route whose function takes the request alone and returns a response: there is nothing to parse or to inject.

    It is documented as any other route, and its errors are answered as any other's.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The function itself."""
        return self.endpoint
