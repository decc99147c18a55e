"""Web pages send with a collect key: which key, from pages of which origin, and what they may read of the answers."""

import asyncio
import json
import time

import httpx
import pytest

from shared.access.keys import create_key, revoke_keys, set_origins
from shared.access.origins import allows, read_origin, read_origins
from shared.store.browser_notices import ROWS_MAX, Notice, read_notices, write_notices
from tests.conftest import Workspace, new_workspace
from touchline.compose import Running

SHOP, OTHER = "https://shop.example", "https://other.example"
VISIT = {"type": "page_visited", "visitor_id": "visitor-1", "url": "https://shop.example/"}
CORS = "access-control-allow-origin"
WRITTEN_S = 60.0  # notices are written once a second; a busy machine takes longer


@pytest.fixture
def shop(running: Running, runner: asyncio.Runner, request: pytest.FixtureRequest) -> tuple[Workspace, str]:
    """A workspace, and a collect key of it for the pages of one site."""

    async def made() -> tuple[Workspace, str]:
        workspace = await new_workspace(running, request.node.name[:40])
        async with running.pool.acquire() as connection:
            return workspace, await create_key(connection, workspace.name, "collect", [SHOP, "https://*.shop.example"])

    return runner.run(made())


async def call(running: Running, method: str, url: str, **options: object) -> httpx.Response:
    transport = httpx.ASGITransport(running.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://t.shop.example") as client:
        return await client.request(method, url, **options)  # type: ignore[arg-type]


async def beacon(running: Running, url: str, origin: str | None, event: object = VISIT) -> httpx.Response:
    headers = {"Content-Type": "text/plain;charset=UTF-8"} | ({"Origin": origin} if origin else {})
    return await call(running, "POST", url, headers=headers, content=json.dumps(event))


async def noticed(
    running: Running, workspace: str, notice: str, origin: str | None = None, requests: int = 1
) -> list[dict[str, object]]:
    """The notices of a kind and an origin (None: of any), as soon as they are written and tell of so many requests."""
    until_s = time.monotonic() + WRITTEN_S
    async with running.pool.acquire() as connection:
        while time.monotonic() < until_s:
            rows = [
                row
                for row in await read_notices(connection, workspace)
                if row["notice"] == notice and origin in (None, row["origin"])
            ]
            if sum(row["requests"] for row in rows) >= requests:
                return rows
            await asyncio.sleep(0.1)
    return []


async def projected(workspace: Workspace) -> list[dict[str, object]]:
    """The touches of the workspace, by their instants."""
    await workspace.project()
    generation = workspace.running.generation
    assert generation is not None
    rows = await workspace.running.pool.fetch(
        f'SELECT t.* FROM "{generation.name}".touch t JOIN "{generation.name}".workspace_rows w USING (ws) '
        "WHERE w.workspace_id = $1 ORDER BY occurred_at_us", workspace.name,
    )  # fmt: skip
    return [dict(row) for row in rows]


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("https://Shop.Example/", "https://shop.example"), ("https://shop.example:443", "https://shop.example"),
        ("http://localhost:8080", "http://localhost:8080"), ("https://*.Bücher.example", "https://*.xn--bcher-kva.example"),
        ("http://[::1]:9000", "http://[::1]:9000"), (" http://127.0.0.1:80 ", "http://127.0.0.1"),
    ],
)  # fmt: skip
def test_an_origin_is_read_as_browsers_write_it(value: str, read: str) -> None:
    assert read_origin(value) == read


@pytest.mark.parametrize(
    "value",
    ["shop.example", "https://shop.example/path", "https://", "*", "https://*", "ftp://shop.example", "https://a b.example", "null",
     "https://shop.example:port", "https://user@shop.example", "https://shop.example?x", "https://*.*.example", "https://shop..example", "https://.shop.example",
     "https://shop.example:0", "https://shop.example."],
)  # fmt: skip
def test_what_is_no_origin_is_refused_by_its_text(value: str) -> None:
    with pytest.raises(ValueError, match="not an origin such as"):
        read_origins([SHOP, value])


def test_a_star_stands_for_subdomains_and_not_for_the_host_itself() -> None:
    listed = ["https://*.shop.example"]
    assert allows(listed, "https://www.shop.example")
    assert allows(listed, "https://a.b.shop.example")
    assert not allows(listed, SHOP)
    assert not allows(listed, "http://www.shop.example")
    assert not allows(listed, "https://www.shop.example:8443")
    assert not allows(listed, "https://evilshop.example")
    assert not allows([], SHOP)
    assert allows(None, "null")


def test_a_page_sends_a_beacon_with_the_key_in_the_url(shop: tuple[Workspace, str], runner: asyncio.Runner) -> None:
    workspace, key = shop
    answer = runner.run(beacon(workspace.running, f"/v1/events?k={key}", SHOP))
    assert answer.status_code == 202
    assert answer.json()["accepted"] == 1
    assert answer.headers[CORS] == SHOP
    assert answer.headers["access-control-allow-credentials"] == "true"


def test_a_page_of_another_origin_is_refused_and_noted(shop: tuple[Workspace, str], runner: asyncio.Runner) -> None:
    workspace, key = shop

    async def refused() -> None:
        for headers in ({}, {"Authorization": f"Bearer {key}"}):
            url = "/v1/events" if headers else f"/v1/events?k={key}"
            answer = await call(workspace.running, "POST", url, headers={"Origin": OTHER, **headers}, json=VISIT)
            assert answer.status_code == 403
            assert answer.json()["code"] == "origin_not_allowed"
            assert OTHER in answer.json()["detail"]
            assert CORS not in answer.headers
        (notice,) = await noticed(workspace.running, workspace.name, "origin_not_allowed", requests=2)
        assert (notice["origin"], notice["key"], notice["requests"]) == (OTHER, key[:8], 2)

    runner.run(refused())


@pytest.mark.parametrize("origin", ["null", "https://shop.example.evil.example", "http://shop.example"])
def test_origins_that_look_similar_are_different(
    shop: tuple[Workspace, str], runner: asyncio.Runner, origin: str
) -> None:
    workspace, key = shop
    assert runner.run(beacon(workspace.running, f"/v1/events?k={key}", origin)).status_code == 403


def test_a_program_without_an_origin_may_use_the_key(shop: tuple[Workspace, str], runner: asyncio.Runner) -> None:
    workspace, key = shop
    assert runner.run(beacon(workspace.running, f"/v1/events?k={key}", None)).status_code == 202


async def preflight(running: Running, url: str, origin: str) -> httpx.Response:
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
    }
    return await call(running, "OPTIONS", url, headers=headers)


def test_preflight_requests_are_answered(shop: tuple[Workspace, str], runner: asyncio.Runner) -> None:
    workspace, key = shop
    for url in ("/v1/events", f"/v1/events?k={key}", "/segment/v1/track"):
        answer = runner.run(preflight(workspace.running, url, SHOP))
        assert answer.status_code == 200
        assert answer.headers[CORS] in (SHOP, "*")
        assert "authorization" in answer.headers["access-control-allow-headers"]


def test_a_preflight_request_of_another_page_is_refused_and_noted(
    shop: tuple[Workspace, str], runner: asyncio.Runner
) -> None:
    workspace, key = shop
    answer = runner.run(preflight(workspace.running, f"/v1/events?k={key}", OTHER))
    assert answer.status_code == 403
    assert CORS not in answer.headers
    (notice,) = runner.run(noticed(workspace.running, workspace.name, "origin_not_allowed"))
    assert notice["origin"] == OTHER


@pytest.mark.parametrize("scope", ["server", "read", "admin"])
def test_a_secret_key_in_a_url_is_refused_with_the_reason(
    workspace: Workspace, runner: asyncio.Runner, scope: str
) -> None:
    secret, public = workspace.keys[scope], workspace.keys["collect"]
    for query in (f"k={secret}&k={public}", f"k={public}&k={secret}", f"k={secret}"):
        answer = runner.run(beacon(workspace.running, f"/v1/events?{query}", SHOP))
        assert (answer.status_code, answer.json()["code"]) == (401, "key_in_url")
        asked = runner.run(preflight(workspace.running, f"/v1/events?{query}", SHOP))
        assert (asked.status_code, CORS in asked.headers) == (401, False)
    assert "logs" in answer.json()["detail"]
    assert CORS not in answer.headers
    (notice,) = runner.run(noticed(workspace.running, workspace.name, "secret_key_in_browser"))
    assert (notice["key"], notice["origin"]) == (workspace.keys[scope][:8], SHOP)


@pytest.mark.parametrize("key", ["tlc_short", "", "my-key"])
def test_a_text_that_is_no_key_is_reported_as_an_unknown_key(
    workspace: Workspace, runner: asyncio.Runner, key: str
) -> None:
    page = f"https://{len(key)}.lost.example"
    answer = runner.run(beacon(workspace.running, f"/v1/events?k={key}", page))
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
    assert runner.run(noticed(workspace.running, "default", "unknown_key", page))


def test_a_page_that_may_use_the_key_by_now_is_no_longer_listed(
    shop: tuple[Workspace, str], runner: asyncio.Runner
) -> None:
    workspace, key = shop

    async def check() -> None:
        assert (await beacon(workspace.running, f"/v1/events?k={key}", OTHER)).status_code == 403
        assert await noticed(workspace.running, workspace.name, "origin_not_allowed")
        async with workspace.running.pool.acquire() as connection:
            await set_origins(connection, workspace.name, key, [SHOP, OTHER])
        assert (await workspace.get("/v1/browsers")).json()["notices"] == []

    runner.run(check())


def test_a_server_key_in_a_page_is_refused_and_noted(workspace: Workspace, runner: asyncio.Runner) -> None:
    headers = {"Authorization": f"Bearer {workspace.keys['server']}"}
    for origin in ("http://[::1", "null", OTHER):
        sent = headers | {"Origin": origin}
        answer = runner.run(call(workspace.running, "POST", "/v1/events", headers=sent, json=VISIT))
        assert (answer.status_code, answer.json()["code"]) == (403, "secret_key_in_browser")
        assert CORS not in answer.headers
    assert runner.run(noticed(workspace.running, workspace.name, "secret_key_in_browser"))
    ours = headers | {"Origin": "http://t.shop.example"}
    assert runner.run(call(workspace.running, "POST", "/v1/events", headers=ours, json=VISIT)).status_code == 202


def test_reads_take_no_key_in_the_url_and_give_pages_nothing(workspace: Workspace, runner: asyncio.Runner) -> None:
    for scope in ("collect", "read"):
        url = f"/v1/status?k={workspace.keys[scope]}"
        answer = runner.run(call(workspace.running, "GET", url, headers={"Origin": SHOP}))
        assert (answer.status_code, answer.json()["code"]) == (401, "key_in_url")
        assert CORS not in answer.headers


def test_a_revoked_key_is_noted_in_its_workspace_and_an_unknown_one_for_the_operator(
    shop: tuple[Workspace, str], runner: asyncio.Runner
) -> None:
    workspace, key = shop

    async def sent() -> None:
        async with workspace.running.pool.acquire() as connection:
            await revoke_keys(connection, workspace.name, key)
        assert (await beacon(workspace.running, f"/v1/events?k={key}", SHOP)).status_code == 401
        (revoked,) = await noticed(workspace.running, workspace.name, "revoked_key")
        assert (revoked["origin"], revoked["key"]) == (SHOP, key[:8])
        wrong = "tlc_" + "x" * 32
        answer = await beacon(workspace.running, f"/v1/events?k={wrong}", "https://lost.example")
        assert answer.status_code == 401
        assert answer.headers[CORS] == "https://lost.example"  # the page may read that its key is wrong
        assert await noticed(workspace.running, "default", "unknown_key", "https://lost.example")

    runner.run(sent())


def test_notices_of_a_key_are_bounded_and_the_oldest_make_room(workspace: Workspace, runner: asyncio.Runner) -> None:
    async def written() -> list[dict[str, object]]:
        for n in range(0, ROWS_MAX + 60, 20):
            batch = {
                Notice(f"https://{n + i}.example", "origin_not_allowed", workspace.name, "tlc_test"): 1
                for i in range(20)
            }
            await write_notices(workspace.running.pool, batch)
        async with workspace.running.pool.acquire() as connection:
            return await read_notices(connection, workspace.name)

    rows = runner.run(written())
    assert len(rows) == ROWS_MAX
    assert "https://0.example" not in {row["origin"] for row in rows}


def test_the_pixel_keeps_to_the_origins_and_takes_notes(shop: tuple[Workspace, str], runner: asyncio.Runner) -> None:
    workspace, key = shop

    async def asked() -> None:
        for page, refused in ((SHOP + "/", None), (OTHER + "/", "origin_not_allowed")):
            url = f"/v1/p.gif?k={key}&v=visitor-1&u={page}"
            answer = await call(workspace.running, "GET", url, headers={"Referer": page})
            assert (answer.status_code, answer.headers["content-type"]) == (200, "image/gif")
            assert answer.headers.get("touchline-refused") == refused
        for t, notice in (("waiting", "consent_awaited"), ("blocked", "blocked_by_policy")):
            await call(workspace.running, "GET", f"/v1/p.gif?k={key}&t={t}", headers={"Referer": SHOP + "/"})
            (row,) = await noticed(workspace.running, workspace.name, notice)
            assert row["origin"] == SHOP

    runner.run(asked())
    rows = runner.run(projected(workspace))
    assert [row["url"] for row in rows] == [SHOP + "/"]


@pytest.mark.parametrize(
    ("host", "origin", "domain"),
    [
        ("t.shop.example", "https://www.shop.example", "; Domain=shop.example; Secure"),
        ("t.shop.co.uk", "http://shop.co.uk", "; Domain=shop.co.uk"),
        ("127.0.0.1:8300", "http://127.0.0.1:9000", ""), ("localhost:8300", "http://localhost", ""),
        ("t.shop.example", "https://other.example", None), ("t.github.io", "https://shop.github.io", None),
        ("[::1", "http://[::1", None), ("t.shop.example", "http://[::1", None), ("[t.shop.example", "https://t.shop.example", None),
        ("localhost", "http://127.0.0.1", None), ("shop.co.uk", "https://other.co.uk", None),
    ],
)  # fmt: skip
def test_the_server_sets_the_cookie_on_its_own_site_alone(
    workspace: Workspace, runner: asyncio.Runner, host: str, origin: str, domain: str | None
) -> None:
    url = f"/v1/events?k={workspace.keys['collect']}&c=1"
    headers = {"Host": host, "Origin": origin}
    answer = runner.run(call(workspace.running, "POST", url, headers=headers, json=VISIT))
    assert answer.status_code == 202
    cookie = answer.headers.get("set-cookie")
    expected = None if domain is None else f"tl_visitor=visitor-1; Max-Age=34128000; Path=/; SameSite=Lax{domain}"
    assert cookie == expected


@pytest.mark.parametrize("visitor", ["a b-cdefgh", "x; Domain=evil.example", "short", None])
def test_the_server_sets_no_cookie_of_another_form(
    workspace: Workspace, runner: asyncio.Runner, visitor: str | None
) -> None:
    url = f"/v1/events?k={workspace.keys['collect']}&c=1"
    event = VISIT | {"visitor_id": visitor} if visitor else {"type": "page_visited", "url": "https://shop.example/"}
    answer = runner.run(beacon(workspace.running, url, "https://www.shop.example", event))
    assert answer.status_code == 202
    assert "set-cookie" not in answer.headers


def test_keys_are_made_listed_and_revoked_over_http(workspace: Workspace, runner: asyncio.Runner) -> None:
    async def done() -> None:
        async with workspace.client("admin") as client:
            made = await client.post("/v1/keys", json={"scope": "collect", "origins": ["https://Shop.example/"]})
            assert made.status_code == 201
            key, name = made.json()["key"], made.json()["name"]
            assert made.json()["origins"] == [SHOP]
            (item,) = [i for i in (await client.get("/v1/keys")).json()["items"] if i["name"] == name]
            assert (item["scope"], item["origins"], item["revoked_at"]) == ("collect", [SHOP], None)
            assert key not in (await client.get("/v1/keys")).text
            put = await client.put(f"/v1/keys/{name}/origins", json={"origins": [OTHER]})
            assert put.json() == {"name": name, "scope": "collect", "origins": [OTHER]}
            assert (await beacon(workspace.running, f"/v1/events?k={key}", OTHER)).status_code == 202
            assert (await client.delete(f"/v1/keys/{name}")).status_code == 204
            assert (await client.delete(f"/v1/keys/{name}")).status_code == 404
            again = await client.put(f"/v1/keys/{name}/origins", json={"origins": None})
            assert again.status_code == 404

    runner.run(done())


def test_bad_calls_about_keys_say_what_is_wrong(workspace: Workspace, runner: asyncio.Runner) -> None:
    async def done() -> None:
        async with workspace.client("admin") as client:
            for body, field in (
                ({"scope": "owner"}, "scope"), ({"scope": "server", "origins": [SHOP]}, "origins"),
                ({"scope": "collect", "origins": ["shop"]}, "origins"), ({"scope": "collect", "x": 1}, "x"), ([], None),
            ):  # fmt: skip
                answer = await client.post("/v1/keys", json=body)
                assert (answer.status_code, answer.json()["field"]) == (422, field)
            server = workspace.keys["server"][:8]
            assert (await client.put(f"/v1/keys/{server}/origins", json={"origins": [SHOP]})).status_code == 422
            own = workspace.keys["admin"][:8]
            assert (await client.delete(f"/v1/keys/{own}")).json()["code"] == "own_key"
        for scope in ("collect", "server", "read"):
            async with workspace.client(scope) as client:
                assert (await client.get("/v1/keys")).status_code == 403
                assert (await client.post("/v1/keys", json={"scope": "read"})).status_code == 403

    runner.run(done())


def test_a_workspace_cannot_touch_the_keys_of_another(
    running: Running, workspace: Workspace, runner: asyncio.Runner
) -> None:
    other = runner.run(new_workspace(running, "other"))

    async def tried() -> None:
        async with other.client("admin") as client:
            name = workspace.keys["collect"][:8]
            if name != other.keys["collect"][:8]:
                assert (await client.delete(f"/v1/keys/{name}")).status_code == 404
            assert workspace.keys["server"][:8] not in {
                i["name"] for i in (await client.get("/v1/keys")).json()["items"]
            }
        assert (await workspace.send(VISIT)).status_code == 202

    runner.run(tried())


def test_changed_origins_are_in_force_within_seconds(shop: tuple[Workspace, str], runner: asyncio.Runner) -> None:
    workspace, key = shop

    async def changed() -> bool:
        assert (await beacon(workspace.running, f"/v1/events?k={key}", OTHER)).status_code == 403
        async with workspace.client("admin") as client:
            await client.put(f"/v1/keys/{key[:8]}/origins", json={"origins": None})
        until = time.monotonic() + 30
        while time.monotonic() < until:
            if (await beacon(workspace.running, f"/v1/events?k={key}", OTHER)).status_code == 202:
                return True
            await asyncio.sleep(0.5)
        return False

    assert runner.run(changed())


@pytest.mark.parametrize(
    ("query", "refused"),
    [
        ("k={collect}&v=visitor-1&u=https://shop.example/", None), ("k={collect}&v=undefined&u=https://shop.example/", "names_nobody"),
        ("k={collect}&t=nothing", "bad_value"), ("k={collect}&t=open", "missing_field"), ("k=tlc_12345678901234567890123456789012", "unauthorized"),
        ("k=", "unauthorized"), ("", "unauthorized"), ("k={collect}x", "unauthorized"), ("k={read}", "key_in_url"), ("k=tls_no_key_of_ours", "key_in_url"),
        ("k={server}&k={collect}", "key_in_url"), ("k={collect}&k={server}", "key_in_url"),
    ],
)  # fmt: skip
def test_the_pixel_says_in_a_header_why_it_recorded_nothing(
    workspace: Workspace, runner: asyncio.Runner, query: str, refused: str | None
) -> None:
    answer = runner.run(call(workspace.running, "GET", "/v1/p.gif?" + query.format(**workspace.keys)))
    assert (answer.status_code, len(answer.content)) == (200, 43)
    reply = answer.headers.get("touchline-refused")
    assert (reply and reply.partition(";")[0]) == refused
    assert len(runner.run(workspace.entries())) == (refused is None)
