"""Signing in to the dashboard: the cookie reads, and nothing but a page of the dashboard writes with it."""

import asyncio

import httpx
import pytest

from shared.web.access import COOKIE
from tests.conftest import Workspace

OWN = {"X-Touchline": "1"}


@pytest.fixture
def browser(workspace: Workspace) -> httpx.AsyncClient:
    """A client without a key, which keeps cookies as a browser does."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(workspace.running.app), base_url="http://touchline")


async def signed_in(browser: httpx.AsyncClient, key: str) -> httpx.Response:
    return await browser.post("/dashboard/sign-in", content=key, headers=OWN)


@pytest.mark.parametrize("scope", ["read", "admin"])
def test_who_signed_in_reads_with_the_cookie_alone(
    workspace: Workspace, runner: asyncio.Runner, browser: httpx.AsyncClient, scope: str
) -> None:
    async def check() -> None:
        answer = await signed_in(browser, workspace.keys[scope])
        assert answer.status_code == 204
        cookie = answer.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=lax" in cookie
        assert (await browser.get("/v1/status")).json()["workspace"]["id"] == workspace.name

    runner.run(check())


@pytest.mark.parametrize(
    ("scope", "status", "says"),
    [("collect", 403, "a collect key"), ("server", 403, "a server key"), (None, 401, "not a key")],
)
def test_another_key_is_refused_and_said_why(
    workspace: Workspace, runner: asyncio.Runner, browser: httpx.AsyncClient, scope: str | None, status: int, says: str
) -> None:
    async def check() -> None:
        answer = await signed_in(browser, "tlr_wrong" if scope is None else workspace.keys[scope])
        assert answer.status_code == status
        assert says in answer.json()["detail"]
        assert COOKIE not in browser.cookies
        assert (await browser.get("/v1/status")).status_code == 401

    runner.run(check())


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({**OWN, "Sec-Fetch-Site": "cross-site"}, 401),
        ({**OWN, "Sec-Fetch-Site": "same-site"}, 401),
        (OWN, 403),
    ],
)
def test_a_page_elsewhere_is_not_known_by_the_cookie(
    workspace: Workspace, runner: asyncio.Runner, browser: httpx.AsyncClient, headers: dict[str, str], status: int
) -> None:
    async def check() -> None:
        await signed_in(browser, workspace.keys["read"])  # is known, and may not send events: 403; not known: 401
        event = {"type": "campaign_created", "campaign_id": "spring"}
        assert (await browser.post("/v1/events", json=event, headers=headers)).status_code == status

    runner.run(check())


def test_a_page_elsewhere_signs_nobody_in_or_out(
    workspace: Workspace, runner: asyncio.Runner, browser: httpx.AsyncClient
) -> None:
    async def check() -> None:
        await signed_in(browser, workspace.keys["read"])
        for path in ("/dashboard/sign-in", "/dashboard/sign-out"):
            assert (await browser.post(path, content=workspace.keys["read"])).status_code == 403

    runner.run(check())


def test_who_signed_out_reads_no_more(workspace: Workspace, runner: asyncio.Runner, browser: httpx.AsyncClient) -> None:
    async def check() -> None:
        await signed_in(browser, workspace.keys["read"])
        assert (await browser.post("/dashboard/sign-out", headers=OWN)).status_code == 204
        assert (await browser.get("/v1/status")).status_code == 401

    runner.run(check())


def test_a_key_in_the_header_counts_before_the_cookie(
    workspace: Workspace, runner: asyncio.Runner, browser: httpx.AsyncClient
) -> None:
    async def check() -> None:
        await signed_in(browser, workspace.keys["read"])
        wrong = {"Authorization": "Bearer tlr_00000000000000000000000000000000"}
        assert (await browser.get("/v1/status", headers=wrong)).status_code == 401

    runner.run(check())
