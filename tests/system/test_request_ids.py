"""Every answer tells which request it was: in a header, in its error, and in the lines of the log about it."""

import asyncio
import logging
from typing import Any

import httpx
import pytest

from shared.database import Unreachable
from shared.reading.snapshot import Snapshot
from tests.conftest import Workspace
from tests.served import served, talk
from touchline.compose import Running

HEADER = "X-Request-Id"


def asked(
    workspace: Workspace, runner: asyncio.Runner, *requests: tuple[str, str, dict[str, Any]]
) -> list[httpx.Response]:
    """The answers of a real server to some requests, each a method, a path and what httpx takes more."""

    async def ask() -> list[httpx.Response]:
        async with (
            served(workspace.running) as port,
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as client,
        ):
            return [
                await client.request(
                    method, path, **{"headers": {"Authorization": f"Bearer {workspace.keys['admin']}"}, **more}
                )
                for method, path, more in requests
            ]

    return runner.run(ask())


def sent(value: str, **more: Any) -> dict[str, Any]:
    return {"headers": {HEADER: value}, **more}


def test_every_answer_has_an_id_of_its_own(workspace: Workspace, runner: asyncio.Runner) -> None:
    collect = workspace.keys["collect"]
    event = {"type": "page_visited", "visitor_id": "v", "url": "https://s.example/"}
    answers = asked(
        workspace, runner, ("GET", "/v1/status", {}), ("HEAD", "/v1/status", {}), ("GET", "/v1/campaigns?format=csv", {}), ("GET", "/healthz", {}),
        ("POST", f"/v1/events?k={collect}", {"json": event, "headers": {"Origin": "https://s.example"}}), ("GET", f"/v1/p.gif?k={collect}", {}),
        ("OPTIONS", f"/v1/events?k={collect}", {"headers": {"Origin": "https://s.example", "Access-Control-Request-Method": "POST"}}),
        ("GET", "/dashboard/campaigns", {}), ("GET", "/v1/none", {}), ("POST", "/v1/events", {"content": b"{", "headers": {}}),
    )  # fmt: skip
    ids = [answer.headers[HEADER] for answer in answers]
    assert len(set(ids)) == len(ids) == 10
    for answer in answers:
        assert len(answer.headers.get_list(HEADER)) == 1
        assert "server" not in answer.headers
        if answer.headers["content-type"] == "application/problem+json":
            assert answer.json()["request_id"] == answer.headers[HEADER]
    assert [answer.status_code for answer in answers][-2:] == [404, 401]


@pytest.mark.parametrize("value", ["7", "0af7651916cd43dd-8448eb211c80319c", "a.b_c:d-E", "x" * 64])
def test_a_sane_id_that_was_sent_is_taken_over(workspace: Workspace, runner: asyncio.Runner, value: str) -> None:
    good, bad = asked(workspace, runner, ("GET", "/healthz", sent(value)), ("GET", "/v1/status", sent(value)))
    assert (good.headers[HEADER], bad.headers[HEADER], bad.json()["request_id"]) == (value, value, value)


@pytest.mark.parametrize("value", ["", "x" * 65, "a b", "<b>", "a,b", '"', "é".encode("latin-1")])
def test_an_unusual_id_that_was_sent_is_not(workspace: Workspace, runner: asyncio.Runner, value: Any) -> None:
    (answer,) = asked(workspace, runner, ("GET", "/v1/status", sent(value)))
    assert answer.json()["request_id"] == answer.headers[HEADER] not in (value, "")


def test_an_answer_of_the_server_itself_has_one(running: Running, runner: asyncio.Runner) -> None:
    async def ask() -> bytes:
        async with served(running) as port:
            return await talk(port, b"no HTTP\r\n\r\n")

    head, _, body = runner.run(ask()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    (line,) = (line for line in head.split(b"\r\n") if line.startswith(b"x-request-id: "))
    assert line.partition(b": ")[2] in body


@pytest.mark.parametrize(
    ("error", "status"), [(ValueError("nobody thought of it"), 500), (Unreachable("no database"), 503)]
)
def test_the_line_of_the_log_about_an_error_names_the_request(
    workspace: Workspace,
    runner: asyncio.Runner,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    status: int,
) -> None:
    async def fails(*_: Any) -> Any:
        raise error

    monkeypatch.setattr(Snapshot, "fetch", fails)
    headers = {"Authorization": f"Bearer {workspace.keys['read']}", HEADER: "asked-by-a-test"}
    with caplog.at_level(logging.WARNING):
        (answer,) = asked(workspace, runner, ("GET", "/v1/deals", {"headers": headers}))
    assert (answer.status_code, answer.json()["request_id"]) == (status, "asked-by-a-test")
    assert "asked-by-a-test" in caplog.text
