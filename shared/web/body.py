"""How is a request's body read? After its key was checked, up to a size limit and a time limit."""

import asyncio

from fastapi import Request
from starlette.requests import ClientDisconnect

from shared.web.problems import Problem

BODY_S = 60.0  # for all of a body: 10 MiB at 175 KB/s
PAUSE_S = 10.0  # the longest pause between two parts of a body


async def receive(request: Request, bytes_max: int) -> bytes:
    """The body as sent. Raises a 408 or 413 `Problem`, or `ClientDisconnect`; holds hardly more than `bytes_max` in memory."""
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
                if more := message.get("more_body", False):  # most bodies come in one part, which needs no new timer
                    patience.reschedule(min(ends_s, loop.time() + PAUSE_S))
    except TimeoutError as error:
        detail = f"the body did not arrive within {BODY_S:g} s, or no part of it within {PAUSE_S:g} s"
        raise Problem(408, "body_timeout", detail, headers={"Connection": "close"}) from error
    return b"".join(chunks)


def too_large(bytes_max: int) -> Problem:
    """413; the rest of the body is not read."""
    return Problem(413, "too_large", f"a request may have {bytes_max} bytes at most, after decompression")
