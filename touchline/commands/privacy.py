"""`touchline privacy`: seal a store, show what is stored of a contact, and forget a contact."""

import json
from pathlib import Path

import asyncpg
import typer
import uvloop
from rich.console import Console

from services.replay.sealing import OTHERS, StoreInUse, forget_contact, master_key_of, seal_store, stored_of
from shared.log.postgres import PARTITIONS
from shared.sealing.log import unsealed
from shared.store.migrate import migrate
from touchline.commands.on_store import StoreAccess, on_store
from touchline.commands.output import errors_in_one_line
from touchline.commands.store import check_workspace, database
from touchline.compose import reached
from touchline.configuration import Configuration

console = Console(highlight=False)


def seal(data: Path | None, *, as_json: bool) -> None:
    """Seal a store and rewrite its log. Exits 1 if services use it, if the log is Kafka's and has events, or without a key."""
    configuration = Configuration()

    async def sealed(url: str) -> int:
        await migrate(url, PARTITIONS)
        connection = await asyncpg.connect(url)
        try:
            if await connection.fetchval(OTHERS):
                raise StoreInUse(
                    "other processes use this database: stop the services first, and start them again afterwards"
                )
        finally:
            await connection.close()
        async with reached(url, configuration, 3) as (pool, log):
            master = await master_key_of(pool, configuration.master_key)
            return await seal_store(pool, unsealed(log), master, lambda _: None)

    with errors_in_one_line(), database(data) as url:
        events = uvloop.run(sealed(url))
    if as_json:
        print(json.dumps({"events": events}))
    else:
        console.print(
            f"[green]sealed[/]: {events:,} events of the log. Start the services: the projection is made anew"
        )


def export(contact: str, data: Path | None, workspace: str) -> None:
    """Print all that is stored of a contact as JSON. Exits 1 if no contact has this identifier."""

    async def stored(access: StoreAccess) -> dict[str, object]:
        resources = access.resources
        await check_workspace(resources.pool, workspace)
        return await stored_of(resources, workspace, contact)

    print(json.dumps(on_store(data, stored, quiet=True), indent=2, ensure_ascii=False))


def forget(contact: str, data: Path | None, workspace: str, *, yes: bool, as_json: bool) -> None:
    """Forget a contact for ever; asks first, unless `yes`."""
    if not yes:
        typer.confirm(f"Forget {contact} of {workspace} for good?", abort=True, err=True)

    async def forgotten(access: StoreAccess) -> dict[str, object]:
        resources = access.resources
        await check_workspace(resources.pool, workspace)
        return await forget_contact(resources, workspace, contact)

    said = on_store(data, forgotten, quiet=True)
    if as_json:
        print(json.dumps(said))
    else:
        console.print(f"forgotten: {said['names']} names; deleted dead letters: {said['dead_letters']}")
