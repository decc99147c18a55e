"""What does a file of history hold? NDJSON, CSV or Parquet, packed or not: rows, each with the events that it tells."""

import csv
import datetime as dt
import gzip
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import orjson
import zstandard

from services.replay.mapping import TableMapping
from shared.compressed import zstd_reader
from shared.events.codec import Refusal

STDIN = Path("-")
PACKED = (".gz", ".zst")
TABLES = (".csv", ".tsv", ".parquet")
DELIMITERS = ",;\t"
PARQUET_ROWS = 10_000  # at a time
EVENT_COLUMN = "event"  # of a Parquet file that holds whole events, as an export writes it


class Unreadable(Exception):
    """A source that cannot be read as what it is said to be."""


@dataclass(frozen=True, slots=True)
class Line:
    """One row of a source that is not empty, counted from 1 (of CSV, the line that it ends on), and what it tells.

    `bytes_read` is how far into the file, as stored, it is.
    """

    number: int
    body: bytes
    told: list[bytes | Refusal]
    bytes_read: int


def read_lines(source: Path, mapping: TableMapping | None = None) -> Iterator[Line]:
    """The rows of a file, or of standard input (`-`). Raises `OSError`, `Unreadable` or `BadMapping`."""
    suffix = kind(source)
    try:
        if suffix == ".parquet":
            yield from _parquet(source, mapping)
            return
        with _opened(source) as (raw, text):
            if mapping is not None:
                yield from _table(raw, text, mapping)
            elif suffix in TABLES:
                raise Unreadable(f"{source} is a table: a mapping must say which events its rows tell")
            else:
                for number, line in enumerate(text, 1):
                    body = line.strip()
                    if body:
                        yield Line(number, body, [body], _at(raw))
    except (EOFError, zlib.error, zstandard.ZstdError) as error:
        raise OSError(f"{source} cannot be unpacked: {error}") from error


def kind(source: Path) -> str:
    """The suffix that says what a file holds, whatever it is packed as."""
    return Path(source.stem).suffix if source.suffix in PACKED else source.suffix


@contextmanager
def _opened(source: Path) -> Iterator[tuple[IO[bytes], Iterable[bytes]]]:
    """The file as it is stored, and the lines that it holds."""
    raw: IO[bytes] = os.fdopen(os.dup(0), "rb") if source == STDIN else source.open("rb")
    with raw:
        if source.suffix == ".gz":
            yield raw, gzip.GzipFile(fileobj=raw)
        elif source.suffix == ".zst":
            yield raw, zstd_reader(raw)
        else:
            yield raw, raw


def _at(raw: IO[bytes]) -> int:
    return raw.tell() if raw.seekable() else 0


def _table(raw: IO[bytes], lines: Iterable[bytes], mapping: TableMapping) -> Iterator[Line]:
    """CSV with a header; of comma, semicolon and tab, what is most in it separates the columns."""
    texts = (line.decode("utf-8-sig" if n == 0 else "utf-8") for n, line in enumerate(lines))
    header = next(texts, "")
    delimiter = max(DELIMITERS, key=header.count)
    columns = next(csv.reader([header], delimiter=delimiter), [])
    mapping.check(columns)
    rows = csv.reader(texts, delimiter=delimiter)
    try:
        for row in rows:
            if any(cell.strip() for cell in row):
                yield _told(rows.line_num + 1, columns, row, mapping, _at(raw))
    except (UnicodeDecodeError, csv.Error) as error:
        raise Unreadable(f"line {rows.line_num + 2}: {error}; a table is UTF-8") from error


def _told(number: int, columns: list[str], row: list[str], mapping: TableMapping, at: int) -> Line:
    named = dict(zip(columns, row, strict=False))
    body = orjson.dumps(named)
    if len(row) > len(columns):
        message = f"{len(row)} cells, and {len(columns)} columns"
        return Line(number, body, [Refusal(0, None, "bad_value", None, message)], at)
    return Line(number, body, mapping.events_of(named), at)


def _parquet(source: Path, mapping: TableMapping | None) -> Iterator[Line]:
    """Rows of a Parquet file; without a mapping, the events in its column `event`."""
    parquet = _library()
    try:
        file = parquet.ParquetFile(source)
    except (ValueError, OSError) as error:
        raise Unreadable(f"{source}: {error}") from error
    columns = file.schema_arrow.names
    if mapping is not None:
        mapping.check(columns)
    elif EVENT_COLUMN not in columns:
        raise Unreadable(f"{source} has no column {EVENT_COLUMN}: a mapping must say which events its rows tell")
    size, rows, number = source.stat().st_size, max(1, file.metadata.num_rows), 0
    for batch in file.iter_batches(PARQUET_ROWS, columns=None if mapping else [EVENT_COLUMN]):
        for row in batch.to_pylist():
            number += 1
            at = size * number // rows
            if mapping is None:
                body = row[EVENT_COLUMN].encode()
                yield Line(number, body, [body], at)
            else:
                named = {name: _cell(value) for name, value in row.items()}
                yield Line(number, orjson.dumps(named), mapping.events_of(named), at)


def _cell(value: Any) -> str:
    """A value of a Parquet column as a mapping reads it."""
    match value:
        case None:
            return ""
        case dt.datetime():
            return value.isoformat() if value.tzinfo else value.replace(tzinfo=dt.UTC).isoformat()
        case bool():
            return str(value).lower()
        case dict() | list():
            return orjson.dumps(cast("Mapping[str, Any]", value)).decode()
        case _:
            return str(value)


def _library() -> Any:
    try:
        from pyarrow import parquet  # an extra: a wheel of 40 MB that few need
    except ImportError as error:
        raise Unreadable("Parquet takes the extra `parquet`: pip install 'touchline[parquet]'") from error
    return parquet
