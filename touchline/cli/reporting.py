"""`touchline reporting`: logins for programs that read the SQL views of a workspace."""

from typing import Annotated

import typer

from shared.access.scopes import OPERATOR_WORKSPACE
from touchline.cli.groups import command, group
from touchline.cli.options import AsJson, Data, Workspace

app = group(
    "Make, list and remove logins of PostgreSQL that read the SQL views of one workspace, for BI tools and the like."
)

Login = Annotated[str, typer.Argument(help="the name of the login, in PostgreSQL's terms a role", show_default=False)]


@command(app, "create")
def create(login: Login, data: Data = None, workspace: Workspace = OPERATOR_WORKSPACE, as_json: AsJson = False) -> None:
    """Make a login that reads the views of the schema `reporting` and nothing else, and only rows of the workspace.

    Its password is printed here and never again.
    """
    from touchline.commands import reporting

    reporting.create(login, data, workspace, as_json=as_json)


@command(app, "list")
def list_(data: Data = None, workspace: Workspace = OPERATOR_WORKSPACE, as_json: AsJson = False) -> None:
    """List the logins of a workspace."""
    from touchline.commands import reporting

    reporting.list_(data, workspace, as_json=as_json)


@command(app, "remove")
def remove(login: Login, data: Data = None, workspace: Workspace = OPERATOR_WORKSPACE, as_json: AsJson = False) -> None:
    """Remove a login of a workspace. Exits 1 if there is none of this name."""
    from touchline.commands import reporting

    reporting.remove(login, data, workspace, as_json=as_json)
