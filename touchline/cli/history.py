"""`touchline backfill`, `import` and `export`: events of the past come in and go out."""

from pathlib import Path
from typing import Annotated

import typer

from services.replay.hubspot.options import BASE_URL, SINCE
from services.replay.ready_mappings import ready_mappings
from shared.access.scopes import OPERATOR_WORKSPACE
from touchline.cli.groups import command, group
from touchline.cli.options import INSTANT, AsJson, Data, Workspace

EVENTS_PER_S = 10_000  # a running service still has room for live traffic
MAPPING_HELP = f"which events the rows of a table mean: a TOML file, or the name of one that comes with Touchline: {', '.join(ready_mappings())}"
TOKEN_VARIABLE = "TOUCHLINE_HUBSPOT_TOKEN"  # noqa: S105 - the name of a variable


def add_to(app: typer.Typer) -> None:
    """Add the commands of this file to a group."""
    command(app, "backfill")(backfill)
    command(app, "export")(export)


def backfill(
    sources: Annotated[list[str], typer.Argument(metavar="FILE…", help="files of NDJSON, CSV or Parquet, also compressed (.gz, .zst); patterns with * are taken; - is standard input")],
    mapping: Annotated[str | None, typer.Option("--mapping", metavar="NAME|FILE", help=MAPPING_HELP)] = None,
    zone: Annotated[str | None, typer.Option("--zone", help="the time zone of a table's instants that name none, such as Europe/Oslo")] = None,
    as_of: Annotated[str | None, typer.Option("--as-of", metavar=INSTANT, help="when a table was exported; without it, the table's column of the last change is used, else the present time")] = None,
    day_first: Annotated[bool, typer.Option("--day-first", help="05/04/2024 in a table means 5 April")] = False,
    month_first: Annotated[bool, typer.Option("--month-first", help="05/04/2024 in a table means 4 May")] = False,
    decimal: Annotated[str | None, typer.Option("--decimal", metavar="SIGN", help="the decimal sign of a table's numbers: . or ,")] = None,
    won_stage: Annotated[list[str] | None, typer.Option("--won-stage", metavar="NAME", help="the name of a stage whose deals are won; may be given several times")] = None,
    lost_stage: Annotated[list[str] | None, typer.Option("--lost-stage", metavar="NAME", help="the name of a stage whose deals are lost; may be given several times")] = None,
    currency: Annotated[str | None, typer.Option("--currency", metavar="CODE", help="the currency of a table's amounts that name none, such as EUR")] = None,
    campaigns: Annotated[Path | None, typer.Option("--campaigns", metavar="FILE", help="a CSV file with two columns: ad_campaign (an advertising platform's id or name) and campaign_id (the id in Touchline)")] = None,
    rate: Annotated[float, typer.Option(min=1, help="how many events a second are sent at most")] = EVENTS_PER_S,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="read and check everything, and send nothing")] = False,
    data: Data = None, workspace: Workspace = OPERATOR_WORKSPACE, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Send events of the past from files.

    An event that was sent before counts once, so you may send a file again. A run that was stopped is continued.

    Refused rows are written to a file beside their source, each with its line number and the reason. Each event is compared with
    the one that is stored under its id. Exits 1 if a row was refused, or if an event conflicts with another of its id.
    """
    from touchline.commands import backfill

    given = backfill.Given(
        zone, as_of, day_first, month_first, decimal, won_stage or [], lost_stage or [], currency, campaigns
    )
    backfill.backfill(sources, mapping, given, rate, data, workspace, dry_run=dry_run, as_json=as_json)


def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="the file that is written: NDJSON, compressed if its name ends in .gz or .zst; Parquet if it ends in .parquet; - is standard output")],
    from_: Annotated[str | None, typer.Option("--from", metavar=INSTANT, help="only events that happened at this instant or later")] = None,
    to: Annotated[str | None, typer.Option(metavar=INSTANT, help="only events that happened before this instant")] = None,
    types: Annotated[list[str] | None, typer.Option("--type", help="only events of this type; may be given several times")] = None,
    contact: Annotated[str | None, typer.Option(help="only events of this contact: those that name it, or any other identifier of the same person")] = None,
    data: Data = None, workspace: Workspace = OPERATOR_WORKSPACE, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Write the events of a workspace to a file, as they were sent, each id once. `touchline backfill` can read the file.

    Retracted events are written too, and the events that retract them.
    """
    from touchline.commands import export

    export.export(file, from_, to, types or [], contact, data, workspace, as_json=as_json)


importing = group("Read the history that another system keeps from its API.")


@importing.callback()
def import_() -> None:
    """Keep `import` a group, although it has one command."""


@command(importing, "hubspot")
def hubspot(
    token: Annotated[str | None, typer.Option("--token", help=f"HubSpot's access token; other users of this machine may see it in the list of processes, so rather set {TOKEN_VARIABLE} or use --token-file", show_default=False)] = None,
    token_file: Annotated[Path | None, typer.Option("--token-file", metavar="FILE", help="a file that holds the access token")] = None,
    base_url: Annotated[str, typer.Option("--base-url", help="the address of HubSpot's API")] = BASE_URL,
    since: Annotated[str | None, typer.Option("--since", metavar="INSTANT|DATE", help="only contacts and deals that have changed since; campaigns are always read whole")] = None,
    associated_from: Annotated[str, typer.Option("--associated-from", metavar="|".join(SINCE), help="since when campaigns hold the assets that the first import finds, which HubSpot does not say")] = "campaign-created",
    won_stage: Annotated[list[str] | None, typer.Option("--won-stage", metavar="ID", help="the internal name of a stage whose deals are won, whatever its pipeline says; may be given several times")] = None,
    lost_stage: Annotated[list[str] | None, typer.Option("--lost-stage", metavar="ID", help="the internal name of a stage whose deals are lost, whatever its pipeline says; may be given several times")] = None,
    state: Annotated[Path | None, typer.Option("--state", metavar="FILE", help="the file that keeps what must be known at the next import; without it, hubspot-WORKSPACE.import in the data directory or, if none is given, in the present folder")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="read and check everything, and send nothing")] = False,
    data: Data = None, workspace: Workspace = OPERATOR_WORKSPACE, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Import the campaigns of a HubSpot account with their assets and spend, its contacts and its deals.

    Everything gets the time at which it happened in HubSpot. You may run it again at any time: changes replace what an earlier
    import sent, and nothing counts twice. A run that was stopped is continued. Exits 1 if HubSpot cannot be read, or if a record
    was refused.
    """
    from touchline.commands import importing

    given = importing.Given(
        token, token_file, base_url, since, associated_from, won_stage or [], lost_stage or [], state
    )
    importing.hubspot(given, data, workspace, dry_run=dry_run, as_json=as_json)
