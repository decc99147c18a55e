"""`touchline producers connect`, `disconnect`, `accounts`: the accounts whose signed messages a workspace takes."""

import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import typer

from shared.access.accounts import connect as connect_account
from shared.access.accounts import disconnect as disconnect_account
from shared.access.accounts import list_accounts, unfit
from touchline.commands.output import console, errors_in_one_line, failed, table_of
from touchline.commands.store import check_workspace, on_database, tables

Answer = TypeVar("Answer")


def connect(
    producer: str, account: str, secret_file: Path | None, data: Path | None, workspace: str, *, as_json: bool
) -> None:
    """Store an account and its secret, which is read from the file or, without one, from the terminal.

    Exits 1 if the account is connected with another workspace. Raises `typer.BadParameter`.
    """
    if problem := unfit(producer, account):
        raise typer.BadParameter(problem[1], param_hint="PRODUCER" if problem[0] == "producer" else "--account")
    if secret_file is None:
        secret = typer.prompt("secret", hide_input=True, err=True)
    else:
        with errors_in_one_line():
            secret = secret_file.read_text("utf-8", errors="replace")
    secret = secret.strip()
    if problem := unfit(producer, account, secret):
        raise typer.BadParameter(problem[1], param_hint="--secret-file")

    async def connected(pool: "asyncpg.Pool[asyncpg.Record]") -> bool:
        return await connect_account(pool, producer, account, workspace, secret)

    if not _on(data, workspace, connected):
        raise failed(f"{producer}'s account {account} is connected with another workspace")
    result = {"producer": producer, "account": account, "workspace": workspace}
    print(json.dumps(result)) if as_json else console.print(
        "connected; running services accept its messages within 5 seconds"
    )


def disconnect(producer: str, account: str, data: Path | None, workspace: str, *, as_json: bool) -> None:
    """Delete an account and its secret. Exits 1 if the workspace has no such account."""

    async def disconnected(pool: "asyncpg.Pool[asyncpg.Record]") -> bool:
        return await disconnect_account(pool, producer, account, workspace)

    if not _on(data, workspace, disconnected):
        raise failed(f"{workspace} has no account {account} of {producer}")
    result = {"producer": producer, "account": account, "workspace": workspace}
    print(json.dumps(result)) if as_json else console.print(
        "disconnected; running services refuse its messages within 5 seconds"
    )


def accounts(data: Path | None, workspace: str, *, as_json: bool) -> None:
    """Print the connected accounts of a workspace, without their secrets."""

    async def listed(pool: "asyncpg.Pool[asyncpg.Record]") -> list[dict[str, Any]]:
        return await list_accounts(pool, workspace)

    found = _on(data, workspace, listed)
    if as_json:
        print(json.dumps({"workspace": workspace, "items": found}))
        return
    table = table_of("producer", "account", "connected")
    for each in found:
        table.add_row(each["producer"], each["account"], each["created_at"])
    console.print(table)


def _on(
    data: Path | None, workspace: str, work: "Callable[[asyncpg.Pool[asyncpg.Record]], Coroutine[Any, Any, Answer]]"
) -> Answer:
    """Do work on the durable tables; answers what the work answers.

    Raises `typer.BadParameter` if there is no such workspace.
    """

    async def worked(url: str) -> Answer:
        async with tables(url, 1) as pool:
            await check_workspace(pool, workspace)
            return await work(pool)

    return on_database(data, worked)
