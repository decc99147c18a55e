"""`touchline explain`: why an event or a deal counts for a campaign, or does not."""

from typing import Annotated

import typer

from shared.access.scopes import OPERATOR_WORKSPACE
from touchline.cli.groups import command, group
from touchline.cli.options import AsJson, Data, Generation, Workspace

app = group("Explain why an event or a deal counts for a campaign, or does not.")


@command(app, "event")
def event(
    event_id: Annotated[str, typer.Argument(metavar="ID", help="the id of the event")],
    generation: Generation = None, data: Data = None, workspace: Workspace = OPERATOR_WORKSPACE, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Show what an event counted for and in which campaigns, and why it does not count in others."""
    from touchline.commands import explain

    explain.event(event_id, generation, data, workspace, as_json=as_json)


@command(app, "deal")
def deal(
    deal_id: Annotated[str, typer.Argument(metavar="ID", help="the id of the deal")],
    campaign: Annotated[str, typer.Option(help="the id of the campaign that the question is about")],
    generation: Generation = None, data: Data = None, workspace: Workspace = OPERATOR_WORKSPACE, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Show why a deal counts for a campaign, or does not: each condition, with the event that decides it."""
    from touchline.commands import explain

    explain.deal(deal_id, campaign, generation, data, workspace, as_json=as_json)
