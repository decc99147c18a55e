"""Campaigns over time: timelines, series, another range to compare with, and lists in the order of a number."""

import asyncio
from typing import Any

import pytest

from tests.conftest import Workspace

VISITS = [  # of `spring`: when, and by whom; the zone is Europe/Oslo, whose clocks are set forward on 31 March 2024
    ("2024-02-28T12:00:00Z", "a"), ("2024-03-30T22:30:00Z", "a"), ("2024-03-30T23:30:00Z", "b"), ("2024-03-31T21:59:00Z", "b"),
    ("2024-03-31T22:01:00Z", "b"), ("2024-04-03T10:00:00Z", "c"), ("2025-03-31T10:00:00Z", "d"),
]  # fmt: skip


def visit(at: str, visitor: str, campaign: str) -> dict[str, Any]:
    url = f"https://shop.example/?utm_campaign={campaign}"
    return {
        "type": "page_visited",
        "id": f"{campaign}{at}{visitor}",
        "occurred_at": at,
        "visitor_id": visitor,
        "url": url,
    }


async def send_history(workspace: Workspace) -> None:
    events: list[dict[str, Any]] = [
        {"type": "workspace_configured", "id": "zone", "occurred_at": "2024-01-01T00:00:00Z", "settings": {"time_zone": "Europe/Oslo"}}
    ]  # fmt: skip
    for name, title in (("spring", "Zebra"), ("autumn", "apple"), ("winter", "Mango")):
        events.append(
            {"type": "campaign_created", "id": name, "occurred_at": "2024-01-01T00:00:00Z", "campaign_id": name, "name": title,
             "utm_campaign": name}
        )  # fmt: skip
    events += [visit(at, visitor, "spring") for at, visitor in VISITS]
    events += [visit("2024-03-31T10:00:00Z", "x", "autumn"), visit("2024-03-31T11:00:00Z", "y", "autumn")]
    events += [
        {"type": "form_submitted", "id": "form", "occurred_at": "2024-04-03T10:05:00Z", "visitor_id": "c", "asset_id": "form",
         "contact": {"id": "7"}},
    ]  # fmt: skip
    answer = await workspace.send(*events, scope="server")
    assert answer.json()["rejected"] == [] or answer.status_code == 202, answer.text
    await workspace.project()


@pytest.fixture
def years(workspace: Workspace, runner: asyncio.Runner) -> Workspace:
    runner.run(send_history(workspace))
    return workspace


def points(runner: asyncio.Runner, workspace: Workspace, asked: str) -> list[tuple[str, Any]]:
    answer = runner.run(workspace.get(f"/v1/campaigns/spring/timeline?{asked}"))
    assert answer.status_code == 200, answer.text
    return [(point["from"], point["value"]) for point in answer.json()["points"]]


def test_days_of_a_timeline_are_those_of_the_workspace(years: Workspace, runner: asyncio.Runner) -> None:
    found = points(runner, years, "metric=page_views&interval=day&from=2024-03-30&to=2024-04-02")
    assert found == [("2024-03-29T23:00:00Z", 1), ("2024-03-30T23:00:00Z", 2), ("2024-03-31T22:00:00Z", 1)]


def test_months_and_weeks_of_a_timeline_begin_where_the_calendar_does(years: Workspace, runner: asyncio.Runner) -> None:
    months = points(runner, years, "metric=sessions&interval=month&from=2024-02-15&to=2024-05-01")
    assert months == [("2024-02-14T23:00:00Z", 1), ("2024-02-29T23:00:00Z", 3), ("2024-03-31T22:00:00Z", 1)]
    weeks = points(runner, years, "metric=page_views&interval=week&from=2024-03-28&to=2024-04-09")
    assert weeks == [("2024-03-27T23:00:00Z", 3), ("2024-03-31T22:00:00Z", 2), ("2024-04-07T22:00:00Z", 0)]


def test_hours_of_a_timeline_go_on_where_the_clocks_are_set_forward(years: Workspace, runner: asyncio.Runner) -> None:
    found = points(runner, years, "metric=page_views&interval=hour&from=2024-03-31&to=2024-04-01")
    assert len(found) == 23
    assert [value for _, value in found] == [1] + [0] * 21 + [1]


def test_an_influenced_contact_counts_at_its_first_touch(years: Workspace, runner: asyncio.Runner) -> None:
    found = points(runner, years, "metric=influenced_contacts&interval=month&from=2024-03-01&to=2024-05-01")
    assert [value for _, value in found] == [0, 1]


@pytest.mark.parametrize("metric", ["new_contacts_first_touch", "attributed_revenue", "influenced_deals"])
def test_a_timeline_of_any_metric_agrees_with_the_overviews_of_its_parts(
    years: Workspace, runner: asyncio.Runner, metric: str
) -> None:
    for from_, value in points(runner, years, f"metric={metric}&interval=month&from=2024-03-01&to=2024-05-01"):
        to = {"2024-02-29T23:00:00Z": "2024-03-31T22:00:00Z", "2024-03-31T22:00:00Z": "2024-05-01"}[from_]
        overview = runner.run(years.get(f"/v1/campaigns/spring/overview?from={from_}&to={to}")).json()
        assert overview["metrics"][metric] == value


def test_a_range_is_compared_with_the_one_before_and_with_the_year_before(
    years: Workspace, runner: asyncio.Runner
) -> None:
    asked = "/v1/campaigns/spring/overview?from=2025-03-30&to=2025-04-02&compare="
    year = runner.run(years.get(f"{asked}year")).json()
    assert year["metrics"]["page_views"] == 1
    assert year["compare"]["metrics"]["page_views"] == 4
    assert (year["compare"]["from"], year["compare"]["to"]) == ("2024-03-29T23:00:00Z", "2024-04-01T22:00:00Z")
    previous = runner.run(years.get(f"{asked}previous")).json()
    assert (previous["compare"]["to"], previous["compare"]["metrics"]["page_views"]) == ("2025-03-29T23:00:00Z", 0)
    named = runner.run(years.get(f"{asked}2024-03-01..2024-05-01")).json()
    assert named["compare"]["metrics"]["page_views"] == 5


@pytest.mark.parametrize(
    "asked", ["compare=previous", "compare=x", "compare=2025-01-01..2024-01-01", "compare=2024-01-01"]
)
def test_a_comparison_that_cannot_be_is_refused(years: Workspace, runner: asyncio.Runner, asked: str) -> None:
    answer = runner.run(years.get(f"/v1/campaigns/spring/overview?{asked}"))
    assert answer.status_code == 422
    assert answer.json()["field"] == "compare"


def test_too_many_points_are_refused(years: Workspace, runner: asyncio.Runner) -> None:
    answer = runner.run(years.get("/v1/campaigns/spring/timeline?interval=hour&from=2024-01-01&to=2025-01-01"))
    assert (answer.status_code, answer.json()["field"]) == (422, "interval")


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("campaign_id", ["autumn", "spring", "winter"]), ("-campaign_id", ["winter", "spring", "autumn"]),
        ("name", ["autumn", "winter", "spring"]), ("-page_views", ["spring", "autumn", "winter"]),
        ("page_views", ["winter", "autumn", "spring"]), ("-attributed_revenue", ["autumn", "spring", "winter"]),
    ],
)  # fmt: skip
def test_a_list_in_any_order_is_the_same_page_by_page(
    years: Workspace, runner: asyncio.Runner, sort: str, expected: list[str]
) -> None:
    whole = runner.run(years.get(f"/v1/campaigns?sort={sort}")).json()
    assert [item["campaign_id"] for item in whole["items"]] == expected
    paged, cursor = [], ""
    for _ in expected:
        page = runner.run(years.get(f"/v1/campaigns?sort={sort}&limit=1{cursor}")).json()
        paged += page["items"]
        cursor = f"&cursor={page['next_cursor']}"
    assert paged == whole["items"]
    assert page["next_cursor"] is None


def test_a_list_has_a_series_and_a_comparison_of_each_campaign(years: Workspace, runner: asyncio.Runner) -> None:
    asked = "series=page_views&interval=month&from=2024-03-01&to=2024-05-01&compare=previous"
    items = runner.run(years.get(f"/v1/campaigns?{asked}")).json()["items"]
    assert [[point["value"] for point in item["series"]] for item in items] == [[2, 0], [3, 2], [0, 0]]
    assert [item["compare"]["metrics"]["page_views"] for item in items] == [0, 1, 0]


def test_a_search_finds_utm_values(years: Workspace, runner: asyncio.Runner) -> None:
    items = runner.run(years.get("/v1/campaigns?q=WINT")).json()["items"]
    assert [item["campaign_id"] for item in items] == ["winter"]
