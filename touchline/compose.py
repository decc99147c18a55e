"""What composes the services: one of them, or all in one process, on a database and a log."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import structlog
from fastapi import FastAPI
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_chain, wait_fixed

from services.api.app import api_router
from services.api.gate import READERS_MAX, SERVER_SETTINGS, Gate
from services.api.progress import LogEnd, ProjectionPosition
from services.api.reading import Api
from services.ingest.app import Ingest, ingest_router
from services.ingest.events import event_schemas
from services.ingest.producers.browsers import OpenToBrowsers
from services.projector.service import Projectors
from services.projector.worker import Worker
from shared.access.keys import KeyRing
from shared.access.positions import Positions
from shared.database import AWAY, error_text, open_pool
from shared.log.kafka_group import KafkaGroup
from shared.log.kafka_topic import open_kafka_log
from shared.log.port import Assignment, EventLog, LogUnavailable
from shared.log.postgres import PARTITIONS, EveryPartition, PostgresLog
from shared.store.generations import Generation, drop_expired, followed_generations, open_generation, tend_followed
from shared.store.migrate import migrate
from shared.wakeups import Wakeups, projected
from shared.web.head import Head
from shared.web.operations import Check, Timed, operations_router
from shared.web.paths import WholeSegments
from shared.web.problems import Unexpected, add_handlers
from touchline.settings import Settings

WRITERS_MAX = 11  # connections of a process: for a log in the database, keys, dead letters, locks and notifications
PROJECTING_MAX = 8  # connections of a projector; one a partition that has work
DISK_FREE_BYTES_MIN = 64 * 1024 * 1024  # a few segments of PostgreSQL's write-ahead log, of 16 MiB each
START_AGAIN_S = (0.2, 0.5, 1.0, 2.0, 5.0)  # pauses between tries to start; the last one again and again

logger = structlog.stdlib.get_logger("touchline")


class Role(StrEnum):
    """What a process does."""

    INGEST = "ingest"
    PROJECTOR = "projector"
    API = "api"


@dataclass
class Running:
    """The services' shared parts while they run. `projectors` is None where nothing is projected."""

    app: FastAPI
    pool: "asyncpg.Pool[asyncpg.Record]"
    log: EventLog
    generation: Generation
    projectors: Projectors | None
    _open: AsyncExitStack

    async def close(self) -> None:
        """Finish what was accepted, and let the log and the database go."""
        await self._open.aclose()


async def compose(
    url: str, settings: Settings, roles: Sequence[Role] = tuple(Role), folder: Path | None = None
) -> Running:
    """Bring database and log to the present release, and put the services together.

    `folder` is where the database keeps its files, if that is on this machine: `/readyz` then tells how full its disk is.
    Raises `LogUnavailable`, one of `AWAY`, or what a person must decide on: `WrongShape`, `WrongLog`, `UnfitTopic`.
    """
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(await open_pool(url, WRITERS_MAX))
        await migrate(url, PARTITIONS)
        wakeups = Wakeups(pool)
        stack.push_async_callback(wakeups.close)
        log = await open_log(settings, pool, wakeups)
        stack.push_async_callback(log.close)
        generation = await open_generation(pool, log.identity, log.partitions)
        app = _app()
        add_handlers(app, None if folder is None else partial(_lacks_room, folder, log))
        keys, positions = KeyRing(pool), await Positions.of(pool)
        alone = list(roles) == [Role.INGEST]  # then events of known keys are taken without the database
        checks = {
            "log": Check(lambda: _log_check(log)),
            "store": Check(lambda: _store_check(pool), required=not (alone and settings.kafka)),
        }
        if folder is not None:
            checks["disk"] = Check(lambda: _disk_check(folder))
        projectors = None
        if Role.INGEST in roles:
            ingest = Ingest(log, pool, keys, positions, settings.public_url)
            stack.push_async_callback(ingest.counts.close)
            app.include_router(ingest_router(ingest))
            app.add_middleware(OpenToBrowsers)
            _document_events(app)
        if Role.API in roles:
            readers = await stack.enter_async_context(await open_pool(url, READERS_MAX, **SERVER_SETTINGS))
            progress = ProjectionPosition(readers, wakeups)
            app.include_router(api_router(Api(Gate(readers), progress, keys, LogEnd(log), log.partitions, positions)))
        if Role.PROJECTOR in roles:
            projecting = await stack.enter_async_context(
                await open_pool(url, PROJECTING_MAX, synchronous_commit="off")  # the offset is in the same transaction
            )
            assignment = _assignment(settings, pool)
            projectors = Projectors(
                log, assignment, lambda: followed_generations(pool, log.identity),
                lambda reader, generation, p, passed: Worker(
                    projecting, reader, generation, p, _announced(wakeups, passed)
                ),
                lambda: _tidy(pool, log),
            )  # fmt: skip
            checks["lag"] = Check(projectors.check)
        app.include_router(operations_router(checks))
        return Running(app, pool, log, generation, projectors, stack.pop_all())


async def compose_patiently(url: str, settings: Settings, roles: Sequence[Role], folder: Path | None = None) -> Running:
    """As `compose`, but wait for a database or a log that is away."""
    again = AsyncRetrying(
        retry=retry_if_exception_type((LogUnavailable, *AWAY)), wait=wait_chain(*map(wait_fixed, START_AGAIN_S)),
        before_sleep=_cannot_start_yet, reraise=True,
    )  # fmt: skip
    return await again(compose, url, settings, roles, folder)


def _cannot_start_yet(state: RetryCallState) -> None:
    assert state.outcome is not None
    error = state.outcome.exception()
    assert error is not None
    away = "log" if isinstance(error, LogUnavailable) else "database"
    logger.warning("cannot start yet", away=away, error=error_text(error), again_in_s=state.upcoming_sleep)


async def open_log(
    settings: Settings, pool: "asyncpg.Pool[asyncpg.Record]", wakeups: Wakeups | None = None
) -> EventLog:
    """The log that the settings name: Kafka's, or a table of the database. Raises `LogUnavailable` or `UnfitTopic`.

    A log in the database wakes and is woken by `wakeups`, which is its maker's to close; without it by one of its own.
    """
    if settings.kafka is None:
        return PostgresLog(pool, PARTITIONS, wakeups)
    return await open_kafka_log(settings.kafka, settings.kafka_partitions, settings.kafka_replication_factor)


@asynccontextmanager
async def reached(
    url: str, settings: Settings, connections_max: int
) -> "AsyncIterator[tuple[asyncpg.Pool[asyncpg.Record], EventLog]]":
    """A database that is up to date, and the log that the settings name."""
    pool = await open_pool(url, connections_max)
    try:
        log = await open_log(settings, pool)
        try:
            yield pool, log
        finally:
            await log.close()
    finally:
        await pool.close()


def _announced(wakeups: Wakeups, passed: Callable[[int, int], None]) -> Callable[[int, int], None]:
    """`passed`, and then wake who waits for the partition to be projected."""

    def announced(partition: int, offset: int) -> None:
        passed(partition, offset)
        wakeups.announce(projected(partition))

    return announced


def _assignment(settings: Settings, pool: "asyncpg.Pool[asyncpg.Record]") -> Assignment:
    """What says which of the log's partitions are this process's to project."""
    if settings.kafka is None:
        return EveryPartition(pool, PARTITIONS)
    return KafkaGroup(
        settings.kafka, settings.kafka_group, settings.kafka_group_instance_id,
        settings.kafka_session_timeout_ms / 1000,
    )  # fmt: skip


async def _tidy(pool: "asyncpg.Pool[asyncpg.Record]", log: EventLog) -> None:
    await drop_expired(pool)
    await tend_followed(pool, log.identity)


async def _log_check(log: EventLog) -> str:
    await log.end(0)
    if isinstance(log, PostgresLog):
        log.check_room()
    return "ok"


async def free_bytes_of(folder: Path) -> int:
    """How many bytes the disk of a folder has free."""
    return (await asyncio.to_thread(shutil.disk_usage, folder)).free


async def is_full(folder: Path) -> bool:
    """Whether the disk of a folder has so little free that PostgreSQL may stop, or not start."""
    return await free_bytes_of(folder) < DISK_FREE_BYTES_MIN


async def _lacks_room(folder: Path, log: EventLog, error: Exception) -> bool:
    """Whether PostgreSQL, whose files are in a folder, is away because the disk is full. It stops where it cannot log ahead."""
    of_database = not isinstance(error, LogUnavailable) or isinstance(log, PostgresLog)
    return of_database and await is_full(folder)


async def _disk_check(folder: Path) -> dict[str, int]:
    """How many bytes the disk has free. Raises `OSError` if so few that PostgreSQL may stop."""
    free_bytes = await free_bytes_of(folder)
    if free_bytes < DISK_FREE_BYTES_MIN:
        raise OSError(f"the disk of {folder} is full: {free_bytes:,} bytes are free")
    return {"free_bytes": free_bytes}


async def _store_check(pool: "asyncpg.Pool[asyncpg.Record]") -> str:
    await pool.fetchval("SELECT true FROM touchline.generation WHERE live")
    return "ok"


def _app() -> FastAPI:
    app = FastAPI(
        title="Touchline", version="0.1.0", docs_url=None, redoc_url=None,
        description="Which campaign earned what, and why.",
    )  # fmt: skip
    app.add_middleware(Timed)
    app.add_middleware(WholeSegments)
    app.add_middleware(Head)
    app.add_middleware(Unexpected)  # within Starlette's own, which would answer in plain text
    return app


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
