"""`touchline keys`: the access keys of a workspace."""

from typing import Annotated

import typer

from shared.access.scopes import OPERATOR_WORKSPACE, Scope
from touchline.cli.groups import command, group
from touchline.cli.options import AsJson, Data, Workspace

app = group("Make, list and revoke the access keys of a workspace.")


@command(app, "create")
def create(
    scope: Annotated[Scope | None, typer.Option(help="what the key is for; without it, one key of each scope is made")] = None,
    data: Data = None, workspace: Workspace = OPERATOR_WORKSPACE, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Make new keys of a workspace, and the workspace too if there is none of this name.

    The keys are printed here and never again: the store keeps their SHA-256 only.
    """
    from touchline.commands import keys

    keys.create(scope, data, workspace, as_json=as_json)


@command(app, "list")
def list_(data: Data = None, workspace: Workspace = OPERATOR_WORKSPACE, as_json: AsJson = False) -> None:
    """List the keys of a workspace: their first characters, scope, and when each was created and revoked."""
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
