"""When does the background task of a partition run its steps, between the live batches of the partition?"""

import asyncio
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Never

import asyncpg
import structlog

from services.projector import metrics
from shared.database import error_text
from shared.projection.digest_updater import DigestUpdater, Part, Round
from shared.projection.poison import PASSING
from shared.projection.sql import Connection

PAUSE_S = 0.1  # between two rounds, so that what several batches add to one cell is added to it in one step
PAUSES = {Part.DAYS: 2, Part.SUMS: 1, Part.UNIONS: 10}
"""Steps of these parts (`shared.projection.digest_updater.Part`) may take long. While live batches are projected, after a step of n seconds the next step of
its part begins at least n times this number of seconds later, but at most `PAUSE_MAX_S` later. Until then reads use the rows from which it makes its own."""
PAUSE_MAX_S = 30.0
# While the projection is behind, the steps wait at most so long. Until then all processor time is for live batches.
BEHIND_MAX_S = 60.0
POSTPONED_S = 1.0  # then it is asked again whether the projection is behind
AGAIN_S = 30.0  # pause after an error that is not in `PASSING`; the live projection continues

logger = structlog.stdlib.get_logger("touchline.projector")


@dataclass
class DigestUpdates:
    """Runs the steps of a `DigestUpdater` after batches of the partition, until it is cancelled. Raises an error of `PASSING`.

    The worker holds `turn` during each live batch, and sets `projected` after it. While `is_behind` returns True (events have waited
    too long), steps are postponed, for at most `BEHIND_MAX_S`. This also saves work: what several batches add to a cell is then added in one step.
    """

    pool: "asyncpg.Pool[asyncpg.Record]"
    generation: str
    updater: DigestUpdater
    turn: asyncio.Lock
    projected: asyncio.Event
    is_behind: Callable[[], bool]
    _whole_s: float = field(default_factory=time.monotonic)
    """When the last complete round ended, in seconds of the monotonic clock."""
    _from_s: dict[Part, float] = field(default_factory=lambda: dict.fromkeys(PAUSES, 0.0))
    """From when on steps of these parts run, in seconds of the monotonic clock; those of the cells run in every round."""
    _paused_s: dict[int, float] = field(default_factory=dict)
    """When each workspace has last made a part pause: of those that all have such work, each has its turn."""

    async def run(self) -> Never:
        """First finish the work that a killed projector left, then work after each batch."""
        while True:
            self.projected.clear()
            began_s = time.monotonic()
            try:
                is_whole = await self._round()
            except PASSING:
                raise
            except Exception as error:
                logger.exception(
                    "updating digests failed; it will be tried again",
                    partition=self.updater.partition,
                    error=error_text(error),
                )
                metrics.RETRIES.labels("digest_updates").inc()
                await asyncio.sleep(AGAIN_S)
                continue
            if is_whole:
                self._whole_s = time.monotonic()
                await asyncio.sleep(PAUSE_S)
                await self._wait(began_s)
            else:
                await asyncio.sleep(POSTPONED_S)

    async def _wait(self, began_s: float) -> None:
        """Wait for the next batch, but at most until steps may run that have paused in the round which began at `began_s`."""
        paused_s = [from_s - time.monotonic() for from_s in self._from_s.values() if from_s > began_s]
        try:
            async with asyncio.timeout(max(0.0, min(paused_s)) if paused_s else None):
                await self.projected.wait()
        except TimeoutError:
            pass

    def _postpones(self) -> bool:
        return self.is_behind() and time.monotonic() - self._whole_s < BEHIND_MAX_S

    async def _round(self) -> bool:
        """Run steps until all is done that there was to do, but for parts that pause. False if the remaining ones are postponed."""
        async with Connection.of(self.pool, self.generation) as connection:
            workspaces = await self.updater.workspaces(connection)
        self._paused_s = {ws: self._paused_s.get(ws, 0.0) for ws in workspaces}
        for ws in sorted(workspaces, key=self._paused_s.__getitem__):
            round_ = Round()
            while True:
                if self._postpones():
                    return False
                now_s = time.monotonic()
                part, took_s = await self._step(ws, [p for p, at_s in self._from_s.items() if at_s <= now_s], round_)
                if part is None:
                    break
                if part in PAUSES and self.projected.is_set():
                    self._paused_s[ws] = time.monotonic()
                    self._from_s[part] = self._paused_s[ws] + min(PAUSES[part] * took_s, PAUSE_MAX_S)
                await asyncio.sleep(0)  # a waiting live batch takes its turn
        return True

    async def _step(self, ws: int, parts: Collection[Part], round_: Round) -> tuple[Part | None, float]:
        """Run a step in its turn: its part, and how many seconds it took."""
        async with self.turn, Connection.of(self.pool, self.generation) as connection:
            began_s = time.monotonic()
            part = await self.updater.step(connection, ws, parts, round_)
            return part, time.monotonic() - began_s
