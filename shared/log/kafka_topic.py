"""Is the topic fit for a log? It is created if it is missing, and checked at every start: a log is kept for ever."""

import asyncio
from collections.abc import Mapping

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from shared.database import error_text
from shared.errors import ExpectedError
from shared.log.kafka import MESSAGE_BYTES_MAX, KafkaLog
from shared.log.kafka_cluster import KafkaCluster
from shared.log.port import LogUnavailable

PARTITIONS = 32  # of a new topic; it bounds how many projectors can share the work
REPLICATION_MAX = 3  # replicas of a new topic, if there are as many brokers
CREATE_S = 30.0

CONFIG = {
    "cleanup.policy": "delete",
    "retention.ms": "-1",
    "retention.bytes": "-1",
    "max.message.bytes": str(MESSAGE_BYTES_MAX),
}


class UnfitTopic(ExpectedError):
    """The topic's settings would lose or refuse events; the operator must change them or name another topic."""


async def open_kafka_log(
    cluster: KafkaCluster, partitions: int | None = None, replication_factor: int | None = None
) -> KafkaLog:
    """The log of a topic, which is created if it is missing. Raises `LogUnavailable` or `UnfitTopic`.

    `partitions`, where given, must be the topic's count; `replication_factor` is used only to create a topic.
    """
    admin = AIOKafkaAdminClient(**cluster.client())
    try:
        async with asyncio.timeout(CREATE_S):
            await admin.start()
            try:
                described = await admin.describe_cluster()
                brokers = len(described["brokers"])
                count = await _partitions(admin, cluster.topic)
                if count is None:
                    replicas = replication_factor or min(REPLICATION_MAX, brokers)
                    count = await _create(admin, cluster.topic, partitions or PARTITIONS, replicas)
                await _check(admin, cluster.topic, count, partitions)
            finally:
                await admin.close()
    except (KafkaError, OSError, TimeoutError) as error:
        raise LogUnavailable(f"Kafka at {cluster.bootstrap_servers}: {error_text(error)}") from error
    return KafkaLog(cluster, count, described["cluster_id"])


async def _partitions(admin: AIOKafkaAdminClient, topic: str) -> int | None:
    """How many partitions a topic has; None if there is no such topic."""
    (found,) = await admin.describe_topics([topic])
    if found["error_code"] == 3:  # UNKNOWN_TOPIC_OR_PARTITION
        return None
    if found["error_code"]:
        raise for_code(found["error_code"])(topic)
    return len(found["partitions"])


async def _create(admin: AIOKafkaAdminClient, topic: str, partitions: int, replicas: int) -> int:
    """Create the topic, unless another process has just done so; returns how many partitions it has."""
    config = CONFIG | {"min.insync.replicas": str(max(1, replicas - 1))}
    answer = await admin.create_topics([NewTopic(topic, partitions, replicas, topic_configs=config)])
    for _, code, *message in answer.topic_errors:
        if code and for_code(code) is not TopicAlreadyExistsError:
            raise UnfitTopic(
                f"the topic {topic} cannot be created: {for_code(code).__name__} {' '.join(map(str, message))}"
            )
    while (count := await _partitions(admin, topic)) is None:
        await asyncio.sleep(0.1)  # the brokers learn of a new topic one after another
    return count


async def _check(admin: AIOKafkaAdminClient, topic: str, count: int, partitions: int | None) -> None:
    """Raise `UnfitTopic` that lists every wrong setting of the topic."""
    wrong = []
    if partitions is not None and count != partitions:
        wrong.append(f"it has {count} partitions, {partitions} are asked for; a workspace would change its partition")
    (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    (resource,) = answer.resources
    if resource[0]:
        raise for_code(resource[0])(topic)  # a broker that has just started may not know the topic yet
    wrong += _misfits({name: value for name, value, *_ in resource[4]})
    if wrong:
        raise UnfitTopic(f"the topic {topic} cannot hold a log that is kept for ever: " + "; ".join(wrong))


def _misfits(config: Mapping[str, str]) -> list[str]:
    wrong = []
    if config["cleanup.policy"] != "delete":
        wrong.append(f"cleanup.policy is {config['cleanup.policy']}, must be delete (with endless retention)")
    wrong += [
        f"{name} is {config[name]}, must be -1" for name in ("retention.ms", "retention.bytes") if config[name] != "-1"
    ]
    if int(config["max.message.bytes"]) < MESSAGE_BYTES_MAX:
        wrong.append(f"max.message.bytes is {config['max.message.bytes']}, must be {MESSAGE_BYTES_MAX} or more")
    return wrong
