"""A sealed store whose log is on Kafka: what a topic holds of a person, and how a topic with plain events becomes a sealed one."""

import asyncio
import base64
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from services.replay.sealing import HasPlainEvents, seal_store_on_kafka
from services.replay.sealing_topic import GrownMeanwhile, NotRewritable
from shared.database import open_pool
from shared.log.kafka import KafkaLog
from shared.log.kafka_cluster import KafkaCluster
from shared.log.kafka_topic import open_kafka_log
from shared.log.port import Entry
from shared.projection.generations import WrongLog
from shared.sealing.keys import MasterKey
from shared.sealing.log import unsealed
from shared.sealing.store import sealed_by
from tests.conftest import Workspace, empty_database, new_workspace
from tests.kafka import bytes_in_files, new_topic
from tests.sealed import sealed_store
from tests.services import command, environment, fails
from tests.system.test_sealing import ALL, FORGET, FORM, TRACES, Run, dump, overview
from touchline.compose import compose
from touchline.configuration import Configuration
from touchline.sealing import seal_before_first_event

PARTITIONS = 4


@pytest.fixture
def run(runner: asyncio.Runner) -> Run:
    return runner.run


async def records(cluster: KafkaCluster) -> list[tuple[int, int, bytes, bytes]]:
    """Every record of a topic, as a consumer of anybody's reads it: partition, offset, key with headers, and value."""
    consumer = AIOKafkaConsumer(**cluster.client(), enable_auto_commit=False, auto_offset_reset="earliest")
    await consumer.start()
    places = [TopicPartition(cluster.topic, partition) for partition in range(PARTITIONS)]
    consumer.assign(places)
    await consumer.seek_to_beginning(*places)
    found: list[tuple[int, int, bytes, bytes]] = []
    left = sum((await consumer.end_offsets(places)).values())
    async with asyncio.timeout(60):
        while len(found) < left:
            for part in (await consumer.getmany(timeout_ms=200)).values():
                found += [
                    (r.partition, r.offset, (r.key or b"") + repr(r.headers).encode(), r.value or b"") for r in part
                ]
    await consumer.stop()
    return sorted(found)


async def traces(cluster: KafkaCluster) -> list[str]:
    held = (
        b"\n".join(key + b"\n" + value for _, _, key, value in await records(cluster))
        .decode(errors="replace")
        .casefold()
    )
    return [trace for trace in TRACES if trace in held]


async def traces_in_files(cluster: KafkaCluster) -> list[str]:
    """Which traces of the person the files of the broker hold."""
    held = (await bytes_in_files(cluster)).decode(errors="replace").casefold()
    return [trace for trace in TRACES if trace in held]


def test_a_topic_holds_no_name_from_the_first_byte_and_forgetting_leaves_no_trace(
    own_database: str, kafka: str, run: Run
) -> None:
    topic = new_topic(kafka)

    async def check() -> None:
        running = (await sealed_store(own_database, kafka, topic.topic)).running
        sealed = await new_workspace(running, "sealed")
        assert (await sealed.send(*ALL)).status_code == 202
        assert (len(await records(topic)), await traces(topic)) == (len(ALL), [])
        await sealed.project()
        answer = (await sealed.get("/v1/contacts/kari@nordmann.example")).json()
        assert (answer["contact"], answer["properties"]["city"]) == ("crm-4711", "Tromsø-Kvaløya")
        before = await overview(sealed)
        assert before["metrics"]["influenced_contacts"] == 1
        assert (await sealed.send(FORGET)).status_code == 202
        await sealed.project()
        assert (await overview(sealed), await traces(topic)) == (before, [])
        held = await dump(sealed)
        assert [trace for trace in TRACES if trace in held] == []
        assert await traces_in_files(topic) == []
        assert (await sealed.get("/v1/contacts/kari@nordmann.example")).status_code == 404
        await sealed.send({**FORM, "id": "again", "occurred_at": "2024-04-01T00:00:00Z"})
        await sealed.project()
        assert (await sealed.get("/v1/contacts/kari@nordmann.example")).json()["conversion"] == "again"
        assert len((await sealed.get("/v1/contacts")).json()["items"]) == 2
        await running.close()

    run(check())


@dataclass
class Plain:
    """A store that is not sealed, on a topic that has the events of one workspace."""

    database_url: str
    topic: KafkaCluster
    name: str
    keys: dict[str, str]
    overview_before: object

    def settings(self, topic: KafkaCluster, master_key: str | None = None) -> Configuration:
        return Configuration(
            kafka_bootstrap_servers=topic.bootstrap_servers, kafka_topic=topic.topic, kafka_partitions=PARTITIONS,
            kafka_replication_factor=1, master_key=master_key,
        )  # fmt: skip


@pytest.fixture
def plain(own_database: str, kafka: str, run: Run) -> Plain:
    topic = new_topic(kafka)

    async def filled() -> Plain:
        store = Plain(own_database, topic, "", {}, None)
        running = await compose(own_database, store.settings(topic))
        workspace = await new_workspace(running, "plain")
        await workspace.send(*ALL)
        await odd_records(topic, workspace)
        await workspace.project()
        store.name, store.keys, store.overview_before = workspace.name, workspace.keys, await overview(workspace)
        await running.close()
        return store

    return run(filled())


async def odd_records(topic: KafkaCluster, workspace: Workspace) -> None:
    """Records that are no events: one beside a workspace's, one of nobody."""
    producer = AIOKafkaProducer(**topic.client())
    await producer.start()
    for key in (workspace.name.encode(), None):
        await producer.send_and_wait(topic.topic, b"Kari Nordmann was here", key=key, partition=workspace.partition)
    await producer.stop()


@pytest.fixture
def logs(plain: Plain, run: Run) -> Iterator[tuple[KafkaLog, KafkaLog]]:
    """The log of the store, and an empty topic with as many partitions."""
    new = run(open_kafka_log(new_topic(plain.topic.bootstrap_servers), PARTITIONS, 1))
    old = run(open_kafka_log(plain.topic))
    yield old, new
    for log in (old, new):
        run(log.close())


async def seal_them(
    plain: Plain, logs: tuple[KafkaLog, KafkaLog], advance: Callable[[int], None] = lambda _: None
) -> int:
    async with await open_pool(plain.database_url, 3) as pool:
        return await seal_store_on_kafka(pool, *logs, MasterKey(bytes(32)), advance)


def test_the_command_copies_a_topic_sealed_deletes_the_old_one_and_every_number_stays(plain: Plain, run: Run) -> None:
    new = new_topic(plain.topic.bootstrap_servers)
    key = base64.b64encode(os.urandom(32)).decode()
    env = environment(plain.database_url, plain.topic, MASTER_KEY=key)
    assert "name a new topic with --topic" in fails(env, "privacy", "seal")
    before = run(records(plain.topic))
    assert run(traces_in_files(plain.topic)) == list(TRACES)  # the search finds what is there
    assert command(env, "privacy", "seal", "--topic", new.topic, "--yes") == {"events": len(ALL) + 2}

    async def check() -> None:
        assert await topics(plain.topic) >= {new.topic}
        assert plain.topic.topic not in await topics(plain.topic)
        assert (await traces(new), await traces_in_files(new)) == ([], [])
        assert [place[:2] for place in await records(new)] == [place[:2] for place in before]
        running = await compose(plain.database_url, plain.settings(new, key))
        workspace = Workspace(running, plain.name, plain.keys)
        await workspace.project()
        assert await overview(workspace) == plain.overview_before
        assert (await workspace.get("/v1/contacts/kari@nordmann.example")).json()["contact"] == "crm-4711"
        await running.close()
        with pytest.raises(WrongLog):  # services that still name the old topic do not start
            await compose(plain.database_url, plain.settings(plain.topic, key))

    run(check())


def test_a_new_topic_is_sealed_before_its_first_event_and_one_with_plain_events_is_not(
    database_url: str, plain: Plain, run: Run
) -> None:
    topic, key = new_topic(plain.topic.bootstrap_servers), base64.b64encode(os.urandom(32)).decode()

    without_kafka = environment(plain.database_url, None, MASTER_KEY=key)
    assert "this store is a projection of" in fails(without_kafka, "privacy", "seal")

    async def check() -> None:
        with pytest.raises(HasPlainEvents, match="privacy seal"):
            await seal_before_first_event(plain.database_url, plain.settings(plain.topic, key), embedded=False)
        with pytest.raises(WrongLog, match=plain.topic.topic):  # the store's own log has plain events
            await seal_before_first_event(plain.database_url, plain.settings(topic, key), embedded=False)
        async with await open_pool(plain.database_url, 1) as pool:
            assert await sealed_by(pool) is None
        empty = await empty_database(database_url)
        assert await seal_before_first_event(empty, plain.settings(topic, key), embedded=False)
        assert not await seal_before_first_event(empty, plain.settings(topic, key), embedded=False)
        running = await compose(empty, plain.settings(topic, key))
        assert (await (await new_workspace(running, "sealed")).send(*ALL)).status_code == 202
        assert (len(await records(topic)), await traces(topic)) == (len(ALL), [])
        await running.close()

    run(check())


async def topics(cluster: KafkaCluster) -> set[str]:
    admin = AIOKafkaAdminClient(**cluster.client())
    await admin.start()
    found = set(await admin.list_topics())
    await admin.close()
    return found


def test_an_interrupted_copy_is_continued(plain: Plain, logs: tuple[KafkaLog, KafkaLog], run: Run) -> None:
    old, new = logs

    class Interrupted(Exception):
        pass

    async def check() -> None:
        def interrupt(done: int) -> None:
            if done:
                raise Interrupted

        with pytest.raises(Interrupted):
            await seal_them(plain, logs, interrupt)
        assert len(await entries(new)) == len(ALL) + 2
        await old.append(plain.name, [e.value for e in await entries(old) if e.workspace == plain.name][:1])
        assert await seal_them(plain, logs) == len(ALL) + 3
        assert [e.offset for e in await entries(new)] == [e.offset for e in await entries(old)]

    run(check())


async def entries(log: KafkaLog) -> list[Entry]:
    found: list[Entry] = []
    for partition in range(log.partitions):
        at = 0
        while some := await log.read(partition, at, 100):
            at = some[-1].offset + 1
            found += some
    return found


def test_a_topic_that_holds_something_else_is_refused_and_the_store_stays_as_it_is(
    plain: Plain, logs: tuple[KafkaLog, KafkaLog], run: Run
) -> None:
    _, new = logs

    async def check() -> None:
        await new.append(plain.name, [b"something else"])
        with pytest.raises(NotRewritable, match="offset 0 of partition"):
            await seal_them(plain, logs)
        running = await compose(plain.database_url, plain.settings(plain.topic))
        assert unsealed(running.log) is running.log  # not sealed
        assert await overview(Workspace(running, plain.name, plain.keys)) == plain.overview_before
        await running.close()

    run(check())


def test_a_topic_with_more_events_than_the_log_is_refused(
    plain: Plain, logs: tuple[KafkaLog, KafkaLog], run: Run
) -> None:
    _, new = logs

    async def check() -> None:
        await new.append(plain.name, [b"x"] * 20)
        with pytest.raises(NotRewritable, match="more events"):
            await seal_them(plain, logs)

    run(check())


def test_events_that_arrive_during_the_copy_are_noticed(
    plain: Plain, logs: tuple[KafkaLog, KafkaLog], run: Run
) -> None:
    old, _ = logs

    async def check() -> None:
        late = [e.value for e in await entries(old) if e.workspace == plain.name][:1]
        tasks: list[asyncio.Task[object]] = []

        def somebody_appends(done: int) -> None:
            if done and not tasks:
                tasks.append(asyncio.create_task(old.append(plain.name, late)))

        with pytest.raises(GrownMeanwhile):
            await seal_them(plain, logs, somebody_appends)
        await asyncio.gather(*tasks)

    run(check())
