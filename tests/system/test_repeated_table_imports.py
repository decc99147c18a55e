"""Exports as people have them: sent again every week, with coarse times, and written in many ways. Each is counted over HTTP."""

import asyncio
import csv
import io
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from services.replay.backfill import Backfill, Tally
from services.replay.mapping.errors import BadMapping
from services.replay.mapping.ready import MappingOptions, mapping
from shared.events.instants import to_micros
from tests.conftest import Workspace

DEAL = {
    "Record ID": "7000", "Deal Name": "Deal", "Deal Stage": "Closed won", "Close Date": "2024-03-05 14:30", "Amount": "100",
    "Create Date": "2024-03-01 09:00", "Associated Contact IDs": "8001",
}  # fmt: skip
CONTACT = {"Record ID": "8001", "First Name": "Kari", "Email": "kari@example.no", "Create Date": "2024-03-12 09:14"}

Check = Callable[[Callable[[], Coroutine[Any, Any, None]]], None]


def table(path: Path, *rows: dict[str, str], delimiter: str = ",") -> Path:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    path.write_text(text.getvalue())
    return path


def deal(**cells: str) -> dict[str, str]:
    """A row of HubSpot's deals; `_` stands for a blank in a column's name."""
    return {**DEAL, **{name.replace("_", " "): value for name, value in cells.items()}}


class Store:
    """A workspace in which the campaign `spring` holds the mail `mail`, which three contacts clicked on 1 February."""

    def __init__(self, workspace: Workspace, folder: Path) -> None:
        self.workspace, self.folder, self.sent = workspace, folder, 0

    async def begin(self) -> None:
        clicks = [
            {"type": "email_clicked", "asset_id": "mail", "contact": {"id": n}, "occurred_at": "2024-02-01T00:00:00Z"}
            for n in ("8001", "8002", "8003")
        ]
        answer = await self.workspace.send(
            {"type": "campaign_created", "campaign_id": "spring", "utm_campaign": "spring", "occurred_at": "2024-01-01T00:00:00Z"},
            {"type": "asset_associated", "asset_id": "mail", "campaign_id": "spring", "occurred_at": "2024-01-01T00:00:00Z"},
            *clicks,
        )  # fmt: skip
        assert answer.status_code == 202, answer.text

    async def take(
        self,
        *rows: dict[str, str],
        by: str = "hubspot-deals",
        options: MappingOptions | None = None,
        delimiter: str = ",",
    ) -> Tally:
        self.sent += 1
        return await self.take_file(table(self.folder / f"{self.sent}.csv", *rows, delimiter=delimiter), by, options)

    async def take_file(self, path: Path, by: str = "hubspot-deals", options: MappingOptions | None = None) -> Tally:
        running = self.workspace.running
        read_by = mapping(by, options=options)
        tally = await Backfill(
            running.pool, running.log, self.workspace.name, 1e9, lambda _: None, mapping=read_by
        ).run(path)
        await self.workspace.project()
        return tally

    async def revenue(self) -> str:
        """Of the won deals that count for spring, in all."""
        metrics = (await self.workspace.get("/v1/campaigns/spring/overview")).json()["metrics"]
        return next((money["amount"] for money in metrics["influenced_revenue"]), "0")

    async def reason(self, deal_id: str) -> str | None:
        return (await self.workspace.get(f"/v1/deals/{deal_id}/explain?campaign=spring")).json()["reason"]  # type: ignore[no-any-return]


@pytest.fixture
def store(workspace: Workspace, runner: asyncio.Runner, tmp_path: Path) -> Store:
    store = Store(workspace, tmp_path)
    runner.run(store.begin())
    return store


def test_the_same_deals_a_week_later_count_as_they_are_now(store: Store, runner: asyncio.Runner) -> None:
    async def check() -> None:
        for amount in ("100", "250"):
            tally = await store.take(*(deal(Record_ID=f"{7000 + n}", Amount=amount) for n in range(12)))
            assert not tally.refused
        assert await store.revenue() == "3000.00"

    runner.run(check())


def test_exports_are_ordered_by_as_of_and_not_by_when_they_come(store: Store, runner: asyncio.Runner) -> None:
    async def check() -> None:
        for week, amount in ((2, "250"), (1, "100")):
            await store.take(
                deal(Amount=amount), options=MappingOptions(as_of_us=1_710_000_000_000_000 + week * 604_800_000_000)
            )
        assert await store.revenue() == "250.00"

    runner.run(check())


@pytest.mark.parametrize("column", ["Last Modified Date", "Last modified date", " LAST MODIFIED "])
def test_rows_are_ordered_by_their_own_last_change(store: Store, runner: asyncio.Runner, column: str) -> None:
    async def check() -> None:
        for day, amount in ((20, "250"), (10, "100")):
            await store.take({**deal(Amount=amount), column: f"2024-03-{day} 10:00"})
        assert await store.revenue() == "250.00"

    runner.run(check())


def test_what_the_user_says_of_the_export_counts_before_a_column(store: Store, runner: asyncio.Runner) -> None:
    async def check() -> None:
        await store.take({**deal(Amount="100"), "Last Modified Date": "2024-03-10 10:00"})
        late = MappingOptions(zone="Europe/Oslo", as_of_us=1_720_000_000_000_000)
        await store.take({**deal(Amount="250"), "Last Modified Date": "2024-03-10 10:00"}, options=late)
        assert await store.revenue() == "250.00"

    runner.run(check())


CHANGES: list[tuple[dict[str, str], dict[str, str], str, str | None]] = [
    ({"Amount": "100"}, {"Amount": "0.50"}, "0.50", None),
    ({"Amount": "100"}, {"Amount": ""}, "0", None),
    ({"Deal Stage": "Closed won"}, {"Deal Stage": "Closed lost"}, "0", "deal_lost"),
    ({"Deal Stage": "Closed lost"}, {"Deal Stage": "Closed won"}, "100.00", None),
    ({"Deal Stage": "Closed won"}, {"Deal Stage": "Negotiation", "Close Date": ""}, "0", None),
    ({"Deal Stage": "Contract sent"}, {"Deal Stage": "Closed won"}, "100.00", None),
    ({"Associated Contact IDs": "8001"}, {"Associated Contact IDs": ""}, "0", "no_contact"),
    ({"Associated Contact IDs": "8001"}, {"Associated Contact IDs": "9999"}, "0", "contact_not_influenced"),
    ({"Associated Contact IDs": "9999"}, {"Associated Contact IDs": "9999;8002"}, "100.00", None),
    ({"Close Date": "2024-03-05 14:30"}, {"Close Date": "2024-01-20 14:30"}, "0", "influenced_after_close"),
    ({"Close Date": "2024-01-20"}, {"Close Date": "2024-03-05"}, "100.00", None),
    ({"Create Date": "2024-03-01 09:00"}, {"Create Date": "2024-03-09 09:00"}, "100.00", None),
]


@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize(("before", "after", "revenue", "reason"), CHANGES)
def test_a_changed_deal_counts_as_it_is_now(
    store: Store, runner: asyncio.Runner, before: dict[str, str], after: dict[str, str], revenue: str, reason: str | None, *,
    newest_first: bool,
) -> None:  # fmt: skip
    async def check() -> None:
        weeks = [(1_710_000_000_000_000, before), (1_720_000_000_000_000, after)]
        for as_of_us, cells in reversed(weeks) if newest_first else weeks:
            assert not (await store.take({**DEAL, **cells}, options=MappingOptions(as_of_us=as_of_us))).refused
        assert await store.revenue() == revenue
        if reason is not None:
            assert await store.reason("7000") == reason

    runner.run(check())


def test_a_deal_that_was_won_lost_and_won_again_is_won(store: Store, runner: asyncio.Runner) -> None:
    async def check() -> None:
        for stage, revenue in (
            ("Closed won", "100.00"),
            ("Closed lost", "0"),
            ("Qualified", "0"),
            ("Closed won", "100.00"),
        ):
            await store.take(deal(Deal_Stage=stage))
            assert await store.revenue() == revenue

    runner.run(check())


def test_a_zone_that_is_put_right_counts(store: Store, runner: asyncio.Runner) -> None:
    async def check() -> None:
        row = deal(Close_Date="2024-02-01 00:30", Create_Date="2024-01-05")
        await store.take(row)
        assert await store.revenue() == "100.00"
        await store.take(row, options=MappingOptions(zone="Europe/Oslo"))
        assert await store.reason("7000") == "influenced_after_close"  # 23:30 UTC, before the click
        await store.take(row, options=MappingOptions(zone="America/New_York"))
        assert await store.revenue() == "100.00"

    runner.run(check())


def test_a_contact_has_the_properties_of_the_latest_export(store: Store, runner: asyncio.Runner) -> None:
    async def check() -> None:
        await store.take({**CONTACT, "Lifecycle Stage": "Lead", "Lead Status": "New"}, by="hubspot-contacts")
        await store.take(
            {**CONTACT, "First Name": "Kåre", "Lifecycle Stage": "Customer", "Lead Status": ""}, by="hubspot-contacts"
        )
        answer = (await store.workspace.get("/v1/contacts/8001")).json()
        assert answer["properties"] == {"first_name": "Kåre", "lifecycle_stage": "Customer"}

    runner.run(check())


def test_a_segment_user_is_as_the_latest_export_has_it_though_received_at_is_the_same(
    store: Store, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        for plan in ("free", "pro", "basic", "team"):
            row = {"id": "u1", "received_at": "2024-03-02 10:00:00", "email": "kari@example.no", "plan": plan}
            assert not (await store.take(row, by="segment-users")).refused
            answer = (await store.workspace.get("/v1/contacts/kari@example.no")).json()
            assert answer["properties"] == {"plan": plan}

    runner.run(check())


def test_a_contact_created_at_a_minute_is_not_before_its_visits_in_that_minute(
    store: Store, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        await store.workspace.send(
            {"type": "page_visited", "visitor_id": "v", "url": "https://x.example/?utm_campaign=spring", "occurred_at": "2024-03-12T09:14:10Z"},
            {"type": "contact_identified", "visitor_id": "v", "contact": {"email": "k@example.no"}, "occurred_at": "2024-03-12T09:14:35Z"},
        )  # fmt: skip
        await store.take({**CONTACT, "Record ID": "8101", "Email": "k@example.no"}, by="hubspot-contacts")
        metrics = (await store.workspace.get("/v1/campaigns/spring/overview")).json()["metrics"]
        assert (metrics["new_contacts_first_touch"], metrics["new_contacts_last_touch"]) == (1, 1)

    runner.run(check())


@pytest.mark.parametrize("zone", ["UTC", "Europe/Oslo", "America/Sao_Paulo", "Pacific/Kiritimati"])
@pytest.mark.parametrize(
    ("close", "create"),
    [
        ("2024-03-05", "2024-03-05 09:00"),
        ("2024-03-05 00:00", "2024-03-05 09:00"),
        ("2024-03-05 14:30", "2024-03-05 14:30"),
        ("2024-03-05", "2024-03-05"),
        ("2024-03-05", "2024-03-05 23:59"),
        ("2024-03-05 14:30:00", "2024-03-05 14:30:00"),
        ("2024-03-05 14:30:00.000", "2024-03-05 14:30:00.000"),
        ("2024-03-31", "2024-03-31 01:30"),
        ("2024-03-04", "2024-03-05 09:00"),
        ("2024-02-02 12:00", "2024-11-05 09:00"),
        ("05.03.2024", "05.03.2024 09:00"),
        ("Mar 5, 2024", "Mar 5, 2024 9:00 AM"),
    ],
)
def test_a_deal_closed_in_the_hour_or_on_the_day_of_its_creation_or_before_it_counts(
    store: Store, runner: asyncio.Runner, close: str, create: str, zone: str
) -> None:
    async def check() -> None:
        tally = await store.take(deal(Close_Date=close, Create_Date=create), options=MappingOptions(zone=zone))
        assert (tally.rows.with_events, await store.revenue()) == (1, "100.00")
        assert tally.deals.never == {}

    runner.run(check())


def test_deals_that_can_never_count_are_counted_by_reason(store: Store, runner: asyncio.Runner) -> None:
    async def check() -> None:
        tally = await store.take(
            deal(Record_ID="1"), deal(Record_ID="2", Associated_Contact_IDs=""), deal(Record_ID="3", Deal_Stage="Closed lost"),
            deal(Record_ID="4", Associated_Contact_IDs="undefined; 0", Deal_Stage="Qualified"), deal(Record_ID="5", Amount=""),
        )  # fmt: skip
        result = tally.deals.as_json(names_contacts=tally.facts.names_contacts)
        assert result == {
            "rows": 5, "won": 3, "lost": 1, "open": 1, "without_contact": 2, "won_without_amount": 1,
            "can_never_count": {"no_contact": 2, "deal_lost": 1},
        }  # fmt: skip

    runner.run(check())


def test_a_deal_whose_table_has_no_contacts_keeps_those_that_it_had(store: Store, runner: asyncio.Runner) -> None:
    async def check() -> None:
        await store.take(deal())
        row = {name: value for name, value in deal(Amount="300").items() if name != "Associated Contact IDs"}
        tally = await store.take(row)
        assert "can_never_count" in (result := tally.deals.as_json(names_contacts=tally.facts.names_contacts))
        assert (result["without_contact"], result["can_never_count"]) == (1, {})
        assert await store.revenue() == "300.00"

    runner.run(check())


def test_a_mapping_of_ones_own_that_associates_after_the_close_is_reported(
    store: Store, runner: asyncio.Runner
) -> None:
    own = store.folder / "own.toml"
    own.write_text(
        '[[events]]\ntype = "deal_created"\nid = "d-{No}"\noccurred_at = "{Created}"\ndeal_id = "{No}"\ncontacts = [{ id = "{Customer}" }]\n'
        '[[events]]\ntype = "deal_closed"\nid = "c-{No}"\noccurred_at = "{Closed}"\ndeal_id = "{No}"\nwon = true\n'
    )

    async def check() -> None:
        tally = await store.take(
            {"No": "1", "Created": "2024-03-02", "Closed": "2024-03-01", "Customer": "8001"}, by=str(own)
        )
        assert tally.deals.never == {"contact_associated_after_close": 1}
        assert await store.reason("1") == "contact_associated_after_close"

    runner.run(check())


@pytest.mark.parametrize(
    ("amounts", "delimiter", "revenue"),
    [
        (["1.200", "1.200,50", "1 200", "1200,5"], ";", "4801.00"),
        (["1.200", "12.000,00"], ";", "13200.00"),
        (["1,200", "12,000.00"], ",", "13200.00"),
        (["1,200"], ",", "1200.00"),
        (["€ 1.200,50", "1.200 €"], ";", "2400.50"),
        (["$1,200.50"], ",", "1200.50"),
        (["1\u00a0200,50", "1\u202f200"], ";", "2400.50"),
        (["1'200.50", "1’200"], ",", "2400.50"),
        (["1.234.567"], ";", "1234567.00"),
        (["12,34,567.00"], ",", "1234567.00"),
        (["kr 1.200,-", "1.200"], ";", "2400.00"),
        (["100", "(40)"], ",", "60.00"),
        (["100", "−40,5"], ";", "59.50"),
        (["0.50", "12.5", "1.200"], ",", "14.20"),
    ],
)
def test_amounts_are_read_as_their_column_is_written(
    store: Store, runner: asyncio.Runner, amounts: list[str], delimiter: str, revenue: str
) -> None:
    async def check() -> None:
        rows = [deal(Record_ID=str(n), Amount=amount) for n, amount in enumerate(amounts)]
        tally = await store.take(*rows, delimiter=delimiter)
        assert not tally.first
        assert await store.revenue() == revenue

    runner.run(check())


@pytest.mark.parametrize(
    ("amounts", "delimiter"),
    [(["1.200"], ","), (["1.200", "12.500"], ";"), (["1,200"], ";"), (["1.200", "1.200,50", "1,200.50"], ";")],
)
def test_an_amount_that_can_be_two_is_refused_and_its_row_with_it(
    store: Store, runner: asyncio.Runner, amounts: list[str], delimiter: str
) -> None:
    async def check() -> None:
        rows = [deal(Record_ID=str(n), Amount=amount) for n, amount in enumerate(amounts)]
        tally = await store.take(*rows, delimiter=delimiter)
        first = tally.first[0]
        assert (first["line"], first["field"]) == (2, "amount")
        assert "can be 1200 or 1.200" in first["message"] or "can be 1.2 or 1200" in first["message"]
        assert "the row's other 3 events are not sent either" in first["message"]
        assert (await store.workspace.get("/v1/deals/0/attribution")).status_code == 404

    runner.run(check())


@pytest.mark.parametrize(("sign", "revenue"), [(",", "1200.00"), (".", "1.20")])
def test_the_decimal_sign_can_be_said(store: Store, runner: asyncio.Runner, sign: Any, revenue: str) -> None:
    async def check() -> None:
        await store.take(deal(Amount="1.200" if sign == "," else "1.20"), options=MappingOptions(decimal=sign))
        assert await store.revenue() == revenue

    runner.run(check())


@pytest.mark.parametrize(
    ("stage", "reason", "revenue"),
    [
        ("Closed won (Sales Pipeline)", None, "100.00"), ("Closed Won", None, "100.00"), ("closedwon", None, "100.00"),
        ("Closed lost (Partner Pipeline)", "deal_lost", "0"), ("5. Closed Won (Sales Pipeline)", None, "100.00"),
        ("Closed-Won", None, "100.00"), ("CLOSED_WON", None, "100.00"), ("Closed Won - EMEA Pipeline", None, "100.00"),
        ("Partner pipeline: Closed lost", "deal_lost", "0"), ("Won", None, "100.00"), ("06 Lost [New]", "deal_lost", "0"),
        ("Closed lost - won by a competitor", "deal_lost", "0"),
    ],
)  # fmt: skip
def test_a_stage_is_known_whatever_its_pipeline(
    store: Store, runner: asyncio.Runner, stage: str, reason: str | None, revenue: str
) -> None:
    async def check() -> None:
        tally = await store.take(deal(Deal_Stage=stage))
        assert (await store.revenue(), await store.reason("7000")) == (revenue, reason)
        assert tally.unmet.as_json() == {}

    runner.run(check())


@pytest.mark.parametrize(
    "stage", ["Signed", "Not yet closed won", "Qualified (Closed won pipeline)", "Gewonnen", "Ganado", ""]
)
def test_a_deal_in_an_unknown_stage_is_open_and_the_stage_is_reported(
    store: Store, runner: asyncio.Runner, stage: str
) -> None:
    async def check() -> None:
        tally = await store.take(deal(Deal_Stage=stage), deal(Record_ID="7", Deal_Stage=stage))
        assert await store.revenue() == "0"
        assert tally.unmet.as_json() == {"Deal Stage": {"rows": 2, "values": {stage or "(empty)": 2}}}

    runner.run(check())


@pytest.mark.parametrize(
    ("won", "lost", "stage", "revenue", "reason"),
    [
        (["Signed"], [], "Signed", "100.00", None), (["signed"], ["Dead"], "3. SIGNED (Sales Pipeline)", "100.00", None),
        (["Signed"], ["Dead"], "Dead (Partner)", "0", "deal_lost"), (["Signed", "Live"], [], "Live", "100.00", None),
        (["Signed (Sales)"], [], "Signed (Sales)", "100.00", None), (["Signed (Sales)"], [], "Signed (Partner)", "0", None),
        ([], ["Closed won"], "Closed won", "0", "deal_lost"), (["Vunnet"], [], "vunnet", "100.00", None),
    ],
)  # fmt: skip
def test_stages_can_be_said(
    store: Store, runner: asyncio.Runner, won: list[str], lost: list[str], stage: str, revenue: str, reason: str | None
) -> None:
    async def check() -> None:
        await store.take(deal(Deal_Stage=stage), options=MappingOptions(lists={"won_stages": won, "lost_stages": lost}))
        assert await store.revenue() == revenue
        assert await store.reason("7000") == reason

    runner.run(check())


@pytest.mark.parametrize(
    ("columns", "stage", "revenue", "reason"),
    [
        ({"Is Closed Won": "true"}, "Signed", "100.00", None),
        ({"Is closed won": "TRUE"}, "Signed", "100.00", None),
        ({"Is Closed Won": "false"}, "Closed won", "0", None),
        ({"Is Closed Won": "false", "Is Deal Closed?": "true"}, "Dead", "0", "deal_lost"),
        ({"Is closed": "false"}, "Closed won", "0", None),
        ({"Is closed (true/false)": "true"}, "Closed won", "100.00", None),
        ({"Is Closed Lost": "true"}, "Dead", "0", "deal_lost"),
        ({"Is Closed Won": "", "Is closed": ""}, "Closed won", "100.00", None),
        ({"Is Closed Won": "Yes"}, "Anything", "100.00", None),
        ({"Is Closed Won": "false", "Is Closed Lost": "true"}, "Closed won", "0", "deal_lost"),
    ],
)
def test_hubspots_own_columns_come_before_the_name_of_a_stage(
    store: Store, runner: asyncio.Runner, columns: dict[str, str], stage: str, revenue: str, reason: str | None
) -> None:
    async def check() -> None:
        await store.take({**deal(Deal_Stage=stage), **columns})
        assert (await store.revenue(), await store.reason("7000")) == (revenue, reason)

    runner.run(check())


@pytest.mark.parametrize(
    "cells",
    [
        {"Associated Contact IDs": "8001.0"}, {"Associated Contact IDs": "8001; 9999"}, {"Associated Contact IDs": "9999,8001"},
        {"Associated Contact IDs": "8.001E+3"}, {"Associated Contact IDs": "8001.0;9999.0"}, {"associated contact ids ": "8001"},
        {"Associated Contact IDs": '["9999", "8001"]'}, {"Associated Contact IDs": "undefined;8001;null"},
        {"Associated Contact IDs": "", "Associated Contact": "Kari Nordmann (kari@example.no)"},
        {"Associated Contact IDs": "", "Associated Contact": "Ola <ola@example.no>; Nordmann, Kari <kari@example.no>"},
        {"Associated Contact IDs": "", "Associated Contact": "kari@example.no"},
    ],
)  # fmt: skip
def test_contacts_of_a_deal_are_known_as_they_are_written(
    store: Store, runner: asyncio.Runner, cells: dict[str, str]
) -> None:
    async def check() -> None:
        await store.take(CONTACT, by="hubspot-contacts")
        row = {name: value for name, value in deal().items() if name != "Associated Contact IDs"}
        tally = await store.take({**row, **cells})
        assert not tally.first
        assert await store.revenue() == "100.00"

    runner.run(check())


@pytest.mark.parametrize("cell", ["3.97E+10", "8.0E+3", "9007199254740993.0", "Kari Nordmann", "8001; 3.97E+10"])
def test_a_contact_whose_id_lost_its_digits_is_refused(store: Store, runner: asyncio.Runner, cell: str) -> None:
    async def check() -> None:
        tally = await store.take(deal(Associated_Contact_IDs=cell), deal(Record_ID="2"))
        assert (tally.rows.with_events, tally.rows.refused) == (1, 1)
        assert tally.first[0]["field"] == "contacts"

    runner.run(check())


@pytest.mark.parametrize(
    ("columns", "person"),
    [
        ({"Additional email addresses": "kari@old.example;k.n@home.example"}, {"email": "kari@old.example"}),
        ({"Additional email addresses": "k.n@home.example, kari@old.example"}, {"email": "kari@old.example"}),
        ({"additional emails": "kari@old.example"}, {"email": "KARI@old.example"}),
        ({"Merged Contact IDs": "8009;8010"}, {"id": "8009"}),
        ({"Merged Contact IDs": "76340251;46897301;8009"}, {"id": "8009"}),
        ({"Merged record IDs": "8009.0"}, {"id": "8009"}),
        ({"Merged Contact IDs": "8010,8009"}, {"id": "8009"}),
        ({"hs_merged_object_ids": "8009"}, {"id": "8009"}),
        (
            {"Additional email addresses": "null;kari@old.example", "Merged Contact IDs": ""},
            {"email": "kari@old.example"},
        ),
        ({"Additional email addresses": f"{'a' * 150}@x.example;kari@old.example"}, {"email": "kari@old.example"}),
    ],
)
def test_further_addresses_and_merged_records_are_the_contacts(
    store: Store, runner: asyncio.Runner, columns: dict[str, str], person: dict[str, str]
) -> None:
    async def check() -> None:
        await store.workspace.send(
            {
                "type": "email_clicked",
                "id": "theirs",
                "asset_id": "mail",
                "contact": person,
                "occurred_at": "2024-02-02T00:00:00Z",
            }
        )
        tally = await store.take({**CONTACT, **columns}, by="hubspot-contacts")
        assert not tally.first
        journey = (await store.workspace.get("/v1/contacts/8001/journey")).json()["items"]
        assert "theirs" in {item["event_id"] for item in journey}

    runner.run(check())


def test_a_page_is_of_the_campaign_that_its_row_names(store: Store, runner: asyncio.Runner) -> None:
    row = {
        "id": "m1", "anonymous_id": "a1", "user_id": "u1", "received_at": "2024-03-02 10:00:00", "timestamp": "2024-03-02 10:00:00",
        "url": "https://shop.example/product", "referrer": "https://www.google.com/", "context_campaign_source": "facebook",
        "context_campaign_medium": "social", "context_campaign_name": "spring",
    }  # fmt: skip

    async def check() -> None:
        await store.take(row, by="segment-pages")
        answer = (await store.workspace.get("/v1/events/segment-m1/explain")).json()
        assert (answer["source"], answer["medium"], answer["channel"]) == ("facebook", "social", "organic_social")
        assert [(c["campaign_id"], c["through"]) for c in answer["campaigns"]] == [("spring", ["utm"])]

    runner.run(check())


async def closes(store: Store, *cells: str, options: MappingOptions | None = None) -> list[str]:
    """When deals with these close dates are closed, by their numbers."""
    rows = [deal(Record_ID=str(n), Close_Date=text, Create_Date="2024-01-05 09:00") for n, text in enumerate(cells)]
    assert not (await store.take(*rows, options=options)).first
    found = []
    for n in range(len(cells)):
        answer = (await store.workspace.get(f"/v1/events/hubspot-deal-{n}-stage/explain")).json()
        found.append(answer["occurred_at"].removesuffix(":59.999999Z"))
    return found


@pytest.mark.parametrize(
    ("cells", "at"),
    [
        (["3/15/2024 2:30 PM", "2/4/2024 2:30 PM"], ["2024-03-15T14:30", "2024-02-04T14:30"]),
        (["2024-03-15 14:30 UTC"], ["2024-03-15T14:30"]),
        (["15.03.2024 14:30", "04.02.2024 14:30"], ["2024-03-15T14:30", "2024-02-04T14:30"]),
        (["05/04/2024 14:30", "25/04/2024 14:30"], ["2024-04-05T14:30", "2024-04-25T14:30"]),
        (["05/04/2024 14:30", "04/25/2024 14:30"], ["2024-05-04T14:30", "2024-04-25T14:30"]),
        (["3/15/2024 2:30 PM", "2024-03-15 14:30 UTC", "15.03.2024 14:30", "05/04/2024 14:30", "25/04/2024 14:30"],
         ["2024-03-15T14:30", "2024-03-15T14:30", "2024-03-15T14:30", "2024-04-05T14:30", "2024-04-25T14:30"]),
        (["2024-03-15 14:30 CET"], ["2024-03-15T13:30"]), (["2024-03-15 14:30 +0530"], ["2024-03-15T09:00"]),
        (["2024-03-15 14:30 Europe/Oslo"], ["2024-03-15T13:30"]), (["2024-03-15T14:30Z"], ["2024-03-15T14:30"]),
        (["March 15, 2024 2:30\u202fPM"], ["2024-03-15T14:30"]), (["15 March 2024, 14:30"], ["2024-03-15T14:30"]),
        (["Fri, 15 Mar 2024 14:30 GMT"], ["2024-03-15T14:30"]), (["2024/03/15 14:30 EST"], ["2024-03-15T19:30"]),
        (["04/04/2024 14:30"], ["2024-04-04T14:30"]),
    ],
)  # fmt: skip
def test_instants_are_read_as_their_column_is_written(
    store: Store, runner: asyncio.Runner, cells: list[str], at: list[str]
) -> None:
    async def check() -> None:
        assert await closes(store, *cells) == at

    runner.run(check())


@pytest.mark.parametrize("cells", [["05/04/2024 14:30"], ["5/4/2024 2:30 PM", "6/4/2024 2:30 PM"], ["05-04-2024"]])
def test_a_date_that_can_be_two_is_asked_about_and_nothing_is_sent(
    store: Store, runner: asyncio.Runner, cells: list[str]
) -> None:
    async def check() -> None:
        with pytest.raises(
            BadMapping, match=r"line 2: Close Date: .* can be 5 April 2024 or 4 May 2024.*--day-first or --month-first"
        ):
            await closes(store, *cells)
        assert (await store.workspace.get("/v1/deals/0/attribution")).status_code == 404

    runner.run(check())


@pytest.mark.parametrize(("order", "day"), [("day_first", "2024-04-05T14:30"), ("month_first", "2024-05-04T14:30")])
def test_the_order_of_day_and_month_can_be_said(store: Store, runner: asyncio.Runner, order: Any, day: str) -> None:
    async def check() -> None:
        assert await closes(store, "05/04/2024 14:30", "5/4/24 14:30", options=MappingOptions(order=order)) == [
            day,
            day,
        ]

    runner.run(check())


def test_a_last_change_that_is_today_is_not_in_the_future(store: Store, runner: asyncio.Runner) -> None:
    async def check() -> None:
        import datetime as dt

        today = dt.datetime.now(tz=dt.UTC).date().isoformat()
        for amount in ("100", "250"):  # one after the other, both changed "today"
            assert not (await store.take({**deal(Amount=amount), "Last Modified Date": today})).first
        assert await store.revenue() == "250.00"
        answer = (await store.workspace.get("/v1/events/hubspot-deal-7000-state/explain")).json()
        assert to_micros(dt.datetime.fromisoformat(answer["occurred_at"])) <= to_micros(dt.datetime.now(tz=dt.UTC))

    runner.run(check())
