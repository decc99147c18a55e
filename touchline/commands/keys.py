"""`touchline keys`: make, list and revoke the access keys of a workspace."""

import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import typer
import uvloop
from rich.console import Console
from rich.table import Table

from shared.access.keys import create_key, ensure_workspace, list_keys, revoke_keys
from shared.access.scopes import SCOPES, Scope
from touchline.commands.output import errors, errors_in_one_line
from touchline.commands.store import database, tables

console = Console(highlight=False)

Answer = TypeVar("Answer")


def create(scope: Scope | None, data: Path | None, workspace: str, *, as_json: bool) -> None:
    """Make a key of the scope, or one of each scope, and the workspace if there is none; print the keys."""

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


def list_(data: Path | None, workspace: str, *, as_json: bool) -> None:
    """Print the keys of a workspace: their first characters, scope, and when each was created and revoked."""

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


def revoke(key: str, data: Path | None, workspace: str, *, as_json: bool) -> None:
    """Revoke the one key in force that begins with `key`. Exits 1 if none does, or several do."""

    async def revoked(connection: "asyncpg.Connection[asyncpg.Record]") -> int:
        return await revoke_keys(connection, workspace, key.rstrip("…"))

    count = _on(data, revoked)
    if count != 1:
        errors.print(f"[red]{count or 'no'} keys in force of {workspace} begin with {key}; name the whole key[/]")
        raise typer.Exit(1)
    print(json.dumps({"revoked": count})) if as_json else console.print("revoked")


def _on(
    data: Path | None, work: "Callable[[asyncpg.Connection[asyncpg.Record]], Coroutine[Any, Any, Answer]]"
) -> Answer:
    """Do work on the durable tables of a store, which are made if there are none; answers what the work answers."""

    async def worked(url: str) -> Answer:
        async with tables(url, 1) as pool, pool.acquire() as connection:
            return await work(connection)

    with errors_in_one_line(), database(data) as url:
        return uvloop.run(worked(url))
