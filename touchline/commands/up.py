"""`touchline up`: all services and, unless a database is configured, an embedded PostgreSQL.

This process runs ingest and the read API; the projector and PostgreSQL are processes that it starts, watches and ends.
"""

import asyncio
import json
import socket
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
import uvloop

from shared.access.scopes import OPERATOR_WORKSPACE
from shared.database import error_text
from shared.sealing.log import vault_of
from shared.sealing.store import key_file
from touchline.commands.listening import listening
from touchline.commands.output import console, errors_in_one_line, styled
from touchline.compose import Role, Running, compose_patiently, is_full, patiently
from touchline.configuration import Configuration
from touchline.embedded import DatabaseLost, Embedded
from touchline.first_keys import KEYS_FILE, first_keys
from touchline.projector_process import ProjectorProcess
from touchline.restarts import Restarts
from touchline.sealing import seal_before_first_event
from touchline.serve import listen, serve

WATCH_S = 0.5  # between two looks whether PostgreSQL runs
FULL_AGAIN_S = 10.0  # between two tries to start it on a full disk, unless there is room before
SERVED = Role.INGEST, Role.API

logger = structlog.stdlib.get_logger("touchline")


@dataclass(frozen=True)
class Start:
    """The address of the services, the data directory, and the keys if the directory is new (None: it is not).

    `sealed_under` says where the master key of a sealed store is (None: the store is not sealed); `sealed_now`: this start sealed it.
    """

    url: str
    data: Path
    keys: dict[str, str] | None
    sealed_under: str | None
    sealed_now: bool


@dataclass(frozen=True)
class Where:
    """The URL of the database, the address of the HTTP server, the data directory, and the embedded PostgreSQL, if any."""

    database: str
    url: str
    data: Path
    embedded: Embedded | None


def run(
    data: Path, port: int, host: str, *, as_json: bool, name: str = OPERATOR_WORKSPACE,
    then: Callable[[Start], Awaitable[None]] | None = None, reporting_port: int | None = None, sealed: bool = False,
) -> None:  # fmt: skip
    """Start all services, print their address, and serve until a signal. Exits 1 with one line if they cannot be started.

    `name` is the name of the first workspace. `then` runs beside the services as soon as they answer; None: the address is printed.
    `sealed` seals a store that has no events yet; one that has events and is not sealed is not started.
    """
    embedded = Embedded(data, reporting_port)
    sock = listening(host, port)
    configuration = Configuration()
    try:
        with errors_in_one_line():
            url = configuration.database_url
            if url is None:
                url = embedded.start()
            else:
                embedded.data.mkdir(parents=True, exist_ok=True)
                embedded.acquire()
            own = embedded if configuration.database_url is None else None
            where = Where(url, f"http://{host}:{sock.getsockname()[1]}", embedded.data, own)
            uvloop.run(_run(where, configuration, sock, name, then or _say(as_json=as_json), sealed=sealed))
    finally:
        embedded.stop()


async def _run(
    where: Where, configuration: Configuration, sock: socket.socket, name: str, then: Callable[[Start], Awaitable[None]],
    *, sealed: bool,
) -> None:  # fmt: skip
    folder = None if where.embedded is None else where.data
    sealed_now = sealed and await patiently(
        seal_before_first_event, where.database, configuration, embedded=where.embedded is not None
    )
    async with ProjectorProcess.of(where.database, listen("127.0.0.1", 0)) as projector:
        running = await compose_patiently(where.database, configuration, SERVED, folder, projector)
        keys = await first_keys(running.pool, where.data, name)
        start = Start(where.url, where.data, keys, await _sealed_under(running, configuration), sealed_now)

        async def ready() -> None:
            await projector.until_it_answers()
            await then(start)

        beside: list[Coroutine[Any, Any, None]] = [projector.run()]
        if where.embedded is not None:
            beside.append(keep_running(where.embedded))
        await serve(running, sock, ready, *beside)


async def _sealed_under(running: Running, configuration: Configuration) -> str | None:
    """Where the master key of a sealed store is; None if the store is not sealed."""
    if vault_of(running.log) is None:
        return None
    return "TOUCHLINE_MASTER_KEY" if configuration.master_key is not None else str(await key_file(running.pool))


async def keep_running(embedded: Embedded) -> None:
    """Start the embedded PostgreSQL again whenever it has ended. Raises `DatabaseLost` if it ends again and again.

    Until it runs, requests are answered with 503 and projectors wait; the pools connect again by themselves. When the disk is full,
    PostgreSQL ends and cannot start. Then there is no limit of tries: it is started as soon as somebody has made room.
    """
    restarts = Restarts()
    while True:
        await asyncio.sleep(WATCH_S)
        if await asyncio.to_thread(embedded.is_running):
            continue
        if full := await is_full(embedded.data) or await asyncio.to_thread(embedded.ended_without_room):
            logger.error("PostgreSQL has ended, and the disk is full; it is started again", data=str(embedded.data))
        else:
            restarts.count(
                lambda tried: DatabaseLost(
                    f"PostgreSQL in {embedded.data} has ended, and {tried}; its log is {embedded.data / 'postgres' / 'log'}"
                )
            )
            logger.error("PostgreSQL has ended; it is started again", data=str(embedded.data))
        try:
            await asyncio.to_thread(embedded.start_again)
        except DatabaseLost as error:
            logger.error("PostgreSQL could not be started", error=error_text(error))
            if full:
                await _until_room(embedded.data)
            elif await asyncio.to_thread(embedded.ended_without_room):
                restarts.forget_last()  # what it needs to recover is more than what counts as full
        else:
            logger.warning("PostgreSQL runs again", data=str(embedded.data))


async def _until_room(folder: Path) -> None:
    """Wait until the disk is no longer full, but `FULL_AGAIN_S` seconds at most: PostgreSQL may start with less room."""
    deadline_s = time.monotonic() + FULL_AGAIN_S
    while time.monotonic() < deadline_s and await is_full(folder):
        await asyncio.sleep(WATCH_S)


def _say(*, as_json: bool) -> Callable[[Start], Awaitable[None]]:
    async def say(start: Start) -> None:
        if as_json:
            ready = {
                "url": start.url,
                "data": str(start.data),
                "keys": start.keys,
                "sealed": start.sealed_under is not None,
            }
            print(json.dumps(ready), flush=True)
            return
        console.print(styled("[bold]Touchline[/] is up at [bold]{}[/], data in {}", start.url, str(start.data)))
        for scope, key in (start.keys or {}).items():
            console.print(f"  {scope:8} {key}")
        if start.keys:
            console.print(f"These keys are shown once, and kept in {start.data / KEYS_FILE}.")
            console.print(f"To put it on your site, open {start.url}/dashboard/install with the admin key.")
        if start.sealed_under is not None:
            console.print(
                f"The store is sealed: names of people are stored under the master key, {start.sealed_under}."
            )
        if start.sealed_now:
            console.print(
                styled("[bold]Keep a copy of the master key elsewhere:[/] without it nobody can read the names again.")
            )
        console.print("Stop with Ctrl-C.")

    return say
