"""When is what a process counts in memory written? Once a second while there is any, and at the end of the process."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import asyncpg
import structlog

from shared.database import AWAY, error_text

WRITE_S = 1.0

logger = structlog.stdlib.get_logger("touchline.ingest")


class PeriodicWriter:
    """Calls `write` a second after it was asked to, and again each second for as long as something is `left`.

    `write` keeps what it could not write, and then raises one of `AWAY` or `asyncpg.PostgresError`.
    """

    def __init__(self, what: str, write: Callable[[], Awaitable[None]], left: Callable[[], int]) -> None:
        self._what = what  # the log's words for it
        self._write = write
        self._left = left
        self._writing: asyncio.Task[None] | None = None

    def ask(self) -> None:
        """Say that there is something to write."""
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._later())

    async def close(self) -> None:
        """Write what is left, at the end of the process. If that fails, it is lost, and a log line says how much."""
        if self._writing is not None:
            self._writing.cancel()
            with suppress(asyncio.CancelledError):
                await self._writing
        try:
            await self._write()
        except (*AWAY, asyncpg.PostgresError) as error:
            logger.warning("what was counted is lost", what=self._what, lost=self._left(), error=error_text(error))

    async def _later(self) -> None:
        while self._left():
            await asyncio.sleep(WRITE_S)
            try:
                await self._write()
            except (*AWAY, asyncpg.PostgresError) as error:
                logger.warning("what was counted is not written yet", what=self._what, error=error_text(error))
