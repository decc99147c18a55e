"""`touchline export`: write the events of a workspace to a file."""

import asyncio
import json
import signal
from pathlib import Path

import typer

from services.replay.export import Chosen, Export
from services.replay.sources import STDIN
from shared.events.registry import EVENT_TYPES
from touchline.commands.on_store import StoreAccess, on_store
from touchline.commands.output import console, errors, failed, styled
from touchline.commands.store import check_workspace, instant


def export(
    file: Path, from_: str | None, to: str | None, types: list[str], contact: str | None, data: Path | None, workspace: str,
    *, as_json: bool,
) -> None:  # fmt: skip
    """Write the events of a workspace that happened from `from_` on and before `to` (RFC 3339 instants), each id once, to a file.

    Without `types`, events of all types; `contact` is any identifier of a contact. Raises `typer.BadParameter`. A signal that ends
    the command (exit code 1) leaves no file behind.
    """
    if unknown := set(types) - EVENT_TYPES.keys():
        raise typer.BadParameter(f"there is no type {', '.join(sorted(unknown))}", param_hint="--type")
    chosen = Chosen(instant(from_, "--from"), instant(to, "--to"), frozenset(types), contact)

    async def work(access: StoreAccess) -> int:
        if (task := asyncio.current_task()) is not None:  # so that a signal removes the file that is half written
            for number in (signal.SIGTERM, signal.SIGHUP):
                asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        await check_workspace(access.resources.pool, workspace)
        return await Export(access.resources, workspace, chosen, access.begun, access.advance).run(file)

    try:
        count = on_store(data, work, quiet=as_json, doing="Exporting")
    except asyncio.CancelledError as error:
        raise failed("stopped by a signal; nothing was written") from error
    printer = errors if file == STDIN else console  # standard output may be the export itself
    if as_json:
        summary = json.dumps({"events": count, "file": None if file == STDIN else str(file)})
        print(summary) if file != STDIN else errors.print(summary)
    else:
        printer.print(styled("[green]exported[/]: {:,} events of {}", count, workspace))
