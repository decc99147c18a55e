"""What advertising platforms and Salesforce export becomes events, by ready mappings; and every row is accounted for."""

import asyncio
import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.replay.backfill import Backfill, Tally
from services.replay.mapping.campaigns import Campaigns, known, read_table
from services.replay.mapping.errors import BadMapping, UnknownCampaign
from services.replay.mapping.ready import MappingOptions, mapping
from services.replay.sources import Line, TableFacts, read_lines
from shared.events.codec import Refusal
from shared.producers.salesforce import salesforce_id
from tests.conftest import Workspace

EXPORTS = Path(__file__).parent.parent / "exports"


def lines(path: Path, by: str, options: MappingOptions | None = None) -> list[Line]:
    return list(read_lines(path, mapping(by, options=options)))


def events(path: Path, by: str, options: MappingOptions | None = None) -> list[dict[str, Any]]:
    return [orjson.loads(each) for line in lines(path, by, options) for each in line.events if isinstance(each, bytes)]


def refusals(path: Path, by: str, options: MappingOptions | None = None) -> list[tuple[int, str | None, str]]:
    return [
        (line.number, each.field, each.message)
        for line in lines(path, by, options)
        for each in line.events
        if isinstance(each, Refusal)
    ]


def spent(path: Path, by: str, options: MappingOptions | None = None) -> list[tuple[str, str, str, str]]:
    return [(e["id"], e["on"], e["amount"], e["currency"]) for e in events(path, by, options)]


def write(path: Path, *rows: str) -> Path:
    path.write_text("\n".join(rows) + "\n")
    return path


@pytest.mark.parametrize(
    ("name", "by", "wanted"),
    [
        ("google-ads.csv", "google-ads", [
            ("google-ads-21000000001-2026-01-30", "2026-01-30", "40.18", "EUR"), ("google-ads-21000000001-2026-01-31", "2026-01-31", "1240.50", "EUR"),
            ("google-ads-21000000002-2026-01-31", "2026-01-31", "3.72", "EUR"), ("google-ads-21000000003-2026-01-31", "2026-01-31", "0.00", "EUR"),
        ]),
        ("google-ads-excel.csv", "google-ads", [("google-ads-Spring | Search-2026-01-31", "2026-01-31", "1240.50", "EUR")]),
        ("google-ads-german.csv", "google-ads", [("google-ads-Frühling-2026-01-30", "2026-01-30", "1234.56", "EUR"), ("google-ads-Frühling-2026-01-31", "2026-01-31", "99.90", "EUR")]),
        ("google-ads-french.csv", "google-ads", [("google-ads-Printemps-2026-01-30", "2026-01-30", "1020.50", "CAD"), ("google-ads-Printemps-2026-01-31", "2026-01-31", "12.34", "CAD")]),
        ("meta-ads.csv", "meta-ads", [
            ("meta-ads-Spring, retargeting-2026-01-30", "2026-01-30", "118.7", "USD"), ("meta-ads-Spring, retargeting-2026-01-31", "2026-01-31", "205.13", "USD"),
            ("meta-ads-Lookalikes-2026-01-31", "2026-01-31", "107.39", "USD"),
        ]),
        ("meta-ads-by-ad.csv", "meta-ads", [("meta-ads-120210000000000019-2026-01-31", "2026-01-31", "1300.00", "NOK")]),
        ("linkedin-ads.csv", "linkedin-ads", [
            ("linkedin-ads-310000011-2026-01-30", "2026-01-30", "1033.33", "USD"), ("linkedin-ads-310000011-2026-01-31", "2026-01-31", "66.67", "USD"),
            ("linkedin-ads-310000012-2026-01-31", "2026-01-31", "12.00", "USD"),
        ]),
        ("linkedin-ads-words.csv", "linkedin-ads", [("linkedin-ads-Followers-2026-01-30", "2026-01-30", "12.00", "EUR"), ("linkedin-ads-Followers-2026-01-31", "2026-01-31", "8.50", "EUR")]),
    ],
)  # fmt: skip
def test_an_export_shows_what_was_spent_by_campaign_and_day(
    name: str, by: str, wanted: list[tuple[str, str, str, str]]
) -> None:
    assert spent(EXPORTS / name, by) == wanted
    assert refusals(EXPORTS / name, by) == []


@pytest.mark.parametrize(
    ("name", "by", "before", "totals"),
    [
        ("google-ads.csv", "google-ads", 2, 2), ("google-ads-excel.csv", "google-ads", 2, 1), ("google-ads-french.csv", "google-ads", 2, 1),
        ("meta-ads.csv", "meta-ads", 0, 1), ("linkedin-ads.csv", "linkedin-ads", 5, 0), ("linkedin-ads-words.csv", "linkedin-ads", 1, 1),
    ],
)  # fmt: skip
def test_a_title_is_passed_over_and_totals_are_reported_as_such(name: str, by: str, before: int, totals: int) -> None:
    facts = TableFacts()
    skipped = [line.skipped for line in read_lines(EXPORTS / name, mapping(by), facts) if line.skipped]
    assert (facts.lines_before_header, skipped) == (before, ["totals"] * totals)


def test_a_row_about_several_days_is_refused_and_one_about_a_day_counts() -> None:
    (wrong,) = refusals(EXPORTS / "meta-ads-whole-month.csv", "meta-ads")
    assert wrong[:2] == (2, "on")
    assert "about several days, 2026-01-01 to 2026-01-31: export the report by day" in wrong[2]
    assert [one[2] for one in spent(EXPORTS / "meta-ads-whole-month.csv", "meta-ads")] == ["40.00"]


@pytest.mark.parametrize(
    "day", ["2026-01-31", "31/01/2026", "Jan 31, 2026", "31 January 2026", "1/31/2026", "31.01.2026"]
)
def test_a_day_is_one_however_it_is_written(tmp_path: Path, day: str) -> None:
    path = write(tmp_path / "g.csv", "Day,Campaign,Currency code,Cost", f'"{day}",c,EUR,1.00')
    assert spent(path, "google-ads") == [("google-ads-c-2026-01-31", "2026-01-31", "1.00", "EUR")]


@pytest.mark.parametrize(
    ("header", "cost", "given", "wanted"),
    [
        ("Cost", "EUR 12.40", None, "EUR"), ("Cost", "12.40 NOK", None, "NOK"), ("Cost (SEK)", "12.40", None, "SEK"),
        ("Cost", "$12.40", "USD", "USD"), ("Cost", "12.40", "eur", "EUR"),
    ],
)  # fmt: skip
def test_a_currency_is_found_beside_the_amount_or_in_its_columns_name_or_is_said(
    tmp_path: Path, header: str, cost: str, given: str | None, wanted: str
) -> None:
    path = write(tmp_path / "g.csv", f"Day,Campaign,{header}", f"2026-01-31,c,{cost}")
    assert spent(path, "google-ads", MappingOptions(currency=given)) == [
        ("google-ads-c-2026-01-31", "2026-01-31", "12.40", wanted)
    ]


def test_an_amount_without_any_currency_is_refused_and_says_what_to_do(tmp_path: Path) -> None:
    path = write(tmp_path / "g.csv", "Day,Campaign,Cost", "2026-01-31,c,12.40")
    ((line, field, message),) = refusals(path, "google-ads")
    assert (line, field) == (2, "currency")
    assert "give --currency" in message


def test_a_report_by_week_is_refused_as_a_whole(tmp_path: Path) -> None:
    path = write(tmp_path / "g.csv", "Campaign report", "Week,Campaign,Currency code,Cost", "2026-01-26,c,EUR,1.00")
    with pytest.raises(BadMapping, match=r"needs the column 'Day\|Tag"):
        lines(path, "google-ads")


def test_a_campaign_whose_name_begins_like_totals_is_none_of_them(tmp_path: Path) -> None:
    path = write(
        tmp_path / "g.csv",
        "Day,Campaign,Currency code,Cost",
        "2026-01-31,Total wellness,EUR,5.00",
        "--,Total: Account,EUR,5.00",
    )
    assert [one[0] for one in spent(path, "google-ads")] == ["google-ads-Total wellness-2026-01-31"]


def test_a_row_that_cannot_be_read_takes_its_sum_with_it_and_no_other(tmp_path: Path) -> None:
    path = write(
        tmp_path / "g.csv", "Day,Campaign,Device,Currency code,Cost", "2026-01-31,a,x,EUR,5.00", "2026-01-31,a,y,EUR,five",
        "2026-01-31,b,x,EUR,2.00", "2026-01-31,a,z,EUR,1.00", "2026-01-31,c,x,EUR,1.00", "2026-01-31,c,y,USD,1.00",
    )  # fmt: skip
    assert [one[0] for one in spent(path, "google-ads")] == ["google-ads-b-2026-01-31"]
    result = refusals(path, "google-ads")
    assert [(line, field) for line, field, _ in result] == [
        (2, "amount"),
        (3, "amount"),
        (5, "amount"),
        (6, "amount"),
        (7, None),
    ]
    assert "'five' is not a number" in result[1][2]
    assert "because line 3, one of its rows, cannot be read" in result[0][2]
    assert "this one has currency 'USD', not 'EUR' as in line 6" in result[4][2]


def test_a_sum_keeps_every_digit_of_its_rows(tmp_path: Path) -> None:
    small = "0." + "0" * 38 + "1"
    path = write(
        tmp_path / "g.csv", "Day,Campaign,Device,Currency code,Cost", "2026-01-31,a,x,EUR,12345678.50", f"2026-01-31,a,y,EUR,{small}"
    )  # fmt: skip
    assert [one[2] for one in spent(path, "google-ads")] == ["12345678.5" + small[3:]]


def tally_of(
    workspace: Workspace, runner: asyncio.Runner, path: Path, by: str, options: MappingOptions | None = None
) -> Tally:
    async def run() -> Tally:
        running = workspace.running
        sender = Backfill(
            running.pool, running.log, workspace.name, 1e9, lambda _: None, mapping=mapping(by, options=options)
        )
        tally = await sender.run(path)
        await workspace.project()
        return tally

    return runner.run(run())


def create(workspace: Workspace, runner: asyncio.Runner, *ids: str) -> None:
    async def run() -> None:
        events = [{"type": "campaign_created", "id": one, "campaign_id": one, "name": f"Our {one}", "occurred_at": "2025-12-01T00:00:00Z"} for one in ids]  # fmt: skip
        assert (await workspace.send(*events)).status_code == 202

    runner.run(run())


def spends(workspace: Workspace, runner: asyncio.Runner, campaign: str) -> Any:
    return runner.run(workspace.get(f"/v1/campaigns/{campaign}")).json()["spent"]


def money(amount: str, currency: str = "EUR") -> list[dict[str, str]]:
    return [{"amount": amount, "currency": currency}]


def test_an_export_sent_again_replaces_what_was_spent_and_adds_nothing(
    workspace: Workspace, runner: asyncio.Runner, tmp_path: Path
) -> None:
    create(workspace, runner, "spring")
    head = "Day,Campaign,Campaign ID,Currency code,Cost"
    options = MappingOptions(campaigns={"21": "spring"})
    first = write(tmp_path / "1.csv", head, "2026-01-30,s,21,EUR,10.00", "2026-01-31,s,21,EUR,20.00")
    tally_of(workspace, runner, first, "google-ads", options)
    assert spends(workspace, runner, "spring") == money("30.00")
    by_device = write(
        tmp_path / "2.csv", "Day,Campaign,Campaign ID,Device,Currency code,Cost", "2026-01-31,s,21,a,EUR,15.00", "2026-01-31,s,21,b,EUR,7.50",
        "2026-02-01,s,21,a,EUR,1.00",
    )  # fmt: skip
    tally = tally_of(workspace, runner, by_device, "google-ads", options)
    assert (tally.compared.counts["updated"], tally.compared.counts["new"]) == (1, 1)
    assert spends(workspace, runner, "spring") == money("33.50")
    tally_of(workspace, runner, by_device, "google-ads", options)
    assert spends(workspace, runner, "spring") == money("33.50")


def test_spend_that_was_put_on_the_wrong_campaign_moves(
    workspace: Workspace, runner: asyncio.Runner, tmp_path: Path
) -> None:
    create(workspace, runner, "spring", "autumn")
    path = write(tmp_path / "g.csv", "Day,Campaign,Currency code,Cost", "2026-01-31,s,EUR,10.00")
    for ours in ("spring", "autumn"):
        tally_of(workspace, runner, path, "google-ads", MappingOptions(campaigns={"s": ours}))
    assert (spends(workspace, runner, "spring"), spends(workspace, runner, "autumn")) == ([], money("10.00"))


def test_a_campaign_that_nobody_created_is_reported_and_none_is_made(
    workspace: Workspace, runner: asyncio.Runner, tmp_path: Path
) -> None:
    create(workspace, runner, "spring")
    path = write(
        tmp_path / "g.csv", "Day,Campaign,Currency code,Cost", "2026-01-30,ghost,EUR,1.00", "2026-01-31,ghost,EUR,2.00",
        "2026-01-31,OUR  SPRING,EUR,3.00", "Total: Account,--,EUR,6.00",
    )  # fmt: skip
    tally = tally_of(workspace, runner, path, "google-ads")
    assert dict(tally.unknown_campaigns) == {"ghost": 2}
    assert dict(tally.skipped) == {"totals": 1}
    assert vars(tally.rows) == {"read": 4, "with_events": 1, "without_events": 1, "refused": 2}
    assert spends(workspace, runner, "spring") == money("3.00")
    items = runner.run(workspace.get("/v1/campaigns")).json()["items"]
    assert [item["campaign_id"] for item in items] == ["spring"]
    create(workspace, runner, "ghost")  # it is in the log, and not projected yet
    assert not tally_of(workspace, runner, path, "google-ads").unknown_campaigns
    assert spends(workspace, runner, "ghost") == money("3.00")


def test_a_table_of_campaigns_is_read_in_any_case_and_says_what_is_wrong(tmp_path: Path) -> None:
    path = write(tmp_path / "c.csv", "ad_campaign;campaign_id", "Spring | Search;spring", "21000000002;brand", ";")
    result = Campaigns(read_table(path), known([("spring", None), ("Brand", "Our brand")]))
    assert result.of(["99", "spring | SEARCH"]) == "spring"
    with pytest.raises(UnknownCampaign, match="no campaign 'brand' was created"):
        result.of(["21000000002"])
    assert result.of(["our BRAND"]) == "Brand"
    for rows, expected in (
        (("a,b", "1,2"), "needs the columns ad_campaign and campaign_id"), (("ad_campaign,campaign_id", "x,"), "line 2: a row needs both"),
        (("ad_campaign,campaign_id", "x,a", "X,b"), "line 3: 'X' is 'a' on an earlier line, and 'b' here"),
    ):  # fmt: skip
        with pytest.raises(BadMapping, match=expected):
            read_table(write(tmp_path / "bad.csv", *rows))


def test_names_that_several_campaigns_bear_are_refused() -> None:
    with pytest.raises(UnknownCampaign, match="is the name of several campaigns: a, b"):
        Campaigns({}, known([("a", "Spring"), ("b", "spring")])).of(["Spring"])


AMOUNTS = st.one_of(
    st.decimals(-10_000, 10_000, places=2, allow_nan=False).map(str),
    st.sampled_from(["", "--", "five", "1,000.50", "0", "-"]),
)
DAYS = st.sampled_from(["2026-01-30", "2026-01-31", "31 January 2026", "", "--", "Total: Account", "tomorrow"])
NAMES = st.sampled_from(["spring", "autumn", "ghost", "", "--", "Total: Campaigns", "Total wellness", "a;b", 'q"'])
CURRENCIES = st.sampled_from(["EUR", "EUR", "EUR", "USD", "", "XXX"])
ROWS = st.lists(st.tuples(DAYS, NAMES, CURRENCIES, AMOUNTS), max_size=30)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ROWS, st.sampled_from([",", ";", "\t"]), st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]), st.integers(0, 5))
def test_every_row_of_a_random_report_is_accounted_for(
    tmp_path: Path, rows: Sequence[tuple[str, ...]], delimiter: str, encoding: str, titles: int
) -> None:
    text = io.StringIO()
    text.writelines(f"Title {n}\n" for n in range(titles))
    csv.writer(text, delimiter=delimiter).writerows([("Day", "Campaign", "Currency code", "Cost"), *rows])
    (tmp_path / "r.csv").write_bytes(text.getvalue().encode(encoding))
    read_by = mapping("google-ads", options=MappingOptions(decimal="."))
    read = list(read_lines(tmp_path / "r.csv", read_by))
    refused = [line for line in read if any(isinstance(found, Refusal) for found in line.events)]
    found = [line for line in read if line not in refused and (line.events or line.summed)]
    nothing = [line for line in read if not line.events and not line.summed]
    assert len(read) == len(rows) == len(found) + len(nothing) + len(refused)
    made = [orjson.loads(event) for line in found for event in line.events if isinstance(event, bytes)]
    whole = [event["id"] for event in made if "id" in event]  # of the others ingest says what they lack
    assert len(set(whole)) == len(whole)
    assert all("campaign_id" not in event or "on" not in event for event in made if "id" not in event)


MEMBERS = EXPORTS / "salesforce-campaign-members.csv"


def test_ids_of_15_and_18_characters_are_one() -> None:
    assert salesforce_id("001A0000006Vm9r") == salesforce_id("001A0000006Vm9rIAC") == "001A0000006Vm9rIAC"
    assert salesforce_id("001A0000006VM9RIAC") == salesforce_id("001a0000006vm9riac") == "001A0000006Vm9rIAC"
    assert [salesforce_id(text) for text in ("001A0000006Vm9", "001A0000006Vm9rIAD", "001A0000006Vm9r!", "")] == [
        None
    ] * 4


@settings(max_examples=300)
@given(st.text("abcXYZ019", min_size=15, max_size=15))
def test_the_long_form_of_an_id_restores_its_case(short: str) -> None:
    long = salesforce_id(short)
    assert long is not None
    assert salesforce_id(long) == salesforce_id(long.lower()) == salesforce_id(long.upper()) == long


@given(st.text(max_size=20))
def test_no_text_breaks_the_reading_of_ids(text: str) -> None:
    found = salesforce_id(text)
    assert found is None or (len(found) == 18 and found[:15].casefold() == text[:15].casefold())


def test_salesforce_members_deals_and_roles_meet_by_their_ids(workspace: Workspace, runner: asyncio.Runner) -> None:
    for name in ("campaign-members", "opportunities", "contact-roles"):
        tally = tally_of(workspace, runner, EXPORTS / f"salesforce-{name}.csv", f"salesforce-{name}")
        assert not tally.refused, tally.first
    kari = runner.run(workspace.get("/v1/contacts/kari@example.no")).json()
    assert (kari["contact"], kari["salesforce_campaign_ids"]) == ("0035e00000AbCdEAAV", ["7015e000000XyZaAAK"])
    ola = runner.run(workspace.get("/v1/contacts/ola@example.no")).json()
    assert ola["salesforce_campaign_ids"] == []  # its membership was deleted
    found = runner.run(workspace.get("/v1/contacts?salesforce_campaign_id=7015e000000XyZaAAK")).json()["items"]
    assert {item["contact"] for item in found} == {"0035e00000AbCdEAAV", "00Q5e00000LmNoPEAV"}
    deal = runner.run(workspace.get("/v1/deals/0065e00000DeAlWAAV/attribution")).json()
    assert deal["amount"] == {"amount": "12500.00", "currency": "EUR"}
    state = runner.run(workspace.get("/v1/deals/0065e00000DeAlOAAV/explain?campaign=x"))
    assert state.status_code in (200, 404)


def test_a_report_of_opportunities_names_the_same_deals_and_its_last_lines_are_reported_as_footer() -> None:
    report = EXPORTS / "salesforce-opportunity-report.csv"
    result = {event["deal_id"] for event in events(report, "salesforce-opportunities")}
    assert result == {
        event["deal_id"] for event in events(EXPORTS / "salesforce-opportunities.csv", "salesforce-opportunities")
    }
    assert [line.skipped for line in lines(report, "salesforce-opportunities") if line.skipped] == ["footer"] * 5


def test_a_cell_that_is_no_id_of_salesforce_is_refused(tmp_path: Path) -> None:
    path = write(
        tmp_path / "r.csv",
        "OpportunityId,ContactId",
        "0065e00000DeAlW,0035e00000AbCd",
        "0065e00000DeAlW,0035e00000AbCdE",
    )
    ((line, _, message),) = refusals(path, "salesforce-contact-roles")
    assert line == 2
    assert "'0035e00000AbCd' is not a Salesforce id" in message
    assert [event["occurred_at"] for event in events(path, "salesforce-contact-roles")] == ["1970-01-01T00:00:00Z"]


def test_a_converted_lead_is_its_contact(tmp_path: Path) -> None:
    path = write(
        tmp_path / "m.csv", "CampaignId,ContactId,LeadId,CreatedDate", "7015e000000XyZa,0035e00000AbCdE,00Q5e00000LmNoP,2026-01-12T09:30:00.000+0000"
    )  # fmt: skip
    joined, merged = events(path, "salesforce-campaign-members")
    assert (joined["contact"]["id"], merged["contact"]["id"], merged["into"]["id"]) == (
        "0035e00000AbCdEAAV", "00Q5e00000LmNoPEAV", "0035e00000AbCdEAAV",
    )  # fmt: skip
