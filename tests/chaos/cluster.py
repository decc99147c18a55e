"""The first stage: three brokers, a PostgreSQL, and two processes of each service, under load."""

import asyncio
import itertools
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field

import asyncpg

from deploy.kafka.brokers import Cluster
from shared.access.keys import create_workspace
from shared.database import open_pool
from shared.log.kafka_cluster import KafkaCluster
from shared.log.kafka_topic import open_kafka_log
from shared.log.port import EventLog
from tests.chaos.clocks import step_ours, step_senders, steppable
from tests.chaos.poison import storm
from tests.chaos.world import Fault, World, Wrong
from tests.services import Service, command, environment, restart
from touchline.embedded import Embedded

EVENTS_PER_S = 2_100  # what is aimed at
EVENTS_PER_S_MIN = 1_000  # on the whole, also on a machine that other work keeps busy
WORKSPACES = 6
PARTITIONS = 8
SESSION_S = 6.0
CUT_LATE_S = 2.0  # a connection to a process that has come back may be one to the process before


@dataclass
class Many(World):
    """All that runs."""

    embedded: Embedded = field(init=False)
    cluster: Cluster = field(init=False)
    topic: KafkaCluster | None = None
    services: dict[str, list[Service]] = field(default_factory=dict)
    killed: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    """By URL: when its process was dead, from and to."""

    def start(self) -> None:
        """Bring everything up, with a workspace for each producer. The second process of each service has a clock that can step."""
        self.embedded, self.cluster = Embedded(self.directory / "data"), Cluster(self.directory / "kafka", 3)
        self._url = self.embedded.start()
        self.cluster.start()
        self.topic = KafkaCluster(self.cluster.bootstrap_servers)
        env = environment(
            self._url, self.topic, KAFKA_PARTITIONS=str(PARTITIONS),
            KAFKA_SESSION_TIMEOUT_MS=str(int(SESSION_S * 1000)),
        )  # fmt: skip
        names = [f"company-{n}" for n in range(WORKSPACES)]
        self.keys[names[0]] = command(env, "keys", "create", "--workspace", names[0])["keys"]
        self.keys |= asyncio.run(_create(self._url, names[1:]))  # a command takes seconds to begin on a busy machine
        self.sent = {name: set() for name in names}
        self.clock = self.directory / "clock"
        for role in ("ingest", "projector", "api"):
            steady = {"TOUCHLINE_KAFKA_GROUP_INSTANCE_ID": "steady"} if role == "projector" else {}
            more = (steady, steppable(self.clock))
            self.services[role] = [
                Service(role, env | mine, self.directory / f"{role}{n}.log") for n, mine in enumerate(more)
            ]
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

    def write_url(self) -> str:
        return self.one("ingest").url

    def read_urls(self) -> list[str]:
        return self.rng.sample([service.url for service in self.services["api"]], 2)

    def excused(self, url: str, since_s: float) -> bool:
        return any(to_s + CUT_LATE_S >= since_s for _, to_s in self.killed.get(url, []))

    def database_url(self) -> str:
        return self._url

    def environment(self) -> dict[str, str]:
        return self.services["api"][0].env

    async def open_log(self, pool: "asyncpg.Pool[asyncpg.Record]") -> EventLog:
        assert self.topic is not None
        return await open_kafka_log(self.topic)


async def _create(url: str, names: Sequence[str]) -> dict[str, dict[str, str]]:
    """New workspaces; answers their keys."""
    pool = await open_pool(url, 1)
    try:
        return {name: dict(await create_workspace(pool, name, name) or {}) for name in names}
    finally:
        await pool.close()


async def kill(world: Many, role: str) -> str:
    """A process dies between any two instructions, and comes back."""
    service = world.one(role)
    began_s = time.monotonic()
    dead = world.killed.setdefault(service.url, [])
    dead.append((began_s, float("inf")))
    await asyncio.to_thread(service.end, signal.SIGKILL)
    await asyncio.sleep(world.rng.uniform(0, 2))
    service.launch()
    await asyncio.to_thread(service.until_ready)
    dead[-1] = began_s, time.monotonic()
    return f"it was away for {time.monotonic() - began_s:.1f} s"


async def freeze(world: Many) -> str:
    """A projector stops for longer than its session lasts; others take its partitions; it wakes and knows nothing of it."""
    service, frozen_s = world.one("projector"), SESSION_S + world.rng.uniform(1, 3)
    service.send_signal(signal.SIGSTOP)
    await asyncio.sleep(frozen_s)
    service.send_signal(signal.SIGCONT)
    return f"it was frozen for {frozen_s:.1f} s"


async def restart_broker(world: Many) -> str:
    """A broker is restarted in good order."""
    broker = world.rng.choice(world.cluster.brokers)
    await asyncio.to_thread(world.cluster.end, broker, signal.SIGTERM)
    world.cluster.launch(broker)
    await asyncio.to_thread(world.cluster.until_ready, broker)
    return f"broker {broker.number}"


async def lose_broker(world: Many) -> str:
    """One of three brokers dies, and is away for a while."""
    broker, away_s = world.rng.choice(world.cluster.brokers), world.rng.uniform(5, 9)
    await asyncio.to_thread(world.cluster.end, broker, signal.SIGKILL)
    await asyncio.sleep(away_s)
    world.cluster.launch(broker)
    await asyncio.to_thread(world.cluster.until_ready, broker)
    return f"broker {broker.number} was away for {away_s:.1f} s"


async def restart_database(world: Many) -> str:
    """PostgreSQL goes away without a word, or ends all connections in good order, and recovers."""
    mode = world.rng.choice(["fast", "immediate"])
    with world.crashing() if mode == "immediate" else nullcontext():
        await asyncio.to_thread(restart, world.embedded, mode)
    return f"in the mode `{mode}`"


async def hold_lock(world: Many) -> str:
    """Somebody holds a table for seconds."""
    connection = await asyncpg.connect(world.database_url())
    try:
        async with connection.transaction():
            live = await connection.fetchval("SELECT name FROM touchline.live_generation")
            table, held_s = world.rng.choice(["progress", "event_index", "touch", "contact"]), world.rng.uniform(2, 5)
            await connection.execute(f"LOCK TABLE {live}.{table} IN ACCESS EXCLUSIVE MODE")
            await asyncio.sleep(held_s)
    finally:
        await connection.close()
    return f"`{table}` for {held_s:.1f} s"


async def kill_rebuild(world: Many) -> str:
    """Somebody rebuilds the projection, and is killed at it; unless it comes through, and another generation is live."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "touchline", "replay", "rebuild", "--json", env=world.environment(),
        stdout=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    after_s = world.rng.uniform(2, 12)
    try:
        async with asyncio.timeout(after_s):
            code = await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
        return f"it was killed after {after_s:.1f} s"
    if code:
        raise Wrong(f"a rebuild ended with {code}")
    return "it came through before, and another generation is live"


async def step_clocks(world: Many) -> str:
    """Senders' clocks step, and then those of some of our processes."""
    steps = await step_senders(world)
    second = {role: services[1] for role, services in world.services.items()}
    return steps + await step_ours(world, world.clock, second["ingest"].url, [f"the second {role}" for role in second])


FAULTS = (
    Fault("ingest killed", lambda world: kill(world, "ingest")),
    Fault("projector killed", lambda world: kill(world, "projector")),
    Fault("api killed", lambda world: kill(world, "api")),
    Fault("projector frozen past its session", freeze),
    Fault("broker restarted", restart_broker),
    Fault("broker lost", lose_broker),
    Fault("database restarted", restart_database),
    Fault("lock held", hold_lock),
    Fault("rebuild killed", kill_rebuild),
    Fault("poison storm", storm),
    Fault("clocks stepped", step_clocks),
)
