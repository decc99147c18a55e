"""`touchline export`: the events, to a file."""

import asyncio
import json
import signal
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from services.ingest.workspaces import DEFAULT_WORKSPACE
from services.replay.export import Chosen, Export
from services.replay.sources import STDIN
from shared.events.registry import EVENT_TYPES
from touchline.cli.plainly import errors
from touchline.cli.reach import AsJson, Data, Workspace, check_workspace, instant
from touchline.cli.working import Reach, on_store

console = Console(highlight=False)


def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="NDJSON, packed if it ends in .gz or .zst; .parquet; - is standard output")],
    from_: Annotated[str | None, typer.Option("--from", metavar="INSTANT", help="that happened at or after it")] = None,
    to: Annotated[str | None, typer.Option(metavar="INSTANT", help="that happened before it")] = None,
    types: Annotated[list[str] | None, typer.Option("--type", help="of this type; may be given again")] = None,
    contact: Annotated[str | None, typer.Option(help="that name this contact, or that it did, by any of its identifiers")] = None,
    data: Data = None, workspace: Workspace = DEFAULT_WORKSPACE, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Write the events of a workspace as they were sent, each id once. `touchline backfill` reads them again.

    What is retracted is there, and so is what retracts it.
    """
    if unknown := set(types or ()) - EVENT_TYPES.keys():
        raise typer.BadParameter(f"there is no type {', '.join(sorted(unknown))}", param_hint="--type")
    chosen = Chosen(instant(from_, "--from"), instant(to, "--to"), frozenset(types or ()), contact)

    async def work(reach: Reach) -> int:
        if (task := asyncio.current_task()) is not None:  # so that what was begun is removed when it is to end
            for number in (signal.SIGTERM, signal.SIGHUP):
                asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        await check_workspace(reach.resources.pool, workspace)
        return await Export(reach.resources, workspace, chosen, reach.begun, reach.advance).run(file)

    try:
        count = on_store(data, work, quiet=as_json, doing="Exporting")
    except asyncio.CancelledError as error:
        errors.print("stopped by a signal; nothing was written", style="red")
        raise typer.Exit(1) from error
    told = errors if file == STDIN else console  # standard output may be the export itself
    if as_json:
        said = json.dumps({"events": count, "file": None if file == STDIN else str(file)})
        print(said) if file != STDIN else errors.print(said, markup=False, soft_wrap=True)
    else:
        told.print(f"[green]exported[/]: {count:,} events of {workspace}")
