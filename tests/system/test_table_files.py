"""Files of tables as programs write them: in any encoding, with broken rows, and with mappings that do not fit them."""

import gzip
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pytest
import zstandard
from pyarrow import parquet

from services.replay.mapping.errors import BadMapping
from services.replay.mapping.ready import mapping
from services.replay.sources import LINE_CHARACTERS_MAX, Line, TableFacts, Unreadable, read_lines
from shared.events.codec import Refusal

OWN = """
[[events]]
type = "form_submitted"
id = "signup-{No}"
occurred_at = "{Day}"
asset_id = "signup"
contact = { email = "{Mail}" }
"""
PLAIN = 'No,Day,Mail,Note\n1,2024-01-05,a@x.no,"two\nlines"\n2,2024-01-06,b@x.no,\n'


@pytest.fixture
def own(tmp_path: Path) -> str:
    (tmp_path / "own.toml").write_text(OWN)
    return str(tmp_path / "own.toml")


def read(path: Path, by: str) -> list[Line]:
    return list(read_lines(path, mapping(by)))


def events(lines: list[Line]) -> list[dict[str, Any]]:
    return [orjson.loads(each) for line in lines for each in line.events if isinstance(each, bytes)]


def refusals(lines: list[Line]) -> list[tuple[int, str]]:
    return [(line.number, each.message) for line in lines for each in line.events if isinstance(each, Refusal)]


@pytest.mark.parametrize(
    "body",
    [
        PLAIN.encode(), PLAIN.encode("utf-8-sig"), PLAIN.encode("utf-16"), b"\xff\xfe" + PLAIN.encode("utf-16-le"),
        b"\xfe\xff" + PLAIN.encode("utf-16-be"), PLAIN.encode("utf-16-le"), PLAIN.encode("utf-16-be"), PLAIN.encode("utf-32"),
        PLAIN.replace("\n", "\r").encode(), PLAIN.replace("\n", "\r\n").encode(), PLAIN.replace(",", ";").encode(),
        PLAIN.replace(",", "\t").encode("utf-16"), ("sep=;\r\n" + PLAIN.replace(",", ";")).encode("utf-8-sig"),
        ('"sep=|"\n' + PLAIN.replace(",", "|")).encode(), PLAIN.replace("Day,Mail", '"Day","Mail\n"').encode(),
        PLAIN.replace("No,Day", '"N\ufeffo", dAY ').encode(), PLAIN.replace("Note", '"Note,\nof ""us"""').encode(),
        PLAIN.encode() + b"\n\n\r\n", (PLAIN.replace("Note", "Note;with;semicolons;more")).encode(),
    ],
)  # fmt: skip
@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".csv.zst"])
def test_a_file_is_read_however_it_is_encoded(tmp_path: Path, own: str, body: bytes, suffix: str) -> None:
    packed = {"gz": gzip.compress, "zst": zstandard.ZstdCompressor().compress}.get(suffix.rpartition(".")[2], bytes)
    path = tmp_path / f"t{suffix}"
    path.write_bytes(packed(body))
    assert [(e["id"], e["contact"]["email"]) for e in events(read(path, own))] == [
        ("signup-1", "a@x.no"), ("signup-2", "b@x.no"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "refused"),
    [
        ("1,2024-01-05,a@x.no\n2,2024-01-06\n", [(3, "2 cells, and 3 columns: the row is cut short")]),
        ("1\n2,2024-01-06,b@x.no\n", [(2, "1 cells, and 3 columns: the row is cut short")]),
        ("1,2024-01-05,a@x.no,\n", [(2, "4 cells, and 3 columns: the row has more cells than the header names")]),
        ("1,2024-01-05,a@x.no,x,y\n", [(2, "5 cells, and 3 columns: the row has more cells than the header names")]),
        ('1,2024-01-05,"a"b\n2,2024-01-06,b@x.no\n', [(2, "quotation marks: ',' expected after '\"'")]),
        ('1,2024-01-05,a@x.no\n2,2024-01-06,"b@x.no\n3,2024-01-07,c@x.no\n',
         [(4, "a quotation mark is opened and never closed; the row begins on line 3")]),
    ],
)  # fmt: skip
def test_a_broken_row_is_refused_by_its_line(
    tmp_path: Path, own: str, rows: str, refused: list[tuple[int, str]]
) -> None:
    path = tmp_path / "t.csv"
    path.write_text("No,Day,Mail\n" + rows)
    assert refusals(read(path, own)) == refused


def test_rows_of_blanks_are_read_and_make_no_event(tmp_path: Path, own: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text("No,Day,Mail\n1,2024-01-05,a@x.no\n,,\n , ,\n,\n\n2,2024-01-06,b@x.no\n")
    assert [(line.number, len(line.events)) for line in read(path, own)] == [(2, 1), (3, 0), (4, 0), (5, 0), (7, 1)]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("No,Day,Mail,mail ", r"event 1, needs the column 'Mail'; the file has it 2 times, as columns 3 and 4"),
        ("No,Day,Mail,MAIL,\ufeffMail", r"it 3 times, as columns 3 and 4 and 5"),
        ("No,Day,E-Mail", r"event 1, needs the column 'Mail'; the file has Day, E-Mail, No"),
        ("", "needs the column 'No'; the file has none"),
        ("Export of 5 November", "needs the column 'No'; the file has Export of 5 November"),
    ],
)
def test_a_file_that_does_not_have_a_column_once_is_refused(
    tmp_path: Path, own: str, header: str, expected: str
) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f"{header}\n")
    with pytest.raises(BadMapping, match=expected):
        read(path, own)


def test_a_column_that_nobody_asks_for_may_be_there_twice(tmp_path: Path, own: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text("No,Day,Mail,Note,Note,,\n1,2024-01-05,a@x.no,,,,\n")
    assert len(events(read(path, own))) == 1


def test_optional_columns_that_are_missing_are_reported(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("Record ID,Email,Create Date,first name\n1,a@x.no,2024-01-05,Kari\n")
    facts = TableFacts()
    list(read_lines(path, mapping("hubspot-contacts"), facts))
    assert "Lifecycle Stage" in facts.missing_columns
    assert "First Name" not in facts.missing_columns


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("No,Day,Mail\n1,2024-01-05,bl\xe5@x.no\n".encode("latin-1"), "a table is UTF-8 or UTF-16"),
        (b"No,Day,Mail\n1,2024-01-05,\xff\xfe\n", "a table is UTF-8 or UTF-16"),
        (
            ("No,Day,Mail\n1,2024-01-05," + "x" * (LINE_CHARACTERS_MAX + 1)).encode(),
            "line 2: more than 1,048,576 characters",
        ),
        (('No,Day,Mail\n1,2024-01-05,"' + "x,\n" * 200_000).encode(), "line 2: a cell of more than 262,144 characters"),
        (PLAIN.encode("utf-16")[:-1], "t.csv, line 4: the bytes 0a are no UTF-16-LE: truncated data; a table is UTF-8 or UTF-16"),
        ((PLAIN + "3,2024-01-07,c@x.no,\n" * 3_000 + "4,2024-01-08,blå@x.no,\n").encode("latin-1"), "t.csv, line 3005: the bytes e5 are no UTF-8"),
        ((PLAIN.replace("\n", "\r\n") + "4,2024-01-08,blå").encode()[:-1], "t.csv, line 5: the bytes c3 are no UTF-8: unexpected end of data"),
        (b"PK\x03\x04" + b"\0" * 60, "t.csv is a ZIP archive, as a workbook of Excel is one"),
        (gzip.compress(PLAIN.encode(), mtime=0), "t.csv is compressed with gzip: its name must end in .gz"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_table_is_refused_in_one_line(tmp_path: Path, own: str, body: bytes, expected: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(body)
    with pytest.raises(Unreadable, match=expected):
        read(path, own)


def test_a_header_that_is_longer_than_a_cell_may_be_is_read(tmp_path: Path, own: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(
        "No,Day,Mail," + ",".join(f"c{n}" for n in range(60_000)) + "\n1,2024-01-05,a@x.no" + "," * 60_000 + "\n"
    )
    assert [event["id"] for event in events(read(path, own))] == ["signup-1"]


def test_an_error_names_a_few_of_many_columns(tmp_path: Path, own: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(",".join(f"c{n}" for n in range(10_000)) + "\n")
    with pytest.raises(BadMapping, match="needs the column 'No'; the file has c0, c1, ") as refused:
        read(path, own)
    assert len(str(refused.value)) < 3_000


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        ("0000-01-01", "is not an instant"), ("0001-01-01", "the year 1 is out of range"), ("0001-01-01T00:00:00+14:00", "the year 1 is out of range"),
        ("0001-06-01 10:00 CET", "the year 1 is out of range"), ("9999-12-31T23:59:59-14:00", "the year 9999 is out of range"),
        ("9999-12-31", "the year 9999 is out of range"), ("99999-01-01", "is not an instant"), ("2024-02-30", "is not an instant"),
    ],
)  # fmt: skip
def test_an_instant_at_the_ends_of_time_is_refused_alone(tmp_path: Path, own: str, day: str, expected: str) -> None:
    (tmp_path / "t.csv").write_text(f"No,Day,Mail\n1,2024-01-05,a@x.no\n2,{day},b@x.no\n3,2024-01-05,c@x.no\n")
    lines = read(tmp_path / "t.csv", own)
    ((number, message),) = refusals(lines)
    assert (number, len(events(lines))) == (3, 2)
    assert expected in message


def test_an_instant_before_the_earliest_of_all_is_refused_alone(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(OWN.replace('"{Day}"', '{ before_earliest_of = [{ start_of = "{Day}" }] }'))
    (tmp_path / "t.csv").write_text("No,Day,Mail\n1,0001-01-01T00:00:00Z,a@x.no\n2,2024-01-05,b@x.no\n")
    lines = read(tmp_path / "t.csv", str(tmp_path / "own.toml"))
    assert [(number, "out of range" in message) for number, message in refusals(lines)] == [(2, True)]
    assert [event["occurred_at"] for event in events(lines)] == ["2024-01-04T23:59:59.999999Z"]


EVENT = (
    b'{"type":"page_visited","url":"https://x.example/","occurred_at":"2024-01-05T10:00:00Z","title":"bl\xc3\xa5"}\n'
)


def test_a_byte_order_mark_before_ndjson_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / "t.ndjson"
    path.write_bytes(b"\xef\xbb\xbf" + EVENT + EVENT)
    assert [line.body + b"\n" for line in read_lines(path)] == [EVENT, EVENT]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (EVENT.decode().encode("utf-16"), "t.ndjson is UTF-16 or UTF-32; NDJSON is UTF-8"),
        (EVENT.decode().encode("utf-16-le"), "t.ndjson is UTF-16 or UTF-32; NDJSON is UTF-8"),
        (EVENT.decode().encode("utf-32-be"), "t.ndjson is UTF-16 or UTF-32; NDJSON is UTF-8"),
        (b"[" + EVENT + b"]", r"t.ndjson begins with '\[': a file of events has each event on a line of its own"),
        (b"{\n" + EVENT[1:], "t.ndjson begins with '{': a file of events has each event on a line of its own"),
        (b"PK\x03\x04\n" + EVENT, "t.ndjson is a ZIP archive"), (gzip.compress(EVENT, mtime=0), "t.ndjson is compressed with gzip: its name must end in .gz"),
        (zstandard.compress(EVENT), "t.ndjson is compressed with zstd: its name must end in .zst"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_ndjson_is_refused_in_one_line(tmp_path: Path, body: bytes, expected: str) -> None:
    path = tmp_path / "t.ndjson"
    path.write_bytes(body)
    with pytest.raises(Unreadable, match=expected):
        list(read_lines(path))


def test_a_line_of_ndjson_that_is_too_long_is_refused_alone(tmp_path: Path) -> None:
    path = tmp_path / "t.ndjson"
    path.write_bytes(b'{"a":1}\n' + b'"' + b"x" * 5_000_000 + b'"\n{"b":2}\n')
    lines = list(read_lines(path))
    assert [(line.number, len(line.body) < 100_000) for line in lines] == [(1, True), (2, True), (3, True)]
    assert refusals(lines) == [(2, "5000003 bytes; an event has 32768 at most")]


def test_a_pipe_is_read_like_a_file(tmp_path: Path, own: str) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_text, args=(PLAIN,))
    writer.start()
    assert len(events(read(path, own))) == 2
    writer.join()


def test_numbers_of_parquet_are_numbers_whatever_their_text_may_mean(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text(
        '[[events]]\ntype = "deal_updated"\nid = "{id}"\noccurred_at = "{at}"\ndeal_id = "{id}"\namount = { number = "{amount}" }\n'
        'contacts = { contacts = "{who}" }\n'
    )
    import datetime as dt
    from decimal import Decimal

    parquet.write_table(
        pa.table({
            "id": [8001.0, 8002.0], "amount": pa.array([Decimal("1.200"), Decimal("1200.500")], pa.decimal128(10, 3)),
            "at": [dt.date(2024, 3, 1), dt.date(2024, 3, 2)], "who": [["1", "2"], []],
        }),
        tmp_path / "t.parquet",
    )  # fmt: skip
    found = events(read(tmp_path / "t.parquet", str(own)))
    assert [(e["id"], e["amount"], e.get("contacts")) for e in found] == [
        ("8001", "1.200", [{"id": "1"}, {"id": "2"}]), ("8002", "1200.500", None),
    ]  # fmt: skip


def test_a_parquet_file_with_a_column_twice_is_refused_where_it_is_asked_for(tmp_path: Path, own: str) -> None:
    parquet.write_table(
        pa.table([[1], ["2024-01-05"], ["a@x.no"], ["b@x.no"]], names=["No", "Day", "Mail", "mail"]),
        tmp_path / "t.parquet",
    )
    with pytest.raises(BadMapping, match="2 times, as columns 3 and 4"):
        read(tmp_path / "t.parquet", own)


def test_a_parquet_file_of_events_that_are_none_is_refused_by_row(tmp_path: Path) -> None:
    parquet.write_table(pa.table({"event": pa.array([1, None])}), tmp_path / "t.parquet")
    assert [line.body for line in read_lines(tmp_path / "t.parquet")] == [b"1", b""]


def test_standard_input_is_read_twice(tmp_path: Path, own: str) -> None:
    script = (
        "from pathlib import Path; from services.replay.sources import *; from services.replay.mapping.ready import mapping; "
        f"print(sum(len(line.events) for line in read_lines(STDIN, mapping({own!r}))))"
    )
    (tmp_path / "t.csv").write_text(PLAIN)
    with (tmp_path / "t.csv").open() as file:
        for given in ({"input": PLAIN}, {"stdin": file}):
            command = [sys.executable, "-c", script]
            done = subprocess.run(command, text=True, capture_output=True, check=True, **given)  # type: ignore[call-overload]
            assert done.stdout.strip() == "2"
