"""The services behind their real HTTP server, on a free port of this machine, in the tests' own event loop."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from touchline.compose import Running
from touchline.serve import http_server, listen


@asynccontextmanager
async def served(running: Running) -> AsyncIterator[int]:
    """The port."""
    sock = listen("127.0.0.1", 0)
    server = http_server(running.app)
    task = asyncio.create_task(server.serve(sockets=[sock]))
    try:
        yield sock.getsockname()[1]
    finally:
        server.should_exit = True
        await task


async def talk(port: int, *parts: bytes, pause_s: float = 0.0, patience_s: float = 30.0) -> bytes:
    """Send bytes over one connection; answers all that came back until the other side has closed it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause_s)
        return await asyncio.wait_for(reader.read(), patience_s)
    finally:
        writer.close()


def half_open(port: int) -> socket.socket:
    """A connection on which nothing is sent."""
    return socket.create_connection(("127.0.0.1", port))
