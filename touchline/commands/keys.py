"""`touchline keys`: make, list and revoke the access keys of a workspace."""

import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import typer

from shared.access.keys import create_key, ensure_workspace, list_keys, revoke_keys, set_origins
from shared.access.origins import read_origins
from shared.access.scopes import SCOPES, Scope
from touchline.commands.output import console, failed, table_of
from touchline.commands.store import check_new_workspace, check_workspace, has_workspace, on_database, tables

Answer = TypeVar("Answer")


def create(scope: Scope | None, origin: list[str] | None, data: Path | None, workspace: str, *, as_json: bool) -> None:
    """Make a key of the scope, or one of each scope, and the workspace if there is none; print the keys.

    `origin` are the origins of the web pages that may use the collect key; None: of all. Exits 2 if one is none.
    """
    allowed = _read_origins(origin) if origin else None
    if allowed is not None and scope not in (None, "collect"):
        raise typer.BadParameter(f"only collect keys are used by web pages; a {scope} key has no origins")

    async def made(connection: "asyncpg.Connection[asyncpg.Record]") -> dict[Scope, str]:
        if not await has_workspace(connection, workspace):
            check_new_workspace(workspace, "--workspace")
        async with connection.transaction():
            await ensure_workspace(connection, workspace)
            return {
                each: await create_key(connection, workspace, each, allowed if each == "collect" else None)
                for each in ([scope] if scope else SCOPES)
            }

    keys = _on(data, made)
    if as_json:
        print(json.dumps({"workspace": workspace, "keys": keys}))
    else:
        for each, key in keys.items():
            console.print(f"  {each:8} {key}")


def origins(key: str, origin: list[str] | None, data: Path | None, workspace: str, *, as_json: bool) -> None:
    """Set the origins of the web pages that may use the collect key that begins with `key`; None: of all. Exits 1 if there is none."""
    allowed = None if origin is None else _read_origins(origin)

    async def put(connection: "asyncpg.Connection[asyncpg.Record]") -> list[Scope]:
        return await set_origins(connection, workspace, key.rstrip("…"), allowed)

    scopes = _on(data, put, workspace)
    if len(scopes) != 1:
        raise _not_one(len(scopes), workspace, key)
    if scopes[0] != "collect":
        raise failed(f"only collect keys are used by web pages; a {scopes[0]} key has no origins")
    if as_json:
        print(json.dumps({"origins": allowed}))
    else:
        for origin_ in ["pages of all origins"] if allowed is None else allowed:
            console.print(origin_)


def _read_origins(origins: list[str]) -> list[str]:
    try:
        return read_origins(origins)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def list_(data: Path | None, workspace: str, *, as_json: bool) -> None:
    """Print the keys of a workspace: their first characters, scope, when each was created and revoked, and origins."""

    async def listed(connection: "asyncpg.Connection[asyncpg.Record]") -> list[dict[str, Any]]:
        return await list_keys(connection, workspace)

    keys = _on(data, listed, workspace)
    if as_json:
        print(json.dumps({"workspace": workspace, "keys": keys}))
        return
    table = table_of("key", "scope", "created", "revoked", "pages of")
    for key in keys:
        table.add_row(f"{key['hint']}…", key["scope"], key["created_at"], key["revoked_at"] or "", _pages(key))
    console.print(table)


def _pages(key: dict[str, Any]) -> str:
    """Which web pages may use a key, for people; empty if it is not one for web pages."""
    if key["scope"] != "collect":
        return ""
    return "all origins" if key["origins"] is None else ", ".join(key["origins"]) or "no origin"


def revoke(key: str, data: Path | None, workspace: str, *, as_json: bool) -> None:
    """Revoke the one key in force that begins with `key`. Exits 1 if none does, or several do."""

    async def revoked(connection: "asyncpg.Connection[asyncpg.Record]") -> int:
        return await revoke_keys(connection, workspace, key.rstrip("…"))

    count = _on(data, revoked, workspace)
    if count != 1:
        raise _not_one(count, workspace, key)
    print(json.dumps({"revoked": count})) if as_json else console.print("revoked")


def _not_one(count: int, workspace: str, key: str) -> typer.Exit:
    return failed(f"{count or 'no'} keys in force of {workspace} begin with {key}; name the whole key")


def _on(
    data: Path | None, work: "Callable[[asyncpg.Connection[asyncpg.Record]], Coroutine[Any, Any, Answer]]",
    of: str | None = None,
) -> Answer:  # fmt: skip
    """Do work on the durable tables of a store, which are made if there are none; answers what the work answers.

    Raises `typer.BadParameter` if there is no workspace `of`.
    """

    async def worked(url: str) -> Answer:
        async with tables(url, 1) as pool:
            if of is not None:
                await check_workspace(pool, of)
            async with pool.acquire() as connection:
                return await work(connection)

    return on_database(data, worked)
