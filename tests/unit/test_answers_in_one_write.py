"""The head of an answer is written together with its body, by one call of the operating system, and nothing of it is lost."""

import asyncio
from typing import Any

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.server import ServerState

from touchline.http import Protocol

LENGTH = [(b"content-length", b"5")]


class Written:
    """A connection that keeps what each call writes."""

    def __init__(self) -> None:
        self.calls: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        self.calls.append(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def get_extra_info(self, _: str, default: Any = None) -> Any:
        return default

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


def answered(app: ASGIApp, sent: bytes) -> Written:
    """What is written to a connection on which these bytes come."""

    async def talk() -> Written:
        written = Written()
        protocol = Protocol(Config(app, ws="none", lifespan="off", log_config=None), ServerState(), {})
        protocol.connection_made(written)  # type: ignore[arg-type]
        protocol.data_received(sent)
        while tasks := list(protocol.tasks):
            await asyncio.wait(tasks)
        protocol.connection_lost(None)
        return written

    return asyncio.run(talk())


def request(method: str = "GET", *lines: str) -> bytes:
    return "\r\n".join([f"{method} / HTTP/1.1", "Host: t", *lines, "", ""]).encode()


def app_of(*messages: dict[str, Any], reads: bool = False) -> ASGIApp:
    async def app(_: Scope, receive: Receive, send: Send) -> None:
        if reads:
            await receive()
        for message in messages:
            await send(message)
            await asyncio.sleep(0)

    return app


def start(headers: list[tuple[bytes, bytes]]) -> dict[str, Any]:
    return {"type": "http.response.start", "status": 200, "headers": headers}


def body(part: bytes, *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": part, "more_body": more}


def test_head_and_body_are_one_call() -> None:
    (call,) = answered(app_of(start(LENGTH), body(b"hello")), request()).calls
    assert call.startswith(b"HTTP/1.1 200 OK\r\n")
    assert call.endswith(b"\r\n\r\nhello")


def test_each_answer_of_a_connection_has_its_own_head() -> None:
    calls = answered(app_of(start(LENGTH), body(b"hello")), request() + request()).calls
    assert [call.count(b"HTTP/1.1 200 OK") for call in calls] == [1, 1]


def test_an_empty_body_has_a_head() -> None:
    calls = answered(app_of(start([(b"content-length", b"0")]), body(b"")), request()).calls
    assert [call.endswith(b"\r\n\r\n") for call in calls] == [True]


def test_a_head_without_a_body_is_written() -> None:
    calls = answered(app_of(start(LENGTH), body(b"")), request("HEAD")).calls
    assert b"".join(calls).endswith(b"\r\n\r\n")


def test_a_body_that_looks_like_a_head_is_not_kept() -> None:
    looks = b"HTTP/1.1 200\r\ncontent-length: 5\r\n\r\n"
    length = [(b"content-length", b"%d" % (2 * len(looks)))]
    calls = answered(app_of(start(length), body(looks, more=True), body(looks)), request()).calls
    assert len(calls) == 2
    assert calls[1] == looks


def test_the_head_of_a_stream_does_not_wait_for_its_body() -> None:
    calls = answered(app_of(start([]), body(b"a", more=True), body(b"b")), request()).calls
    assert calls[0].endswith(b"transfer-encoding: chunked\r\n\r\n")
    assert calls[1:] == [b"1\r\na\r\n", b"1\r\nb\r\n0\r\n\r\n"]


def test_who_asks_whether_to_go_on_is_reported_before_the_answer() -> None:
    sent = request("POST", "Expect: 100-continue", "Content-Length: 2") + b"{}"
    calls = answered(app_of(start(LENGTH), body(b"hello"), reads=True), sent).calls
    assert calls[0] == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert len(calls) == 2


@pytest.mark.parametrize("messages", [[start(LENGTH)], [start(LENGTH), body(b"too long")]])
def test_a_head_is_written_though_the_application_fails_after_it(messages: list[dict[str, Any]]) -> None:
    written = answered(app_of(*messages), request())
    assert written.closed
    assert b"".join(written.calls).startswith(b"HTTP/1.1 200 OK\r\n")
