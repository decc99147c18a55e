"""`touchline up`: everything in one process, on a PostgreSQL of its own."""

import asyncio
import json
import logging
from pathlib import Path
from typing import Annotated

import typer
import uvloop
from rich.console import Console

from touchline.embedded import Embedded, InUse
from touchline.serve import compose, first_keys, listen, serve
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
    run(data, port, host, as_json)


def run(data: Path, port: int, host: str, as_json: bool) -> None:
    """Start everything, print where it is, and serve until a signal. Exits 1 with one line if it cannot."""
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
        uvloop.run(_run(url, embedded.data, sock.getsockname()[1], host, sock, as_json))
    except InUse as error:
        errors.print(f"[red]{error}[/]")
        raise typer.Exit(1) from error
    finally:
        embedded.stop()


async def _run(url: str, data: Path, port: int, host: str, sock: object, as_json: bool) -> None:
    running = await compose(url)
    keys = await first_keys(running.pool, data)
    base = f"http://{host}:{port}"

    async def ready() -> None:
        if as_json:
            print(json.dumps({"url": base, "data": str(data), "keys": keys}), flush=True)
        else:
            console.print(f"[bold]Touchline[/] is up at [bold]{base}[/], data in {data}")
            for scope, key in (keys or {}).items():
                console.print(f"  {scope:8} {key}")
            if keys:
                console.print(f"These keys are shown once, and kept in {data / 'keys.json'}.")
            console.print("Stop with Ctrl-C.")
        await asyncio.sleep(0)

    await serve(running, sock, ready)  # type: ignore[arg-type]
