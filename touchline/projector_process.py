"""The projector of `touchline up`: a process of its own, so that events that come in do not make reads wait.

Python runs one thing at a time in a process. While a batch is projected, the process of the read API goes on.
"""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from typing import Any, Never

import httpx
import structlog
from prometheus_client import REGISTRY, CollectorRegistry, Metric, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from shared.database import error_text
from shared.errors import ExpectedError
from touchline.restarts import Restarts

ITS_METRICS = "touchline_projector_"
ENDS_WITHIN_S = 8.0  # after SIGTERM; a supervisor kills all processes after ten
ANSWERS_WITHIN_S = 2.0
STARTS_WITHIN_S = 60.0  # on a machine that has much else to do; in a second or two else

logger = structlog.stdlib.get_logger("touchline")


class ProjectorEnded(ExpectedError):
    """The projector has ended with an error, or ends again and again. What it wrote to standard error says why."""


class ProjectorProcess:
    """Starts the projector, starts it again if it is killed, and asks it how it is.

    It answers `/readyz` and `/metrics` on a port of 127.0.0.1 that no other process knows. It ends when its standard input does, so it
    never outlives this process.
    """

    def __init__(self, database: str, sock: socket.socket) -> None:
        self._database, self._sock = database, sock
        self._client = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{sock.getsockname()[1]}", timeout=ANSWERS_WITHIN_S, trust_env=False
        )
        self._process: asyncio.subprocess.Process | None = None

    @classmethod
    @asynccontextmanager
    async def of(cls, database: str, sock: socket.socket) -> "AsyncIterator[ProjectorProcess]":
        """The projector of the store at this URL, which answers on a listening socket. It is ended with the block; events of the last moment are projected at its next start."""
        projector = cls(database, sock)
        try:
            yield projector
        finally:
            await projector._close()

    async def run(self) -> Never:
        """Start it, and start it again whenever it was killed. Raises `ProjectorEnded` if it ends with an error, or is killed again and again."""
        restarts = Restarts()
        try:
            while True:
                process = await self._start()
                code = await process.wait()
                if code > 0:
                    raise ProjectorEnded(
                        f"the projector ended with exit code {code}; the lines before this one say why"
                    )
                logger.error("the projector was ended; it is started again", signal=-code)
                restarts.count(lambda tried: ProjectorEnded(f"the projector was ended again and again, and {tried}"))
        finally:
            self._ask_to_end()

    async def until_it_answers(self) -> None:
        """Wait until it has started, `STARTS_WITHIN_S` seconds at most: `/readyz` says how it is after that."""
        try:
            await self._client.get("/healthz", timeout=STARTS_WITHIN_S)
        except httpx.HTTPError as error:
            logger.warning("the projector does not answer yet", error=error_text(error))

    async def lag(self) -> Any:
        """What its `/readyz` says of how far behind the log it is. Raises `httpx.HTTPError` if it does not answer, and `ExpectedError` if it does not
        know its lag.
        """
        lag = (await self._client.get("/readyz")).json()["lag"]
        if isinstance(lag, str):
            raise ExpectedError(lag.removeprefix("unavailable: "))
        return lag

    async def metrics(self) -> bytes:
        """The metrics of this process with those of the projector, which are absent while it does not answer."""
        try:
            theirs = list(text_string_to_metric_families((await self._client.get("/metrics")).text))
        except httpx.HTTPError as error:
            logger.warning("the projector does not answer", error=error_text(error))
            theirs = []
        registry = CollectorRegistry()
        registry.register(
            _Families([*_chosen(REGISTRY.collect(), projectors=False), *_chosen(theirs, projectors=True)])
        )
        return generate_latest(registry)

    async def _start(self) -> asyncio.subprocess.Process:
        number = self._sock.fileno()
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "touchline.commands.projecting", str(number), stdin=asyncio.subprocess.PIPE, pass_fds=[number],
            env=os.environ | {"TOUCHLINE_DATABASE_URL": self._database},
            start_new_session=True,  # Ctrl-C goes to this process alone, which ends the projector in order
        )  # fmt: skip
        return self._process

    def _ask_to_end(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()

    async def _close(self) -> None:
        self._ask_to_end()
        if self._process is not None:
            try:
                await asyncio.wait_for(self._process.wait(), ENDS_WITHIN_S)
            except TimeoutError:
                logger.warning("the projector did not end in time and is killed", seconds=ENDS_WITHIN_S)
                self._process.kill()
                await self._process.wait()
        self._sock.close()
        await self._client.aclose()


def _chosen(families: Iterable[Metric], *, projectors: bool) -> Iterator[Metric]:
    """The metrics of projectors, or all others: both processes know of all."""
    return (family for family in families if family.name.startswith(ITS_METRICS) == projectors)


class _Families:
    """Gives metrics as they were read."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        """All of them."""
        return self._families
