"""The document's types of answers are those of the answers: no field is missing in one, and none is in one alone."""

import asyncio
import copy
from typing import Any

import jsonschema
import pytest

from services.api.document import ANSWERS
from tests.conftest import Workspace, new_workspace
from tests.system.test_lists import EVENTS, at

MORE: list[dict[str, Any]] = [
    {"type": "campaign_updated", "id": "c3", "campaign_id": "spring", "name": "Spring", "budget": "5.00", "currency": "EUR", "starts_on": "2024-03-01", "owner": "ola", "notes": "n", "occurred_at": at(1, 1)},
    {"type": "spend_recorded", "id": "s1", "campaign_id": "spring", "amount": "2.00", "currency": "EUR", "on": "2024-03-02", "occurred_at": at(2)},
    {"type": "spend_recorded", "id": "s2", "campaign_id": "spring", "amount": "2.00", "currency": "NOK", "on": "2024-03-02", "occurred_at": at(2)},
    {"type": "budget_recorded", "id": "b1", "campaign_id": "spring", "amount": "2.00", "currency": "EUR", "occurred_at": at(2)},
    {"type": "salesforce_campaign_joined", "id": "f1", "contact": {"id": "7"}, "salesforce_campaign_id": "701", "source": "sync", "occurred_at": at(2)},
    {"type": "contact_merged", "id": "m1", "contact": {"id": "71"}, "into": {"id": "7"}, "occurred_at": at(2)},
    {"type": "contact_merged", "id": "m2", "contact": {"id": "72"}, "into": {"id": "7"}, "occurred_at": at(2)},
    {"type": "asset_registered", "id": "a7", "asset_id": "post", "asset_type": "social_post", "occurred_at": at(1)},
    {"type": "campaign_deleted", "id": "c9", "campaign_id": "autumn", "occurred_at": at(20)},
    {"type": "asset_associated", "id": "h9", "asset_id": "free", "campaign_id": "autumn", "occurred_at": at(21)},
    {"type": "model_defined", "id": "o1", "model": "board", "weights": {"first": "100"}, "occurred_at": at(2)},
    {"type": "deal_created", "id": "d8", "deal_id": "odd", "amount": "1.2345", "occurred_at": at(4)},
    {"type": "event_retracted", "id": "r1", "event_id": "p2", "occurred_at": at(9)},
]  # fmt: skip
UNRESOLVED = (
    ("campaigns", "spring"),
    ("assets", "post"),
    ("utm_values", "fall"),
    ("pages", "https://shop.example/offer"),
)
QUERIES: dict[str, list[str]] = {
    "/v1/campaigns": [
        "/v1/campaigns?numbers=false", "/v1/campaigns?series=influenced_revenue&interval=month&compare=previous&from=2024-03-01&to=2024-04-01", "/v1/campaigns", "/v1/campaigns?limit=1", "/v1/campaigns?from=2024-03-01&to=2024-04-01",
    ],
    "/v1/campaigns/{campaign_id}": ["/v1/campaigns/spring", "/v1/campaigns/autumn"],
    "/v1/campaigns/{campaign_id}/overview": ["/v1/campaigns/spring/overview?model=board", "/v1/campaigns/autumn/overview", "/v1/campaigns/spring/overview?compare=2024-03-01..2024-03-04"],
    "/v1/campaigns/{campaign_id}/timeline": ["/v1/campaigns/spring/timeline?interval=month", "/v1/campaigns/spring/timeline?metric=attributed_revenue&interval=month&from=2024-01-01&to=2024-06-01"],
    "/v1/campaigns/{campaign_id}/assets": ["/v1/campaigns/spring/assets", "/v1/campaigns/autumn/assets"],
    "/v1/campaigns/{campaign_id}/contacts": ["/v1/campaigns/spring/contacts"],
    "/v1/campaigns/{campaign_id}/deals": ["/v1/campaigns/spring/deals"],
    "/v1/campaigns/{campaign_id}/touches": ["/v1/campaigns/spring/touches", "/v1/campaigns/autumn/touches?reason=machine"],
    "/v1/campaigns/{campaign_id}/sessions": ["/v1/campaigns/spring/sessions", "/v1/campaigns/autumn/sessions?metric=new_sessions"],
    "/v1/catalog/unresolved": ["/v1/catalog/unresolved", *(f"/v1/catalog/unresolved?kind={kind}" for kind in ("campaigns", "assets", "utm_values", "pages"))],
    "/v1/catalog/unresolved/events": [
        *(f"/v1/catalog/unresolved/events?kind={kind}&name={name}" for kind, name in UNRESOLVED),
    ],
    "/v1/browsers": ["/v1/browsers"],
    "/v1/campaigns/{campaign_id}/refusals": ["/v1/campaigns/spring/refusals", "/v1/campaigns/autumn/refusals"],
    "/v1/campaigns/{campaign_id}/spend": ["/v1/campaigns/spring/spend"],
    "/v1/campaigns/{campaign_id}/budget-items": ["/v1/campaigns/spring/budget-items"],
    "/v1/assets": ["/v1/assets", "/v1/assets?sort=-touches"],
    "/v1/assets/{asset_id}/contacts": ["/v1/assets/lp/contacts"], "/v1/assets/{asset_id}/deals": ["/v1/assets/lp/deals"],
    "/v1/assets/{asset_id}/touches": ["/v1/assets/lp/touches", "/v1/assets/mail/touches?type=email_clicked"],
    "/v1/assets/{asset_id}": ["/v1/assets/lp", "/v1/assets/free"],
    "/v1/contacts": ["/v1/contacts"], "/v1/contacts/{name}": ["/v1/contacts/7", "/v1/contacts/8"],
    "/v1/contacts/{name}/deals": ["/v1/contacts/7/deals", "/v1/contacts/8/deals"],
    "/v1/contacts/{name}/journey": ["/v1/contacts/7/journey"], "/v1/identifiers": ["/v1/identifiers?min_joined=2"],
    "/v1/deals": ["/v1/deals"], "/v1/deals/{deal_id}": ["/v1/deals/won", "/v1/deals/open"],
    "/v1/deals/{deal_id}/attribution": [
        "/v1/deals/won/attribution?all", "/v1/deals/won/attribution", "/v1/deals/odd/attribution?all",
        "/v1/deals/won/attribution?model=board&model=linear", "/v1/deals/odd/attribution?model=linear&model=u_shaped",
    ],
    "/v1/deals/{deal_id}/explain": ["/v1/deals/won/explain?campaign=spring", "/v1/deals/lost/explain?campaign=autumn"],
    "/v1/events": ["/v1/events?limit=1000"],
    "/v1/events/{event_id}/explain": [f"/v1/events/{event['id']}/explain" for event in [*EVENTS, *MORE]],
    "/v1/reports/attribution": [
        *(f"/v1/reports/attribution?group_by={by}&of={of}&model=board&model=linear"
          for by in ("campaign", "asset", "owner", "channel") for of in ("revenue", "deals", "contacts")),
        "/v1/reports/attribution?currency=all",
    ],
    "/v1/reports/attribution/deals": ["/v1/reports/attribution/deals", "/v1/reports/attribution/deals?reason=no_campaign&currency=all", "/v1/reports/attribution/deals?of=deals"],
    "/v1/reports/attribution/contacts": [
        "/v1/reports/attribution/contacts", "/v1/reports/attribution/contacts?currency=all&group=spring", "/v1/reports/attribution/contacts?of=deals",
        "/v1/reports/attribution/contacts?of=contacts&reason=no_journey",
    ],
    "/v1/reports/paths/deals": ["/v1/reports/paths/deals"],
    "/v1/reports/roi": ["/v1/reports/roi?currency=EUR"], "/v1/reports/paths": ["/v1/reports/paths"],
    "/v1/status": ["/v1/status"], "/v1/producers": ["/v1/producers"],
    "/v1/generations": ["/v1/generations"], "/v1/generations/{name}/difference": ["/v1/generations/g1/difference"], "/v1/verifications": ["/v1/verifications"],
    "/marketing/v3/campaigns": ["/marketing/v3/campaigns?properties=hs_name,hs_owner,hs_budget_items_sum_amount", "/marketing/v3/campaigns?limit=1"],
    "/marketing/v3/campaigns/{campaign_id}": [
        "/marketing/v3/campaigns/spring", "/marketing/v3/campaigns/spring?startDate=2024-01-01&endDate=2024-12-31&properties=hs_utm&properties=hs_name",
    ],
    "/marketing/v3/campaigns/{campaign_id}/assets/{asset_type}": [
        "/marketing/v3/campaigns/spring/assets/MARKETING_EMAIL", "/marketing/v3/campaigns/spring/assets/NONE",
    ],
    "/marketing/v3/campaigns/{campaign_id}/reports/metrics": ["/marketing/v3/campaigns/spring/reports/metrics"],
    "/marketing/v3/campaigns/{campaign_id}/reports/revenue": ["/marketing/v3/campaigns/spring/reports/revenue?attributionModel=U_SHAPED"],
    "/marketing/v3/campaigns/{campaign_id}/reports/contacts/{contact_type}": [
        "/marketing/v3/campaigns/spring/reports/contacts/influencedContacts?limit=1",
    ],
    "/marketing/v3/campaigns/{campaign_id}/budget/totals": ["/marketing/v3/campaigns/spring/budget/totals"],
}  # fmt: skip


@pytest.fixture(scope="module")
def filled(running: Any, runner: asyncio.Runner) -> Workspace:
    async def send_events() -> Workspace:
        workspace = await new_workspace(running, "answers")
        response = await workspace.send(*EVENTS, *MORE, {"type": "nonsense", "id": "bad"})
        assert [r["id"] for r in response.json()["rejected"]] == ["bad"]
        await workspace.project()
        return workspace

    return runner.run(send_events())


def strict(node: Any) -> Any:
    """A schema of which every object has no other field than those that it tells."""
    if isinstance(node, dict):
        closed = {"additionalProperties": False} if "properties" in node and "additionalProperties" not in node else {}
        return {name: strict(value) for name, value in node.items()} | closed
    return [strict(value) for value in node] if isinstance(node, list) else node


def test_every_read_shows_the_type_of_its_answer() -> None:
    assert set(QUERIES) == set(ANSWERS)


@pytest.mark.parametrize("path", sorted(ANSWERS))
def test_an_answer_is_of_the_type_in_the_document(filled: Workspace, runner: asyncio.Runner, path: str) -> None:
    document = copy.deepcopy(filled.running.app.openapi())
    schema = document["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    components = strict(document["components"])
    validator = jsonschema.Draft202012Validator(
        {**strict(schema), "components": components}, format_checker=jsonschema.FormatChecker()
    )
    for query in QUERIES[path]:
        response = runner.run(filled.get(query))
        assert response.status_code == 200, (query, response.text)
        validator.validate(response.json())


def test_every_list_has_an_item_to_compare(filled: Workspace, runner: asyncio.Runner) -> None:
    empty = {
        path
        for path, queries in QUERIES.items()
        for answers in [[runner.run(filled.get(query)).json() for query in queries]]
        if all(answer.get("items", answer.get("rows", [1])) == [] for answer in answers)
    }
    assert empty <= {
        "/v1/producers",
        "/v1/verifications",
    }  # counts are written once a second; test_operations.py has both of the others
