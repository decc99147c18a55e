"""`touchline replay`: what does the log make of it?"""

import json
import os
from typing import Annotated, Any

import typer
import uvloop
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from services.ingest.workspaces import DEFAULT_WORKSPACE
from services.replay.compare import Difference
from services.replay.generations import Listed, State, generations
from services.replay.rebuild import Rebuild, Rebuilt, drop, rollback
from services.replay.verify import Comparison, Drawn, verify
from shared.projection.checksums import Checksum, set_checksums
from shared.projection.generations import WHAT_IF
from touchline.cli.plainly import errors, plainly
from touchline.cli.reach import AsJson, Data, Workspace, database, read_only
from touchline.cli.working import CORES, Processes, Reach, on_store

DIFFERENT = 3  # the exit code
MASK = 2**64 - 1  # digests are sums of 64-bit hashes; these bits of them are shown
ROWS_TOLD = 20

app = typer.Typer(help="What does the log make of it?", no_args_is_help=True)
console = Console(highlight=False)


@app.callback()
def replay() -> None:
    """Project the log again, beside the live data."""


@app.command("verify")
def verify_(
    sample: Annotated[str | None, typer.Option(metavar="SHARE", help="only so much of it, such as 1%, drawn anew each time")] = None,
    processes: Processes = CORES, data: Data = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Project the log from its beginning, and compare every table with the live one at the same position.

    Services go on meanwhile. Exits 3 if a row differs; each is told with the event that explains it. Of a big store a sample
    is projected and compared: some persons and deals, with all that hangs together with them.
    """
    drawn = _parts(sample)

    async def work(reach: Reach) -> Comparison:
        return await verify(reach.resources, f"{os.getpid()}", reach.begun, reach.advance, drawn)

    comparison = on_store(data, work, quiet=as_json, processes=processes)
    if as_json:
        print(json.dumps(_said(comparison)))
    else:
        _tell(comparison)
    if comparison.differing:
        raise typer.Exit(DIFFERENT)


@app.command("rebuild")
def rebuild_(processes: Processes = CORES, data: Data = None, as_json: AsJson = False) -> None:
    """Project the log from its beginning into a new generation, and make that the live one. Services go on meanwhile.

    One that was stopped is gone on with. What differs from the generation before is told; it is kept until the next rebuild,
    and `rollback` goes back to it. Generations of another release's shape stay as they are, and so do the services on them.
    """

    async def work(reach: Reach) -> Rebuilt:
        return await Rebuild(reach.resources, reach.begun, reach.advance).run()

    rebuilt = on_store(data, work, quiet=as_json, processes=processes)
    comparison = rebuilt.comparison
    if as_json:
        compared = None if comparison is None else _said(comparison)
        print(json.dumps({"generation": rebuilt.generation, "before": rebuilt.before, "compared": compared}))
        return
    if comparison is not None and comparison.differing:
        console.print(f"[yellow]what {rebuilt.before} had otherwise:[/]")
        _tell(comparison)
    if rebuilt.before is None:
        console.print(f"[green]live[/]: {rebuilt.generation}, the first one of this release's shape")
    else:
        console.print(
            f"[green]live[/]: {rebuilt.generation}; {rebuilt.before} is kept, and `touchline replay rollback` goes back"
        )


@app.command("rollback")
def rollback_(data: Data = None, as_json: AsJson = False) -> None:
    """Make the generation before the live one again."""

    async def work(reach: Reach) -> Rebuilt:
        return await rollback(reach.resources)

    rebuilt = on_store(data, work, quiet=True)
    if as_json:
        print(json.dumps({"generation": rebuilt.generation, "before": rebuilt.before}))
    else:
        console.print(f"[green]live[/]: {rebuilt.generation}, and no longer {rebuilt.before}")


@app.command("checksums")
def checksums_(
    generation: Annotated[str | None, typer.Option(help="another one than the live one")] = None,
    data: Data = None, workspace: Workspace = DEFAULT_WORKSPACE, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Checksums of what a workspace's events make. Stores with the same set of events agree, however these came."""

    async def asked(url: str) -> tuple[str, dict[str, Checksum]]:
        async with read_only(url, workspace, generation) as read:
            return str(read.as_of), await set_checksums(read.connection.raw, read.generation, read.ws)

    with plainly(), database(data) as url:
        as_of, found = uvloop.run(asked(url))
    whole = f"{sum(checksum.digest for checksum in found.values()) & MASK:016x}"
    tables = {name: {"rows": c.rows, "digest": f"{c.digest & MASK:016x}"} for name, c in found.items()}
    if as_json:
        print(json.dumps({"workspace": workspace, "as_of": as_of, "digest": whole, "tables": tables}))
        return
    table = _table("table", "rows", "checksum")
    for name, one in tables.items():
        table.add_row(name, f"{one['rows']:,}", str(one["digest"]))
    console.print(table)
    console.print(f"{workspace} as of {as_of}: [bold]{whole}[/]")


@app.command("list")
def list_(data: Data = None, as_json: AsJson = False) -> None:
    """The generations that there are."""

    async def work(reach: Reach) -> list[Listed]:
        return await generations(reach.resources.pool)

    found = on_store(data, work, quiet=True)
    for each in found:
        for name in ("created_at", "expires_at"):
            each.row[name] = each.row[name] and each.row[name].isoformat()
    if as_json:
        print(json.dumps({"generations": [each.row | {"events": each.events} for each in found]}))
        return
    table = _table("generation", "", "MB", "created")
    for each in found:
        state = str(each.state)
        if each.state is State.WHAT_IF:
            state = f"what-if of {each.row['workspace_id']}, until {each.row['expires_at']}"
        state = state if each.ours else f"{state}, of another release's shape {each.row['shape']}"
        table.add_row(each.name, state, f"{each.bytes / 1e6:,.0f}", each.row["created_at"])
    console.print(table)


@app.command("drop")
def drop_(
    name: Annotated[str, typer.Argument(help="of a generation that is not the live one")],
    other_release: Annotated[bool, typer.Option("--other-release", help="also the live one of another release's shape, whose services have ended")] = False,
    data: Data = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Remove a generation for good. The live one of this release's shape stays."""

    async def work(reach: Reach) -> str | None:
        pool = reach.resources.pool
        if await drop(pool, name, other_shapes_live=other_release) or await drop(pool, WHAT_IF + name):
            return None
        if any(each.name == name and not each.ours for each in await generations(pool)):
            return (
                f"{name} is the live one of another release's shape: once its services have ended, add --other-release"
            )
        return f"there is no generation {name} that is not the live one"

    if problem := on_store(data, work, quiet=True):
        errors.print(problem, style="red", markup=False, soft_wrap=True)
        raise typer.Exit(1)
    print(json.dumps({"dropped": name})) if as_json else console.print(f"{name} is gone")


def _parts(share: str | None) -> Drawn | None:
    """A share in percent as any one of so many parts. Raises `typer.BadParameter`."""
    if share is None:
        return None
    try:
        percent = float(share.removesuffix("%"))
    except ValueError:
        percent = 0
    if not 0 < percent <= 100:
        raise typer.BadParameter(f"{share!r} is no share such as 1%", param_hint="--sample")
    return max(1, round(100 / percent)), None


def _table(*headings: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for heading in headings:
        table.add_column(heading, justify="right" if heading in ("rows", "rebuilt", "MB") else "left")
    return table


def _said(comparison: Comparison) -> dict[str, Any]:
    return {
        "generation": comparison.generation, "offsets": comparison.offsets, "equal": not comparison.differing,
        "sample": comparison.sample and comparison.sample.said,
        "left_out": sorted(comparison.left_out.values()),
        "tables": {
            name: {"rows": live.rows, "digest": str(live.digest), "equal": live == rebuilt}
            for name, (live, rebuilt) in comparison.tables.items()
        },
        "differences": [
            {"table": d.table, "key": _plain(d.key), "columns": d.columns, "live": _plain(d.live),
             "rebuilt": _plain(d.rebuilt), "event": d.event}
            for d in comparison.rows
        ],
    }  # fmt: skip


def _plain(row: dict[str, Any] | None) -> dict[str, Any] | None:
    """A row as JSON has it: what is no number, truth or text is told as text."""
    if row is None:
        return None
    return {name: value if isinstance(value, int | str | None) else str(value) for name, value in row.items()}


def _tell(comparison: Comparison) -> None:
    table = _table("", "table", "rows", "rebuilt", "checksum")
    for name, (live, rebuilt) in comparison.tables.items():
        mark = "[green]✓[/]" if live == rebuilt else "[red]✗[/]"
        table.add_row(mark, name, f"{live.rows:,}", f"{rebuilt.rows:,}", f"{live.digest & MASK:016x}")
    console.print(table)
    events = sum(comparison.offsets.values())
    if comparison.sample is not None:
        said = comparison.sample.said
        console.print(
            f"a sample, part {said['place']} of {said['of']}: {said['persons_and_deals']:,} persons and deals"
        )
    for workspace in sorted(comparison.left_out.values()):
        console.print(
            f"not compared: {workspace}, whose rows are being made anew for changed settings; `touchline status` says how far",
            markup=False, soft_wrap=True,
        )  # fmt: skip
    if not comparison.differing:
        of_it = "of that part" if comparison.sample else "of it"
        console.print(f"[green]equal[/]: {comparison.generation} is what its {events:,} events make {of_it}")
        return
    console.print(f"[red]different[/]: {', '.join(comparison.differing)}")
    for difference in comparison.rows[:ROWS_TOLD]:
        _tell_row(difference)
    if len(comparison.rows) > ROWS_TOLD:
        console.print(f"… and {len(comparison.rows) - ROWS_TOLD} more, at least; --json tells up to a hundred a table")


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
