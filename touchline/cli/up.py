"""`touchline up`: everything in one process, on a PostgreSQL of its own."""

import json
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
import uvloop
from rich.console import Console

from services.ingest.workspaces import DEFAULT_WORKSPACE
from touchline.cli.plainly import listening, plainly
from touchline.compose import Role, compose_patiently
from touchline.embedded import Embedded
from touchline.first_keys import KEYS_FILE, first_keys
from touchline.serve import serve
from touchline.settings import Settings

console = Console(highlight=False)


def up(
    data: Annotated[Path, typer.Option(help="the data directory")] = Path("touchline-data"),
    port: Annotated[int, typer.Option(help="of the HTTP server")] = 8300,
    host: Annotated[str, typer.Option(help="the address to listen on")] = "127.0.0.1",
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON line when ready")] = False,
) -> None:
    """Run ingest, projector, read API and dashboard in one process."""
    run(data, port, host, as_json=as_json)


@dataclass(frozen=True)
class Start:
    """Where the services have come up; `keys` are those of a new data directory."""

    url: str
    data: Path
    keys: dict[str, str] | None


@dataclass(frozen=True)
class Where:
    """The database, the server's own address, and the data directory."""

    database: str
    url: str
    data: Path


def run(
    data: Path, port: int, host: str, *, as_json: bool, name: str = DEFAULT_WORKSPACE,
    then: Callable[[Start], Awaitable[None]] | None = None,
) -> None:  # fmt: skip
    """Start everything, say where it is, and serve until a signal. Exits 1 with one line if it cannot.

    `name` is what the first workspace is called; `then` runs beside the services once they are up.
    """
    embedded = Embedded(data)
    sock = listening(host, port)
    settings = Settings()
    try:
        with plainly():
            url = settings.database_url
            if url is None:
                url = embedded.start()
            else:
                embedded.data.mkdir(parents=True, exist_ok=True)
                embedded.acquire()
            where = Where(url, f"http://{host}:{sock.getsockname()[1]}", embedded.data)
            uvloop.run(_run(where, settings, sock, name, then or _say(as_json=as_json)))
    finally:
        embedded.stop()


async def _run(
    where: Where, settings: Settings, sock: socket.socket, name: str, then: Callable[[Start], Awaitable[None]]
) -> None:
    running = await compose_patiently(where.database, settings, tuple(Role))
    keys = await first_keys(running.pool, where.data, name)
    await serve(running, sock, lambda: then(Start(where.url, where.data, keys)))


def _say(*, as_json: bool) -> Callable[[Start], Awaitable[None]]:
    async def say(start: Start) -> None:
        if as_json:
            print(json.dumps({"url": start.url, "data": str(start.data), "keys": start.keys}), flush=True)
            return
        console.print(f"[bold]Touchline[/] is up at [bold]{start.url}[/], data in {start.data}")
        for scope, key in (start.keys or {}).items():
            console.print(f"  {scope:8} {key}")
        if start.keys:
            console.print(f"These keys are shown once, and kept in {start.data / KEYS_FILE}.", soft_wrap=True)
        console.print("Stop with Ctrl-C.")

    return say
