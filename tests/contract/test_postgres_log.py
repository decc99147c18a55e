"""The PostgreSQL log keeps the contract of every log."""

import asyncio
from collections.abc import Iterator

import pytest

from shared.database import open_pool
from shared.log.port import EventLog
from shared.log.postgres import PARTITIONS, PostgresLog
from tests.contract.event_log import EventLogContract
from touchline.compose import Running


class TestPostgresLog(EventLogContract):
    @pytest.fixture(autouse=True)
    def url(self, database_url: str, runner: asyncio.Runner) -> Iterator[None]:
        self._url, self._pools = database_url, []
        yield
        for pool in self._pools:
            runner.run(pool.close())

    @pytest.fixture
    def log(self, running: Running) -> EventLog:
        return running.log

    async def reopened(self, log: EventLog) -> EventLog:
        pool = await open_pool(self._url, 4)
        self._pools.append(pool)
        return PostgresLog(pool, PARTITIONS)
