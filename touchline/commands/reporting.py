"""`touchline reporting`: make, list and remove the logins that read the SQL views."""

import json
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import asyncpg

from shared.reading.reporting import add_login, list_logins, remove_login
from touchline.commands.output import console, failed, table_of
from touchline.commands.store import on_database, tables


def create(login: str, data: Path | None, workspace: str, *, as_json: bool) -> None:
    """Make a login and print the URL that it connects by. Exits 1 if PostgreSQL has a role of this name."""

    async def made(url: str) -> str:
        async with tables(url, 2) as pool:
            try:
                return url_of(url, login, await add_login(pool, workspace, login))
            except asyncpg.DuplicateObjectError:
                raise failed(f"PostgreSQL has a role named {login} already; choose another name") from None

    reached = on_database(data, made)
    if as_json:
        print(json.dumps({"workspace": workspace, "login": login, "url": reached}))
        return
    console.print(f"  {reached}")
    console.print()
    console.print("The views are in the schema reporting: campaigns, campaign_days, touches, contacts, deals, shares.")


def list_(data: Path | None, workspace: str, *, as_json: bool) -> None:
    """Print the logins of a workspace and when each was made."""

    async def listed(url: str) -> list[dict[str, str]]:
        async with tables(url, 1) as pool:
            rows = await list_logins(pool, workspace)
            return [{"login": row["login"], "created_at": row["created_at"].isoformat()} for row in rows]

    logins = on_database(data, listed)
    if as_json:
        print(json.dumps({"workspace": workspace, "logins": logins}))
        return
    table = table_of("login", "created")
    for one in logins:
        table.add_row(one["login"], one["created_at"])
    console.print(table)


def remove(login: str, data: Path | None, workspace: str, *, as_json: bool) -> None:
    """Remove a login. Exits 1 if the workspace has none of this name."""

    async def removed(url: str) -> bool:
        async with tables(url, 1) as pool:
            return await remove_login(pool, workspace, login)

    if not on_database(data, removed):
        raise failed(f"{workspace} has no login named {login}")
    print(json.dumps({"removed": login})) if as_json else console.print("removed")


def url_of(database_url: str, login: str, password: str) -> str:
    """The URL of a database for another login, which keeps its host, port and name."""
    parts = urlsplit(database_url)
    host = "" if parts.hostname is None else parts.hostname + (f":{parts.port}" if parts.port else "")
    where = "&".join(
        f"{name}={quote(value[0])}" for name, value in parse_qs(parts.query).items() if name in ("host", "port")
    )
    return f"postgresql://{quote(login, safe='')}:{quote(password, safe='')}@{host}{parts.path}" + (
        f"?{where}" if where else ""
    )
