"""A workspace begins with its keys and its settings, or not at all."""

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from shared.access.keys import create_workspace
from tests.conftest import Workspace, new_workspace
from touchline.compose import Running, compose
from touchline.configuration import Configuration

FULL = """
CREATE FUNCTION touchline.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'refused' USING ERRCODE = 'disk_full'; END $$;
"""
ASKED = {"name": "Shop", "time_zone": "Europe/Oslo", "currency": "NOK"}


@pytest.fixture
def own(own_database: str, runner: asyncio.Runner) -> Iterator[Running]:
    running = runner.run(compose(own_database, Configuration(kafka_bootstrap_servers=None)))
    runner.run(running.pool.execute(FULL))
    yield running
    runner.run(running.close())


async def admin(running: Running) -> httpx.AsyncClient:
    keys = await create_workspace(running.pool, "default", "default")
    assert keys is not None
    headers = {"Authorization": f"Bearer {keys['admin']}"}
    return httpx.AsyncClient(transport=httpx.ASGITransport(running.app), base_url="http://touchline", headers=headers)


async def refusing(running: Running, table: str) -> None:
    await running.pool.execute(
        f"CREATE TRIGGER refuse BEFORE INSERT ON touchline.{table} EXECUTE FUNCTION touchline.refuse()"
    )


async def others(running: Running) -> int:
    return int(await running.pool.fetchval("SELECT count(*) FROM touchline.access_key WHERE workspace_id <> 'default'"))


@pytest.mark.parametrize("table", ["event_log", "access_key"])
def test_where_settings_or_keys_cannot_be_kept_there_are_no_keys_and_the_next_request_makes_both(
    own: Running, runner: asyncio.Runner, table: str
) -> None:
    async def check() -> None:
        async with await admin(own) as client:
            await refusing(own, table)
            refused = await client.post("/v1/workspaces", json=ASKED)
            assert (refused.status_code, refused.json()["code"]) == (503, "disk_full")
            assert await others(own) == 0
            await own.pool.execute(f"DROP TRIGGER refuse ON touchline.{table}")
            made = await client.post("/v1/workspaces", json=ASKED)
            assert made.status_code == 201
            assert await others(own) == 4
        assert (await settings_of(own, made.json())) == {"currency": "NOK", "time_zone": "Europe/Oslo", "name": "Shop"}

    runner.run(check())


async def settings_of(running: Running, made: dict[str, Any]) -> dict[str, str]:
    workspace = Workspace(running, made["workspace"], made["keys"])
    await workspace.project()
    answer: dict[str, str] = (await workspace.get("/v1/status")).json()["workspace"]
    return {name: answer[name] for name in ("currency", "time_zone", "name")}


def test_settings_that_are_projected_before_the_keys_are_made_take_nothing_away(
    own: Running, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        early = Workspace(own, "ws_early", {})
        await own.pool.execute("INSERT INTO touchline.workspace (workspace_id, name) VALUES ('ws_early', 'ws_early')")
        keys = await create_workspace(own.pool, "ws_early", "Shop")
        assert keys is not None
        assert set(keys) == {"collect", "server", "read", "admin"}
        early.keys = dict(keys)
        assert (await early.get("/v1/status")).json()["workspace"]["name"] == "Shop"
        assert await create_workspace(own.pool, "ws_early", "Other") is None
        assert (await early.get("/v1/status")).json()["workspace"]["name"] == "Shop"

    runner.run(check())


def test_a_workspace_that_has_keys_is_not_begun_again(own: Running, runner: asyncio.Runner) -> None:
    async def check() -> None:
        there = await new_workspace(own, "there")
        assert await create_workspace(own.pool, there.name, "again") is None

    runner.run(check())


@pytest.mark.parametrize("name", ["", " ", "\u200b", "\t"])
def test_a_workspace_has_a_name_that_people_can_see(own: Running, runner: asyncio.Runner, name: str) -> None:
    async def check() -> None:
        async with await admin(own) as client:
            refused = await client.post("/v1/workspaces", json={"name": name})
            assert (refused.status_code, refused.json()["code"], refused.json()["field"]) == (422, "bad_value", "name")

    runner.run(check())
