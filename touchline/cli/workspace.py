"""`touchline workspace`: the workspaces of a store."""

from typing import Annotated

import typer

from shared.access.scopes import OPERATOR_WORKSPACE
from touchline.cli.groups import command, group
from touchline.cli.options import AsJson, Data, Workspace

app = group("Make, list and configure workspaces.")


@command(app, "create")
def create(
    workspace: Annotated[str, typer.Argument(help="the workspace's id, such as shop")],
    name: Annotated[str | None, typer.Option(help="the name that people read; without it, the id")] = None,
    data: Data = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Make a workspace with one key of each scope. Exits 1 if there is one of this id.

    The keys are printed here and never again: the store keeps their SHA-256 only.
    """
    from touchline.commands import workspace as workspaces

    workspaces.create(workspace, name, data, as_json=as_json)


@command(app, "list")
def list_(data: Data = None, as_json: AsJson = False) -> None:
    """List the workspaces of a store: id, name, how many keys are in force, and when each was made."""
    from touchline.commands import workspace as workspaces

    workspaces.list_(data, as_json=as_json)


@command(app, "configure")
def configure(
    settings: Annotated[list[str], typer.Option("--set", metavar="NAME=VALUE", help="a setting, such as time_zone=Europe/Oslo, currency=NOK or lookback_days=null; may be given several times")],
    data: Data = None, workspace: Workspace = OPERATOR_WORKSPACE, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Change settings of a workspace. They apply to all of its history, except those of producers and of words that name nobody.

    A value is JSON or a text; the texts of a list have commas between them. docs/wire.md lists the settings at
    `workspace_configured`.
    """
    from touchline.commands import workspace as workspaces

    workspaces.configure(settings, data, workspace, as_json=as_json)
