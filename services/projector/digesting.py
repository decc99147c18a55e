"""When does the background task of a partition run its steps, between the live batches of the partition?"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Never

import asyncpg
import structlog

from services.projector import metrics
from shared.database import error_text
from shared.projection.digesting import Digester
from shared.projection.poison import PASSING
from shared.projection.sql import Connection

PAUSE_S = 2.0  # between two rounds, so that what several batches add to one cell is added to it in one step
UNIONS_PAUSES, UNIONS_PAUSE_MAX_S = 10, 30.0
"""The *unions* (months of key sets, days and months of campaigns, sums of credit) take long to make, and until they are made, reads use the rows
that they are made of. After a round that took n seconds, the next round with unions begins 10 n seconds later, but at most half a minute later."""
# While the projection is behind, the steps wait at most so long. Until then all processor time is for live batches.
BEHIND_MAX_S = 60.0
AGAIN_S = 30.0  # pause after an error that is not in `PASSING`; the live projection continues

logger = structlog.stdlib.get_logger("touchline.projector")


@dataclass
class Digesting:
    """Runs the steps of a `Digester` after batches of the partition, until it is cancelled. Raises an error of `PASSING`.

    The worker holds `turn` during each live batch, and sets `projected` after it. While `is_behind` returns True (events have waited
    too long), steps are postponed, for at most `BEHIND_MAX_S`. This also saves work: what several batches add to a cell is then added in one step.
    """

    pool: "asyncpg.Pool[asyncpg.Record]"
    generation: str
    digester: Digester
    turn: asyncio.Lock
    projected: asyncio.Event
    is_behind: Callable[[], bool]
    _whole_s: float = field(default_factory=time.monotonic)
    """When the last complete round ended, in seconds of the monotonic clock."""
    _unions_from_s: float = 0.0
    """From when on a round makes unions again, in seconds of the monotonic clock."""

    async def run(self) -> Never:
        """First finish the work that a killed projector left, then work after each batch."""
        while True:
            self.projected.clear()
            began_s = time.monotonic()
            unions = began_s >= self._unions_from_s
            try:
                whole = await self._round(unions=unions)
            except PASSING:
                raise
            except Exception as error:
                logger.exception(
                    "digesting failed; it will be tried again",
                    partition=self.digester.partition,
                    error=error_text(error),
                )
                metrics.RETRIES.labels("digesting").inc()
                await asyncio.sleep(AGAIN_S)
                continue
            if whole:
                self._whole_s = time.monotonic()
                if unions:
                    took_s = self._whole_s - began_s
                    self._unions_from_s = self._whole_s + min(UNIONS_PAUSES * took_s, UNIONS_PAUSE_MAX_S)
            await asyncio.sleep(PAUSE_S)
            if not whole:
                continue
            done = unions and not self.projected.is_set()
            await self._wait(None if done else self._unions_from_s - time.monotonic())

    async def _wait(self, timeout_s: float | None) -> None:
        """Wait for the next batch, at most `timeout_s` seconds; None: without a limit."""
        try:
            async with asyncio.timeout(timeout_s):
                await self.projected.wait()
        except TimeoutError:
            pass

    def _postpones(self) -> bool:
        return self.is_behind() and time.monotonic() - self._whole_s < BEHIND_MAX_S

    async def _round(self, *, unions: bool) -> bool:
        """Run steps until there is nothing to do. False if the remaining ones are postponed."""
        async with Connection.of(self.pool, self.generation) as connection:
            workspaces = await self.digester.workspaces(connection)
        for ws in workspaces:
            while not (postponed := self._postpones()) and await self._step(ws, unions=unions):
                await asyncio.sleep(0)  # a waiting live batch takes its turn
            if postponed:
                return False
        return True

    async def _step(self, ws: int, *, unions: bool) -> bool:
        async with self.turn, Connection.of(self.pool, self.generation) as connection:
            return await self.digester.step(connection, ws, unions=unions)
