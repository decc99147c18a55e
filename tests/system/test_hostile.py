"""Requests that somebody made to do harm, or wrote wrongly: each is answered with what is wrong and where, and changes nothing."""

import asyncio
import json
from typing import Any

import httpx
import pytest

from tests.conftest import Workspace
from tests.served import served, talk
from touchline.compose import Running

VISIT = b'{"type":"page_visited","url":"https://shop.example/"}'
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
DEEP = b'{"name":' + b"[" * 10_000 + b"]" * 10_000 + b"}"
MONEY = {"amount": "1", "currency": "EUR"}


async def call(workspace: Workspace, method: str, path: str, body: Any = None, scope: str = "server") -> httpx.Response:
    """Call after everything that was sent is projected, as a projector would."""
    await workspace.project()
    content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    async with workspace.client(scope) as client:
        return await client.request(method, f"/v1/{path}", content=content)


async def begun(workspace: Workspace) -> None:
    assert (await call(workspace, "PUT", "campaigns/c", {"name": "C", "starts_on": "2026-05-01"})).status_code == 201
    assert (await call(workspace, "PUT", "assets/a", {"asset_type": "form"})).status_code == 201


@pytest.mark.parametrize(
    ("path", "body", "status", "code", "field"),
    [
        ("campaigns/c", b"null", 422, "wrong_type", None), ("campaigns/c", b"[]", 422, "wrong_type", None), ("campaigns/c", b"{", 400, "not_json", None),
        ("campaigns/c", DEEP, 400, "not_json", None), ("campaigns/c", b'{"a":' * 20_000, 413, "too_large", None),
        ("campaigns/c", b'{"budget":1e400}', 400, "not_json", None), ("campaigns/c", b'{"budget":NaN}', 400, "not_json", None),
        ("campaigns/c", '{"name":"x"}'.encode("utf-16"), 400, "not_json", None), ("campaigns/c", b'{"name":"\xff"}', 400, "not_json", None),
        ("campaigns/c", b'{"name":"\\ud800"}', 400, "not_json", None), ("campaigns/c", b'{"name":"a\\u0000"}', 422, "bad_value", None),
        ("campaigns/c", {"__proto__": {}}, 422, "unknown_field", "__proto__"), ("campaigns/c", {"campaign_id": "d"}, 422, "unknown_field", "campaign_id"),
        ("campaigns/c", {"type": "campaign_deleted"}, 422, "unknown_field", "type"), ("campaigns/c", {"occurred_at": "2020-01-01T00:00:00Z"}, 422, "unknown_field", "occurred_at"),
        ("campaigns/c", {"budget": "9" * 40, "currency": "EUR"}, 422, "bad_value", "budget"),
        ("campaigns/c", {"budget": "0.00000000000000000000000000000000000000001", "currency": "EUR"}, 422, "bad_value", "budget"),
        ("campaigns/c", {"starts_on": "0000-00-00"}, 422, "bad_value", "starts_on"), ("campaigns/c", {"starts_on": "2026-02-30"}, 422, "bad_value", "starts_on"),
        ("campaigns/c", {"starts_on": 20260501}, 422, "wrong_type", "starts_on"), ("campaigns/c", {"ends_on": "0001-01-01"}, 422, "bad_value", "ends_on"),
        ("campaigns/c", {"goals": {"nonsense": "1"}}, 422, "bad_value", "goals"), ("campaigns/c", {"goals": []}, 422, "wrong_type", "goals"),
        ("campaigns/c?move=maybe", {"name": "D"}, 422, "bad_parameter", "move"), ("campaigns/c?move=true&move=false", {"name": "D"}, 422, "bad_parameter", "move"),
        ("campaigns/c?%00=1", {"name": "D"}, 422, "unknown_parameter", "\0"), ("campaigns/%00", {"name": "D"}, 422, "bad_parameter", "campaign_id"),
        ("campaigns/%E2%80%AE", {"name": "D"}, 422, "bad_value", "campaign_id"), ("campaigns/" + "x" * 257, {}, 422, "bad_value", "campaign_id"),
        ("campaigns/c/", {"name": "D"}, 404, "not_found", None), ("campaigns/../campaigns/c/x", {"name": "D"}, 404, "not_found", None),
        ("campaigns/c/assets/nothing/a", None, 422, "bad_value", "asset_type"), ("campaigns/c/assets/FORM/a", None, 422, "bad_value", "asset_type"),
        ("campaigns/c/assets/form%2Fa", None, 404, "not_found", None), ("campaigns/c/assets/form/a%00", None, 422, "bad_parameter", "asset_id"),
        ("campaigns/c/spend/s", {**MONEY, "amount": "1" * 40, "on": "2026-05-01"}, 422, "bad_value", "amount"),
        ("campaigns/c/spend/s", {**MONEY, "amount": 1, "on": "2026-05-01"}, 422, "wrong_type", "amount"),
        ("campaigns/c/spend/s", {**MONEY, "on": "0000-01-01"}, 422, "bad_value", "on"), ("campaigns/c/spend/s", {**MONEY, "on": "2026-05-01T00:00:00Z"}, 422, "bad_value", "on"),
        ("campaigns/c/spend/s", {**MONEY, "on": "2026-05-01", "asset_id": "none"}, 404, "unknown_asset", "asset_id"),
        ("campaigns/c/spend/%00", {**MONEY, "on": "2026-05-01"}, 422, "bad_parameter", "item_id"),
        ("assets/b", {"asset_type": "tracking_url", "target_url": "https://xn--/"}, 422, "bad_value", "target_url"),
        ("assets/b", {"asset_type": "tracking_url", "target_url": "https://xn--a.example/"}, 422, "bad_value", "target_url"),
        ("assets/b", {"asset_type": "tracking_url", "target_url": "https://\u00ad.example/"}, 422, "bad_value", "target_url"),
        ("assets/b", {"asset_type": "tracking_url", "target_url": "https://a.example:65536/"}, 422, "bad_value", "target_url"),
    ],
)  # fmt: skip
def test_a_call_of_the_catalog_that_is_wrong_says_where_and_changes_nothing(
    workspace: Workspace, runner: asyncio.Runner, path: str, body: Any, status: int, code: str, field: str | None
) -> None:
    async def check() -> None:
        await begun(workspace)
        end = await workspace.running.log.end(workspace.partition)
        answer = await call(workspace, "PUT", path, body)
        assert (answer.status_code, answer.json()["code"], answer.json().get("field")) == (status, code, field), (
            answer.text
        )
        assert answer.headers["content-type"] == "application/problem+json"
        assert len(answer.json()["detail"]) < 1_000
        assert await workspace.running.log.end(workspace.partition) == end

    runner.run(check())


def test_a_byte_order_mark_before_the_body_of_a_call_is_ignored(workspace: Workspace, runner: asyncio.Runner) -> None:
    answer = runner.run(call(workspace, "PUT", "campaigns/c", b'\xef\xbb\xbf{"name":"C"}'))
    assert (answer.status_code, answer.json()["changed"]) == (201, True)


ODD_ITEMS: list[Any] = [1, None, {}, [], {"asset_id": 1}, {"asset_id": ""}, {"asset_id": "a\0"}, {"asset_id": "a", "y": 1}, {"asset_id": "x" * 300},
                        {"asset_id": "a", "asset_type": "thing"}]  # fmt: skip


def test_of_many_odd_assets_each_is_refused_and_the_good_ones_are_associated(
    workspace: Workspace, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        await begun(workspace)
        answer = await call(
            workspace, "POST", "campaigns/c/assets", {"assets": [*ODD_ITEMS, {"asset_id": "a"}, {"asset_id": "a"}]}
        )
        result = answer.json()
        assert (answer.status_code, result["associated"], result["refused"]) == (207, 1, len(ODD_ITEMS))
        assert [item["index"] for item in result["items"] if "code" in item] == list(range(len(ODD_ITEMS)))
        assert [item["changed"] for item in result["items"] if "code" not in item] == [True, False]
        for body, status in (
            (DEEP, 422),
            (b'{"assets":' + DEEP[8:], 400),
            ({"assets": [{"asset_id": "a"}] * 1_001}, 413),
            ({}, 422),
        ):
            assert (await call(workspace, "POST", "campaigns/c/assets", body)).status_code == status

    runner.run(check())


@pytest.mark.parametrize(
    ("at", "says"),
    [
        ("0000-01-01T00:00:00Z", "Invalid"), ("0001-01-01T00:00:00+14:00", "expired already"), ("9999-12-31T23:59:59-14:00", "after the year 9999"),
        ("9999-12-31T23:59:59.999999Z", None), ("2026-02-30T00:00:00Z", "Invalid"), ("2099-01-01", "Invalid"),
    ],
)  # fmt: skip
def test_a_token_expires_at_any_instant_that_there_is(
    workspace: Workspace, runner: asyncio.Runner, at: str, says: str | None
) -> None:
    body = {"contacts": [{"email": "kari@example.no"}], "expires_at": at}
    answer = runner.run(call(workspace, "POST", "contact-tokens", body))
    assert answer.status_code == (200 if says is None else 422), answer.text
    assert says is None or says in answer.json()["detail"]


CAMPAIGN_OF_ALL_TIME = {"starts_on": "0001-01-01", "ends_on": "9999-12-31", "budget": "-99999999999999.99", "currency": "EUR",
                        "goals": {"sessions": "99999999999999"}}  # fmt: skip


def test_dates_at_the_ends_of_time_and_the_largest_amounts_are_read_back(
    workspace: Workspace, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        await begun(workspace)
        assert (await call(workspace, "PUT", "campaigns/all", CAMPAIGN_OF_ALL_TIME)).status_code == 201
        for n, day in enumerate(("0001-01-01", "9999-12-31")):
            item = {"amount": "99999999999999.99", "currency": "EUR", "on": day}
            assert (await call(workspace, "PUT", f"campaigns/all/spend/{n}", item)).status_code == 201
        assert (
            await call(
                workspace,
                "POST",
                "preview",
                {"events": [{"type": "campaign_updated", "campaign_id": "all", "name": "x"}]},
            )
        ).status_code == 200
        for path in (
            "campaigns", "campaigns?format=csv", "campaigns?sort=-sessions&series=sessions&interval=month&from=2026-01-01&to=2026-06-01",
            "campaigns/all", "campaigns/all/overview", "campaigns/all/overview?from=2026-01-01&to=2026-06-01&compare=year", "campaigns/all/spend",
            "campaigns/all/spend?format=csv", "campaigns/all/overview?from=0001-01-01&to=9999-12-31",
        ):  # fmt: skip
            answer = await call(workspace, "GET", path, scope="read")
            assert answer.status_code == 200, (path, answer.text)
        spent = (await call(workspace, "GET", "campaigns/all/spend", scope="read")).json()
        assert {item["on"] for item in spent["items"]} == {"0001-01-01", "9999-12-31"}

    runner.run(check())


@pytest.mark.parametrize(
    "target",
    ["https://xn--/", "https://xn--a.example/", "https://[::1/", "https://a..example/x\\y", "https://\u00ad.example/"],
)
def test_a_link_to_an_address_that_no_browser_reads_is_404(
    workspace: Workspace, runner: asyncio.Runner, target: str
) -> None:
    """An event may register any text; a call of the catalog may not."""

    async def check() -> None:
        registered = {"type": "asset_registered", "asset_id": "l", "asset_type": "tracking_url", "target_url": target}
        assert (await workspace.send(registered)).json()["accepted"] == 1
        await workspace.project()
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(workspace.running.app), base_url="http://t"
        ) as client:
            answer = await client.get(f"/r/{workspace.keys['collect']}/l")
        assert (answer.status_code, "location" in answer.headers) == (404, False)

    runner.run(check())


@pytest.mark.parametrize(
    "query",
    ["utm_source=%0d%0aSet-Cookie:a=b", "utm_source=%ff", "gclid=%00", "gclid=%F0%9F%92%A9", "utm_source=" + "x" * 5_000, "v=%00&c=%00", "c=tlt_" + "x" * 9_000,
     "utm_campaign[]=x", "%75tm_source=a", "&".join(f"utm_source={n}" for n in range(500)), "tl_via=other", "utm_source=a%26b%3Dc%23d"],
)  # fmt: skip
def test_nothing_in_a_links_query_leads_elsewhere_or_adds_a_header(
    workspace: Workspace, runner: asyncio.Runner, query: str
) -> None:
    async def check() -> None:
        link = {"asset_type": "cta", "target_url": "https://shop.example/buy?q=1#f"}
        assert (await call(workspace, "PUT", "assets/l", link)).status_code == 201
        await workspace.project()
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(workspace.running.app), base_url="http://t"
        ) as client:
            answer = await client.get(f"/r/{workspace.keys['collect']}/l?{query}", headers={"User-Agent": FIREFOX})
        assert answer.status_code == 302, answer.text
        leads_to = httpx.URL(answer.headers["location"])
        assert (leads_to.scheme, leads_to.host, leads_to.path, leads_to.fragment) == (
            "https",
            "shop.example",
            "/buy",
            "f",
        )
        assert (leads_to.params["q"], leads_to.params["tl_via"], "set-cookie" in answer.headers) == ("1", "l", False)

    runner.run(check())


PIXEL = [
    ("v=v&u=https://x.example/", None), ("v=%ff&u=%ff%fe", None), ("v=v&v=w&u=x&u=y", None), ("v=v&u=javascript:alert(1)", None), ("u=%E2%80%AE", None),
    ("v=%00&u=x", "bad_value"), ("v=v&u=", "bad_value"), ("v=undefined&u=x", "names_nobody"), ("v=" + "v" * 300 + "&u=x", "bad_value"),
    ("t=open&a=a", "missing_field"), ("t=open&a=%00&c=tlt_x", "bad_value"), ("t=%00", "bad_value"), ("c=tlt_" + "A" * 5_000, "bad_value"),
    ("t=open&a=a&c=" + "é" * 100, "bad_value"), ("u=https://x.example/?a=%2500%26utm_source=%2500", "bad_value"),
]  # fmt: skip


def test_of_odd_pixels_each_is_the_picture_and_recorded_or_kept(workspace: Workspace, runner: asyncio.Runner) -> None:
    async def check() -> None:
        before = await workspace.running.log.end(workspace.partition)
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(workspace.running.app), base_url="http://t"
        ) as client:
            for query, refused in PIXEL:
                answer = await client.get(f"/v1/p.gif?k={workspace.keys['collect']}&{query}")
                assert (answer.status_code, answer.content[:6]) == (200, b"GIF89a")
                assert answer.headers.get("touchline-refused") == refused, query
        kept = await workspace.running.pool.fetchval(
            "SELECT count(*) FROM touchline.dead_letter WHERE workspace_id = $1", workspace.name
        )
        assert kept == sum(refused is not None for _, refused in PIXEL)
        assert await workspace.running.log.end(workspace.partition) - before == len(PIXEL) - kept

    runner.run(check())


def head(*lines: str, key: str) -> bytes:
    return "\r\n".join(["POST /v1/events HTTP/1.1", "Host: t", f"Authorization: Bearer {key}", *lines, "", ""]).encode()


CHUNKED = b"%x\r\n%s\r\n0\r\n\r\n" % (len(VISIT), VISIT)
SECOND = b"GET /healthz HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize(
    ("lines", "body"),
    [
        (["Content-Length: 5", f"Content-Length: {len(VISIT)}"], VISIT), (["Content-Length: -1"], VISIT), (["Content-Length: +54"], VISIT),
        (["Content-Length: 0x10"], VISIT), ([f"Content-Length: {len(VISIT)}", "Transfer-Encoding: chunked"], CHUNKED),
        (["Transfer-Encoding: chunked", "Transfer-Encoding: identity"], CHUNKED), (["Transfer-Encoding: xchunked"], CHUNKED),
        (["Transfer-Encoding : chunked"], CHUNKED), (["X: a", " folded: b", f"Content-Length: {len(VISIT)}"], VISIT),
        (["X\0Y: a", f"Content-Length: {len(VISIT)}"], VISIT), (["X: a\0b", f"Content-Length: {len(VISIT)}"], VISIT),
    ],
)  # fmt: skip
def test_a_request_whose_length_can_be_read_in_two_ways_is_refused_and_hides_no_second_one(
    workspace: Workspace, runner: asyncio.Runner, lines: list[str], body: bytes
) -> None:
    async def check() -> None:
        end = await workspace.running.log.end(workspace.partition)
        async with served(workspace.running) as port:
            answer = await talk(port, head(*lines, key=workspace.keys["server"]) + body + SECOND)
        assert answer.startswith(b"HTTP/1.1 400 "), answer[:200]
        assert answer.count(b"HTTP/1.1 ") == 1
        assert await workspace.running.log.end(workspace.partition) == end

    runner.run(check())


@pytest.mark.parametrize(
    "forwarded",
    ["a,b,c", "fe80::1%eth0", "999.1.1.1", "1.2.3.4:80", "[::1]:80", ", ,", "x" * 8_000, "unknown", "::ffff:1.2.3.4"],
)
def test_an_address_that_is_none_is_no_error(
    running: Running, workspace: Workspace, runner: asyncio.Runner, forwarded: str
) -> None:
    async def check() -> bytes:
        lines = (
            f"X-Forwarded-For: {forwarded}",
            "X-Forwarded-Proto: javascript",
            f"Content-Length: {len(VISIT)}",
            "Connection: close",
        )
        async with served(running) as port:
            return await talk(port, head(*lines, key=workspace.keys["collect"]) + VISIT)

    assert runner.run(check()).startswith(b"HTTP/1.1 202 ")
