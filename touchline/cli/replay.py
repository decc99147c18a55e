"""`touchline replay`: what does the log make of it?"""

import json
import os
from typing import Any

import typer
import uvloop
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from services.replay.compare import Difference
from services.replay.verify import Verdict, verify
from shared.database import open_pool
from touchline.cli.plainly import plainly
from touchline.cli.reach import AsJson, Data, database
from touchline.compose import open_log
from touchline.serve import spare_the_collector
from touchline.settings import Settings

CONNECTIONS_MAX = 6  # the snapshot, the lock, the projection, the comparison, and the log's
DIFFERENT = 3  # the exit code
ROWS_TOLD = 20

app = typer.Typer(help="What does the log make of it?", no_args_is_help=True)
console = Console(highlight=False)


@app.callback()
def replay() -> None:
    """Project the log again, beside the live data."""


@app.command("verify")
def verify_(data: Data = None, as_json: AsJson = False) -> None:
    """Project the log from its beginning, and compare every table with the live one at the same position.

    Services go on meanwhile. Exits 3 if a row differs; each is told with the event that explains it.
    """
    with plainly(), database(data) as url:
        verdict = uvloop.run(_verify(url, Settings(), quiet=as_json))
    if as_json:
        print(json.dumps(_said(verdict)))
    else:
        _tell(verdict)
    if verdict.differing:
        raise typer.Exit(DIFFERENT)


async def _verify(url: str, settings: Settings, *, quiet: bool) -> Verdict:
    spare_the_collector()
    pool = await open_pool(url, CONNECTIONS_MAX)
    log = await open_log(settings, pool)
    columns = (
        TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(show_speed=True), MofNCompleteColumn(),
        TextColumn("events"), TimeRemainingColumn(),
    )  # fmt: skip
    try:
        with Progress(*columns, console=Console(stderr=True), disable=quiet) as progress:
            task = progress.add_task("Projecting again", total=None)
            return await verify(
                pool, log, f"{os.getpid()}", lambda total: progress.update(task, total=total),
                lambda events: progress.advance(task, events),
            )  # fmt: skip
    finally:
        await log.close()
        await pool.close()


def _said(verdict: Verdict) -> dict[str, Any]:
    return {
        "generation": verdict.generation, "offsets": verdict.offsets, "equal": not verdict.differing,
        "tables": {
            name: {"rows": live.rows, "digest": str(live.digest), "equal": live == rebuilt}
            for name, (live, rebuilt) in verdict.tables.items()
        },
        "differences": [
            {"table": d.table, "key": _plain(d.key), "columns": d.columns, "live": _plain(d.live),
             "rebuilt": _plain(d.rebuilt), "event": d.event}
            for d in verdict.rows
        ],
    }  # fmt: skip


def _plain(row: dict[str, Any] | None) -> dict[str, Any] | None:
    """A row as JSON has it: what is no number, truth or text is told as text."""
    if row is None:
        return None
    return {name: value if isinstance(value, int | str | None) else str(value) for name, value in row.items()}


def _tell(verdict: Verdict) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for heading in ("", "table", "rows", "rebuilt", "checksum"):
        table.add_column(heading, justify="right" if heading in ("rows", "rebuilt") else "left")
    for name, (live, rebuilt) in verdict.tables.items():
        mark = "[green]✓[/]" if live == rebuilt else "[red]✗[/]"
        table.add_row(mark, name, f"{live.rows:,}", f"{rebuilt.rows:,}", f"{live.digest & (2**64 - 1):016x}")
    console.print(table)
    events = sum(verdict.offsets.values())
    if not verdict.differing:
        console.print(f"[green]equal[/]: {verdict.generation} is what its {events:,} events make of it")
        return
    console.print(f"[red]different[/]: {', '.join(verdict.differing)}")
    for difference in verdict.rows[:ROWS_TOLD]:
        _tell_row(difference)
    if len(verdict.rows) > ROWS_TOLD:
        console.print(f"… and {len(verdict.rows) - ROWS_TOLD} more, at least; --json tells up to a hundred a table")


def _tell_row(difference: Difference) -> None:
    key = ", ".join(f"{name} {value}" for name, value in difference.key.items())
    console.print(f"\n[bold]{difference.table}[/] {escape(key)}", soft_wrap=True)
    if difference.live is None:
        console.print("  is missing from the live generation")
    elif difference.rebuilt is None:
        console.print("  is in the live generation alone")
    else:
        for name in difference.columns:
            live, rebuilt = difference.live[name], difference.rebuilt[name]
            console.print(f"  {name}: {escape(repr(live))}, must be {escape(repr(rebuilt))}", soft_wrap=True)
    if difference.event is not None:
        console.print(f"  by event {escape(difference.event)}; `touchline explain event` tells more", soft_wrap=True)
