"""`touchline dead-letters`: the events that were refused and kept."""

from typing import Annotated

import typer

from shared.access.scopes import OPERATOR_WORKSPACE
from touchline.cli.groups import command, group
from touchline.cli.options import AsJson, Data, Workspace

app = group("List, resend or delete dead letters: events that were refused and kept.")

Numbers = Annotated[
    list[int] | None,
    typer.Argument(metavar="NUMBER…", help="the numbers of dead letters, as `touchline dead-letters list` shows them"),
]
All = Annotated[
    bool, typer.Option("--all", help="all dead letters of the workspace or, with --reason, all of this reason")
]
Reason = Annotated[str | None, typer.Option(help="only dead letters with this reason, such as unknown_field")]


@command(app, "list")
def list_(
    reason: Reason = None, limit: Annotated[int, typer.Option(help="how many are listed at most")] = 50,
    data: Data = None, workspace: Workspace = OPERATOR_WORKSPACE, as_json: AsJson = False,
) -> None:  # fmt: skip
    """List dead letters, the oldest first.

    Also shows how many dead letters of each key were deleted because newer ones took their place.
    """
    from touchline.commands import dead_letters

    dead_letters.list_(reason, limit, data, workspace, as_json=as_json)


@command(app, "show")
def show(
    number: Annotated[int, typer.Argument(help="the number of the dead letter, as `touchline dead-letters list` shows it")],
    data: Data = None, workspace: Workspace = OPERATOR_WORKSPACE, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Show one dead letter with all its fields and the event as it was sent. Exits 1 if there is no such dead letter."""
    from touchline.commands import dead_letters

    dead_letters.show(number, data, workspace, as_json=as_json)


@command(app, "retry")
def retry(
    numbers: Numbers = None, all_: All = False, reason: Reason = None,
    data: Data = None, workspace: Workspace = OPERATOR_WORKSPACE, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Send dead letters again, each with the time at which it was first received.

    Exits 1 if one is refused again, which is kept as it was, or if there is none of a number; the others are sent.
    """
    from touchline.commands import dead_letters

    dead_letters.retry(numbers, reason, data, workspace, all_=all_, as_json=as_json)


@command(app, "drop")
def drop(
    numbers: Numbers = None, all_: All = False, reason: Reason = None,
    yes: Annotated[bool, typer.Option("--yes", help="with --all: do not ask for confirmation")] = False,
    data: Data = None, workspace: Workspace = OPERATOR_WORKSPACE, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Delete dead letters for ever. With --all it asks for confirmation first. Exits 1 if there is none of a number; the others are deleted."""
    from touchline.commands import dead_letters

    dead_letters.drop(numbers, reason, data, workspace, all_=all_, yes=yes, as_json=as_json)
