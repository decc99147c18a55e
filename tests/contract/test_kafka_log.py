"""The Kafka log keeps the contract of every log, on a real broker."""

import asyncio
from collections.abc import Iterator

import pytest

from shared.log.kafka import KafkaLog
from shared.log.kafka_cluster import KafkaCluster
from shared.log.kafka_topic import open_kafka_log
from shared.log.port import EventLog
from tests.contract.event_log import EventLogContract
from tests.kafka import new_topic


@pytest.fixture(scope="module")
def topic(kafka: str) -> KafkaCluster:
    return new_topic(kafka)


class TestKafkaLog(EventLogContract):
    @pytest.fixture(autouse=True)
    def opened(self, topic: KafkaCluster, runner: asyncio.Runner) -> Iterator[None]:
        self._topic: KafkaCluster = topic
        self._logs: list[KafkaLog] = []
        yield
        for log in self._logs:
            runner.run(log.close())

    @pytest.fixture
    def log(self, opened: None, runner: asyncio.Runner) -> EventLog:
        return runner.run(self._open())

    async def reopened(self, log: EventLog) -> EventLog:
        return await self._open()

    async def _open(self) -> EventLog:
        self._logs.append(await open_kafka_log(self._topic, 4, 1))
        return self._logs[-1]
