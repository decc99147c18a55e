"""The partitions of `touch` are made without that anybody who reads waits, and never run out."""

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from services.replay.rebuild import Rebuild
from shared.projection.partitions import (
    AHEAD_LEAVES,
    LEAF_US,
    attach_partitions,
    attached,
    leaf_of,
    present,
    tend_partitions,
)
from tests.conftest import Workspace, new_workspace
from tests.system.test_replay import resources, verified
from touchline.compose import Running, compose
from touchline.configuration import Configuration

# longer than the lock of an attachment is waited for, also on a busy machine; a `verify` may take an hour
SHORT_MS = 5_000


@pytest.fixture
def own(own_database: str, runner: asyncio.Runner) -> Iterator[Running]:
    running = runner.run(compose(own_database, Configuration(kafka_bootstrap_servers=None)))
    yield running
    runner.run(running.close())


def visit(number: int, at_us: int) -> dict[str, object]:
    at = datetime.fromtimestamp(at_us / 1e6, UTC).isoformat()
    return {
        "type": "page_visited",
        "id": f"e{number}",
        "visitor_id": "v",
        "url": "https://a.example/",
        "occurred_at": at,
    }


def at_year(year: int) -> int:
    return int(datetime(year, 5, 17, tzinfo=UTC).timestamp()) * 1_000_000


async def rows_of(running: Running, table: str, generation: str = "g1") -> int:
    return int(await running.pool.fetchval(f"SELECT count(*) FROM ONLY {generation}.{table}"))


async def read(running: Running) -> int:
    """Read all of `touch`, as a reader does who waits for a moment only."""
    async with running.pool.acquire() as connection, connection.transaction():
        await connection.execute(f"SET LOCAL statement_timeout = {SHORT_MS}")
        return int(await connection.fetchval("SELECT count(*) FROM g1.touch"))


async def until_it_waits(running: Running, pid: int) -> None:
    """Wait until a connection waits for a lock."""
    async with asyncio.timeout(20):
        while not await running.pool.fetchval("SELECT cardinality(pg_blocking_pids($1)) > 0", pid):
            await asyncio.sleep(0.001)


async def project(workspace: Workspace, *years: int, begin: int = 0) -> None:
    events = [visit(begin + n, at_year(year)) for n, year in enumerate(years)]
    assert (await workspace.send(*events)).status_code == 202
    await workspace.project()


def test_the_first_event_of_a_quarter_stops_no_reader_while_somebody_reads_for_long(
    own: Running, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        workspace = await new_workspace(own, "birth")
        await project(workspace, 2024)
        async with own.pool.acquire() as long, long.transaction(isolation="repeatable_read", readonly=True):
            assert await long.fetchval("SELECT count(*) FROM g1.touch") == 1  # what `verify` holds for its whole build
            projecting = asyncio.create_task(project(workspace, 2019, begin=1))
            reads = 0
            while not projecting.done():
                await read(own)
                reads += 1
                await asyncio.sleep(0.01)
            await asyncio.wait_for(projecting, 0)
            assert reads > 0  # how many depends on the machine; each would have failed if it had waited for the lock
            assert await read(own) == 2  # the event is there, though its partition could not be made
            assert await long.fetchval("SELECT count(*) FROM g1.touch") == 1
        assert await rows_of(own, "touch_other") == 1

    runner.run(check())


def test_rows_move_to_their_partition_once_it_can_be_made(own: Running, runner: asyncio.Runner) -> None:
    async def check() -> None:
        workspace = await new_workspace(own, "moves")
        async with own.pool.acquire() as long, long.transaction(isolation="repeatable_read", readonly=True):
            await long.fetchval("SELECT count(*) FROM g1.touch")
            await project(workspace, 2018, 2018, 2019)
            assert await rows_of(own, "touch_other") == 3
        made = {leaf_of(at_year(year)) for year in (2018, 2019)}
        async with own.pool.acquire() as before, before.transaction(isolation="repeatable_read", readonly=True):
            await before.fetchval("SELECT count(*) FROM g1.contact")  # a snapshot of the rows where they were
            async with own.pool.acquire() as connection:
                assert await tend_partitions(connection, "g1") == made
            assert await before.fetchval("SELECT count(*) FROM g1.touch") == 3
        assert await rows_of(own, "touch_other") == 0
        assert await read(own) == 3
        assert (await verified(own)).differing == []

    runner.run(check())


def test_a_statement_that_waits_for_a_partition_misses_none_of_the_rows_that_move(
    own: Running, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.projection.partitions.LOCK_WAIT_MS", 20_000)

    async def check() -> None:
        workspace = await new_workspace(own, "waits")
        async with own.pool.acquire() as long, long.transaction(isolation="repeatable_read", readonly=True):
            await long.fetchval("SELECT count(*) FROM g1.touch")
            events = [{**visit(n, at_year(2017) + n), "visitor_id": f"v{n}"} for n in range(900)]
            assert (await workspace.send(*events)).status_code == 202
            await workspace.project()
        async with own.pool.acquire() as holds, own.pool.acquire() as waits, own.pool.acquire() as moves:
            pid = waits.get_server_pid()
            async with holds.transaction():
                await holds.execute(
                    "LOCK TABLE g1.touch_other IN ACCESS SHARE MODE"
                )  # the partition cannot be made yet
                making = asyncio.create_task(attach_partitions(moves, "g1", {leaf_of(at_year(2017))}))
                await until_it_waits(own, moves.get_server_pid())
                counting = asyncio.create_task(waits.fetchval("SELECT count(*) FROM g1.touch WHERE event_id <> $1", ""))
                await until_it_waits(own, pid)
            assert await making == {leaf_of(at_year(2017))}
            assert await counting == 900

    runner.run(check())


def test_partitions_are_made_ahead_of_need_and_never_run_out(
    own: Running, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check() -> None:
        async with own.pool.acquire() as connection:
            now = leaf_of(time.time_ns() // 1000)
            assert await attached(connection, "g1") == set(range(now - 1, now + AHEAD_LEAVES + 1))
            assert await tend_partitions(connection, "g1") == set()
            in_2041_s = at_year(2041) / 1e6
            monkeypatch.setattr("shared.projection.partitions.time.time_ns", lambda: int(in_2041_s * 1e9))
            assert await tend_partitions(connection, "g1") == present()
            assert max(present()) == leaf_of(at_year(2041)) + AHEAD_LEAVES

    runner.run(check())


def test_a_running_projector_makes_them_before_an_event_comes(own: Running, runner: asyncio.Runner) -> None:
    async def check() -> None:
        assert own.projectors is not None
        last = max(present())
        await own.pool.execute(f"DROP TABLE g1.touch_{last}")
        running = asyncio.create_task(own.projectors.run())
        async with asyncio.timeout(60), own.pool.acquire() as connection:
            while last not in await attached(connection, "g1"):
                await asyncio.sleep(0.05)
        running.cancel()
        await asyncio.wait([running])

    runner.run(check())


YEARS = (1931, 1969, 2000, 2001, 2012, 2024, 2025)


def test_whatever_the_quarter_live_and_bulk_make_the_same_rows(own: Running, runner: asyncio.Runner) -> None:
    async def check() -> None:
        workspace = await new_workspace(own, "alike")
        events = [visit(n, at_year(year)) for n, year in enumerate(YEARS)]
        events += [visit(100, leaf_of(at_year(2020)) * LEAF_US)]
        events += [visit(101, leaf_of(at_year(2020)) * LEAF_US - 1_000)]
        answer = await workspace.send(*events)
        assert answer.json()["rejected"] == []
        await workspace.project(2)
        assert (await verified(own)).differing == []
        assert await rows_of(own, "touch_other") == 2  # what is before 2000
        assert (await Rebuild(resources(own), lambda _: None, lambda _: None).run()).generation == "g2"
        assert await rows_of(own, "touch_other", "g2") == 2

    runner.run(check())


def test_a_quarter_with_too_many_rows_to_move_at_once_keeps_them_and_stops_nobody(
    own: Running, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.projection.partitions.STEP_MS", 1)

    async def check() -> None:
        workspace = await new_workspace(own, "many")
        events = [{**visit(n, at_year(2017) + n), "visitor_id": f"v{n}"} for n in range(900)]
        assert (await workspace.send(*events)).status_code == 202
        await workspace.project()
        assert await read(own) == 900
        assert await rows_of(own, "touch_other") == 900
        assert (await verified(own)).differing == []

    runner.run(check())
