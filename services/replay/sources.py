"""How is a file of history read? As NDJSON, CSV or Parquet, compressed or not: rows, each with its events.

A table is read twice: first to learn how it writes instants and numbers, then to make its events. Both times it is streamed,
so that memory does not grow with the file.
"""

import codecs
import csv
import datetime as dt
import gzip
import io
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

import orjson

from services.replay.mapping.errors import BadMapping
from services.replay.mapping.language import key_of
from services.replay.mapping.table import Table, TableMapping
from shared.compressed import BROKEN, zstd_reader
from shared.errors import ExpectedError
from shared.events.codec import Refusal
from shared.events.limits import EVENT_BYTES_MAX
from shared.events.split import is_wide

STDIN = Path("-")
PACKED = (".gz", ".zst")
TABLES = (".csv", ".tsv", ".parquet")
HEADER_ROWS = 50  # the header is one of these; reports have a title, a time span and some lines of notes before it
DELIMITERS = ",;\t|"
SEPARATOR_HINT = "sep="  # a first line that names the delimiter, for spreadsheets
LINE_CHARACTERS_MAX = 1024 * 1024  # of a table's line; a cell holds a name, a list, a URL
CELL_CHARACTERS_MAX = 256 * 1024  # of a cell, with all of its lines; an event may have 32 KiB
NDJSON_BYTES_MAX = 2 * EVENT_BYTES_MAX  # of a line that is stored with its refusal
HEAD_BYTES = 4_096  # from which the encoding is recognised
PARQUET_ROWS = 10_000  # at a time
BEGINNINGS = (
    (b"PK\x03\x04", "a ZIP archive, as a workbook of Excel is one: unpack it, or save the sheet as CSV"),
    (b"\x1f\x8b", "compressed with gzip: its name must end in .gz"), (b"\x28\xb5\x2f\xfd", "compressed with zstd: its name must end in .zst"),
    (b"BZh", "compressed with bzip2: unpack it"), (b"\xfd7zXZ", "compressed with xz: unpack it"), (b"PAR1", "Parquet: its name must end in .parquet"),
)  # fmt: skip
"""How files begin that are neither CSV nor NDJSON; what they are, and what to do."""
EVENT_COLUMN = "event"  # of a Parquet file that holds whole events, as an export writes it


_LINE_END = re.compile(r"\r\n|\r|\n")


class Unreadable(ExpectedError):
    """A source that cannot be read in the expected format."""


@dataclass(frozen=True, slots=True)
class Line:
    """A row of a source that is not empty, with its number from 1 (in CSV, of the row's last line), and its events.

    `bytes_read`: bytes of the stored file read up to it. `unmet`: the values, by column, that no `when` matched.
    """

    number: int
    body: bytes
    events: list[bytes | Refusal]
    bytes_read: int
    unmet: Sequence[tuple[str, str]] = ()
    summed: bool = False
    """Whether this row's number is part of a sum that a later row gives."""
    skipped: str = ""
    """The word under which a row that is not data is counted: `totals`, `footer`."""
    unknown: Sequence[str] = ()
    """The advertising platform's names or ids of campaigns that were not created here."""


@dataclass
class TableFacts:
    """Facts about a table beside its rows."""

    missing_columns: list[str] = field(default_factory=list)
    """The optional columns of the mapping that the file lacks."""
    names_contacts: bool = False
    """Whether its rows can name the contacts of deals."""
    lines_before_header: int = 0

    def of(self, table: Table) -> None:
        """Copy the facts from a table."""
        self.missing_columns, self.names_contacts = table.missing, table.names_contacts


def read_lines(source: Path, mapping: TableMapping | None = None, facts: TableFacts | None = None) -> Iterator[Line]:
    """The rows of a file, or of standard input (`-`). Raises `OSError`, `Unreadable` or `BadMapping`."""
    suffix = kind(source)
    facts = facts or TableFacts()
    try:
        if suffix == ".parquet":
            yield from _parquet(source, mapping, facts)
        elif mapping is not None:
            yield from _table(source, mapping, facts)
        elif suffix in TABLES:
            raise Unreadable(f"{source} is a table: it needs a mapping, which says which events its rows become")
        else:
            with _opened(source) as (raw, text):
                yield from _ndjson(source, raw, text)
    except BROKEN as error:
        raise OSError(f"{source} cannot be decompressed: {error}") from error


def kind(source: Path) -> str:
    """The suffix that gives a file's format, without a suffix of compression."""
    return Path(source.stem).suffix if source.suffix in PACKED else source.suffix


def _ndjson(source: Path, raw: IO[bytes], text: IO[bytes]) -> Iterator[Line]:
    """Lines of JSON. A line that is too long for an event is refused, and only its beginning is kept."""
    number = 0
    while line := text.readline(NDJSON_BYTES_MAX):
        number += 1
        if number == 1:
            line = _first(source, line)
        if len(line) == NDJSON_BYTES_MAX and not line.endswith(b"\n"):
            length = len(line)
            while (more := text.readline(NDJSON_BYTES_MAX)) and not more.endswith(b"\n"):
                length += len(more)
            message = f"{length + len(more)} bytes; an event has {EVENT_BYTES_MAX} at most"
            yield Line(number, line[:EVENT_BYTES_MAX], [Refusal(0, None, "too_large", None, message)], _at(raw))
        elif body := line.strip():
            yield Line(number, body, [body], _at(raw))


def _first(source: Path, line: bytes) -> bytes:
    """The first line of NDJSON without a byte order mark. Raises `Unreadable` if the file is of another kind."""
    _check_beginning(source, line)
    if is_wide(line):
        raise Unreadable(f"{source} is UTF-16 or UTF-32; NDJSON is UTF-8: save it as such")
    line = line.removeprefix(codecs.BOM_UTF8)
    if line.lstrip().startswith(b"[") or line.strip() == b"{":
        raise Unreadable(
            f"{source} begins with {line.lstrip()[:1].decode()!r}: a file of events has each event on a line of its own (NDJSON), without an "
            f"array around them; `jq -c '.[]' {source}` makes it of an array"
        )
    return line


def _check_beginning(source: Path, head: bytes) -> None:
    """Raise `Unreadable` if a file that should be CSV or NDJSON begins like one of another kind."""
    for beginning, says in BEGINNINGS:
        if head.startswith(beginning):
            raise Unreadable(f"{source} is {says}")


@contextmanager
def _opened(source: Path) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """The file as stored, and its decompressed content."""
    raw: IO[bytes] = os.fdopen(os.dup(0), "rb") if source == STDIN else source.open("rb")
    with raw:
        yield raw, _unpacked(source, raw)


def _unpacked(source: Path, raw: IO[bytes]) -> IO[bytes]:
    if source.suffix == ".gz":
        return cast("IO[bytes]", gzip.GzipFile(fileobj=raw))
    if source.suffix == ".zst":
        return zstd_reader(raw)
    return raw


def _at(raw: IO[bytes]) -> int:
    return raw.tell() if raw.seekable() else 0


@contextmanager
def _rereadable(source: Path) -> Iterator[IO[bytes]]:
    """A file that can be read twice; standard input or a pipe is first copied to a temporary file."""
    with ExitStack() as stack:
        raw: IO[bytes] = stack.enter_context(os.fdopen(os.dup(0), "rb") if source == STDIN else source.open("rb"))
        if not stat.S_ISREG(os.fstat(raw.fileno()).st_mode):
            spool = stack.enter_context(tempfile.TemporaryFile(prefix="touchline-backfill-"))
            shutil.copyfileobj(raw, spool)
            raw = spool
        elif source == STDIN:
            raw.seek(0)
        yield raw


@dataclass(frozen=True)
class _Form:
    """The format of a CSV file."""

    encoding: str
    delimiter: str
    header: list[str]
    hinted: bool
    """Whether the first line names the delimiter."""
    before: int = 0
    """Rows before the header, such as a report's title."""
    line: int = 1
    """The line on which the header ends."""


def _table(source: Path, mapping: TableMapping, facts: TableFacts) -> Iterator[Line]:
    """CSV with a header."""
    with _naming(source), _rereadable(source) as raw:
        form = _form(source, raw, mapping)
        table = mapping.bind(form.header, delimiter=form.delimiter)
        facts.of(table)
        facts.lines_before_header = form.line - 1
        for row in _rows(source, raw, form):
            if row.cells is not None and len(row.cells) == len(form.header):
                table.observe(row.cells, row.number)
        table.settle()
        if mapping.sums:
            for row in _rows(source, raw, form):
                if row.cells is not None and len(row.cells) == len(form.header):
                    table.add_up(row.cells, row.number)
        for row in _rows(source, raw, form):
            yield _line_of(row, table, form.header, _at(raw))


@contextmanager
def _naming(source: Path) -> Iterator[None]:
    """Let errors of a table name its file."""
    try:
        yield
    except (Unreadable, BadMapping) as error:
        if str(source) in str(error):
            raise
        raise type(error)(f"{source}, {error}") from error


def _form(source: Path, raw: IO[bytes], mapping: TableMapping) -> _Form:
    """Find a file's format from its beginning. The delimiter is the one that gives the most columns that the mapping uses."""
    head = _begun(source, raw).read(HEAD_BYTES)
    _check_beginning(source, head)
    encoding = _encoding(head)
    asked = {key for event in mapping.events for template in event_templates(event) for key in template}
    hint = _hint(source, raw, encoding)
    found: list[tuple[tuple[bool, int, bool, int], _Form]] = []
    wrong = ""
    for delimiter in [hint] if hint else DELIMITERS:
        rows = _Csv(_text(source, raw, encoding), delimiter)
        if hint:
            rows.skip_line()
        for before in range(HEADER_ROWS):
            try:
                number, cells, error = next(rows, (1, [], None) if before == 0 else (0, None, None))
            except Unreadable as not_so:  # a long row is one cell where it is not divided
                wrong = wrong or str(not_so)
                break
            if cells is None and number == 0:
                break
            if cells is None:
                wrong = wrong or f"{source}, line {number}: the header cannot be read: {error}"
                continue
            header = [cell.strip() for cell in cells]
            fits = _fits(mapping, header)
            score = (
                fits,
                len(asked & set(map(key_of, header))) if fits or before == 0 else 0,
                before == 0,
                len(header),
            )
            found.append((score, _Form(encoding, delimiter, header, bool(hint), before, number)))
            if fits:
                break
    if not found:
        raise Unreadable(wrong)
    return max(found, key=lambda one: one[0])[1]


def _fits(mapping: TableMapping, header: list[str]) -> bool:
    """Whether a row names all columns that a mapping needs."""
    try:
        mapping.bind(header)
    except BadMapping:
        return False
    return True


def event_templates(event: Any) -> Iterator[tuple[str, ...]]:
    """The keys of the columns that an event of a mapping uses."""
    for expression in event.expressions:
        if (template := getattr(expression, "template", None)) is not None:
            yield from (place.keys for place in template.places)


def _encoding(head: bytes) -> str:
    """UTF-8, or UTF-16 by its byte order mark or by the zero bytes of its letters."""
    if head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "utf-32"
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    even, odd = head[0:200:2].count(0), head[1:200:2].count(0)
    if max(even, odd) * 4 > min(len(head), 200):
        return "utf-16-be" if even > odd else "utf-16-le"
    return "utf-8-sig"


def _text(source: Path, raw: IO[bytes], encoding: str) -> io.TextIOWrapper:
    return io.TextIOWrapper(_begun(source, raw), encoding, newline="")


def _begun(source: Path, raw: IO[bytes]) -> IO[bytes]:
    """The decompressed content of a file, from its beginning; closing it leaves the file open."""
    raw.seek(0)
    return _unpacked(source, cast("IO[bytes]", io.BufferedReader(_KeptOpen(raw))))


class _KeptOpen(io.RawIOBase):
    """A file that stays open when its reader is closed."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        found = self._raw.read(len(buffer))
        buffer[: len(found)] = found
        return len(found)


def _hint(source: Path, raw: IO[bytes], encoding: str) -> str | None:
    """The delimiter that a first line such as `sep=;` names."""
    try:
        first = _text(source, raw, encoding).readline(LINE_CHARACTERS_MAX).strip("\r\n\ufeff").strip('"')
    except UnicodeDecodeError:
        return None
    found = first[len(SEPARATOR_HINT) :]
    fit = len(found) == 1 and not found.isalnum() and found not in "\"'" and first.casefold().startswith(SEPARATOR_HINT)
    return found if fit else None


class _Csv:
    """Rows of CSV, each with the number of its last line: its cells, or None and the error."""

    def __init__(self, text: io.TextIOWrapper, delimiter: str) -> None:
        csv.field_size_limit(CELL_CHARACTERS_MAX)
        self._text, self._lines = text, 0
        self._rows = csv.reader(self._bounded(), delimiter=delimiter, strict=True)

    def skip_line(self) -> None:
        """Skip a line that is not part of the table."""
        next(self._bounded(), "")

    def _bounded(self) -> Iterator[str]:
        while line := self._text.readline(LINE_CHARACTERS_MAX):
            self._lines += 1
            if len(line) == LINE_CHARACTERS_MAX and line[-1] not in "\r\n":
                raise Unreadable(f"line {self._lines}: more than {LINE_CHARACTERS_MAX:,} characters; is it a table?")
            yield line

    def __iter__(self) -> "_Csv":
        return self

    def __next__(self) -> tuple[int, list[str] | None, str | None]:
        began = self._lines + 1
        try:
            return self._lines_of(next(self._rows))
        except csv.Error as error:
            if "field larger" in str(error):
                raise Unreadable(
                    f"line {began}: a cell of more than {CELL_CHARACTERS_MAX:,} characters; is a quotation mark closed?"
                ) from error
            message = (
                "a quotation mark is opened and never closed"
                if "end of data" in str(error)
                else f"quotation marks: {error}"
            )
            where = f"; the row begins on line {began}" if began < self._lines else ""
            return self._lines, None, f"{message}{where}"
        except UnicodeDecodeError as error:
            raise Unreadable(
                f"line {self._lines + _line_in(error)}: {_undecodable(error)}; a table is UTF-8 or UTF-16: save it as such "
                '(in a spreadsheet, "CSV UTF-8")'
            ) from error

    def _lines_of(self, cells: list[str]) -> tuple[int, list[str], None]:
        return self._lines, cells, None


def _line_in(error: UnicodeDecodeError) -> int:
    """On which line, from 1, of the bytes that were decoded together an error is: a reader decodes many lines at once."""
    return len(_LINE_END.findall(error.object[: error.start].decode(error.encoding, "replace"))) + 1


def _undecodable(error: UnicodeDecodeError) -> str:
    """Which bytes are no character of an encoding."""
    bytes_ = error.object[error.start : error.end].hex(" ")
    return f"the bytes {bytes_} are no {error.encoding.upper()}: {error.reason}"


class _Row(NamedTuple):
    """A row below the header: the number of its last line, and its cells, or None and the error."""

    number: int
    cells: list[str] | None
    wrong: str | None
    after_empty: bool
    """Whether there is an empty line between the row and the header."""


def _rows(source: Path, raw: IO[bytes], form: _Form) -> Iterator[_Row]:
    """The rows below the header that are not empty lines."""
    rows = _Csv(_text(source, raw, form.encoding), form.delimiter)
    if form.hinted:
        rows.skip_line()
    for _ in range(form.before + 1):
        next(rows, None)
    after_empty = False
    for number, cells, wrong in rows:
        if cells is None or len(cells) > 1 or (cells and cells[0].strip()):
            yield _Row(number, cells, wrong, after_empty)
        else:
            after_empty = True


def _line_of(row: _Row, table: Table, header: list[str], at: int) -> Line:
    number, wrong = row.number, row.wrong
    cells = row.cells or []
    body = orjson.dumps(dict(zip(header, cells, strict=False)))
    if wrong is None and len(cells) != len(header):
        if not any(cell.strip() for cell in cells):
            return Line(number, body, [], at)
        if table.mapping.footer and row.after_empty and len(cells) == 1:
            return Line(number, body, [], at, skipped="footer")
        if len(cells) < len(header) and (word := table.skips(cells)):
            return Line(number, body, [], at, skipped=word)
        few = "the row is cut short" if len(cells) < len(header) else "the row has more cells than the header names"
        wrong = f"{len(cells)} cells, and {len(header)} columns: {few}"
    if wrong is not None:
        return Line(number, body, [Refusal(0, None, "bad_value", None, wrong)], at)
    if not any(cell.strip() for cell in cells):
        return Line(number, body, [], at)
    read = table.events_of(cells, number)
    return Line(number, body, read.events, at, read.unmet, read.summed, read.skipped, read.unknown)


def _parquet(source: Path, mapping: TableMapping | None, facts: TableFacts) -> Iterator[Line]:
    """Rows of a Parquet file; without a mapping, the events in its column `event`."""
    parquet = _library()
    try:
        file = parquet.ParquetFile(source)
    except (ValueError, OSError) as error:
        raise Unreadable(f"{source}: {error}") from error
    columns = file.schema_arrow.names
    size, rows = source.stat().st_size, max(1, file.metadata.num_rows)
    if mapping is None:
        if EVENT_COLUMN not in columns:
            raise Unreadable(
                f"{source} has no column {EVENT_COLUMN}: it needs a mapping, which says which events its rows become"
            )
        for number, (event,) in enumerate(_parquet_rows(source, file, [EVENT_COLUMN]), 1):
            body = event.encode() if isinstance(event, str) else _cell(event).encode()
            yield Line(number, body, [body], size * number // rows)
        return
    table = mapping.bind(
        columns, numeric=[name for name, kind in zip(columns, file.schema_arrow.types, strict=True) if _is_number(kind)]
    )
    facts.of(table)
    for number, values in enumerate(_parquet_rows(source, file, None), 1):
        table.observe([_cell(value) for value in values], number)
    table.settle()
    if mapping.sums:
        for number, values in enumerate(_parquet_rows(source, file, None), 1):
            table.add_up([_cell(value) for value in values], number)
    for number, values in enumerate(_parquet_rows(source, file, None), 1):
        row = _Row(number, [_cell(value) for value in values], None, after_empty=False)
        yield _line_of(row, table, columns, size * number // rows)


def _parquet_rows(source: Path, file: Any, columns: list[str] | None) -> Iterator[tuple[Any, ...]]:
    number = 0
    try:
        for batch in file.iter_batches(PARQUET_ROWS, columns=columns):
            for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                number += 1
                yield row
    except (ValueError, OSError, OverflowError) as error:
        raise Unreadable(f"{source}, after row {number}: {error}") from error


def _is_number(kind: Any) -> bool:
    text = str(kind)
    return text.startswith(("int", "uint", "float", "double", "halffloat", "decimal"))


def _cell(value: Any) -> str:
    """A value of a Parquet column as a text, for the mapping."""
    match value:
        case None:
            return ""
        case dt.datetime():
            exact = value if value.tzinfo else value.replace(tzinfo=dt.UTC)
            return exact.isoformat(timespec="microseconds")
        case bool():
            return str(value).lower()
        case bytes():
            return value.decode(errors="replace")
        case dict() | list():
            return orjson.dumps(cast("Mapping[str, Any]", value), default=str).decode()
        case _:
            return str(value)


def _library() -> Any:
    try:
        from pyarrow import parquet  # an extra: a wheel of 40 MB that few need
    except ImportError as error:
        raise Unreadable("Parquet needs the extra `parquet`: pip install 'touchline[parquet]'") from error
    return parquet
