"""What does the operator do for people's privacy? Seal a store, hand out all that is stored of a contact, and forget a contact."""

import time
from collections.abc import Callable
from typing import Any

import asyncpg
import msgspec
import orjson
import structlog
import zstandard

from services.replay.build import Resources
from services.replay.export import Chosen, Export, complete
from services.replay.sealing_topic import NotRewritable, copy_sealed
from shared.access.contact_tokens import named_by_tokens
from shared.errors import ExpectedError
from shared.events.codec import Record, accept
from shared.events.emails import normalised_email
from shared.log.kafka import KafkaLog
from shared.log.port import EventLog, Position
from shared.log.postgres import COMPRESS_LEVEL
from shared.projection.generations import Generation, WrongLog, create_generation, live_generation
from shared.reading.contacts import contact_row, identifiers_of, salesforce_campaigns_of
from shared.reading.snapshot import NotFound, snapshot
from shared.sealing.forget import LETTERS, forget, forget_letters, texts_of, words
from shared.sealing.keys import BadMasterKey, MasterKey, new_master_key
from shared.sealing.log import seal_all, vault_of
from shared.sealing.names import PSEUDONYM, Name, key_of
from shared.sealing.reveal import pseudonyms_of, revealed
from shared.sealing.store import BEGIN, key_file, sealed_by
from shared.sealing.vacuum import leave_write_ahead_log, remove_traces
from shared.sealing.vault import JOINED, Vault

ROWS = 200  # of the log, of some 60 kB each, in one transaction
OTHERS = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""
PORTION = """
SELECT partition, base_offset, workspace, payload FROM touchline.event_log
WHERE (partition, base_offset) > ($1, $2) ORDER BY partition, base_offset LIMIT $3
"""
NAMES = "SELECT count(*) FROM touchline.person WHERE workspace_id = $1 AND key = ANY($2::bigint[])"
REWRITE = """
UPDATE touchline.event_log e SET payload = u.payload
FROM unnest($1::int[], $2::bigint[], $3::bytea[]) u(partition, base_offset, payload)
WHERE e.partition = u.partition AND e.base_offset = u.base_offset
"""
GENERATIONS = "SELECT name FROM touchline.generation"
OTHER_LOG = "SELECT log FROM touchline.generation WHERE log <> $1 LIMIT 1"
NO_GENERATION = ("DELETE FROM touchline.live_generation", "DELETE FROM touchline.generation")

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[bytes]).decode

logger = structlog.stdlib.get_logger("touchline.replay")


class NotSealed(ExpectedError):
    """The store is not sealed, so it cannot forget."""


class StoreInUse(ExpectedError):
    """Services use the store, which must not append plain events while it is sealed."""


class HasPlainEvents(ExpectedError):
    """The store has events that are not sealed."""


async def check_no_events(pool: "asyncpg.Pool[asyncpg.Record]", log: EventLog) -> None:
    """Raise `HasPlainEvents` if the log of a store that is not sealed has events, `WrongLog` if the store's log is another one."""
    await _check_log(pool, log)
    if any([await log.end(partition) for partition in range(log.partitions)]):
        raise HasPlainEvents(
            "this store is not sealed and has events already, which `touchline privacy seal` rewrites, sealed: run it with the same "
            "data directory or the same variables, then start again. Nothing was changed"
        )


async def _check_log(pool: "asyncpg.Pool[asyncpg.Record]", log: EventLog) -> None:
    """Raise `WrongLog` if the store has projected another log, whose events would stay as they are."""
    if (other := await pool.fetchval(OTHER_LOG, log.identity)) is not None:
        raise WrongLog(f"this store is a projection of {other}, not of {log.identity}: name its own log")


async def master_key_of(pool: "asyncpg.Pool[asyncpg.Record]", configured: str | None) -> MasterKey:
    """The master key to seal a store with: the configured one, that of the file, or a new one in the file. Raises `BadMasterKey`."""
    if configured is not None:
        return MasterKey.of_text(configured)
    file = await key_file(pool)
    if file is None or not file.parent.is_dir():
        raise BadMasterKey(
            "set TOUCHLINE_MASTER_KEY to 32 random bytes in base64, such as `openssl rand -base64 32` prints, and keep it safe"
        )
    return MasterKey.of_file(file) if file.exists() else new_master_key(file)


async def seal_store(
    pool: "asyncpg.Pool[asyncpg.Record]", log: EventLog, master: MasterKey, advance: Callable[[int], None]
) -> int:
    """Seal a store and rewrite the events of its log in PostgreSQL; returns how many there are. It may be repeated.

    All generations are deleted, because their rows name people: the projection is rebuilt when the services start. `advance` is called
    with the number of events just rewritten. Raises `BadMasterKey` if the store was sealed with another key, `NotRewritable` if its log is
    a topic of Kafka that has plain events, `WrongLog` if the store is not sealed and its log is another one.
    """
    sealed = await _is_sealed_by(pool, master)
    if not sealed:
        await _check_log(pool, log)
    if not sealed and isinstance(log, KafkaLog) and any([await log.end(p) for p in range(log.partitions)]):
        raise NotRewritable(
            f"{log.identity} has events, and a topic cannot be rewritten: name a new topic with --topic, into which they are "
            "copied, sealed"
        )
    async with pool.acquire() as connection, connection.transaction():
        if not sealed:
            await connection.execute(BEGIN, master.check)
        await _delete_generations(connection)
    done = await _rewrite(pool, Vault(pool, master, None, durable=False), advance)
    await pool.execute("VACUUM (FULL) touchline.event_log")  # else the plain rows would stay in its files
    await leave_write_ahead_log(pool)
    return done


async def seal_store_on_kafka(
    pool: "asyncpg.Pool[asyncpg.Record]",
    old: KafkaLog,
    new: KafkaLog,
    master: MasterKey,
    advance: Callable[[int], None],
) -> int:
    """Seal a store whose log is a topic with events: copy them, sealed, into a new topic, which then is the store's log.

    Returns how many events there are. It may be repeated: nothing changes for the old topic, which the caller deletes. All
    generations are deleted, and an empty one is made that knows the new topic, so that no service of this release starts with the old one.
    Raises `BadMasterKey`, and what `copy_sealed` raises.
    """
    sealed = await _is_sealed_by(pool, master)
    done = await copy_sealed(old, new, Vault(pool, master, None, durable=True), advance)
    async with pool.acquire() as connection, connection.transaction():
        if not sealed:
            await connection.execute(BEGIN, master.check)
        await _delete_generations(connection)
        await create_generation(connection, Generation("g1", new.identity, new.partitions), live=True)
    await leave_write_ahead_log(pool)
    return done


async def _is_sealed_by(pool: Any, master: MasterKey) -> bool:
    """Whether the store is sealed. Raises `BadMasterKey` if it is, with another key."""
    check = await sealed_by(pool)
    if check is not None and check != master.check:
        raise BadMasterKey("the master key is not the one that this store was sealed with")
    return check is not None


async def _delete_generations(connection: Any) -> None:
    for row in await connection.fetch(GENERATIONS):
        await connection.execute(f'DROP SCHEMA IF EXISTS "{row["name"]}" CASCADE')
    for statement in NO_GENERATION:
        await connection.execute(statement)


async def _rewrite(pool: "asyncpg.Pool[asyncpg.Record]", vault: Vault, advance: Callable[[int], None]) -> int:
    """Seal every event of the log in PostgreSQL where it lies; returns how many there are."""
    compress = zstandard.ZstdCompressor(level=COMPRESS_LEVEL).compress
    decompress = zstandard.ZstdDecompressor().decompress
    done, last = 0, (-1, -1)
    while rows := await pool.fetch(PORTION, *last, ROWS):
        payloads = []
        for row in rows:
            values = _decode(decompress(row["payload"]))
            payloads.append(compress(_encode((await seal_all(vault, row["workspace"], values))[0])))
            done += len(values)
            advance(len(values))
        partitions, offsets = [row["partition"] for row in rows], [row["base_offset"] for row in rows]
        await pool.execute(REWRITE, partitions, offsets, payloads)
        last = partitions[-1], offsets[-1]
    return done


async def stored_of(resources: Resources, workspace: str, name: str) -> dict[str, Any]:
    """All that is stored of a contact, as JSON: what is known of it, its events as sent, and the dead letters that name it.

    Raises `NotFound` if no contact has this identifier.
    """
    vault = vault_of(resources.log)
    async with snapshot(resources.pool, workspace) as opened:
        row = await contact_row(opened, (await pseudonyms_of(vault, workspace, name))[0])
        ids, emails = await identifiers_of(opened, row["contact"])
        salesforce = await salesforce_campaigns_of(opened, [row["contact"]])
        found = {
            "contact": row["name"], "ids": ids, "emails": emails, "properties": row["properties"],
            **salesforce[row["contact"]],
        }  # fmt: skip
    found = await revealed(vault, workspace, found)
    events: list[Any] = []
    async for page in Export(resources, workspace, Chosen(contact=name), _nothing, _nothing).events():
        events += [orjson.loads(complete(arrived)) for arrived in page]
    visitors = {event["visitor_id"] for event in events if event.get("visitor_id")}
    letters = await _letters(resources, workspace, {*found["ids"], *found["emails"], *visitors})
    return {**found, "visitor_ids": sorted(visitors), "events": events, "dead_letters": letters}


def _nothing(_: int) -> None:
    """Nobody watches the progress."""


async def _letters(resources: Resources, workspace: str, names: set[str]) -> list[dict[str, Any]]:
    last, found, naming = 0, [], words(names)
    tokens = await named_by_tokens(resources.pool, workspace)
    while page := await resources.pool.fetch(LETTERS, workspace, last):
        last = page[-1]["dead_letter_id"]
        found += [
            {"number": row["dead_letter_id"], "detail": row["detail"], "body": row["body"].decode(errors="replace")}
            for row in page
            if any(map(naming.search, texts_of(row, tokens)))
        ]
    return found


async def forget_contact(resources: Resources, workspace: str, name: str) -> dict[str, Any]:
    """Append a `contact_forgotten` for the contact with this identifier, and destroy at once what the projection knows of it.

    Returns how many names are known of it, how many dead letters were deleted, and the position of the event. What events that are not projected yet say of
    the contact is destroyed when they are projected. Raises `NotSealed`, `NotFound` or `LogUnavailable`.
    """
    vault = vault_of(resources.log)
    if vault is None:
        raise NotSealed(
            "this store is not sealed, so it cannot forget contacts: stop the services, and `touchline privacy seal` seals it"
        )
    known = await vault.known(workspace, [Name("c", name), Name("e", normalised_email(name))])
    if not known and PSEUDONYM.fullmatch(name) is None:
        raise NotFound("contact", name)
    (pseudonym, *_) = known or [name]
    live = await live_generation(resources.pool)
    found = await resources.pool.fetch(JOINED.format(g=live.name), workspace, [key_of(pseudonym)])
    keys = [key_of(pseudonym), *(row[0] for row in found)]
    names = await resources.pool.fetchval(NAMES, workspace, keys)
    async with resources.pool.acquire() as connection, connection.transaction():
        letters = await forget_letters(connection, vault, workspace, keys)  # before the projector does it
    field = "email" if pseudonym.startswith("~e") else "id"
    event = orjson.dumps({"type": "contact_forgotten", "contact": {field: pseudonym}})
    record = accept(event, 0, "server", time.time_ns() // 1000, None, "privacy", forgets=True)
    assert isinstance(record, Record)
    position: Position = await resources.log.append(workspace, [msgspec.json.encode(record)])
    async with resources.pool.acquire() as connection, connection.transaction():
        letters += (await forget(connection, vault, live.name, workspace, [key_of(pseudonym)]))[1]
    vault.deleted("person")  # by this command, or by a projector that was faster
    vault.drop_cache()
    await remove_traces(resources.pool, vault)
    return {"names": names, "dead_letters": letters, "position": str(position)}
