"""`/healthz`, `/readyz` and `/metrics`: does a process work, and how long does it take to answer?"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson
from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, Histogram, disable_created_metrics, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.database import error_text

CHECK_S = 3.0  # a check that has not answered by then has failed

disable_created_metrics()  # type: ignore[no-untyped-call]  # else every series gets a second one, its creation time

REQUEST_SECONDS = Histogram(
    "touchline_http_request_seconds", "Seconds from a request's arrival until it was answered", ["method", "route", "status"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)  # fmt: skip


SERIES_KEPT = 1_024  # a method, a route and a status each; there are some hundred


@lru_cache(SERIES_KEPT)
def request_seconds(method: str, route: str, status: int) -> Histogram:
    """The series of `REQUEST_SECONDS` of these labels; Prometheus's own look-up takes as long as the observation itself."""
    return REQUEST_SECONDS.labels(method, route, status)


@dataclass(frozen=True, slots=True)
class Check:
    """Something that a process needs. `ask` returns what `/readyz` shows of it, and raises if it does not work.

    A process can work for a while without what is not `required`: `/readyz` shows its failure, and the process stays ready.
    """

    ask: Callable[[], Awaitable[Any]]
    required: bool = True


async def own_metrics() -> bytes:
    """What this process counts and measures, in the text format of Prometheus."""
    return generate_latest(REGISTRY)


def operations_router(checks: Mapping[str, Check], measured: Callable[[], Awaitable[bytes]] = own_metrics) -> APIRouter:
    """The three routes; `checks` are those of `/readyz`, by name, and `measured` returns what `/metrics` answers."""
    router = APIRouter()

    @router.get("/healthz", tags=["operations"])
    async def healthz() -> Response:
        """The process answers."""
        return _json({"status": "ok"})

    @router.get("/readyz", tags=["operations"])
    async def readyz() -> Response:
        """What the process needs can be reached, and how far behind a projector is; else 503."""
        answers = await asyncio.gather(*(_checked(check) for check in checks.values()))
        wrong = any(check.required and not well for check, (well, _) in zip(checks.values(), answers, strict=True))
        body = {name: text for name, (_, text) in zip(checks, answers, strict=True)}
        return _json({"status": "unavailable" if wrong else "ready", **body}, 503 if wrong else 200)

    @router.get("/metrics", tags=["operations"])
    async def metrics() -> Response:
        """What the process counts and measures, for Prometheus."""
        return Response(await measured(), media_type=CONTENT_TYPE_LATEST)

    return router


async def _checked(check: Check) -> tuple[bool, Any]:
    """Whether a check passed, and what `/readyz` shows of it."""
    try:
        async with asyncio.timeout(CHECK_S):
            return True, await check.ask()
    except Exception as error:
        return False, f"unavailable: {error_text(error)}"


def _json(body: dict[str, Any], status: int = 200) -> Response:
    return Response(orjson.dumps(body), status, media_type="application/json")


class Timed:
    """Measures how long every request takes, by its route."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began_s = time.perf_counter()
        status = 500

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, sending)
        finally:
            route = getattr(scope.get("route"), "path", "none")
            request_seconds(scope["method"], route, status).observe(time.perf_counter() - began_s)
