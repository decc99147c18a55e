"""How is the log of a store reached? By services and by commands, which need no service for it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from shared.database import open_pool
from shared.log.port import EventLog
from shared.log.postgres import PARTITIONS, PostgresLog
from shared.sealing.store import open_sealed
from shared.wakeups import Wakeups
from touchline.configuration import Configuration


async def open_log(
    configuration: Configuration, pool: "asyncpg.Pool[asyncpg.Record]", wakeups: Wakeups | None = None
) -> EventLog:
    """The log that the configuration names: Kafka's, or a table of the database. Raises `LogUnavailable` or `UnfitTopic`.

    A log in the database wakes and is woken by `wakeups`, which is its maker's to close; without it by one of its own. If the store
    is sealed, so is the log. Raises `BadMasterKey`.
    """
    log: EventLog
    if configuration.kafka is None:
        log = PostgresLog(pool, PARTITIONS, wakeups)
    else:
        from shared.log.kafka_topic import (
            open_kafka_log,  # takes a fifth of a second, of which commands on PostgreSQL have no need
        )

        log = await open_kafka_log(
            configuration.kafka, configuration.kafka_partitions, configuration.kafka_replication_factor
        )
    try:
        return await open_sealed(pool, log, configuration.master_key, wakeups)
    except BaseException:
        await log.close()
        raise


@asynccontextmanager
async def reached(
    url: str, configuration: Configuration, connections_max: int
) -> "AsyncIterator[tuple[asyncpg.Pool[asyncpg.Record], EventLog]]":
    """A pool of connections to a database that is migrated already, and the log that the configuration names."""
    pool = await open_pool(url, connections_max)
    try:
        log = await open_log(configuration, pool)
        try:
            yield pool, log
        finally:
            await log.close()
    finally:
        await pool.close()
