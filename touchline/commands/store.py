"""How does a command reach the store? By its data directory if it is embedded, else by the environment variables."""

import datetime as dt
import re
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import msgspec
import typer
import uvloop

from shared.database import open_pool
from shared.events.instants import to_micros
from shared.log.port import EventLog
from shared.log.postgres import PARTITIONS
from shared.reading.snapshot import Snapshot, snapshot
from shared.sealing.reveal import revealed
from shared.sealing.store import open_vault
from touchline.commands.output import errors_in_one_line
from touchline.configuration import Configuration
from touchline.embedded import Embedded
from touchline.open_log import reached

Answer = TypeVar("Answer")
WORKSPACE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def instant(text: str | None, option: str) -> int | None:
    """An RFC 3339 instant in microseconds since 1970. Raises `typer.BadParameter`, which names the option."""
    if text is None:
        return None
    try:
        found = msgspec.convert(text, dt.datetime, strict=False)
    except msgspec.ValidationError as error:
        raise typer.BadParameter(f"{text!r} is not an RFC 3339 instant", param_hint=option) from error
    if found.tzinfo is None:
        raise typer.BadParameter(f"{text!r} says no time zone; an instant ends in Z or +01:00", param_hint=option)
    return to_micros(found)


@contextmanager
def database(data: Path | None) -> Iterator[str]:
    """The URL of the database that a command works on. An embedded PostgreSQL that does not run is started for so long.

    Raises `typer.BadParameter` if no database is named, or if the directory has none.
    """
    if data is not None:
        if not (data / "postgres").is_dir():
            raise typer.BadParameter(f"{data} holds no embedded store", param_hint="--data")
        with Embedded(data).reached() as url:
            yield url
    elif configured := Configuration().database_url:
        yield configured
    else:
        raise typer.BadParameter(
            "no store is named: give the data directory of `touchline up`, such as --data touchline-data, or set TOUCHLINE_DATABASE_URL"
        )


def on_database(data: Path | None, work: Callable[[str], Coroutine[Any, Any, Answer]]) -> Answer:
    """Do work on the database that a command names, by its URL; answers what the work answers.

    Exits 1 with one line if an error that can be foreseen ends it (`errors_in_one_line`). Raises as `database`.
    """
    with errors_in_one_line(), database(data) as url:
        return uvloop.run(work(url))


@asynccontextmanager
async def tables(url: str, connections_max: int) -> "AsyncIterator[asyncpg.Pool[asyncpg.Record]]":
    """A pool of connections to a database whose durable tables are made, or migrated to this release."""
    from shared.store.migrate import migrate  # takes half a second, which commands that only read do not wait for

    pool = await open_pool(url, connections_max)
    try:
        await migrate(url, PARTITIONS)
        yield pool
    finally:
        await pool.close()


@asynccontextmanager
async def store_and_log(
    url: str, connections_max: int
) -> "AsyncIterator[tuple[asyncpg.Pool[asyncpg.Record], EventLog]]":
    """A pool of connections to a migrated database, and the log that the environment variables name."""
    from shared.store.migrate import migrate  # takes half a second, which commands that only read do not wait for

    await migrate(url, PARTITIONS)
    async with reached(url, Configuration(), connections_max) as both:
        yield both


@asynccontextmanager
async def read_only(url: str, workspace: str, generation: str | None = None) -> AsyncIterator[Snapshot]:
    """A snapshot of a workspace in one generation (None: the live one), as the read API opens it for a request.

    Raises `typer.BadParameter` if there is no such workspace, `NotFound` if there is no such generation.
    """
    pool = await open_pool(url, 1)
    try:
        await check_workspace(pool, workspace)
        async with snapshot(pool, workspace, generation) as opened:
            yield opened
    finally:
        await pool.close()


async def names_in(url: str, workspace: str, answer: Any) -> Any:
    """An answer in JSON with the names of people in place of pseudonyms, if the store is sealed. Raises `BadMasterKey`."""
    pool = await open_pool(url, 1)
    try:
        return await revealed(await open_vault(pool, Configuration().master_key), workspace, answer)
    finally:
        await pool.close()


def check_new_workspace(workspace: str, hint: str) -> None:
    """Raise `typer.BadParameter`, which names the argument `hint`, if a new workspace cannot have this id."""
    if not WORKSPACE_ID.fullmatch(workspace):
        problem = "an id has up to 64 letters, digits and the signs . _ -, and begins with a letter or a digit"
        raise typer.BadParameter(problem, param_hint=hint)


async def has_workspace(
    asked: "asyncpg.Pool[asyncpg.Record] | asyncpg.Connection[asyncpg.Record]", workspace: str
) -> bool:
    """Whether there is a workspace of this id."""
    known = "SELECT EXISTS (SELECT FROM touchline.workspace WHERE workspace_id = $1)"
    return bool(await asked.fetchval(known, workspace))


async def check_workspace(pool: "asyncpg.Pool[asyncpg.Record]", workspace: str) -> None:
    """Raise `typer.BadParameter` if there is no such workspace."""
    if not await has_workspace(pool, workspace):
        raise typer.BadParameter(f"there is no workspace {workspace!r}", param_hint="--workspace")
