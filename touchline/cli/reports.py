"""`touchline status` and `identifiers`: reports about a store."""

from typing import Annotated

import typer

from shared.access.scopes import OPERATOR_WORKSPACE
from shared.reading.limits import JOINED_DEFAULT, JOINED_MAX, JOINED_MIN, LIMIT_DEFAULT, LIMIT_MAX
from touchline.cli.groups import command
from touchline.cli.options import AsJson, Data, Workspace


def add_to(app: typer.Typer) -> None:
    """Add the commands of this file to a group."""
    command(app, "status")(status)
    command(app, "identifiers")(identifiers)


def status(data: Data = None, as_json: AsJson = False) -> None:
    """Show how far each partition of the log is projected, how many events wait, and how many dead letters each key has.

    Exits 1 if the log does not answer, or if there is no generation of this release's shape.
    """
    from touchline.commands import status

    status.status(data, as_json=as_json)


def identifiers(
    min_joined: Annotated[
        int,
        typer.Option(min=JOINED_MIN, max=JOINED_MAX, help="list only identifiers that are joined with at least so many others"),
    ] = JOINED_DEFAULT,
    limit: Annotated[int, typer.Option(min=1, max=LIMIT_MAX, help="how many are listed at most")] = LIMIT_DEFAULT,
    data: Data = None, workspace: Workspace = OPERATOR_WORKSPACE, as_json: AsJson = False,
) -> None:  # fmt: skip
    """List the identifiers that events join with many others, the most joined first.

    Such an identifier often names no single person: a placeholder such as `unknown`, a shop's till, a shared e-mail address.
    """
    from touchline.commands import identifiers

    identifiers.identifiers(min_joined, limit, data, workspace, as_json=as_json)
