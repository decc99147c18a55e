"""Rows that were deleted for a forgotten contact stay in PostgreSQL's files until `VACUUM`. This file runs it soon after."""

import asyncpg
import structlog

from shared.sealing.vault import Vault

logger = structlog.stdlib.get_logger("touchline.sealing")


async def remove_traces(pool: "asyncpg.Pool[asyncpg.Record]", vault: Vault) -> None:
    """Remove what `Vault.traces` names from the files of its tables, and the files of the write-ahead log that hold it.

    Nothing happens if this process has deleted nothing since the last call. Rows of `touchline.person` are encrypted there too; dead letters
    are not, so their table is rewritten as a whole. Raises `asyncpg.PostgresError` or one of `AWAY`; then the next call tries again.
    """
    tables, vault.traces = vault.traces, set()
    if not tables:
        return
    try:
        await pool.execute("VACUUM touchline.person")
        if "dead_letter" in tables:
            await pool.execute("VACUUM (FULL) touchline.dead_letter")
        await leave_write_ahead_log(pool)
    except BaseException:
        vault.traces |= tables
        raise


async def leave_write_ahead_log(pool: "asyncpg.Pool[asyncpg.Record]") -> None:
    """Let PostgreSQL remove the files of its write-ahead log that hold what was just deleted, or take them for new ones (`wal_recycle`).

    Otherwise they would stay until enough has been written. A role that may not do this leaves it to the next checkpoints.
    """
    try:
        await pool.execute("SELECT pg_switch_wal()")
        await pool.execute("CHECKPOINT")
    except asyncpg.InsufficientPrivilegeError as error:
        logger.warning("the write-ahead log keeps what was deleted until its files are removed", error=str(error))
