"""Kafka as it may be met: a topic that is unfit, a listener that wants a password, a broker that is away, an odd log."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from deploy.kafka.brokers import PASSWORD, USER, Cluster
from shared.log import group_commit
from shared.log.kafka import MESSAGE_BYTES_MAX, KafkaLog
from shared.log.kafka_cluster import KafkaCluster
from shared.log.kafka_topic import UnfitTopic, open_kafka_log
from shared.log.port import Entry, LogDamaged, LogUnavailable, partition_of
from shared.projection.batch import decode
from tests.kafka import a_cluster, new_topic

Open = Callable[..., Awaitable[KafkaLog]]

FIT = {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1",
       "max.message.bytes": str(MESSAGE_BYTES_MAX)}  # fmt: skip


@pytest.fixture
def opened(runner: asyncio.Runner) -> Iterator[Open]:
    """Opens logs, and closes them whatever becomes of the test."""
    logs: list[KafkaLog] = []

    async def open_log(topic: KafkaCluster, partitions: int | None = None) -> KafkaLog:
        logs.append(await open_kafka_log(topic, partitions))
        return logs[-1]

    yield open_log
    for log in logs:
        runner.run(log.close())


async def configs(cluster: KafkaCluster) -> dict[str, str]:
    admin = AIOKafkaAdminClient(**cluster.client())
    await admin.start()
    (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, cluster.topic)])
    await admin.close()
    return {name: value for name, value, *_ in answer.resources[0][4]}


async def make_topic(cluster: KafkaCluster, config: dict[str, str]) -> None:
    admin = AIOKafkaAdminClient(**cluster.client())
    await admin.start()
    await admin.create_topics([NewTopic(cluster.topic, 2, 1, topic_configs=config)])
    await admin.close()


def test_a_missing_topic_is_made_to_keep_everything(kafka: str, runner: asyncio.Runner, opened: Open) -> None:
    topic = new_topic(kafka)

    async def check() -> None:
        log = await opened(topic)
        assert log.partitions == 32
        result = await configs(topic)
        assert {name: result[name] for name in FIT} == FIT

    runner.run(check())


@pytest.mark.parametrize(
    "unfit", [{"cleanup.policy": "compact"}, {"retention.ms": "604800000"}, {"retention.bytes": "1000000"},
              {"max.message.bytes": "1048588"}], ids=lambda unfit: next(iter(unfit)),
)  # fmt: skip
def test_a_topic_that_would_lose_events_is_refused(
    kafka: str, runner: asyncio.Runner, opened: Open, unfit: dict[str, str]
) -> None:
    topic = new_topic(kafka)

    async def check() -> None:
        await make_topic(topic, FIT | unfit)
        with pytest.raises(UnfitTopic, match=next(iter(unfit))):
            await opened(topic)

    runner.run(check())


def test_another_number_of_partitions_is_refused(kafka: str, runner: asyncio.Runner, opened: Open) -> None:
    topic = new_topic(kafka)

    async def check() -> None:
        await opened(topic, 4)
        await opened(topic)
        with pytest.raises(UnfitTopic, match="4 partitions, 5 are asked for"):
            await opened(topic, 5)

    runner.run(check())


def test_an_entry_that_is_gone_is_said_and_not_skipped(kafka: str, runner: asyncio.Runner, opened: Open) -> None:
    """Somebody has cut the topic: its offsets begin later than what the projection asks for."""
    topic = new_topic(kafka)

    async def check() -> None:
        log = await opened(topic, 1)
        await log.append("w", [b"1", b"2", b"3"])
        admin = AIOKafkaAdminClient(**topic.client())
        await admin.start()
        await admin.delete_records({TopicPartition(topic.topic, 0): RecordsToDelete(2)})
        await admin.close()
        for _ in range(3):
            with pytest.raises(LogDamaged):
                await log.read(0, 0, 10)
        with pytest.raises(LogDamaged):
            await log.entries(0, [1])
        assert [e.value for e in await log.entries(0, [2])] == [b"3"]

    runner.run(check())


def test_a_record_of_a_stranger_has_a_place_in_the_order_and_no_workspace(
    kafka: str, runner: asyncio.Runner, opened: Open
) -> None:
    """Without a key, with one that is no text, or in the partition that another workspace lives in."""
    topic = new_topic(kafka)
    ours = next(name for name in map(str, range(99)) if partition_of(name, 2) == 0)
    theirs = next(name for name in map(str, range(99)) if partition_of(name, 2) == 1)

    async def check() -> None:
        log = await opened(topic, 2)
        await log.append(ours, [b"1"])
        stranger = AIOKafkaProducer(**topic.client())
        await stranger.start()
        for key in (None, b"\xff\xfe", theirs.encode()):
            await stranger.send_and_wait(topic.topic, b"odd", key=key, partition=0)
        await stranger.stop()
        await log.append(ours, [b"2"])
        entries: list[Entry] = []
        while len(entries) < 5:
            entries += await log.read(0, len(entries), 10)
        assert [e.workspace for e in entries] == [ours, "", "", "", ours]
        batch = decode(entries)
        assert [entry.offset for entry, _ in batch.unreadable] == [0, 1, 2, 3, 4]  # those of ours are no events here
        assert {why for _, why in batch.unreadable[1:4]} == {"the record names no workspace of this partition"}

    runner.run(check())


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    yield from a_cluster(tmp_path_factory.mktemp("secure") / "cluster", secure=True)


def test_sasl_over_tls(secure: Cluster, runner: asyncio.Runner, opened: Open) -> None:
    plain = new_topic(secure.secure_servers)
    known = replace(
        plain,
        security_protocol="SASL_SSL",
        sasl_username=USER,
        sasl_password=PASSWORD,
        ssl_cafile=str(secure.authority),
    )

    async def check() -> None:
        log = await opened(known, 2)
        position = await log.append("w", [b"secret"])
        assert [e.value for e in await log.entries(position.partition, [position.offset - 1])] == [b"secret"]
        with pytest.raises(LogUnavailable):
            await opened(replace(known, sasl_password="wrong"))
        with pytest.raises(LogUnavailable):
            await opened(replace(known, ssl_cafile=None))

    runner.run(check())


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """A broker that the test may kill."""
    yield from a_cluster(tmp_path / "cluster")


def test_a_broker_that_is_away_is_reported_and_what_was_answered_is_there_when_it_is_back(
    cluster: Cluster, runner: asyncio.Runner, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "APPEND_WAIT_S", 2.0)
    (broker,) = cluster.brokers
    topic = new_topic(cluster.bootstrap_servers)

    async def until_well(call: Callable[[], Awaitable[object]]) -> object:
        async with asyncio.timeout(60):
            while True:
                try:
                    return await call()
                except LogUnavailable:
                    await asyncio.sleep(0.1)

    async def check() -> None:
        log = await opened(topic, 1)
        await log.append("w", [b"before"])
        assert [e.value for e in await log.read(0, 0, 10)] == [b"before"]
        cluster.end(broker, signal.SIGKILL)
        with pytest.raises(LogUnavailable):
            await log.append("w", [b"meanwhile"])
        with pytest.raises(LogUnavailable):
            await log.append("w", [b"at once"])  # those behind it do not wait as long
        with pytest.raises(LogUnavailable):
            await log.end(0)
        cluster.launch(broker)
        await asyncio.to_thread(cluster.until_ready, broker)
        await until_well(lambda: log.append("w", [b"after"]))
        entries = await until_well(lambda: log.read(0, 0, 10))
        assert entries[0].value == b"before"
        while entries[-1].value != b"after":
            entries = await until_well(lambda at=entries[-1].offset + 1: log.read(0, at, 10))

    runner.run(check())


def test_a_full_buffer_is_reported_at_once(
    kafka: str, runner: asyncio.Runner, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "PENDING_BYTES_MAX", 1000)
    topic = new_topic(kafka)

    async def check() -> None:
        log = await opened(topic, 1)
        sent = [asyncio.create_task(log.append("w", [b"x" * 400])) for _ in range(5)]
        done = await asyncio.gather(*sent, return_exceptions=True)
        assert [isinstance(each, LogUnavailable) for each in done] == [False, False, True, True, True]
        await log.append("w", [b"there is room again"])
        assert await log.end(partition_of("w", 1)) == 3

    runner.run(check())
