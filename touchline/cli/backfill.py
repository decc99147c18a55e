"""`touchline backfill`: history, from files."""

import glob
import json
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
import uvloop
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from services.ingest.workspaces import DEFAULT_WORKSPACE
from services.replay.backfill import Backfill, Refused, Tally
from services.replay.known import FATES, Compared, Fate, Known
from services.replay.mapping import TableMapping, ready_mappings
from services.replay.mapping import mapping as read_mapping
from services.replay.sources import STDIN
from touchline.cli.plainly import errors, plainly
from touchline.cli.reach import AsJson, Data, Workspace, check_workspace, database, store_and_log

EVENTS_PER_S = 10_000
MAPPING_HELP = f"which events the rows of a table tell: a TOML file, or {', '.join(ready_mappings())}"

FATE_SAYS: dict[Fate, str] = {
    "new": "of them new", "duplicates": "of them told before, unchanged",
    "updated": "of them replace a telling with an older as_of",
    "superseded": "of them without effect: a telling with a later as_of is there",
}  # fmt: skip

console = Console(highlight=False)


def backfill(
    sources: Annotated[list[str], typer.Argument(metavar="FILE…", help="NDJSON, CSV or Parquet, or .gz or .zst of it; globs; - is standard input")],
    mapping: Annotated[str | None, typer.Option("--mapping", metavar="NAME|FILE", help=MAPPING_HELP)] = None,
    zone: Annotated[str | None, typer.Option("--zone", help="the time zone of a table's instants that say none")] = None,
    rate: Annotated[float, typer.Option(min=1, help="events a second at most")] = EVENTS_PER_S,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="check all, send nothing")] = False,
    data: Data = None, workspace: Workspace = DEFAULT_WORKSPACE, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Send events of the past. What was sent before counts once, so that it may be sent again; a run that was stopped goes on.

    Refused lines are written beside their source, with number and reason. Each event is compared with what was told before
    under its id. Exits 1 if a line was refused, or an event conflicts with another of its id.
    """
    paths = _paths(sources)
    with plainly():
        read_by = None if mapping is None else read_mapping(mapping, zone)
    with plainly(), database(data) as url:
        tallies = uvloop.run(_send(url, paths, workspace, rate, read_by, dry_run=dry_run, quiet=as_json))
    if as_json:
        print(json.dumps({"dry_run": dry_run, "sources": {str(path): _said(tally) for path, tally in tallies.items()}}))
    else:
        _tell(tallies, dry_run=dry_run)
    if any(tally.refused or tally.compared.conflicts for tally in tallies.values()):
        raise typer.Exit(1)


def _paths(sources: list[str]) -> list[Path]:
    """The files that are meant, each once, in the order given. Raises `typer.BadParameter`."""
    paths: dict[Path, None] = {}
    for source in sources:
        found = [source] if source == "-" or Path(source).exists() else sorted(glob.glob(source, recursive=True))  # noqa: PTH207 - absolute ones too
        if not found:
            raise typer.BadParameter(f"there is no file {source}", param_hint="FILE")
        paths |= dict.fromkeys(map(Path, found))
    return list(paths)


async def _send(
    url: str,
    paths: list[Path],
    workspace: str,
    rate: float,
    read_by: TableMapping | None,
    *,
    dry_run: bool,
    quiet: bool,
) -> dict[Path, Tally]:
    columns = (
        TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), DownloadColumn(), TransferSpeedColumn(),
        TimeRemainingColumn(),
    )  # fmt: skip
    tallies = {}
    async with store_and_log(url, 3) as (pool, log):
        await check_workspace(pool, workspace)
        known = Known(pool, log, workspace)
        with Progress(*columns, console=Console(stderr=True), disable=quiet) as progress:
            for path in paths:
                size = None if path == STDIN else path.stat().st_size
                task = progress.add_task(path.name, total=size)
                sender = Backfill(pool, log, workspace, rate, partial(progress.advance, task), dry_run, read_by, known)
                tallies[path] = await sender.run(path)
                progress.update(task, completed=size, total=size)
    return tallies


def _said(tally: Tally) -> dict[str, Any]:
    return {
        "accepted": dict(tally.accepted), "refused": dict(tally.refused), "resumed_at": tally.resumed_at,
        "first_refusals": tally.first, **_compared_said(tally.compared),
    }  # fmt: skip


def _compared_said(compared: Compared) -> dict[str, Any]:
    return {
        "compared": {fate: compared.counts[fate] for fate in FATES}, "first_conflicts": compared.conflicts,
        "not_compared": compared.unknown,
    }  # fmt: skip


def _tell_compared(tallies: dict[Path, Tally]) -> None:
    """How many events are new, and which conflict with what was told before under their ids."""
    all_compared = [tally.compared for tally in tallies.values()]
    counts: Counter[Fate] = sum((compared.counts for compared in all_compared), Counter())
    for fate in FATES:
        if counts[fate] and fate != "conflicts":
            console.print(f"  {counts[fate]:>12,}  {FATE_SAYS[fate]}")
    if counts["conflicts"]:
        errors.print(f"[red]conflicts[/]: {counts['conflicts']:,}")
        errors.print(
            "  another content has the same id and the same as_of, or none; of each id one content counts, the others are "
            "kept as dead letters conflicting_duplicate",
            soft_wrap=True,
        )
    for compared in all_compared:
        for told in compared.conflicts:
            errors.print(f"  {told['source']}, line {told['line']}: {told['id']}", markup=False, soft_wrap=True)
    for unknown in sorted({compared.unknown for compared in all_compared if compared.unknown}):
        errors.print(f"[yellow]not compared[/]: {escape(unknown)}", soft_wrap=True)


def _tell(tallies: dict[Path, Tally], *, dry_run: bool) -> None:
    accepted: Counter[str] = sum((tally.accepted for tally in tallies.values()), Counter())
    refused: Counter[str] = sum((tally.refused for tally in tallies.values()), Counter())
    console.print(f"[bold]{'would be sent' if dry_run else 'sent'}[/]: {accepted.total():,} events")
    for name, count in accepted.most_common():
        console.print(f"  {count:>12,}  {name}")
    _tell_compared(tallies)
    if not refused:
        return
    errors.print(f"[red]refused[/]: {refused.total():,}")
    for name, count in refused.most_common():
        errors.print(f"  {count:>12,}  {name}")
    for path, tally in tallies.items():
        for told in tally.first:
            where = f"{told['source']}, line {told['line']}"
            errors.print(f"  {where}: {told['field'] or ''} {told['message']}", markup=False, soft_wrap=True)
        if tally.refused and not dry_run:
            errors.print(f"  all of them, with their reasons: {escape(str(Refused(path, None).path))}", soft_wrap=True)
