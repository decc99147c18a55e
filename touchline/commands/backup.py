"""`touchline backup`: write what cannot be made again into one file, and make a store from such a file."""

import json
from pathlib import Path

from services.replay.backup import Manifest, create, restore
from touchline.commands.on_store import StoreAccess, on_store
from touchline.commands.output import console, errors, styled


def create_(target: Path, data: Path | None, *, as_json: bool) -> None:
    """Write a backup into the file `target`, or into a new file in the folder `target`; print what it holds."""

    async def work(access: StoreAccess) -> tuple[Path, Manifest]:
        return await create(access.resources, target)

    file, manifest = on_store(data, work, quiet=True)
    if as_json:
        print(json.dumps({"file": str(file), **_as_json(manifest)}))
        return
    console.print(styled("[green]backed up[/] to {}", file))
    _print_text(manifest)


def restore_(file: Path, data: Path | None, processes: int, *, as_json: bool) -> None:
    """Fill an empty store with what a backup holds, and project its log; print what it holds."""
    if data is not None:
        (data / "postgres").mkdir(parents=True, exist_ok=True)

    async def work(access: StoreAccess) -> Manifest:
        return await restore(access.resources, file, access.begun, access.advance)

    manifest = on_store(data, work, quiet=as_json, doing="Projecting", processes=processes)
    if as_json:
        print(json.dumps(_as_json(manifest)))
        return
    console.print(styled("[green]restored[/] what {} holds", file))
    _print_text(manifest)


def _as_json(manifest: Manifest) -> dict[str, object]:
    return {
        "made_at": manifest.made_at, "release": manifest.release, "log": manifest.log, "log_included": manifest.log_included,
        "events": sum(manifest.offsets.values()), "rows": {name: member.rows for name, member in manifest.tables.items()},
    }  # fmt: skip


def _print_text(manifest: Manifest) -> None:
    rows = {name: member.rows for name, member in manifest.tables.items()}
    events = f"{sum(manifest.offsets.values()):,} events" if manifest.log_included else "no events"
    console.print(
        f"as of {manifest.made_at}: {events}, {rows['workspace']:,} workspaces, {rows['access_key']:,} keys, "
        f"{rows['dead_letter']:,} dead letters"
    )
    if not manifest.log_included:
        errors.print(f"The log is {manifest.log}: its events are not in this backup, which an older release made.")
