"""What rows do the events of the golden world make? A digest a table that stands for what the rows mean.

`events.ndjson` is a fixed log of some workspaces. Its rows are read from PostgreSQL and digested here, so that a digest
depends on no hash function of the server, on no name of a table or column, and on nothing that only tells how the events came:
neither on offsets nor on the numbers that a store gives its workspaces.
"""

import datetime as dt
import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import msgspec

from services.replay.build import Build, Resources
from shared.access.keys import create_workspace
from shared.projection.batch import decode
from shared.projection.checksums import OF_RECEIPT, OF_THE_SET, UNCOMPARED
from shared.projection.generations import Generation, create_generation
from shared.projection.projector import Projector
from shared.projection.sql import Connection
from shared.projection.tables import projection
from tests.properties.worlds import SOCIAL_POSTS_MAX
from touchline.compose import Running, compose
from touchline.configuration import Configuration

FOLDER = Path(__file__).parent
EVENTS = FOLDER / "events.ndjson"
CHECKSUMS = FOLDER / "checksums.json"
BATCH_EVENTS = 25  # of the live path: some batches a workspace
APPEND_EVENTS = 100
DIGEST_CHARACTERS = 16


class Line(msgspec.Struct):
    """A line of `events.ndjson`: what the log keeps of one event of a workspace."""

    workspace: int
    record: msgspec.Raw


class Digest(NamedTuple):
    """How many rows a table has, and the digest of what they mean."""

    rows: int
    digest: str


class Golden(msgspec.Struct):
    """What is committed: digests of rows, which content they belong to, and of which events they are."""

    content: int
    events: str
    tables: dict[str, Digest]


def golden() -> Golden:
    """The committed digests."""
    return msgspec.json.decode(CHECKSUMS.read_bytes(), type=Golden)


def digest_of_events() -> str:
    """Of the file of events."""
    return hashlib.sha256(EVENTS.read_bytes()).hexdigest()[:DIGEST_CHARACTERS]


def lines() -> list[Line]:
    """The events in the order of their arrival."""
    decoder = msgspec.json.Decoder(Line)
    return [decoder.decode(line) for line in EVENTS.read_bytes().splitlines()]


def name_of(number: int) -> str:
    """The name of a workspace of the golden world."""
    return f"golden-{number:02d}"


async def send(running: Running) -> int:
    """Create the workspaces in an empty store and append all events to its log; answers how many workspaces there are."""
    by_workspace: dict[int, list[bytes]] = {}
    for line in lines():
        by_workspace.setdefault(line.workspace, []).append(bytes(line.record))
    for number, records in by_workspace.items():
        assert await create_workspace(running.pool, name_of(number), "Golden") is not None
        for begin in range(0, len(records), APPEND_EVENTS):
            await running.log.append(name_of(number), records[begin : begin + APPEND_EVENTS])
    return len(by_workspace)


async def project_live(running: Running) -> None:
    """Project every partition to its end, batch by batch, into the live generation."""
    async with running.pool.acquire() as raw:
        connection = Connection(raw, running.generation.name)
        for partition in range(running.log.partitions):
            projector = Projector(running.log, partition, social_posts_max=SOCIAL_POSTS_MAX)
            await projector.take(connection)
            while entries := await running.log.read(partition, projector.offset, BATCH_EVENTS):
                await projector.project(connection, decode(entries))


async def project_at_once(running: Running) -> str:
    """Project the whole log at once, as a rebuild does, into a generation beside the live one; answers its name."""
    generation = Generation("golden_at_once", running.log.identity, running.log.partitions)
    async with running.pool.acquire() as connection, connection.transaction():
        await create_generation(connection, generation, live=False)
    advanced: list[int] = []
    build = Build(Resources(running.pool, running.log), generation, advanced.append, social_posts_max=SOCIAL_POSTS_MAX)
    await build.run({partition: await running.log.end(partition) for partition in range(running.log.partitions)})
    assert min(advanced) >= 0, "it was projected batch by batch"
    return generation.name


async def digests(running: Running, generation: str, workspaces: int) -> dict[str, Digest]:
    """The digest of every table of a generation, by the table's name."""
    numbers = {
        row["number"]: name_of(number)
        for number in range(workspaces)
        for row in await running.pool.fetch(
            "SELECT number FROM touchline.workspace WHERE workspace_id = $1", name_of(number)
        )
    }
    assert len(numbers) == workspaces
    async with running.pool.acquire() as connection:
        return {
            table.name: _digest(await _rows(connection, generation, table.name, numbers))
            for table in projection.sorted_tables
            if table.name not in UNCOMPARED
        }


async def _rows(
    connection: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]", generation: str, table: str, numbers: dict[int, str]
) -> list[list[Any]]:
    """The rows of a table, each with the name of its workspace first, in the order of the columns."""
    left_out = (*(OF_RECEIPT.get(table) or ()), "ws")
    columns = [column.name for column in projection.tables[table].columns if column.name not in left_out]
    found = []
    for ws, name in numbers.items():
        also = OF_THE_SET.get(table, "true").format(generation=generation, ws=f"{ws:d}")
        chosen = ", ".join(f't."{column}"' for column in columns)
        rows = await connection.fetch(f"SELECT {chosen} FROM {generation}.{table} t WHERE t.ws = {ws:d} AND {also}")
        found += [[name, *row] for row in rows]
    return found


def _digest(rows: list[list[Any]]) -> Digest:
    """Of rows in any order. JSON values come read, so how the server writes them does not matter."""
    texts = sorted(json.dumps(row, sort_keys=True, ensure_ascii=True, default=_text) for row in rows)
    return Digest(len(rows), hashlib.sha256("\n".join(texts).encode()).hexdigest()[:DIGEST_CHARACTERS])


def _text(value: Any) -> str:
    """A value that JSON does not know."""
    match value:
        case bytes():
            return value.hex()
        case dt.date():
            return value.isoformat()
        case _:
            raise TypeError(f"the golden world does not know how to write a {type(value).__name__}")


class GoldenDigests(NamedTuple):
    """What a store with the golden world's events holds, made as they came and made at once."""

    live: dict[str, Digest]
    at_once: dict[str, Digest]


async def found_in(url: str) -> GoldenDigests:
    """Project the golden world twice into an empty database."""
    running = await compose(url, Configuration(kafka_bootstrap_servers=None))
    try:
        workspaces = await send(running)
        await project_live(running)
        live = await digests(running, running.generation.name, workspaces)
        return GoldenDigests(live, await digests(running, await project_at_once(running), workspaces))
    finally:
        await running.close()


def changed(was: dict[str, Digest], is_: dict[str, Digest]) -> list[str]:
    """The tables whose rows are others. One that has another name and the same rows is not among them."""
    gone = sorted(was[name] for name in was if name not in is_)
    come = sorted(is_[name] for name in is_ if name not in was)
    others = sorted(name for name in was if name in is_ and was[name] != is_[name])
    if gone != come:
        others += [f"{name} (is no more)" for name in was if name not in is_ and was[name] not in come]
        others += [f"{name} (is new)" for name in is_ if name not in was and is_[name] not in gone]
    return others


def verdict(committed: Golden, content: int, events: str, tables: dict[str, Digest]) -> str | None:
    """What is wrong with the committed digests, and what to do about it; None if nothing is."""
    others = changed(committed.tables, tables)
    if others and events == committed.events and content == committed.content:
        return (
            f"the same events make other rows, but CONTENT is {content} still. Tables: {', '.join(others)}. Is that meant? "
            f"Then count CONTENT up in shared/projection/tables.py, so that stores are rebuilt, and run `make golden`"
        )
    if others or events != committed.events or content != committed.content:
        return (
            f"tests/golden_world/checksums.json is of CONTENT {committed.content} and events {committed.events}, now there are "
            f"CONTENT {content} and events {events}; other rows in: {', '.join(others) or 'no table'}. Run `make golden`"
        )
    return None
