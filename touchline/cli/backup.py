"""`touchline backup`: everything that cannot be made again goes into one file, and a store is made from that file."""

from pathlib import Path
from typing import Annotated

import typer

from touchline.cli.groups import command, group
from touchline.cli.options import CORES, AsJson, Data, Processes

app = group("Write the log, keys, workspaces and settings into one file, and make a store from such a file.")


@command(app, "create")
def create(
    target: Annotated[Path, typer.Argument(metavar="FILE|DIR", help="the file that is written, which must not exist; in a folder, it is named by the present time")],
    data: Data = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Write a backup into a file. The services may run meanwhile.

    It holds the state of one moment. Only the user who runs this command may read the file.
    """
    from touchline.commands import backup

    backup.create_(target, data, as_json=as_json)


@command(app, "restore")
def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="a file that `touchline backup create` wrote")],
    data: Annotated[Path | None, typer.Option(help="the data directory of a new embedded store; without it, the empty database that TOUCHLINE_DATABASE_URL names")] = None,
    processes: Processes = CORES, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Fill an empty store with what a backup holds, and project its log. Start the services afterwards; the old keys work.

    If the log is Kafka, its topic must be empty too, or be the topic that the backup was made from.
    """
    from touchline.commands import backup

    backup.restore_(file, data, processes, as_json=as_json)
