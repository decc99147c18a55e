"""What becomes of an event that no rule can take? It is kept aside, and all others of its batch are projected."""

from collections.abc import Callable, Sequence

import asyncpg
import structlog

from shared.database import AWAY
from shared.log.port import Entry, LogDamaged, LogUnavailable
from shared.projection.project import Batch, Fenced, Projector, decode
from shared.projection.sql import Connection

ROLLED_BACK = (asyncpg.TransactionRollbackError, asyncpg.LockNotAvailableError)  # a deadlock, say: the same batch again
GONE = (
    asyncpg.UndefinedTableError,
    asyncpg.InvalidSchemaNameError,
)  # a table or the schema of a generation that was dropped
PASSING: tuple[type[Exception], ...] = (Fenced, LogUnavailable, *GONE, *ROLLED_BACK, *AWAY)
"""What passes by itself, and is no event's fault."""
NOT_ITS_FAULT: tuple[type[Exception], ...] = (LogDamaged, *PASSING)

logger = structlog.stdlib.get_logger("touchline.projector")


async def project_or_bury(
    connection: Connection, projector: Projector, batch: Batch, decode: Callable[[Sequence[Entry]], Batch] = decode
) -> int:
    """Project a batch; of one that fails, every event that no rule can take is kept aside, and all others are projected.

    The batch is then done in steps, each four times as short after a failure and twice as long after a success: one bad
    event costs as much as the batch, and many in a row hardly more than as many good ones. `decode` makes a batch of
    entries, for a batch is projected once. Answers how many were kept aside. Raises what is no event's fault.
    """
    entries = batch.entries
    if await _failure(connection, projector, batch) is None:
        return 0
    at, step, buried = 0, max(1, len(entries) // 2), 0
    while at < len(entries):
        part = entries[at : at + step]
        error = await _failure(connection, projector, decode(part))
        if error is None:
            at, step = at + len(part), step * 2
        elif len(part) > 1:
            step = max(1, len(part) // 4)
        else:
            if not buried:
                message = "an event cannot be projected and is kept as a dead letter"
                logger.error(message, offset=part[0].offset, exc_info=error)
            await projector.bury(connection, part[0], f"{type(error).__name__}: {error}")
            at, buried = at + 1, buried + 1
    if buried > 1:
        logger.error("more events cannot be projected and are kept as dead letters", events=buried - 1)
    return buried


async def _failure(connection: Connection, projector: Projector, batch: Batch) -> Exception | None:
    """Why a batch could not be projected; None if it was. Raises what is no event's fault."""
    try:
        await projector.project(connection, batch)
    except NOT_ITS_FAULT:
        raise
    except Exception as error:
        return error
    return None
