"""`touchline producers connect`, `disconnect`, `accounts`: whose are messages that are signed and carry no access key?"""

import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any, TypeVar

import asyncpg
import typer
import uvloop
from rich.table import Table

from services.ingest.workspaces import DEFAULT_WORKSPACE
from shared.access.accounts import connect as connect_account
from shared.access.accounts import disconnect as disconnect_account
from shared.access.accounts import list_accounts, unfit
from touchline.cli.plainly import errors, for_tables, plainly
from touchline.cli.reach import AsJson, Data, Workspace, check_workspace, database, tables

console = for_tables()

Answer = TypeVar("Answer")

Producer = Annotated[str, typer.Argument(help="whose account it is: hubspot, mailgun or sendgrid")]
Account = Annotated[str, typer.Option(help="HubSpot's portal (Hub) ID; of a mail sender the name in the webhook's URL")]


def connect(
    producer: Producer, account: Account,
    secret_file: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="holds the secret; without it, it is asked for")
    ] = None,
    data: Data = None, workspace: Workspace = DEFAULT_WORKSPACE, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Take an account's messages into the workspace, or replace its secret: that of the app which signs them."""
    if problem := unfit(producer, account):
        raise typer.BadParameter(problem[1], param_hint="PRODUCER" if problem[0] == "producer" else "--account")
    if secret_file is None:
        secret = typer.prompt("secret", hide_input=True, err=True)
    else:
        with plainly():
            secret = secret_file.read_text("utf-8", errors="replace")
    secret = secret.strip()
    if problem := unfit(producer, account, secret):
        raise typer.BadParameter(problem[1], param_hint="--secret-file")

    async def connected(pool: "asyncpg.Pool[asyncpg.Record]") -> bool:
        return await connect_account(pool, producer, account, workspace, secret)

    if not _on(data, workspace, connected):
        errors.print(f"[red]{producer}'s account {account} is connected with another workspace[/]")
        raise typer.Exit(1)
    said = {"producer": producer, "account": account, "workspace": workspace}
    print(json.dumps(said)) if as_json else console.print("connected; running services heed it within 5 seconds")


def disconnect(
    producer: Producer, account: Account, data: Data = None, workspace: Workspace = DEFAULT_WORKSPACE,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Refuse an account's messages from now on. What they have told stays."""

    async def disconnected(pool: "asyncpg.Pool[asyncpg.Record]") -> bool:
        return await disconnect_account(pool, producer, account, workspace)

    if not _on(data, workspace, disconnected):
        errors.print(f"{workspace} has no account {account} of {producer}", style="red", markup=False)
        raise typer.Exit(1)
    said = {"producer": producer, "account": account, "workspace": workspace}
    print(json.dumps(said)) if as_json else console.print("disconnected; running services heed it within 5 seconds")


def accounts(data: Data = None, workspace: Workspace = DEFAULT_WORKSPACE, as_json: AsJson = False) -> None:
    """The accounts of outside producers that are the workspace's, without their secrets."""

    async def listed(pool: "asyncpg.Pool[asyncpg.Record]") -> list[dict[str, Any]]:
        return await list_accounts(pool, workspace)

    found = _on(data, workspace, listed)
    if as_json:
        print(json.dumps({"workspace": workspace, "items": found}))
        return
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for heading in ("producer", "account", "connected"):
        table.add_column(heading, overflow="fold")
    for each in found:
        table.add_row(each["producer"], each["account"], each["created_at"])
    console.print(table)


def _on(
    data: Any, workspace: str, work: "Callable[[asyncpg.Pool[asyncpg.Record]], Coroutine[Any, Any, Answer]]"
) -> Answer:
    """Work on the durable tables for a workspace that there is."""

    async def worked(url: str) -> Answer:
        async with tables(url, 1) as pool:
            await check_workspace(pool, workspace)
            return await work(pool)

    with plainly(), database(data) as url:
        return uvloop.run(worked(url))
