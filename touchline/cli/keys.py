"""`touchline keys`: the access keys of a workspace."""

from typing import Annotated

import typer

from shared.access.scopes import OPERATOR_WORKSPACE, Scope
from touchline.cli.groups import command, group
from touchline.cli.options import AsJson, Data, Workspace

ORIGIN_HELP = "an origin whose web pages may use the collect key, such as https://shop.example or https://*.shop.example; may be given several times"

app = group("Make, list and revoke the access keys of a workspace.")


@command(app, "create")
def create(
    scope: Annotated[Scope | None, typer.Option(help="what the key is for; without it, one key of each scope is made")] = None,
    origin: Annotated[list[str] | None, typer.Option(help=ORIGIN_HELP + "; without it, pages of all origins may")] = None,
    data: Data = None, workspace: Workspace = OPERATOR_WORKSPACE, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Make new keys of a workspace, and the workspace too if there is none of this name.

    The keys are printed here and never again: the store keeps their SHA-256 only.
    """
    from touchline.commands import keys

    keys.create(scope, origin, data, workspace, as_json=as_json)


@command(app, "origins")
def origins(
    key: Annotated[str, typer.Argument(help="the whole collect key, or its first characters as `touchline keys list` shows them")],
    origin: Annotated[list[str] | None, typer.Option(help=ORIGIN_HELP + "; give all of them, they replace those before")] = None,
    any_: Annotated[bool, typer.Option("--any", help="let pages of all origins use the key")] = False,
    data: Data = None, workspace: Workspace = OPERATOR_WORKSPACE, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Say from which web pages a collect key may be used. Running services use the new list within 5 seconds.

    Browsers send the origin of their page; the list does not stop a program that sends a false origin. Exits 1 if there is no such key.
    """
    from touchline.commands import keys

    if any_ == bool(origin):
        raise typer.BadParameter("give --origin, once for each, or --any")
    keys.origins(key, None if any_ else origin, data, workspace, as_json=as_json)


@command(app, "list")
def list_(data: Data = None, workspace: Workspace = OPERATOR_WORKSPACE, as_json: AsJson = False) -> None:
    """List the keys of a workspace: their first characters, scope, when each was created and revoked, and the origins of a collect key."""
    from touchline.commands import keys

    keys.list_(data, workspace, as_json=as_json)


@command(app, "revoke")
def revoke(
    key: Annotated[str, typer.Argument(help="the whole key, or its first characters as `touchline keys list` shows them")],
    data: Data = None, workspace: Workspace = OPERATOR_WORKSPACE, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Revoke a key. Running services refuse it within 5 seconds, or within 15 minutes if they cannot reach the database.

    Exits 1 if no key, or more than one, begins with these characters.
    """
    from touchline.commands import keys

    keys.revoke(key, data, workspace, as_json=as_json)
