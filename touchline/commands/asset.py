"""`touchline asset`: register, list and delete assets."""

import json
from pathlib import Path
from typing import Any

from services.ingest.catalog import calls
from services.ingest.catalog.calls import CallRefused, Outcome
from services.ingest.catalog.turn import Turn
from shared.reading.catalog import asset_now, registered_assets
from shared.reading.snapshot import NotFound, Snapshot
from touchline.commands.catalog_changes import asked, change
from touchline.commands.output import console, table_of


def register(
    asset_id: str, fields: dict[str, str | None], data: Path | None, workspace: str, *, move: bool, as_json: bool
) -> None:
    """Register an asset, or change fields of one; fields that are None stay as they are."""
    given = {name: value for name, value in fields.items() if value is not None}

    async def registered(turn: Turn) -> Outcome:
        try:
            return await calls.put_asset(turn, asset_id, given, move=move)
        except CallRefused as refused:
            if refused.code == "missing_field":
                raise CallRefused(refused.code, f"{refused.message}: --type names the type of a new asset") from refused
            raise

    change(data, workspace, f"registered {asset_id}", registered, as_json=as_json)


def delete(asset_id: str, data: Path | None, workspace: str, *, as_json: bool) -> None:
    """Retract an asset's registrations. Exits 1 if there are none, or if a campaign holds the asset."""

    async def deleted(turn: Turn) -> Outcome:
        return await calls.delete_asset(turn.snapshot, asset_id, turn.now_us)

    change(data, workspace, f"deleted {asset_id}", deleted, as_json=as_json)


def list_(
    asset_type: str | None, unheld: bool, limit: int, data: Path | None, workspace: str, *, as_json: bool
) -> None:
    """Print registered assets: of one type if that is given, and only those that no campaign holds if `unheld`."""

    async def found(snapshot: Snapshot) -> list[dict[str, Any]]:
        return await registered_assets(snapshot, asset_type, limit, unheld=unheld)

    items = asked(data, workspace, found)
    if as_json:
        print(json.dumps({"workspace": workspace, "items": items}))
        return
    table = table_of("asset", "type", "name", "address", "campaigns")
    for item in items:
        columns = (item["asset_id"], item["asset_type"], item["name"], item["url"] or item["target_url"])
        table.add_row(*(text or "" for text in columns), ", ".join(item["campaigns"]))
    console.print(table)
    if len(items) == limit:
        console.print(f"these are the first {limit}; --limit lists more")


def show(asset_id: str, data: Path | None, workspace: str, *, as_json: bool) -> None:
    """Print an asset and who holds it. Exits 1 if nobody registered it."""

    async def found(snapshot: Snapshot) -> dict[str, Any]:
        now = await asset_now(snapshot, asset_id)
        if not now.registered_by:
            raise NotFound("asset", asset_id)
        return {"fields": now.fields, "holders": now.holders, "registered_by": now.registered_by}

    now = asked(data, workspace, found)
    if as_json:
        state = {"campaigns": sorted(now["holders"]), "registered_by": now["registered_by"]}
        print(json.dumps({"workspace": workspace, "asset_id": asset_id, **now["fields"], **state}))
        return
    for name, value in {"asset_id": asset_id, **now["fields"]}.items():
        console.print(f"{name:12} {value}")
    for campaign, event_id in sorted(now["holders"].items()):
        console.print(f"held by      {campaign}, by the event {event_id}")
