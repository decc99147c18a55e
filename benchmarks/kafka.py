"""What do processes of their own achieve, on Kafka and PostgreSQL? Beside the same calls and COPY, without rules."""

import asyncio
import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import orjson
import psutil
from aiokafka import AIOKafkaProducer

from benchmarks.copied import create_copied
from benchmarks.load import BATCH_EVENTS, bodies, now, post, read_bodies, spread, until_readable, waits_s, write_bodies
from deploy.kafka.brokers import Cluster
from shared.log.kafka_cluster import KafkaCluster
from shared.log.kafka_topic import open_kafka_log
from shared.log.port import partition_of
from shared.projection.tables import projection
from tests.services import Service, command, environment
from touchline.embedded import Embedded

EVENTS = int(os.environ.get("BENCHMARK_EVENTS", "300000"))
PARTITIONS = 8
SLICE_EVENTS = 10_000
LANES = 8
FRESHNESS_EVENTS_PER_S, FRESHNESS_S = 5_000, 30


class Deployment:
    """A broker, a PostgreSQL, and processes of each service; `workspaces` have a partition each."""

    def __init__(self, folder: Path, database_url: str, cluster: KafkaCluster, workspaces: int) -> None:
        self.folder, self.database_url, self.cluster = folder, database_url, cluster
        self.env = environment(database_url, cluster, KAFKA_PARTITIONS=str(PARTITIONS))
        names: dict[int, str] = {}
        for n in itertools.count():
            names.setdefault(partition_of(f"company-{n}", PARTITIONS), f"company-{n}")
            if len(names) == PARTITIONS:
                break
        self.workspaces = [names[partition] for partition in range(workspaces)]
        self.keys = {name: command(self.env, "keys", "create", "--workspace", name)["keys"] for name in self.workspaces}
        self.running: list[Service] = []

    def start(self, role: str) -> Service:
        """Start one more process."""
        service = Service(role, self.env, self.folder / f"{role}{len(self.running)}.log").start()
        self.running.append(service)
        return service

    def prepare(self, events: int) -> None:
        """Write the requests, each workspace's part of the events."""
        for n, name in enumerate(self.workspaces):
            write_bodies(self.folder / f"bodies-{name}", events // len(self.workspaces), seed=n)

    async def send(self, ingest: Service) -> tuple[int, dict[str, str]]:
        """Send what was prepared; answers how many events were accepted, and each workspace's position."""
        paths = {name: self.folder / f"bodies-{name}" for name in self.workspaces}
        lanes = max(1, LANES // len(paths))
        began = now()
        sent = await asyncio.gather(
            *(post(ingest.url, self.keys[name]["server"], read_bodies(path), lanes) for name, path in paths.items())
        )
        self.accepted_s = now() - began
        return sum(count for count, _ in sent), {
            name: position for name, (_, position) in zip(paths, sent, strict=True)
        }

    def cpu_s(self) -> dict[str, float]:
        """CPU seconds that everybody has spent so far."""
        postmaster = psutil.Process(int((self.folder / "data" / "postgres" / "postmaster.pid").read_text().split()[0]))
        broker = psutil.Process(int((self.folder / "kafka" / "broker1" / "pid").read_text()))
        spent = {"sender": sum(psutil.Process().cpu_times()[:2])}
        for service in self.running:
            assert service.process is not None
            spent[service.role] = sum(psutil.Process(service.process.pid).cpu_times()[:2])
        backends = [postmaster, *postmaster.children(recursive=True)]
        return spent | {
            "PostgreSQL": sum(sum(each.cpu_times()[:2]) for each in backends), "Kafka": sum(broker.cpu_times()[:2]),
        }  # fmt: skip

    async def until_readable(self, api: Service, positions: dict[str, str]) -> None:
        """Wait until every workspace shows all of it."""
        await asyncio.gather(*(until_readable(api.url, self.keys[name]["read"], at) for name, at in positions.items()))


@contextmanager
def deployed(folder: Path, workspaces: int) -> Iterator[Deployment]:
    """A deployment that ends with the block."""
    embedded, cluster = Embedded(folder / "data"), Cluster(folder / "kafka")
    running: list[Service] = []
    try:
        url = embedded.start()
        cluster.start()
        deployment = Deployment(folder, url, KafkaCluster(cluster.bootstrap_servers), workspaces)
        running = deployment.running
        yield deployment
    finally:
        for service in running:
            service.end()
        cluster.stop()
        embedded.stop()


async def end_to_end(folder: Path) -> None:
    """From the first request until all is readable: one workspace, then eight; ingest, projector and API a process each."""
    for workspaces in (1, 8):
        part = folder / str(workspaces)
        part.mkdir()
        with deployed(part, workspaces) as deployment:
            ingest, _, api = (deployment.start(role) for role in ("ingest", "projector", "api"))
            deployment.prepare(EVENTS)
            before = deployment.cpu_s()
            began = now()
            accepted, positions = await deployment.send(ingest)
            await deployment.until_readable(api, positions)
            readable_s = now() - began
            spent = {who: s - before[who] for who, s in deployment.cpu_s().items()}
            batch = deployment.running[1].metric("touchline_projector_events_total") / deployment.running[1].metric(
                "touchline_projector_batch_events_count"
            )
            for service in deployment.running:
                service.end()
            deployment.running.clear()
            limit_s = await without_rules(deployment, accepted)
        print("  CPU, µs an event: " + ", ".join(f"{who} {s / accepted * 1e6:.1f}" for who, s in spent.items()))
        print(f"  events in a batch: {batch:,.0f}")
        print(f"  {workspaces} workspaces: accepted {accepted / deployment.accepted_s:9,.0f} events/s")
        print(f"                readable {accepted / readable_s:9,.0f} events/s")
        print(
            f"                the same calls and COPY, without rules {accepted / limit_s:9,.0f} events/s; "
            f"readable is {limit_s / readable_s:.0%} of it", flush=True,
        )  # fmt: skip


async def without_rules(deployment: Deployment, events: int) -> float:
    """Seconds that the same records take through a topic, and the same rows by COPY into the same tables and indexes.

    Records are appended and read by the calls that the services use, in the same sizes, and for every 10,000 read their
    share of the rows is copied, in a transaction.
    """
    live = await open_kafka_log(deployment.cluster)
    values: dict[str, list[bytes]] = {name: [] for name in deployment.workspaces}
    for partition in range(live.partitions):
        offset = 0
        while entries := await live.read(partition, offset, SLICE_EVENTS):
            offset = entries[-1].offset + 1
            for entry in entries:
                values[entry.workspace].append(entry.value)
    await live.close()
    connection = await asyncpg.connect(deployment.database_url)
    slices = await _slices(connection, deployment.folder, -(-events // SLICE_EVENTS))
    log = await open_kafka_log(KafkaCluster(deployment.cluster.bootstrap_servers, "without.rules"), PARTITIONS)

    async def append(name: str, parts: Iterator[list[bytes]]) -> None:
        for part in parts:
            await log.append(name, part)

    async def follow() -> None:
        left = iter(slices)
        offsets, read, copied = dict.fromkeys((partition_of(name, PARTITIONS) for name in values), 0), 0, 0
        while read < events:
            for partition in offsets:
                entries = await log.read(partition, offsets[partition], SLICE_EVENTS)
                offsets[partition] += len(entries)
                read += len(entries)
            while copied < read and (copied + SLICE_EVENTS <= read or read >= events):
                copied += SLICE_EVENTS
                await _copy(connection, next(left, []))

    began = now()
    lanes = max(1, LANES // len(values))
    appends = []
    for name, held in values.items():
        parts = iter([held[n : n + BATCH_EVENTS] for n in range(0, len(held), BATCH_EVENTS)])
        appends += [append(name, parts) for _ in range(lanes)]
    await asyncio.gather(follow(), *appends)
    took_s = now() - began
    await log.close()
    await connection.close()
    return took_s


async def _slices(
    connection: "asyncpg.Connection[asyncpg.Record]", folder: Path, count: int
) -> list[list[tuple[str, Path]]]:
    """The live rows in as many parts, each a file of binary COPY a table; and an empty generation for them."""
    await create_copied(connection)
    await connection.execute("SET synchronize_seqscans = off; SET synchronous_commit = off")
    slices: list[list[tuple[str, Path]]] = [[] for _ in range(count)]
    for table in projection.sorted_tables:
        rows = await connection.fetchval(f"SELECT count(*) FROM g1.{table.name}")
        size = -(-rows // count)
        for n in range(count if rows else 0):
            path = folder / f"{table.name}-{n}"
            await connection.copy_from_query(
                f"SELECT * FROM g1.{table.name} OFFSET {n * size} LIMIT {size}", output=path, format="binary"
            )
            slices[n].append((table.name, path))
    return slices


async def _copy(connection: "asyncpg.Connection[asyncpg.Record]", part: list[tuple[str, Path]]) -> None:
    async with connection.transaction():
        for table, path in part:
            await connection.copy_to_table(table, schema_name="copied", source=path, format="binary")


async def ingest(folder: Path) -> None:
    """Events a second of `POST /v1/events` until all replicas have them, beside a bare producer's `send` of the same bytes."""
    with deployed(folder, 1) as deployment:
        service = deployment.start("ingest")
        deployment.prepare(EVENTS)
        accepted, _ = await deployment.send(service)
        rate = accepted / deployment.accepted_s
        service.end()
        deployment.running.clear()
        (name,) = deployment.workspaces
        sent = [
            orjson.dumps(event)
            for body in read_bodies(folder / f"bodies-{name}")
            for event in orjson.loads(body)["events"]
        ]
        producer = AIOKafkaProducer(
            **deployment.cluster.client(), acks="all", enable_idempotence=True, compression_type="zstd", linger_ms=5
        )
        await producer.start()
        began = now()
        last = [await producer.send(deployment.cluster.topic, value, key=name.encode(), partition=0) for value in sent]
        await asyncio.gather(*last)
        bare = len(sent) / (now() - began)
        await producer.stop()
    print(f"  accepted (acks=all)          {rate:9,.0f} events/s")
    print(f"  a bare producer, send by send {bare:8,.0f} events/s; ingest is {rate / bare:.0%} of it", flush=True)


async def freshness(folder: Path) -> None:
    """How long after it was sent is an event readable, at a steady 5,000 events a second over Kafka?"""
    with deployed(folder, 1) as deployment:
        ingest_, _, api = (deployment.start(role) for role in ("ingest", "projector", "api"))
        keys = deployment.keys[deployment.workspaces[0]]
        first, rest = itertools.tee(bodies(EVENTS))
        _, position = await post(ingest_.url, keys["server"], itertools.islice(first, 500))
        await until_readable(api.url, keys["read"], position)
        sent = itertools.islice(rest, 500, None)
        waits = await waits_s(ingest_.url, api.url, keys["server"], sent, FRESHNESS_EVENTS_PER_S, FRESHNESS_S)
    print(f"  readable after {spread(waits)} at {FRESHNESS_EVENTS_PER_S:,} events/s", flush=True)


async def projectors(folder: Path) -> None:
    """What do 1, 2 and 4 projectors make of a log of eight workspaces that waits for them? And how soon do they begin?"""
    for count in (1, 2, 4):
        part = folder / str(count)
        part.mkdir()
        with deployed(part, 8) as deployment:
            ingest_, api = deployment.start("ingest"), deployment.start("api")
            deployment.prepare(EVENTS)
            accepted, positions = await deployment.send(ingest_)
            began = now()
            services = [Service("projector", deployment.env, part / f"{n}.log") for n in range(count)]
            for service in services:
                service.launch()
            for service in services:
                service.until_ready()
            deployment.running.extend(services)
            while not any(service.metric("touchline_projector_events_total") for service in services):
                await asyncio.sleep(0.05)
            begun_s = now() - began
            await deployment.until_readable(api, positions)
            took_s = now() - began
        print(
            f"  {count} projectors: {accepted / (took_s - begun_s):9,.0f} events/s once they had begun, "
            f"{begun_s:.1f} s after their start", flush=True,
        )  # fmt: skip
