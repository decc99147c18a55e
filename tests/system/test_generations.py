"""A live generation a shape: releases of two shapes on one store leave one another alone."""

import asyncio
from collections.abc import Iterator

import pytest

from services.replay.rebuild import drop
from shared.projection import generations
from shared.projection.acceptance_settings import acceptance_settings_of
from shared.projection.generations import (
    Generation,
    NoGeneration,
    WrongShape,
    create_generation,
    drop_generation,
    followed_generations,
    live_generation,
    open_generation,
)
from shared.reading.generations import State
from shared.reading.generations import generations as listed
from tests.conftest import new_workspace
from touchline.compose import Running, compose
from touchline.configuration import Configuration

BEFORE_0010_LIVE = "SELECT name FROM touchline.generation WHERE live"
BEFORE_0010_OLDER = "SELECT name FROM touchline.generation WHERE followed AND name NOT IN ($1, $2)"


@pytest.fixture
def own(own_database: str, runner: asyncio.Runner) -> Iterator[Running]:
    running = runner.run(compose(own_database, Configuration(kafka_bootstrap_servers=None)))
    yield running
    runner.run(running.close())


async def other_release(own: Running, monkeypatch: pytest.MonkeyPatch, name: str = "g2") -> None:
    """From here on this process is a release of another shape, with a live generation `name`."""
    monkeypatch.setattr(generations, "shape", lambda: "another")
    generation = Generation(name, own.log.identity, own.log.partitions)
    async with own.pool.acquire() as connection, connection.transaction():
        await create_generation(connection, generation, live=True)


def test_each_shape_has_its_own_live_generation(
    own: Running, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check() -> None:
        await other_release(own, monkeypatch)
        assert (await live_generation(own.pool)).name == "g2"
        assert await followed_generations(own.pool, own.log.identity) == {"g2": True}
        monkeypatch.undo()
        assert (await live_generation(own.pool)).name == "g1"
        assert await followed_generations(own.pool, own.log.identity) == {"g1": True}

    runner.run(check())


def test_a_store_of_another_shape_gets_no_generation_at_a_start(
    own: Running, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check() -> None:
        monkeypatch.setattr(generations, "shape", lambda: "another")
        assert await open_generation(own.pool, own.log.identity, own.log.partitions) is None
        with pytest.raises(WrongShape, match="touchline replay rebuild"):
            await live_generation(own.pool)

    runner.run(check())


def test_the_pointer_of_releases_before_stays_where_they_read_it(
    own: Running, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check() -> None:
        await other_release(own, monkeypatch)
        assert [row["name"] for row in await own.pool.fetch(BEFORE_0010_LIVE)] == ["g1"]
        assert await own.pool.fetch(BEFORE_0010_OLDER, "g1", "g0") == []  # their rebuild drops these

    runner.run(check())


def test_no_live_generation_is_dropped_by_chance(
    own: Running, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check() -> None:
        await other_release(own, monkeypatch)
        async with own.pool.acquire() as connection:
            assert [await drop_generation(connection, name) for name in ("g1", "g2")] == [False, False]
        assert not await drop(own.pool, "g1")

    runner.run(check())


def test_another_shapes_generation_is_dropped_on_request_and_its_release_finds_none(
    own: Running, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check() -> None:
        await other_release(own, monkeypatch)
        monkeypatch.undo()
        assert await drop(own.pool, "g2", other_shapes_live=True)
        async with own.pool.acquire() as connection:
            assert [each.name for each in await listed(connection)] == ["g1"]
        monkeypatch.setattr(generations, "shape", lambda: "another")
        with pytest.raises(WrongShape):
            await live_generation(own.pool)

    runner.run(check())


def test_with_the_last_generation_gone_the_store_is_as_new(own: Running, runner: asyncio.Runner) -> None:
    async def check() -> None:
        await own.pool.execute("DELETE FROM touchline.live_generation")
        await own.pool.execute("DELETE FROM touchline.generation")
        with pytest.raises(NoGeneration):
            await live_generation(own.pool)

    runner.run(check())


def test_generations_are_listed_with_their_shape_size_and_changed_lists(
    own: Running, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check() -> None:
        await own.pool.execute(
            """UPDATE touchline.generation SET lists = lists || '{"idna": "0.1"}' WHERE name = 'g1'"""
        )
        await other_release(own, monkeypatch)
        async with own.pool.acquire() as connection:
            first, second = await listed(connection)
        assert (first.name, first.state, first.ours) == ("g1", State.LIVE, True)
        assert (second.name, second.state, second.ours) == ("g2", State.LIVE, False)
        assert first.bytes
        assert set(first.other_lists) == {"idna"}
        assert first.other_lists["idna"][0] == "0.1"
        assert second.other_lists == {}

    runner.run(check())


def test_what_is_accepted_is_decided_by_the_settings_that_another_shape_holds(
    own: Running, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check() -> None:
        workspace = await new_workspace(own, "words")
        await workspace.send({"type": "workspace_configured", "settings": {"nobody": ["kiosk"]}})
        await workspace.project()
        monkeypatch.setattr(generations, "shape", lambda: "another")
        assert (await acceptance_settings_of(own.pool, workspace.name)).nobody == {"kiosk"}

    runner.run(check())
