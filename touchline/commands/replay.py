"""`touchline replay`: projections of the whole log, made beside the live one."""

import json
import os
from pathlib import Path
from typing import Any

import typer

from services.replay.compare import Difference
from services.replay.rebuild import Rebuild, Rebuilt, drop, rollback
from services.replay.verify import Comparison, Drawn, verify
from shared.projection.checksums import Checksum, set_checksums
from shared.projection.generations import WHAT_IF
from shared.reading.generations import Listed, State, generations
from shared.reading.time_range import TimeRange
from touchline.commands.on_store import StoreAccess, on_store
from touchline.commands.output import console, failed, styled, table_of
from touchline.commands.store import on_database, read_only

DIFFERENT = 3  # the exit code
MASK = 2**64 - 1  # digests are sums of 64-bit hashes; these bits of them are shown
ROWS_PRINTED = 20  # that differ; --json lists more


def verify_(sample: str | None, processes: int, data: Path | None, *, as_json: bool) -> None:
    """Project the log, or a sample of it, and compare the tables with the live ones. Exits 3 if a row differs.

    `sample` is a share such as `1%`; None: the whole log.
    """
    drawn = _parts(sample)

    async def work(access: StoreAccess) -> Comparison:
        return await verify(access.resources, f"{os.getpid()}", access.begun, access.advance, drawn)

    comparison = on_store(data, work, quiet=as_json, processes=processes)
    if as_json:
        print(json.dumps(_as_json(comparison)))
    else:
        _print_text(comparison)
    if not comparison.equal:
        raise typer.Exit(DIFFERENT)


def rebuild_(processes: int, data: Path | None, *, as_json: bool) -> None:
    """Project the log into a new generation, make it the live one, and print the rows that differ from the generation before."""

    async def work(access: StoreAccess) -> Rebuilt:
        return await Rebuild(access.resources, access.begun, access.advance).run()

    rebuilt = on_store(data, work, quiet=as_json, processes=processes)
    comparison = rebuilt.comparison
    if as_json:
        compared = None if comparison is None else _as_json(comparison)
        print(json.dumps({"generation": rebuilt.generation, "before": rebuilt.before, "compared": compared}))
        return
    if comparison is not None and comparison.differing:
        console.print(styled("[yellow]what was different in {}:[/]", rebuilt.before))
        _print_text(comparison)
    if rebuilt.before is None:
        console.print(styled("[green]live[/]: {}, the first one of this release's shape", rebuilt.generation))
    else:
        console.print(
            styled(
                "[green]live[/]: {}; {} is kept, and `touchline replay rollback` goes back",
                rebuilt.generation,
                rebuilt.before,
            )
        )


def rollback_(data: Path | None, *, as_json: bool) -> None:
    """Make the generation that was live before the last rebuild the live one again."""

    async def work(access: StoreAccess) -> Rebuilt:
        return await rollback(access.resources)

    rebuilt = on_store(data, work, quiet=True)
    if as_json:
        print(json.dumps({"generation": rebuilt.generation, "before": rebuilt.before}))
    else:
        console.print(styled("[green]live[/]: {}, and no longer {}", rebuilt.generation, rebuilt.before))


def checksums_(generation: str | None, data: Path | None, workspace: str, *, as_json: bool) -> None:
    """Print a checksum of every table of a workspace in a generation (None: the live one)."""

    async def asked(url: str) -> tuple[str, dict[str, Checksum]]:
        async with read_only(url, workspace, generation) as read:
            return str(read.as_of), await set_checksums(read.connection.raw, read.generation, read.ws)

    as_of, found = on_database(data, asked)
    whole = f"{sum(checksum.digest for checksum in found.values()) & MASK:016x}"
    tables = {name: {"rows": c.rows, "digest": f"{c.digest & MASK:016x}"} for name, c in found.items()}
    if as_json:
        print(json.dumps({"workspace": workspace, "as_of": as_of, "digest": whole, "tables": tables}))
        return
    table = table_of("table", "rows", "checksum", right=("rows",))
    for name, one in tables.items():
        table.add_row(name, f"{one['rows']:,}", str(one["digest"]))
    console.print(table)
    console.print(styled("{} as of {}: [bold]{}[/]", workspace, as_of, whole))


def list_(data: Path | None, *, as_json: bool) -> None:
    """Print the generations of the store and the state of each."""

    async def work(access: StoreAccess) -> list[Listed]:
        async with access.resources.pool.acquire() as connection:
            return await generations(connection)

    found = on_store(data, work, quiet=True)
    for each in found:
        for name in ("created_at", "expires_at", "since", "built_at"):
            each.row[name] = each.row[name] and each.row[name].isoformat()
    if as_json:
        print(json.dumps({"generations": [each.row | {"events": each.events} for each in found]}))
        return
    table = table_of("generation", "state", "MB", "created", right=("MB",))
    for each in found:
        state = str(each.state) + (f", {each.built_percent} % made" if each.built_percent is not None else "")
        if each.state is State.WHAT_IF:
            state = f"what-if of {each.row['workspace_id']}, until {each.row['expires_at']}"
        state = state if each.ours else f"{state}, of another release's shape {each.row['shape']}"
        table.add_row(
            each.name, state, "" if each.bytes is None else f"{each.bytes / 1e6:,.0f}", each.row["created_at"]
        )
    console.print(table)


def drop_(name: str, data: Path | None, *, other_release: bool, as_json: bool) -> None:
    """Delete a generation for ever. Exits 1 if there is none of this name, or if it is the live one.

    With `other_release`, the live one of another release's shape may be deleted.
    """

    async def work(access: StoreAccess) -> str | None:
        pool = access.resources.pool
        if await drop(pool, name, other_shapes_live=other_release) or await drop(pool, WHAT_IF + name):
            return None
        async with pool.acquire() as connection:
            known = await generations(connection)
        if any(each.name == name and not each.ours for each in known):
            return (
                f"{name} is the live one of another release's shape: once its services have ended, add --other-release"
            )
        if any(each.name == name for each in known):
            return f"{name} is the live generation; another one must be made live first"
        return f"there is no generation {name}"

    if problem := on_store(data, work, quiet=True):
        raise failed(problem)
    print(json.dumps({"dropped": name})) if as_json else console.print(f"{name} is gone")


def _parts(share: str | None) -> Drawn | None:
    """Which sample `verify` draws: one of so many parts, any of them. `1%` is one of 100. Raises `typer.BadParameter`."""
    if share is None:
        return None
    try:
        percent = float(share.removesuffix("%"))
    except ValueError:
        percent = 0
    if not 0 < percent <= 100:
        raise typer.BadParameter(f"{share!r} is not a share such as 1%", param_hint="--sample")
    return max(1, round(100 / percent)), None


def _as_json(comparison: Comparison) -> dict[str, Any]:
    return {
        "generation": comparison.generation, "offsets": comparison.offsets, "equal": comparison.equal,
        "sample": comparison.sample and comparison.sample.description,
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
        "digests": [
            {"about": d.subject, **TimeRange(d.from_us, d.to_us).as_json(), "by_digests": str(d.by_cells),
             "by_touches": str(d.by_touches)} for d in comparison.cells
        ],
        "sums": [
            {"workspace_id": d.workspace_id, "group": d.group, **TimeRange(d.from_us, d.to_us).as_json(), "by_sums": d.by_sums,
             "by_touches": d.by_touches} for d in comparison.sums
        ],
    }  # fmt: skip


def _plain(row: dict[str, Any] | None) -> dict[str, Any] | None:
    """A row for JSON: values that are no number, boolean or text become text."""
    if row is None:
        return None
    return {name: value if isinstance(value, int | str | None) else str(value) for name, value in row.items()}


def _print_text(comparison: Comparison) -> None:
    table = table_of("", "table", "rows", "rebuilt", "checksum", right=("rows", "rebuilt"))
    for name, (live, rebuilt) in comparison.tables.items():
        mark = styled("[green]✓[/]" if live == rebuilt else "[red]✗[/]")
        table.add_row(mark, name, f"{live.rows:,}", f"{rebuilt.rows:,}", f"{live.digest & MASK:016x}")
    console.print(table)
    events = sum(comparison.offsets.values())
    if comparison.sample is not None:
        sample = comparison.sample.description
        console.print(
            f"a sample, part {sample['place']} of {sample['of']}: {sample['persons_and_deals']:,} persons and deals"
        )
    for workspace in sorted(comparison.left_out.values()):
        console.print(
            f"not compared: {workspace}, whose rows are being rebuilt for changed settings; `touchline status` says how far"
        )
    for found in comparison.cells:
        span = TimeRange(found.from_us, found.to_us).as_json()
        console.print(styled("[red]different[/]: the digests of {}", found.subject))
        console.print(f"  from {span['from'] or 'the beginning'} to {span['to'] or 'the end'}")
        console.print(f"  by digests: {found.by_cells}")
        console.print(f"  by touches: {found.by_touches}")
    for sums in comparison.sums:
        span = TimeRange(sums.from_us, sums.to_us).as_json()
        console.print(styled("[red]different[/]: sums of credit of {}, {}", sums.workspace_id, sums.group))
        console.print(f"  from {span['from']} to {span['to']}")
        console.print(f"  by sums: {sums.by_sums or 'nothing'}")
        console.print(f"  by touches: {sums.by_touches or 'nothing'}")
    if comparison.equal:
        of_it = "of that part" if comparison.sample else "of it"
        console.print(
            styled("[green]equal[/]: {} is what its {:,} events make {}", comparison.generation, events, of_it)
        )
        return
    if comparison.differing:
        console.print(styled("[red]different[/]: {}", ", ".join(comparison.differing)))
    for difference in comparison.rows[:ROWS_PRINTED]:
        _print_row(difference)
    if len(comparison.rows) > ROWS_PRINTED:
        console.print(
            f"… and at least {len(comparison.rows) - ROWS_PRINTED} more; --json lists up to a hundred of each table"
        )


def _print_row(difference: Difference) -> None:
    key = ", ".join(f"{name} {value}" for name, value in difference.key.items())
    console.print(styled("\n[bold]{}[/] {}", difference.table, key))
    if difference.live is None:
        console.print("  is missing from the live generation")
    elif difference.rebuilt is None:
        console.print("  is in the live generation alone")
    else:
        for name in difference.columns:
            live, rebuilt = difference.live[name], difference.rebuilt[name]
            console.print(f"  {name}: {live!r}, must be {rebuilt!r}")
    if difference.event is not None:
        console.print(f"  by event {difference.event}; `touchline explain event` shows more")
