"""`touchline keys`: who may send, and who may read?"""

import json
from collections.abc import Callable, Coroutine
from typing import Annotated, Any, TypeVar

import asyncpg
import typer
import uvloop
from rich.console import Console
from rich.table import Table

from services.ingest.workspaces import DEFAULT_WORKSPACE
from shared.access.keys import SCOPES, Scope, create_key, ensure_workspace, list_keys, revoke_keys
from touchline.cli.plainly import errors, plainly
from touchline.cli.reach import AsJson, Data, Workspace, database, tables

app = typer.Typer(help="Who may send, and who may read?", no_args_is_help=True)
console = Console(highlight=False)

Answer = TypeVar("Answer")


@app.command("create")
def create(
    scope: Annotated[Scope | None, typer.Option(help="all four if none is named")] = None,
    data: Data = None, workspace: Workspace = DEFAULT_WORKSPACE, as_json: AsJson = False,
) -> None:  # fmt: skip
    """New keys of a workspace, which is made if there is none. They are shown here and never again."""

    async def made(connection: "asyncpg.Connection[asyncpg.Record]") -> dict[Scope, str]:
        async with connection.transaction():
            await ensure_workspace(connection, workspace)
            return {each: await create_key(connection, workspace, each) for each in ([scope] if scope else SCOPES)}

    keys = _on(data, made)
    if as_json:
        print(json.dumps({"workspace": workspace, "keys": keys}))
    else:
        for each, key in keys.items():
            console.print(f"  {each:8} {key}", soft_wrap=True)


@app.command("list")
def list_(data: Data = None, workspace: Workspace = DEFAULT_WORKSPACE, as_json: AsJson = False) -> None:
    """The keys of a workspace, by their first characters."""

    async def listed(connection: "asyncpg.Connection[asyncpg.Record]") -> list[dict[str, Any]]:
        return await list_keys(connection, workspace)

    keys = _on(data, listed)
    if as_json:
        print(json.dumps({"workspace": workspace, "keys": keys}))
        return
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for heading in ("key", "scope", "created", "revoked"):
        table.add_column(heading, overflow="fold")
    for key in keys:
        table.add_row(f"{key['hint']}…", key["scope"], key["created_at"], key["revoked_at"] or "")
    console.print(table)


@app.command("revoke")
def revoke(
    key: Annotated[str, typer.Argument(help="the key, or its first characters as `list` shows them")],
    data: Data = None, workspace: Workspace = DEFAULT_WORKSPACE, as_json: AsJson = False,
) -> None:  # fmt: skip
    """End a key. Services stop taking it within five seconds, within 15 minutes where the database is away."""

    async def revoked(connection: "asyncpg.Connection[asyncpg.Record]") -> int:
        return await revoke_keys(connection, workspace, key.rstrip("…"))

    count = _on(data, revoked)
    if count != 1:
        errors.print(f"[red]{count or 'no'} keys in force of {workspace} begin with {key}; name the whole key[/]")
        raise typer.Exit(1)
    print(json.dumps({"revoked": count})) if as_json else console.print("revoked")


def _on(data: Any, work: "Callable[[asyncpg.Connection[asyncpg.Record]], Coroutine[Any, Any, Answer]]") -> Answer:
    """Work on the durable tables, which are made if there are none."""

    async def worked(url: str) -> Answer:
        async with tables(url, 1) as pool, pool.acquire() as connection:
            return await work(connection)

    with plainly(), database(data) as url:
        return uvloop.run(worked(url))
