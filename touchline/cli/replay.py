"""`touchline replay`: what does the log make of it?"""

import json
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, TypeVar

import typer
import uvloop
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from services.replay.build import Means
from services.replay.compare import Difference
from services.replay.rebuild import Rebuild, Rebuilt, drop, rollback
from services.replay.verify import Verdict, verify
from shared.collector import spare_the_collector
from shared.store.projection import shape
from touchline.cli.plainly import errors, plainly
from touchline.cli.reach import AsJson, Data, database, store_and_log
from touchline.compose import reached
from touchline.settings import Settings

CONNECTIONS_MAX = 8  # the snapshot, the lock, the projection, the comparison, and the log's
MEMBER_CONNECTIONS_MAX = 3  # of another process that helps: one that writes, and the log's
DIFFERENT = 3  # the exit code
ROWS_TOLD = 20
GENERATIONS = (
    "SELECT name, live, followed, shape = $1 AS ours, created_at FROM touchline.generation ORDER BY created_at"
)

Answer = TypeVar("Answer")

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

    async def work(reach: Reach) -> Verdict:
        return await verify(reach.means, f"{os.getpid()}", reach.begun, reach.advance)

    verdict = _on(data, work, quiet=as_json)
    if as_json:
        print(json.dumps(_said(verdict)))
    else:
        _tell(verdict)
    if verdict.differing:
        raise typer.Exit(DIFFERENT)


@app.command("rebuild")
def rebuild_(data: Data = None, as_json: AsJson = False) -> None:
    """Project the log from its beginning into a new generation, and make that the live one. Services go on meanwhile.

    One that was stopped is gone on with. What differs from the generation before is told; it is kept until the next rebuild,
    and `rollback` goes back to it.
    """

    async def work(reach: Reach) -> Rebuilt:
        return await Rebuild(reach.means, reach.begun, reach.advance).run()

    rebuilt = _on(data, work, quiet=as_json)
    verdict = rebuilt.verdict
    if as_json:
        compared = None if verdict is None else _said(verdict)
        print(json.dumps({"generation": rebuilt.generation, "before": rebuilt.before, "compared": compared}))
        return
    if verdict is not None and verdict.differing:
        console.print(f"[yellow]what {rebuilt.before} had otherwise:[/]")
        _tell(verdict)
    console.print(
        f"[green]live[/]: {rebuilt.generation}; {rebuilt.before} is kept, and `touchline replay rollback` goes back"
    )


@app.command("rollback")
def rollback_(data: Data = None, as_json: AsJson = False) -> None:
    """Make the generation before the live one again."""

    async def work(reach: Reach) -> Rebuilt:
        return await rollback(reach.means)

    rebuilt = _on(data, work, quiet=True)
    if as_json:
        print(json.dumps({"generation": rebuilt.generation, "before": rebuilt.before}))
    else:
        console.print(f"[green]live[/]: {rebuilt.generation}, and no longer {rebuilt.before}")


@app.command("list")
def list_(data: Data = None, as_json: AsJson = False) -> None:
    """The generations that there are."""

    async def work(reach: Reach) -> list[dict[str, Any]]:
        return [dict(row) for row in await reach.means.pool.fetch(GENERATIONS, shape())]

    rows = [{**row, "created_at": row["created_at"].isoformat()} for row in _on(data, work, quiet=True)]
    if as_json:
        print(json.dumps({"generations": rows}))
        return
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for heading in ("generation", "", "created"):
        table.add_column(heading)
    for row in rows:
        state = "live" if row["live"] else "projected on" if row["followed"] else "unfinished"
        table.add_row(row["name"], state if row["ours"] else f"{state}, of another release", row["created_at"])
    console.print(table)


@app.command("drop")
def drop_(
    name: Annotated[str, typer.Argument(help="of a generation that is not the live one")],
    data: Data = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Remove a generation for good."""

    async def work(reach: Reach) -> bool:
        return await drop(reach.means.pool, name)

    if not _on(data, work, quiet=True):
        errors.print(f"there is no generation {name} that is not the live one", style="red", markup=False)
        raise typer.Exit(1)
    print(json.dumps({"dropped": name})) if as_json else console.print(f"{name} is gone")


@dataclass(frozen=True)
class Reach:
    """What a command works with."""

    means: Means
    begun: Callable[[int], None]
    advance: Callable[[int], None]


def _on(data: Any, work: Callable[[Reach], Awaitable[Answer]], *, quiet: bool) -> Answer:
    """Work on a store and its log, with a bar that tells how far it is."""

    async def worked(url: str) -> Answer:
        spare_the_collector()
        columns = (
            TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(show_speed=True), MofNCompleteColumn(),
            TextColumn("events"), TimeRemainingColumn(),
        )  # fmt: skip
        async with store_and_log(url, CONNECTIONS_MAX) as (pool, log):
            with Progress(*columns, console=Console(stderr=True), disable=quiet) as progress:
                task = progress.add_task("Projecting again", total=None)
                begun, advance = partial(_total, progress, task), partial(progress.advance, task)
                means = Means(pool, log, partial(reached, url, Settings(), MEMBER_CONNECTIONS_MAX), os.cpu_count() or 1)
                return await work(Reach(means, begun, advance))

    with plainly(), database(data) as url:
        return uvloop.run(worked(url))


def _total(progress: Progress, task: TaskID, events: int) -> None:
    progress.update(task, total=events)


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
