"""`touchline campaign`: make, list, change and delete campaigns, and the assets that they hold."""

import json
from pathlib import Path
from typing import Any

import msgspec
import typer

from services.ingest.catalog import bulk, calls
from services.ingest.catalog.bulk import Results
from services.ingest.catalog.calls import CallRefused, Outcome
from services.ingest.catalog.items import put_item
from services.ingest.catalog.turn import Turn
from shared.events.instants import END_US, to_rfc3339
from shared.events.money import to_money
from shared.events.types import Event
from shared.log.port import Position
from shared.reading.campaigns import associations, campaign_row, campaigns_with, claimed_values, spent_minor
from shared.reading.catalog import campaign_now
from shared.reading.overview import money_by_currency
from shared.reading.snapshot import Snapshot
from touchline.commands.catalog_changes import IN_URL, asked, change, in_turn, to_take_back
from touchline.commands.output import console, table_of


def create(
    campaign_id: str, fields: dict[str, str | None], data: Path | None, workspace: str, *, move: bool, as_json: bool
) -> None:
    """Create a campaign. Exits 1 if there is one with other values."""

    async def created(turn: Turn) -> Outcome:
        outcome = await calls.put_campaign(turn.snapshot, campaign_id, _given(fields), turn.now_us, move=move)
        if outcome.events and not outcome.new:
            message = f"there is a campaign {campaign_id!r} with other values: `touchline campaign change` changes them"
            raise CallRefused("campaign_exists", message)
        return outcome

    change(data, workspace, f"created {campaign_id}", created, as_json=as_json)


def change_(
    campaign_id: str, fields: dict[str, str | None], data: Path | None, workspace: str, *, move: bool, as_json: bool
) -> None:
    """Change fields of a campaign; those that are None stay as they are. Exits 1 if there is no such campaign."""

    async def changed(turn: Turn) -> Outcome:
        await calls.existing_campaign(turn.snapshot, campaign_id)
        return await calls.put_campaign(turn.snapshot, campaign_id, _given(fields), turn.now_us, move=move)

    change(data, workspace, f"changed {campaign_id}", changed, as_json=as_json)


def delete(campaign_id: str, data: Path | None, workspace: str, *, as_json: bool) -> None:
    """Delete a campaign. Exits 1 if there is none."""

    async def deleted(turn: Turn) -> Outcome:
        return await calls.delete_campaign(turn.snapshot, campaign_id, turn.now_us)

    change(data, workspace, f"deleted {campaign_id}", deleted, as_json=as_json)


def item(
    kind: str, campaign_id: str, item_id: str, fields: dict[str, str | None], data: Path | None, workspace: str, *, as_json: bool
) -> None:  # fmt: skip
    """Record or replace a sum of money of a campaign; `kind` is `spend` or `budget`. Exits 1 if it is refused."""

    async def put(turn: Turn) -> Outcome:
        return await put_item(turn.snapshot, kind, campaign_id, item_id, _given(fields), turn.now_us)

    change(data, workspace, f"recorded {item_id} of {campaign_id}", put, as_json=as_json)


def _given(fields: dict[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in fields.items() if value is not None}


def add(campaign_id: str, assets: list[str], data: Path | None, workspace: str, *, move: bool, as_json: bool) -> None:
    """Let a campaign hold assets; `move`: also those that another campaign holds. Exits 1 if one is refused; the others are added."""
    named = [msgspec.Raw(msgspec.json.encode({"asset_id": asset})) for asset in assets]

    async def added(turn: Turn) -> tuple[Results, Position]:
        results = await bulk.associate_many(turn.snapshot, campaign_id, named, turn.now_us, move=move)
        return results, await turn.append(results.events)

    _print_results(in_turn(data, workspace, added), campaign_id, data, workspace, as_json=as_json)


def remove(campaign_id: str, assets: list[str], data: Path | None, workspace: str, *, as_json: bool) -> None:
    """Take assets out of a campaign. Exits 1 if one is refused; the others are removed."""

    async def removed(turn: Turn) -> tuple[Results, Position]:
        await calls.existing_campaign(turn.snapshot, campaign_id)
        events: list[Event] = []
        items: list[dict[str, Any]] = []
        for index, asset in enumerate(dict.fromkeys(assets)):
            try:
                outcome = await calls.dissociate(turn.snapshot, campaign_id, asset, None, turn.now_us)
                events += outcome.events
                items.append({"index": index, "asset_id": asset, **calls.answer_of(outcome)})
            except CallRefused as refused:
                items.append({"index": index, "asset_id": asset, "code": refused.code, "message": refused.message, **refused.members})  # fmt: skip
        return Results(events, items), await turn.append(events)

    _print_results(in_turn(data, workspace, removed), campaign_id, data, workspace, as_json=as_json)


def _print_results(results: Results, campaign_id: str, data: Path | None, workspace: str, *, as_json: bool) -> None:
    if as_json:
        outcome = {"workspace": workspace, "campaign_id": campaign_id, "changed": len(results.events)}
        print(json.dumps({**outcome, "refused": len(results.refused), "items": results.items}))
    else:
        for item in results.items:
            where = f", moved from {item['moved_from']}" if "moved_from" in item else ""
            if "message" in item:
                message = item["message"].replace(IN_URL, "`touchline campaign move`")
            else:
                back = to_take_back(item["event_id"], data, workspace)
                message = f"done{where}, {back}" if item["changed"] else "nothing to change"
            console.print(f"{item['asset_id']}: {message}")
    if results.refused:
        raise typer.Exit(1)


def list_(text: str, data: Path | None, workspace: str, *, as_json: bool) -> None:
    """Print the campaigns whose id, name or utm value contains a text."""

    async def found(snapshot: Snapshot) -> list[dict[str, Any]]:
        return [_as_json(row) for row in await campaigns_with(snapshot, text)]

    items = asked(data, workspace, found)
    if as_json:
        print(json.dumps({"workspace": workspace, "items": items}))
        return
    table = table_of("campaign", "name", "starts", "ends", "budget", "")
    for item in items:
        budget = "" if item["budget"] is None else " ".join(item["budget"].values())
        columns = (item["campaign_id"], item["name"], item["starts_on"], item["ends_on"], budget)
        table.add_row(*(text or "" for text in columns), "deleted" if item["deleted_at"] else "")
    console.print(table)


def show(campaign_id: str, data: Path | None, workspace: str, *, as_json: bool) -> None:
    """Print a campaign, what it claims, spent, and holds or held. Exits 1 if no event names it."""
    campaign = asked(data, workspace, lambda snapshot: _whole(snapshot, campaign_id))
    if as_json:
        print(json.dumps({"workspace": workspace, **campaign}))
        return
    if not campaign["created"]:
        console.print("nobody created this campaign: only associations or sums of money name it")
    for name in ("campaign_id", "name", "starts_on", "ends_on", "owner", "notes", "created_at", "deleted_at"):
        if campaign[name]:
            console.print(f"{name:12} {campaign[name]}")
    for each in campaign["utm_campaign"]:
        console.print(f"utm_campaign {each['value']}, since {each['since']}")
    for name, sums in (("budget", [campaign["budget"]] if campaign["budget"] else []), ("spent", campaign["spent"])):
        for each in sums:
            console.print(f"{name:12} {each['amount']} {each['currency']}")
    for held in campaign["associations"]:
        until = f" to {held['to']}" if held["to"] else ""
        console.print(f"{'holds' if not until else 'held':12} {held['asset_id']}, from {held['from']}{until}")


async def _whole(snapshot: Snapshot, campaign_id: str) -> dict[str, Any]:
    row = await campaign_row(snapshot, campaign_id)
    key = row["campaign"]
    held = [
        {"asset_id": a["asset_id"], "asset_type": a["asset_type"], "from": to_rfc3339(a["from_us"]),
         "to": None if a["to_us"] == END_US else to_rfc3339(a["to_us"]), "event_id": a["event_id"]}
        for a in await associations(snapshot, key)
    ]  # fmt: skip
    return {
        **_as_json(row), "created": (await campaign_now(snapshot, campaign_id)).changed_by is not None,
        "utm_campaign": (await claimed_values(snapshot, [key])).get(key, []),
        "spent": money_by_currency(await spent_minor(snapshot, key)), "associations": held,
    }  # fmt: skip


def _as_json(row: Any) -> dict[str, Any]:
    return {
        "campaign_id": row["campaign_id"], "name": row["name"], "owner": row["owner"], "notes": row["notes"],
        "starts_on": row["starts_on"] and row["starts_on"].isoformat(), "ends_on": row["ends_on"] and row["ends_on"].isoformat(),
        "budget": None if row["budget_minor"] is None else dict(to_money(row["budget_minor"], row["currency"])),
        "created_at": to_rfc3339(row["created_us"]),
        "deleted_at": None if row["deleted_us"] is None else to_rfc3339(row["deleted_us"]),
    }  # fmt: skip
