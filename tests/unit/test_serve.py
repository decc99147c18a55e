"""The end of a process: a signal ends it in order, whatever runs beside the server."""

import asyncio
import os
import signal
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from touchline.serve import listen, serve


@dataclass
class Bare:
    """What `serve` needs of a process, without a store."""

    app: FastAPI = field(default_factory=FastAPI)
    projectors: Any = None
    closed: bool = False

    async def close(self) -> None:
        self.closed = True


def test_what_sends_to_the_server_until_the_end_does_not_make_a_signal_an_error() -> None:
    running, sock = Bare(), listen("127.0.0.1", 0)
    address, answered = f"http://127.0.0.1:{sock.getsockname()[1]}/", asyncio.Event()

    async def send() -> None:
        async with httpx.AsyncClient(timeout=30) as client:
            while True:  # until the server does not answer any more
                await client.get(address)
                answered.set()

    async def ended() -> None:
        await answered.wait()
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(60)

    asyncio.run(serve(running, sock, send, ended()))  # type: ignore[arg-type]
    assert running.closed


def test_what_fails_while_the_server_runs_ends_the_process_with_its_error() -> None:
    running = Bare()

    async def fails() -> None:
        raise RuntimeError("the sample is wrong")

    with pytest.raises(RuntimeError, match="the sample is wrong"):
        asyncio.run(serve(running, listen("127.0.0.1", 0), fails))  # type: ignore[arg-type]
    assert running.closed
