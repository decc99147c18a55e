"""What does a command print? Its answer on standard output; an error that ends it as one line on standard error, and it exits 1.

Anybody can give things names that hold control characters, line breaks, or what `rich` reads as a style. Here, and nowhere else, names are made fit
for a terminal: a text that is printed is one line of characters that show. Only the template of `styled` has styles.
"""

import os
import string
import sys
import unicodedata
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

import asyncpg
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from shared.database import AWAY, error_text
from shared.errors import ExpectedError

FORESEEN = (ExpectedError, asyncpg.PostgresError, *AWAY, OSError)

PIPED_COLUMNS = 240  # of what goes into a file or another program: names and codes are to stay whole

_width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else PIPED_COLUMNS

HIDDEN = frozenset(
    {"Cc", "Cs", "Zl", "Zp"}
)  # categories of Unicode: control characters, halves of characters, line and paragraph ends
TURNING = frozenset(
    "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)  # they turn the order of the text around them


def visible(text: str) -> str:
    r"""A text as one line in which every character shows: control characters as `\x1b`, line breaks as `\n`."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        each.encode("unicode_escape").decode() if each in TURNING or unicodedata.category(each) in HIDDEN else each
        for each in text
    )


class _Template(string.Formatter):
    """Writes values into a template in the language of styles, each as it is; a `Text` keeps its own styles."""

    def format_field(self, value: Any, format_spec: str) -> str:
        if isinstance(value, Text):
            return value.markup
        return escape(visible(format(value, format_spec)))


_write = _Template().format


def styled(template: str, *values: object) -> Text:
    """A text with styles, such as `"[bold]{}[/] of {:,}"`; the values have none."""
    return Text.from_markup(_write(template, *values))


class _Terminal(Console):
    """Prints texts without styles, each as one line that is never broken; and what has its own styles as it is."""

    def print(self, *objects: Any, **options: Any) -> None:
        texts = [Text(visible(each)) if isinstance(each, str) else each for each in objects]
        if all(isinstance(each, Text) for each in texts):
            options.setdefault("soft_wrap", True)
        super().print(*texts, **options)


class _Rows(Table):
    """A table whose cells are texts without styles."""

    def add_row(self, *cells: Any, **options: Any) -> None:
        super().add_row(*(Text(visible(each)) if isinstance(each, str) else each for each in cells), **options)


console = _Terminal(highlight=False, width=_width)
"""Standard output: as wide as the terminal or, if it is none, so wide that a row of a table stays on one line."""
errors = _Terminal(stderr=True, highlight=False)


def table_of(*headings: str, right: Collection[str] = ()) -> Table:
    """A table without lines, with these headings; the columns named in `right` are aligned to the right."""
    table = _Rows(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for heading in headings:
        table.add_column(heading, overflow="fold", justify="right" if heading in right else "left")
    return table


def failed(message: str) -> typer.Exit:
    """Print what is wrong as one line, and return the exit with code 1 that the command is to raise."""
    errors.print(message, style="red")
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
        message = error_text(why)
        if isinstance(why, asyncpg.InterfaceError):  # asyncpg's text names its own method, not what happened
            message = f"the database connection was closed: {message}"
        raise failed(message) from error
