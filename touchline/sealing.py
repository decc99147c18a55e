"""When is a store sealed? By `touchline up --sealed` before its first event, by `touchline privacy seal` also later; never while others use it."""

import asyncio
from typing import Any

from services.replay.sealing import OTHERS, StoreInUse, check_no_events, master_key_of, seal_store
from shared.database import connect
from shared.log.postgres import PARTITIONS
from shared.sealing.store import sealed_by
from shared.store.migrate import migrate
from touchline.configuration import Configuration
from touchline.open_log import reached

LOOKS, LOOK_S = 20, 0.1  # whether others use a database: so often, with so long between two looks
NO_RECYCLING = ("ALTER SYSTEM SET wal_recycle = off", "SELECT pg_reload_conf()")
"""A file of the write-ahead log that is recycled keeps what was deleted until it is written over; another one is removed."""


async def check_unused(connection: Any) -> None:
    """Raise `StoreInUse` if others are connected with the database of this connection, and stay so.

    PostgreSQL still shows a connection for a moment after its client has left.
    """
    for _ in range(LOOKS):
        if not await connection.fetchval(OTHERS):
            return
        await asyncio.sleep(LOOK_S)
    raise StoreInUse("other processes use this database: stop the services first, and start them again afterwards")


async def stop_recycling(pool: Any) -> None:
    """Let an embedded PostgreSQL remove the files of its write-ahead log that it needs no more."""
    for statement in NO_RECYCLING:
        await pool.execute(statement)


async def seal_before_first_event(url: str, configuration: Configuration, *, embedded: bool) -> bool:
    """Seal a store that has no events; returns False, and changes nothing, if it is sealed already.

    Raises `HasPlainEvents`, `WrongLog`, `StoreInUse` or `BadMasterKey`; `LogUnavailable` or one of `AWAY` while the log or the database is away.
    """
    connection = await connect(url)
    try:
        if await sealed_by(connection) is not None:
            return False
        await check_unused(connection)
    finally:
        await connection.close()
    await migrate(url, PARTITIONS)
    async with reached(url, configuration, 2) as (pool, log):
        await check_no_events(pool, log)
        master = await master_key_of(pool, configuration.master_key)
        if embedded:
            await stop_recycling(pool)
        await seal_store(pool, log, master, lambda _: None)
    return True
