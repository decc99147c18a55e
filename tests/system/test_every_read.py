"""Every read of the app, on tables of which the workspace has one row in a hundred: each finds its own rows by index, every time."""

import asyncio
import json
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from services.api import requests
from services.api.etags import DependsOn
from shared.projection.tables import NOT_ROWS, projection
from tests.conftest import Workspace, new_workspace
from tests.read_store import ReadStore
from tests.system.every_read import PATHS, read_routes, world
from touchline.compose import Running, compose
from touchline.configuration import Configuration

VISITORS, COPIES = 120, 100
BIG_ROWS = 3_000
REPEATED = 20
OF_THE_SNAPSHOT = {"touchline.generation", "touchline.live_generation"}
LOOKS_AT_ALL: dict[str, str] = {}
"""Reads that may go through a big table, by table and with the reason. None does."""


@pytest.fixture(scope="module")
def store(database_url_of_module: str, runner: asyncio.Runner) -> Iterator[ReadStore]:
    running = runner.run(compose(database_url_of_module, Configuration(kafka_bootstrap_servers=None)))
    workspace = runner.run(new_workspace(running, "every"))
    runner.run(_fill(running, workspace))
    yield ReadStore(database_url_of_module, running, workspace)
    runner.run(running.close())


async def _fill(running: Running, workspace: Workspace) -> None:
    events = list(world(VISITORS))
    for begin in range(0, len(events), 500):
        assert (await workspace.send(*events[begin : begin + 500])).json()["rejected"] == []
    await workspace.send(*({"type": f"unknown_{n}"} for n in range(20)))
    await workspace.project()
    async with running.pool.acquire() as connection:
        for table in projection.sorted_tables:
            if table.name not in NOT_ROWS:
                others = ", ".join(column.name for column in table.columns if column.name != "ws")
                await connection.execute(
                    f"INSERT INTO g1.{table.name} (ws, {others}) SELECT ws + 1000 * n, {others} FROM g1.{table.name}, generate_series(1, {COPIES}) n"
                )
        columns = "key_class, key_hint, user_agent, producer, reason, detail, event_id, body"
        await connection.execute(
            f"INSERT INTO touchline.dead_letter (workspace_id, {columns}) SELECT workspace_id || n, {columns} FROM touchline.dead_letter, generate_series(1, 500) n"
        )
        await connection.execute("ANALYZE")


async def big_tables(pool: "asyncpg.Pool[asyncpg.Record]") -> set[str]:
    """The tables with many rows, and their partitions."""
    rows = await pool.fetch(
        "SELECT c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE n.nspname IN ('g1', 'touchline') AND c.relkind IN ('r', 'p') AND c.reltuples >= $1", float(BIG_ROWS),
    )  # fmt: skip
    return {row["name"] for row in rows}


def scans(node: dict[str, Any]) -> Iterator[str]:
    """The tables that a plan reads from beginning to end."""
    if node["Node Type"] == "Seq Scan":
        yield node["Relation Name"]
    for child in node.get("Plans", ()):
        yield from scans(child)


@asynccontextmanager
async def noted(pool: "asyncpg.Pool[asyncpg.Record]") -> AsyncIterator[list[tuple[str, tuple[Any, ...]]]]:
    """The statements that the pool's one connection is given meanwhile, with their arguments."""
    asked: list[tuple[str, tuple[Any, ...]]] = []

    def note(logged: Any) -> None:
        asked.append((logged.query, tuple(logged.args or ())))

    async with pool.acquire() as connection:
        raw = connection._con
    raw.add_query_logger(note)
    try:
        yield asked
    finally:
        raw.remove_query_logger(note)


def test_every_read_is_called_by_these_tests(store: ReadStore) -> None:
    found = set(read_routes(store.running.app))
    assert len(found) >= 15
    assert found - set(PATHS) == set(), "add calls of it to PATHS in tests/system/every_read.py"


def test_no_read_goes_through_a_big_table(store: ReadStore, runner: asyncio.Runner) -> None:
    async def check() -> None:
        async with store.api() as (client, pool, _):
            big = await big_tables(pool)
            assert len(big) > 15, big
            assert any(name.startswith("touch_") for name in big), "its partitions are big too"
            (result,) = json.loads(
                await pool.fetchval("EXPLAIN (FORMAT JSON) SELECT count(*) FROM g1.touch WHERE ws > 0")
            )
            assert len(set(scans(result["Plan"])) & big) > 2, "such a scan is found where there is one"
            found: dict[str, set[str]] = defaultdict(set)
            explained = 0
            for paths in PATHS.values():
                for path in paths:
                    async with noted(pool) as asked:
                        answer = await client.get(path)
                    assert answer.status_code == 200, (path, answer.text)
                    for query, arguments in asked:
                        if not re.match(r"\s*(SELECT|WITH)\b", query) or "pg_advisory_unlock_all" in query:
                            continue
                        plan = await pool.fetchval(f"EXPLAIN (FORMAT JSON) {query}", *arguments)
                        (result,) = json.loads(plan) if isinstance(plan, str) else plan
                        explained += 1
                        for table in set(scans(result["Plan"])) & big - LOOKS_AT_ALL.keys():
                            found[path].add(f"{table}: {' '.join(query.split())[:300]}")
            assert explained > 100
            assert dict(found) == {}

    runner.run(check())


def test_every_read_is_the_same_twenty_times_on_one_connection_by_plans_for_its_values(
    store: ReadStore, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        async with store.api() as (client, pool, _):
            for paths in PATHS.values():
                for path in paths:
                    first = await client.get(path)
                    for _ in range(REPEATED - 1):
                        again = await client.get(path)
                        second, first_json = again.json(), first.json()
                        for each in (second, first_json):
                            each.pop("settled_through", None)
                        assert (again.status_code, second) == (200, first_json), path
            rows = await pool.fetch(
                "SELECT left(statement, 80) AS statement, generic_plans, custom_plans FROM pg_prepared_statements "
                "WHERE cardinality(parameter_types) > 0 AND statement LIKE '%$1%'"
            )
            assert sum(row["custom_plans"] >= REPEATED for row in rows) > 15
            assert [row["statement"] for row in rows if row["generic_plans"]] == []

    runner.run(check())


def test_an_answer_whose_tag_names_rows_alone_reads_rows_alone(
    store: ReadStore, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    depended: list[DependsOn] = []
    tag_before = requests.tag_before

    def noting(*arguments: Any) -> str | None:
        depended.append(arguments[3])
        return tag_before(*arguments)

    monkeypatch.setattr(requests, "tag_before", noting)

    async def check() -> None:
        more = 0
        async with store.api() as (client, pool, _):
            for paths in PATHS.values():
                for path in paths:
                    async with noted(pool) as asked:
                        await client.get(path)
                    beyond = set(re.findall(r"touchline\.\w+", " ".join(query for query, _ in asked))) - OF_THE_SNAPSHOT
                    if depended[-1] is DependsOn.MORE:
                        more += 1
                    else:
                        assert beyond == set(), f"{path} reads {beyond}: tell `read_request` that it depends on more"
        assert more >= 3

    runner.run(check())
