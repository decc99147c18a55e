"""`touchline identifiers`: which identifier joins improbably many others?"""

import json
from typing import Annotated, Any

import typer
import uvloop
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from services.ingest.workspaces import DEFAULT_WORKSPACE
from shared.reading.identifiers import JOINED_DEFAULT, JOINED_MAX, JOINED_MIN, joined_identifiers
from shared.reading.pages import LIMIT_DEFAULT, LIMIT_MAX
from touchline.cli.plainly import plainly
from touchline.cli.reach import AsJson, Data, Workspace, database, read_only

console = Console(highlight=False)


def identifiers(
    min_joined: Annotated[
        int, typer.Option(min=JOINED_MIN, max=JOINED_MAX, help="how many others an identifier is joined with at least")
    ] = JOINED_DEFAULT,
    limit: Annotated[int, typer.Option(min=1, max=LIMIT_MAX, help="how many are listed at most")] = LIMIT_DEFAULT,
    data: Data = None, workspace: Workspace = DEFAULT_WORKSPACE, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Identifiers that events join with many others, most first: words that name nobody, tills, shared addresses."""

    async def asked(url: str) -> dict[str, Any]:
        async with read_only(url, workspace) as snapshot:
            return {**await joined_identifiers(snapshot, min_joined, limit), "as_of": str(snapshot.as_of)}

    with plainly(), database(data) as url:
        said = uvloop.run(asked(url))
    if as_json:
        print(json.dumps(said))
    elif not said["items"]:
        console.print(f"no identifier is joined with {min_joined} others or more")
    else:
        _tell(said)


def _tell(said: dict[str, Any]) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for heading in ("joins", "kind", "identifier", "of the contact"):
        table.add_column(heading, overflow="fold")
    for item in said["items"]:
        table.add_row(str(item["joined"]), item["kind"], escape(item["identifier"]), escape(item["contact"]))
    console.print(table)
    if said["next_cursor"] is not None:
        console.print(f"and more: --limit takes up to {LIMIT_MAX}")
