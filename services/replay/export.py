"""How are a store's events exported? All of them, as sent, or those of a time span, of some types, or of one contact.

The export is the *set* of events: each id once, as the event that counts, with the fields that the server added. Sent into an
empty store, it makes the same rows.
"""

import gzip
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Protocol, Self

import orjson
import zstandard

from services.replay.build import Resources
from services.replay.sources import EVENT_COLUMN, STDIN, Unreadable, kind
from services.replay.verify import offsets_of
from shared.errors import ExpectedError
from shared.events.codec import decode_event, event_type
from shared.events.emails import normalised_email
from shared.events.instants import from_micros, to_micros, to_rfc3339
from shared.log.port import partition_of
from shared.projection.bulk.split import Selection
from shared.projection.generations import check_log, live_generation
from shared.projection.rows import Prepared
from shared.projection.sql import Connection, sql
from shared.rules.keys import Identifier
from shared.rules.order import Order
from shared.sealing.log import vault_of
from shared.sealing.reveal import as_sent, pseudonyms_of
from shared.sealing.vault import Vault

READ_EVENTS = 10_000  # at a time
PARQUET_ROWS = 50_000  # of a row group

NUMBER = sql("SELECT ws FROM {g}.workspace_rows WHERE workspace_id = $1")
CONTACT = sql("""
SELECT contact FROM {g}.identifier WHERE ws = $1 AND identifier = ANY($2::bigint[]) AND contact IS NOT NULL
ORDER BY is_email LIMIT 1
""")  # an id counts before an email of the same text
IDENTIFIERS = sql("SELECT identifier FROM {g}.identifier WHERE ws = $1 AND contact = $2")
OWNED = sql(
    "SELECT person, from_us, from_event, to_us, to_event FROM {g}.identity_interval WHERE ws = $1 AND contact = $2"
)


class NoContact(ExpectedError):
    """No contact has this id or email."""


@dataclass(frozen=True)
class Chosen:
    """Which events to export: those that occurred from `from_us` (inclusive) to `to_us` (exclusive), of some types, of a contact."""

    from_us: int | None = None
    to_us: int | None = None
    types: frozenset[str] = frozenset()
    contact: str | None = None


@dataclass
class Contact:
    """What makes an event a contact's: the contact's identifiers, and the visitors that it owned, with the times."""

    identifiers: set[int]
    owned: dict[int, list[tuple[Order, Order]]] = field(default_factory=dict)

    def has(self, arrived: Prepared) -> bool:
        """Whether an event names the contact, or is a touch of a visitor that belonged to the contact then."""
        named = arrived.mention
        if named is not None and any(i.key in self.identifiers for contact in named.contacts for i in contact):
            return True
        if arrived.row is None:
            return False
        order = Order(arrived.occurred_at_us, arrived.event_id)
        return any(start <= order < end for start, end in self.owned.get(arrived.row.person, ()))


@dataclass
class Export:
    """Exports the events of a workspace. `begun` is called with the number of events to read, `advance` with the number just read."""

    resources: Resources
    workspace: str
    chosen: Chosen
    begun: Callable[[int], None]
    advance: Callable[[int], None]

    async def events(self) -> AsyncIterator[list[Prepared]]:
        """The events in the order of the log, of a sealed store as sent unless their contact is forgotten. Raises `NoContact`, `NoGeneration`, `WrongShape` or `WrongLog`."""
        pool, log = self.resources.pool, self.resources.log
        live = await live_generation(pool)
        check_log(live, log.identity, log.partitions)
        partition = partition_of(self.workspace, live.partitions)
        selection = Selection(self.workspace, winners_in=live.name)
        async with (
            Connection.of(pool, live.name) as connection,
            # one snapshot: an event that is replaced meanwhile is exported as it was before
            connection.raw.transaction(isolation="repeatable_read", readonly=True),
        ):
            end = (await offsets_of(connection.raw, live.name)).get(partition, 0)
            ws = await connection.fetchval(NUMBER, self.workspace) or 0
            self.begun(end)
            vault = vault_of(log)
            contact = await _contact(connection, ws, await _known_as(vault, self.workspace, self.chosen.contact))
            at = 0
            while at < end:
                entries = await log.read(partition, at, min(READ_EVENTS, end - at))
                at = entries[-1].offset + 1
                arrived = (await selection.chosen(connection, entries)).arrived.get(self.workspace, [])
                chosen = [a for a in arrived if self._is_chosen(a) and (contact is None or contact.has(a))]
                yield chosen if vault is None else await _as_sent(vault, self.workspace, chosen)
                self.advance(len(entries))
        await log.leave(partition)

    def _is_chosen(self, arrived: Prepared) -> bool:
        chosen = self.chosen
        return (
            (chosen.from_us is None or arrived.occurred_at_us >= chosen.from_us)
            and (chosen.to_us is None or arrived.occurred_at_us < chosen.to_us)
            and (not chosen.types or event_type(arrived.event) in chosen.types)
        )

    async def run(self, target: Path) -> int:
        """Write the events to a file, which after an error does not exist, or to standard output (`-`); returns their number.

        The file holds personal data, so only its owner can read it (mode 0600).
        """
        count = 0
        partial = target if target == STDIN else _private(target)
        try:
            with _writer(target, partial) as writer:
                async for events in self.events():
                    writer.write(events)
                    count += len(events)
            if target != STDIN:
                partial.replace(target)
        finally:
            if target != STDIN:
                partial.unlink(missing_ok=True)
        return count


async def _known_as(vault: Vault | None, workspace: str, name: str | None) -> str | None:
    return None if name is None else (await pseudonyms_of(vault, workspace, name))[0]


async def _as_sent(vault: Vault, workspace: str, arrived: Sequence[Prepared]) -> list[Prepared]:
    """The events of a sealed store with names in place of pseudonyms."""
    for each, raw in zip(arrived, await as_sent(vault, workspace, arrived), strict=True):
        each.raw, each.event = raw, decode_event(raw)
    return list(arrived)


def _private(target: Path) -> Path:
    """A new file beside the target, which only its owner can read."""
    number, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    os.close(number)
    return Path(name)


async def _contact(connection: Connection, ws: int, text: str | None) -> Contact | None:
    if text is None:
        return None
    names = [Identifier((False, text)), Identifier((True, normalised_email(text)))]
    key = await connection.fetchval(CONTACT, ws, [name.key for name in names])
    if key is None:
        raise NoContact(f"there is no contact with the id or email {text!r}")
    contact = Contact({row["identifier"] for row in await connection.fetch(IDENTIFIERS, ws, key)})
    for row in await connection.fetch(OWNED, ws, key):
        interval = Order(row["from_us"], row["from_event"]), Order(row["to_us"], row["to_event"])
        contact.owned.setdefault(row["person"], []).append(interval)
    return contact


def complete(arrived: Prepared) -> bytes:
    """The event as it was sent, on one line, with the fields that the server added: its id, its instant, its user agent.

    It keeps its `as_of`, if it was sent with one, so that another store compares it rightly with other events of the same id.
    An instant that `sent_at` has corrected is written as corrected, without `sent_at`: else the next store would correct it again.
    """
    event = arrived.event
    filled: dict[str, str] = {}
    if event.id != arrived.event_id:
        filled["id"] = arrived.event_id
    sent_at = event.occurred_at or event.as_of
    if sent_at is None or to_micros(sent_at) != arrived.occurred_at_us:
        filled["occurred_at"] = to_rfc3339(arrived.occurred_at_us)
    if arrived.user_agent is not None and getattr(event, "user_agent", None) is None:
        filled["user_agent"] = arrived.user_agent
    if not filled and event.sent_at is None and b"\n" not in arrived.raw and b"\r" not in arrived.raw:
        return arrived.raw
    sent = orjson.loads(arrived.raw)
    sent.pop("sent_at", None)
    return orjson.dumps({**sent, **filled})


class Writer(Protocol):
    """Writes events to a file."""

    def write(self, events: Sequence[Prepared]) -> None:
        """Write more events."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None: ...


def _writer(target: Path, partial: Path) -> Writer:
    return _Parquet(partial) if kind(target) == ".parquet" else _Ndjson(target, partial)


class _Ndjson:
    """Writes one event a line, compressed as the file's suffix says."""

    def __init__(self, target: Path, partial: Path) -> None:
        self._raw: AbstractContextManager[IO[bytes]]
        self._raw = nullcontext(sys.stdout.buffer) if target == STDIN else partial.open("wb")
        self._suffix = target.suffix

    def __enter__(self) -> Self:
        raw = self._raw.__enter__()
        self._packed: Any = nullcontext(raw)
        if self._suffix == ".gz":
            self._packed = gzip.GzipFile(fileobj=raw, mode="wb", mtime=0)
        elif self._suffix == ".zst":
            self._packed = zstandard.ZstdCompressor(level=3).stream_writer(raw, closefd=False)
        self._file = self._packed.__enter__()
        return self

    def write(self, events: Sequence[Prepared]) -> None:
        self._file.write(b"".join(complete(a) + b"\n" for a in events))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._packed.__exit__(kind, error, trace)
        self._raw.__exit__(kind, error, trace)


class _Parquet:
    """Writes one row an event: the whole event as JSON, and beside it the columns that analysts use most."""

    NAMES = ("visitor_id", "asset_id", "campaign_id", "deal_id", "url")

    def __init__(self, partial: Path) -> None:
        try:
            import pyarrow as pa  # an extra: a wheel of 40 MB that few need
            from pyarrow import parquet
        except ImportError as error:
            raise Unreadable("Parquet needs the extra `parquet`: pip install 'touchline[parquet]'") from error
        instant = pa.timestamp("us", "UTC")
        texts = [(name, pa.string()) for name in ("contact_id", "contact_email", *self.NAMES, EVENT_COLUMN)]
        columns = [("id", pa.string()), ("type", pa.string()), ("occurred_at", instant), ("received_at", instant)]
        self._arrow, self._schema = pa, pa.schema([*columns, *texts])
        self._file = parquet.ParquetWriter(partial, self._schema, compression="zstd")
        self._rows: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        return self

    def write(self, events: Sequence[Prepared]) -> None:
        self._rows += [self._row(a) for a in events]
        if len(self._rows) >= PARQUET_ROWS:
            self._flush()

    def _row(self, arrived: Prepared) -> dict[str, Any]:
        event: Any = arrived.event
        contact = getattr(event, "contact", None)
        return {
            "id": arrived.event_id, "type": event_type(event), "occurred_at": from_micros(arrived.occurred_at_us),
            "received_at": from_micros(arrived.received_at_us), "contact_id": contact and contact.id,
            "contact_email": contact and contact.email, **{name: getattr(event, name, None) for name in self.NAMES},
            EVENT_COLUMN: complete(arrived).decode(),
        }  # fmt: skip

    def _flush(self) -> None:
        self._file.write_table(self._arrow.Table.from_pylist(self._rows, self._schema))
        self._rows.clear()

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        if kind is None and self._rows:
            self._flush()
        self._file.close()
