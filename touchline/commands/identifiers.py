"""`touchline identifiers`: the identifiers that events join with so many others that they may not name one person."""

import json
from pathlib import Path
from typing import Any

from shared.reading.identifiers import joined_identifiers
from shared.reading.limits import LIMIT_MAX
from touchline.commands.output import console, table_of
from touchline.commands.store import names_in, on_database, read_only


def identifiers(min_joined: int, limit: int, data: Path | None, workspace: str, *, as_json: bool) -> None:
    """Print at most `limit` identifiers that events join with at least `min_joined` others, the most joined first."""

    async def asked(url: str) -> dict[str, Any]:
        async with read_only(url, workspace) as snapshot:
            page = {**await joined_identifiers(snapshot, min_joined, limit), "as_of": str(snapshot.as_of)}
        return dict(await names_in(url, workspace, page))

    page = on_database(data, asked)
    if as_json:
        print(json.dumps(page))
    elif not page["items"]:
        console.print(f"no identifier is joined with {min_joined} others or more")
    else:
        _print_text(page)


def _print_text(page: dict[str, Any]) -> None:
    table = table_of("joins", "kind", "identifier", "of the contact")
    for item in page["items"]:
        table.add_row(str(item["joined"]), item["kind"], item["identifier"], item["contact"])
    console.print(table)
    if page["next_cursor"] is not None:
        console.print(f"and more: --limit takes up to {LIMIT_MAX}")
