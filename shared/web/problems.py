"""What does an error look like on the wire? `application/problem+json` (RFC 9457) with a stable `code`."""

from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import orjson
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.database import AWAY, error_text
from shared.log.port import LogUnavailable
from shared.projection.generations import NoGeneration, WrongShape
from shared.web.request_ids import request_id_of

logger = structlog.stdlib.get_logger("touchline.web")

MAINTAINED_S = 10  # the operator must act first

_CODES = {401: "unauthorized", 403: "forbidden", 404: "not_found", 405: "method_not_allowed"}


class Problem(Exception):
    """An error answer. `code` is stable, `detail` says what is wrong and where."""

    def __init__(
        self, status: int, code: str, detail: str, *, headers: dict[str, str] | None = None, **members: Any
    ) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail, self.headers, self.members = status, code, detail, headers, members

    def response(self, scope: Scope) -> Response:
        """The answer to a request, with the request's id."""
        body = {"type": "about:blank", "status": self.status, "code": self.code, "detail": self.detail, **self.members}
        if (request_id := request_id_of(scope)) is not None:
            body["request_id"] = request_id
        return Response(orjson.dumps(body), self.status, self.headers, "application/problem+json")


def unavailable(detail: str, retry_after_s: int = 1, code: str = "unavailable") -> Problem:
    """503 with `Retry-After`; `code` says what cannot be reached."""
    return Problem(503, code, detail, headers={"Retry-After": str(retry_after_s)})


def add_handlers(app: FastAPI, lacks_room: Callable[[Exception], Awaitable[bool]] | None = None) -> None:
    """Answer every error of the app as a problem; a log or database that is unreachable or full, as 503 with `Retry-After`.

    `lacks_room` says whether the error of a database that cannot be reached comes from a full disk; None if that cannot be found out.
    """

    async def away(request: Request, error: Exception) -> Response:
        logger.warning(
            "a request is answered with 503", error=error_text(error), request_id=request_id_of(request.scope)
        )
        return (await because_of(error)).response(request.scope)

    async def because_of(error: Exception) -> Problem:
        if isinstance(error, (NoGeneration, WrongShape)):
            return unavailable(str(error), MAINTAINED_S, "no_generation")
        if isinstance(error, asyncpg.DiskFullError) or (lacks_room is not None and await lacks_room(error)):
            return unavailable("the disk of the database is full", MAINTAINED_S, "disk_full")
        if isinstance(error, LogUnavailable):
            return unavailable(str(error), error.retry_after_s, error.code)
        return unavailable("the database cannot be reached")

    for kind in (LogUnavailable, NoGeneration, WrongShape, *AWAY):
        app.exception_handler(kind)(away)

    @app.exception_handler(ClientDisconnect)
    async def gone(request: Request, _: Exception) -> Response:
        logger.info(
            "a client closed the connection before its body was complete", path=request.url.path, request_id=request_id_of(request.scope),
        )  # fmt: skip
        return Problem(400, "upload_broke_off", "the body ended before it was complete").response(request.scope)

    @app.exception_handler(Problem)
    async def problem(request: Request, error: Problem) -> Response:
        return error.response(request.scope)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        code = _CODES.get(error.status_code, "http_error")
        http_problem = Problem(error.status_code, code, str(error.detail), headers=dict(error.headers or {}))
        return http_problem.response(request.scope)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"][1:])
        return Problem(422, "bad_parameter", f"{field}: {first['msg']}", field=field).response(request.scope)


def unexpected(scope: Scope, error: Exception) -> Response:
    """Log an error that nobody expected, with its traceback; answers what the request is answered with."""
    logger.error(
        "a request failed", method=scope["method"], path=scope["path"], request_id=request_id_of(scope), exc_info=error
    )
    return Problem(500, "internal_error", "this is an error of the server; it was logged").response(scope)


class Unexpected:
    """Answers an unexpected error as a 500 problem, and logs it once, with its traceback."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self.app(scope, receive, sending)
        except Exception as error:
            if scope["type"] != "http" or started:
                raise
            await unexpected(scope, error)(scope, receive, send)
