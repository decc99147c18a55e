"""What does a command print? Tables on standard output; an error that ends it as one line on standard error, and it exits 1."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg
import typer
from rich.console import Console

from shared.database import AWAY, error_text
from shared.foreseen import Foreseen

FORESEEN = (Foreseen, asyncpg.PostgresError, *AWAY, OSError)

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
        said = error_text(why)
        if isinstance(why, asyncpg.InterfaceError):  # asyncpg's text names its own method, not what happened
            said = f"the database connection was closed: {said}"
        errors.print(said, style="red", markup=False, soft_wrap=True)
        raise typer.Exit(1) from error
