"""Segment's HTTP API as SDKs and browsers meet it: keys, bodies, answers, and what became of every message."""

import asyncio
import base64
import gzip
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import zstandard
from fastapi import Request
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.ingest.dead_letters import list_letters, retry_letter
from services.ingest.producers.segment import settings_document
from services.replay.remap import Remap, Remapped
from shared.log.port import LogUnavailable, Position
from tests.conftest import Workspace
from tests.processes import start, until_projected
from tests.unit.test_segment_reading import JSON, MESSAGES

BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0"
PAGE = {"type": "page", "anonymousId": "v", "properties": {"url": "https://shop.example/?utm_campaign=c"}}
CLICK = {"type": "track", "event": "CTA Clicked", "anonymousId": "v", "properties": {"cta_id": "cta"}}
ODD = {"type": "track", "event": "Odd", "anonymousId": "v", "properties": {"id": "cta"}}
SUCCESS = (200, {"success": True})
CATALOG = [
    {"type": "campaign_created", "campaign_id": "c", "utm_campaign": "c", "occurred_at": "2024-01-01T00:00:00Z"},
    {"type": "asset_associated", "campaign_id": "c", "asset_id": "cta", "occurred_at": "2024-01-01T00:00:00Z"},
]


async def call(
    workspace: Workspace, path: str, *, key: str | None = "server", method: str = "POST", **request: Any
) -> httpx.Response:
    headers = {"User-Agent": BROWSER, **request.pop("headers", {})}
    if key is not None:
        headers["Authorization"] = "Basic " + base64.b64encode(f"{workspace.keys.get(key, key)}:".encode()).decode()
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(workspace.running.app), base_url="http://touchline"
    ) as client:
        return await client.request(method, f"/segment/v1/{path}", headers=headers, **request)


def answered(response: httpx.Response) -> tuple[int, Any]:
    return response.status_code, response.json()


async def metrics(workspace: Workspace) -> Any:
    await workspace.project()
    return (await workspace.get("/v1/campaigns/c/overview")).json()["metrics"]


async def counted(workspace: Workspace, messages: int) -> Counter[tuple[str, str, str]]:
    """Messages by name, outcome and reason, as soon as so many are counted: that is written once a second."""
    async with asyncio.timeout(60):
        while True:
            rows = await workspace.running.pool.fetch(
                "SELECT name, outcome, reason, messages FROM touchline.producer_count "
                "WHERE workspace_id = $1 AND producer = 'segment'",
                workspace.name,
            )
            found = Counter({(row["name"], row["outcome"], row["reason"]): row["messages"] for row in rows})
            if found.total() >= messages:
                return found
            await asyncio.sleep(0.1)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("page", PAGE), ("p", PAGE), ("track", CLICK), ("t", CLICK), ("screen", {**PAGE, "name": "Home"}), ("s", {**PAGE, "name": "Home"}),
        ("identify", {"anonymousId": "v", "userId": "u"}), ("i", {"anonymousId": "v", "userId": "u"}),
        ("alias", {"previousId": "v", "userId": "u"}), ("a", {"previousId": "v", "userId": "u"}),
        ("group", {"groupId": "g", "userId": "u"}), ("g", {"groupId": "g", "userId": "u"}),
        ("batch", {"batch": [PAGE, CLICK]}), ("b", {"batch": [PAGE]}), ("import", {"batch": [PAGE]}), ("batch", {"batch": []}),
        ("m", {"series": []}),
    ],
)  # fmt: skip
def test_every_call_of_the_api_is_taken_by_its_long_and_short_path(
    workspace: Workspace, runner: asyncio.Runner, path: str, expected: Any
) -> None:
    async def check() -> None:
        assert answered(await call(workspace, path, json=expected)) == SUCCESS
        assert await list_letters(workspace.running.pool, workspace.name, None, 0, 10) == []

    runner.run(check())


def as_form(content: Any) -> str:
    return quote(base64.b64encode(json.dumps(content).encode()).decode())


@pytest.mark.parametrize(
    ("content", "headers"),
    [
        (json.dumps(PAGE).encode(), {"Content-Type": "text/plain;charset=UTF-8"}),
        (json.dumps(PAGE).encode(), {"Content-Type": "application/x-www-form-urlencoded"}),
        (json.dumps(PAGE).encode(), {}),
        (b"\xef\xbb\xbf" + json.dumps(PAGE).encode(), {}),
        (gzip.compress(json.dumps(PAGE).encode(), mtime=0), {"Content-Encoding": "gzip"}),
        (gzip.compress(json.dumps(PAGE).encode(), mtime=0), {"Content-Type": "application/gzip"}),
        (json.dumps(PAGE).encode(), {"Content-Encoding": "gzip"}),
        (zstandard.compress(json.dumps(PAGE).encode()), {"Content-Encoding": "zstd"}),
        (f"data={as_form(PAGE)}".encode(), {"Content-Type": "application/x-www-form-urlencoded"}),
        (f"data={quote(json.dumps(PAGE))}".encode(), {"Content-Type": "application/x-www-form-urlencoded"}),
    ],
)  # fmt: skip
def test_a_body_is_taken_for_what_it_is_whatever_its_headers_say(
    workspace: Workspace, runner: asyncio.Runner, content: bytes, headers: Any
) -> None:
    async def check() -> None:
        await workspace.send(*CATALOG)
        assert answered(await call(workspace, "page", content=content, headers=headers)) == SUCCESS
        assert (await metrics(workspace))["page_views"] == 1

    runner.run(check())


@pytest.mark.parametrize(
    ("content", "headers", "code"),
    [
        (b"{", {}, "not_json"), (b"", {}, "not_json"), (b"[1]", {}, "not_json"),
        (gzip.compress(b"{}", mtime=0)[:12], {"Content-Encoding": "gzip"}, "bad_encoding"),
        (b"x", {"Content-Encoding": "br"}, "bad_encoding"),
        (json.dumps(PAGE | {"x": "y" * 32 * 1024}).encode(), {}, "too_large"),
        (gzip.compress(b" " * 2_000_000, mtime=0), {"Content-Encoding": "gzip"}, "too_large"),
        (b" " * 2_000_000, {}, "too_large"),
    ],
)  # fmt: skip
def test_what_is_too_large_or_no_json_is_400(
    workspace: Workspace, runner: asyncio.Runner, content: bytes, headers: Any, code: str
) -> None:
    async def check() -> None:
        response = await call(workspace, "page", content=content, headers=headers)
        assert (response.status_code, response.json()["code"]) == (400, code)

    runner.run(check())


def test_a_batch_has_2500_messages_at_most(workspace: Workspace, runner: asyncio.Runner) -> None:
    async def check() -> None:
        small = {"type": "track", "event": "O", "userId": "u"}
        assert answered(await call(workspace, "batch", json={"batch": [small] * 2500})) == SUCCESS
        response = await call(workspace, "batch", json={"batch": [small] * 2501})
        assert (response.status_code, response.json()["code"]) == (400, "too_many_events")

    runner.run(check())


def test_a_message_of_a_batch_that_is_too_large_is_refused_and_the_others_count(
    workspace: Workspace, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        large = PAGE | {"messageId": "large", "x": "y" * 32 * 1024}
        request_body = {
            "batch": [PAGE, large, ODD, large | {"type": "track", "event": "Odd"}],
            "context": {"locale": "nb-NO"},
        }
        assert answered(await call(workspace, "batch", json=request_body)) == SUCCESS
        assert await counted(workspace, 4) == {
            ("page", "mapped", ""): 1, ("page", "refused", "too_large"): 1, ("Odd", "unmapped", ""): 1, ("Odd", "refused", "too_large"): 1,
        }  # fmt: skip

    runner.run(check())


def test_a_request_that_is_longer_than_any_is_counted(workspace: Workspace, runner: asyncio.Runner) -> None:
    async def check() -> None:
        assert (await call(workspace, "batch", content=b" " * 2_000_000)).status_code == 400
        assert await counted(workspace, 1) == {("(body)", "refused", "too_large"): 1}

    runner.run(check())


def test_the_write_key_may_stand_in_the_body_or_in_its_messages(workspace: Workspace, runner: asyncio.Runner) -> None:
    async def check() -> None:
        await workspace.send(*CATALOG)
        key = {"writeKey": workspace.keys["collect"]}
        for path, request_body in (
            ("page", PAGE | key),
            ("b", {"batch": [PAGE], **key}),
            ("b", {"batch": [PAGE | key, PAGE]}),
        ):
            assert (
                answered(
                    await call(
                        workspace,
                        path,
                        key=None,
                        content=json.dumps(request_body),
                        headers={"Content-Type": "text/plain"},
                    )
                )
                == SUCCESS
            )
        bearer = {"Authorization": f"Bearer {workspace.keys['server']}"}
        assert answered(await call(workspace, "page", key=None, json=PAGE, headers=bearer)) == SUCCESS
        assert (await metrics(workspace))["page_views"] == 5

    runner.run(check())


@pytest.mark.parametrize(
    ("key", "status", "code"),
    [("read", 403, "forbidden"), ("admin", 403, "forbidden"), (None, 401, "unauthorized"), ("tls_" + "x" * 32, 401, "unauthorized"),
     ("writekey", 401, "unauthorized")],
)  # fmt: skip
def test_only_collect_and_server_keys_are_write_keys(
    workspace: Workspace, runner: asyncio.Runner, key: Any, status: int, code: str
) -> None:
    async def check() -> None:
        response = await call(workspace, "page", key=key, json=PAGE)
        assert (response.status_code, response.json()["code"]) == (status, code)
        assert response.json()["message"]

    runner.run(check())


def test_no_write_key_is_kept_in_the_log_or_in_dead_letters(workspace: Workspace, runner: asyncio.Runner) -> None:
    async def check() -> None:
        key = workspace.keys["server"]
        await call(
            workspace,
            "batch",
            key=None,
            json={"batch": [ODD | {"writeKey": key}, {"type": "dance", "writeKey": key}], "writeKey": key},
        )
        letters = await list_letters(workspace.running.pool, workspace.name, None, 0, 10)
        kept = [letter.body for letter in letters] + [entry.value for entry in await workspace.entries()]
        assert len(kept) == 2
        assert not any(key.encode() in body for body in kept)

    runner.run(check())


def test_a_browser_of_any_origin_may_send_with_a_collect_key(workspace: Workspace, runner: asyncio.Runner) -> None:
    async def check() -> None:
        asks = {"Origin": "https://shop.example", "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "authorization,content-type,x-retry-count"}  # fmt: skip
        preflight = await call(workspace, "t", key=None, method="OPTIONS", headers=asks)
        assert preflight.status_code == 200
        assert preflight.headers["access-control-allow-origin"] == "*"
        assert "authorization" in preflight.headers["access-control-allow-headers"]
        sent = await call(workspace, "t", key="collect", json=CLICK, headers={"Origin": "https://shop.example"})
        assert answered(sent) == SUCCESS
        assert sent.headers["access-control-allow-origin"] == "*"
        bad = await call(workspace, "t", key="collect", content=b"{", headers={"Origin": "https://shop.example"})
        assert (bad.status_code, bad.headers["access-control-allow-origin"]) == (400, "*")

    runner.run(check())


def test_a_server_key_in_a_browser_is_refused_and_the_answer_is_not_for_its_page(
    workspace: Workspace, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        response = await call(workspace, "t", json=CLICK, headers={"Origin": "https://shop.example"})
        assert (response.status_code, response.json()["code"]) == (403, "secret_key_in_browser")
        assert "access-control-allow-origin" not in response.headers
        async with workspace.client("server") as client:
            other = await client.post("/v1/events", json=CATALOG, headers={"Origin": "https://shop.example"})
        assert "access-control-allow-origin" not in other.headers

    runner.run(check())


def test_head_and_options_show_that_the_api_is_there_and_get_records_nothing(
    workspace: Workspace, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        for path in ("batch", "t", "m"):
            head = await call(workspace, path, key=None, method="HEAD")
            assert (head.status_code, head.content) == (200, b"")
            options = await call(workspace, path, key=None, method="OPTIONS")
            assert (options.status_code, options.headers["allow"]) == (204, "POST, HEAD, OPTIONS")
        assert (await call(workspace, "batch", method="GET")).status_code == 405
        assert (await call(workspace, "dance", json=PAGE)).status_code == 404

    runner.run(check())


def test_the_settings_document_sends_the_browser_sdk_to_where_it_was_asked(
    workspace: Workspace, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        asked = {"Origin": "https://shop.example", "Host": "t.example:8300"}
        found = await call(
            workspace, f"projects/{workspace.keys['collect']}/settings", key=None, method="GET", headers=asked
        )
        assert (found.status_code, found.headers["access-control-allow-origin"]) == (200, "*")
        sending = found.json()["integrations"]["Segment.io"]
        assert (sending["apiKey"], sending["apiHost"], sending["protocol"]) == (
            workspace.keys["collect"],
            "t.example:8300/segment/v1",
            "http",
        )
        secret = await call(
            workspace, f"projects/{workspace.keys['server']}/settings", key=None, method="GET", headers=asked
        )
        assert (secret.status_code, secret.json()["code"]) == (401, "key_in_url")
        assert "access-control-allow-origin" not in secret.headers
        assert (await call(workspace, "projects/nobodys/settings", key=None, method="GET")).status_code == 404

    runner.run(check())


def test_the_settings_document_names_the_public_address_where_one_is_set() -> None:
    request = Request({"type": "http", "scheme": "http", "server": ("10.0.0.7", 8301), "path": "/", "headers": []})
    result: Any = settings_document("tlc_key", request, "https://events.shop.example/touchline")
    sending = result["integrations"]["Segment.io"]
    assert (sending["apiHost"], sending["protocol"]) == ("events.shop.example/touchline/segment/v1", "https")


def test_a_message_counts_once_however_often_it_is_sent(workspace: Workspace, runner: asyncio.Runner) -> None:
    async def check() -> None:
        await workspace.send(*CATALOG)
        for second in range(3):
            times = {"timestamp": "2025-11-25T10:00:00Z", "sentAt": f"2025-11-25T10:00:0{second}Z"}
            await call(workspace, "page", json=PAGE | {"messageId": "m", **times})
        assert (await metrics(workspace))["page_views"] == 1
        assert await list_letters(workspace.running.pool, workspace.name, None, 0, 10) == []

    runner.run(check())


def test_a_browser_whose_clock_is_years_ahead_shows_the_true_instant(
    workspace: Workspace, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        await workspace.send(*CATALOG)
        request_body = {"batch": [PAGE | {"timestamp": "2999-01-01T00:00:00Z"}], "sentAt": "2999-01-01T00:00:05Z"}
        assert answered(await call(workspace, "b", key="collect", json=request_body)) == SUCCESS
        await workspace.project()
        overview = (await workspace.get("/v1/campaigns/c/overview?from=2025-01-01&to=2900-01-01")).json()
        assert overview["metrics"]["page_views"] == 1

    runner.run(check())


def test_an_order_is_a_won_deal_of_the_contact_whose_visit_the_campaign_brought(
    workspace: Workspace, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        await workspace.send(*CATALOG)
        visit = PAGE | {"userId": "u", "timestamp": "2025-11-20T10:00:00Z"}
        order = {"type": "track", "event": "Order Completed", "userId": "u", "timestamp": "2025-11-21T10:00:00Z",
                 "properties": {"order_id": "o", "revenue": 99.9, "currency": "EUR"}}  # fmt: skip
        assert answered(await call(workspace, "batch", json={"batch": [order, visit]})) == SUCCESS
        found = await metrics(workspace)
        assert found["closed_deals"] == 1
        assert found["influenced_revenue"] == [{"amount": "99.90", "currency": "EUR"}]
        assert found["attributed_revenue"] == [{"amount": "99.90", "currency": "EUR"}]
        await call(workspace, "track", json=order | {"event": "Order Cancelled", "timestamp": "2025-11-22T10:00:00Z"})
        assert (await metrics(workspace))["closed_deals"] == 0

    runner.run(check())


def test_what_is_refused_is_kept_as_it_was_sent_and_the_others_count(
    workspace: Workspace, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        await workspace.send(*CATALOG)
        bad = {"type": "track", "event": "Form Submitted", "anonymousId": "v", "messageId": "bad"}
        batch = [
            PAGE,
            bad,
            7,
            {"type": "dance"},
            PAGE | {"anonymousId": "undefined"},
            CLICK,
            ODD,
            ODD | {"properties": {"text": "a\0b"}},
        ]
        assert answered(await call(workspace, "batch", json={"batch": batch})) == SUCCESS
        found = await metrics(workspace)
        assert (found["page_views"], found["cta_clicks"]) == (1, 1)
        letters = await list_letters(workspace.running.pool, workspace.name, None, 0, 10)
        assert [(letter.reason, letter.producer) for letter in letters] == [
            ("missing_field", "segment"), ("wrong_type", "segment"), ("unknown_type", "segment"), ("missing_field", "segment"),
            ("bad_value", "segment"),
        ]  # fmt: skip
        assert json.loads(letters[0].body) == bad
        assert await counted(workspace, 8) == {
            ("page", "mapped", ""): 1, ("CTA Clicked", "mapped", ""): 1, ("Odd", "unmapped", ""): 1, ("Odd", "refused", "bad_value"): 1,
            ("Form Submitted", "refused", "missing_field"): 1, ("(unreadable)", "refused", "wrong_type"): 1,
            ("(unreadable)", "refused", "unknown_type"): 1, ("page", "refused", "missing_field"): 1,
        }  # fmt: skip

    runner.run(check())


def test_a_refused_message_is_read_again_by_the_table_of_the_present(
    workspace: Workspace, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        await workspace.send(*CATALOG)
        request_body = {**CLICK, "properties": {"button": "cta"}, "timestamp": "2025-11-20T10:00:00Z", "messageId": "m"}
        await call(workspace, "track", json=request_body)
        pool, log = workspace.running.pool, workspace.running.log
        (letter,) = await list_letters(pool, workspace.name, None, 0, 10)
        assert "properties.cta_id" in str(await retry_letter(pool, log, letter))
        await configure(
            workspace, {"CTA Clicked": [{"type": "cta_clicked", "fields": {"asset_id": "{properties.button}"}}]}
        )
        assert isinstance(await retry_letter(pool, log, letter), Position)
        assert await list_letters(pool, workspace.name, None, 0, 10) == []
        assert (await metrics(workspace))["cta_clicks"] == 1

    runner.run(check())


async def configure(workspace: Workspace, events: Any) -> None:
    event = {"type": "workspace_configured", "settings": {"producers": {"segment": {"events": events}}}}
    assert (await workspace.send(event)).status_code == 202
    await workspace.project()


async def remap(workspace: Workspace, *, dry_run: bool = False) -> Remapped:
    return await Remap(
        workspace.running.pool, workspace.running.log.another(), workspace.name, "segment", dry_run
    ).run()


ODD_CLICK = {"Odd": [{"type": "cta_clicked", "fields": {"asset_id": "{properties.id}"}}]}


@pytest.mark.parametrize("key", ["server", "collect"])
def test_unmapped_events_count_once_they_are_mapped_at_their_own_instant_and_only_once(
    workspace: Workspace, runner: asyncio.Runner, key: str
) -> None:
    async def check() -> None:
        await workspace.send(*CATALOG)
        times = {"timestamp": "2999-01-02T00:00:00Z", "sentAt": "2999-01-02T00:00:05Z"}
        for n in range(3):
            await call(workspace, "track", key=key, json=ODD | {"messageId": f"m{n % 2}", **times})
        before = await remap(workspace)
        assert (before.unmapped, before.events) == ({"Odd": 2}, 0)
        await configure(workspace, ODD_CLICK)
        dry = await remap(workspace, dry_run=True)
        assert (dry.mapped, dry.events) == ({"Odd": 2}, 2)
        assert (await metrics(workspace))["cta_clicks"] == 0
        assert (await remap(workspace)).events == 2
        again = await remap(workspace)
        assert (again.already, again.events) == ({"Odd": 2}, 0)
        assert (await metrics(workspace))["cta_clicks"] == 2
        await workspace.project()
        assert (await remap(workspace)).events == 0
        overview = (await workspace.get("/v1/campaigns/c/overview?from=2025-01-01&to=2900-01-01")).json()
        assert overview["metrics"]["cta_clicks"] == 2

    runner.run(check())


def test_what_is_mapped_later_has_the_ids_and_instants_that_it_would_have_had(
    workspace: Workspace, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        first = ODD | {"messageId": "m", "timestamp": "2025-11-20T10:00:00Z", "sentAt": "2025-11-20T10:00:01Z"}
        await call(workspace, "track", key="collect", json=first)
        await configure(workspace, ODD_CLICK)
        await remap(workspace)
        entries = await workspace.entries()
        kept, clicked = [json.loads(e.value) for e in entries if b"segment:m" in e.value]
        same = ("key", "received_at", "occurred_at", "user_agent", "key_hint")
        assert {name: kept.get(name) for name in same} == {name: clicked.get(name) for name in same}
        assert (kept["event"]["id"], clicked["event"]["id"]) == ("segment:m:unmapped", "segment:m")
        assert clicked["user_agent"] == BROWSER

    runner.run(check())


def test_a_changed_mapping_does_not_change_the_events_of_an_earlier_one(
    workspace: Workspace, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        await workspace.send(*CATALOG)
        await call(workspace, "track", json=ODD | {"messageId": "m"})
        await configure(workspace, ODD_CLICK)
        await remap(workspace)
        await configure(workspace, {"Odd": [{"type": "cta_viewed", "fields": {"asset_id": "{properties.id}"}}]})
        result = await remap(workspace)
        assert (result.conflicts, result.events) == (1, 0)
        assert (await metrics(workspace))["cta_clicks"] == 1

    runner.run(check())


@pytest.fixture
def stopped(tmp_path: Path) -> Path:
    """A store that holds two unmapped events of one name and one of another, and a mapping for the first name."""
    data = tmp_path / "data"
    up = start(data)
    with up.client("server") as client:
        batch = [ODD, ODD, ODD | {"event": "Odder"}]
        assert client.post("/segment/v1/batch", json={"batch": batch}).json() == {"success": True}
        event = {"type": "workspace_configured", "settings": {"producers": {"segment": {"events": ODD_CLICK}}}}
        position = client.post("/v1/events", json=event).json()["position"]
        until_projected(client, position)
    assert up.stop() == 0
    return data


def test_the_commands_list_unmapped_names_and_map_them(stopped: Path) -> None:
    def run(*arguments: str, code: int = 0) -> str:
        command = [sys.executable, "-m", "touchline", "producers", *arguments, "--data", str(stopped)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr
        return done.stdout

    listed = json.loads(run("unmapped", "--json"))["unmapped"]
    assert [(each["producer"], each["name"], each["messages"], each["mapped_now"]) for each in listed] == [
        ("segment", "Odd", 2, True), ("segment", "Odder", 1, False),
    ]  # fmt: skip
    assert "mapped now" in run("unmapped")
    assert json.loads(run("unmapped", "--producer", "hubspot", "--json")) == {"unmapped": []}
    expected = {
        "producer": "segment",
        "events": 2,
        "conflicts": 0,
        "mapped": {"Odd": 2},
        "already": {},
        "unmapped": {"Odder": 1},
        "refused": {},
    }
    assert json.loads(run("map", "segment", "--dry-run", "--json")) == {**expected, "dry_run": True}
    assert "events appended: 2" in run("map", "segment")
    again = json.loads(run("map", "segment", "--json"))
    assert again == {**expected, "dry_run": False, "events": 0, "mapped": {}, "already": {"Odd": 2}}
    run("map", "nobody", code=2)


def test_while_the_log_takes_nothing_the_sdk_is_reported_to_come_again(
    workspace: Workspace, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: Any) -> Position:
        raise LogUnavailable("the log is away", 3)

    async def check() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(workspace.running.log, "append", away)
            response = await call(
                workspace, "b", key="collect", json={"batch": [PAGE]}, headers={"Origin": "https://shop.example"}
            )
        assert (response.status_code, response.headers["retry-after"]) == (503, "3")
        assert response.headers["access-control-allow-origin"] == "*"
        assert "retry-after" in response.headers["access-control-expose-headers"].lower()
        assert await list_letters(workspace.running.pool, workspace.name, None, 0, 10) == []

    runner.run(check())


def test_however_a_batch_is_broken_every_message_is_accounted_for_and_a_good_one_counts(
    workspace: Workspace, runner: asyncio.Runner
) -> None:
    sent = Counter[str]()

    async def once(messages: list[Any], key: str) -> None:
        response = await call(workspace, "batch", key=key, content=json.dumps({"batch": [*messages, PAGE]}))
        assert response.status_code == 200, response.text
        sent["messages"] += len(messages) + 1
        sent["batches"] += 1

    @settings(
        max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], print_blob=True
    )
    @given(st.lists(JSON.filter(finite) | MESSAGES.filter(finite), max_size=4), st.sampled_from(["server", "collect"]))
    def fuzz(messages: list[Any], key: str) -> None:
        runner.run(once(messages, key))

    async def check() -> None:
        found = await counted(workspace, sent["messages"])
        assert sum(found.values()) == sent["messages"]
        assert found["page", "mapped", ""] >= sent["batches"]
        refused = sum(n for (_, outcome, _), n in found.items() if outcome == "refused")
        letters = await workspace.running.pool.fetchval(
            "SELECT count(*) FROM touchline.dead_letter WHERE workspace_id = $1", workspace.name
        )
        assert letters == refused
        assert (await metrics(workspace))["page_views"] >= sent["batches"]

    runner.run(workspace.send(*CATALOG))
    fuzz()
    runner.run(check())


def finite(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        return False
    return True
