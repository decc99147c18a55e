"""`touchline import`: read the history that another system keeps from its API."""

import datetime as dt
import json
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import typer
import uvloop
from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from services.replay.backfill import Refused, Tally
from services.replay.earlier_events import FATES
from services.replay.hubspot.client import HubSpot
from services.replay.hubspot.errors import HubSpotRefuses
from services.replay.hubspot.history import STEPS, History, Step, missing_from_api
from services.replay.hubspot.options import SINCE, Since
from services.replay.outcome import Deals
from shared.events.instants import to_rfc3339
from touchline.cli.history import TOKEN_VARIABLE
from touchline.commands.backfill import FATE_SAYS
from touchline.commands.output import console, errors, errors_in_one_line, styled
from touchline.commands.store import check_workspace, database, instant, store_and_log

TOKEN_BYTES_MAX = 4_096  # of a token's file; a token has some hundred


@dataclass(frozen=True)
class Given:
    """The options of `touchline import hubspot` as they were typed; None or empty: not given.

    `since` is an RFC 3339 instant or a date, `associated_from` one of `SINCE`; the stages are internal names.
    """

    token: str | None
    token_file: Path | None
    base_url: str
    since: str | None
    associated_from: str
    won_stages: list[str]
    lost_stages: list[str]
    state: Path | None


def hubspot(given: Given, data: Path | None, workspace: str, *, dry_run: bool, as_json: bool) -> None:
    """Import the history of a HubSpot account; print what was read and sent.

    Exits 1 if HubSpot cannot be read, or if a record was refused. Raises `typer.BadParameter`.
    """
    associated_from: Since | None = next((each for each in SINCE if each == given.associated_from), None)
    if associated_from is None:
        raise typer.BadParameter(
            f"{given.associated_from!r} is not one of {', '.join(SINCE)}", param_hint="--associated-from"
        )
    since = given.since
    since_us = instant(f"{since}T00:00:00Z" if since is not None and _is_date(since) else since, "--since")
    beside = given.state or (data or Path()) / f"hubspot-{quote(workspace, safe='')}.import"
    with errors_in_one_line():
        secret = _token(given.token, given.token_file)
        with database(data) as url:
            history = uvloop.run(
                _import(url, workspace, secret, given.base_url, beside, since_us, associated_from, given.won_stages, given.lost_stages,
                        dry_run=dry_run, quiet=as_json)
            )  # fmt: skip
    if as_json:
        print(json.dumps(_as_json(history)))
    else:
        _print_text(history)
    if any(tally.refused or tally.compared.conflicts for tally in history.tallies.values()):
        raise typer.Exit(1)


def _is_date(text: str) -> bool:
    try:
        dt.date.fromisoformat(text)
    except ValueError:
        return False
    return len(text) == len("2026-11-25")


def _token(given: str | None, file: Path | None) -> str:
    """The access token: the one given, that in the file, or that of the environment.

    Raises `typer.BadParameter`, `HubSpotRefuses` or `OSError`; none of their texts holds the token.
    """
    if given is not None and file is not None:
        raise typer.BadParameter("it cannot be used together with --token-file", param_hint="--token")
    if file is not None:
        with file.open("rb") as opened:
            return opened.read(TOKEN_BYTES_MAX).decode("ascii", "replace").strip()
    token = given if given is not None else os.environ.get(TOKEN_VARIABLE)
    if not token:
        raise HubSpotRefuses(f"no access token is given: set {TOKEN_VARIABLE}, or name its file with --token-file")
    return token.strip()


async def _import(
    url: str, workspace: str, token: str, base_url: str, state: Path, since_us: int | None, associated: Since, won: list[str], lost: list[str],
    *, dry_run: bool, quiet: bool,
) -> History:  # fmt: skip
    columns = (SpinnerColumn(), TextColumn("{task.description}"), MofNCompleteColumn(), TimeElapsedColumn())
    async with HubSpot(token, base_url) as asked, store_and_log(url, 3) as (pool, log):
        await check_workspace(pool, workspace)
        with Progress(*columns, console=errors, disable=quiet) as progress:
            tasks = {step: progress.add_task(step.replace("_", " "), total=None) for step in STEPS}

            def advance(step: Step, count: int) -> None:
                progress.advance(tasks[step], count)

            history = History(pool, log, workspace, asked, state, advance, since_us, associated, dry_run, won, lost)
            await history.run()
        return history


def _as_json(history: History) -> dict[str, Any]:
    found = history.found
    return {
        "dry_run": history.dry_run, "state": str(history.state),
        "since": None if history.since_us is None else to_rfc3339(history.since_us),
        "requests": history.hubspot.requests, "waited_s": round(history.hubspot.waited_s, 3),
        "records": {
            step: {
                "read": tally.rows.read, "refused": tally.rows.refused, "resumed_at": tally.resumed_at, "events": dict(tally.accepted),
                "refused_events": dict(tally.refused), "first_refusals": tally.first,
                "compared": {fate: tally.compared.counts[fate] for fate in FATES}, "first_conflicts": tally.compared.conflicts,
                "not_compared": tally.compared.unknown,
            }
            for step, tally in history.tallies.items()
        },
        "deals": _deals(history).as_json(names_contacts=True), "unmapped_assets": dict(found.unmapped), "unknown_stages": found.unknown_stages,
        "missing_from_api": missing_from_api(found, history.associated),
        "assets_without_times": found.assets_assumed, "deals_with_times": found.deals_with_times, "deals_without_times": found.deals_without_times,
        "pages_without_address": found.pages_without_address,
    }  # fmt: skip


def _deals(history: History) -> Deals:
    tally = history.tallies.get("deals")
    return Deals() if tally is None else tally.deals


def _print_text(history: History) -> None:
    tallies = list(history.tallies.values())
    accepted: Counter[str] = sum((tally.accepted for tally in tallies), Counter())
    for step, tally in history.tallies.items():
        before = f", after {tally.resumed_at:,} that an earlier run has sent" if tally.resumed_at else ""
        console.print(styled("[bold]{}[/]: {:,} read{}", step.replace("_", " "), tally.rows.read, before))
    console.print(styled("[bold]{}[/]: {:,} events", "would be sent" if history.dry_run else "sent", accepted.total()))
    for name, count in accepted.most_common():
        console.print(f"  {count:>12,}  {name}")
    fates = Counter({fate: sum(tally.compared.counts[fate] for tally in tallies) for fate in FATES})
    for fate in FATES:
        if fates[fate] and fate != "conflicts":
            console.print(f"  {fates[fate]:>12,}  {FATE_SAYS[fate]}")
    _print_deals(history)
    for name, count in history.found.unmapped.most_common():
        console.print(
            styled("[bold]unmapped[/]: {:,} assets of the type {}; they are kept, and count for nothing", count, name)
        )
    for name, count in history.found.unknown_stages.items():
        console.print(
            styled("[bold]a stage that is in no pipeline[/]: {}, {:,} times; deals in it count as open", name, count)
        )
    for sentence in missing_from_api(history.found, history.associated):
        console.print(styled("[bold]HubSpot does not say[/] {}", sentence))
    _print_wrong(history, fates["conflicts"])


def _print_deals(history: History) -> None:
    deals = _deals(history).as_json(names_contacts=True)
    if not deals["rows"]:
        return
    console.print(styled("[bold]deals[/]: {:,} won, {:,} lost, {:,} open", deals["won"], deals["lost"], deals["open"]))
    if deals["without_contact"]:
        console.print(f"  {deals['without_contact']:>12,}  without a contact")
    if deals["won_without_amount"]:
        console.print(f"  {deals['won_without_amount']:>12,}  won without an amount: they bring no revenue")
    for reason, count in deals["can_never_count"].items():
        console.print(f"  {count:>12,}  cannot count for any campaign as they are: {reason}")


def _print_wrong(history: History, conflicts: int) -> None:
    """Print what was refused, what conflicts with a stored event, and what could not be compared."""
    for unknown in sorted({tally.compared.unknown for tally in history.tallies.values() if tally.compared.unknown}):
        errors.print(styled("[yellow]not compared[/]: {}", unknown))
    if conflicts:
        errors.print(styled("[red]conflicts[/]: {:,}", conflicts))
    for step, tally in history.tallies.items():
        _print_refused(history, step, tally)


def _print_refused(history: History, step: Step, tally: Tally) -> None:
    for conflict in tally.compared.conflicts:
        errors.print(f"  {step}, record {conflict['line']}: {conflict['id']}")
    if not tally.refused:
        return
    errors.print(styled("[red]refused[/]: {:,} of {}", tally.rows.refused, step.replace("_", " ")))
    for refused in tally.first:
        errors.print(f"  record {refused['line']}: {refused['field'] or ''} {refused['message']}")
    if not history.dry_run:
        where = Refused(history.state.with_name(f"{history.state.name}.{step}"), None).path
        errors.print(f"  all of them, with their reasons: {where}")
