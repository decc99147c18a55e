"""`GET /v1/catalog/unresolved` lists what events name that nobody created, registered or claimed, and nothing else."""

import asyncio
from typing import Any

import pytest

from shared.reading.cursors import decode_cursor
from shared.reading.snapshot import snapshot
from shared.reading.unresolved import unresolved
from tests.conftest import Workspace
from tests.scenarios.worked import event

EVENTS = """
03-01 00:00 campaign_created  campaign_id=spring utm_campaign=spring
03-01 00:00 campaign_updated  campaign_id=updated name=Updated
03-01 00:00 asset_registered  asset_id=lp asset_type=landing_page url=https://s.example/lp
03-01 00:00 asset_registered  asset_id=form asset_type=form
03-01 00:00 asset_associated  asset_id=lp campaign_id=spring
03-02 00:00 asset_associated  asset_id=form campaign_id=sprnig
03-03 00:00 spend_recorded    campaign_id=sprnig amount="1.00" currency=EUR on=2024-03-03
03-04 00:00 spend_recorded    campaign_id=autumn amount="1.00" currency=EUR on=2024-03-03
03-05 00:00 asset_associated  asset_id=unheard campaign_id=spring
03-06 00:00 form_submitted    asset_id=unheard visitor_id=v
03-07 00:00 email_clicked     asset_id=mail contact=7
03-07 00:00 page_visited      visitor_id=v url=https://s.example/lp?tl_via=ad
03-08 00:00 page_visited      visitor_id=v url=https://s.example/lp?utm_campaign=spring
03-09 00:00 page_visited      visitor_id=v url=https://s.example/lp?utm_campaign=Sprnig
03-10 00:00 page_visited      visitor_id=v url=https://www.s.example/other/?x=1&utm_campaign=sprnig
03-11 00:00 page_visited      visitor_id=w url=http://s.example/other#part
03-12 00:00 page_visited      visitor_id=bot url=https://s.example/admin.php?utm_campaign=probe machine=true
03-12 00:00 page_visited      id=gone visitor_id=v url=https://s.example/gone
03-13 00:00 event_retracted   event_id=gone
03-13 00:00 form_submitted    asset_id=form visitor_id=v
"""
CAMPAIGNS = [
    {"campaign_id": "autumn", "events": 1, "first_seen": "2024-03-04T00:00:00Z", "last_seen": "2024-03-04T00:00:00Z"},
    {"campaign_id": "sprnig", "events": 2, "first_seen": "2024-03-02T00:00:00Z", "last_seen": "2024-03-03T00:00:00Z"},
]
ASSETS = [
    {"asset_id": "ad", "events": 1, "first_seen": "2024-03-07T00:00:00Z", "last_seen": "2024-03-07T00:00:00Z"},
    {"asset_id": "mail", "events": 1, "first_seen": "2024-03-07T00:00:00Z", "last_seen": "2024-03-07T00:00:00Z"},
    {"asset_id": "unheard", "events": 2, "first_seen": "2024-03-05T00:00:00Z", "last_seen": "2024-03-06T00:00:00Z"},
]
VALUES = [
    {"utm_campaign": "sprnig", "visits": 2, "first_seen": "2024-03-09T00:00:00Z", "last_seen": "2024-03-10T00:00:00Z"}
]
PAGES = [
    {
        "url": "https://s.example/other",
        "visits": 2,
        "first_seen": "2024-03-10T00:00:00Z",
        "last_seen": "2024-03-11T00:00:00Z",
    }
]


@pytest.fixture
def filled(workspace: Workspace, runner: asyncio.Runner) -> Workspace:
    async def send_events() -> None:
        events = [event(line) for line in EVENTS.strip().splitlines()]
        sent = await workspace.send(*({"occurred_at": each.pop("at"), **each} for each in events))
        assert sent.json()["rejected"] == []
        await workspace.project()

    runner.run(send_events())
    return workspace


async def asked(workspace: Workspace, query: str = "") -> dict[str, Any]:
    response = await workspace.get(f"/v1/catalog/unresolved{query}")
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def test_each_list_has_what_nobody_resolved_and_nothing_else(filled: Workspace, runner: asyncio.Runner) -> None:
    found = runner.run(asked(filled))
    assert found["campaigns"] == CAMPAIGNS
    assert sorted(found["assets"], key=lambda item: item["asset_id"]) == ASSETS
    assert (found["utm_values"], found["pages"]) == (VALUES, PAGES)
    assert set(found["next_cursors"].values()) == {None}


def test_what_is_resolved_by_the_calls_of_the_catalog_is_no_longer_listed(
    filled: Workspace, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        resolving = [
            ("campaigns/autumn", {"utm_campaign": "sprnig"}), ("campaigns/sprnig", {}), ("assets/ad", {"asset_type": "ad_campaign"}),
            ("assets/mail", {"asset_type": "marketing_email"}), ("assets/unheard", {"asset_type": "form"}),
            ("assets/other", {"asset_type": "site_page", "url": (await asked(filled))["pages"][0]["url"]}),
        ]  # fmt: skip
        async with filled.client("server") as client:
            for path, body in resolving:
                assert (await client.put(f"/v1/{path}", json=body)).status_code == 201
                await filled.project()
        found = await asked(filled)
        assert [found[kind] for kind in ("campaigns", "assets", "utm_values", "pages")] == [[], [], [], []]

    runner.run(check())


@pytest.mark.parametrize(("kind", "names"), [("campaigns", 2), ("assets", 3), ("utm_values", 1), ("pages", 1)])
def test_pages_of_one_kind_give_each_item_once(
    filled: Workspace, runner: asyncio.Runner, kind: str, names: int
) -> None:
    async def check() -> None:
        items, cursor, rounds = [], "", 0
        while cursor is not None and rounds < 20:
            found = await asked(filled, f"?kind={kind}&limit=1" + (f"&cursor={cursor}" if cursor else ""))
            assert len(found["items"]) <= 1
            items += found["items"]
            cursor, rounds = found["next_cursor"], rounds + 1
        assert cursor is None
        assert len(items) == names
        whole = (await asked(filled))[kind]
        assert items == whole

    runner.run(check())


def test_a_cursor_of_another_list_is_refused(filled: Workspace, runner: asyncio.Runner) -> None:
    async def check() -> None:
        of_campaigns = (await asked(filled, "?kind=campaigns&limit=1"))["next_cursor"]
        for query in (f"?kind=assets&cursor={of_campaigns}", f"?cursor={of_campaigns}"):
            response = await filled.get(f"/v1/catalog/unresolved{query}")
            assert (response.status_code, response.json()["field"]) == (422, "cursor")

    runner.run(check())


@pytest.mark.parametrize("walked_max", [1, 2, 3])
@pytest.mark.parametrize("kind", ["assets", "utm_values", "pages"])
def test_pages_that_may_pass_few_keys_give_each_item_once(
    filled: Workspace, runner: asyncio.Runner, kind: str, walked_max: int
) -> None:
    async def check() -> None:
        whole, items, after = (await asked(filled))[kind], [], None
        for _ in range(30):
            async with snapshot(filled.running.pool, filled.name) as opened:
                page = await unresolved(opened, kind, 2, after, walked_max)
            items += page.items
            if page.next_cursor is None:
                break
            (after,) = decode_cursor(page.next_cursor)
        assert page.next_cursor is None
        assert items == whole

    runner.run(check())
