"""What comes to the door: keys before bodies, heads and bodies within bounds, and answers that say what is wrong."""

import asyncio
import gzip
import json
import logging
import re
import signal
import time
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
import zstandard

from services.ingest import refused_events
from services.ingest.dead_letters import pushed_out
from shared.access import keys as access_keys
from shared.access.keys import KeyRing
from shared.access.scopes import SCOPES
from shared.events.limits import EVENT_BYTES_MAX, HEADERS_BYTES_MAX, KEPT_BYTES_MAX, TEXT_CHARACTERS_MAX
from shared.web import body as web_body
from tests.conftest import Workspace, new_workspace
from tests.cpu_time import within_cpu_s
from tests.malformed_json import malformed_texts
from tests.processes import ended, start
from tests.served import half_open, served, talk
from touchline import http as touchline_http
from touchline.compose import Running

VISIT = {"type": "page_visited", "visitor_id": "v", "url": "https://shop.example/"}
GOOD = json.dumps(VISIT).encode()


@pytest.fixture
def run(runner: asyncio.Runner) -> Any:
    return lambda awaitable: runner.run(_await(awaitable))


async def _await(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


async def post(workspace: Workspace, scope: str = "server", path: str = "/v1/events", **request: Any) -> httpx.Response:
    async with workspace.client(scope) as client:
        return await client.post(path, **request)


async def letters(workspace: Workspace) -> list[Any]:
    return await workspace.running.pool.fetch(
        "SELECT * FROM touchline.dead_letter WHERE workspace_id = $1 ORDER BY dead_letter_id", workspace.name
    )


def bodies() -> list[tuple[str, bytes, int]]:
    """Requests with odd events: the content type, the body, and how many events it holds if it can be read."""
    out = []
    texts = [text for text in dict.fromkeys(malformed_texts()) if len(text) < 20_000]
    for text in texts:
        out.append(("application/json", text, 1))
    for begin in range(0, len(texts), 5):
        five = texts[begin : begin + 5]
        out.append(("application/x-ndjson", b"\n".join([GOOD, *five, GOOD]), -1))
        out.append(("application/json", b"[" + b",".join([GOOD, *five, GOOD]) + b"]", -1))
        out.append(("application/json", b'{"events":[' + b",".join([GOOD, *five]) + b"]}", -1))
    return out


@pytest.mark.parametrize("scope", ["server", "collect"])
def test_unusual_texts_are_never_an_error_of_the_server_and_nothing_is_lost(
    workspace: Workspace, run: Any, scope: str
) -> None:
    async def send() -> None:
        kept = accepted = 0
        async with workspace.client(scope) as client:
            for content_type, body, _ in bodies():
                response = await client.post("/v1/events", content=body, headers={"Content-Type": content_type})
                answer = response.json()
                assert response.status_code in (202, 422), (body[:200], response.text)
                if response.status_code == 422:
                    assert response.headers["content-type"] == "application/problem+json"
                if "accepted" in answer:
                    accepted += answer["accepted"]
                    kept += len(answer["rejected"])
                    if content_type.endswith("ndjson"):
                        lines = [line for line in body.splitlines() if line.strip()]
                        assert answer["accepted"] + len(answer["rejected"]) == len(lines)
                        assert answer["accepted"] >= 2
                else:
                    assert answer["code"] in ("not_json", "no_events")
                    kept += answer["code"] == "not_json" and bool(body.strip())
        assert accepted > 200
        assert len(await letters(workspace)) == kept

    run(send())


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (zstandard.compress(GOOD + b"\n") + zstandard.compress(GOOD + b"\n" + GOOD), {"Content-Encoding": "zstd"}),
        (
            gzip.compress(GOOD + b"\n", mtime=0) + gzip.compress(GOOD + b"\n" + GOOD, mtime=0),
            {"Content-Encoding": "gzip"},
        ),
    ],
)
def test_a_body_of_several_frames_is_taken_whole(workspace: Workspace, run: Any, body: bytes, headers: Any) -> None:
    headers = {**headers, "Content-Type": "application/x-ndjson"}
    assert run(post(workspace, content=body, headers=headers)).json()["accepted"] == 3


@pytest.mark.parametrize(("encoding", "pack"), [("zstd", zstandard.compress), ("gzip", gzip.compress)])
def test_a_truncated_body_is_400_and_kept(workspace: Workspace, run: Any, encoding: str, pack: Any) -> None:
    lines = b"".join(orjson.dumps({**VISIT, "id": f"e{n}"}) + b"\n" for n in range(900))
    headers = {"Content-Encoding": encoding, "Content-Type": "application/x-ndjson"}
    response = run(post(workspace, content=pack(lines)[:-100], headers=headers))
    assert (response.status_code, response.json()["code"]) == (400, "bad_encoding")
    (letter,) = run(letters(workspace))
    assert (letter["reason"], letter["body"]) == ("bad_encoding", pack(lines)[:-100])


def test_a_body_that_is_no_json_is_kept_cut_with_a_mark(workspace: Workspace, run: Any) -> None:
    body = b'[{"type":' + b"x" * 100_000
    assert run(post(workspace, content=body)).status_code == 422
    (letter,) = run(letters(workspace))
    assert letter["body"] == body[:KEPT_BYTES_MAX]
    assert f"the first {KEPT_BYTES_MAX:,} of {len(body):,} bytes" in letter["detail"]


def test_a_long_event_is_kept_cut_and_one_that_could_be_sent_again_whole(workspace: Workspace, run: Any) -> None:
    long, whole = {**VISIT, "title": "x" * 200_000}, {**VISIT, "title": "x" * (EVENT_BYTES_MAX - 200)}
    run(workspace.send(long, whole))
    first, second = run(letters(workspace))
    assert (first["reason"], len(first["body"])) == ("too_large", KEPT_BYTES_MAX)
    assert json.loads(second["body"]) == whole


def test_what_one_class_of_keys_sends_pushes_nothing_of_another_out(
    workspace: Workspace, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refused_events, "KEY_LETTERS_MAX", {"collect": 5, "server": 7})
    run(workspace.send({"type": "nothing", "id": "mine"}))
    run(workspace.send({**VISIT, "id": "x"}, {**VISIT, "id": "x", "title": "other"}, scope="collect"))
    run(workspace.project())
    for n in range(20):
        run(workspace.send({"type": "nothing", "id": f"n{n}"}, scope="collect"))
    found = [(row["key_class"], row["event_id"]) for row in run(letters(workspace))]
    assert found == [("server", "mine"), ("collect", "collect:x"), *(("collect", f"n{n}") for n in range(15, 20))]
    for n in range(20):
        run(workspace.send({"type": "nothing", "id": f"m{n}"}))
    assert sum(row["key_class"] == "server" for row in run(letters(workspace))) == 7


async def another_key(workspace: Workspace, scope: Any = "collect") -> Workspace:
    """The same workspace, with one more key of a scope in place of the first."""
    async with workspace.running.pool.acquire() as connection:
        key = await access_keys.create_key(connection, workspace.name, scope)
    return Workspace(workspace.running, workspace.name, {**workspace.keys, scope: key})


def hint(workspace: Workspace, scope: str = "collect") -> str:
    return workspace.keys[scope][: access_keys.HINT_CHARACTERS]


async def by_key(workspace: Workspace) -> dict[str, list[str]]:
    out: dict[str, list[str]] = {}
    for row in await letters(workspace):
        out.setdefault(row["key_hint"], []).append(row["event_id"])
    return out


async def rubbish(workspace: Workspace, count: int, name: str) -> None:
    for n in range(count):
        assert (await workspace.send({"type": "nothing", "id": f"{name}{n}"}, scope="collect")).status_code == 422


def metric(text: str, name: str) -> float:
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(name))


def test_what_one_key_sends_pushes_nothing_of_another_key_of_its_class_out_and_is_counted(
    workspace: Workspace, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refused_events, "KEY_LETTERS_MAX", {"collect": 5, "server": 5})
    name = 'touchline_ingest_dead_letters_pushed_out_total{key_class="collect"}'

    async def check() -> None:
        site, other = workspace, await another_key(workspace)
        before = metric((await workspace.get("/metrics")).text, name)
        await rubbish(site, 3, "site")
        await rubbish(other, 20, "other")
        assert await by_key(workspace) == {hint(site): [f"site{n}" for n in range(3)], hint(other): [f"other{n}" for n in range(15, 20)]}  # fmt: skip
        status = (await workspace.get("/v1/status")).json()
        assert status["dead_letters"] == 8
        assert status["dead_letters_pushed_out"] == [{"key": hint(other), "events": 15}]
        assert await pushed_out(workspace.running.pool, workspace.name) == status["dead_letters_pushed_out"]
        assert metric((await workspace.get("/metrics")).text, name) - before == 15

    run(check())


def test_many_keys_of_a_class_have_bounded_room_and_those_with_few_letters_keep_them(
    workspace: Workspace, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refused_events, "KEY_LETTERS_MAX", {"collect": 6, "server": 6})
    monkeypatch.setattr(refused_events, "CLASS_LETTERS_MAX", {"collect": 10, "server": 10})

    async def check() -> None:
        await workspace.send({"type": "nothing", "id": "mine"})
        await rubbish(workspace, 2, "few")
        many = [await another_key(workspace) for _ in range(4)]
        for each in many:
            await rubbish(each, 6, "many")
        found = await by_key(workspace)
        assert found.pop(hint(workspace, "server")) == ["mine"]
        assert found.pop(hint(workspace)) == ["few0", "few1"]
        assert {key: len(ids) for key, ids in found.items()} == {hint(each): 2 for each in many}
        assert all(ids == ["many4", "many5"] for ids in found.values())
        gone = {row["key"]: row["events"] for row in await pushed_out(workspace.running.pool, workspace.name)}
        assert gone == {hint(each): 4 for each in many}

    run(check())


def test_keys_of_a_workspace_are_distinguished_by_their_hints(
    workspace: Workspace, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = iter(["aaaa" + "1" * 28, "aaaa" + "2" * 28, "bbbb" + "3" * 28, "aaaa" + "4" * 28])
    monkeypatch.setattr("shared.access.keys.secrets.token_urlsafe", lambda _: next(drawn))

    async def check() -> None:
        first, second = await another_key(workspace), await another_key(workspace)
        assert (hint(first), hint(second)) == ("tlc_aaaa", "tlc_bbbb")
        assert hint(await another_key(workspace, "read"), "read") == "tlr_aaaa"

    run(check())


BAD_WORKSPACES: list[Any] = [
    b"", b"{", b"[]", b"\xff", b"[" * 5_000, {"name": ""}, {"name": "a\0b"}, {"name": 5}, {"name": "n" * 257}, {"name": "x", "more": 1},
    {"name": "x", "time_zone": "localtime"}, {"name": "x", "time_zone": "\0"}, {"name": "x", "time_zone": "../../etc/passwd"},
    {"name": "x", "currency": "ZZZ"}, {"name": "x", "currency": "EUR\n"}, {"name": "x", "currency": "EU\0"},
]  # fmt: skip


@pytest.fixture
def operator(running: Running, runner: asyncio.Runner) -> Workspace:
    """A workspace whose admin key may make others."""

    async def make() -> Workspace:
        async with running.pool.acquire() as connection:
            await access_keys.ensure_workspace(connection, "default")
            keys = {scope: await access_keys.create_key(connection, "default", scope) for scope in SCOPES}
        return Workspace(running, "default", keys)

    return runner.run(make())


@pytest.mark.parametrize("asked", BAD_WORKSPACES)
def test_a_workspace_that_cannot_be_is_422(operator: Workspace, run: Any, asked: Any) -> None:
    content = asked if isinstance(asked, bytes) else json.dumps(asked).encode()
    response = run(post(operator, "admin", "/v1/workspaces", content=content))
    assert (response.status_code, response.headers["content-type"]) == (422, "application/problem+json")


def test_a_workspace_is_made_with_its_settings(operator: Workspace, run: Any) -> None:
    asked = {"name": "N", "time_zone": "Europe/Oslo", "currency": "NOK"}
    response = run(post(operator, "admin", "/v1/workspaces", json=asked))
    assert response.status_code == 201
    assert set(response.json()["keys"]) == set(SCOPES)


def test_the_key_is_asked_for_before_the_body_is_read(workspace: Workspace, run: Any) -> None:
    async def endless() -> Any:
        for _ in range(10_000):
            nonlocal read
            read += 1
            yield b" " * 65_536

    read = 0
    for path in ("/v1/workspaces", "/v1/events"):
        response = run(post(workspace, "read", path, content=endless(), headers={"Authorization": "Bearer no"}))
        assert response.status_code == 401
        response = run(post(workspace, "read", path, content=endless()))
        assert response.status_code == 403
    assert read == 0


@pytest.mark.parametrize("declared", [True, False])
def test_the_body_of_a_new_workspace_is_limited(operator: Workspace, run: Any, declared: bool) -> None:
    async def much() -> Any:
        for _ in range(100):
            yield b" " * 65_536

    response = run(post(operator, "admin", "/v1/workspaces", content=b" " * 6_553_600 if declared else much()))
    assert (response.status_code, response.json()["code"]) == (413, "too_large")


NO_KEYS = ["", "x", "tls_", "tls_short", "tlx_" + "a" * 32, "tls_" + "a" * 31, "tls_" + "a" * 33, "tls_" + "é" * 32, "tls_" + "a" * 31 + "\n",
           "tls_" + "a" * 1_000_000, "\0", "TLS_" + "a" * 32]  # fmt: skip


def test_what_has_not_the_form_of_a_key_is_neither_looked_up_nor_remembered(run: Any) -> None:
    ring = KeyRing(None)  # type: ignore[arg-type]  # it is asked for nothing
    for key in NO_KEYS:
        assert run(ring.find(key, 0.0)) is None
    assert not ring._known
    assert not ring._unknown


def test_keys_that_nobody_has_push_no_known_one_out(
    workspace: Workspace, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access_keys, "CACHED_KEYS_MAX", 10)
    ring = KeyRing(workspace.running.pool)

    async def flood() -> None:
        assert await ring.find(workspace.keys["read"], 0.0) is not None
        for n in range(50):
            assert await ring.find(f"tlr_{n:032d}", 0.0) is None

    run(flood())
    assert (len(ring._known), len(ring._unknown)) == (1, 10)
    assert all(isinstance(key, bytes) and len(key) == 32 for key in (*ring._known, *ring._unknown))


def endpoints(running: Running) -> list[tuple[str, str]]:
    """Every route of the services, with an id where it takes one."""
    return [
        (method.upper(), re.sub(r"\{[^}]*\}", "x", path))
        for path, methods in running.app.openapi()["paths"].items() if path.startswith("/v1/") for method in methods
    ]  # fmt: skip


MAY = {  # what each scope may, by the kind of endpoint
    "pixel": {"collect"}, "events": {"collect", "server"}, "workspaces": {"admin"}, "accounts": {"admin"}, "keys": {"admin"}, "reads": {"read", "server", "admin"},
    "catalog": {"server", "admin"}, "tokens": {"server"}, "letters": {"admin"},
}  # fmt: skip


def kind_of(method: str, path: str) -> str:
    known = {("GET", "/v1/p.gif"): "pixel", ("POST", "/v1/events"): "events", ("POST", "/v1/workspaces"): "workspaces"}
    if path == "/v1/producers/accounts" or path.startswith("/v1/producers/x/accounts/"):
        return "accounts"
    if path.startswith("/v1/keys"):
        return "keys"
    if path == "/v1/contact-tokens":
        return "tokens"
    if path.startswith("/v1/dead-letters"):
        return "letters"
    if method != "GET" and path.startswith(
        ("/v1/campaigns", "/v1/assets", "/v1/preview", "/v1/events/", "/v1/contacts")
    ):
        return "catalog"
    return known.get((method, path), "reads")


@pytest.mark.parametrize("scope", SCOPES)
def test_each_scope_opens_what_is_its_own_and_nothing_else(workspace: Workspace, run: Any, scope: str) -> None:
    async def ask() -> None:
        async with workspace.client(scope) as client:
            for method, path in endpoints(workspace.running):
                kind = kind_of(method, path)
                unasked = {"unasked": "1"} if kind == "catalog" else None  # refused before anything is waited for
                response = await client.request(
                    method, path, content=GOOD if method == "POST" else None, params=unasked
                )
                if kind == "pixel":
                    continue  # it always answers its picture
                may = scope in MAY[kind]
                of_another = kind == "workspaces" and may  # of a workspace that is not the operator's
                assert (response.status_code == 403) is (not may or of_another), (method, path, response.text)

    assert len(endpoints(workspace.running)) >= 15
    run(ask())


@pytest.mark.parametrize("scope", SCOPES)
def test_a_key_in_a_url_is_refused_everywhere_but_where_browsers_send(
    workspace: Workspace, run: Any, scope: str
) -> None:
    async def ask() -> None:
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(workspace.running.app), base_url="http://t"
        ) as client:
            for method, path in endpoints(workspace.running):
                response = await client.request(method, path, params={"k": workspace.keys[scope], "v": "v", "u": "u"})
                if path == "/v1/p.gif":
                    assert response.status_code == 200
                    assert ("key_in_url" in response.headers.get("touchline-refused", "")) is (scope != "collect")
                elif (method, path, scope) == ("POST", "/v1/events", "collect"):
                    assert (response.status_code, response.json()["code"]) == (422, "not_json")  # it has no body
                else:
                    assert (response.status_code, response.json()["code"]) == (401, "key_in_url")

    run(ask())
    run(workspace.project())
    assert (run(workspace.running.log.end(workspace.partition)) > 0) or scope != "collect"


@pytest.mark.parametrize(
    "value", ["Basic " + "é", "Basic !!!", "Basic " + "A" * 9, "Bearer", "Basic", "", "Digest x", "Bearer a b"]
)
def test_an_unusual_authorization_is_401(workspace: Workspace, run: Any, value: str) -> None:
    headers = {"Authorization": value.encode("latin-1")}
    assert run(post(workspace, content=GOOD, headers=headers)).status_code == 401


def test_a_long_user_agent_is_cut_where_its_field_ends(workspace: Workspace, run: Any) -> None:
    headers = {"User-Agent": "U" * 15_000}
    assert run(post(workspace, "collect", content=GOOD, headers=headers)).status_code == 202
    (entry,) = run(_last(workspace))
    assert json.loads(entry.value)["user_agent"] == "U" * TEXT_CHARACTERS_MAX


async def _last(workspace: Workspace) -> Any:
    log = workspace.running.log
    return await log.entries(workspace.partition, [await log.end(workspace.partition) - 1])


def head(path: str, *lines: str, method: str = "GET") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: t", *lines, "", ""]).encode("latin-1")


@pytest.mark.parametrize(
    "sent",
    [
        head("/healthz", "User-Agent: " + "U" * 500_000),
        head("/healthz", *(f"X-{n}: {'v' * 100}" for n in range(1_000))),
        head("/healthz?" + "q" * 70_000),
        b"GET /healthz HTTP/1.1\r\nX: " + b"v" * 2_000_000,
        b"GET /" + b"v" * 2_000_000,
    ],
)
def test_a_head_that_is_too_long_is_431(running: Running, run: Any, sent: bytes) -> None:
    async def ask() -> bytes:
        async with served(running) as port:
            return await talk(port, sent)

    try:
        answer = run(ask())
    except ConnectionError:
        return  # it was still being sent when the door was shut
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert b"application/problem+json" in answer
    assert b"headers_too_large" in answer


def test_a_head_at_the_limit_is_taken(running: Running, run: Any) -> None:
    rest = HEADERS_BYTES_MAX - len("/healthz") - len("HostConnectionUser-Agent") - len("tclose") - 3 * 4

    async def ask(more: int) -> bytes:
        async with served(running) as port:
            return await talk(port, head("/healthz", "Connection: close", "User-Agent: " + "U" * (rest + more)))

    assert run(ask(0)).startswith(b"HTTP/1.1 200 ")
    assert run(ask(1)).startswith(b"HTTP/1.1 431 ")


def test_half_a_head_and_no_head_are_not_waited_for(
    running: Running, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(touchline_http, "HEAD_S", 0.5)

    async def ask() -> tuple[bytes, bytes, float]:
        async with served(running) as port:
            began_s = time.monotonic()
            half, nothing = await asyncio.gather(talk(port, b"GET /healthz HT"), talk(port))
            return half, nothing, time.monotonic() - began_s

    half, nothing, took_s = run(ask())
    assert half.startswith(b"HTTP/1.1 408 ")
    assert nothing == b""
    assert took_s < 5


def test_half_a_body_is_408_and_no_error(
    workspace: Workspace, run: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(web_body, "PAUSE_S", 0.5)
    headers = (f"Authorization: Bearer {workspace.keys['server']}", "Content-Length: 1000")

    async def ask() -> bytes:
        async with served(workspace.running) as port:
            return await talk(port, head("/v1/events", *headers, method="POST") + b'{"type":')

    with caplog.at_level(logging.INFO):
        answer = run(ask())
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"body_timeout" in answer
    assert [r for r in caplog.records if r.levelno >= logging.ERROR] == []


def test_an_upload_that_breaks_off_is_no_error(
    workspace: Workspace, run: Any, caplog: pytest.LogCaptureFixture
) -> None:
    headers = (f"Authorization: Bearer {workspace.keys['server']}", "Content-Length: 1000")

    async def ask() -> None:
        async with served(workspace.running) as port:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(head("/v1/events", *headers, method="POST") + b'{"type":')
            await writer.drain()
            await asyncio.sleep(0.3)
            writer.transport.abort()
            await asyncio.sleep(0.3)

    with caplog.at_level(logging.INFO):
        run(ask())
    assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []


def test_a_server_ends_though_a_body_never_does(workspace: Workspace, run: Any) -> None:
    headers = (f"Authorization: Bearer {workspace.keys['server']}", "Content-Length: 1000000")

    async def ask() -> float:
        async with served(workspace.running) as port:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(head("/v1/events", *headers, method="POST") + b'{"type":')
            await asyncio.sleep(0.2)
            idle = half_open(port)
            began_s = time.monotonic()
        idle.close()
        writer.close()
        return time.monotonic() - began_s

    assert run(ask()) < 9


def test_a_process_ends_within_ten_seconds_though_bodies_and_heads_never_do(tmp_path: Path) -> None:
    up = start(tmp_path / "data")
    port = int(up.url.rsplit(":", 1)[1])
    begun = head("/v1/events", f"Authorization: Bearer {up.keys['server']}", "Content-Length: 1000000", method="POST")
    clients = [half_open(port) for _ in range(60)]
    for n, client in enumerate(clients):
        client.sendall((begun + b'{"type":', b"GET /healthz HT", b"")[n % 3])
    with up.client("read") as client:
        assert client.get("/v1/status").status_code == 200
    began_s = time.monotonic()
    up.process.send_signal(signal.SIGTERM)
    code, output = ended(up.process)
    assert time.monotonic() - began_s < 10
    assert code == 0
    assert "Traceback" not in output
    for half in clients:
        half.close()


def test_a_body_that_nobody_reads_does_not_keep_its_connection(
    running: Running, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(touchline_http, "REST_S", 0.5)

    async def ask() -> tuple[bytes, float]:
        async with served(running) as port:
            began_s = time.monotonic()
            answer = await talk(port, head("/v1/events", "Content-Length: 100000000", method="POST") + b"x" * 1_000)
            return answer, time.monotonic() - began_s

    answer, took_s = run(ask())
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert took_s < 5


@pytest.mark.parametrize("sent", [b"\0\0\0\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET /\xff HTTP/1.1\r\nHost: t\r\n\r\n",
    head("//\\x"), head("http://[/"), head("/%"), head("/%zz%00"), head("*", method="OPTIONS"), head("/v1/status", "Content-Length: x"),
    head("/v1/events", "Transfer-Encoding: chunked", method="POST") + b"zz\r\n", head("x"), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"])  # fmt: skip
def test_what_is_hardly_http_is_answered_and_never_500(running: Running, run: Any, sent: bytes) -> None:
    async def ask() -> bytes:
        async with served(running) as port:
            return await talk(port, sent)

    answer = run(ask())
    assert answer[9:10] in (b"2", b"3", b"4"), answer


def test_head_answers_like_get_without_a_body(workspace: Workspace, run: Any) -> None:
    async def ask() -> None:
        async with workspace.client() as client:
            for path in (
                "/healthz",
                "/v1/status",
                "/v1/campaigns",
                "/openapi.json",
                "/v1/campaigns/none",
                "/dashboard/campaigns",
                "/metrics",
            ):
                got, headed = await client.get(path), await client.head(path)
                assert (headed.status_code, headed.content) == (got.status_code, b"")
                assert headed.headers["content-type"] == got.headers["content-type"]

    run(ask())


def test_head_on_the_pixel_records_nothing(workspace: Workspace, run: Any) -> None:
    async def ask() -> int:
        before = await workspace.running.log.end(workspace.partition)
        async with workspace.client("collect") as client:
            response = await client.head(
                "/v1/p.gif", params={"k": workspace.keys["collect"], "v": "v", "u": "https://x.example/"}
            )
            assert (response.status_code, response.headers["content-type"]) == (200, "image/gif")
        return await workspace.running.log.end(workspace.partition) - before

    assert run(ask()) == 0


def test_an_error_that_nobody_foresaw_is_a_problem_within_milliseconds(
    workspace: Workspace, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def endless(*_: Any, **__: Any) -> Any:
        return endless()

    monkeypatch.setattr("services.ingest.events.accept", endless)
    with within_cpu_s(1):
        response = run(post(workspace, content=GOOD))
    assert (response.status_code, response.json()["code"]) == (500, "internal_error")
    assert response.headers["content-type"] == "application/problem+json"
    assert run(new_workspace(workspace.running, "after")) is not None
