"""What is behind rows of reports, assets and what is unresolved: each item once, however many are looked through at once."""

import asyncio
from typing import Any

import pytest

from tests.conftest import Workspace, new_workspace
from tests.system.test_read_by_key import all_pages
from touchline.compose import Running


def at(day: int, hour: int = 0) -> str:
    return f"2024-03-{day:02}T{hour:02}:00:00Z"


KARI, OLA, EVA, PER = ({"email": f"{name}@example.no"} for name in ("kari", "ola", "eva", "per"))
OFFER = "https://shop.example/offer"
CATALOG: list[dict[str, Any]] = [
    {"type": "workspace_configured", "settings": {"currency": "EUR", "internal_domains": ["own.example"]}, "occurred_at": at(1)},
    {"type": "campaign_created", "campaign_id": "spring", "utm_campaign": "spring", "occurred_at": at(1)},
    {"type": "campaign_created", "campaign_id": "autumn", "occurred_at": at(1)},
    {"type": "campaign_created", "campaign_id": "third", "utm_campaign": "third", "occurred_at": at(1)},
    {"type": "asset_registered", "asset_id": "lp", "asset_type": "landing_page", "url": OFFER, "occurred_at": at(1)},
    {"type": "asset_registered", "asset_id": "ad", "asset_type": "tracking_url", "occurred_at": at(1)},
    {"type": "asset_registered", "asset_id": "mail", "asset_type": "marketing_email", "occurred_at": at(1)},
    {"type": "asset_associated", "asset_id": "lp", "campaign_id": "spring", "occurred_at": at(1)},
    {"type": "asset_associated", "asset_id": "mail", "campaign_id": "autumn", "occurred_at": at(1)},
]  # fmt: skip


def person(name: dict[str, str], visitor: str, day: int) -> list[dict[str, Any]]:
    """Somebody who visits the offer, becomes known, and clicks in the email of autumn."""
    return [
        {"type": "page_visited", "id": f"{visitor}-1", "visitor_id": visitor, "url": OFFER, "occurred_at": at(day)},
        {"type": "contact_identified", "visitor_id": visitor, "contact": name, "occurred_at": at(day, 1)},
        {"type": "email_clicked", "id": f"{visitor}-2", "asset_id": "mail", "contact": name, "occurred_at": at(day, 2)},
    ]


EVENTS: list[dict[str, Any]] = [
    *CATALOG, *person(KARI, "k", 2), *person(OLA, "o", 3), *person(EVA, "e", 4),
    {"type": "page_visited", "id": "p-1", "visitor_id": "p", "url": f"{OFFER}?utm_campaign=third", "occurred_at": at(1, 1)},
    {"type": "contact_identified", "visitor_id": "p", "contact": PER, "occurred_at": at(1, 2)},
    {"type": "contact_created", "contact": {"email": "me@own.example"}, "occurred_at": at(5)},
    {"type": "contact_created", "contact": {"id": "nobody"}, "occurred_at": at(5)},
    {"type": "page_visited", "id": "linked", "visitor_id": "k", "url": f"{OFFER}?tl_via=ad&utm_campaign=Typo", "occurred_at": at(5)},
    {"type": "page_visited", "id": "both", "visitor_id": "a", "asset_id": "lp", "via_asset_id": "lp", "url": f"{OFFER}?utm_campaign=typo", "occurred_at": at(6)},
    {"type": "cta_clicked", "id": "loop", "visitor_id": "a", "asset_id": "ghost", "occurred_at": at(6)},
    {"type": "page_visited", "id": "led", "visitor_id": "a", "asset_id": "ghost", "via_asset_id": "ghost", "url": "https://shop.example/g", "occurred_at": at(7)},
    {"type": "asset_associated", "id": "held", "asset_id": "ghost", "campaign_id": "nowhere", "occurred_at": at(7)},
    {"type": "page_visited", "id": "bot", "visitor_id": "b", "url": f"{OFFER}?utm_campaign=typo", "machine": True, "occurred_at": at(6)},
    {"type": "deal_created", "deal_id": "d0", "amount": "50.01", "contacts": [PER], "occurred_at": at(8)},
    {"type": "deal_created", "deal_id": "bare", "occurred_at": at(10)},
    {"type": "deal_created", "deal_id": "d1", "amount": "100.00", "contacts": [KARI, OLA], "occurred_at": at(8)},
    {"type": "deal_created", "deal_id": "d2", "contacts": [EVA], "occurred_at": at(9)},
    {"type": "deal_created", "deal_id": "d3", "amount": "9.00", "currency": "NOK", "contacts": [KARI], "occurred_at": at(10)},
    {"type": "deal_created", "deal_id": "alone", "amount": "1.00", "occurred_at": at(10)},
    *({"type": "deal_closed", "deal_id": deal, "won": True, "occurred_at": at(11 + n)} for n, deal in enumerate(("d1", "d2", "d3", "alone", "d0", "bare"))),
]  # fmt: skip


@pytest.fixture(scope="module")
def filled(running: Running, runner: asyncio.Runner) -> Workspace:
    workspace = runner.run(new_workspace(running, "behind-rows"))
    assert runner.run(workspace.send(*EVENTS)).json()["rejected"] == []
    runner.run(workspace.project())
    return workspace


@pytest.fixture(params=[(1, 2), (2, 2_000), (500, 2_000)])
def looked_through(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Deals and contacts are looked through so many at a time, and so many for one page."""
    for name, number in zip(("AT_ONCE", "LOOKED_THROUGH_MAX"), request.param, strict=True):
        monkeypatch.setattr(f"shared.reading.keyset.{name}", number)


def listed(filled: Workspace, runner: asyncio.Runner, path: str) -> list[dict[str, Any]]:
    """All items of a list, which are the same in pages of one and in one page."""
    found = runner.run(all_pages(filled, path, 1))
    assert found == runner.run(all_pages(filled, path, 1_000))
    return found


CONTACTS = "/v1/reports/attribution/contacts?"
DEALS = "/v1/reports/attribution/deals?"
# d1 has three touches of Kari and two of Ola: 20.00 each. d3 has three of Kari: 3.00 each. d2 has no amount. d0 has one, of two campaigns.
ROWS: list[tuple[str, str, list[tuple[str, Any]]]] = [
    (CONTACTS + "group=autumn&currency=all", "share", [("eva", []), ("ola", [("20.00", "EUR")]), ("kari", [("20.00", "EUR"), ("3.00", "NOK")])]),
    (CONTACTS + "group=autumn", "share", [("eva", []), ("ola", [("20.00", "EUR")]), ("kari", [("20.00", "EUR")])]),
    (CONTACTS + "group=autumn&currency=NOK", "share", [("kari", [("3.00", "NOK")])]),
    (CONTACTS + "group=spring&model=last_interaction&currency=all", "share", [("eva", []), ("ola", [("0.00", "EUR")]), ("kari", [("100.00", "EUR"), ("9.00", "NOK")]), ("per", [("25.01", "EUR")])]),
    (CONTACTS + "group=email&group_by=channel", "share", [("eva", []), ("ola", [("20.00", "EUR")]), ("kari", [("20.00", "EUR")])]),
    (CONTACTS + "from=2024-03-12&to=2024-03-13", "share", [("eva", [])]),
    (CONTACTS, "share", [("eva", []), ("ola", [("40.00", "EUR")]), ("kari", [("60.00", "EUR")]), ("per", [("50.01", "EUR")])]),
    (CONTACTS + "reason=no_journey", "share", []),
    (CONTACTS + "of=deals&group=autumn", "credit", [("eva", "0.5"), ("ola", "0.2"), ("kari", "0.533333")]),
    (CONTACTS + "of=deals&group=autumn&from=2024-03-10", "credit", [("kari", "0.333333")]),
    (CONTACTS + "of=contacts&group=spring", "credit", [("eva", "1"), ("ola", "1"), ("kari", "1"), ("per", "0.5")]),
    (CONTACTS + "of=contacts&group=spring&to=2024-03-04", "credit", [("ola", "1"), ("kari", "1"), ("per", "0.5")]),
    (CONTACTS + "of=contacts&reason=no_journey", "credit", [("nobody", "1")]),
    (CONTACTS + "of=contacts", "credit", [("nobody", "1"), ("eva", "1"), ("ola", "1"), ("kari", "1"), ("per", "1")]),
    (DEALS + "of=deals&group=autumn", "credit", [("d3", "0.333333"), ("d2", "0.5"), ("d1", "0.4")]),
    (DEALS + "of=deals&reason=no_journey", "credit", [("bare", "1"), ("alone", "1")]),
    (DEALS + "reason=no_journey", "share", [("bare", None), ("alone", {"amount": "1.00", "currency": "EUR"})]),
    (DEALS + "of=deals", "credit", [("d3", "1"), ("bare", "1"), ("alone", "1"), ("d2", "1"), ("d1", "1"), ("d0", "1")]),
    (CONTACTS + "group=third", "share", [("per", [("25.00", "EUR")])]),
    (CONTACTS + "of=deals&group=third", "credit", [("per", "0.5")]),
    (CONTACTS + "of=contacts&group=third", "credit", [("per", "0.5")]),
    (DEALS + "of=deals&group=third", "credit", [("d0", "0.5")]),
    (DEALS + "group=third", "share", [("d0", {"amount": "25.00", "currency": "EUR"})]),
    (DEALS + "of=deals&group=autumn&to=2024-03-10", "credit", [("d2", "0.5"), ("d1", "0.4")]),
]  # fmt: skip


@pytest.mark.usefixtures("looked_through")
@pytest.mark.parametrize(("path", "field", "wanted"), ROWS)
def test_what_is_behind_a_row_is_listed_with_what_each_brought(
    filled: Workspace, runner: asyncio.Runner, path: str, field: str, wanted: list[tuple[str, Any]]
) -> None:
    found = []
    for item in listed(filled, runner, path):
        value = item[field]
        money = [(m["amount"], m["currency"]) for m in value] if isinstance(value, list) else value
        found.append((item.get("deal_id") or item["contact"].partition("@")[0], money))
    assert found == wanted


def test_a_model_with_a_lookback_leaves_what_it_does_not_share_out_without_a_journey(
    running: Running, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        workspace = await new_workspace(running, "behind-lookback")
        own = {"type": "model_defined", "model": "fresh", "weights": {"others": "1"}, "lookback_days": 2}
        await workspace.send(*EVENTS, own | {"occurred_at": at(1)})
        await workspace.project()
        of_deals = "/v1/reports/attribution/deals?of=deals&model=fresh&reason=no_journey"
        found = (await workspace.get(of_deals)).json()["items"]
        # d1 is of the 8th: no touch of Kari or Ola is after the 6th
        assert {item["deal_id"]: item["credit"] for item in found} == {
            "bare": "1",
            "alone": "1",
            "d3": "1",
            "d2": "1",
            "d1": "1",
            "d0": "1",
        }
        mine = (await workspace.get("/v1/reports/attribution/deals?of=deals&model=fresh&group=autumn")).json()["items"]
        assert {item["deal_id"]: item["credit"] for item in mine} == {"d1": "0", "d2": "0", "d3": "0"}

    runner.run(check())


@pytest.mark.parametrize(
    ("path", "field"),
    [(DEALS + "of=contacts", "of"), (DEALS + "of=deals&currency=EUR", "currency"), (CONTACTS + "of=contacts&currency=all", "currency"),
     (CONTACTS + "group=spring&reason=no_campaign", "reason"), ("/v1/reports/paths/deals?path=email_clicked,email_clicked", "path"),
     ("/v1/catalog/unresolved/events?kind=pages", "name"), ("/v1/catalog/unresolved/events?name=x", "kind")],
)  # fmt: skip
def test_a_question_that_no_row_answers_is_refused_and_names_the_parameter(
    filled: Workspace, runner: asyncio.Runner, path: str, field: str
) -> None:
    refused = runner.run(filled.get(path))
    assert (refused.status_code, refused.json()["field"]) == (422, field)


@pytest.mark.usefixtures("looked_through")
def test_deals_of_a_path_are_those_whose_touches_are_of_these_types_in_order(
    filled: Workspace, runner: asyncio.Runner
) -> None:
    long = listed(
        filled,
        runner,
        "/v1/reports/paths/deals?path=page_visited,email_clicked,page_visited,email_clicked,page_visited",
    )
    assert [(d["deal_id"], d["touches"], d["days_to_close"]) for d in long] == [("d1", 5, "9.0")]
    short = listed(filled, runner, "/v1/reports/paths/deals?path=page_visited,email_clicked")
    assert [d["deal_id"] for d in short] == ["d2"]
    assert [d["deal_id"] for d in listed(filled, runner, "/v1/reports/paths/deals?")] == ["d0", "d3", "d2", "d1"]
    assert listed(filled, runner, "/v1/reports/paths/deals?path=email_clicked,page_visited") == []
    assert [d["deal_id"] for d in listed(filled, runner, "/v1/reports/paths/deals?from=2024-03-12&to=2024-03-13")] == [
        "d2"
    ]


def test_touches_of_an_asset_are_those_that_count_each_once(filled: Workspace, runner: asyncio.Runner) -> None:
    found = listed(filled, runner, "/v1/assets/lp/touches?")
    assert [t["event_id"] for t in found] == ["p-1", "k-1", "o-1", "e-1", "linked", "both"]  # not that of the machine
    kari = found[1]
    assert (kari["contact"], kari["campaigns"], kari["asset"]["asset_id"], kari["channel"]) == (
        "kari@example.no",
        ["spring"],
        "lp",
        "direct",
    )
    assert (found[5]["contact"], found[5]["utm_campaign"]) == (None, "typo")
    assert [t["event_id"] for t in listed(filled, runner, "/v1/assets/lp/touches?from=2024-03-03&to=2024-03-05")] == [
        "o-1",
        "e-1",
    ]
    assert [t["event_id"] for t in listed(filled, runner, "/v1/assets/ad/touches?")] == ["linked"]
    assert listed(filled, runner, "/v1/assets/lp/touches?type=email_clicked") == []


def test_visits_behind_an_unclaimed_value_are_those_that_are_counted_in_any_writing(
    filled: Workspace, runner: asyncio.Runner
) -> None:
    for name in ("typo", "TYPO"):
        found = listed(filled, runner, f"/v1/catalog/unresolved/events?kind=utm_values&name={name}")
        assert [(e["event_id"], e["contact"], e["utm_campaign"]) for e in found] == [
            ("linked", "kari@example.no", "typo"),
            ("both", None, "typo"),
        ]
    page = listed(filled, runner, f"/v1/catalog/unresolved/events?kind=pages&name={OFFER}/")
    assert [e["event_id"] for e in page] == ["p-1", "k-1", "o-1", "e-1", "linked"]


def test_events_behind_an_asset_or_campaign_that_nobody_created_are_each_one_of_its_number(
    filled: Workspace, runner: asyncio.Runner
) -> None:
    lists = runner.run(filled.get("/v1/catalog/unresolved")).json()
    (asset,), (campaign,) = lists["assets"], lists["campaigns"]
    found = listed(filled, runner, "/v1/catalog/unresolved/events?kind=assets&name=ghost")
    assert [e["event_id"] for e in found] == ["loop", "held", "led"]  # one that names it twice is one
    assert (asset["asset_id"], asset["events"]) == ("ghost", 3)
    found = listed(filled, runner, "/v1/catalog/unresolved/events?kind=campaigns&name=nowhere")
    assert [(e["event_id"], e["type"], e["asset_id"], e["campaign_id"]) for e in found] == [
        ("held", "asset_associated", "ghost", "nowhere")
    ]
    assert (campaign["campaign_id"], campaign["events"]) == ("nowhere", 1)
