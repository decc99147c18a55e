"""A contact token names its contact in the URL of a pixel or a redirect; nobody can read it, change it, or use it elsewhere."""

import asyncio
import datetime as dt
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from services.ingest.pixel import GIF
from shared.access.keys import set_origins
from tests.conftest import Workspace, new_workspace
from touchline.compose import Running

KARI = {"id": "7", "email": "kari@example.no"}
AGENT = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:140.0) Gecko/20100101 Thunderbird/140.0"


async def minted(workspace: Workspace, *contacts: Any, scope: str = "server", **more: Any) -> httpx.Response:
    async with workspace.client(scope) as client:
        return await client.post("/v1/contact-tokens", json={"contacts": list(contacts), **more})


async def token_of(workspace: Workspace, contact: Any = KARI, **more: Any) -> str:
    return str((await minted(workspace, contact, **more)).json()["items"][0]["token"])


async def seen(workspace: Workspace, **parameters: str) -> None:
    """Load the pixel; the answer is always its picture."""
    transport = httpx.ASGITransport(workspace.running.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://touchline") as client:
        query = urlencode({"k": workspace.keys["collect"], **parameters})
        response = await client.get(f"/v1/p.gif?{query}", headers={"user-agent": AGENT})
    assert (response.status_code, response.content) == (200, GIF)
    await workspace.project()


async def journey(workspace: Workspace, contact: str = "7") -> list[tuple[str, str | None]]:
    response = await workspace.get(f"/v1/contacts/{contact}/journey")
    return [(item["type"], item["asset_id"]) for item in response.json().get("items", [])]


async def refused(workspace: Workspace) -> dict[str, int]:
    by = (await workspace.get("/v1/status")).json()["dead_letters_by"]
    assert {each["key"] for each in by} <= {workspace.keys["collect"][:8]}
    return {each["reason"]: each["events"] for each in by}


def test_an_opened_email_is_recorded_by_the_pixel_with_the_contact_s_token(
    workspace: Workspace, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        await seen(workspace, t="open", a="mail", c=await token_of(workspace))
        assert await journey(workspace) == [("email_opened", "mail")]
        assert await journey(workspace, "kari@example.no") == [("email_opened", "mail")]
        assert await refused(workspace) == {}

    runner.run(check())


def test_a_page_that_is_visited_with_a_token_is_the_contact_s_and_so_is_the_visitor(
    workspace: Workspace, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        await seen(workspace, v="v1", u="https://shop.example/before")
        await seen(
            workspace, v="v1", u="https://shop.example/", c=await token_of(workspace, {"email": "Kari@example.no"})
        )
        assert await journey(workspace, "kari@example.no") == [("page_visited", None)] * 2

    runner.run(check())


def test_a_cta_that_is_clicked_with_a_token_is_the_contact_s(workspace: Workspace, runner: asyncio.Runner) -> None:
    async def check() -> None:
        target = "https://shop.example/"
        await workspace.send({"type": "asset_registered", "asset_id": "cta", "asset_type": "cta", "target_url": target})
        await workspace.project()
        transport = httpx.ASGITransport(workspace.running.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://touchline") as client:
            path = f"/r/{workspace.keys['collect']}/cta?c={await token_of(workspace)}"
            response = await client.get(path, headers={"user-agent": AGENT})
        assert response.headers["location"] == "https://shop.example/?tl_via=cta"
        await workspace.project()
        assert await journey(workspace) == [("cta_clicked", "cta")]

    runner.run(check())


def test_a_token_shows_nothing_of_the_contact_and_is_the_same_for_the_same_contact(
    workspace: Workspace, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        token, again = await token_of(workspace), await token_of(workspace)
        assert token == again
        assert token.startswith("tlt_")
        assert token.removeprefix("tlt_").replace("-", "").replace("_", "").isalnum()
        assert token != await token_of(workspace, {"email": "ola@example.no"})

    runner.run(check())


def test_tokens_that_are_changed_foreign_expired_or_none_are_dead_letters_and_no_events(
    workspace: Workspace, running: Running, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        token = await token_of(workspace)
        foreign = await token_of(await new_workspace(running, "other"))
        soon = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=4)  # a busy machine takes long to make it
        expiring = await token_of(workspace, expires_at=soon.isoformat())
        await asyncio.sleep(
            (soon - dt.datetime.now(dt.UTC)).total_seconds() + 1.1
        )  # it is valid to the end of a second
        middle = len(token) // 2  # the last character has bits that say nothing
        changed = token[:middle] + ("A" if token[middle] != "A" else "B") + token[middle + 1 :]
        wrong = [changed, token[:20], foreign, expiring, "tlt_", "tlt_å", "7", "tlt_" + "x" * 5_000]
        for each in wrong:
            await seen(workspace, t="open", a="mail", c=each)
        assert await refused(workspace) == {"bad_value": len(wrong)}
        await seen(workspace, t="open", a="mail")
        await seen(workspace, t="open", c=token)
        assert await refused(workspace) == {"bad_value": len(wrong), "missing_field": 2}
        assert await journey(workspace) == []

    runner.run(check())


def test_a_token_that_expires_later_names_its_contact(workspace: Workspace, runner: asyncio.Runner) -> None:
    async def check() -> None:
        later = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
        await seen(workspace, t="open", a="mail", c=await token_of(workspace, expires_at=later.isoformat()))
        assert await journey(workspace) == [("email_opened", "mail")]

    runner.run(check())


def test_each_contact_has_its_own_result_and_none_is_lost(workspace: Workspace, runner: asyncio.Runner) -> None:
    async def check() -> None:
        response = await minted(
            workspace, KARI, {"id": "undefined"}, {"email": "no"}, {}, 5, {"id": "8", "x": 1}, {"id": "8"}
        )
        answer = response.json()["items"]
        codes = [item.get("code", "token" in item) for item in answer]
        assert response.status_code == 207
        assert codes == [True, "names_nobody", "bad_value", "bad_value", "wrong_type", "unknown_field", True], answer

    runner.run(check())


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "not_json"), (b"{}", 422, "bad_value"), (b'{"contacts":[]}', 422, "bad_value"), (b'{"contacts":[{"id":"7"}],"x":1}', 422, "bad_value"),
        (b'{"contacts":[{"id":"7"}],"expires_at":"2020-01-01T00:00:00Z"}', 422, "bad_value"),
        (b'{"contacts":[{"id":"7"}],"expires_at":"2999-01-01"}', 422, "bad_value"),
    ],
)  # fmt: skip
def test_a_body_that_is_wrong_is_refused(
    workspace: Workspace, runner: asyncio.Runner, body: bytes, status: int, code: str
) -> None:
    async def check() -> None:
        async with workspace.client("server") as client:
            response = await client.post("/v1/contact-tokens", content=body)
        assert (response.status_code, response.json()["code"]) == (status, code)

    runner.run(check())


@pytest.mark.parametrize("scope", ["collect", "read", "admin"])
def test_only_server_keys_mint_tokens(workspace: Workspace, runner: asyncio.Runner, scope: str) -> None:
    assert runner.run(minted(workspace, KARI, scope=scope)).status_code == 403


def test_a_collect_key_still_cannot_show_that_an_email_was_opened(workspace: Workspace, runner: asyncio.Runner) -> None:
    event = {"type": "email_opened", "asset_id": "mail", "contact": {"email": "kari@example.no"}}
    answer = runner.run(workspace.send(event, scope="collect")).json()
    assert [each["code"] for each in answer["rejected"]] == ["not_allowed_for_key"]


def test_a_page_that_is_visited_with_a_token_alone_is_the_contact_s(
    workspace: Workspace, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        await seen(workspace, u="https://shop.example/", c=await token_of(workspace))
        assert await refused(workspace) == {}
        assert await journey(workspace) == [("page_visited", None)]

    runner.run(check())


def test_an_email_is_opened_on_the_pages_of_any_mail_service_whatever_origins_the_key_has(
    workspace: Workspace, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        async with workspace.running.pool.acquire() as connection:
            await set_origins(connection, workspace.name, workspace.keys["collect"], ["https://shop.example"])
        token = await token_of(workspace)
        for t, refusal in (("open", None), ("page", "origin_not_allowed")):
            query = urlencode({"k": workspace.keys["collect"], "t": t, "a": "mail", "c": token})
            async with workspace.client("collect") as client:
                answer = await client.get(f"/v1/p.gif?{query}", headers={"Referer": "https://mail.example/"})
            assert answer.headers.get("touchline-refused") == refusal
        await workspace.project()
        assert await journey(workspace) == [("email_opened", "mail")]

    runner.run(check())
