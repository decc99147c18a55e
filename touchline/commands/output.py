"""What does a command print? Tables on standard output; an error that ends it as one line on standard error, and it exits 1."""

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EADDRINUSE

import asyncpg
import typer
from rich.console import Console

from services.replay.backup import BadBackup, NotEmpty
from services.replay.build import Busy
from services.replay.export import NoContact
from services.replay.hubspot.errors import HubSpotRefuses
from services.replay.mapping.errors import BadMapping
from services.replay.rebuild import NothingBefore
from services.replay.sealing import NotSealed, StoreInUse
from services.replay.sealing_topic import GrownMeanwhile, NotDeleted, NotRewritable
from services.replay.sources import Unreadable
from services.replay.what_if import Taken, Unfit
from services.replay.worker_pool import WorkerLost
from shared.database import AWAY, error_text
from shared.log.kafka_topic import UnfitTopic
from shared.log.port import LogDamaged, LogUnavailable
from shared.projection.generations import NoGeneration, WrongLog, WrongShape
from shared.reading.reporting import UnknownWorkspace
from shared.reading.snapshot import NotFound
from shared.sealing.keys import BadMasterKey
from touchline.embedded import DatabaseLost, InUse
from touchline.serve import listen

FORESEEN = (
    BadBackup, BadMapping, BadMasterKey, GrownMeanwhile, NotDeleted, NotRewritable, NotSealed, StoreInUse, Busy, WorkerLost, DatabaseLost, HubSpotRefuses, InUse, Unreadable, Taken, Unfit, NoContact, NoGeneration, NotEmpty, NothingBefore, WrongLog, WrongShape, UnfitTopic, LogDamaged, LogUnavailable, NotFound, UnknownWorkspace, asyncpg.PostgresError,
    *AWAY, OSError,
)  # fmt: skip

errors = Console(stderr=True, highlight=False)

PIPED_COLUMNS = 240  # of a table that goes into a file or another program: names and codes are to stay whole


def for_tables() -> Console:
    """Standard output for tables: as wide as the terminal or, if it is none, so wide that a row stays on one line."""
    known = sys.stdout.isatty() or "COLUMNS" in os.environ
    return Console(highlight=False, width=None if known else PIPED_COLUMNS)


@contextmanager
def errors_in_one_line() -> Iterator[None]:
    """Print an error that can be foreseen as one line and exit 1. Any other error is raised, and ends in a traceback."""
    try:
        yield
    except FORESEEN as error:
        # of a connection that is lost, asyncpg's own error is that the transaction cannot be ended: what came before says why
        why: BaseException = error
        while isinstance(why, (asyncpg.InterfaceError, asyncpg.InternalClientError)) and why.__context__ is not None:
            why = why.__context__
        errors.print(error_text(why), style="red", markup=False, soft_wrap=True)
        raise typer.Exit(1) from error


def listening(host: str, port: int) -> socket.socket:
    """A listening TCP socket. If there cannot be one, prints one line and exits 1."""
    try:
        return listen(host, port)
    except OSError as error:
        another = "; `--port` names another port" if error.errno == EADDRINUSE else ""
        errors.print(f"[red]cannot listen on {host}:{port}:[/] {error.strerror}{another}", soft_wrap=True)
        raise typer.Exit(1) from error
