"""No read waits or works for ever, none can hold what others need, and no plan is worse than another."""

import asyncio
import datetime as dt
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import httpx
import pytest

from services.api import parameters, progress
from services.api.read_limits import SERVER_SETTINGS
from shared.database import open_pool
from shared.events.instants import BEGINNING_US, END_US
from shared.projection.new_contacts import BY_KEYS as NEW_CONTACTS
from shared.projection.tables import shape
from shared.reading import overview
from shared.reading.attribution import FEW_CAMPAIGNS, INFLUENCED, SESSION_COUNTS, TOUCH_COUNTS
from shared.reading.campaign_deals import DEALS, EARNED
from shared.reading.snapshot import Snapshot
from shared.rules.keys import campaign_key
from shared.rules.models import MODELS
from tests.conftest import new_workspace
from tests.read_store import ReadStore
from touchline.compose import Running, compose
from touchline.configuration import Configuration

CAMPAIGNS = 5
DAY_US = 86_400_000_000
FROM_US = 1_700_000_000_000_000
HEAVY = ("/v1/campaigns", "/v1/campaigns/c1/overview", "/v1/campaigns/c1/assets", "/v1/reports/attribution")
WAITED_FOR = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 'touchline.log_partition'::regclass)"
LIGHT = ("/v1/contacts", "/v1/contacts/k1/journey", "/v1/campaigns/c1", "/v1/deals/d1/attribution", "/v1/status")


@asynccontextmanager
async def locked(running: Running, table: str) -> AsyncIterator[None]:
    """Nobody reads the table for a while."""
    async with running.pool.acquire() as connection, connection.transaction():
        await connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        yield


@pytest.fixture
def store(own_database: str, runner: asyncio.Runner) -> Iterator[ReadStore]:
    running = runner.run(compose(own_database, Configuration(kafka_bootstrap_servers=None)))
    workspace = runner.run(new_workspace(running, "bounds"))
    yield ReadStore(own_database, running, workspace)
    runner.run(running.close())


def history(visitors: int, visits: int) -> Iterator[dict[str, Any]]:
    """Visits of a few campaigns over a year; every third visitor becomes a contact, and some of them buy."""
    for n in range(CAMPAIGNS):
        yield {"type": "campaign_created", "id": f"c{n}", "campaign_id": f"c{n}", "utm_campaign": f"u{n}", "occurred_at": iso(0)}  # fmt: skip
    step_us = 365 * DAY_US // (visitors * visits)
    for n in range(visitors * visits):
        visitor = n * 7 % visitors
        yield {"type": "page_visited", "id": f"v{n}", "visitor_id": f"v{visitor}", "occurred_at": iso(n * step_us),
               "url": f"https://a.example/{n % 9}?utm_campaign=u{(n + n // visitors) % CAMPAIGNS}"}  # fmt: skip
        if n >= visitors * (visits - 1) and visitor % 3 == 1:
            contact = {"id": f"k{visitor}"}
            yield {"type": "form_submitted", "id": f"f{n}", "visitor_id": f"v{visitor}", "asset_id": "form",
                   "contact": contact, "occurred_at": iso(n * step_us + 1_000_000)}  # fmt: skip
            if visitor % 9 == 1:
                deal = {"deal_id": f"d{visitor}", "amount": "100.01", "currency": "EUR"}
                yield {"type": "deal_created", "id": f"d{n}", **deal, "contacts": [contact], "occurred_at": iso(n * step_us + 2_000_000)}  # fmt: skip
                yield {"type": "deal_closed", "id": f"w{n}", "deal_id": f"d{visitor}", "won": True, "occurred_at": iso(366 * DAY_US)}  # fmt: skip


def iso(after_us: int) -> str:
    return dt.datetime.fromtimestamp((FROM_US + after_us) / 1e6, dt.UTC).isoformat()


async def fill(store: ReadStore, visitors: int, visits: int) -> None:
    events = list(history(visitors, visits))
    for begin in range(0, len(events), 900):
        answer = await store.workspace.send(*events[begin : begin + 900])
        assert answer.json()["rejected"] == []
    await store.workspace.project(10_000)


def status_and_code(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["retry-after"]) > 0
    return answer.status_code, answer.json()["code"]


@pytest.mark.parametrize("bound", ["the process's", "the server's"])
def test_a_read_that_takes_too_long_ends_with_503_and_its_connection_serves_again(
    store: ReadStore, runner: asyncio.Runner, bound: str
) -> None:
    async def check() -> None:
        settings = dict(SERVER_SETTINGS, statement_timeout="500ms" if bound == "the server's" else "0")
        async with store.api(1, settings, read_s=0.5 if bound == "the process's" else 30.0) as (client, _, _):
            async with locked(store.running, "g1.campaign"):
                assert status_and_code(await client.get("/v1/campaigns")) == (503, "read_timeout")
            async with asyncio.timeout(60):
                while (again := await client.get("/v1/campaigns")).status_code != 200:
                    assert status_and_code(again) == (
                        503,
                        "read_timeout",
                    )  # on a busy machine any read may take so long

    runner.run(check())


def test_a_connection_is_waited_for_no_longer_than_the_limit(store: ReadStore, runner: asyncio.Runner) -> None:
    async def check() -> None:
        async with store.api(1, wait_s=0.2) as (client, pool, _):
            async with pool.acquire():
                assert status_and_code(await client.get("/v1/status")) == (503, "busy")
            assert (await client.get("/v1/status")).status_code == 200

    runner.run(check())


def test_heavy_reads_cannot_hold_what_light_ones_need(store: ReadStore, runner: asyncio.Runner) -> None:
    async def check() -> None:
        await fill(store, 40, 3)
        async with store.api(3, heavy_max=2, wait_s=0.5) as (client, _, _):
            async with locked(store.running, "g1.attribution_window"), locked(store.running, "g1.association"):
                stuck = [asyncio.create_task(client.get(HEAVY[n % 2])) for n in range(6)]
                await asyncio.sleep(0.2)
                for path in ("/v1/contacts", "/v1/status"):
                    assert (await client.get(path)).status_code == 200, path
                done: set[asyncio.Task[httpx.Response]] = set()
                async with asyncio.timeout(20):
                    while len(done) < 4:
                        done = (
                            await asyncio.wait(
                                [task for task in stuck if task not in done], return_when="FIRST_COMPLETED"
                            )
                        )[0] | done
                assert [status_and_code(task.result()) for task in done] == [(503, "busy")] * 4
            assert [(await task).status_code for task in stuck if task not in done] == [200, 200]

    runner.run(check())


@pytest.mark.parametrize("path", ["/v1/campaigns/c1/overview", "/v1/status"])
def test_the_log_is_not_waited_for_within_a_snapshot(
    store: ReadStore, runner: asyncio.Runner, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check() -> None:
        await fill(store, 4, 3)
        monkeypatch.setattr(progress, "END_WAIT_S", 60.0)
        async with store.api(1) as (client, pool, _):
            assert (await client.get(path)).status_code == 200
            async with locked(store.running, "touchline.log_partition"):
                waiting = asyncio.create_task(client.get(path))
                async with asyncio.timeout(30):
                    while not await store.running.pool.fetchval(WAITED_FOR):
                        await asyncio.sleep(0.01)
                assert not waiting.done()
                assert pool.get_idle_size() == 1  # no connection is held meanwhile
            assert (await waiting).status_code == 200

    runner.run(check())


def test_a_store_made_without_a_model_says_so_where_it_is_asked_for(store: ReadStore, runner: asyncio.Runner) -> None:
    async def check() -> None:
        await fill(store, 10, 3)
        await store.running.pool.execute("UPDATE g1.credit SET shares_minor = shares_minor - 'w_shaped'")
        await store.running.pool.execute("UPDATE g1.deal_touch SET shares_minor = trim_array(shares_minor, 1)")
        async with store.api(2) as (client, _, _):
            for path in (
                "/v1/reports/attribution?model=linear&model=w_shaped", "/v1/campaigns?model=w_shaped",
                "/v1/campaigns/c3/overview?model=w_shaped", "/v1/deals/d1/attribution?model=w_shaped",
            ):  # fmt: skip
                answer = await client.get(path)
                assert status_and_code(answer) == (503, "no_generation"), path
                assert "holds no shares under the model w_shaped: `touchline replay rebuild` makes them" in answer.text
            assert (await client.get("/v1/campaigns/c3/overview?model=linear")).status_code == 200

    runner.run(check())


def test_a_new_model_makes_a_new_shape_and_existing_stores_say_what_to_do(
    store: ReadStore, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check() -> None:
        before = shape()
        monkeypatch.setitem(MODELS, "of_next_year", MODELS["linear"])
        monkeypatch.setitem(parameters.MODEL.schema, "enum", [*MODELS])  # a release with the model declares it too
        shape.cache_clear()
        assert shape() != before
        async with store.api(1) as (client, _, _):
            answer = await client.get("/v1/campaigns?model=of_next_year")
        assert status_and_code(answer) == (503, "no_generation")
        assert "`touchline replay rebuild`" in answer.json()["detail"]

    try:
        runner.run(check())
    finally:
        monkeypatch.undo()
        shape.cache_clear()


def test_credit_is_read_once_for_all_models_and_by_key_for_a_campaign(
    store: ReadStore, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[Any, tuple[Any, ...]]] = []
    fetch, fetchrow = Snapshot.fetch, Snapshot.fetchrow

    async def noted(snapshot: Snapshot, statement: Any, *arguments: Any) -> list[Any]:
        asked.append((statement, arguments))
        return await fetch(snapshot, statement, *arguments)

    async def noted_row(snapshot: Snapshot, statement: Any, *arguments: Any) -> Any:
        asked.append((statement, arguments))
        return await fetchrow(snapshot, statement, *arguments)

    monkeypatch.setattr(Snapshot, "fetch", noted)
    monkeypatch.setattr(Snapshot, "fetchrow", noted_row)

    async def check() -> None:
        await fill(store, 20, 3)
        async with store.api(1) as (client, _, _):
            models = "&".join(f"model={model}" for model in MODELS)
            assert (await client.get(f"/v1/reports/attribution?{models}")).status_code == 200
            assert len([statement for statement, _ in asked if "{g}.deal_touch" in statement]) == 1
            asked.clear()
            whole = (await client.get("/v1/campaigns")).json()["items"]
            asked.clear()
            page = (await client.get("/v1/campaigns?limit=1")).json()
            (numbers,) = [arguments for statement, arguments in asked if statement is EARNED]
            assert numbers[0] == [campaign_key("c0")]
            assert page["items"] == whole[:1]
            asked.clear()
            second = (await client.get(f"/v1/campaigns?limit=2&cursor={page['next_cursor']}")).json()
            assert second["items"] == whole[1:3]
            (numbers,) = [arguments for statement, arguments in asked if statement is EARNED]
            assert numbers[0] == [campaign_key(item["campaign_id"]) for item in whole[1:3]]
            asked.clear()
            overview_now = (await client.get("/v1/campaigns/c1/overview")).json()
            assert overview_now["metrics"] == whole[1]["metrics"]
            assert whole[1]["metrics"]["attributed_revenue"]
            (earned,) = [arguments for statement, arguments in asked if statement is EARNED]
            assert earned[0] == [campaign_key("c1")]

    runner.run(check())


def test_many_campaigns_are_read_by_other_statements_with_the_same_answers(
    store: ReadStore, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check() -> None:
        await fill(store, 60, 3)
        async with store.api(1) as (client, _, _):
            for query in ("", f"?from={iso(100 * DAY_US)[:10]}&to={iso(230 * DAY_US)[:10]}"):
                monkeypatch.setattr(overview, "FEW_MAX", CAMPAIGNS)
                few = (await client.get(f"/v1/campaigns{query}")).json()["items"]
                monkeypatch.setattr(overview, "FEW_MAX", 0)
                assert (await client.get(f"/v1/campaigns{query}")).json()["items"] == few
                assert sum(item["metrics"]["influenced_contacts"] for item in few) > 0

    runner.run(check())


REPEATED = 20
SIZES = {"empty": (0, 0), "young": (500, 3), "middle": (1_500, 4)}


@pytest.fixture(params=list(SIZES))
def filled(store: ReadStore, runner: asyncio.Runner, request: pytest.FixtureRequest) -> ReadStore:
    """A store of a size."""
    visitors, visits = SIZES[request.param]
    if visitors:
        runner.run(fill(store, visitors, visits))
    return store


def test_no_read_flips_to_another_plan_however_often_it_is_repeated(filled: ReadStore, runner: asyncio.Runner) -> None:
    """PostgreSQL counts how often it has made a plan for the values at hand, and how often it took one for any value."""

    async def check() -> None:
        month = f"from={iso(200 * DAY_US)[:10]}&to={iso(230 * DAY_US)[:10]}"
        async with filled.api(1) as (client, pool, _):
            for path in (*HEAVY, *(f"{path}?{month}" for path in HEAVY), *LIGHT):
                for _ in range(REPEATED):
                    assert (await client.get(path)).status_code in (200, 404), path
            rows = await pool.fetch(
                "SELECT left(statement, 80) AS statement, generic_plans, custom_plans FROM pg_prepared_statements "
                "WHERE cardinality(parameter_types) > 0 AND statement LIKE '%$1%'"
            )
            assert sum(row["custom_plans"] >= REPEATED for row in rows) > 5
            assert [row["statement"] for row in rows if row["generic_plans"]] == []

    runner.run(check())


def work(node: dict[str, Any]) -> float:
    """How many rows a plan has handled: those that its nodes have answered, and those that they have thrown away."""
    removed = sum(value for name, value in node.items() if name.startswith("Rows Removed by"))
    own = (node["Actual Rows"] + removed) * node["Actual Loops"]
    return own + sum(work(child) for child in node.get("Plans", ()))


def test_a_short_range_costs_no_more_than_all_time_and_all_time_is_linear(
    filled: ReadStore, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        await filled.running.pool.execute("ANALYZE")  # as autovacuum does
        async with await open_pool(filled.url, 1, **SERVER_SETTINGS) as pool:
            await asked_of(pool)

    async def asked_of(pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        ws = await pool.fetchval(
            "SELECT number FROM touchline.workspace WHERE workspace_id = $1", filled.workspace.name
        )
        touches = await pool.fetchval("SELECT count(*) FROM g1.touch")
        campaigns = [campaign_key(f"c{n}") for n in range(CAMPAIGNS)]
        many = [TOUCH_COUNTS, SESSION_COUNTS, INFLUENCED, NEW_CONTACTS, DEALS, EARNED]
        month = (FROM_US + 200 * DAY_US, FROM_US + 230 * DAY_US)
        for asked, statements in ((campaigns[:1], [FEW_CAMPAIGNS]), (campaigns, [FEW_CAMPAIGNS]), (campaigns, many)):
            done = {}
            for span in ((BEGINNING_US, END_US), month, (END_US - 2, END_US - 1)):
                done[span] = 0.0
                for statement in statements:
                    of_deals = {NEW_CONTACTS: [[span[0]]], DEALS: [[span[0]]], EARNED: [[1], [span[0]]]}
                    arguments: tuple[Any, ...] = (*span, *of_deals.get(statement, ()))
                    explain = "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + statement.replace("{g}", "g1")
                    plan = await pool.fetchval(explain, ws, asked, *arguments)
                    (explained,) = json.loads(plan) if isinstance(plan, str) else plan
                    done[span] += work(explained["Plan"])
            whole = done[BEGINNING_US, END_US]
            assert whole <= 40 * touches + 500, (whole, touches)
            assert max(done.values()) <= 1.5 * whole + 500, done

    runner.run(check())
