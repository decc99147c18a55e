"""The dashboard in a real browser, on real numbers."""

import datetime as dt
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.processes import Up, until_projected, up_with

EVENTS = [
    {"type": "workspace_configured", "settings": {"currency": "EUR"}, "occurred_at": "2024-01-01T00:00:00Z"},
    {"type": "campaign_created", "campaign_id": "spring", "name": "Spring", "utm_campaign": "spring", "occurred_at": "2024-01-01T00:00:00Z"},
    {"type": "asset_registered", "asset_id": "mail", "asset_type": "marketing_email", "name": "Digest", "occurred_at": "2024-01-01T00:00:00Z"},
    {"type": "asset_associated", "asset_id": "mail", "campaign_id": "spring", "occurred_at": "2024-01-02T00:00:00Z"},
    {"type": "page_visited", "visitor_id": "v", "url": "https://s.example/?utm_campaign=spring", "occurred_at": "2024-01-03T00:00:00Z"},
    {"type": "contact_identified", "visitor_id": "v", "contact": {"email": "kari@example.no"}, "occurred_at": "2024-01-03T00:05:00Z"},
    {"type": "email_clicked", "asset_id": "mail", "contact": {"email": "kari@example.no"}, "occurred_at": "2024-01-04T00:00:00Z"},
    {"type": "campaign_created", "campaign_id": "autumn", "occurred_at": "2024-01-01T00:00:00Z"},
    {"type": "campaign_deleted", "campaign_id": "autumn", "occurred_at": "2024-01-02T00:00:00Z"},
    {"type": "asset_associated", "asset_id": "mail", "campaign_id": "autumn", "occurred_at": "2024-01-06T00:00:00Z"},
    {"type": "email_clicked", "id": "elsewhere", "asset_id": "other", "contact": {"email": "kari@example.no"}, "occurred_at": "2024-01-05T00:00:00Z"},
    {"type": "deal_created", "deal_id": "d", "amount": "100.00", "contacts": [{"email": "kari@example.no"}], "occurred_at": "2024-01-05T00:00:00Z"},
    {"type": "deal_closed", "deal_id": "d", "won": True, "occurred_at": "2024-01-09T00:00:00Z"},
]  # fmt: skip


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with up_with(EVENTS, tmp_path_factory.mktemp("dashboard")) as up:
        yield up


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that must not report an error, a violation of the content security policy among them."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    yield page
    context.close()
    assert errors == []


def test_the_revenue_adds_up_on_the_page(up: Up, page: Page) -> None:
    page.goto(f"{up.url}/dashboard/campaigns#key={up.keys['read']}")
    expect(page.locator("tfoot .sum")).to_contain_text("✓ adds up")
    expect(page.locator("tfoot .sum")).to_contain_text("€100.00")
    expect(page.locator("tbody tr").first).to_contain_text("€66.67")  # two of three touches, 33.34 + 33.33
    assert "key=" not in page.url


def test_a_number_opens_what_is_behind_it_and_gives_the_focus_back(up: Up, page: Page) -> None:
    page.goto(f"{up.url}/dashboard/campaign?id=spring#key={up.keys['read']}")
    page.locator("#tile-influenced_contacts").click()
    expect(page.locator("dialog")).to_contain_text("kari@example.no")
    page.keyboard.press("Escape")
    expect(page.locator("dialog")).to_have_count(0)
    expect(page.locator("#tile-influenced_contacts")).to_be_focused()


def test_the_page_explains_a_deal_and_an_event(up: Up, page: Page) -> None:
    page.goto(f"{up.url}/dashboard/campaign?id=spring#key={up.keys['read']}")
    page.locator("#deal-d").click()
    result = page.locator("#why-answer")
    expect(result).to_contain_text("Deal d counts for this campaign.")
    expect(result).to_contain_text(
        "kari@example.no was associated with the deal on 5 January 2024, four days before it closed on 9 January 2024."
    )
    page.select_option("select[aria-label=Kind]", "event")
    page.fill("#why-id", "elsewhere")
    page.click("text=Explain")
    expect(result).to_contain_text("Has nothing to do with this campaign")


def test_the_page_says_how_final_its_numbers_are(up: Up, page: Page) -> None:
    page.goto(f"{up.url}/dashboard/campaign?id=autumn#key={up.keys['read']}")
    expect(page.locator("#settled")).to_contain_text("No event came in live yet")
    with up.client("server") as client:
        client.post("/v1/events", json={"type": "page_visited", "visitor_id": "x", "url": "https://s.example/"})
    expect(page.locator("#settled")).to_contain_text("Settled through")


def test_the_page_lists_what_was_refused(up: Up, page: Page) -> None:
    page.goto(f"{up.url}/dashboard/campaign?id=autumn#key={up.keys['read']}")
    expect(page.locator("#right")).to_contain_text("The campaign had been deleted")


def test_the_numbers_move_while_one_looks(up: Up, page: Page) -> None:
    page.goto(f"{up.url}/dashboard/campaign?id=spring#key={up.keys['read']}")
    expect(page.locator("#tile-sessions")).to_contain_text("1")
    with up.client("server") as client:
        client.post(
            "/v1/events",
            json={"type": "page_visited", "visitor_id": "w", "url": "https://s.example/?utm_campaign=spring"},
        )
    expect(page.locator("#tile-sessions")).to_contain_text("2")


def test_without_a_key_it_asks_for_one(up: Up, page: Page) -> None:
    page.goto(f"{up.url}/")
    page.fill("#key", up.keys["read"])
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("h1")).to_have_text("Campaigns")


def test_what_there_is_not_is_said_in_a_sentence_with_the_way_to_what_there_is(up: Up, browser: Browser) -> None:
    page = browser.new_page()
    page.goto(f"{up.url}/dashboard/deal?id=nobody#key={up.keys['read']}")
    expect(page.locator("[role=alert]")).to_contain_text("There is no deal 'nobody'.")
    page.click("text=All deals")
    expect(page.locator("h1")).to_have_text("Deals")
    page.context.close()


def test_the_theme_is_kept(up: Up, page: Page) -> None:
    page.goto(f"{up.url}/dashboard/campaigns#key={up.keys['read']}")
    page.click("text=Light or dark")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


def test_every_static_file_is_served_under_the_policy(up: Up) -> None:
    static = Path(__file__).parents[2] / "services/api/dashboard/static"
    with up.client("read") as client:
        for file in static.iterdir():
            if file.suffix != ".html":
                response = client.get(f"/dashboard/static/{file.name}")
                assert response.status_code == 200
                assert "default-src 'none'" in response.headers["content-security-policy"]
        assert client.get("/dashboard/static/../__init__.py").status_code == 404


def test_the_call_behind_a_number_is_copied_as_a_command_for_the_terminal(up: Up, page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=up.url)
    page.goto(f"{up.url}/dashboard/campaign?id=spring#key={up.keys['read']}")
    page.click("#tile-influenced_contacts")
    page.click("text=Copy as curl")
    expect(page.locator("dialog [role=status]")).to_have_text("Copied.")
    curl, option, header, address = shlex.split(page.evaluate("navigator.clipboard.readText()"))
    assert (curl, option, header) == ("curl", "-H", "Authorization: Bearer $READ_KEY")
    with up.client("read") as client:
        assert client.get(address.removeprefix(up.url)).json()["items"][0]["contact"] == "kari@example.no"


def test_numbers_of_the_list_and_deals_say_what_of_them_may_still_change(up: Up, page: Page) -> None:
    def ago(**time: float) -> dict[str, str]:
        return {"occurred_at": (dt.datetime.now(dt.UTC) - dt.timedelta(**time)).isoformat()}

    ola = {"email": "ola@example.no"}
    with up.client("server") as client:
        # what came six hours late may come again: nothing since then is settled
        events = [
            *({"type": "page_visited", "visitor_id": f"late{n}", "url": "https://s.example/"} | ago(hours=6) for n in range(9)),
            {"type": "page_visited", "visitor_id": "o", "url": "https://s.example/?utm_campaign=spring"} | ago(hours=1),
            {"type": "contact_identified", "visitor_id": "o", "contact": ola} | ago(minutes=50),
            *({"type": "deal_created", "deal_id": deal, "amount": "7.00", "contacts": [ola]} | ago(minutes=40) for deal in ("fresh", "open")),
            {"type": "deal_closed", "deal_id": "fresh", "won": True} | ago(minutes=30),
        ]  # fmt: skip
        assert client.post("/v1/events", json=events).json()["rejected"] == []
    page.goto(f"{up.url}/dashboard/campaigns#key={up.keys['read']}")
    row = page.locator("tbody tr", has_text="Spring")
    expect(page.locator(".bigline .prov")).to_have_text(re.compile("^€7 won since .+: provisional$"))
    expect(row.locator(".spark .prov")).to_have_count(1)
    expect(row.locator(".mark")).to_have_count(0)  # said once on the page, and by each number when it is opened
    page.locator("#n-spring-new_contacts_first_touch").click()
    expect(page.locator("dialog")).to_contain_text("1 provisional")
    page.goto(f"{up.url}/dashboard/campaigns?range=custom&from=2024-01-01&to=2024-12-31")
    expect(page.locator(".bigline .mark")).to_have_text("Settled")
    expect(page.locator("tbody tr", has_text="Spring").locator("td[data-l='Sessions']")).to_contain_text("1")
    expect(page.locator("tbody .prov")).to_have_count(0)
    page.goto(f"{up.url}/dashboard/campaign?id=spring&range=custom&from=2024-01-01&to=2024-12-31")
    expect(page.locator("#settled")).to_have_text("Settled")
    expect(page.locator(".tiles .mark")).to_have_count(0)
    page.goto(f"{up.url}/dashboard/campaign?id=spring")
    for tile, text in (
        ("new_contacts_first_touch", "1 provisional"),
        ("influenced_deals", "1 still open"),
        ("attributed_revenue", "€7 provisional"),
    ):
        expect(page.locator(".tile", has=page.locator(f"#tile-{tile}")).locator(".prov")).to_have_text(text)
    for deal, text in (
        ("d", "Settled"),
        ("fresh", "Provisional: events from before the close may still come"),
        ("open", "It may still change while it is open"),
    ):
        page.goto(f"{up.url}/dashboard/deal?id={deal}")
        expect(page.locator(".facts .mark")).to_have_text(text)


def test_touches_without_credit_that_follow_one_another_are_one_row_until_it_is_unfolded(up: Up, page: Page) -> None:
    nils = {"email": "nils@example.no"}
    opened = [
        {
            "type": "email_opened",
            "id": f"o{n}",
            "asset_id": "mail",
            "contact": nils,
            "occurred_at": f"2024-01-10T0{n}:00:00Z",
        }
        for n in range(5)
    ]
    with up.client("server") as client:
        events = [*opened, {"type": "email_clicked", "asset_id": "mail", "contact": nils, "occurred_at": "2024-01-11T00:00:00Z"},
                {"type": "deal_created", "deal_id": "long", "amount": "9.00", "contacts": [nils], "occurred_at": "2024-01-12T00:00:00Z"},
                {"type": "deal_closed", "deal_id": "long", "won": True, "occurred_at": "2024-01-13T00:00:00Z"}]  # fmt: skip
        until_projected(client, client.post("/v1/events", json=events).json()["position"])
    page.goto(f"{up.url}/dashboard/deal?id=long#key={up.keys['read']}")
    steps = page.locator(".jn > li")
    expect(steps).to_have_count(4)  # the five, the click, the creation and the close
    expect(steps.first).to_contain_text("5 touches without credit")
    expect(steps.first).to_contain_text("5 × Of a kind that earns no credit not_revenue_touch")
    page.locator("#fold-o0").press("Enter")
    expect(steps).to_have_count(8)
    expect(steps.first).to_be_focused()
    expect(steps.first).to_contain_text("Email opened, Digest")
    expect(steps.first).to_contain_text("still influences Spring")
