"""How is a process put together? From one service or all of them, a database and a log."""

import asyncio
import shutil
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import asyncpg
import structlog
from fastapi import FastAPI
from starlette.middleware.gzip import GZipMiddleware
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_chain, wait_fixed
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from services.api.app import api_router
from services.api.progress import LogEnd, ProjectionPosition
from services.api.pseudonyms import Revealing
from services.api.read_limits import READERS_MAX, SERVER_SETTINGS, Gate
from services.api.requests import Api
from services.ingest.address_limit import LimitedByAddress
from services.ingest.app import ingest_router
from services.ingest.cors import OpenToBrowsers
from services.ingest.dead_links import DeadLinks
from services.ingest.ingest import Ingest
from services.ingest.limits import Limits
from services.projector import metrics
from services.projector.reprojecting import AT_ONCE_MAX
from services.projector.service import Projectors
from services.projector.worker import Worker
from shared.access.keys import KeyRing
from shared.access.positions import Positions
from shared.database import AWAY, error_text, open_pool
from shared.log.kafka_group import KafkaGroup
from shared.log.port import Assignment, EventLog, LogUnavailable
from shared.log.postgres import PARTITIONS, EveryPartition, PostgresLog
from shared.projection.generations import (
    Generation,
    drop_expired,
    followed_generations,
    live_generation,
    open_generation,
    tend_followed,
)
from shared.projection.tables import shape
from shared.reading import reporting
from shared.sealing.log import unsealed, vault_of
from shared.sealing.vacuum import remove_traces
from shared.store.migrate import migrate
from shared.store.verifications import last_agreed_s
from shared.wakeups import Wakeups, projected
from shared.web.direct import DirectMiddleware
from shared.web.head import Head
from shared.web.operations import Check, Timed, operations_router, own_metrics
from shared.web.paths import WholeSegments
from shared.web.problems import Unexpected, add_handlers
from touchline.configuration import Configuration
from touchline.document import complete
from touchline.open_log import open_log
from touchline.projector_process import ProjectorProcess

WRITERS_MAX = 11  # connections of a process: for a log in the database, keys, dead letters, locks and notifications
PROJECTING_MAX = 8  # connections of a projector; one a partition that has work
GZIP_BYTES_MIN = 1_024  # a shorter answer fits into one packet as it is; the pixel has 43 bytes
GZIP_LEVEL = 4  # 1 MB of JSON in some 10 ms, during which the process answers nobody else; level 9 takes four times as long for 5 % less
DISK_FREE_BYTES_MIN = 64 * 1024 * 1024  # a few segments of PostgreSQL's write-ahead log, of 16 MiB each
TRACES_S = 3.0  # of the ten seconds after which a supervisor kills a process that ends
START_AGAIN_S = (0.2, 0.5, 1.0, 2.0, 5.0)  # pauses between tries to start; the last one again and again

logger = structlog.stdlib.get_logger("touchline")

Given = ParamSpec("Given")
Done = TypeVar("Done")


class Role(StrEnum):
    """A service that a process runs."""

    INGEST = "ingest"
    PROJECTOR = "projector"
    API = "api"


@dataclass
class Running:
    """The parts of a running process.

    `generation` was the live one at the start, None if there was none of this release's shape. `projectors` is None if the
    process is no projector.
    """

    app: FastAPI
    pool: "asyncpg.Pool[asyncpg.Record]"
    log: EventLog
    generation: Generation | None
    projectors: Projectors | None
    _open: AsyncExitStack

    async def close(self) -> None:
        """Write what was accepted, and close the connections to the log and to the database."""
        await self._open.aclose()


async def compose(
    url: str, configuration: Configuration, roles: Sequence[Role] = tuple(Role), folder: Path | None = None,
    projector: ProjectorProcess | None = None,
) -> Running:  # fmt: skip
    """Migrate the database to this release, open the log, and put the services of `roles` together.

    `folder` has the files of the database, if they are on this machine: `/readyz` then says how many bytes the disk has free. `projector` is
    one that this process has started: its lag and its metrics are shown here.
    Raises `LogUnavailable` or one of `AWAY`, which may pass, or `WrongLog` or `UnfitTopic`, which the operator must solve.
    """
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(await open_pool(url, WRITERS_MAX))
        await migrate(url, PARTITIONS)
        wakeups = Wakeups(pool)
        stack.push_async_callback(wakeups.close)
        log = await open_log(configuration, pool, wakeups)
        stack.push_async_callback(log.close)
        generation = await open_generation(pool, log.identity, log.partitions)
        if generation is None:
            logger.warning(
                "no generation has this release's shape: `touchline replay rebuild` makes one", shape=shape()
            )
        app = _app()
        add_handlers(app, None if folder is None else partial(_lacks_room, folder, log))
        keys, positions = KeyRing(pool), await Positions.of(pool)
        alone = list(roles) == [Role.INGEST]  # then events of known keys are taken without the database
        checks = {
            "log": Check(lambda: _log_check(log)),
            "store": Check(lambda: _store_check(pool), required=not (alone and configuration.kafka)),
        }
        if Role.API in roles or Role.PROJECTOR in roles:
            checks["generation"] = Check(lambda: _generation_check(pool))
        if folder is not None:
            checks["disk"] = Check(lambda: _disk_check(folder))
        projectors, ingest = None, None
        if Role.INGEST in roles:
            ingest = Ingest(log, pool, keys, positions, wakeups, configuration.public_url, Limits(configuration.rates))
            stack.push_async_callback(ingest.counts.close)
            stack.push_async_callback(ingest.notices.close)
            app.router.routes.extend(ingest_router(ingest).routes)
        if Role.API in roles:
            readers = await stack.enter_async_context(await open_pool(url, READERS_MAX, **SERVER_SETTINGS))
            progress = ProjectionPosition(readers, wakeups)
            app.include_router(
                api_router(Api(Gate(readers), progress, keys, LogEnd(log), log.partitions, positions, vault_of(log)))
            )
            if (vault := vault_of(log)) is not None:
                app.add_middleware(Revealing, vault=vault)
            app.add_middleware(
                GZipMiddleware, minimum_size=GZIP_BYTES_MIN, compresslevel=GZIP_LEVEL
            )  # outside of what reads answers
        if Role.PROJECTOR in roles:
            projecting = await stack.enter_async_context(
                await open_pool(url, PROJECTING_MAX, synchronous_commit="off")  # the offset is in the same transaction
            )
            projectors = _projectors(configuration, pool, projecting, log, wakeups)
            checks["lag"] = Check(projectors.check)
            stack.push_async_callback(_leave_no_traces, pool, log)
        if projector is not None:
            checks["lag"] = Check(projector.lag)
        app.include_router(operations_router(checks, own_metrics if projector is None else projector.metrics))
        if ingest is not None:
            _answer_browsers(app, ingest)
        proxies = [proxy.strip() for proxy in configuration.trusted_proxies.split(",")]
        app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=proxies)
        _complete_document(app)
        return Running(app, pool, log, generation, projectors, stack.pop_all())


def _projectors(
    configuration: Configuration, pool: "asyncpg.Pool[asyncpg.Record]", projecting: "asyncpg.Pool[asyncpg.Record]",
    log: EventLog, wakeups: Wakeups,
) -> Projectors:  # fmt: skip
    """The workers of this process; they project on the connections of `projecting`."""
    reprojecting = asyncio.Semaphore(AT_ONCE_MAX)
    return Projectors(
        log, _assignment(configuration, pool), lambda: followed_generations(pool, log.identity),
        lambda reader, generation, p, passed: Worker(
            projecting, reader, generation, p, _announced(wakeups, passed), reprojecting=reprojecting
        ),
        lambda: _tidy(pool, log),
    )  # fmt: skip


def _answer_browsers(app: FastAPI, ingest: Ingest) -> None:
    """Add the layers of the calls of browsers. They are outside of all layers that these calls do not need, which are added before."""
    app.add_middleware(DirectMiddleware, routes=app.router.routes, handlers=app.exception_handlers)
    app.add_middleware(LimitedByAddress, limits=ingest.limits)
    app.add_middleware(DeadLinks)
    app.add_middleware(OpenToBrowsers, ingest=ingest)


async def compose_patiently(
    url: str, configuration: Configuration, roles: Sequence[Role], folder: Path | None = None,
    projector: ProjectorProcess | None = None,
) -> Running:  # fmt: skip
    """As `compose`, but wait for a database or a log that is away."""
    return await patiently(compose, url, configuration, roles, folder, projector)


async def patiently(do: Callable[Given, Coroutine[Any, Any, Done]], *given: Given.args, **named: Given.kwargs) -> Done:
    """Call a part of the start, again and again while the database or the log is away."""
    again = AsyncRetrying(
        retry=retry_if_exception_type((LogUnavailable, *AWAY)), wait=wait_chain(*map(wait_fixed, START_AGAIN_S)),
        before_sleep=_cannot_start_yet, reraise=True,
    )  # fmt: skip
    return await again(do, *given, **named)


def _cannot_start_yet(state: RetryCallState) -> None:
    assert state.outcome is not None
    error = state.outcome.exception()
    assert error is not None
    away = "log" if isinstance(error, LogUnavailable) else "database"
    logger.warning("cannot start yet", away=away, error=error_text(error), again_in_s=state.upcoming_sleep)


def _announced(wakeups: Wakeups, passed: Callable[[int, int], None]) -> Callable[[int, int], None]:
    """`passed`, and then wake who waits for the partition to be projected."""

    def announced(partition: int, offset: int) -> None:
        passed(partition, offset)
        wakeups.announce(projected(partition))

    return announced


def _assignment(configuration: Configuration, pool: "asyncpg.Pool[asyncpg.Record]") -> Assignment:
    """What says which of the log's partitions this process projects: releases of one shape share them."""
    if configuration.kafka is None:
        return EveryPartition(pool, PARTITIONS, shape())
    return KafkaGroup(
        configuration.kafka, f"{configuration.kafka_group}.{shape()}", configuration.kafka_group_instance_id,
        configuration.kafka_session_timeout_ms / 1000,
    )  # fmt: skip


async def _tidy(pool: "asyncpg.Pool[asyncpg.Record]", log: EventLog) -> None:
    await drop_expired(pool)
    await tend_followed(pool, log.identity)
    await reporting.follow(pool)
    if (vault := vault_of(log)) is not None:
        await remove_traces(pool, vault)
    for whole, began_s in (await last_agreed_s(pool)).items():
        metrics.VERIFIED.labels("everything" if whole else "sample").set(began_s)


async def _leave_no_traces(pool: "asyncpg.Pool[asyncpg.Record]", log: EventLog) -> None:
    """At the end of a process: what was forgotten in its last seconds is removed from the files, if that does not take long."""
    if (vault := vault_of(log)) is None:
        return
    try:
        async with asyncio.timeout(TRACES_S):
            await remove_traces(pool, vault)
    except (asyncpg.PostgresError, *AWAY) as error:
        logger.warning(
            "deleted rows of forgotten contacts stay in files: `VACUUM (FULL) touchline.dead_letter` and a checkpoint remove them",
            error=error_text(error),
        )


async def _log_check(log: EventLog) -> str:
    await log.end(0)
    if isinstance(kept := unsealed(log), PostgresLog):
        kept.check_room()
    return "ok"


async def free_bytes_of(folder: Path) -> int:
    """How many bytes the disk of a folder has free."""
    return (await asyncio.to_thread(shutil.disk_usage, folder)).free


async def is_full(folder: Path) -> bool:
    """Whether the disk of a folder has so little free that PostgreSQL may stop, or not start."""
    return await free_bytes_of(folder) < DISK_FREE_BYTES_MIN


async def _lacks_room(folder: Path, log: EventLog, error: Exception) -> bool:
    """Whether an error is that PostgreSQL, whose files are in `folder`, has stopped because the disk is full.

    It stops when it cannot write its write-ahead log.
    """
    of_database = not isinstance(error, LogUnavailable) or isinstance(unsealed(log), PostgresLog)
    return of_database and await is_full(folder)


async def _disk_check(folder: Path) -> dict[str, int]:
    """How many bytes the disk has free. Raises `OSError` if they are so few that PostgreSQL may stop."""
    free_bytes = await free_bytes_of(folder)
    if free_bytes < DISK_FREE_BYTES_MIN:
        raise OSError(f"the disk of {folder} is full: {free_bytes:,} bytes are free")
    return {"free_bytes": free_bytes}


async def _store_check(pool: "asyncpg.Pool[asyncpg.Record]") -> str:
    await pool.fetchval("SELECT true FROM touchline.generation LIMIT 1")
    return "ok"


async def _generation_check(pool: "asyncpg.Pool[asyncpg.Record]") -> str:
    """The live generation's name. Raises `NoGeneration` or `WrongShape` until there is one of this release's shape."""
    return (await live_generation(pool)).name


def _app() -> FastAPI:
    app = FastAPI(
        title="Touchline", version=version("touchline"), docs_url=None, redoc_url=None,
        redirect_slashes=False,  # it would redirect to the host that the request itself names
        telemetry={"tracing": False, "metrics": False, "logs": False},  # `/metrics` has it all; to look for a tracer takes time
    )  # fmt: skip
    app.add_middleware(Timed)
    app.add_middleware(WholeSegments)
    app.add_middleware(Head)
    app.add_middleware(Unexpected)  # within Starlette's own, which would answer in plain text
    return app


def _complete_document(app: FastAPI) -> None:
    """Let `/openapi.json` have what `touchline.document` adds to the descriptions of the routes."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        return generate() if app.openapi_schema else complete(generate())

    app.openapi = openapi  # type: ignore[method-assign]
