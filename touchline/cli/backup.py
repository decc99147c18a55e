"""`touchline backup`: what cannot be made again goes into one file, and a store is made from it."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from services.replay.backup import Manifest, create, restore
from touchline.cli.plainly import errors
from touchline.cli.reach import AsJson, Data
from touchline.cli.working import CORES, Processes, Reach, on_store

app = typer.Typer(
    help="Keep log, keys, workspaces and settings in a file, and make a store from it.", no_args_is_help=True
)
console = Console(highlight=False)


@app.command("create")
def create_(
    target: Annotated[Path, typer.Argument(metavar="FILE|DIR", help="a new file; in a folder it is named by the time")],
    data: Data = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Write a backup, while the services run. It is of one moment, and its owner alone can read it."""

    async def work(reach: Reach) -> tuple[Path, Manifest]:
        return await create(reach.resources, target)

    file, manifest = on_store(data, work, quiet=True)
    if as_json:
        print(json.dumps({"file": str(file), **_said(manifest)}))
        return
    console.print(f"[green]backed up[/] to {file}", soft_wrap=True)
    _tell(manifest)


@app.command("restore")
def restore_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="that `touchline backup create` wrote")],
    data: Annotated[Path | None, typer.Option(help="of a new embedded store; without it, TOUCHLINE_DATABASE_URL")] = None,
    processes: Processes = CORES, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Make an empty store what the backup was, and project its log. Keys work as they did; start the services then.

    Where the log is Kafka's, the topic is empty too, or it is the one of the backup.
    """
    if data is not None:
        (data / "postgres").mkdir(parents=True, exist_ok=True)

    async def work(reach: Reach) -> Manifest:
        return await restore(reach.resources, file, reach.begun, reach.advance)

    manifest = on_store(data, work, quiet=as_json, doing="Projecting", processes=processes)
    if as_json:
        print(json.dumps(_said(manifest)))
        return
    console.print(f"[green]restored[/] what {file} holds", soft_wrap=True)
    _tell(manifest)


def _said(manifest: Manifest) -> dict[str, object]:
    return {
        "made_at": manifest.made_at, "release": manifest.release, "log": manifest.log, "log_included": manifest.log_included,
        "events": sum(manifest.offsets.values()), "rows": {name: member.rows for name, member in manifest.tables.items()},
    }  # fmt: skip


def _tell(manifest: Manifest) -> None:
    rows = {name: member.rows for name, member in manifest.tables.items()}
    events = f"{sum(manifest.offsets.values()):,} events" if manifest.log_included else "no events"
    console.print(
        f"as of {manifest.made_at}: {events}, {rows['workspace']:,} workspaces, {rows['access_key']:,} keys, "
        f"{rows['dead_letter']:,} dead letters", soft_wrap=True,
    )  # fmt: skip
    if not manifest.log_included:
        errors.print(
            f"The log is {manifest.log}: its events are not in this backup, which an older release made.",
            soft_wrap=True,
        )
