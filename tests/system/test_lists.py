"""Lists of deals, assets, contacts and events: filters, orders, pages, and what each item tells."""

import asyncio
import random
from typing import Any

import pytest

from shared.projection.sql import Connection
from shared.reading.asset_list import _PAGES as ASSET_PAGES
from shared.reading.contact_list import _PAGES as CONTACT_PAGES
from shared.reading.conversion_paths import DEALS as PATH_DEAL_PAGES
from shared.reading.deal_list import _PAGES as DEAL_PAGES
from shared.reading.drilldown_groups import _CONTACTS as GROUP_CONTACT_PAGES
from shared.reading.drilldown_groups import _DEALS as GROUP_DEAL_PAGES
from shared.reading.recent_events import NEWEST
from shared.reading.reports import Of
from shared.rules.models import MODELS
from tests.conftest import Workspace, new_workspace


def at(day: int, hour: int = 0) -> str:
    return f"2024-03-{day:02}T{hour:02}:00:00Z"


EVENTS: list[dict[str, Any]] = [
    {"type": "campaign_created", "id": "c1", "campaign_id": "spring", "occurred_at": at(1)},
    {"type": "campaign_created", "id": "c2", "campaign_id": "autumn", "utm_campaign": "fall", "occurred_at": at(1)},
    {"type": "asset_registered", "id": "a1", "asset_id": "lp", "asset_type": "landing_page", "name": "Offer", "url": "https://shop.example/offer", "occurred_at": at(1)},
    {"type": "asset_registered", "id": "a2", "asset_id": "mail", "asset_type": "marketing_email", "name": "News", "occurred_at": at(1)},
    {"type": "asset_registered", "id": "a3", "asset_id": "free", "asset_type": "form", "occurred_at": at(1)},
    {"type": "asset_associated", "id": "h1", "asset_id": "lp", "campaign_id": "spring", "occurred_at": at(1)},
    {"type": "asset_dissociated", "id": "h2", "asset_id": "lp", "campaign_id": "spring", "occurred_at": at(4)},
    {"type": "asset_associated", "id": "h3", "asset_id": "lp", "campaign_id": "autumn", "occurred_at": at(5)},
    {"type": "asset_associated", "id": "h4", "asset_id": "mail", "campaign_id": "spring", "occurred_at": at(1)},
    {"type": "contact_created", "id": "k7", "contact": {"id": "7", "email": "kari@example.no"}, "properties": {"first_name": "Kari", "last_name": "Nordmann"}, "occurred_at": at(1, 1)},
    {"type": "contact_created", "id": "k8", "contact": {"id": "8"}, "occurred_at": at(2)},
    {"type": "contact_identified", "id": "i7", "visitor_id": "v", "contact": {"id": "7"}, "occurred_at": at(1, 2)},
    {"type": "page_visited", "id": "p1", "visitor_id": "v", "url": "https://shop.example/offer", "occurred_at": at(2)},
    {"type": "page_visited", "id": "p2", "visitor_id": "v", "url": "https://shop.example/offer", "occurred_at": at(2, 2)},
    {"type": "page_visited", "id": "p3", "visitor_id": "v", "url": "https://shop.example/offer", "occurred_at": at(4, 5)},
    {"type": "page_visited", "id": "p4", "visitor_id": "v", "url": "https://shop.example/offer?utm_campaign=fall", "occurred_at": at(6)},
    {"type": "page_visited", "id": "p5", "visitor_id": "v", "url": "https://shop.example/offer", "machine": True, "occurred_at": at(6, 1)},
    {"type": "email_clicked", "id": "e1", "asset_id": "mail", "contact": {"id": "7"}, "occurred_at": at(3)},
    {"type": "deal_created", "id": "d1", "deal_id": "won", "name": "Big", "contacts": [{"id": "7"}, {"id": "8"}], "amount": "100.00", "currency": "EUR", "occurred_at": at(3, 1)},
    {"type": "deal_contact_dissociated", "id": "d2", "deal_id": "won", "contact": {"id": "8"}, "occurred_at": at(4)},
    {"type": "deal_closed", "id": "d3", "deal_id": "won", "won": True, "occurred_at": at(5, 1)},
    {"type": "deal_contact_associated", "id": "d4", "deal_id": "won", "contact": {"id": "9"}, "occurred_at": at(7)},
    {"type": "deal_created", "id": "d5", "deal_id": "open", "contacts": [{"id": "7"}], "amount": "9", "currency": "NOK", "occurred_at": at(4)},
    {"type": "deal_created", "id": "d6", "deal_id": "lost", "name": "lille", "contacts": [{"id": "7"}], "occurred_at": at(4)},
    {"type": "deal_closed", "id": "d7", "deal_id": "lost", "won": False, "occurred_at": at(8)},
]  # fmt: skip


@pytest.fixture(scope="module")
def filled(running: Any, runner: asyncio.Runner) -> Workspace:
    workspace = runner.run(new_workspace(running, "lists"))
    shuffled = random.Random(7).sample(EVENTS, len(EVENTS))
    response = runner.run(workspace.send(*shuffled))
    assert response.json()["rejected"] == []
    runner.run(workspace.project())
    return workspace


@pytest.fixture
def ask(filled: Workspace, runner: asyncio.Runner) -> Any:
    def get(path: str) -> Any:
        response = runner.run(filled.get(path))
        assert response.status_code == 200, response.text
        return response.json()

    return get


def ids(answer: Any, name: str) -> list[str]:
    return [item[name] for item in answer["items"]]


def test_a_deal_in_the_list_shows_the_campaigns_that_it_counts_for(ask: Any) -> None:
    found = {item["deal_id"]: item for item in ask("/v1/deals")["items"]}
    assert found["won"] == {
        "deal_id": "won", "name": "Big", "state": "won", "amount": {"amount": "100.00", "currency": "EUR"},
        "created_at": at(3, 1), "closed_at": at(5, 1), "contacts": 1, "campaigns": ["spring"],
    }  # fmt: skip
    assert found["open"]["campaigns"] == ["autumn", "spring"]
    assert found["lost"]["campaigns"] == []


@pytest.mark.parametrize("campaign", ["spring", "autumn"])
def test_the_deals_of_a_campaign_are_those_of_its_overview(ask: Any, campaign: str) -> None:
    of_campaign = ask(f"/v1/deals?campaign={campaign}")
    assert len(of_campaign["items"]) == ask(f"/v1/campaigns/{campaign}/overview")["metrics"]["influenced_deals"]
    assert set(ids(of_campaign, "deal_id")) == set(ids(ask(f"/v1/campaigns/{campaign}/deals"), "deal_id"))
    result = {d["deal_id"] for d in ask("/v1/deals")["items"] if campaign in d["campaigns"]}
    assert set(ids(of_campaign, "deal_id")) == result


def test_a_deal_shows_its_shares_under_several_models_as_under_each_alone(ask: Any) -> None:
    path = "/v1/deals/won/attribution"
    result = ask(f"{path}?{'&'.join(f'model={name}' for name in MODELS)}")
    assert (result["model"], result["models"]) == (next(iter(MODELS)), list(MODELS))
    for name in MODELS:
        alone = ask(f"{path}?model={name}")
        assert all("by_model" not in touch for touch in alone["shares"])
        assert len(alone["shares"]) > 1
        assert [{"weight": t["weight"], "share": t["share"]} for t in alone["shares"]] == [
            touch["by_model"][name] for touch in result["shares"]
        ]
    first = ask(f"{path}?model={result['model']}")["shares"]
    assert [{k: v for k, v in t.items() if k != "by_model"} for t in result["shares"]] == first


@pytest.mark.parametrize(
    ("query", "deals"),
    [
        ("", ["lost", "won", "open"]), ("sort=closed_at", ["open", "won", "lost"]), ("sort=name", ["won", "lost", "open"]),
        ("sort=-name", ["open", "lost", "won"]), ("sort=amount", ["lost", "won", "open"]), ("sort=-amount", ["open", "won", "lost"]),
        ("state=open", ["open"]), ("q=LIL", ["lost"]), ("q=op", ["open"]), ("from=2024-03-05&to=2024-03-06", ["won"]),
        ("to=2024-03-05", ["open"]), ("state=won&q=x", []),
    ],
)  # fmt: skip
def test_deals_are_filtered_and_in_order(ask: Any, query: str, deals: list[str]) -> None:
    assert ids(ask(f"/v1/deals?{query}"), "deal_id") == deals


def test_a_deal_shows_why_each_of_its_contacts_is_eligible_or_not(ask: Any) -> None:
    deal = ask("/v1/deals/won")
    assert [(c["contact"], c["eligible"], c["reason"]) for c in deal["contacts"]] == [
        ("7", True, None), ("8", False, "contact_dissociated_before_close"), ("9", False, "contact_associated_after_close"),
    ]  # fmt: skip
    assert [(c["associated_at"], c["dissociated_at"]) for c in deal["contacts"]] == [
        (at(3, 1), None), (at(3, 1), at(4)), (at(7), None),
    ]  # fmt: skip
    assert deal["contacts"][0]["name"] == "Kari Nordmann"


def test_the_deals_of_a_contact_are_those_that_name_it_with_what_each_deal_says_of_it(ask: Any) -> None:
    """Whichever event associated it, and whether or not it is eligible; both answers say the same of a contact and a deal."""
    of_deals: dict[str, dict[str, Any]] = {"7": {}, "8": {}, "9": {}}
    for deal in ask("/v1/deals")["items"]:
        for contact in ask(f"/v1/deals/{deal['deal_id']}")["contacts"]:
            of_deals[contact["contact"]][deal["deal_id"]] = {
                **{name: deal[name] for name in deal if name != "contacts"},
                **{name: contact[name] for name in ("associated_at", "dissociated_at", "eligible", "reason")},
            }
    assert {contact: sorted(deals) for contact, deals in of_deals.items()} == {
        "7": ["lost", "open", "won"], "8": ["won"], "9": ["won"],
    }  # fmt: skip
    for contact, deals in of_deals.items():
        assert {d["deal_id"]: d for d in ask(f"/v1/contacts/{contact}/deals")["items"]} == deals
    (left,) = ask("/v1/contacts/8/deals")["items"]
    assert (left["eligible"], left["reason"], left["dissociated_at"]) == (
        False,
        "contact_dissociated_before_close",
        at(4),
    )
    assert left["campaigns"] == ["spring"]  # by the other contact


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_pages_of_the_deals_of_a_contact_are_full_though_some_deals_only_ever_dissociated_it(
    workspace: Workspace, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr("shared.reading.keyset.AT_ONCE", 2)  # deals are looked through two at a time

    async def check() -> None:
        for n in range(9):
            member = "associated" if n % 3 == 0 else "dissociated"
            await workspace.send(
                {"type": "deal_created", "deal_id": f"d{n}", "occurred_at": at(1, n)},
                {"type": f"deal_contact_{member}", "deal_id": f"d{n}", "contact": {"id": "7"}, "occurred_at": at(2)},
            )
        await workspace.project()
        pages, cursor = [], ""
        for _ in range(10):
            page = (await workspace.get(f"/v1/contacts/7/deals?limit={limit}{cursor}")).json()
            pages.append([item["deal_id"] for item in page["items"]])
            if page["next_cursor"] is None:
                break
            cursor = f"&cursor={page['next_cursor']}"
        every = ["d6", "d3", "d0"]
        assert pages == [every[n : n + limit] for n in range(0, 3, limit)]
        monkeypatch.setattr("shared.reading.keyset.LOOKED_THROUGH_MAX", 4)
        page = (await workspace.get("/v1/contacts/7/deals?limit=2&sort=closed_at")).json()
        assert [item["deal_id"] for item in page["items"]] == ["d0", "d3"]
        page = (await workspace.get("/v1/contacts/7/deals?limit=3")).json()
        assert [item["deal_id"] for item in page["items"]] == ["d6"]  # d8 to d5 were looked through
        assert page["next_cursor"] is not None

    runner.run(check())


@pytest.mark.parametrize(
    ("sort", "deals"),
    [("", ["lost", "won", "open"]), ("sort=name", ["won", "lost", "open"]), ("sort=-amount", ["open", "won", "lost"])],
)
def test_the_deals_of_a_contact_are_in_order(ask: Any, sort: str, deals: list[str]) -> None:
    assert ids(ask(f"/v1/contacts/7/deals?{sort}"), "deal_id") == deals


@pytest.mark.parametrize(
    ("query", "assets"),
    [
        ("", ["free", "mail", "lp"]), ("sort=-name", ["lp", "mail", "free"]), ("type=form", ["free"]), ("q=OFF", ["lp"]),
        ("q=shop.example", ["lp"]), ("campaign=spring", ["mail", "lp"]), ("campaign=autumn", ["lp"]), ("unheld=true", ["free"]),
        ("unheld=false&type=form", ["free"]), ("sort=-page_visited", ["lp", "mail", "free"]), ("sort=touches", ["free", "mail", "lp"]),
    ],
)  # fmt: skip
def test_assets_are_filtered_and_in_order(ask: Any, query: str, assets: list[str]) -> None:
    found = ids(ask(f"/v1/assets?{query}"), "asset_id")
    if "page_visited" in query:
        assert found[0] == assets[0]  # the others have none
    else:
        assert found == assets


def test_an_asset_shows_who_holds_it_and_its_touches_that_count(ask: Any) -> None:
    found = {item["asset_id"]: item for item in ask("/v1/assets")["items"]}
    assert (found["lp"]["campaign"], found["lp"]["campaigns"], found["lp"]["touches"]) == ("autumn", ["autumn"], 4)
    assert (found["lp"]["first_seen"], found["lp"]["last_seen"]) == (at(2), at(6))
    assert (found["free"]["campaign"], found["free"]["campaigns"], found["free"]["touches"]) == (None, [], 0)


def test_an_asset_shows_its_touches_a_day_by_the_campaign_that_they_count_for(ask: Any) -> None:
    asset = ask("/v1/assets/lp")
    assert asset["held"] == [
        {"campaign": "spring", "from": at(1), "to": at(4), "associated_by": "h1", "ended_by": "h2"},
        {"campaign": "autumn", "from": at(5), "to": None, "associated_by": "h3", "ended_by": None},
    ]
    assert asset["days"] == [
        {"on": "2024-03-02", "campaign": "spring", "touches": 2}, {"on": "2024-03-04", "campaign": None, "touches": 1},
        {"on": "2024-03-06", "campaign": "autumn", "touches": 1},
    ]  # fmt: skip
    assert asset["results"] == {
        "influenced_contacts": 1, "influenced_deals": 2, "influenced_revenue": [{"amount": "100.00", "currency": "EUR"}],
    }  # fmt: skip


def test_the_results_of_an_asset_that_one_campaign_always_held_are_those_of_its_touches(ask: Any) -> None:
    (mail,) = [a for a in ask("/v1/campaigns/spring/assets")["items"] if a["asset_id"] == "mail"]
    assert mail["results"]["influenced_contacts"] == 1
    assert mail["results"]["influenced_deals"] == 2


@pytest.mark.parametrize("asset", ["lp", "mail", "free"])
def test_the_contacts_and_deals_of_an_asset_are_those_that_its_results_count(ask: Any, asset: str) -> None:
    results = ask(f"/v1/assets/{asset}")["results"]
    contacts, deals = ask(f"/v1/assets/{asset}/contacts")["items"], ask(f"/v1/assets/{asset}/deals")["items"]
    assert [c["contact"] for c in contacts] == (["7"] if asset != "free" else [])
    assert (len(contacts), len(deals)) == (results["influenced_contacts"], results["influenced_deals"])
    assert [d["amount"] for d in deals if d["state"] == "won"] == results["influenced_revenue"]


def test_a_contact_in_the_list_shows_its_name_and_when_it_was_seen(ask: Any) -> None:
    found = {item["contact"]: item for item in ask("/v1/contacts")["items"]}
    result = {k: found["7"][k] for k in ("name", "email", "created_at", "first_visit_at", "last_touch_at")}
    assert result == {
        "name": "Kari Nordmann", "email": "kari@example.no", "created_at": at(1, 1), "first_visit_at": None,
        "last_touch_at": at(6),
    }  # fmt: skip
    assert (found["8"]["name"], found["8"]["email"], found["8"]["last_touch_at"]) == (None, None, None)


@pytest.mark.parametrize(
    ("query", "contacts"),
    [
        ("", ["7", "8", "9"]), ("sort=-name", ["9", "8", "7"]), ("sort=created_at", ["7", "8", "9"]), ("sort=-created_at", ["9", "8", "7"]),
        ("q=nordm", ["7"]), ("q=KARI@", ["7"]), ("from=2024-03-02&to=2024-03-03", ["8"]), ("salesforce_campaign_id=none", []),
    ],
)  # fmt: skip
def test_contacts_are_filtered_and_in_order(ask: Any, query: str, contacts: list[str]) -> None:
    assert ids(ask(f"/v1/contacts?{query}"), "contact") == contacts


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/v1/deals?sort=closed_at", "deal_id"), ("/v1/deals?sort=-closed_at", "deal_id"), ("/v1/deals?sort=amount", "deal_id"),
        ("/v1/deals?sort=-amount", "deal_id"), ("/v1/deals?sort=name", "deal_id"), ("/v1/assets?sort=name", "asset_id"),
        ("/v1/assets?sort=-touches", "asset_id"), ("/v1/contacts?sort=name", "contact"), ("/v1/contacts?sort=-created_at", "contact"),
        ("/v1/events?x", "event_id"), ("/v1/contacts/7/deals?x", "deal_id"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("limit", [1, 2])
def test_pages_of_a_list_are_the_whole_list(ask: Any, path: str, name: str, limit: int) -> None:
    path = path.replace("?x", "?limit=1000")
    whole = ids(ask(path), name)
    found, cursor = [], ""
    for _ in range(len(whole) + 1):
        page = ask(f"{path.replace('limit=1000', '')}&limit={limit}{cursor}".replace("?&", "?"))
        assert len(page["items"]) <= limit
        found += ids(page, name)
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert found == whole


def test_the_newest_events_show_what_they_count_for(ask: Any) -> None:
    found = {item["event_id"]: item for item in ask("/v1/events?limit=1000")["items"]}
    assert set(found) == {event["id"] for event in EVENTS}
    assert (found["p1"]["campaigns"], found["p1"]["counted"], found["p1"]["contact"]) == (["spring"], True, "7")
    assert (found["p3"]["campaigns"], found["p3"]["counted"]) == ([], True)
    assert (found["p5"]["campaigns"], found["p5"]["counted"], found["p5"]["reason"]) == ([], False, "machine")
    assert (found["h1"]["type"], found["h1"]["counted"], found["h1"]["contact"]) == ("asset_associated", True, None)


OFFER = {"asset_id": "lp", "asset_type": "landing_page", "name": "Offer"}


def test_a_journey_names_the_asset_whose_address_was_visited_and_the_one_that_an_event_names(ask: Any) -> None:
    found = {touch["event_id"]: touch["asset"] for touch in ask("/v1/contacts/7/journey")["items"]}
    assert found["p1"] == OFFER
    assert found["e1"] == {"asset_id": "mail", "asset_type": "marketing_email", "name": "News"}


def test_the_touches_of_a_deal_name_what_was_touched_with_its_address(ask: Any) -> None:
    deal = ask("/v1/deals/won/attribution?all=true")
    found = {touch["event_id"]: (touch["asset"], touch["url"]) for touch in deal["shares"] + deal["others"]}
    assert found["p1"] == (OFFER, "https://shop.example/offer")
    assert found["p5"] == (OFFER, "https://shop.example/offer")  # machine traffic, which earns nothing


def test_the_touches_of_a_deal_show_what_brought_them_and_for_which_campaigns_they_count(ask: Any) -> None:
    deal = ask("/v1/deals/won/attribution?all=true")
    found = {touch["event_id"]: (touch["channel"], touch["campaigns"]) for touch in deal["shares"] + deal["others"]}
    assert found["p1"] == ("direct", ["spring"])
    assert found["e1"] == ("email", ["spring"])
    assert found["p4"] == ("other", ["autumn"])  # after the close: it earns nothing, and counts for the campaign
    assert found["p5"][1] == []  # machine traffic


def test_the_newest_events_name_who_and_what(ask: Any) -> None:
    found = {item["event_id"]: item for item in ask("/v1/events?limit=1000")["items"]}
    assert (found["p1"]["name"], found["p1"]["email"], found["p1"]["asset"]) == (
        "Kari Nordmann",
        "kari@example.no",
        OFFER,
    )
    assert (found["c1"]["name"], found["c1"]["asset"]) == (None, None)


def test_events_after_a_position_are_those_received_since(running: Any, runner: asyncio.Runner) -> None:
    async def check() -> None:
        workspace = await new_workspace(running, "since")
        await workspace.send({"type": "campaign_created", "id": "first", "campaign_id": "c"})
        await workspace.project()
        seen = (await workspace.get("/v1/events")).json()
        assert ids(seen, "event_id") == ["first"]
        await workspace.send({"type": "campaign_created", "id": "second", "campaign_id": "d"})
        await workspace.send({"type": "event_retracted", "id": "back", "event_id": "first"})
        await workspace.project()
        since = (await workspace.get(f"/v1/events?after_received={seen['as_of']}")).json()
        assert ids(since, "event_id") == ["back", "second"]
        (first,) = [e for e in (await workspace.get("/v1/events")).json()["items"] if e["event_id"] == "first"]
        assert (first["counted"], first["reason"]) == (False, "retracted")

    runner.run(check())


EMPTY_DEALS = (None, "", -(2**63), 2**63 - 1, None)
PLANS = [
    *((DEAL_PAGES[sort], (*EMPTY_DEALS, *key, 51), index) for sort, key, index in (
        ("-closed_at", (1, "x"), "deal_dated"), ("closed_at", (1, "x"), "deal_dated"), ("amount", ("EUR", 1, "x"), "deal_amount"),
        ("name", ("a", "x"), "deal_name"))),
    (CONTACT_PAGES["name"], (None, "", -(2**63), 2**63 - 1, "a", 1, 51), "contact_name"),
    (CONTACT_PAGES["-created_at"], (None, "", -(2**63), 2**63 - 1, 1, 1, 51), "contact_created"),
    (ASSET_PAGES["name"], (None, "", None, False, "a", "x", 51), "asset_name"),
    (GROUP_DEAL_PAGES[Of.REVENUE], (-(2**63), 2**63 - 1, None, 1, "x", 51), "deal_dated"),
    (GROUP_DEAL_PAGES[Of.DEALS], (-(2**63), 2**63 - 1, None, 1, "x", 51), "deal_created"),
    (GROUP_CONTACT_PAGES[Of.CONTACTS], (-(2**63), 2**63 - 1, None, 1, 1, 51), "contact_created"),
    (PATH_DEAL_PAGES, (-(2**63), 2**63 - 1, None, 1, "x", 51), "deal_dated"),
    (NEWEST, (0, 2**63 - 1, 51), "event_index_offset"),
]  # fmt: skip


@pytest.mark.parametrize(("statement", "arguments", "index"), PLANS)
def test_a_page_is_read_in_the_order_of_an_index(
    filled: Workspace, runner: asyncio.Runner, statement: Any, arguments: tuple[Any, ...], index: str
) -> None:
    async def plan() -> str:
        async with filled.running.pool.acquire() as raw, raw.transaction():
            await raw.execute("SET LOCAL plan_cache_mode = force_custom_plan")
            await raw.execute("SET LOCAL enable_seqscan = off")  # the tables of a test are too small for an index
            await raw.execute("SET LOCAL enable_bitmapscan = off")
            await raw.execute("SET LOCAL enable_sort = off")
            connection = Connection(raw, filled.running.generation.name)
            explained = type(statement)(f"EXPLAIN {statement}")
            return "\n".join(row[0] for row in await connection.fetch(explained, 1, *arguments))

    text = runner.run(plan())
    assert f" {index} " in text, text
    assert "Sort" not in text, text
