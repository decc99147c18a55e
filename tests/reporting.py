"""A login of the schema `reporting`, as a BI tool has one."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from shared.reading.reporting import add_login, remove_login
from tests.conftest import Workspace
from touchline.commands.reporting import url_of


@asynccontextmanager
async def connected(workspace: Workspace, database_url: str) -> "AsyncIterator[asyncpg.Connection[asyncpg.Record]]":
    """A connection of a new login of the workspace, which is removed afterwards."""
    login, pool = f"bi_{os.urandom(6).hex()}", workspace.running.pool
    password = await add_login(pool, workspace.name, login)
    connection = await asyncpg.connect(url_of(database_url, login, password))
    try:
        yield connection
    finally:
        await connection.close()
        await remove_login(pool, workspace.name, login)
