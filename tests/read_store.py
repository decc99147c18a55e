"""Read APIs with the connections and limits that a test chooses."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
import httpx
from fastapi import FastAPI

from services.api.app import api_router
from services.api.progress import LogEnd, ProjectionPosition
from services.api.read_limits import SERVER_SETTINGS, Gate
from services.api.requests import Api
from shared.access.keys import KeyRing
from shared.access.positions import Positions
from shared.database import open_pool
from shared.wakeups import Wakeups
from shared.web.problems import add_handlers
from tests.conftest import Workspace
from touchline.compose import Running


@asynccontextmanager
async def read_api(
    pool: "asyncpg.Pool[asyncpg.Record]", running: Running, workspace: Workspace, **limits: Any
) -> AsyncIterator[tuple[httpx.AsyncClient, FastAPI]]:
    """A read API on these connections, without a vault, with these limits of `Gate`: a client with the workspace's read key, and the app."""
    app, wakeups = FastAPI(), Wakeups(running.pool)
    progress, end, positions = (
        ProjectionPosition(running.pool, wakeups),
        LogEnd(running.log),
        Positions.of(running.pool),
    )
    api = Api(Gate(pool, **limits), progress, KeyRing(running.pool), end, running.log.partitions, await positions)
    app.include_router(api_router(api))
    add_handlers(app)
    headers, transport = {"Authorization": f"Bearer {workspace.keys['read']}"}, httpx.ASGITransport(app)
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://touchline", headers=headers) as client:
            yield client, app
    finally:
        await wakeups.close()


@dataclass
class ReadStore:
    """A store with one workspace. `url` is that of its database."""

    url: str
    running: Running
    workspace: Workspace

    @asynccontextmanager
    async def api(
        self, connections: int = 1, settings: dict[str, str] | None = None, **limits: Any
    ) -> "AsyncIterator[tuple[httpx.AsyncClient, asyncpg.Pool[asyncpg.Record], FastAPI]]":
        """A read API as `read_api`, with so many connections of its own, which have these settings of PostgreSQL (None: the server's)."""
        pool = await open_pool(self.url, connections, **(settings or SERVER_SETTINGS))
        try:
            async with read_api(pool, self.running, self.workspace, **limits) as (client, app):
                yield client, pool, app
        finally:
            await pool.close()
