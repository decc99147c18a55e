"""When does the background task of a partition run its steps, between the live batches of the partition?"""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Never

import asyncpg
import structlog

from services.projector import metrics
from shared.database import error_text
from shared.projection.digest_updater import DigestUpdater, Part, Round
from shared.projection.poison import PASSING
from shared.projection.sql import Connection

PAUSE_S = 0.25  # between two rounds, so that what several batches add to one cell is added to it in one step
PAUSES, PAUSE_MAX_S = 10, 30.0
"""The steps of days, sums and unions (`shared.projection.digest_updater.Part`) may take long, and until they are done, reads use the rows from which they
make theirs. After a round whose steps of a part took n seconds, the next steps of this part run 10 n seconds later, but at most half a minute later."""
# While the projection is behind, the steps wait at most so long. Until then all processor time is for live batches.
BEHIND_MAX_S = 60.0
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
    _from_s: dict[Part, float] = field(default_factory=lambda: {part: 0.0 for part in Part if part is not Part.CELLS})
    """From when on a round runs steps of these parts, in seconds of the monotonic clock; those of the cells run in every round."""

    async def run(self) -> Never:
        """First finish the work that a killed projector left, then work after each batch."""
        while True:
            self.projected.clear()
            parts = {part for part, from_s in self._from_s.items() if from_s <= time.monotonic()}
            try:
                took_s = await self._round(parts)
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
            if took_s is not None:
                self._whole_s = time.monotonic()
                for part in parts:
                    self._from_s[part] = self._whole_s + min(PAUSES * took_s[part], PAUSE_MAX_S)
            await asyncio.sleep(PAUSE_S)
            if took_s is None:
                continue
            left_s = [from_s - time.monotonic() for part, from_s in self._from_s.items() if part not in parts]
            await self._wait(min(left_s, default=None))

    async def _wait(self, timeout_s: float | None) -> None:
        """Wait for the next batch, at most `timeout_s` seconds; None: without a limit."""
        try:
            async with asyncio.timeout(timeout_s):
                await self.projected.wait()
        except TimeoutError:
            pass

    def _postpones(self) -> bool:
        return self.is_behind() and time.monotonic() - self._whole_s < BEHIND_MAX_S

    async def _round(self, parts: Collection[Part]) -> Mapping[Part, float] | None:
        """Run steps of these parts until all is done that there was to do; how many seconds those of each part took. None if the remaining ones are postponed."""
        took_s = dict.fromkeys(Part, 0.0)
        async with Connection.of(self.pool, self.generation) as connection:
            workspaces = await self.updater.workspaces(connection)
        for ws in workspaces:
            round_ = Round()
            while True:
                if self._postpones():
                    return None
                began_s = time.monotonic()
                if (part := await self._step(ws, parts, round_)) is None:
                    break
                took_s[part] += time.monotonic() - began_s
                await asyncio.sleep(0)  # a waiting live batch takes its turn
        return took_s

    async def _step(self, ws: int, parts: Collection[Part], round_: Round) -> Part | None:
        async with self.turn, Connection.of(self.pool, self.generation) as connection:
            return await self.updater.step(connection, ws, parts, round_)
