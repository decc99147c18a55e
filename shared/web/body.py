"""How is a request's body read? After its key was checked, up to a limit, and not for ever."""

import asyncio

from fastapi import Request
from starlette.requests import ClientDisconnect

from shared.web.problems import Problem

BODY_S = 60.0  # for all of a body: 10 MiB at 175 KB/s
PAUSE_S = 10.0  # in which something must come


async def receive(request: Request, bytes_max: int) -> bytes:
    """The body as it came. Raises a 408 or 413 `Problem`, or `ClientDisconnect`; never holds more than the limit."""
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and (len(declared) > 18 or int(declared) > bytes_max):
        raise too_large(bytes_max)
    chunks, size = [], 0
    loop = asyncio.get_running_loop()
    ends_s = loop.time() + BODY_S
    try:
        async with asyncio.timeout(PAUSE_S) as patience:
            more = True
            while more:
                message = await request.receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnect
                chunk = message.get("body", b"")
                size += len(chunk)
                if size > bytes_max:
                    raise too_large(bytes_max)
                chunks.append(chunk)
                if more := message.get("more_body", False):  # most bodies come at once: then no timer is set anew
                    patience.reschedule(min(ends_s, loop.time() + PAUSE_S))
    except TimeoutError as error:
        detail = f"the body did not come within {BODY_S:g} s, or nothing of it for {PAUSE_S:g} s"
        raise Problem(408, "body_timeout", detail, headers={"Connection": "close"}) from error
    return b"".join(chunks)


def too_large(bytes_max: int) -> Problem:
    """413; the rest of the body is not read."""
    return Problem(413, "too_large", f"a request has {bytes_max} bytes at most, after decompression")
