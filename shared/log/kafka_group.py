"""Which partitions does this process project? A Kafka consumer group assigns them, and is used for nothing else.

The group's consumer reads no records; the log's own readers do. The projected offset is stored in PostgreSQL, in the
transaction of the batch. The group's offsets are committed afterwards, only for the usual tools that show lag. A rebalance
takes all partitions from all members for a moment and assigns them again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import IllegalStateError, KafkaError
from prometheus_client import Counter

from shared.database import error_text
from shared.log.kafka import FETCHING, start_client, stop_client
from shared.log.kafka_cluster import KafkaCluster
from shared.log.port import LogUnavailable

SESSION_S = 10.0  # a member that sends no heartbeat for so long loses its partitions
HEARTBEAT_S = 1.0
REBALANCE_S = 30.0  # for members to stop the workers of their partitions
COMMIT_S = 2.0  # between two commits of the group's offsets
AGAIN_S = 1.0
NO_POLL_LIMIT_MS = 2**31 - 1  # not needed: a hanging event loop sends no heartbeats

REBALANCES = Counter("touchline_projector_rebalances", "Assignments of partitions by the consumer group")

logger = structlog.stdlib.get_logger("touchline.group")


class KafkaGroup(ConsumerRebalanceListener):  # type: ignore[misc]
    """Membership in the consumer group `group`; see `shared.log.port.Assignment`.

    With `instance`, a name that a process keeps when it restarts, its partitions stay assigned to it for up to `session_s`.
    """

    def __init__(
        self, cluster: KafkaCluster, group: str, instance: str | None = None, session_s: float = SESSION_S
    ) -> None:
        self._cluster, self._group, self._instance = cluster, group, instance
        self._session_s = session_s
        self._passed: dict[int, int] = {}
        self._held: list[int] = []
        self._consumer: AIOKafkaConsumer | None = None

    async def run(self, begin: Callable[[int], None], end: Callable[[Sequence[int]], Awaitable[None]]) -> None:
        """See `Assignment.run`."""
        self._begin, self._end = begin, end
        while True:
            belonging = asyncio.ensure_future(self._belong())
            try:
                await asyncio.wait([belonging])  # aiokafka may cancel the membership itself
            finally:
                belonging.cancel()
                await asyncio.wait([belonging])
            error = None if belonging.cancelled() else belonging.exception()
            if error and not isinstance(error, (KafkaError, LogUnavailable)):
                raise error
            logger.warning(
                "this process is no longer in the consumer group; it joins again",
                error=error_text(error or asyncio.CancelledError()),
            )
            await asyncio.sleep(AGAIN_S)

    async def _belong(self) -> None:
        """Be a member until something fails."""
        consumer = self._consumer = AIOKafkaConsumer(**self._cluster.client(), **FETCHING, **self._membership())
        await start_client(consumer)
        try:
            consumer.subscribe([self._cluster.topic], listener=self)
            while True:
                await asyncio.sleep(COMMIT_S)
                consumer._coordinator.check_errors()  # else only readers see the error that ended the membership
                await self._commit_offsets(consumer)
        finally:
            await self._end_all()
            await stop_client(consumer)

    def _membership(self) -> dict[str, Any]:
        return {
            "group_id": self._group,
            "group_instance_id": self._instance,
            "session_timeout_ms": int(self._session_s * 1000),
            "heartbeat_interval_ms": int(min(HEARTBEAT_S, self._session_s / 3) * 1000),
            "rebalance_timeout_ms": int(REBALANCE_S * 1000),
            "max_poll_interval_ms": NO_POLL_LIMIT_MS,
            "partition_assignment_strategy": (RoundRobinPartitionAssignor,),
        }

    async def on_partitions_revoked(self, _: frozenset[TopicPartition]) -> None:
        """A rebalance begins: stop the workers of all partitions."""
        await self._end_all()

    async def on_partitions_assigned(self, assigned: frozenset[TopicPartition]) -> None:
        """A rebalance is over: start the workers of the assigned partitions."""
        await self._end_all()
        REBALANCES.inc()
        assert self._consumer is not None
        self._consumer.pause(*assigned)
        partitions = sorted(at.partition for at in assigned)
        logger.info("partitions assigned", partitions=partitions)
        for partition in partitions:
            self._held.append(partition)
            self._begin(partition)

    async def _end_all(self) -> None:
        held, self._held = self._held, []
        await self._end(held)
        self._passed.clear()

    def passed(self, partition: int, offset: int) -> None:
        """See `Assignment.passed`."""
        self._passed[partition] = offset

    async def _commit_offsets(self, consumer: AIOKafkaConsumer) -> None:
        """Commit the group's offsets. Nothing depends on them, so a failure is only logged."""
        offsets = {TopicPartition(self._cluster.topic, p): offset for p, offset in self._passed.items()}
        self._passed.clear()
        if not offsets:
            return
        try:
            await consumer.commit(offsets)
        except (KafkaError, IllegalStateError) as error:
            logger.info("the consumer group's offsets were not committed", error=error_text(error))
