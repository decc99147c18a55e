"""`touchline import`: the history that another system keeps, by its API."""

import datetime as dt
import json
import os
from collections import Counter
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer
import uvloop
from rich.console import Console
from rich.markup import escape
from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from services.ingest.workspaces import DEFAULT_WORKSPACE
from services.replay.backfill import Refused, Tally
from services.replay.hubspot.client import BASE_URL, HubSpot
from services.replay.hubspot.errors import HubSpotRefuses
from services.replay.hubspot.history import SINCE, STEPS, History, Since, Step, told_of
from services.replay.known import FATES
from services.replay.told import Deals
from shared.events.instants import to_rfc3339
from touchline.cli.backfill import FATE_SAYS
from touchline.cli.plainly import errors, plainly
from touchline.cli.reach import AsJson, Data, Workspace, check_workspace, database, instant, store_and_log

TOKEN_VARIABLE = "TOUCHLINE_HUBSPOT_TOKEN"  # noqa: S105 - the name of a variable
TOKEN_BYTES_MAX = 4_096  # of a token's file; a token has some hundred

app = typer.Typer(no_args_is_help=True, help="Bring in the history that another system keeps, by its API.")
console = Console(highlight=False)


@app.callback()
def importing() -> None:
    """Bring in the history that another system keeps, by its API."""


@app.command("hubspot")
def hubspot(
    token: Annotated[str | None, typer.Option("--token", help=f"HubSpot's access token; others on this machine may see it, so rather set {TOKEN_VARIABLE} or use --token-file", show_default=False)] = None,
    token_file: Annotated[Path | None, typer.Option("--token-file", metavar="FILE", help="a file that holds the access token")] = None,
    base_url: Annotated[str, typer.Option("--base-url", help="where HubSpot's API is")] = BASE_URL,
    since: Annotated[str | None, typer.Option("--since", metavar="INSTANT|DATE", help="only contacts and deals that have changed since; campaigns are read whole")] = None,
    associated_from: Annotated[str, typer.Option("--associated-from", metavar="|".join(SINCE), help="since when campaigns hold the assets that the first import finds: HubSpot does not tell it")] = "campaign-created",
    won_stage: Annotated[list[str] | None, typer.Option("--won-stage", metavar="ID", help="a stage, by its internal name, whose deals are won, whatever its pipeline says; may be given several times")] = None,
    lost_stage: Annotated[list[str] | None, typer.Option("--lost-stage", metavar="ID", help="a stage whose deals are lost; may be given several times")] = None,
    state: Annotated[Path | None, typer.Option("--state", metavar="FILE", help="what is remembered between imports; without it, hubspot-WORKSPACE.import in the data directory, else here")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="read and check all, send nothing")] = False,
    data: Data = None, workspace: Workspace = DEFAULT_WORKSPACE, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Campaigns with their assets and spend, contacts and deals of a HubSpot account, with their own times.

    Run it again at any time: what has changed replaces what was told before, and nothing counts twice. A run that was stopped goes
    on where it was. Exits 1 if HubSpot cannot be read, or a record was refused.
    """
    if associated_from not in SINCE:
        raise typer.BadParameter(f"{associated_from!r} is none of {', '.join(SINCE)}", param_hint="--associated-from")
    since_us = instant(f"{since}T00:00:00Z" if since is not None and _is_date(since) else since, "--since")
    beside = state or (data or Path()) / f"hubspot-{quote(workspace, safe='')}.import"
    with plainly():
        secret = _token(token, token_file)
        with database(data) as url:
            history = uvloop.run(
                _import(url, workspace, secret, base_url, beside, since_us, associated_from, won_stage or [], lost_stage or [],
                        dry_run=dry_run, quiet=as_json)
            )  # fmt: skip
    if as_json:
        print(json.dumps(_said(history)))
    else:
        _tell(history)
    if any(tally.refused or tally.compared.conflicts for tally in history.tallies.values()):
        raise typer.Exit(1)


def _is_date(text: str) -> bool:
    try:
        dt.date.fromisoformat(text)
    except ValueError:
        return False
    return len(text) == len("2026-11-25")


def _token(given: str | None, file: Path | None) -> str:
    """The access token: as given, of a file, or of the environment. Raises `HubSpotRefuses` or `OSError`; neither tells the token."""
    if given is not None and file is not None:
        raise typer.BadParameter("it excludes --token-file", param_hint="--token")
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
        with Progress(*columns, console=Console(stderr=True), disable=quiet) as progress:
            tasks = {step: progress.add_task(step.replace("_", " "), total=None) for step in STEPS}

            def advance(step: Step, count: int) -> None:
                progress.advance(tasks[step], count)

            history = History(pool, log, workspace, asked, state, advance, since_us, associated, dry_run, won, lost)
            await history.run()
        return history


def _said(history: History) -> dict[str, Any]:
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
        "deals": _deals(history).told(names_contacts=True), "unmapped_assets": dict(found.unmapped), "unknown_stages": found.unknown_stages,
        "not_told": told_of(found, history.associated),
        "assets_without_times": found.assets_assumed, "deals_with_times": found.deals_with_times, "deals_without_times": found.deals_without_times,
        "pages_without_address": found.pages_without_address,
    }  # fmt: skip


def _deals(history: History) -> Deals:
    tally = history.tallies.get("deals")
    return Deals() if tally is None else tally.deals


def _tell(history: History) -> None:
    tallies = list(history.tallies.values())
    accepted: Counter[str] = sum((tally.accepted for tally in tallies), Counter())
    for step, tally in history.tallies.items():
        before = f", after {tally.resumed_at:,} that an earlier run has sent" if tally.resumed_at else ""
        console.print(f"[bold]{step.replace('_', ' ')}[/]: {tally.rows.read:,} read{before}")
    console.print(f"[bold]{'would be sent' if history.dry_run else 'sent'}[/]: {accepted.total():,} events")
    for name, count in accepted.most_common():
        console.print(f"  {count:>12,}  {name}")
    fates = Counter({fate: sum(tally.compared.counts[fate] for tally in tallies) for fate in FATES})
    for fate in FATES:
        if fates[fate] and fate != "conflicts":
            console.print(f"  {fates[fate]:>12,}  {FATE_SAYS[fate]}")
    _tell_deals(history)
    for name, count in history.found.unmapped.most_common():
        console.print(
            f"[bold]unmapped[/]: {count:,} assets of the type {escape(name)}; they are kept, and count for nothing",
            soft_wrap=True,
        )
    for name, count in history.found.unknown_stages.items():
        console.print(
            f"[bold]a stage that no pipeline has[/]: {escape(name)}, {count:,} times; it is taken for open",
            soft_wrap=True,
        )
    for sentence in told_of(history.found, history.associated):
        console.print(f"[bold]HubSpot does not tell[/] {escape(sentence)}", soft_wrap=True)
    _tell_wrong(history, fates["conflicts"])


def _tell_deals(history: History) -> None:
    deals = _deals(history).told(names_contacts=True)
    if not deals["rows"]:
        return
    console.print(f"[bold]deals[/]: {deals['won']:,} won, {deals['lost']:,} lost, {deals['open']:,} open")
    if deals["without_contact"]:
        console.print(f"  {deals['without_contact']:>12,}  without a contact")
    if deals["won_without_amount"]:
        console.print(
            f"  {deals['won_without_amount']:>12,}  won without an amount: they bring no revenue", soft_wrap=True
        )
    for reason, count in deals["can_never_count"].items():
        console.print(f"  {count:>12,}  cannot count for any campaign as they are: {reason}", soft_wrap=True)


def _tell_wrong(history: History, conflicts: int) -> None:
    """What was refused, what conflicts, and what was not compared."""
    for unknown in sorted({tally.compared.unknown for tally in history.tallies.values() if tally.compared.unknown}):
        errors.print(f"[yellow]not compared[/]: {escape(unknown)}", soft_wrap=True)
    if conflicts:
        errors.print(f"[red]conflicts[/]: {conflicts:,}")
    for step, tally in history.tallies.items():
        _tell_refused(history, step, tally)


def _tell_refused(history: History, step: Step, tally: Tally) -> None:
    for told in tally.compared.conflicts:
        errors.print(f"  {step}, record {told['line']}: {told['id']}", markup=False, soft_wrap=True)
    if not tally.refused:
        return
    errors.print(f"[red]refused[/]: {tally.rows.refused:,} of {step.replace('_', ' ')}")
    for told in tally.first:
        errors.print(f"  record {told['line']}: {told['field'] or ''} {told['message']}", markup=False, soft_wrap=True)
    if not history.dry_run:
        where = Refused(history.state.with_name(f"{history.state.name}.{step}"), None).path
        errors.print(f"  all of them, with their reasons: {escape(str(where))}", soft_wrap=True)
