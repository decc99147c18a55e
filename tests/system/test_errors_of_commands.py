"""A command whose connection to the database is lost says so, also when the driver names only its own method."""

import asyncio

import asyncpg
import pytest
import typer

from touchline.commands.output import errors_in_one_line


async def use_lost_connection(url: str) -> None:
    """Send a statement over a pooled connection that the server has ended and that the driver has already given back."""
    async with (
        asyncpg.create_pool(url, min_size=2, max_size=2) as pool,
        pool.acquire() as connection,
        pool.acquire() as other,
    ):
        assert await other.fetchval("SELECT pg_terminate_backend($1)", connection.get_server_pid())
        for _ in range(1_000):
            if connection.is_closed():
                break
            await asyncio.sleep(0.01)
        await connection.fetchval("SELECT 1")


def test_a_connection_lost_between_two_statements_is_reported_in_one_line(
    database_url: str, runner: asyncio.Runner, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as ended, errors_in_one_line():
        runner.run(use_lost_connection(database_url))
    assert ended.value.exit_code == 1
    assert capsys.readouterr().err.startswith("the database connection was closed: ")
