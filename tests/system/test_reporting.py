"""The SQL views of the schema `reporting`, as a BI tool reads them: by a login of its own."""

import asyncio
import os
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from shared.reading.reporting import UnknownWorkspace, add_login, follow, remove_login
from tests.conftest import Workspace, new_workspace
from tests.reporting import connected
from touchline.commands.reporting import url_of
from touchline.compose import Running

WORLDS = int(os.environ.get("TOUCHLINE_REPORTING_EXAMPLES", "25"))
AT = "2026-02-01T12:00:00Z"
EVENTS: list[dict[str, Any]] = [
    {"type": "campaign_created", "id": "1", "campaign_id": "spring", "name": "Spring", "budget": "1200.5", "currency": "NOK", "occurred_at": "2026-01-01T00:00:00Z"},
    {"type": "asset_associated", "id": "2", "campaign_id": "spring", "asset_id": "lp", "occurred_at": "2026-01-31T00:00:00Z"},
    {"type": "page_visited", "id": "3", "visitor_id": "v", "asset_id": "lp", "url": "https://shop.example/", "occurred_at": "2026-01-30T12:00:00Z"},
    {"type": "page_visited", "id": "4", "visitor_id": "v", "asset_id": "lp", "url": "https://shop.example/", "occurred_at": AT},
    {"type": "form_submitted", "id": "5", "visitor_id": "v", "asset_id": "f", "contact": {"email": "kari@example.no"}, "occurred_at": AT},
    {"type": "deal_created", "id": "6", "deal_id": "d", "amount": "100", "currency": "JPY", "contacts": [{"email": "kari@example.no"}], "occurred_at": AT},
    {"type": "deal_closed", "id": "7", "deal_id": "d", "won": True, "occurred_at": "2026-02-03T12:00:00Z"},
]  # fmt: skip


async def rows(connection: "asyncpg.Connection[asyncpg.Record]", query: str, *arguments: Any) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in await connection.fetch(query, *arguments)]


@pytest.fixture
def spring(workspace: Workspace, runner: asyncio.Runner) -> Workspace:
    async def made() -> Workspace:
        await workspace.send(*EVENTS)
        await workspace.project()
        return workspace

    return runner.run(made())


def test_touches_have_their_campaign_and_the_reason_why_they_do_not_count(
    spring: Workspace, runner: asyncio.Runner, database_url: str
) -> None:
    async def read() -> list[tuple[Any, ...]]:
        async with connected(spring, database_url) as connection:
            return await rows(
                connection,
                "SELECT event_id, type, contact, campaign_id, counted, reason FROM touches ORDER BY event_id",
            )

    assert runner.run(read()) == [
        ("3", "page_visited", "kari@example.no", "spring", False, "before_association"),
        ("4", "page_visited", "kari@example.no", "spring", True, None),
        ("5", "form_submitted", "kari@example.no", None, False, None),
    ]


def test_amounts_are_decimals_in_the_unit_of_their_currency(
    spring: Workspace, runner: asyncio.Runner, database_url: str
) -> None:
    async def read() -> tuple[Any, ...]:
        async with connected(spring, database_url) as connection:
            return (
                await rows(connection, "SELECT budget, currency FROM campaigns"),
                await rows(connection, "SELECT amount, currency, contacts FROM deals"),
                await rows(
                    connection, "SELECT event_id, share FROM shares WHERE model = 'last_interaction' AND share <> 0"
                ),
            )

    budgets, deals, shares = runner.run(read())
    assert budgets == [(Decimal("1200.50"), "NOK")]
    assert deals == [(Decimal(100), "JPY", ["kari@example.no"])]
    assert shares == [("5", Decimal(100))]


def test_campaigns_have_their_contacts_by_day_and_their_deals(
    spring: Workspace, runner: asyncio.Runner, database_url: str
) -> None:
    late, early = "2026-02-01T23:30:00Z", "2026-02-01T12:30:00Z"  # in Oslo another day
    sent = {"type": "email_clicked", "asset_id": "lp", "contact": {"email": "kari@example.no"}, "occurred_at": late}
    opened = {"type": "deal_created", "deal_id": "o", "contacts": [{"email": "kari@example.no"}], "occurred_at": early}
    late_campaign = {
        "type": "asset_associated",
        "campaign_id": "late",
        "asset_id": "f",
        "occurred_at": "2026-02-10T00:00:00Z",
    }
    oslo = {"type": "workspace_configured", "settings": {"time_zone": "Europe/Oslo"}, "occurred_at": AT}

    async def read() -> tuple[Any, ...]:
        await spring.send(sent, opened, oslo, late_campaign)
        await spring.project()
        async with connected(spring, database_url) as connection:
            return (
                await rows(connection, "SELECT campaign_id, contact, day::text FROM campaign_contacts ORDER BY day"),
                await rows(
                    connection,
                    "SELECT campaign_id, deal_id, state, amount, currency, dated_at, revenue_contacts FROM campaign_deals ORDER BY dated_at",
                ),
            )

    contacts, deals = runner.run(read())
    kari = "kari@example.no"
    assert contacts == [("spring", kari, "2026-02-01"), ("spring", kari, "2026-02-02")]
    assert [(*deal[:5], deal[5].isoformat(), deal[6]) for deal in deals] == [
        ("spring", "o", "open", None, "EUR", "2026-02-01T12:30:00+00:00", []),
        ("spring", "d", "won", Decimal(100), "JPY", "2026-02-03T12:00:00+00:00", [kari]),
    ]


def test_a_login_sees_nothing_of_another_workspace(
    spring: Workspace, running: Running, runner: asyncio.Runner, database_url: str
) -> None:
    async def read() -> list[int]:
        other = await new_workspace(running, "other")
        async with connected(other, database_url) as connection:
            views = await rows(connection, "SELECT viewname FROM pg_views WHERE schemaname = 'reporting'")
            assert len(views) == 8
            return [await connection.fetchval(f"SELECT count(*) FROM reporting.{name}") for (name,) in views]

    assert runner.run(read()) == [0] * 8


@pytest.mark.parametrize(
    "statement",
    ["SELECT * FROM touchline.access_key", "SELECT * FROM {g}.touch", "SELECT * FROM touchline.reporting_login",
     "CREATE TABLE reporting.mine (n int)", "SET ROLE postgres", "DELETE FROM reporting.campaigns"],
)  # fmt: skip
def test_a_login_may_do_nothing_but_read_the_views(
    spring: Workspace, runner: asyncio.Runner, database_url: str, statement: str
) -> None:
    async def attempt() -> None:
        async with connected(spring, database_url) as connection:
            await connection.execute("SET default_transaction_read_only = off")
            await connection.execute(statement.replace("{g}", spring.running.generation.name))

    with pytest.raises((asyncpg.InsufficientPrivilegeError, asyncpg.ObjectNotInPrerequisiteStateError)):
        runner.run(attempt())


def test_a_removed_login_cannot_connect(spring: Workspace, runner: asyncio.Runner, database_url: str) -> None:
    async def attempt() -> None:
        login = f"bi_{os.urandom(6).hex()}"
        password = await add_login(spring.running.pool, spring.name, login)
        assert await remove_login(spring.running.pool, spring.name, login)
        assert not await remove_login(spring.running.pool, spring.name, login)
        await asyncpg.connect(url_of(database_url, login, password))

    with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError):  # a wrong password is one of its kinds
        runner.run(attempt())


def test_a_login_of_a_workspace_that_is_not_there_is_refused(running: Running, runner: asyncio.Runner) -> None:
    with pytest.raises(UnknownWorkspace):
        runner.run(add_login(running.pool, "nowhere", "bi_nowhere"))


def test_the_views_are_made_once_for_a_generation_and_do_not_wait_for_readers(
    spring: Workspace, runner: asyncio.Runner, database_url: str
) -> None:
    async def check() -> None:
        pool = spring.running.pool
        async with connected(spring, database_url) as connection:
            assert not await follow(pool), "they show the live generation already"
            await pool.execute("COMMENT ON SCHEMA reporting IS 'views of another generation'")
            async with connection.transaction():
                await connection.fetchval("SELECT count(*) FROM campaigns")
                assert not await follow(pool), "somebody reads"
            assert await follow(pool)
            assert await connection.fetchval("SELECT count(*) FROM campaigns") == 1, "the login still reads them"

    runner.run(check())
