"""How is a store backed up and restored? Everything that cannot be rebuilt goes into one file: log, keys, workspaces, settings.

A backup is a zip file. It holds a member for each durable table, as PostgreSQL's COPY writes it, compressed with zstd, and last a
manifest: the release, the end of each partition of the log, and the columns, rows, bytes and SHA-256 of every member. All tables
are read in one snapshot, so the backup shows one moment even if events arrive meanwhile. Settings are events of the log. Where
the log is in Kafka, its events are one more member, up to the topic's end after the tables were read. The projection is not in
the backup; it is rebuilt from the log.
"""

import hashlib
import os
import re
import tempfile
import time
import zipfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any

import msgspec
import zstandard

from services.replay import backup_topic
from services.replay.build import Build, Resources, ends_of
from shared.errors import ExpectedError
from shared.log.kafka import KafkaLog
from shared.log.port import EventLog
from shared.projection.generations import Generation, create_generation, point_at
from shared.sealing.log import unsealed
from shared.store.durable import durable

FORMAT = 1
TABLES = (
    "workspace", "access_key", "log_partition", "event_log", "dead_letter", "dead_letter_pushed_out", "producer_account",
    "producer_count", "contact_token_key", "sealing", "person",
)  # fmt: skip
MANIFEST = "manifest.json"
NUMBERED = {
    "workspace": "number",
    "dead_letter": "dead_letter_id",
}  # identity columns, whose sequences continue after the last number
COMPRESS_LEVEL = 3  # the log's values are compressed already; keys and workspaces are few
CHUNK_BYTES = 1024 * 1024

REVISION = "SELECT version_num FROM touchline.alembic_version"
FILLED = " UNION ALL ".join(
    f"(SELECT '{table}' WHERE EXISTS (SELECT FROM touchline.{table}{' WHERE next_offset > 0' if table == 'log_partition' else ''}))"
    for table in (*TABLES, "generation")
)
COUNT_ON = (
    "SELECT setval(pg_get_serial_sequence('touchline.{table}', '{column}'), max({column})) FROM touchline.{table}"
)


class BadBackup(ExpectedError):
    """A file is not a backup, is damaged, or does not fit the store."""


class NotEmpty(ExpectedError):
    """The store holds rows or events already; a backup can only be restored into an empty one."""


class Member(msgspec.Struct, frozen=True):
    """A table in a backup; `size` is the compressed member's, in bytes."""

    columns: list[str]
    rows: int
    size: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True):
    """The description of a backup. `offsets`: where each partition of the log ends, if its events are in the backup.

    `topic` is the member with the events of a Kafka log; a PostgreSQL log is among the tables.
    """

    format: int
    release: str
    revision: str
    made_at: str
    log: str
    log_included: bool
    offsets: dict[int, int]
    tables: dict[str, Member]
    topic: Member | None = None


async def create(resources: Resources, target: Path) -> tuple[Path, Manifest]:
    """Write a backup to a file, or into a folder under a name with the time; returns its path and its manifest.

    Only its owner can read the file (mode 0600). After an error there is no file. Raises `OSError`.
    """
    made_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    target = _named(target, made_at)
    with _whole(target) as file:
        manifest = await _write(resources, file, made_at)
    return target, manifest


def _named(target: Path, made_at: str) -> Path:
    """The file given, or a file in the folder given, named by the time."""
    return target / f"touchline-{re.sub('[-:]', '', made_at)}.backup" if target.is_dir() else target


@contextmanager
def _whole(target: Path) -> Iterator[IO[bytes]]:
    """A new file that gets its name once its content is on disk; after an error it is removed."""
    if target.exists():
        raise FileExistsError(f"{target} exists already; a backup replaces no file")
    number, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(number, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


async def _write(resources: Resources, file: IO[bytes], made_at: str) -> Manifest:
    tables: dict[str, Member] = {}
    topic: Member | None = None
    log = resources.log
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        async with (
            resources.pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            rows = await connection.fetch("SELECT partition, next_offset FROM touchline.log_partition ORDER BY 1")
            revision = await connection.fetchval(REVISION)
            for table in TABLES:
                with archive.open(f"{table}.copy.zst", "w", force_zip64=True) as member:
                    tables[table] = await _copy_out(connection, table, member)
        offsets = {row["partition"]: row["next_offset"] for row in rows}
        if isinstance(log := unsealed(log), KafkaLog):
            offsets = await ends_of(log)  # read after the snapshot, so that no offset in the tables is beyond these
            with archive.open(backup_topic.NAME, "w", force_zip64=True) as member:
                topic = Member([], *await backup_topic.write_topic(log, offsets, member))
        manifest = Manifest(
            FORMAT, version("touchline"), revision, made_at, log.identity, True, offsets, tables, topic
        )  # fmt: skip
        archive.writestr(MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)))
    return manifest


async def _copy_out(connection: Any, table: str, member: IO[bytes]) -> Member:
    columns = [str(column.name) for column in durable.tables[f"touchline.{table}"].columns]
    key = ", ".join(f'"{column.name}"' for column in durable.tables[f"touchline.{table}"].primary_key)
    names = ", ".join(f'"{name}"' for name in columns)
    packer, digest, size = zstandard.ZstdCompressor(level=COMPRESS_LEVEL).compressobj(), hashlib.sha256(), 0

    async def write(data: bytes, *, last: bool = False) -> None:
        nonlocal size
        packed = packer.compress(data) + (packer.flush() if last else b"")
        digest.update(packed)
        size += len(packed)
        member.write(packed)

    query = f"SELECT {names} FROM touchline.{table} ORDER BY {key}"
    status = await connection.copy_from_query(query, output=write, format="binary")
    await write(b"", last=True)
    return Member(columns, int(status.split()[-1]), size, digest.hexdigest())


async def restore(
    resources: Resources, source: Path, begun: Callable[[int], None], advance: Callable[[int], None]
) -> Manifest:
    """Restore a store from a backup: its tables in one transaction, then the projection from the log.

    The whole file is checked before anything is written. A Kafka topic is filled first, unless it is the topic that was backed up and
    still holds the events. `begun` is called with the number of events to project, `advance` with the number just projected. Raises
    `BadBackup`, `NotEmpty`, `OSError`, `LogUnavailable` or `LogDamaged`.
    """
    with _opened(source) as archive:
        manifest = _checked(archive, source)
        topic = await _topic_to_fill(resources.log, manifest, source)
        async with resources.pool.acquire() as connection:
            await _be_empty(connection)
        if topic is not None:
            with archive.open(backup_topic.NAME) as events:
                await backup_topic.fill_topic(topic, events)
        async with resources.pool.acquire() as connection, connection.transaction():
            await _be_empty(connection)
            await connection.execute("DELETE FROM touchline.log_partition")
            for table, member in manifest.tables.items():
                await _copy_in(connection, archive, table, member)
    await _project(resources, begun, advance)
    return manifest


async def _be_empty(connection: Any) -> None:
    """Raise `NotEmpty` if the store has any row that a backup has."""
    if filled := [row[0] for row in await connection.fetch(FILLED)]:
        raise NotEmpty(f"this store is not empty, it has rows in {', '.join(filled)}; restore into a new one")


async def _topic_to_fill(log: EventLog, manifest: Manifest, source: Path) -> KafkaLog | None:
    """The topic that the backup's events must be written to; None if the log holds them, or gets them with the tables.

    Raises `BadBackup` for a log that the backup does not fit, and `NotEmpty` for a topic that holds other events.
    """
    mine = f"{source} is a backup of a store whose log is {manifest.log}; this store's log is {log.identity}"
    if not isinstance(log := unsealed(log), KafkaLog):
        if not manifest.log_included or manifest.topic is not None:
            raise BadBackup(mine)
        return None
    ends = await ends_of(log)
    if log.identity == manifest.log and (not manifest.log_included or backup_topic.holds(ends, manifest.offsets)):
        return None
    if manifest.topic is None:
        raise BadBackup(mine)
    if set(ends) != set(manifest.offsets):
        raise BadBackup(f"{mine}, which has {len(ends)} partitions and must have {len(manifest.offsets)}")
    if not backup_topic.is_empty(ends):
        raise NotEmpty(f"{log.identity} holds events already; restore into a new topic, or into the one of the backup")
    return log


@contextmanager
def _opened(source: Path) -> Iterator[zipfile.ZipFile]:
    try:
        archive = zipfile.ZipFile(source)
    except zipfile.BadZipFile as error:
        raise BadBackup(f"{source} is not a backup of Touchline, or is incomplete: {error}") from error
    with archive:
        yield archive


def _checked(archive: zipfile.ZipFile, source: Path) -> Manifest:
    """The manifest, after every member was checked against it."""
    try:
        manifest = msgspec.json.decode(archive.read(MANIFEST), type=Manifest)
    except (KeyError, zipfile.BadZipFile, msgspec.DecodeError) as error:
        raise BadBackup(f"{source} is not a backup of Touchline: its manifest cannot be read ({error})") from error
    if manifest.format != FORMAT or set(manifest.tables) - set(TABLES):
        raise BadBackup(f"{source} was made by Touchline {manifest.release}, whose backups this release cannot read")
    members = {f"{table}.copy.zst": (table, member) for table, member in manifest.tables.items()}
    if manifest.topic is not None:
        members[backup_topic.NAME] = "topic", manifest.topic
    for table, member in manifest.tables.items():
        if unknown := set(member.columns) - set(durable.tables[f"touchline.{table}"].columns.keys()):
            columns = ", ".join(sorted(unknown))
            raise BadBackup(
                f"{source} was made by a newer release: {table} has {columns}, which this release does not know"
            )
    for name, (table, member) in members.items():
        try:
            digest = hashlib.sha256()
            with archive.open(name) as packed:
                while data := packed.read(CHUNK_BYTES):
                    digest.update(data)
        except (KeyError, EOFError, zipfile.BadZipFile) as error:
            raise BadBackup(f"{source} is damaged: {table} cannot be read ({error})") from error
        if digest.hexdigest() != member.sha256:
            raise BadBackup(f"{source} is damaged: {table} does not match the manifest")
    return manifest


async def _copy_in(connection: Any, archive: zipfile.ZipFile, table: str, member: Member) -> None:
    async def unpacked() -> AsyncIterator[bytes]:
        with archive.open(f"{table}.copy.zst") as packed:
            reader = zstandard.ZstdDecompressor().stream_reader(packed)
            while data := reader.read(CHUNK_BYTES):
                yield data

    status = await connection.copy_to_table(
        table, schema_name="touchline", columns=member.columns, source=unpacked(), format="binary"
    )
    if int(status.split()[-1]) != member.rows:
        raise BadBackup(f"{table} has {status.split()[-1]} rows, and should have {member.rows}")
    if table in NUMBERED:
        await connection.execute(COUNT_ON.format(table=table, column=NUMBERED[table]))


async def _project(resources: Resources, begun: Callable[[int], None], advance: Callable[[int], None]) -> None:
    """Project all events of the log into a new generation, and make it live."""
    log = resources.log
    ends = await ends_of(log)
    begun(sum(ends.values()))
    generation = Generation("g1", log.identity, log.partitions)
    async with resources.pool.acquire() as connection, connection.transaction():
        await create_generation(connection, generation, live=False)
    await Build(resources, generation, advance).run(ends)
    async with resources.pool.acquire() as connection, connection.transaction():
        await point_at(connection, generation.name)
