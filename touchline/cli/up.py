"""`touchline up`: everything in one process, on a PostgreSQL of its own."""

import json
import logging
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
import uvloop
from rich.console import Console

from services.ingest.workspaces import DEFAULT_WORKSPACE
from shared.store.generations import WrongShape
from touchline.embedded import Embedded, InUse
from touchline.serve import KEYS_FILE, compose, first_keys, listen, serve
from touchline.settings import Settings

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)


def up(
    data: Annotated[Path, typer.Option(help="the data directory")] = Path("touchline-data"),
    port: Annotated[int, typer.Option(help="of the HTTP server")] = 8300,
    host: Annotated[str, typer.Option(help="the address to listen on")] = "127.0.0.1",
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON line when ready")] = False,
) -> None:
    """Run ingest, projector, read API and dashboard in one process."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    run(data, port, host, as_json=as_json)


@dataclass(frozen=True)
class Start:
    """Where the services have come up; `keys` are those of a new data directory."""

    url: str
    data: Path
    keys: dict[str, str] | None


def run(
    data: Path, port: int, host: str, *, as_json: bool, name: str = DEFAULT_WORKSPACE,
    then: Callable[[Start], Awaitable[None]] | None = None,
) -> None:  # fmt: skip
    """Start everything, say where it is, and serve until a signal. Exits 1 with one line if it cannot.

    `name` is what the first workspace is called; `then` runs beside the services once they are up.
    """
    embedded = Embedded(data)
    try:
        sock = listen(host, port)
    except OSError as error:
        errors.print(f"[red]cannot listen on {host}:{port}:[/] {error.strerror}")
        raise typer.Exit(1) from error
    try:
        url = Settings().database_url
        if url is None:
            url = embedded.start()
        else:
            embedded.data.mkdir(parents=True, exist_ok=True)
            embedded.acquire()
        base = f"http://{host}:{sock.getsockname()[1]}"
        uvloop.run(_run(url, base, embedded.data, sock, name, then or _say(as_json=as_json)))
    except InUse as error:
        errors.print(f"[red]{error}[/]")
        raise typer.Exit(1) from error
    except WrongShape as error:
        errors.print(f"[red]{error}[/]")
        raise typer.Exit(1) from error
    finally:
        embedded.stop()


async def _run(
    url: str, base: str, data: Path, sock: socket.socket, name: str, then: Callable[[Start], Awaitable[None]]
) -> None:
    running = await compose(url)
    keys = await first_keys(running.pool, data, name)
    await serve(running, sock, lambda: then(Start(base, data, keys)))


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
