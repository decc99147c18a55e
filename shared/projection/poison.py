"""What happens to an event on which a rule fails? It is kept as a dead letter, and all others of its batch are projected."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import asyncpg
import structlog

from shared.database import AWAY
from shared.log.port import Entry, LogDamaged, LogUnavailable
from shared.projection.batch import Batch, decode
from shared.projection.projector import Fenced, Projector
from shared.projection.sql import Connection

ROLLED_BACK = (asyncpg.TransactionRollbackError, asyncpg.LockNotAvailableError)  # a deadlock, say: the same batch again
GONE = (
    asyncpg.UndefinedTableError,
    asyncpg.InvalidSchemaNameError,
)  # a table or the schema of a generation that was dropped
PASSING: tuple[type[Exception], ...] = (Fenced, LogUnavailable, *GONE, *ROLLED_BACK, *AWAY)
"""What passes by itself, and is no event's fault."""
NOT_ITS_FAULT: tuple[type[Exception], ...] = (LogDamaged, *PASSING)
# A lot has this share of the events that stand between two bad ones: about every second lot is then good, and a trial gives most information.
LIKELY_GOOD = 0.7

logger = structlog.stdlib.get_logger("touchline.projector")


@dataclass
class Search:
    """How many entries are tried at once, so that few trials find the bad ones. See `project_or_dead_letter`."""

    fails_before: int
    """Up to this place (exclusive) there is at least one bad entry, as far as is known."""
    step: int
    _good_between: float | None = None
    """How many good entries stand between two bad ones, of late."""
    _good: int = 0

    def size(self, at: int) -> int:
        """How many to try from `at` on: half of what is known to fail, else what is likely to be good."""
        return max(1, (self.fails_before - at) // 2) if at < self.fails_before else self.step

    def passed(self, at: int, count: int) -> None:
        """These were good; `at` is where the next begin."""
        self._good += count
        if at >= self.fails_before:
            self.step *= 2

    def failed(self, at: int, count: int) -> None:
        """One of these, or several, are bad."""
        self.fails_before = at + count
        if count == 1:
            before = self._good if self._good_between is None else self._good_between
            self._good_between = (before + self._good) / 2
            self._good = 0
            self.step = max(1, round(self._good_between * LIKELY_GOOD))


async def project_or_dead_letter(
    connection: Connection, projector: Projector, batch: Batch, decode: Callable[[Sequence[Entry]], Batch] = decode
) -> int:
    """Project a batch; of one that fails, every event that no rule can take is kept aside, and all others are projected.

    What fails is halved until an event fails alone, which then is kept aside. Between two such events as many are tried at once
    as were good before, and more after every success. So one bad event costs as much as the batch, many in a row hardly more
    than as many good ones, and 1,000 scattered among 10,000 some 5,000 trials (by information theory at least 4,700). `decode` makes a batch of entries, for a batch is projected once. Answers how many were kept
    aside. Raises what is no event's fault.
    """
    if await _failure(connection, projector, batch) is None:
        return 0
    # many commits follow, and what the machine loses of them is made again; the pool sets it back
    await connection.raw.execute("SET synchronous_commit = off")
    dead_lettered = await _one_by_one(connection, projector, batch.entries, decode)
    if dead_lettered > 1:
        logger.error("more events cannot be projected and are kept as dead letters", events=dead_lettered - 1)
    return dead_lettered


async def _one_by_one(
    connection: Connection, projector: Projector, entries: Sequence[Entry], decode: Callable[[Sequence[Entry]], Batch]
) -> int:
    """Project entries of which at least one is bad; answers how many were kept aside."""
    at, dead_lettered, search = 0, 0, Search(len(entries), len(entries))
    while at < len(entries):
        part = entries[at : at + search.size(at)]
        error = await _failure(connection, projector, decode(part))
        if error is None:
            at += len(part)
            search.passed(at, len(part))
            continue
        search.failed(at, len(part))
        if len(part) == 1:
            if not dead_lettered:
                message = "an event cannot be projected and is kept as a dead letter"
                logger.error(message, offset=part[0].offset, exc_info=error)
            await projector.dead_letter(connection, part[0], f"{type(error).__name__}: {error}")
            at, dead_lettered = at + 1, dead_lettered + 1
    return dead_lettered


async def _failure(connection: Connection, projector: Projector, batch: Batch) -> Exception | None:
    """Why a batch could not be projected; None if it was. Raises what is no event's fault."""
    try:
        await projector.project(connection, batch)
    except NOT_ITS_FAULT:
        raise
    except Exception as error:
        return error
    return None
