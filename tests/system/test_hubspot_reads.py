"""What reads campaigns of HubSpot's API reads them here: HubSpot's paths, shapes, pages and dates."""

import asyncio
from typing import Any

import pytest

from tests.conftest import Workspace, new_workspace
from tests.system.test_lists import EVENTS, at

MORE: list[dict[str, Any]] = [
    {"type": "workspace_configured", "id": "w", "settings": {"currency": "EUR", "time_zone": "Europe/Oslo"}, "occurred_at": at(1)},
    {"type": "campaign_updated", "id": "c3", "campaign_id": "spring", "name": "Spring", "budget": "5.50", "currency": "EUR", "occurred_at": at(2)},
    {"type": "spend_recorded", "id": "s1", "campaign_id": "spring", "amount": "2.25", "currency": "EUR", "on": "2024-03-02", "occurred_at": at(2)},
    {"type": "campaign_created", "id": "c4", "campaign_id": "gone", "occurred_at": at(1)},
    {"type": "campaign_deleted", "id": "c5", "campaign_id": "gone", "occurred_at": at(2)},
]  # fmt: skip
BASE = "/marketing/v3/campaigns"


@pytest.fixture(scope="module")
def filled(running: Any, runner: asyncio.Runner) -> Workspace:
    async def send_events() -> Workspace:
        workspace = await new_workspace(running, "hubspot")
        assert (await workspace.send(*EVENTS, *MORE)).json()["rejected"] == []
        await workspace.project()
        return workspace

    return runner.run(send_events())


@pytest.fixture
def ask(filled: Workspace, runner: asyncio.Runner) -> Any:
    def get(path: str, status: int = 200) -> Any:
        response = runner.run(filled.get(f"{BASE}{path}"))
        assert response.status_code == status, response.text
        return response.json()

    return get


def test_campaigns_are_listed_without_those_that_were_deleted(ask: Any) -> None:
    found = ask("?properties=hs_name,hs_spend_items_sum_amount&sort=-hs_name")
    assert found["total"] == 2
    assert [(c["id"], c["properties"]) for c in found["results"]] == [
        ("spring", {"hs_name": "Spring", "hs_spend_items_sum_amount": "2.25"}),
        ("autumn", {"hs_name": "autumn", "hs_spend_items_sum_amount": "0"}),
    ]
    assert (found["results"][0]["createdAt"], found["results"][0]["updatedAt"]) == (at(1), at(2))
    assert ask("")["results"][0]["properties"] == {}
    assert [c["id"] for c in ask("?name=SPR")["results"]] == ["spring"]
    assert ask("/gone", 404)["code"] == "not_found"


def test_pages_are_followed_by_after(ask: Any) -> None:
    first = ask("?limit=1")
    assert first["paging"]["next"]["after"] == "1"
    assert "limit=1" in first["paging"]["next"]["link"]
    second = ask("?limit=1&after=1")
    assert "paging" not in second
    assert [c["id"] for c in first["results"] + second["results"]] == ["autumn", "spring"]


def test_the_numbers_are_those_of_the_overview(ask: Any, filled: Workspace, runner: asyncio.Runner) -> None:
    overview = runner.run(filled.get("/v1/campaigns/spring/overview?model=u_shaped")).json()["metrics"]
    assert ask("/spring/reports/metrics") == {
        "sessions": overview["sessions"], "newContactsFirstTouch": overview["new_contacts_first_touch"],
        "newContactsLastTouch": overview["new_contacts_last_touch"], "influencedContacts": overview["influenced_contacts"],
    }  # fmt: skip
    revenue = ask("/spring/reports/revenue?attributionModel=U_SHAPED")
    assert revenue["dealsNumber"] == overview["closed_deals"]
    assert (f"{revenue['dealAmount']:.2f}", revenue["currencyCode"]) == ("100.00", "EUR")
    assert f"{revenue['revenueAmount']:.2f}" == overview["attributed_revenue"][0]["amount"]
    assert ask("/spring/reports/contacts/influencedContacts") == {"results": [{"id": "7"}]}
    assert ask("/spring/reports/contacts/others", 404)["code"] == "not_found"


@pytest.mark.parametrize(
    ("dates", "deals"),
    [("startDate=2024-03-05&endDate=2024-03-05", 1), ("startDate=2024-03-01&endDate=2024-03-04", 0), ("startDate=2024-03-06", 0), ("endDate=2024-03-05", 1)],
)  # fmt: skip
def test_both_days_of_a_range_are_included(ask: Any, dates: str, deals: int) -> None:
    assert ask(f"/spring/reports/revenue?{dates}")["dealsNumber"] == deals


def test_a_campaign_shows_its_assets_by_type_and_with_both_dates_their_metrics(ask: Any) -> None:
    assert ask("/spring")["assets"] == {"MARKETING_EMAIL": {"results": [{"id": "mail", "name": "News"}]}}
    dated = ask("/spring?startDate=2024-03-01&endDate=2024-03-31")["assets"]
    assert dated["MARKETING_EMAIL"]["results"][0]["metrics"] == {"CLICKS": 1}
    assert ask("/autumn/assets/LANDING_PAGE?startDate=2024-03-01&endDate=2024-03-31")["results"] == [
        {"id": "lp", "name": "Offer", "metrics": {"VIEWS": 4}}
    ]
    assert ask("/autumn/assets/FORM") == {"results": []}


def test_the_budget_and_the_spend_are_reported_item_by_item(ask: Any) -> None:
    budget = ask("/spring/budget/totals")
    assert (budget["budgetTotal"], budget["spendTotal"], budget["remainingBudget"]) == (5.5, 2.25, 3.25)
    assert [(item["id"], item["amount"]) for item in budget["spendItems"]] == [("s1", 2.25)]


@pytest.mark.parametrize(
    ("query", "field"),
    [("?limit=101", "limit"), ("?limit=0", "limit"), ("?after=x", "after"), ("?sort=name", "sort"), ("/spring?startDate=x", "startDate"),
     ("/spring/reports/metrics?startDate=2024-02-01&endDate=2024-01-01", "startDate"), ("/spring/reports/metrics?endDate=2024-02-30", "endDate"),
     ("/spring/reports/revenue?attributionModel=linear", "attributionModel"), ("?guess=1", "guess"), ("/spring/assets/FORM?limit=1e1", "limit")],
)  # fmt: skip
def test_a_bad_parameter_is_422_and_named(ask: Any, query: str, field: str) -> None:
    assert ask(query, 422)["field"] == field
