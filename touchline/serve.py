"""Run the HTTP server of a process, and its projectors, until a signal ends it."""

import asyncio
import signal
import socket
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from fastapi import FastAPI

from shared.gc_tuning import collect_garbage_rarely
from touchline.compose import Running
from touchline.http import Protocol

SHUTDOWN_S = 5  # for requests that have begun; a supervisor kills after ten, and the log and the database also end


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: a signal must end the whole process in order, not only the server."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signal handlers as `serve` has set them."""
        yield


def listen(host: str, port: int) -> socket.socket:
    """A listening TCP socket. Raises `OSError` if the address cannot be used, such as a port that is taken."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    sock.listen(1024)
    return sock


def http_server(app: FastAPI) -> uvicorn.Server:
    """A server for the application, with the limits of `touchline.http`."""
    config = uvicorn.Config(
        app, log_level="warning", log_config=None, access_log=False, server_header=False, lifespan="off", http=Protocol, ws="none", proxy_headers=False,  # `touchline.compose` knows which proxies are trusted
        timeout_graceful_shutdown=SHUTDOWN_S,
    )  # fmt: skip
    return _Server(config)


async def serve(
    running: Running, sock: socket.socket, ready: Callable[[], Awaitable[None]], *beside: Coroutine[Any, Any, None]
) -> None:
    """Answer requests until SIGTERM or SIGINT; then finish the requests that have begun, and close everything.

    `ready` is called when the server starts, `beside` runs meanwhile. If a projector or a task of `beside` ends with an error, the
    process ends too, and the error is raised.
    """
    collect_garbage_rarely()
    server = http_server(running.app)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, lambda: setattr(server, "should_exit", True))
    tasks = [asyncio.create_task(task) for task in beside]
    if running.projectors:
        tasks.append(asyncio.create_task(running.projectors.run()))
    serving = asyncio.create_task(server.serve(sockets=[sock]))
    readying = asyncio.ensure_future(ready())
    try:
        done, _ = await asyncio.wait([serving, *tasks, readying], return_when=asyncio.FIRST_COMPLETED)
        stopped = server.should_exit  # by a signal: what `ready` fails with then is that the server has gone
        if readying in done and not stopped:
            readying.result()
            await asyncio.wait([serving, *tasks], return_when=asyncio.FIRST_COMPLETED)
        server.should_exit = True
        await serving
    finally:
        readying.cancel()
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(readying, return_exceptions=True)
        await running.close()
    for result in results:
        if isinstance(result, Exception) and not isinstance(result, asyncio.CancelledError):
            raise result
