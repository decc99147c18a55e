"""`touchline ingest`, `touchline projector`, `touchline api`: one service a process, as many of each as there is work."""

import json
import socket
from typing import Annotated

import structlog
import typer
import uvloop

from touchline import logs
from touchline.cli.plainly import listening, plainly
from touchline.cli.reach import database
from touchline.compose import Role, compose_patiently
from touchline.configuration import Configuration
from touchline.serve import serve

Host = Annotated[str, typer.Option(help="the address to listen on")]
Port = Annotated[int, typer.Option(help="of the HTTP server; 0 takes a free one")]
AsJson = Annotated[bool, typer.Option("--json", help="print one JSON line when ready")]

logger = structlog.stdlib.get_logger("touchline")


def ingest(port: Port = 8301, host: Host = "127.0.0.1", as_json: AsJson = False) -> None:
    """Take events from producers and append them to the log."""
    _serve(Role.INGEST, host, port, as_json=as_json)


def projector(port: Port = 8302, host: Host = "127.0.0.1", as_json: AsJson = False) -> None:
    """Project the partitions that fall to this process; over HTTP it tells how it is."""
    _serve(Role.PROJECTOR, host, port, as_json=as_json)


def api(port: Port = 8303, host: Host = "127.0.0.1", as_json: AsJson = False) -> None:
    """Answer the read API and the dashboard."""
    _serve(Role.API, host, port, as_json=as_json)


def _serve(role: Role, host: str, port: int, *, as_json: bool) -> None:
    configuration = Configuration()
    logs.configure(configuration.log_format, configuration.log_level or "INFO")
    with database(None) as url, plainly():
        sock = listening(host, port)
        uvloop.run(_run(role, url, configuration, sock, as_json=as_json))


async def _run(role: Role, url: str, configuration: Configuration, sock: socket.socket, *, as_json: bool) -> None:
    running = await compose_patiently(url, configuration, [role])

    async def ready() -> None:
        host, port = sock.getsockname()[:2]
        logger.info("ready", service=role.value, url=f"http://{host}:{port}", log=running.log.identity)
        if as_json:
            print(json.dumps({"url": f"http://{host}:{port}"}), flush=True)

    await serve(running, sock, ready)
