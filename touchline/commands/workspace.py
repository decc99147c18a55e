"""`touchline workspace`: make, list and configure workspaces."""

import json
from pathlib import Path
from typing import Any

import typer

from services.ingest.catalog.calls import Outcome, placed, wish
from services.ingest.catalog.turn import Turn
from shared.access.keys import create_workspace, list_workspaces
from shared.access.scopes import Scope
from shared.events.blank import is_blank
from shared.events.instants import BEGINNING_US
from shared.events.types import WorkspaceConfigured
from touchline.commands.catalog_changes import change
from touchline.commands.output import console, failed, table_of
from touchline.commands.settings import settings_given
from touchline.commands.store import check_new_workspace, on_database, tables


def create(workspace: str, name: str | None, data: Path | None, *, as_json: bool) -> None:
    """Make a workspace with one key of each scope, and print the keys. Exits 1 if it has, or had, keys already."""
    check_new_workspace(workspace, "WORKSPACE")
    if name is not None and is_blank(name):
        raise typer.BadParameter("a text without a character that can be seen", param_hint="--name")

    async def made(url: str) -> dict[Scope, str] | None:
        async with tables(url, 1) as pool:
            return await create_workspace(pool, workspace, workspace if name is None else name)

    keys = on_database(data, made)
    if keys is None:
        raise failed(f"there is a workspace {workspace} already")
    if as_json:
        print(json.dumps({"workspace": workspace, "keys": keys}))
        return
    for each, key in keys.items():
        console.print(f"  {each:8} {key}")


def list_(data: Path | None, *, as_json: bool) -> None:
    """Print all workspaces of a store."""

    async def listed(url: str) -> list[dict[str, Any]]:
        async with tables(url, 1) as pool:
            return await list_workspaces(pool)

    items = on_database(data, listed)
    if as_json:
        print(json.dumps({"items": items}))
        return
    table = table_of("workspace", "name", "keys", "created")
    for item in items:
        table.add_row(item["workspace"], item["name"], str(item["keys"]), item["created_at"])
    console.print(table)


def configure(settings: list[str], data: Path | None, workspace: str, *, as_json: bool) -> None:
    """Change settings of a workspace, each given as `NAME=VALUE`. Raises `typer.BadParameter`; exits 1 if a setting is refused."""
    given = settings_given(settings)
    if not given:
        raise typer.BadParameter("name at least one setting", param_hint="--set")

    async def configured(turn: Turn) -> Outcome:
        event = placed(_event(given), turn.now_us, BEGINNING_US)
        return Outcome(event.id, [event])

    change(data, workspace, f"configured {workspace}", configured, as_json=as_json)


def _event(settings: dict[str, Any]) -> Any:
    """The event that sets these settings. Raises `CallRefused`; a setting of null is one that has no limit (`lookback_days`)."""
    return wish(WorkspaceConfigured, {"settings": settings}, {})
