"""History comes in from tables, by mappings: the ones that come with Touchline, and one's own."""

import asyncio
import csv
import datetime as dt
import gzip
import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pytest
from pyarrow import parquet

from services.replay.backfill import Backfill, Tally
from services.replay.mapping.errors import BadMapping
from services.replay.mapping.ready import mapping
from services.replay.mapping.table import TableMapping
from services.replay.ready_mappings import ready_mappings
from services.replay.sources import Unreadable, read_lines
from tests.conftest import Workspace


def events_of_table(path: Path, by: TableMapping) -> list[dict[str, Any]]:
    return [orjson.loads(event) for line in read_lines(path, by) for event in line.events if isinstance(event, bytes)]


def table(path: Path, *rows: list[str], delimiter: str = ",") -> Path:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter).writerows(rows)
    body = text.getvalue().encode("utf-8-sig")
    path.write_bytes(gzip.compress(body) if path.suffix == ".gz" else body)
    return path


async def backfill(workspace: Workspace, path: Path, by: TableMapping | None) -> Tally:
    running = workspace.running
    tally = await Backfill(running.pool, running.log, workspace.name, 1e9, lambda _: None, mapping=by).run(path)
    await workspace.project()
    return tally


CONTACTS = (
    ["Record ID", "First Name", "Email", "Create Date", "Lifecycle Stage"],
    ["101", "Kari", "kari@example.no", "2024-01-05 10:30", "Customer"],
    ["102", "Ola", "", "2024-02-01 08:00", ""],
)
DEALS = (
    ["Record ID", "Deal Name", "Amount", "Deal Stage", "Create Date", "Close Date", "Associated Contact IDs"],
    ["9", "Big, bigger", "1,200.50", "Closed won", "2024-03-01 09:00", "2024-04-01 09:00", "101; 102"],
    ["10", "Open", "", "Qualified", "2024-03-02 09:00", "", ""],
)


def test_hubspot_exports_become_contacts_and_deals(
    workspace: Workspace, runner: asyncio.Runner, tmp_path: Path
) -> None:
    async def check() -> None:
        contacts = table(tmp_path / "contacts.csv", *CONTACTS)
        deals = table(tmp_path / "deals.csv.gz", *DEALS, delimiter=";")
        for _ in range(2):  # once, however often it is sent
            assert dict((await backfill(workspace, contacts, mapping("hubspot-contacts"))).accepted) == {
                "contact_created": 2,
                "contact_updated": 2,
            }
            tally = await backfill(workspace, deals, mapping("hubspot-deals"))
            assert dict(tally.accepted) == {"deal_created": 2, "deal_updated": 4, "deal_closed": 1, "deal_reopened": 1}
            assert not tally.refused
        kari = (await workspace.get("/v1/contacts/kari@example.no")).json()
        assert (kari["contact"], kari["properties"]) == ("101", {"first_name": "Kari", "lifecycle_stage": "Customer"})
        deal = (await workspace.get("/v1/deals/9/attribution")).json()
        assert deal["amount"] == {"amount": "1200.50", "currency": "EUR"}

    runner.run(check())


def test_an_export_without_zone_is_read_in_the_one_that_is_named(tmp_path: Path) -> None:
    path = table(tmp_path / "c.csv", *CONTACTS)
    assert events_of_table(path, mapping("hubspot-contacts"))[0]["occurred_at"] == "2024-01-05T10:30:59.999999Z"
    assert (
        events_of_table(path, mapping("hubspot-contacts", "Europe/Oslo"))[0]["occurred_at"]
        == "2024-01-05T09:30:59.999999Z"
    )


def test_segment_tables_become_visits_and_identifications(
    workspace: Workspace, runner: asyncio.Runner, tmp_path: Path
) -> None:
    at = dt.datetime(2024, 3, 1, 12, tzinfo=dt.UTC)
    pages = pa.table({
        "id": ["m1", "m2"], "anonymous_id": ["a", "a"], "user_id": [None, "7"], "timestamp": [at, at + dt.timedelta(hours=1)],
        "context_page_url": ["https://x.example/?utm_campaign=c", None], "url": [None, "https://x.example/2"],
    })  # fmt: skip
    identifies = pa.table(
        {"id": ["m3"], "anonymous_id": ["a"], "user_id": ["7"], "email": ["k@x.no"], "timestamp": [at]}
    )
    parquet.write_table(pages, tmp_path / "pages.parquet")
    parquet.write_table(identifies, tmp_path / "identifies.parquet")

    async def check() -> None:
        assert (await backfill(workspace, tmp_path / "pages.parquet", mapping("segment-pages"))).accepted.total() == 2
        assert not (await backfill(workspace, tmp_path / "identifies.parquet", mapping("segment-identifies"))).refused
        journey = (await workspace.get("/v1/contacts/k@x.no/journey")).json()["items"]
        assert [(i["event_id"], i["occurred_at"]) for i in journey] == [
            ("segment-m1", "2024-03-01T12:00:00Z"), ("segment-m2", "2024-03-01T13:00:00Z"),
        ]  # fmt: skip

    runner.run(check())


OWN = """
about = "Signups of our own shop"
instants = ["%d.%m.%Y"]
[[events]]
type = "form_submitted"
id = "signup-{No}"
occurred_at = "{Day}"
asset_id = "signup"
contact = { email = "{Mail}" }
"""


def test_rows_that_cannot_be_read_are_written_beside_their_source_and_the_rest_counts(
    workspace: Workspace, runner: asyncio.Runner, tmp_path: Path
) -> None:
    own = tmp_path / "own.toml"
    own.write_text(OWN)
    path = table(
        tmp_path / "signups.csv", ["No", "Day", "Mail"], ["1", "05.01.2024", "a@x.no"], ["2", "yesterday", "b@x.no"],
        [], ["3", "", "c@x.no"], ["4", "06.01.2024", "kari at x"], ["5", "07.01.2024", "e@x.no", "?"], ["6", "08.01.2024", "f@x.no"],
    )  # fmt: skip

    async def check() -> None:
        tally = await backfill(workspace, path, mapping(str(own)))
        assert dict(tally.accepted) == {"form_submitted": 2}
        refused = [orjson.loads(line) for line in (tmp_path / "signups.csv.refused.ndjson").read_bytes().splitlines()]
        assert [(r["line"], r["code"], r["field"]) for r in refused] == [
            (3, "bad_value", "occurred_at"), (5, "missing_field", "occurred_at"), (6, "bad_value", "contact"),
            (7, "bad_value", None),
        ]  # fmt: skip
        assert "neither RFC 3339 nor %d.%m.%Y" in refused[0]["message"]
        assert orjson.loads(refused[0]["row"])["Mail"] == "b@x.no"
        assert orjson.loads(refused[2]["event"])["contact"] == {"email": "kari at x"}

    runner.run(check())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("events = 1", r"has no \[\[events\]\]"),
        ('[[events]]\ntype = "no_type"', "'no_type' is not a type of event"),
        ('[[events]]\ntype = "deal_closed"\nodd = "{x}"', "deal_closed has no odd"),
        ('zone = "Mars/Base"\n[[events]]\ntype = "deal_closed"', "'Mars/Base' is not a time zone"),
        ("zzz = 1", "zzz: a mapping has about, as_of, decimal, events"),
        ("= 1", "Invalid"),
        (OWN.replace("{Mail}", "{E-Mail}"), "needs the column 'E-Mail'; the file has Day, Mail, No"),
    ],
)
def test_a_mapping_that_cannot_be_used_says_why(tmp_path: Path, text: str, expected: str) -> None:
    own, path = tmp_path / "own.toml", table(tmp_path / "t.csv", ["No", "Day", "Mail"], ["1", "2", "3"])
    own.write_text(text)
    with pytest.raises(BadMapping, match=expected):
        list(read_lines(path, mapping(str(own))))


def test_every_ready_mapping_is_sound() -> None:
    assert set(ready_mappings()) == {
        "google-ads", "hubspot-contacts", "hubspot-deals", "linkedin-ads", "meta-ads", "salesforce-campaign-members",
        "salesforce-contact-roles", "salesforce-contacts", "salesforce-opportunities", "segment-identifies", "segment-pages",
        "segment-users",
    }  # fmt: skip
    for name in ready_mappings():
        assert mapping(name).about


def test_a_table_needs_a_mapping(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="needs a mapping"):
        list(read_lines(table(tmp_path / "t.csv", ["a"], ["1"])))
    parquet.write_table(pa.table({"a": [1]}), tmp_path / "t.parquet")
    with pytest.raises(Unreadable, match="has no column event"):
        list(read_lines(tmp_path / "t.parquet"))
    (tmp_path / "no.parquet").write_bytes(b"no")
    with pytest.raises(Unreadable):
        list(read_lines(tmp_path / "no.parquet"))


def test_the_command_names_what_it_takes(tmp_path: Path) -> None:
    path = table(tmp_path / "t.csv", *CONTACTS)
    command = [
        sys.executable,
        "-m",
        "touchline",
        "backfill",
        str(path),
        "--mapping",
        "hubspot",
        "--data",
        str(tmp_path),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "nor one of google-ads, hubspot-contacts, hubspot-deals" in done.stderr


def test_the_currency_of_a_deal_may_stand_beside_its_amount(tmp_path: Path) -> None:
    header = [*DEALS[0][:3], "Deal Stage", "Create Date", "Close Date", "Currency"]
    rows = [[str(n), "a", amount, "Open", "2024-03-01 09:00", "", currency] for n, (amount, currency) in enumerate(
        [("1 200,50 NOK", ""), ("99,00", "SEK"), ("EUR 5,00", "EUR"), ("€ 5,00", "SEK")]
    )]  # fmt: skip
    lines = list(read_lines(table(tmp_path / "d.csv", header, *rows), mapping("hubspot-deals")))
    states = [orjson.loads(line.events[1]) if isinstance(line.events[1], bytes) else line.events[1] for line in lines]
    assert [(state["amount"], state["currency"]) for state in states[:3] if isinstance(state, dict)] == [
        ("1200.50", "NOK"),
        ("99.00", "SEK"),
        ("5.00", "EUR"),
    ]
    assert states[3].field == "currency"
    assert "names the currency EUR, and Currency" in states[3].message


def test_a_deal_may_have_more_contacts_than_one_event_takes(
    workspace: Workspace, runner: asyncio.Runner, tmp_path: Path
) -> None:
    row = ["9", "Fair", "1", "Open", "2024-03-02 09:00", "", ";".join(str(n) for n in range(1, 251))]
    path = table(tmp_path / "d.csv", DEALS[0], row)

    async def check() -> None:
        tally = await backfill(workspace, path, mapping("hubspot-deals"))
        assert (tally.rows.refused, tally.accepted["deal_updated"]) == (0, 4)
        generation = workspace.running.generation.name
        contacts = f"SELECT count(*) FROM {generation}.deal_contact WHERE ws = (SELECT number FROM touchline.workspace WHERE workspace_id = $1)"
        assert await workspace.running.pool.fetchval(contacts, workspace.name) == 250

    runner.run(check())
