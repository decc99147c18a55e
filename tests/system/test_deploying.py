"""A proxy that sends requests as deploy/README.md says gives each to the service that answers it."""

import asyncio
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from fastapi.routing import APIRoute

from touchline.compose import Role, compose
from touchline.configuration import Configuration

README = Path(__file__).parents[2] / "deploy" / "README.md"
OF_EACH = ("/healthz", "/readyz", "/metrics", "/openapi.json", "/docs")  # every service has its own


def to_ingest(method: str, path: str) -> bool:
    """Whether the proxy sends a request to ingest."""
    (line,) = re.findall(r"^- of any method: (.*);$", README.read_text(), re.MULTILINE)
    listed = re.findall(r"`([^`]+)`", line)
    if any(fnmatchcase(path, each) for each in listed):
        return True
    return method not in ("GET", "HEAD") and not path.startswith("/dashboard/")


@pytest.mark.parametrize("role", [Role.INGEST, Role.API])
def test_each_route_is_reached_through_the_proxy(own_database: str, runner: asyncio.Runner, role: Role) -> None:
    async def check() -> None:
        running = await compose(own_database, Configuration(kafka_bootstrap_servers=None), [role])
        try:
            asked = list(requests(running.app.router.routes))
            assert len(asked) > 30
            wrong = [(method, path) for method, path in asked if to_ingest(method, path) is not (role is Role.INGEST)]
            assert wrong == []
        finally:
            await running.close()

    def requests(routes: list[Any]) -> Iterator[tuple[str, str]]:
        """A request for every route, with something in place of its parameters."""
        for route in routes:
            if (included := getattr(route, "original_router", None)) is not None:
                yield from requests(included.routes)
            elif isinstance(route, APIRoute) and not route.path.startswith(OF_EACH):
                for method in sorted(route.methods):
                    yield method, re.sub(r"\{[^}]*\}", "x", route.path)

    runner.run(check())
