"""What a late event changes about others: cases that random worlds meet too rarely to lean on."""

import asyncio
from typing import Any

import pytest

from tests.conftest import Workspace

SPRING = {"type": "campaign_created", "id": "c", "campaign_id": "spring", "utm_campaign": "spring", "hour": 0}
VISIT = {
    "type": "page_visited",
    "id": "p",
    "visitor_id": "v",
    "url": "https://s.example/?utm_campaign=spring",
    "hour": 2,
}
IDENTIFIED = {"type": "contact_identified", "id": "i", "visitor_id": "v", "contact": {"id": "7"}, "hour": 3}


@pytest.fixture
def read_after(workspace: Workspace, runner: asyncio.Runner) -> Any:
    """Send events, project them one by one, and read a path."""

    def send_and_read(*events: dict[str, Any], path: str) -> Any:
        async def run() -> Any:
            timed = [
                {k: v for k, v in e.items() if k != "hour"} | {"occurred_at": f"2024-03-01T{e['hour']:02d}:00:00Z"}
                for e in events
            ]
            if timed:
                response = await workspace.send(*timed)
                assert response.status_code == 202, response.text
                await workspace.project(batch=1, social_posts_max=2)
            return (await workspace.get(path)).json()

        return runner.run(run())

    return send_and_read


def taken_back(event_id: str) -> dict[str, Any]:
    return {"type": "event_retracted", "id": f"not-{event_id}", "event_id": event_id, "hour": 20}


def test_a_retracted_association_lets_the_refused_post_in(read_after: Any) -> None:
    posts = [
        {"type": "asset_registered", "id": f"r{n}", "asset_id": f"p{n}", "asset_type": "social_post", "hour": 1}
        for n in range(3)
    ]
    associated = [
        {"type": "asset_associated", "id": f"a{n}", "asset_id": f"p{n}", "campaign_id": "spring", "hour": 2 + n}
        for n in range(3)
    ]
    path = "/v1/campaigns/spring/refusals"
    refused = read_after(SPRING, *posts, *associated, path=path)["items"]
    assert [(r["event_id"], r["reason"]) for r in refused] == [("a2", "social_post_limit")]
    assert read_after(taken_back("a0"), path=path)["items"] == []
    held = read_after(path="/v1/campaigns/spring")["associations"]
    assert [a["asset_id"] for a in held] == ["p1", "p2"]


def test_who_proves_to_be_no_staff_was_a_contact_all_along(read_after: Any) -> None:
    ours = {"type": "workspace_configured", "id": "w", "settings": {"internal_domains": ["ours.example"]}, "hour": 1}
    link = {"type": "contact_created", "id": "l", "contact": {"id": "7", "email": "ola@ours.example"}, "hour": 4}
    path = "/v1/campaigns/spring/overview"
    staff = read_after(SPRING, ours, VISIT, IDENTIFIED, link, path=path)
    assert (staff["metrics"]["page_views"], staff["excluded"]["internal"]) == (0, 1)
    assert staff["metrics"]["new_contacts_first_touch"] == 0
    freed = read_after(taken_back("l"), path=path)
    assert (freed["metrics"]["page_views"], freed["excluded"]["internal"]) == (1, 0)
    assert freed["metrics"]["new_contacts_first_touch"] == 1
    assert freed["metrics"]["new_contacts_last_touch"] == 0  # it converted an hour after the session


@pytest.mark.parametrize(
    ("rules", "views"), [({"crawlers": False}, 1), ({"crawlers": True}, 0), ({"never": ["curl"]}, 1)]
)
def test_new_machine_rules_count_again_what_is_stored(read_after: Any, rules: dict[str, Any], views: int) -> None:
    path = "/v1/campaigns/spring/overview"
    assert read_after(SPRING, VISIT | {"user_agent": "curl/8.5.0"}, IDENTIFIED, path=path)["metrics"]["page_views"] == 0
    setting = {"type": "workspace_configured", "id": "w", "settings": {"machine_rules": rules}, "hour": 4}
    metrics = read_after(setting, path=path)["metrics"]
    assert (metrics["page_views"], metrics["sessions"], metrics["new_contacts_first_touch"]) == (views, views, views)
