"""`touchline ingest`, `touchline projector`, `touchline api`: a process that runs one of the services."""

import json
import socket

import structlog
import uvloop

from touchline.commands.listening import listening
from touchline.commands.log_lines import set_up
from touchline.commands.output import errors_in_one_line
from touchline.commands.store import database
from touchline.compose import Role, compose_patiently
from touchline.configuration import Configuration
from touchline.serve import serve

logger = structlog.stdlib.get_logger("touchline")


def ingest(port: int, host: str, *, as_json: bool) -> None:
    """Run the ingest service until a signal ends it."""
    _serve(Role.INGEST, host, port, as_json=as_json)


def projector(port: int, host: str, *, as_json: bool) -> None:
    """Run a projector until a signal ends it."""
    _serve(Role.PROJECTOR, host, port, as_json=as_json)


def api(port: int, host: str, *, as_json: bool) -> None:
    """Run the read API and the dashboard until a signal ends them."""
    _serve(Role.API, host, port, as_json=as_json)


def _serve(role: Role, host: str, port: int, *, as_json: bool) -> None:
    configuration = set_up("INFO")
    with database(None) as url, errors_in_one_line():
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
