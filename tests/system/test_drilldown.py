"""The touches and sessions behind a number: each once, as many as the number, with who, by which asset, and by which event."""

import asyncio
from typing import Any

import pytest

from tests.conftest import Workspace, new_workspace
from tests.system.test_read_by_key import all_pages
from touchline.compose import Running


def at(day: int, hour: int = 0, minute: int = 0) -> str:
    return f"2024-03-{day:02}T{hour:02}:{minute:02}:00Z"


OFFER = "https://shop.example/offer"
EVENTS: list[dict[str, Any]] = [
    {"type": "campaign_created", "id": "c1", "campaign_id": "spring", "utm_campaign": "Spring Sale", "occurred_at": at(1)},
    {"type": "campaign_created", "id": "c2", "campaign_id": "autumn", "occurred_at": at(1)},
    {"type": "asset_registered", "id": "a1", "asset_id": "lp", "asset_type": "landing_page", "name": "Offer", "url": OFFER, "occurred_at": at(1)},
    {"type": "asset_registered", "id": "a2", "asset_id": "cta", "asset_type": "cta", "name": "Buy", "occurred_at": at(1)},
    {"type": "asset_registered", "id": "a3", "asset_id": "post", "asset_type": "social_post", "occurred_at": at(1)},
    {"type": "asset_associated", "id": "h1", "asset_id": "lp", "campaign_id": "spring", "occurred_at": at(3)},
    {"type": "asset_associated", "id": "h2", "asset_id": "cta", "campaign_id": "spring", "occurred_at": at(3)},
    {"type": "asset_associated", "id": "h3", "asset_id": "post", "campaign_id": "spring", "occurred_at": at(3)},
    {"type": "asset_associated", "id": "h4", "asset_id": "lp", "campaign_id": "autumn", "occurred_at": at(10)},
    {"type": "page_visited", "id": "early", "visitor_id": "v", "url": OFFER, "occurred_at": at(2)},
    {"type": "page_visited", "id": "in", "visitor_id": "v", "url": OFFER, "referrer": "https://www.google.com/", "occurred_at": at(4)},
    {"type": "cta_clicked", "id": "click", "visitor_id": "v", "asset_id": "cta", "occurred_at": at(4, 0, 5)},
    {"type": "page_visited", "id": "utm", "visitor_id": "w", "url": "https://shop.example/?utm_campaign=spring%2520sale", "occurred_at": at(5)},
    {"type": "page_visited", "id": "both", "visitor_id": "w", "url": OFFER + "?utm_campaign=spring%2520sale", "occurred_at": at(5, 0, 5)},
    {"type": "page_visited", "id": "late", "visitor_id": "v", "url": OFFER, "occurred_at": at(11)},
    {"type": "page_visited", "id": "bot", "visitor_id": "b", "url": OFFER, "machine": True, "occurred_at": at(12)},
    {"type": "social_interacted", "id": "likes", "asset_id": "post", "count": 12, "occurred_at": at(6)},
    {"type": "contact_created", "id": "k7", "contact": {"id": "7", "email": "kari@example.no"}, "properties": {"first_name": "Kari", "last_name": "Nordmann"}, "occurred_at": at(4, 1)},
    {"type": "contact_identified", "id": "i7", "visitor_id": "v", "contact": {"id": "7"}, "occurred_at": at(4, 1)},
]  # fmt: skip


@pytest.fixture(scope="module")
def filled(running: Running, runner: asyncio.Runner) -> Workspace:
    workspace = runner.run(new_workspace(running, "behind"))
    assert runner.run(workspace.send(*EVENTS)).json()["rejected"] == []
    runner.run(workspace.project())
    return workspace


def items(filled: Workspace, runner: asyncio.Runner, path: str) -> list[dict[str, Any]]:
    answer = runner.run(filled.get(f"/v1/campaigns/{path}"))
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


def test_a_touch_shows_who_by_which_asset_and_which_event_associated_it(
    filled: Workspace, runner: asyncio.Runner
) -> None:
    (click,) = items(filled, runner, "spring/touches?metric=cta_clicks")
    assert click.pop("session") is not None
    assert click == {
        "event_id": "click", "type": "cta_clicked", "occurred_at": at(4, 0, 5), "touches": 1, "contact": "7", "name": "Kari Nordmann",
        "asset_id": "cta", "asset_type": "cta", "asset_name": "Buy", "via_asset_id": None, "url": None, "utm_campaign": None, "source": "google.com",
        "medium": "organic", "channel": "organic_search", "through": "asset", "deciding_event": "h2",
    }  # fmt: skip


def test_a_page_view_by_its_utm_value_shows_the_event_that_claimed_it_however_it_is_encoded(
    filled: Workspace, runner: asyncio.Runner
) -> None:
    views = items(filled, runner, "spring/touches?metric=page_views")
    assert [(i["event_id"], i["through"], i["asset_id"], i["deciding_event"], i["contact"], i["utm_campaign"]) for i in views] == [
        ("in", "asset", "lp", "h1", "7", None), ("utm", "utm", None, "c1", None, "spring%20sale"), ("both", "asset", "lp", "h1", None, "spring%20sale"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("campaign", "reason", "expected"),
    [
        ("spring", "before_association", [("early", "h1")]), ("spring", "after_association_ended", [("late", "h1")]),
        ("spring", "machine", [("bot", "h1")]), ("autumn", "before_association", [("early", "h4"), ("in", "h4"), ("both", "h4")]),
        ("autumn", "machine", [("bot", "h4")]), ("autumn", "internal", []),
    ],
)  # fmt: skip
def test_what_is_kept_out_is_listed_by_its_reason(
    filled: Workspace, runner: asyncio.Runner, campaign: str, reason: str, expected: list[tuple[str, str]]
) -> None:
    found = items(filled, runner, f"{campaign}/touches?reason={reason}")
    assert [(i["event_id"], i["deciding_event"]) for i in found] == expected
    overview = runner.run(filled.get(f"/v1/campaigns/{campaign}/overview")).json()
    assert sum(i["touches"] for i in found) == overview["excluded"][reason]


def test_a_touch_that_shows_of_many_at_once_adds_up_to_the_overviews_number(
    filled: Workspace, runner: asyncio.Runner
) -> None:
    (likes,) = items(filled, runner, "spring/touches?type=social_interacted")
    assert (likes["event_id"], likes["touches"]) == ("likes", 12)
    overview = runner.run(filled.get("/v1/campaigns/spring/overview")).json()
    assert overview["touches"]["social_interacted"] == 12


def test_a_session_has_its_first_visit_that_counts_and_the_number_of_those_that_do(
    filled: Workspace, runner: asyncio.Runner
) -> None:
    found = items(filled, runner, "spring/sessions")
    assert [(s["at"], s["new"], s["page_views"], s["event_id"], s["through"], s["deciding_event"]) for s in found] == [
        (at(4), False, 1, "in", "asset", "h1"), (at(5), True, 2, "utm", "utm", "c1"),
    ]  # fmt: skip
    assert items(filled, runner, "spring/sessions?metric=new_sessions") == found[1:]
    assert items(filled, runner, f"spring/sessions?from={at(5)}") == found[1:]
    touches = items(filled, runner, "spring/touches?metric=page_views")
    assert {t["session"] for t in touches} == {s["session"] for s in found}


def test_the_pages_of_touches_and_sessions_hold_each_once(running: Running, runner: asyncio.Runner) -> None:
    begun = {"occurred_at": at(1)}
    events: list[dict[str, Any]] = [
        {"type": "campaign_created", "campaign_id": "c", "utm_campaign": "c", **begun},
        {"type": "asset_associated", "campaign_id": "c", "asset_id": "lp", **begun},
        *({"type": "page_visited", "id": f"{kind}{n}", "visitor_id": f"v{n}", "asset_id": "lp", "machine": kind == "m",
           "url": "https://a.example/?utm_campaign=c", "occurred_at": at(2 + n // 3)} for n in range(10) for kind in "pm"),
    ]  # fmt: skip

    async def check() -> None:
        workspace = await new_workspace(running, "pages")
        assert (await workspace.send(*events)).json()["rejected"] == []
        await workspace.project()
        async with workspace.client() as client:
            for path in ("touches?metric=page_views", "touches?reason=machine", "sessions?metric=new_sessions"):
                whole = (await client.get(f"/v1/campaigns/c/{path}")).json()["items"]
                assert await all_pages(client, f"/v1/campaigns/c/{path}") == whole
                assert len({item["event_id"] for item in whole}) == len(whole) == 10, path

    runner.run(check())


@pytest.mark.parametrize("path", ["touches", "sessions"])
def test_a_cursor_of_another_list_is_refused(filled: Workspace, runner: asyncio.Runner, path: str) -> None:
    cursor = runner.run(filled.get("/v1/events?limit=1")).json()["next_cursor"]
    answer = runner.run(filled.get(f"/v1/campaigns/spring/{path}?cursor={cursor}"))
    assert (answer.status_code, answer.json()["field"]) == (422, "cursor")
