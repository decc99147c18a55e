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
    """Project a batch; one that fails is halved until the event that it fails on stands alone and is kept aside.

    `decode` makes a batch of entries, for a batch is projected once. Answers how many were kept aside. Raises what is no
    event's fault.
    """
    try:
        await projector.project(connection, batch)
    except NOT_ITS_FAULT:
        raise
    except Exception as error:
        entries = batch.entries
        if len(entries) > 1:
            half = len(entries) // 2
            first = await project_or_bury(connection, projector, decode(entries[:half]), decode)
            return first + await project_or_bury(connection, projector, decode(entries[half:]), decode)
        logger.exception("an event cannot be projected and is kept as a dead letter", offset=entries[0].offset)
        await projector.bury(connection, entries[0], f"{type(error).__name__}: {error}")
        return 1
    return 0
