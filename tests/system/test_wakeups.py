"""Who waits is woken by other processes, and found out by a slow look where the notification is lost."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg
import pytest

from services.api.progress import ProjectionPosition
from shared.database import open_pool
from shared.log.port import Position, partition_of
from shared.log.postgres import PARTITIONS, PostgresLog
from shared.wakeups import CHANNEL, Wakeups, appended, projected
from tests.conftest import Workspace
from touchline.compose import compose
from touchline.configuration import Configuration

NEVER_S = 100.0
AT_REST_S = 6.0
SPANS_MAX = 5
COMMITS = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"
LISTENERS = """
SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
    AND (query LIKE 'LISTEN %' OR query LIKE '%next_offset FROM touchline.log_partition')
"""  # by the last statement of each connection: one that has just begun to listen has not yet looked at the ends of partitions


class AtHome(Wakeups):
    """Those of a process that never notifies others, nor itself."""

    async def _send(self) -> None:
        self._unsent.clear()


class Silent(Wakeups):
    """Those of a process that ends between its commits and their notifications."""

    def announce(self, topic: str) -> None:
        """Tell nobody."""


@dataclass
class Process:
    """What a process of its own has: connections, wakeups, and a log."""

    pool: "asyncpg.Pool[asyncpg.Record]"
    wakeups: Wakeups
    log: PostgresLog


@asynccontextmanager
async def a_process(url: str, kind: type[Wakeups] = Wakeups, connections_max: int = 4) -> AsyncIterator[Process]:
    pool = await open_pool(url, connections_max)
    wakeups = kind(pool)
    try:
        yield Process(pool, wakeups, PostgresLog(pool, PARTITIONS, wakeups))
    finally:
        await wakeups.close()
        await pool.close()


async def listens(process: Process, topic: str = appended(0)) -> None:
    """Wait until a process listens."""
    async with asyncio.timeout(20):
        while not process.wakeups._listens:
            await process.wakeups.changed(topic, process.wakeups.count(topic), 0.01)


async def seconds(waiting: Awaitable[object], act: Callable[[], Awaitable[object]]) -> float:
    """How long after `act` has begun the waiting ends, which has not ended before."""
    task = asyncio.ensure_future(waiting)
    await asyncio.sleep(0.2)
    assert not task.done()
    began_s = time.monotonic()
    await act()
    async with asyncio.timeout(30):
        await task
    return time.monotonic() - began_s


@pytest.fixture
def name(workspace: Workspace) -> str:
    return workspace.name


@pytest.fixture
def only_notified(monkeypatch: pytest.MonkeyPatch) -> None:
    """No look of the slow kind comes in time."""
    monkeypatch.setattr("shared.wakeups.BEAT_S", NEVER_S)
    monkeypatch.setattr("services.api.progress.WAIT_S", NEVER_S)


@pytest.mark.usefixtures("only_notified")
def test_an_append_wakes_readers_of_other_processes(database_url: str, name: str, runner: asyncio.Runner) -> None:
    async def check() -> None:
        async with a_process(database_url) as one, a_process(database_url) as other:
            await listens(other)
            partition = partition_of(name, PARTITIONS)
            end = await other.log.end(partition)
            took_s = await seconds(other.log.wait(partition, end, NEVER_S), lambda: one.log.append(name, [b"{}"]))
            assert took_s < 10

    runner.run(check())


@pytest.mark.usefixtures("only_notified")
def test_an_append_wakes_readers_of_its_own_process_without_a_notification(
    database_url: str, name: str, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        async with a_process(database_url, AtHome) as one:
            await listens(one)
            partition = partition_of(name, PARTITIONS)
            end = await one.log.end(partition)
            took_s = await seconds(one.log.wait(partition, end, NEVER_S), lambda: one.log.append(name, [b"{}"]))
            assert took_s < 10

    runner.run(check())


def test_an_append_that_was_not_notified_is_found_by_the_next_beat(
    database_url: str, name: str, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        async with a_process(database_url, Silent) as one, a_process(database_url) as other:
            await listens(other)
            partition = partition_of(name, PARTITIONS)
            end = await other.log.end(partition)
            took_s = await seconds(other.log.wait(partition, end, NEVER_S), lambda: one.log.append(name, [b"{}"]))
            assert took_s < 10

    runner.run(check())


@pytest.mark.usefixtures("only_notified")
def test_an_append_between_the_last_look_and_the_wait_is_not_missed(
    database_url: str, name: str, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        async with a_process(database_url) as one, a_process(database_url) as other:
            await listens(other)
            partition = partition_of(name, PARTITIONS)
            end = await other.log.end(partition)
            await one.log.append(name, [b"{}"])
            async with asyncio.timeout(10):
                await other.log.wait(partition, end, NEVER_S)

    runner.run(check())


def test_a_process_listens_again_after_its_connection_was_cut(
    database_url: str, own_database: str, name: str, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        running = await compose(own_database, Configuration(kafka_bootstrap_servers=None))
        try:
            async with a_process(own_database) as one, a_process(own_database) as other:
                await listens(other)
                (pid,) = [row["pid"] for row in await running.pool.fetch(LISTENERS)]

                async def cut() -> None:
                    await running.pool.execute("SELECT pg_terminate_backend($1)", pid)

                # whoever waits is woken when listening begins again: nobody received what was notified meanwhile
                heard = other.wakeups.count(appended(0))
                assert await seconds(other.wakeups.changed(appended(0), heard, NEVER_S), cut) < 15
                await listens(other)
                assert pid not in [row["pid"] for row in await running.pool.fetch(LISTENERS)]
                end = await other.log.end(0)
                workspace = next(f"{name}{n}" for n in range(100) if partition_of(f"{name}{n}", PARTITIONS) == 0)
                took_s = await seconds(other.log.wait(0, end, NEVER_S), lambda: one.log.append(workspace, [b"{}"]))
                assert took_s < 10
        finally:
            await running.close()

    runner.run(check())


def test_who_waits_where_no_connection_can_be_had_looks_again_soon(database_url: str, runner: asyncio.Runner) -> None:
    async def check() -> None:
        async with a_process(database_url, connections_max=1) as one, one.pool.acquire():
            began_s = time.monotonic()
            await one.wakeups.changed(appended(0), one.wakeups.count(appended(0)), NEVER_S)
            assert time.monotonic() - began_s < 10

    runner.run(check())


def test_many_announcements_share_few_notifications_and_the_last_is_sent_before_the_end(
    database_url: str, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        found: list[object] = []
        connection = await asyncpg.connect(database_url)
        await connection.add_listener(CHANNEL, lambda *heard: found.append(heard[3]))
        began_s = time.monotonic()
        async with a_process(database_url) as one:
            for n in range(2_000):
                one.wakeups.announce(appended(n % 2))
                if n % 20 == 0:
                    await asyncio.sleep(0.002)
            one.wakeups.announce("the last")
            took_s = time.monotonic() - began_s
        async with asyncio.timeout(10):
            while not any("the last" in str(each) for each in found):
                await asyncio.sleep(0.01)
        await connection.close()
        assert len([each for each in found if str(each).startswith(one.wakeups._name)]) <= 2 * (took_s / 0.02 + 2) + 1

    runner.run(check())


@pytest.mark.usefixtures("only_notified")
def test_a_reader_that_waits_for_a_position_is_woken_when_it_is_projected(
    database_url: str, workspace: Workspace, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        async with a_process(database_url) as one, a_process(database_url) as other:
            await workspace.project()
            await listens(other, projected(workspace.partition))
            await workspace.send({"type": "page_visited", "url": "https://s.example/", "visitor_id": "v"})
            end = Position(workspace.partition, await other.log.end(workspace.partition))
            position = ProjectionPosition(other.pool, other.wakeups)

            async def project() -> None:
                await workspace.project()
                one.wakeups.announce(projected(workspace.partition))

            waiting = asyncio.ensure_future(position.passes(workspace.name, end, NEVER_S))
            assert await seconds(waiting, project) < 10
            assert waiting.result() is True

    runner.run(check())


def test_a_reader_that_is_not_woken_looks_for_itself(
    database_url: str, workspace: Workspace, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        async with a_process(database_url) as other:
            await workspace.project()
            await workspace.send({"type": "page_visited", "url": "https://s.example/", "visitor_id": "v"})
            end = Position(workspace.partition, await other.log.end(workspace.partition))
            waiting = ProjectionPosition(other.pool, other.wakeups).passes(workspace.name, end, NEVER_S)
            assert await seconds(waiting, workspace.project) < 10

    runner.run(check())


def test_at_rest_a_process_makes_fewer_than_ten_transactions_a_second(
    own_database: str, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        running = await compose(own_database, Configuration(kafka_bootstrap_servers=None))
        assert running.projectors is not None
        projecting = asyncio.ensure_future(running.projectors.run())
        try:
            async with asyncio.timeout(30):
                while len(running.projectors.workers) < PARTITIONS:
                    await asyncio.sleep(0.05)
            connection = await asyncpg.connect(own_database)
            rates = []
            while len(rates) < SPANS_MAX and not any(
                0 < rate < 10 for rate in rates
            ):  # what began it may be counted late
                before, began_s = await connection.fetchval(COMMITS), time.monotonic()
                await asyncio.sleep(AT_REST_S)
                rates.append((await connection.fetchval(COMMITS) - before) / (time.monotonic() - began_s))
            await connection.close()
            assert 0 < rates[-1] < 10, rates
        finally:
            projecting.cancel()
            await asyncio.gather(projecting, return_exceptions=True)
            await running.close()

    runner.run(check())
