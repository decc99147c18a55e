"""What composes the services: all of them in one process, on one PostgreSQL."""

import asyncio
import gc
import json
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import uvicorn
from fastapi import FastAPI

from services.api.app import api_router
from services.api.progress import Progress
from services.api.reading import Api
from services.ingest.app import Ingest, ingest_router
from services.ingest.events import event_schemas
from services.ingest.workspaces import DEFAULT_WORKSPACE
from services.projector.worker import Worker
from shared.access.keys import KeyRing, create_workspace
from shared.log.postgres import PostgresLog
from shared.store.connect import open_pool
from shared.store.generations import live_generation
from shared.store.migrate import migrate
from shared.web.paths import WholeSegments
from shared.web.problems import add_handlers

PARTITIONS = 4  # of the embedded log; fixed for the life of a data directory
WRITERS_MAX = PARTITIONS + 8  # connections: one a projector, the rest for the log, keys and dead letters
READERS_MAX = (
    12  # connections of the read API; a request holds one, and may wait for a writers', never the other way round
)
KEYS_FILE = "keys.json"


@dataclass
class Running:
    """The services' shared parts while they run."""

    app: FastAPI
    pool: "asyncpg.Pool[asyncpg.Record]"
    readers: "asyncpg.Pool[asyncpg.Record]"
    log: PostgresLog
    workers: list[Worker]

    async def close(self) -> None:
        """Finish what was accepted, and let the database go."""
        await self.log.close()
        await self.pool.close()
        await self.readers.close()


class _Server(uvicorn.Server):
    """uvicorn without its own signal handlers: a signal ends the whole composition, not the server alone."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the composition."""
        yield


def spare_the_collector() -> None:
    """Let the cyclic garbage collector run rarely.

    A batch makes a hundred thousand rows that live until its commit and hold no cycles; collecting while they are made
    took a third of the projector's time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)


async def compose(url: str) -> Running:
    """Bring the database to the present release and put the services together."""
    await migrate(url, PARTITIONS)
    pool = await open_pool(url, WRITERS_MAX)
    readers = await open_pool(url, READERS_MAX)
    generation = await live_generation(pool)
    log = PostgresLog(pool, PARTITIONS)
    keys = KeyRing(pool)
    app = FastAPI(
        title="Touchline", version="0.1.0", docs_url=None, redoc_url=None,
        description="Which campaign earned what, and why.",
    )  # fmt: skip
    add_handlers(app)
    app.add_middleware(WholeSegments)
    app.include_router(ingest_router(Ingest(log, pool, keys)))
    app.include_router(api_router(Api(readers, Progress(readers, generation), keys, log, generation, PARTITIONS)))
    _document_events(app)
    workers = [Worker(pool, log, generation, partition) for partition in range(PARTITIONS)]
    return Running(app, pool, readers, log, workers)


def _document_events(app: FastAPI) -> None:
    """Put the real event schemas into `/openapi.json`."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        document = generate()
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        for name, schema in event_schemas().items():
            schemas.setdefault(name, schema)
        return document

    app.openapi = openapi  # type: ignore[method-assign]


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises `OSError` if the port is taken."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    sock.listen(1024)
    return sock


async def first_keys(pool: "asyncpg.Pool[asyncpg.Record]", data: Path, name: str) -> dict[str, str] | None:
    """The keys of a new data directory's workspace `default`, also written to `keys.json`; None if it had them."""
    keys = await create_workspace(pool, DEFAULT_WORKSPACE, name)
    if keys is None:
        return None
    path = data / KEYS_FILE
    path.touch(mode=0o600)
    path.write_text(json.dumps({"workspace": DEFAULT_WORKSPACE, "keys": keys}, indent=2) + "\n")
    return {str(scope): key for scope, key in keys.items()}


async def serve(
    running: Running, sock: socket.socket, ready: Callable[[], Awaitable[None]], workers: bool = True
) -> None:
    """Serve until SIGTERM or SIGINT; then finish what was accepted and stop. A projector that dies ends it all."""
    spare_the_collector()
    config = uvicorn.Config(running.app, log_level="warning", access_log=False, lifespan="off")
    server = _Server(config)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, lambda: setattr(server, "should_exit", True))
    tasks = [asyncio.create_task(worker.run()) for worker in running.workers] if workers else []
    serving = asyncio.create_task(server.serve(sockets=[sock]))
    readying = asyncio.ensure_future(ready())
    try:
        done, _ = await asyncio.wait([serving, *tasks, readying], return_when=asyncio.FIRST_COMPLETED)
        if readying in done:
            readying.result()
            await asyncio.wait([serving, *tasks], return_when=asyncio.FIRST_COMPLETED)
        server.should_exit = True
        await serving
    finally:
        readying.cancel()
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, readying, return_exceptions=True)
        await running.close()
    for result in results:
        if isinstance(result, Exception) and not isinstance(result, asyncio.CancelledError):
            raise result
