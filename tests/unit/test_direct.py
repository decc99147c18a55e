"""Calls of `Direct` routes go straight to their functions, and are answered as all others."""

import asyncio
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI, Request, Response
from prometheus_client import REGISTRY

from shared.database import Unreachable
from shared.web.direct import Direct, DirectMiddleware
from shared.web.operations import Timed
from shared.web.problems import Problem, Unexpected, add_handlers

PATH = "/v1/direct"
ERRORS = {
    "problem": Problem(422, "bad_value", "so it is"),
    "away": Unreachable("no database"),
    "unforeseen": ValueError("nobody thought of it"),
}


def app(*, straight: bool) -> FastAPI:
    router = APIRouter(route_class=Direct)

    @router.post(PATH)
    async def function(request: Request) -> Response:
        if (wrong := request.query_params.get("wrong")) is not None:
            raise ERRORS[wrong]
        return Response(await request.body(), 202)

    made = FastAPI()
    made.router.routes.extend(router.routes)
    add_handlers(made)
    made.add_middleware(Timed)
    made.add_middleware(Unexpected)
    if straight:
        made.add_middleware(DirectMiddleware, routes=made.router.routes, handlers=made.exception_handlers)
    return made


def ask(made: FastAPI, method: str, path: str, **options: Any) -> httpx.Response:
    async def asked() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(made), base_url="http://t") as client:
            return await client.request(method, path, **options)

    return asyncio.run(asked())


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", PATH), *(("POST", f"{PATH}?wrong={wrong}") for wrong in ERRORS), ("GET", PATH), ("HEAD", PATH),
        ("POST", f"{PATH}/"), ("POST", "/v1%2Fdirect"), ("POST", "/v1/%64irect"), ("POST", "/none"),
    ],
)  # fmt: skip
def test_a_call_is_answered_as_the_framework_answers_it(method: str, path: str) -> None:
    straight, framework = (ask(app(straight=each), method, path, content=b"sent") for each in (True, False))
    assert (straight.status_code, straight.content, straight.headers) == (
        framework.status_code, framework.content, framework.headers,
    )  # fmt: skip


@pytest.mark.parametrize(("path", "status"), [(PATH, 202), (f"{PATH}?wrong=problem", 422), (f"{PATH}?wrong=unforeseen", 500)])  # fmt: skip
def test_a_call_is_measured_once_by_its_route(path: str, status: int) -> None:
    labels = {"method": "POST", "route": PATH, "status": str(status)}

    def measured() -> float:
        return REGISTRY.get_sample_value("touchline_http_request_seconds_count", labels) or 0.0

    before = measured()
    ask(app(straight=True), "POST", path)
    assert measured() == before + 1


def test_an_unforeseen_error_is_logged_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    ask(app(straight=True), "POST", f"{PATH}?wrong=unforeseen")
    assert "nobody thought of it" in caplog.text
