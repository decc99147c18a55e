"""HTTP connections: uvicorn's protocol, with limits on the size and the time of a request's head, and on a body that nobody reads.

The head is the request line with the headers. One that is longer than `HEADERS_BYTES_MAX` is answered with 431, one that does not come
within `HEAD_S` seconds with 408. If the body was not read to its end, the connection is closed after the answer. These answers, which
the application does not see, have the form of a problem (`application/problem+json`) like all others. Every request gets its id here
(`shared.web.request_ids`).
"""

import asyncio
from http import HTTPStatus
from typing import Any

import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from shared.events.limits import HEADERS_BYTES_MAX
from shared.web.request_ids import HEADER, identify, new_request_id

HEAD_S = 10.0  # from the first moment of a connection, or the first byte of a further request, to the end of the head
REST_S = 5.0  # a body that nobody reads may go on for so long: whoever sends it reads the answer afterwards
ABANDON_S = 2.0  # at the end of the process, a body may take so long to come
FEED_BYTES = 16 * 1024  # given to the parser at once while a head is read
CONTINUE = b"HTTP/1.1 100"


class _Together:
    """A connection as one request sees it: the head of the answer is written together with the first part of its body.

    To write is a call of the operating system, which for a short answer takes longer than most of what makes the answer. Only a head that
    says how long the body is waits for it, and no `100 Continue`.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._head = b""
        self._begun = False
        self.is_closing = transport.is_closing

    def write(self, data: bytes) -> None:
        """Write, or keep the head of the answer until the next call."""
        if self._begun:
            self._transport.write(self._head + data if self._head else data)
            self._head = b""
        elif data.startswith(CONTINUE):
            self._transport.write(data)
        else:
            self._begun = True
            if b"\r\ncontent-length: " in data:
                self._head = data
            else:
                self._transport.write(data)

    def close(self) -> None:
        """Close the connection after what is kept is written."""
        if self._head:
            self.write(b"")
        self._transport.close()


class Protocol(HttpToolsProtocol):
    """The protocol of one connection."""

    _in_head = True
    _head_bytes = 0
    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A connection is open: start to wait for a head."""
        super().connection_made(transport)
        self._wait(HEAD_S)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed: stop all timers."""
        self._rest()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Give data to the parser.

        While a head is read it gets small pieces, so that a head that is too long is not kept in memory.
        """
        if self.transport.is_closing():
            return
        if not self._in_head:
            super().data_received(data)
            return
        if self._patience is None:
            self._wait(HEAD_S)
        for begin in range(0, len(data), FEED_BYTES):
            piece = data[begin : begin + FEED_BYTES]
            if self._in_head:
                self._head_bytes += len(piece)
            super().data_received(piece)
            if self.transport.is_closing() or self.parser is None:
                return
            if self._in_head and self._head_bytes > HEADERS_BYTES_MAX:
                self._too_long()
                return

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self._in_head = True

    def on_headers_complete(self) -> None:
        """A head is complete: call the application, unless the head is too long."""
        self._rest()
        self._in_head, self._head_bytes = False, 0
        if len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers) > HEADERS_BYTES_MAX:
            self._too_long()
            return
        super().on_headers_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        cycle.default_headers = [*cycle.default_headers, (HEADER, identify(cycle.scope))]  # type: ignore[arg-type]
        if cycle.scope["method"] != "HEAD":  # whose answer has no body
            cycle.transport = _Together(self.transport)  # type: ignore[assignment]
        super()._start_asgi_task(cycle, app)

    def on_body(self, body: bytes) -> None:
        """A part of a body has come: pass it on, if the application still reads."""
        if self.cycle is not None:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """A request is complete: the next data is a head."""
        if self.cycle is None:
            return
        super().on_message_complete()
        self._in_head, self._head_bytes = True, 0
        if self.cycle.response_complete:
            self._rest()
            self._wait(HEAD_S)

    def on_response_complete(self) -> None:
        """An answer is sent: if the request is not complete, close the connection after `REST_S` seconds."""
        super().on_response_complete()
        if not self._in_head and not self.transport.is_closing():
            self._rest()
            self._patience = self.loop.call_later(REST_S, self.transport.close)

    def shutdown(self) -> None:
        """The process ends: answer the requests that are complete, and wait `ABANDON_S` seconds for the others."""
        super().shutdown()
        if not self.transport.is_closing():
            self.loop.call_later(ABANDON_S, self._abandon)

    def _abandon(self) -> None:
        if self.cycle is not None and self.cycle.more_body and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """Answer 400 to data that is not HTTP."""
        self._answer(400, "bad_request", msg)

    def _too_long(self) -> None:
        message = f"the first line and the headers of a request have {HEADERS_BYTES_MAX:,} bytes at most"
        self._answer(431, "headers_too_large", message)

    def _too_slow(self) -> None:
        self._patience = None
        if self._head_bytes:
            self._answer(408, "head_timeout", f"the headers of the request did not come within {HEAD_S:g} s")
        else:
            self.transport.close()

    def _answer(self, status: int, code: str, detail: str) -> None:
        """Send a problem without calling the application, and close the connection."""
        if self.transport.is_closing():
            return
        request_id = new_request_id().decode()
        body = orjson.dumps(
            {"type": "about:blank", "status": status, "code": code, "detail": detail, "request_id": request_id}
        )
        lines = (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", "content-type: application/problem+json",
            f"content-length: {len(body)}", f"{HEADER.decode()}: {request_id}", "connection: close", "", "",
        )  # fmt: skip
        self.transport.write("\r\n".join(lines).encode() + body)
        self.transport.close()

    def _wait(self, seconds: float) -> None:
        self._patience = self.loop.call_later(seconds, self._too_slow)

    def _rest(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
