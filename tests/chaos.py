"""Whatever fails, what was accepted is counted, once, and as if nothing had failed.

`python -m tests.chaos` sets up three brokers, a PostgreSQL, and two processes of each service, keeps them under load, and
lets one thing after another go wrong. Then everything must be there, and be what a projection from offset 0 makes of it.
"""

import asyncio
import datetime as dt
import itertools
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import httpx
import orjson

from deploy.kafka.brokers import Cluster
from services.replay.build import Means
from services.replay.verify import verify
from shared.access.positions import Positions
from shared.database import open_pool
from shared.log.kafka import KafkaCluster
from shared.log.kafka_topic import open_kafka_log
from shared.log.port import EventLog
from shared.rules.keys import event_key
from shared.store.generations import live_generation
from tests.services import Service, command, environment, restart
from touchline.demo.mix import Mix
from touchline.embedded import Embedded

SECONDS = float(os.environ.get("TOUCHLINE_CHAOS_S", "600"))
EVENTS_PER_S_MIN = 2_000
EVENTS_PER_S = 2_100  # what is aimed at
BATCH_EVENTS = 100
WORKSPACES = 6
PARTITIONS = 8
IN_FLIGHT_MAX = 64
DUPLICATE_SHARE = 0.05  # of batches are sent once more, some time later
WINDOW = 8  # batches of a workspace that may overtake one another
SESSION_S = 6.0
CALM_S = (1.0, 6.0)  # between two faults
CALM_AT_THE_END_S = 20.0  # for what is in flight to be answered, so that the rate is that of the whole
SETTLE_S = 240.0
END = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


@dataclass
class Wrong(Exception):
    """What must never be was seen."""

    what: str


@dataclass
class World:
    """All that runs, and all that was sent."""

    directory: Path
    rng: random.Random
    embedded: Embedded
    cluster: Cluster
    database_url: str = ""
    topic: KafkaCluster | None = None
    services: dict[str, list[Service]] = field(default_factory=dict)
    keys: dict[str, dict[str, str]] = field(default_factory=dict)
    sent: dict[str, set[str]] = field(default_factory=dict)
    answers: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    accepted: int = 0

    def start(self) -> None:
        """Bring everything up, with a workspace for each producer."""
        self.database_url = self.embedded.start()
        self.cluster.start()
        self.topic = KafkaCluster(self.cluster.bootstrap_servers)
        env = environment(
            self.database_url, self.topic, KAFKA_PARTITIONS=str(PARTITIONS),
            KAFKA_SESSION_TIMEOUT_MS=str(int(SESSION_S * 1000)),
        )  # fmt: skip
        for n in range(WORKSPACES):
            name = f"company-{n}"
            self.keys[name] = command(env, "keys", "create", "--workspace", name)["keys"]
            self.sent[name] = set()
        for role in ("ingest", "projector", "api"):
            self.services[role] = []
            for n in range(2):
                steady = {"TOUCHLINE_KAFKA_GROUP_INSTANCE_ID": "steady"} if (role, n) == ("projector", 0) else {}
                self.services[role].append(Service(role, env | steady, self.directory / f"{role}{n}.log"))
        for service in itertools.chain(*self.services.values()):
            service.launch()
        for service in itertools.chain(*self.services.values()):
            service.until_ready()

    def stop(self) -> None:
        """End everything, whatever state it is in."""
        for service in itertools.chain(*self.services.values()):
            if service.process is not None:
                service.end(signal.SIGKILL)
        self.cluster.stop()
        self.embedded.stop()

    def one(self, role: str) -> Service:
        return self.rng.choice(self.services[role])

    def url(self, role: str) -> str:
        return self.one(role).url


# what goes wrong


async def kill(world: World, role: str) -> None:
    """A process dies between any two instructions, and comes back."""
    service = world.one(role)
    await asyncio.to_thread(service.end, signal.SIGKILL)
    await asyncio.sleep(world.rng.uniform(0, 3))
    service.launch()
    await asyncio.to_thread(service.until_ready)


async def freeze(world: World) -> None:
    """A projector stops for longer than its session lasts; others take its partitions; it wakes and knows nothing of it."""
    service = world.one("projector")
    service.send_signal(signal.SIGSTOP)
    await asyncio.sleep(SESSION_S + world.rng.uniform(1, 4))
    service.send_signal(signal.SIGCONT)


async def restart_broker(world: World) -> None:
    """A broker is restarted in good order."""
    broker = world.rng.choice(world.cluster.brokers)
    await asyncio.to_thread(world.cluster.end, broker, signal.SIGTERM)
    world.cluster.launch(broker)
    await asyncio.to_thread(world.cluster.until_ready, broker)


async def lose_broker(world: World) -> None:
    """One of three brokers dies, and is away for a while."""
    broker = world.rng.choice(world.cluster.brokers)
    await asyncio.to_thread(world.cluster.end, broker, signal.SIGKILL)
    await asyncio.sleep(world.rng.uniform(5, 12))
    world.cluster.launch(broker)
    await asyncio.to_thread(world.cluster.until_ready, broker)


async def restart_database(world: World) -> None:
    """PostgreSQL goes away without a word, or ends all connections in good order, and recovers."""
    mode = world.rng.choice(["fast", "immediate"])
    await asyncio.to_thread(restart, world.embedded, mode)


async def hold_lock(world: World) -> None:
    """Somebody holds a table for seconds."""
    connection = await asyncpg.connect(world.database_url)
    try:
        async with connection.transaction():
            live = await connection.fetchval("SELECT name FROM touchline.generation WHERE live")
            table = world.rng.choice(["progress", "seen", "touch", "contact"])
            await connection.execute(f"LOCK TABLE {live}.{table} IN ACCESS EXCLUSIVE MODE")
            await asyncio.sleep(world.rng.uniform(2, 6))
    finally:
        await connection.close()


async def kill_rebuild(world: World) -> None:
    """Somebody rebuilds the projection, and is killed at it; unless it comes through, and another generation is live."""
    env = world.services["api"][0].env
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "touchline", "replay", "rebuild", "--json", env=env, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(world.rng.uniform(2, 20)):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


FAULTS: dict[str, Callable[[World], Awaitable[None]]] = {
    "ingest killed": lambda world: kill(world, "ingest"),
    "projector killed": lambda world: kill(world, "projector"),
    "api killed": lambda world: kill(world, "api"),
    "projector frozen past its session": freeze,
    "broker restarted": restart_broker,
    "broker lost": lose_broker,
    "database restarted": restart_database,
    "lock held": hold_lock,
    "rebuild killed": kill_rebuild,
}


async def fail(world: World, until_s: float) -> None:
    """One fault after another: each kind once, then as they come."""
    kinds = list(FAULTS)
    world.rng.shuffle(kinds)
    for kind in itertools.chain(kinds, iter(lambda: world.rng.choice(kinds), None)):
        await asyncio.sleep(world.rng.uniform(*CALM_S))
        if time.monotonic() > until_s:
            return
        print(f"  {dt.datetime.now(dt.UTC):%H:%M:%S}  {kind}; {world.accepted:,} events accepted", flush=True)
        await FAULTS[kind](world)
        world.faults[kind] += 1


# who sends and who reads


def batches(world: World, workspace: str) -> Iterator[list[dict]]:
    """Batches of a company's year, some of them twice, none far from its place."""
    rng = random.Random(world.rng.random())
    size = int(SECONDS * EVENTS_PER_S / WORKSPACES * 1.2) + 20_000
    events = (
        {**event, "id": f"{workspace}-{n}"} for n, event in enumerate(Mix(rng.randrange(2**32), size, END).history())
    )
    window: deque[list[dict]] = deque()
    while batch := list(itertools.islice(events, BATCH_EVENTS)):
        window.append(batch)
        if rng.random() < DUPLICATE_SHARE:
            again = list(batch)
            rng.shuffle(again)
            window.insert(rng.randrange(len(window) + 1), again)
        if len(window) > WINDOW:
            chosen = rng.randrange(len(window))
            world.sent[workspace].update(event["id"] for event in window[chosen])
            yield window[chosen]
            del window[chosen]


async def send(world: World, until_s: float) -> float:
    """Send at a steady rate, what is refused or lost again until it is accepted; answers the rate that was kept."""
    sources = [(name, batches(world, name)) for name in world.keys]
    room = asyncio.Semaphore(IN_FLIGHT_MAX)
    began_s = time.monotonic()
    async with httpx.AsyncClient(timeout=15, limits=httpx.Limits(max_connections=IN_FLIGHT_MAX)) as client, \
            asyncio.TaskGroup() as group:  # fmt: skip

        async def until_accepted(workspace: str, batch: list[dict]) -> None:
            body = orjson.dumps({"events": batch})
            headers = {"Authorization": f"Bearer {world.keys[workspace]['server']}"}
            while True:
                try:
                    answer = await client.post(f"{world.url('ingest')}/v1/events", content=body, headers=headers)
                except httpx.HTTPError as error:
                    world.answers[type(error).__name__] += 1
                    await asyncio.sleep(0.2)
                    continue
                world.answers[str(answer.status_code)] += 1
                if answer.status_code == 202:
                    break
                if answer.status_code != 503 or "retry-after" not in answer.headers:
                    raise Wrong(f"ingest answered {answer.status_code}: {answer.text[:300]}")
                await asyncio.sleep(float(answer.headers["retry-after"]) / 4)
            world.accepted += len(batch)
            room.release()

        for n in itertools.count():
            await asyncio.sleep(max(0.0, began_s + n * BATCH_EVENTS / EVENTS_PER_S - time.monotonic()))
            if time.monotonic() > until_s:
                break
            await room.acquire()
            workspace, source = sources[n % len(sources)]
            group.create_task(until_accepted(workspace, next(source)))
    return world.accepted / (time.monotonic() - began_s)


async def read(world: World) -> None:
    """Read all the while: an answer is right, or says that it cannot be given now; what was projected stays projected."""
    seen: dict[str, int] = {}
    pool = await open_pool(world.database_url, 1)
    positions = await Positions.of(pool)
    await pool.close()
    async with httpx.AsyncClient(timeout=30) as client:
        while True:
            workspace = world.rng.choice(list(world.keys))
            headers = {"Authorization": f"Bearer {world.keys[workspace]['read']}"}
            path = world.rng.choice(["/v1/status", "/v1/campaigns"])
            try:
                answer = await client.get(world.url("api") + path, headers=headers)
            except httpx.HTTPError as error:
                world.answers[f"read {type(error).__name__}"] += 1
                continue
            finally:
                await asyncio.sleep(0.3)
            world.answers[f"read {answer.status_code}"] += 1
            if answer.status_code not in (200, 503):
                raise Wrong(f"{path} answered {answer.status_code}: {answer.text[:300]}")
            if answer.status_code == 200:
                offset = positions.read(workspace, answer.json()["as_of"]).offset
                if offset < seen.get(workspace, 0):
                    raise Wrong(f"{workspace} went back from offset {seen[workspace]} to {offset}")
                seen[workspace] = offset


# what must be so at the end


async def settled(pool: "asyncpg.Pool[asyncpg.Record]", log: EventLog, generation: str) -> None:
    """Wait until everything is projected."""
    async with asyncio.timeout(SETTLE_S):
        for partition in range(log.partitions):
            end = await log.end(partition)
            statement = f"SELECT next_offset FROM {generation}.progress WHERE partition = $1"
            while (await pool.fetchval(statement, partition) or 0) < end:
                await asyncio.sleep(0.2)


async def check(world: World) -> int:
    """Raise `Wrong` unless what was accepted is counted, once, and as it should be; answers how many events were checked."""
    assert world.topic is not None
    pool = await open_pool(world.database_url, 4)
    log = await open_kafka_log(world.topic)
    try:
        live = await live_generation(pool)
        await settled(pool, log, live.name)
        for workspace, sent in world.sent.items():
            number = await pool.fetchval("SELECT number FROM touchline.workspace WHERE workspace_id = $1", workspace)
            rows = await pool.fetch(f"SELECT event_key FROM {live.name}.seen WHERE ws = $1", number)
            there, due = {row["event_key"] for row in rows}, {event_key(event_id) for event_id in sent}
            if there != due or len(rows) != len(due):
                raise Wrong(f"{workspace}: {len(due - there)} events are missing, {len(there - due)} were never sent")
            counts = await pool.fetchval(
                f"SELECT (SELECT count(*) FROM {live.name}.touch WHERE ws = $1) "
                f"+ (SELECT count(DISTINCT event_id) FROM {live.name}.fact WHERE ws = $1)", number
            )  # fmt: skip
            if counts != len(due):
                raise Wrong(f"{workspace}: {len(due)} events make {counts} touches and facts")
        dead = await pool.fetchval("SELECT count(*) FROM touchline.dead_letter")
        if dead:
            raise Wrong(f"{dead} events were kept aside")
        verdict = await verify(Means(pool, log), "chaos", lambda _: None, lambda _: None)
        if verdict.differing:
            raise Wrong(f"{', '.join(verdict.differing)} differ: {verdict.rows[:5]}")
        return sum(map(len, world.sent.values()))
    finally:
        await log.close()
        await pool.close()


async def play(world: World) -> None:
    until_s = time.monotonic() + SECONDS
    reading = asyncio.create_task(read(world))
    failing = asyncio.create_task(fail(world, until_s - CALM_AT_THE_END_S))
    sending = asyncio.create_task(send(world, until_s))
    working = asyncio.gather(failing, sending)
    await asyncio.wait([reading, working], return_when=asyncio.FIRST_COMPLETED)
    working.cancel()
    reading.cancel()
    for result in await asyncio.gather(reading, working, return_exceptions=True):
        if isinstance(result, Exception):
            raise result
    rate = sending.result()
    print("  sent; waiting until all is projected", flush=True)
    checked = await check(world)
    print(
        f"faults injected: {sum(world.faults.values())}: "
        + ", ".join(f"{n} x {kind}" for kind, n in world.faults.items())
    )
    print(f"answers: {dict(world.answers)}")
    print(f"{checked:,} events at {rate:,.0f} events/s: accepted = counted, nothing twice, all tables as from offset 0")
    if rate < EVENTS_PER_S_MIN:
        raise Wrong(f"the load was {rate:,.0f} events/s, not {EVENTS_PER_S_MIN:,}")
    missed = set(FAULTS) - set(world.faults)
    if missed and SECONDS >= 120:
        raise Wrong(f"never injected: {', '.join(sorted(missed))}")


def main() -> int:
    seed = int(os.environ.get("TOUCHLINE_SEED", random.randrange(2**32)))
    print(f"chaos for {SECONDS:g} s, TOUCHLINE_SEED={seed}", flush=True)
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        world = World(directory, random.Random(seed), Embedded(directory / "data"), Cluster(directory / "kafka", 3))
        world.start()
        try:
            asyncio.run(play(world))
        except Exception as error:
            print(f"seed {seed}: {error!r}", file=sys.stderr)
            for path in sorted(directory.glob("*.log")):
                print(f"--- {path.name}\n{path.read_text()[-3000:]}", file=sys.stderr)
            return 1
        finally:
            world.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
