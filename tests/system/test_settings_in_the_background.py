"""Settings that concern all of a big history: its rows are made anew beside those that are read, and nobody waits for that."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from services.api import requests
from services.projector.worker import Worker
from services.replay.export import Chosen, Export
from services.replay.verify import Comparison, Drawn, verify
from shared.projection import reprojector
from shared.projection.acceptance_settings import acceptance_settings_of
from shared.projection.batch import decode
from shared.projection.projector import Projector
from shared.projection.reprojection import Limits
from shared.projection.reprojector import Reprojector
from shared.projection.sql import Connection, sql
from shared.projection.tables import NOT_ROWS, projection
from shared.reading.snapshot import snapshot
from tests.conftest import Workspace, new_workspace
from tests.system.test_replay import mix, resources, send
from touchline.commands.status import _status
from touchline.compose import Running, compose
from touchline.configuration import Configuration

SESSIONS = sql("SELECT count(DISTINCT session) FROM {g}.touch WHERE ws = $1")
NOTHING_AT_ONCE = Limits(events=0, deals=0)
GAP = {"session_gap_minutes": 1}


@pytest.fixture
def own(own_database: str, runner: asyncio.Runner) -> Iterator[Running]:
    running = runner.run(compose(own_database, Configuration(kafka_bootstrap_servers=None)))
    yield running
    runner.run(running.close())


@dataclass
class Beside:
    """A projector that a test drives: live batches, and steps of what is made anew beside them."""

    workspace: Workspace
    connection: Connection
    live: Projector
    beside: Reprojector

    async def project(self) -> None:
        """Project live up to the end of the log."""
        log = self.workspace.running.log
        while entries := await log.read(self.workspace.partition, self.live.offset, 1000):
            await self.live.project(self.connection, decode(entries))

    async def configure(self, name: str, settings: dict[str, Any]) -> str:
        """Tell settings, and project them live; answers the position after them."""
        event = {
            "type": "workspace_configured",
            "id": name,
            "occurred_at": "2026-01-01T00:00:00Z",
            "settings": settings,
        }
        answer = await self.workspace.send(event)
        assert answer.status_code == 202, answer.text
        await self.project()
        return str(answer.json()["position"])

    async def finish(self) -> None:
        """Do all steps."""
        for _ in range(10_000):
            if not await self.beside.step(self.connection):
                return
        raise AssertionError("it has no end")

    async def sessions(self) -> tuple[int, int]:
        """The session gap that a read shows, and how many sessions it finds."""
        async with snapshot(self.workspace.running.pool, self.workspace.name) as read:
            return read.settings.session_gap_minutes, (await read.fetchrow(SESSIONS))["count"]


@asynccontextmanager
async def beside(running: Running, events: int = 500, limits: Limits = NOTHING_AT_ONCE) -> AsyncIterator[Beside]:
    """A workspace with a history that is projected, and a projector that makes rows anew for any change of settings."""
    workspace = await new_workspace(running, "big")
    await send(workspace, [{**event, "id": f"{workspace.name}-{n}"} for n, event in enumerate(mix("a")[:events])])
    async with running.pool.acquire() as raw:
        live = Projector(running.log, workspace.partition, limits=limits)
        connection = Connection(raw, running.generation.name)
        await live.take(connection)
        both = Beside(workspace, connection, live, Reprojector(running.log, live, asyncio.Lock(), 0))
        await both.project()
        yield both


async def rows_under(running: Running, ws: int) -> int:
    """How many rows of all tables stand under a number."""
    tables = [table.name for table in projection.sorted_tables if table.name not in NOT_ROWS]
    schema = running.generation.name
    return sum([await running.pool.fetchval(f"SELECT count(*) FROM {schema}.{t} WHERE ws = $1", ws) for t in tables])


async def own_number(workspace: Workspace) -> int:
    statement = "SELECT number FROM touchline.workspace WHERE workspace_id = $1"
    return int(await workspace.running.pool.fetchval(statement, workspace.name))


async def compared(running: Running, sample: Drawn | None = None) -> Comparison:
    return await verify(resources(running), "settings", lambda _: None, lambda _: None, sample)


def test_readers_see_the_old_rows_whole_until_the_new_ones_take_their_place(
    running: Running, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reprojector, "BATCH_EVENTS_MAX", 50)

    async def check() -> None:
        async with beside(running) as both:
            seen = [await both.sessions()]
            await both.configure("gap", GAP)
            while True:
                seen.append(await both.sessions())
                status = (await both.workspace.get("/v1/status")).json()
                if status["settings_under_way"] is None:
                    break
                await both.beside.step(both.connection)
            old, new = seen[0], seen[-1]
            assert (old[0], new[0]) == (30, 1)
            assert new[1] > old[1]
            assert len(seen) > 5
            assert set(seen[:-1]) == {old}

    runner.run(check())


def test_status_shows_since_when_and_how_many_of_how_many_events(
    running: Running, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reprojector, "BATCH_EVENTS_MAX", 100)

    async def check() -> None:
        async with beside(running) as both:
            await both.configure("gap", GAP)
            status = (await both.workspace.get("/v1/status")).json()
            assert (status["settings_under_way"] or {}) | {"since": ""} == {
                "since": "", "events_done": 0, "events_to_do": None,
            }  # fmt: skip
            while not status["settings_under_way"]["events_done"]:
                await both.beside.step(both.connection)
                status = (await both.workspace.get("/v1/status")).json()
            under_way = status["settings_under_way"]
            assert (under_way["events_done"], under_way["events_to_do"]) == (100, 501)
            await both.finish()
            assert (await both.workspace.get("/v1/status")).json()["settings_under_way"] is None

    runner.run(check())


def test_the_status_command_shows_every_workspace_that_it_is_under_way_for(
    own: Running, own_database: str, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        async with beside(own) as both:
            await both.configure("gap", GAP)
            (result,) = (await _status(own_database, Configuration(kafka_bootstrap_servers=None)))["settings_under_way"]
            assert result["workspace"] == both.workspace.name
            await both.finish()
            assert (await _status(own_database, Configuration(kafka_bootstrap_servers=None)))[
                "settings_under_way"
            ] == []

    runner.run(check())


def test_a_read_that_must_show_the_change_waits_for_it(
    running: Running, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check() -> None:
        async with beside(running) as both:
            position = await both.configure("gap", GAP)
            path = f"/v1/status?after={position}"
            with monkeypatch.context() as patched:
                patched.setattr(requests, "AFTER_WAIT_S", 0.2)
                assert (await both.workspace.get(path)).status_code == 503
            await both.finish()
            assert (await both.workspace.get(path)).status_code == 200

    runner.run(check())


def test_a_read_of_a_position_before_the_change_does_not_wait(running: Running, runner: asyncio.Runner) -> None:
    async def check() -> None:
        async with beside(running) as both:
            answer = await both.workspace.send({"type": "page_visited", "visitor_id": "v", "url": "https://s.example/"})
            position = answer.json()["position"]
            await both.project()
            await both.configure("gap", GAP)
            assert (await both.workspace.get(f"/v1/status?after={position}")).status_code == 200
            await both.finish()

    runner.run(check())


def test_another_workspace_on_the_partition_does_not_wait(own: Running, runner: asyncio.Runner) -> None:
    async def check() -> None:
        async with beside(own) as both:
            neighbour = await new_workspace(own, "neighbour")
            while neighbour.partition != both.workspace.partition:
                neighbour = await new_workspace(own, "neighbour")
            await both.configure("gap", GAP)
            answer = await neighbour.send({"type": "page_visited", "visitor_id": "v", "url": "https://s.example/"})
            await both.project()
            assert (await neighbour.get(f"/v1/status?after={answer.json()['position']}")).status_code == 200
            await both.finish()

    runner.run(check())


def test_events_that_come_meanwhile_are_read_at_once_and_counted_afterwards(
    running: Running, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        async with beside(running) as both:
            await both.configure("gap", GAP)
            _, before = await both.sessions()
            await both.workspace.send(
                {"type": "page_visited", "visitor_id": "nobody before", "url": "https://s.example/"}
            )
            await both.project()
            assert await both.sessions() == (30, before + 1)
            await both.finish()
            _, made_anew = await both.sessions()
            await both.workspace.send({"type": "page_visited", "visitor_id": "one more", "url": "https://s.example/"})
            await both.project()
            assert await both.sessions() == (1, made_anew + 1)

    runner.run(check())


def test_the_old_rows_are_deleted_piece_by_piece_also_by_the_next_owner(own: Running, runner: asyncio.Runner) -> None:
    async def check() -> None:
        async with beside(own) as both:
            number = await own_number(both.workspace)
            await both.configure("gap", GAP)
            while await own.pool.fetchval("SELECT count(*) FROM g1.reprojection"):
                await both.beside.step(both.connection)
            there = await rows_under(own, number)
            assert there > 500
            await both.beside.step(both.connection)
            await both.live.take(both.connection)  # as another process would
            both.beside = Reprojector(own.log, both.live, asyncio.Lock())
            await both.finish()
            assert await rows_under(own, number) == 0
            assert await own.pool.fetchval("SELECT count(*) FROM g1.superseded_rows") == 0

    runner.run(check())


def test_a_change_that_is_taken_back_meanwhile_leaves_the_rows_as_they_were(
    own: Running, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        async with beside(own) as both:
            number, before = await own_number(both.workspace), await both.sessions()
            await both.configure("gap", GAP)
            await both.beside.step(both.connection)
            retraction = {"type": "event_retracted", "id": "no", "event_id": "gap"}
            assert (await both.workspace.send(retraction)).status_code == 202
            await both.project()
            await both.finish()
            assert await both.sessions() == before
            assert await rows_under(own, number) > 500
            assert await own.pool.fetchval("SELECT count(*) FROM g1.rows_of") == 0

    runner.run(check())


def test_a_little_history_is_settled_within_the_batch(running: Running, runner: asyncio.Runner) -> None:
    async def check() -> None:
        async with beside(running, limits=Limits(events=1_000, deals=1_000)) as both:
            before = await both.sessions()
            await both.configure("gap", GAP)
            assert (await both.sessions())[1] > before[1]

    runner.run(check())


def test_what_is_respected_as_events_arrive_applies_at_once_and_makes_nothing_anew(
    running: Running, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        async with beside(running) as both:
            await both.configure("zone", {"time_zone": "Europe/Oslo", "nobody": ["kasse"]})
            status = (await both.workspace.get("/v1/status")).json()
            assert status["settings_under_way"] is None
            assert status["workspace"]["time_zone"] == "Europe/Oslo"
            assert "kasse" in (await acceptance_settings_of(running.pool, both.workspace.name)).nobody

    runner.run(check())


def test_verify_compares_by_workspace_under_whatever_number_its_rows_stand(
    own: Running, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        async with beside(own, 2_000) as both:
            await both.configure("gap", GAP)
            await both.finish()
            comparison = await compared(own)
            assert (comparison.differing, comparison.left_out) == ([], {})
            assert comparison.tables["touch"][0].rows > 500
            for part in range(3):
                sampled = await compared(own, (3, part))
                assert sampled.differing == []
                assert sampled.tables["touch"][0].rows > 100
            await own.pool.execute("DELETE FROM g1.touch WHERE event_id = (SELECT max(event_id) FROM g1.touch)")
            spoilt = await compared(own)
            assert spoilt.differing == ["touch"]
            assert [row.key["ws"] for row in spoilt.rows] == [await own_number(both.workspace)]

    runner.run(check())


def test_verify_leaves_out_a_workspace_that_is_under_way_and_names_it(own: Running, runner: asyncio.Runner) -> None:
    async def check() -> None:
        async with beside(own) as both:
            await both.configure("gap", GAP)
            await both.beside.step(both.connection)
            comparison = await compared(own)
            assert list(comparison.left_out.values()) == [both.workspace.name]
            assert comparison.differing == []
            await both.finish()
            assert (await compared(own)).left_out == {}

    runner.run(check())


def test_an_export_has_the_same_events_before_and_after(own: Running, runner: asyncio.Runner) -> None:
    async def exported(workspace: Workspace) -> list[str]:
        export = Export(resources(own), workspace.name, Chosen(), lambda _: None, lambda _: None)
        return [arrived.event_id async for events in export.events() for arrived in events]

    async def check() -> None:
        async with beside(own) as both:
            await both.configure("gap", GAP)
            before = await exported(both.workspace)
            assert len(before) == 501
            await both.finish()
            assert await exported(both.workspace) == before

    runner.run(check())


def test_a_worker_makes_rows_again_by_itself_and_a_read_of_the_change_shows_it(
    own: Running, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        workspace = await new_workspace(own, "worked")
        await send(workspace, mix("w")[:1_000])
        passed: list[int] = []
        worker = Worker(
            own.pool,
            own.log,
            "g1",
            workspace.partition,
            lambda _, offset: passed.append(offset),
            limits=NOTHING_AT_ONCE,
        )
        running = asyncio.create_task(worker.run())
        try:
            event = {
                "type": "workspace_configured",
                "id": "gap",
                "occurred_at": "2026-01-01T00:00:00Z",
                "settings": GAP,
            }
            position = (await workspace.send(event)).json()["position"]
            async with asyncio.timeout(60):
                while (await workspace.get(f"/v1/status?after={position}")).status_code != 200:
                    pass
                while await own.pool.fetchval("SELECT count(*) FROM g1.superseded_rows"):
                    await asyncio.sleep(0.05)
        finally:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
        assert (
            await own.pool.fetchval("SELECT times FROM g1.workspace_rows WHERE workspace_id = $1", workspace.name) == 1
        )
        assert (await compared(own)).differing == []

    runner.run(check())
