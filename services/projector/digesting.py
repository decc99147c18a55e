"""When are cells digested, beside the live projection of their partition?"""

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

PAUSE_S = 2.0  # between two rounds: what several batches add to one cell is put into it once
UNIONS_PAUSES, UNIONS_PAUSE_MAX_S = 10, 30.0
"""Unions of key sets, days of campaigns and sums of credit are large, and what they are made of is read meanwhile: after a round that made
some, the next one comes after ten times as long as it took, or after half a minute."""
# While the projection is behind, digesting waits at most so long: until then all processor time is for live batches.
BEHIND_MAX_S = 60.0
AGAIN_S = 30.0  # pause after an error that does not pass by itself; the live projection goes on meanwhile

logger = structlog.stdlib.get_logger("touchline.projector")


@dataclass
class Digesting:
    """Runs the steps of a `Digester`, after batches of the partition, until it is cancelled. Raises one of `PASSING`.

    The worker holds `turn` during each live batch, and sets `projected` after it. While `is_behind` answers that events wait for
    long, steps are put off, for at most `BEHIND_MAX_S`: later, what more batches add to one cell is put into it at once.
    """

    pool: "asyncpg.Pool[asyncpg.Record]"
    generation: str
    digester: Digester
    turn: asyncio.Lock
    projected: asyncio.Event
    is_behind: Callable[[], bool]
    _whole_s: float = field(default_factory=time.monotonic)
    """When a round last did all that there was to do, in seconds of the monotonic clock."""
    _unions_from_s: float = 0.0
    """From when on unions are made again, in seconds of the monotonic clock."""

    async def run(self) -> Never:
        """Do what a killed projector left, then what each batch brings."""
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
                    "digesting failed; it is tried again", partition=self.digester.partition, error=error_text(error)
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
        """Wait for the next batch; where unions are left to make, for a while only."""
        try:
            async with asyncio.timeout(timeout_s):
                await self.projected.wait()
        except TimeoutError:
            pass

    def _puts_off(self) -> bool:
        return self.is_behind() and time.monotonic() - self._whole_s < BEHIND_MAX_S

    async def _round(self, *, unions: bool) -> bool:
        """Do all that there is to do; False if the rest is put off."""
        async with Connection.of(self.pool, self.generation) as connection:
            workspaces = await self.digester.workspaces(connection)
        for ws in workspaces:
            while not (puts_off := self._puts_off()) and await self._step(ws, unions=unions):
                await asyncio.sleep(0)  # a waiting live batch takes its turn
            if puts_off:
                return False
        return True

    async def _step(self, ws: int, *, unions: bool) -> bool:
        async with self.turn, Connection.of(self.pool, self.generation) as connection:
            return await self.digester.step(connection, ws, unions=unions)
