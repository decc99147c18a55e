"""`touchline replay`: projections of the whole log, made beside the live one."""

from pathlib import Path
from typing import Annotated

import typer

from shared.access.scopes import OPERATOR_WORKSPACE
from touchline.cli.groups import command, group
from touchline.cli.options import CORES, INSTANT, AsJson, Data, Generation, Processes, Workspace

app = group("Project the log again beside the live tables: to check them, to replace them, or to try changes.")


@command(app, "verify")
def verify(
    sample: Annotated[str | None, typer.Option(metavar="SHARE", help="compare only this share of the persons and deals, such as 1%; each run draws another one")] = None,
    processes: Processes = CORES, data: Data = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Project the log from its beginning, and compare every table with the live one at the same position of the log.

    The services may run meanwhile. Exits 3 if a row differs; each such row is shown with the event that it follows from. With
    --sample only some persons and deals are projected and compared, with everything that belongs to them.
    """
    from touchline.commands import replay

    replay.verify_(sample, processes, data, as_json=as_json)


@command(app, "rebuild")
def rebuild(processes: Processes = CORES, data: Data = None, as_json: AsJson = False) -> None:
    """Project the log from its beginning into a new generation, and make that the live one. The services may run meanwhile.

    A rebuild that was stopped is continued. The rows that differ from the generation before are listed. That generation is kept
    until the next rebuild, and `touchline replay rollback` makes it the live one again. Generations of another release's shape
    stay as they are, and so do the services that use them.
    """
    from touchline.commands import replay

    replay.rebuild_(processes, data, as_json=as_json)


@command(app, "rollback")
def rollback(data: Data = None, as_json: AsJson = False) -> None:
    """Make the generation that was live before the last rebuild the live one again."""
    from touchline.commands import replay

    replay.rollback_(data, as_json=as_json)


@command(app, "checksums")
def checksums(
    generation: Generation = None, data: Data = None, workspace: Workspace = OPERATOR_WORKSPACE, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Print a checksum of every table of a workspace.

    Two stores that hold the same set of events have equal checksums, in whatever order the events came.
    """
    from touchline.commands import replay

    replay.checksums_(generation, data, workspace, as_json=as_json)


@command(app, "list")
def list_(data: Data = None, as_json: AsJson = False) -> None:
    """List the generations of the store, and the state of each."""
    from touchline.commands import replay

    replay.list_(data, as_json=as_json)


@command(app, "drop")
def drop(
    name: Annotated[str, typer.Argument(help="the name of a generation that is not the live one")],
    other_release: Annotated[bool, typer.Option("--other-release", help="delete it even if it is the live one of another release's shape, whose services have ended")] = False,
    data: Data = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Delete a generation for ever. Exits 1 if there is none of this name, or if it is the live one of this release's shape."""
    from touchline.commands import replay

    replay.drop_(name, data, other_release=other_release, as_json=as_json)


@command(app, "what-if")
def what_if(
    name: Annotated[str, typer.Argument(help="the name of the new generation; reads ask for it by ?generation=NAME")],
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="a setting of the workspace, such as session_gap_minutes=60; may be given several times")] = None,
    with_: Annotated[list[Path] | None, typer.Option("--with", metavar="FILE", help="a file of events (NDJSON) that are added; may be given several times")] = None,
    without: Annotated[list[str] | None, typer.Option(metavar="ID", help="the id of an event that is left out; may be given several times")] = None,
    received_by: Annotated[str | None, typer.Option(metavar=INSTANT, help="leave out the events that were received after this instant")] = None,
    keep: Annotated[str, typer.Option(metavar="AGE", help="how long the generation is kept, in minutes, hours or days: 30m, 12h, 7d")] = "7d",
    processes: Processes = CORES, data: Data = None, workspace: Workspace = OPERATOR_WORKSPACE, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Project the events of one workspace with changes, into a generation of its own. The live numbers stay as they are."""
    from touchline.commands import what_if

    what_if.what_if_(
        name, set_ or [], with_ or [], without or [], received_by, keep, processes, data, workspace, as_json=as_json
    )


@command(app, "diff")
def diff(
    one: Annotated[str, typer.Argument(help="the name of a generation, or `live` for the live one")],
    other: Annotated[str, typer.Argument(help="the name of the generation that it is compared with")],
    model: Annotated[str, typer.Option(help="the attribution model that shares the revenue of deals among touches")] = "linear",
    data: Data = None, workspace: Workspace = OPERATOR_WORKSPACE, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Compare two generations: what each campaign, deal and contact gains or loses, and through which touches.

    Exits 3 if there is a difference.
    """
    from touchline.commands import what_if

    what_if.diff(one, other, model, data, workspace, as_json=as_json)
