"""The fixtures of most tests: a real PostgreSQL, one event loop, and the services in this process."""

import asyncio
import os
import re
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import httpx
import pytest
import uvloop
from hypothesis import HealthCheck, settings

from shared.access.keys import create_workspace
from shared.log.port import Entry, partition_of
from shared.projection.batch import decode
from shared.projection.projector import Projector
from shared.projection.sql import Connection
from shared.rules.association import SOCIAL_POSTS_MAX
from tests.kafka import a_cluster
from touchline import logs
from touchline.compose import Running, compose
from touchline.configuration import Configuration
from touchline.embedded import Embedded

SHORT_MAX, SHORT_CHARACTERS = 20, 300  # failures, and of each error, in the last lines of a run
# How long an example takes depends on what else the machine does.
settings.register_profile("house", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Iterator[None]:
    """Below pytest's own summary, whose messages may be thousands of lines, say of each failure in short lines what it was and how to repeat it."""
    try:
        return (yield)
    finally:
        reports = [report for kind in ("failed", "error") for report in terminalreporter.stats.get(kind, ())]
        for report in reports[:SHORT_MAX]:
            for line in in_short(report.nodeid, report.longreprtext):
                terminalreporter.line(line)
        if len(reports) > SHORT_MAX:
            terminalreporter.line(f"and {len(reports) - SHORT_MAX} more")


def in_short(name: str, text: str) -> list[str]:
    """The name of a test that failed, the first line of its error, and Hypothesis's words that repeat its example, of what pytest tells of it."""
    lines = text.splitlines()
    errors = [line[1:].strip() for line in lines if re.match(r"E\s+\S", line)]
    again = [line.lstrip("E |+-").strip() for line in lines if "@reproduce_failure(" in line]
    return [f"FAILED {name}: {(errors or lines[-1:] or [''])[0][:SHORT_CHARACTERS]}", *again[:1]]


@pytest.fixture(scope="session", autouse=True)
def logged() -> None:
    """Log as the processes do; unconfigured, structlog draws every local variable of a traceback."""
    logs.configure("json", "WARNING")


@pytest.fixture(scope="session")
def database_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PostgreSQL of the tests' own, or the one that TOUCHLINE_DATABASE_URL names (an empty database)."""
    given = os.environ.get("TOUCHLINE_DATABASE_URL")
    if given:
        yield given
        return
    embedded = Embedded(tmp_path_factory.mktemp("touchline"))
    yield embedded.start()
    embedded.stop()


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The bootstrap servers of a real Apache Kafka."""
    given = os.environ.get("TOUCHLINE_TEST_KAFKA")
    if given:
        yield given
        return
    for cluster in a_cluster(tmp_path_factory.mktemp("kafka") / "cluster"):
        yield cluster.bootstrap_servers


@pytest.fixture
def own_database(database_url: str, runner: asyncio.Runner) -> str:
    """The URL of an empty database of the test's own: a projection is of one log."""
    return runner.run(empty_database(database_url))


@pytest.fixture(scope="module")
def database_url_of_module(database_url: str, runner: asyncio.Runner) -> str:
    """The URL of an empty database that the tests of a file share."""
    return runner.run(empty_database(database_url))


async def empty_database(database_url: str) -> str:
    """The URL of a new, empty database of the same server."""
    name = f"own_{os.urandom(6).hex()}"
    connection = await asyncpg.connect(database_url)
    await connection.execute(f"CREATE DATABASE {name}")
    await connection.close()
    return urlunsplit(urlsplit(database_url)._replace(path=f"/{name}"))


@pytest.fixture(scope="session")
def runner() -> Iterator[asyncio.Runner]:
    """The one event loop of the session, so that pools and servers outlive a test."""
    runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
    yield runner
    with warnings.catch_warnings():
        # A library's attempt to connect that was cancelled may leave a connection open. uvloop warns of it while it closes the loop,
        # closes it, and goes on; where the warning is an error, it cannot, and fails with EBUSY.
        warnings.simplefilter("default", ResourceWarning)
        runner.close()


@pytest.fixture(scope="session")
def running(database_url: str, runner: asyncio.Runner) -> Iterator[Running]:
    """The services, without a server and without projectors: tests project when they want to."""
    running = runner.run(compose(database_url, Configuration(kafka_bootstrap_servers=None)))
    yield running
    runner.run(running.close())


class Workspace:
    """A new workspace, reached as a program outside would."""

    def __init__(self, running: Running, name: str, keys: dict[str, str]) -> None:
        self.running, self.name, self.keys = running, name, keys
        self.partition = partition_of(name, running.log.partitions)

    @asynccontextmanager
    async def client(self, scope: str = "read") -> AsyncIterator[httpx.AsyncClient]:
        transport = httpx.ASGITransport(self.running.app)
        headers = {"Authorization": f"Bearer {self.keys[scope]}"}
        async with httpx.AsyncClient(transport=transport, base_url="http://touchline", headers=headers) as client:
            yield client

    async def send(self, *events: dict[str, object], scope: str = "server") -> httpx.Response:
        async with self.client(scope) as client:
            return await client.post("/v1/events", json={"events": list(events)})

    async def project(self, batch: int = 1000, social_posts_max: int = SOCIAL_POSTS_MAX) -> None:
        """Bring the projection of the workspace's partition to the end of the log."""
        generation = self.running.generation.name
        async with self.running.pool.acquire() as raw:
            connection = Connection(raw, generation)
            projector = Projector(self.running.log, self.partition, social_posts_max=social_posts_max)
            await projector.take(connection)
            while entries := await self.running.log.read(self.partition, projector.offset, batch):
                await projector.project(connection, decode(entries))

    async def entries(self) -> list[Entry]:
        """Its entries of the log, in order. Its partition has those of other tests too, and one read gives only some megabytes."""
        found: list[Entry] = []
        offset = 0
        while entries := await self.running.log.read(self.partition, offset, 10_000):
            offset = entries[-1].offset + 1
            found += [entry for entry in entries if entry.workspace == self.name]
        return found

    async def get(self, path: str) -> httpx.Response:
        async with self.client() as client:
            return await client.get(path)


@pytest.fixture
def workspace(running: Running, runner: asyncio.Runner, request: pytest.FixtureRequest) -> Workspace:
    """A workspace of the test's own."""
    return runner.run(new_workspace(running, f"{request.node.name[:40]}"))


async def new_workspace(running: Running, title: str) -> Workspace:
    name = f"{title}-{os.urandom(6).hex()}"
    keys = await create_workspace(running.pool, name, title)
    assert keys is not None
    return Workspace(running, name, dict(keys))


SCENARIOS = Path(__file__).parent / "scenarios"
