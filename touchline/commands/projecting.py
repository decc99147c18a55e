"""The process of the projector of `touchline up`, which starts it as `python -m touchline.commands.projecting FD`.

FD is the number of a listening socket that it inherits; TOUCHLINE_DATABASE_URL names the store. See `touchline.projector_process`.
"""

import asyncio
import os
import socket
import sys

import uvloop

from touchline.commands.log_lines import set_up
from touchline.commands.output import errors_in_one_line
from touchline.compose import Role, compose_patiently
from touchline.configuration import Configuration
from touchline.serve import serve


def main(number: int) -> None:
    """Project, and answer /readyz and /metrics on an inherited socket, until SIGTERM or until standard input ends."""
    configuration = set_up("WARNING")
    with errors_in_one_line(), socket.socket(fileno=number) as sock:
        uvloop.run(_run(configuration, sock))


async def _run(configuration: Configuration, sock: socket.socket) -> None:
    assert configuration.database_url is not None
    running = await compose_patiently(configuration.database_url, configuration, [Role.PROJECTOR])
    await serve(running, sock, _nothing, _until_left())


async def _nothing() -> None:
    """The process that started this one asks `/healthz` when it wants to know whether the server has started."""


async def _until_left() -> None:
    """Return when the process that started this one has ended, however it did: then standard input ends."""
    loop = asyncio.get_running_loop()
    ended = loop.create_future()

    def read() -> None:
        if not os.read(sys.stdin.fileno(), 1024) and not ended.done():
            ended.set_result(None)

    loop.add_reader(sys.stdin.fileno(), read)
    try:
        await ended
    finally:
        loop.remove_reader(sys.stdin.fileno())


if __name__ == "__main__":
    main(int(sys.argv[1]))
