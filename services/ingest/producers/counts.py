"""What arrived from each producer, and what became of it? Counted in memory and written once a second.

A process that is killed loses the counts of its last second; it loses no event.
"""

import asyncio
from collections import Counter, defaultdict
from typing import Literal, NamedTuple

import asyncpg
import structlog

from services.ingest import metrics
from shared.database import AWAY, told

WRITE_S = 1.0
NAMES_MAX = 500  # of a producer in a workspace: a public key may send any name; those beyond are counted as one
OTHER = "(other names)"

WRITE = f"""
INSERT INTO touchline.producer_count AS c (workspace_id, producer, name, outcome, reason, messages, first_seen, last_seen)
SELECT u.workspace, u.producer,
    CASE WHEN EXISTS (SELECT FROM touchline.producer_count k
                      WHERE k.workspace_id = u.workspace AND k.producer = u.producer AND k.name = u.name)
           OR (SELECT count(DISTINCT k.name) FROM touchline.producer_count k
               WHERE k.workspace_id = u.workspace AND k.producer = u.producer) < {NAMES_MAX}
        THEN u.name ELSE '{OTHER}' END AS known, u.outcome, u.reason, sum(u.messages), now(), now()
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[])
    u(workspace, producer, name, outcome, reason, messages)
GROUP BY u.workspace, u.producer, known, u.outcome, u.reason
ON CONFLICT (workspace_id, producer, name, outcome, reason) DO UPDATE
SET messages = c.messages + excluded.messages, last_seen = excluded.last_seen
"""

logger = structlog.stdlib.get_logger("touchline.ingest")


class Outcome(NamedTuple):
    """What became of messages that a producer calls by one name. `reason` is the code of a refusal."""

    producer: str
    name: str
    outcome: Literal["mapped", "unmapped", "refused"]
    reason: str = ""


class Counts:
    """The counts that are not written yet, by workspace."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool
        self._open: dict[str, Counter[Outcome]] = defaultdict(Counter)
        self._writing: asyncio.Task[None] | None = None

    def add(self, workspace: str, counts: Counter[Outcome]) -> None:
        """Count messages; they are written within a second, or when the database is back."""
        for outcome, messages in list(counts.items()):
            if "\0" in outcome.name:  # no text of PostgreSQL holds it
                del counts[outcome]
                counts[outcome._replace(name=outcome.name.replace("\0", "\N{REPLACEMENT CHARACTER}"))] += messages
            metrics.MESSAGES.labels(outcome.producer, outcome.outcome).inc(messages)
        self._open[workspace] += counts
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._later())

    async def close(self) -> None:
        """Write what is open."""
        if self._writing is not None:
            self._writing.cancel()
            await asyncio.gather(self._writing, return_exceptions=True)
        await self.write()

    async def _later(self) -> None:
        while self._open:
            await asyncio.sleep(WRITE_S)
            try:
                await self.write()
            except AWAY as error:
                logger.warning("the counts of producers are not written yet", error=told(error))

    async def write(self) -> None:
        """Write what is open. Raises one of `AWAY`; then it stays open."""
        if not self._open:
            return
        rows = [
            (workspace, o.producer, o.name[:256], o.outcome, o.reason, n)
            for workspace, counts in self._open.items()
            for o, n in counts.items()
        ]
        taken, self._open = self._open, defaultdict(Counter)
        try:
            await self._pool.execute(WRITE, *map(list, zip(*rows, strict=True)))
        except BaseException:
            for workspace, counts in taken.items():
                self._open[workspace] += counts
            raise
