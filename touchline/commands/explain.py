"""`touchline explain`: why an event or a deal counts for a campaign, or does not."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from shared.reading.checklist import explain_deal
from shared.reading.explain import explain_event
from shared.reading.snapshot import Snapshot
from touchline.commands.output import console, styled, table_of
from touchline.commands.store import names_in, on_database, read_only


def event(event_id: str, generation: str | None, data: Path | None, workspace: str, *, as_json: bool) -> None:
    """Print what an event counted for and in which campaigns, and why it does not count in others."""
    explanation = _asked(data, workspace, generation, lambda snapshot: explain_event(snapshot, event_id))
    if as_json:
        print(json.dumps(explanation))
    else:
        _print_event(explanation)


def deal(
    deal_id: str, campaign: str, generation: str | None, data: Path | None, workspace: str, *, as_json: bool
) -> None:
    """Print why a deal counts for a campaign, or does not: each condition, with the event that decides it."""
    explanation = _asked(data, workspace, generation, lambda snapshot: explain_deal(snapshot, deal_id, campaign))
    if as_json:
        print(json.dumps(explanation))
    else:
        _print_deal(explanation)


def _asked(
    data: Path | None, workspace: str, generation: str | None, ask: Callable[[Snapshot], Awaitable[dict[str, Any]]]
) -> dict[str, Any]:
    async def answered(url: str) -> dict[str, Any]:
        async with read_only(url, workspace, generation) as snapshot:
            answer = {**await ask(snapshot), "as_of": str(snapshot.as_of)}
        return dict(await names_in(url, workspace, answer))

    return on_database(data, answered)


def _mark(holds: bool | None) -> Text:
    return styled({True: "[green]✓[/]", False: "[red]✗[/]", None: "[dim]·[/]"}[holds])


def _print_event(explanation: dict[str, Any]) -> None:
    console.print(styled("[bold]{}[/] {}", explanation["type"] or "event", explanation["event_id"]))
    facts = {
        "occurred at": explanation["occurred_at"], "version as of": explanation.get("version_as_of"), "contact": explanation["contact"], "session": explanation.get("session"),
        "brought by": " / ".join(filter(None, (explanation.get("source"), explanation.get("medium")))) or None,
        "channel": explanation.get("channel"), "influence": ", ".join(explanation.get("influence", [])) or None,
        "machine by": (explanation.get("machine_by") or "").replace("_", " ") or None, "detail": explanation.get("detail"), "retracted by": ", ".join(explanation.get("retracted_by", [])) or None,
        "lost duplicates": explanation.get("conflicting_duplicates") or None,
    }  # fmt: skip
    comparison = "counted" if explanation["counted"] else f"{_vain(explanation)}: {explanation['reason']}"
    console.print(styled("  {} {}", _mark(explanation["counted"]), comparison))
    for name, value in facts.items():
        if value is not None:
            console.print(f"  {name:15} {value}")
    if explanation["campaigns"]:
        console.print(_campaigns(explanation["campaigns"]))
    for section in explanation.get("sections", []):
        where = f"section of asset {section['asset_id']} in {section['campaign_id']}"
        former = " as a former asset" if section["former"] else ""
        console.print(styled("  {} {}{}{}", _mark(section["shown"]), where, former, _why(section["reason"])))


def _vain(explanation: dict[str, Any]) -> str:
    return "changed nothing" if "campaign_id" in explanation else "not counted"  # an association; its reason is why


def _why(reason: str | None) -> str:
    return "" if reason is None else f": {reason}"


def _campaigns(campaigns: list[dict[str, Any]]) -> Table:
    table = table_of("", "campaign", "because")
    for row in campaigns:
        why = f"through {', '.join(row['through'])}" if row["counts"] else row["reason"]
        table.add_row(styled("  {}", _mark(row["counts"])), row["campaign_id"], f"{why}: {row['says']}")
    return table


def _print_deal(explanation: dict[str, Any]) -> None:
    comparison = "counts" if explanation["counts"] else f"does not count: {explanation['reason']}"
    console.print(styled("[bold]deal[/] {} [bold]for[/] {}", explanation["deal_id"], explanation["campaign_id"]))
    console.print(styled("  {} {}", _mark(explanation["counts"]), comparison))
    table = table_of("", "check", "decided by")
    for check in explanation["checks"]:
        table.add_row(styled("  {}", _mark(check["holds"])), check["says"], check["deciding_event"] or "")
    console.print(table)
