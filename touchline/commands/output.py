"""What does a command print? Its answer on standard output; an error that ends it as one line on standard error, and it exits 1."""

import os
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager

import asyncpg
import typer
from rich.console import Console
from rich.table import Table

from shared.database import AWAY, error_text
from shared.foreseen import Foreseen

FORESEEN = (Foreseen, asyncpg.PostgresError, *AWAY, OSError)

PIPED_COLUMNS = 240  # of what goes into a file or another program: names and codes are to stay whole

_width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else PIPED_COLUMNS

console = Console(highlight=False, width=_width)
"""Standard output: as wide as the terminal or, if it is none, so wide that a row of a table stays on one line."""
errors = Console(stderr=True, highlight=False)


def table_of(*headings: str, right: Collection[str] = ()) -> Table:
    """A table without lines, with these headings; the columns named in `right` are aligned to the right."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for heading in headings:
        table.add_column(heading, overflow="fold", justify="right" if heading in right else "left")
    return table


def failed(message: str) -> typer.Exit:
    """Print what is wrong as one line, and return the exit with code 1 that the command is to raise."""
    errors.print(message, style="red", markup=False, soft_wrap=True)
    return typer.Exit(1)


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
        raise failed(said) from error
