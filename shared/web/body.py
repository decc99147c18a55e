"""How is a request's body read? After its key was checked, up to a size limit and a time limit."""

import asyncio
from collections.abc import Awaitable, Generator
from typing import Any

from fastapi import Request
from starlette.requests import ClientDisconnect
from starlette.types import Message

from shared.web.headers import header
from shared.web.problems import Problem

BODY_S = 60.0  # for all of a body: 10 MiB at 175 KB/s
PAUSE_S = 10.0  # the longest pause between two parts of a body


class _Begun:
    """A call for a message that has run until it ended or had to wait. `message` is its message; None: it waits, and is to be awaited.

    Most bodies come together with their head. To read such a body takes less time than a timer would, which only a call that waits needs.
    """

    def __init__(self, call: Awaitable[Message]) -> None:
        self.message: Message | None = None
        self._steps = call.__await__()
        try:
            self._waits_for = next(self._steps)
        except StopIteration as ended:
            self.message = ended.value

    def __await__(self) -> Generator[Any, Any, Message]:
        """What `await call` would do from here on: let the event loop wait, and give what it answers or raises to the call."""
        try:
            while self.message is None:
                try:
                    answer = yield self._waits_for
                except BaseException as error:  # the timer has cancelled the waiting, or the server ends
                    self._waits_for = self._steps.throw(error)
                else:
                    self._waits_for = self._steps.send(answer)
        except StopIteration as ended:
            self.message = ended.value
        assert self.message is not None
        return self.message


async def receive(request: Request, bytes_max: int) -> bytes:
    """The body as sent. Raises a 408 or 413 `Problem`, or `ClientDisconnect`; holds hardly more than `bytes_max` in memory."""
    declared = header(request.scope, b"content-length") or ""
    if declared.isdecimal() and (len(declared) > 18 or int(declared) > bytes_max):
        raise too_large(bytes_max)
    first = _Begun(request.receive())
    if first.message is not None and not first.message.get("more_body", False):
        return _part(first.message, 0, bytes_max)
    chunks, size = [], 0
    loop = asyncio.get_running_loop()
    ends_s = loop.time() + BODY_S
    try:
        async with asyncio.timeout(PAUSE_S) as patience:
            message = await first
            while True:
                chunks.append(_part(message, size, bytes_max))
                size += len(chunks[-1])
                if not message.get("more_body", False):
                    return b"".join(chunks)
                patience.reschedule(min(ends_s, loop.time() + PAUSE_S))
                message = await request.receive()
    except TimeoutError as error:
        detail = f"the body did not arrive within {BODY_S:g} s, or no part of it within {PAUSE_S:g} s"
        raise Problem(408, "body_timeout", detail, headers={"Connection": "close"}) from error


def _part(message: Message, size: int, bytes_max: int) -> bytes:
    """The part of a body that a message brings after `size` bytes. Raises `ClientDisconnect`, or a 413 `Problem` beyond `bytes_max`."""
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    part: bytes = message.get("body", b"")
    if size + len(part) > bytes_max:
        raise too_large(bytes_max)
    return part


def too_large(bytes_max: int) -> Problem:
    """413; the rest of the body is not read."""
    return Problem(413, "too_large", f"a request may have {bytes_max} bytes at most, after decompression")
