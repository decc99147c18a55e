"""Changes from the dashboard: each form shows what it would change, does it, tells the event, and takes it back."""

import datetime as dt
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from services.replay.build import Resources
from services.replay.what_if import Changes, what_if
from shared.store.verifications import VerificationResult, recorded
from tests.browser.conftest import Site, query
from tests.processes import until_projected
from touchline.configuration import Configuration
from touchline.open_log import reached

KARI, OLA = {"email": "kari@example.no"}, {"email": "ola@example.no"}
EVENTS = [
    {"type": "workspace_configured", "settings": {"currency": "EUR"}, "occurred_at": "2024-01-01T00:00:00Z"},
    {"type": "campaign_created", "campaign_id": "spring", "name": "Spring", "utm_campaign": "spring", "occurred_at": "2024-01-01T00:00:00Z"},
    {"type": "campaign_created", "campaign_id": "autumn", "name": "Autumn", "occurred_at": "2024-01-01T00:00:00Z"},
    {"type": "asset_registered", "asset_id": "mail", "asset_type": "marketing_email", "name": "Digest", "occurred_at": "2024-01-01T00:00:00Z"},
    {"type": "asset_associated", "id": "held", "asset_id": "mail", "campaign_id": "spring", "occurred_at": "2024-01-02T00:00:00Z"},
    {"type": "asset_associated", "asset_id": "mail-2", "campaign_id": "typo", "occurred_at": "2024-01-02T00:00:00Z"},
    {"type": "page_visited", "id": "visit", "visitor_id": "v", "url": "https://s.example/?utm_campaign=spring", "occurred_at": "2024-01-03T00:00:00Z"},
    {"type": "page_visited", "visitor_id": "w", "url": "https://s.example/fair?utm_campaign=fair", "occurred_at": "2024-01-03T01:00:00Z"},
    {"type": "contact_identified", "visitor_id": "v", "contact": KARI, "occurred_at": "2024-01-03T00:05:00Z"},
    {"type": "email_clicked", "id": "click", "asset_id": "mail", "contact": KARI, "occurred_at": "2024-01-04T00:00:00Z"},
    {"type": "email_clicked", "asset_id": "mail", "contact": OLA, "occurred_at": "2024-01-04T00:00:00Z"},
    {"type": "deal_created", "deal_id": "d", "name": "Fjordline", "amount": "100.00", "contacts": [KARI], "occurred_at": "2024-01-05T00:00:00Z"},
    {"type": "deal_closed", "deal_id": "d", "won": True, "occurred_at": "2024-01-09T00:00:00Z"},
]  # fmt: skip
PATIENCE_MS = 30_000


class Desk:
    """The dashboard of a new workspace, as somebody sees it who signed in with a key of it."""

    def __init__(self, site: Site) -> None:
        self.site = site
        with site.up.client("operator") as client:
            self.keys: dict[str, str] = client.post("/v1/workspaces", json={"name": "Shop"}).json()["keys"]
        self.context = site.context.browser.new_context(viewport={"width": 1440, "height": 900})  # type: ignore[union-attr]

    def send(self, events: list[dict[str, Any]]) -> None:
        self.site.up.keys = {**self.site.up.keys, "sends": self.keys["server"]}
        with self.site.up.client("sends") as client:
            position = client.post("/v1/events", json=events).json()["position"]
            until_projected(client, position)

    def get(self, path: str) -> Any:
        self.site.up.keys = {**self.site.up.keys, "reads": self.keys["read"]}
        with self.site.up.client("reads") as client:
            while not client.get("/v1/status").json()["up_to_date"]:
                time.sleep(0.05)
            return client.get(f"/v1/{path}").json()

    def open(self, path: str, scope: str = "admin", **options: Any) -> Page:
        context = self.context
        if options:
            context = self.context = self.site.context.browser.new_context(**options)  # type: ignore[union-attr]
        page = self.site.new_page(context)
        page.goto(f"{self.site.up.url}/dashboard/{path}#key={self.keys[scope]}")
        page.wait_for_selector("h1")
        expect(page.locator("main [aria-busy=true]")).to_have_count(0)
        return page


@pytest.fixture
def empty(site: Site) -> Iterator[Desk]:
    desk = Desk(site)
    yield desk
    desk.context.close()


@pytest.fixture
def desk(empty: Desk) -> Desk:
    empty.send(EVENTS)
    return empty


def previewed(page: Page) -> Any:
    """What the drawer says that it would change."""
    page.click("#change-preview")
    expect(page.locator("#change-would")).to_be_visible(timeout=PATIENCE_MS)
    return expect(page.locator(".outcome"))


def done(page: Page) -> None:
    page.click("#change-do")
    expect(page.locator("#change-done")).to_contain_text("Done.", timeout=PATIENCE_MS)


def taken_back(page: Page) -> None:
    page.click("#change-back")
    expect(page.locator("dialog")).to_contain_text("Taken back.", timeout=PATIENCE_MS)


def test_a_marketer_needs_nothing_but_the_browser(empty: Desk) -> None:
    """A campaign, a page in it, its first visit, the page moved, nothing moved with it, and the move taken back."""
    page, site = empty.open("campaigns"), empty.site
    for name in ("Spring Sale", "Autumn"):
        page.click("#new-campaign")
        page.fill("#f-name", name)
        previewed(page).to_contain_text(f"Creates the campaign {name}. It has no numbers until something counts for it")
        done(page)
        if name == "Autumn":
            break
        page.keyboard.press("Escape")
    page.goto(f"{site.up.url}/dashboard/campaign?id=spring-sale")
    page.click("#register")
    page.fill("#f-name", "Offers")
    page.fill("#f-url", site.url("/offers"))
    previewed(page).to_contain_text("Registers the asset Offers. Puts Offers into Spring Sale. No number changes.")
    expect(page.locator(".outcome")).to_contain_text("Spring Sale holds it from")
    done(page)
    page.keyboard.press("Escape")
    site.put("/offers", key=empty.keys["collect"])
    site.open("/offers")
    expect(page.locator("#tile-sessions")).to_contain_text("1", timeout=PATIENCE_MS)
    page.goto(f"{site.up.url}/dashboard/asset?id=offers")
    page.click("#move")
    page.select_option("#f-campaign_id", "autumn")
    previewed(page).to_contain_text(
        "Moves Offers from Spring Sale to Autumn. No number changes: what counted until now stays where it counted."
    )
    expect(page.locator("#change-do")).to_be_disabled()
    page.check("#change-sure")
    done(page)
    page.goto(f"{site.up.url}/dashboard/campaign?id=spring-sale")
    expect(page.locator("#tile-sessions")).to_contain_text("1", timeout=PATIENCE_MS)
    assert empty.get("campaigns/autumn/overview")["metrics"]["sessions"] == 0
    page.goto(f"{site.up.url}/dashboard/asset?id=offers")
    page.locator("#held-host tbody tr", has_text="Autumn").get_by_role("button", name="Take back").click()
    expect(page.locator("#change-would")).to_be_visible(timeout=PATIENCE_MS)
    expect(page.locator(".outcome")).to_contain_text("Moves Offers from Autumn to Spring Sale.")
    expect(page.locator(".outcome")).to_contain_text("Autumn no longer holds it")
    if page.locator("#change-sure").count():
        page.check("#change-sure")
    done(page)
    expect(page.locator("#held-host tbody tr")).to_have_count(1, timeout=PATIENCE_MS)
    assert empty.get("assets/offers")["campaigns"] == ["spring-sale"]


def test_a_form_is_filled_in_previewed_done_and_taken_back_by_keyboard_alone(desk: Desk) -> None:
    page = desk.open("campaigns")
    page.locator("#new-campaign").focus()
    page.keyboard.press("Enter")
    page.keyboard.type("Winter")
    page.keyboard.press("Enter")
    expect(page.locator("#change-would")).to_be_focused(timeout=PATIENCE_MS)
    page.keyboard.press("Tab")
    expect(page.locator("#change-do")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#change-done")).to_be_focused(timeout=PATIENCE_MS)
    assert desk.get("campaigns/winter")["name"] == "Winter"
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("dialog")).to_contain_text("Taken back.", timeout=PATIENCE_MS)
    page.keyboard.press("Escape")
    expect(page.locator("#new-campaign")).to_be_focused()
    assert [c["campaign_id"] for c in desk.get("campaigns?numbers=false")["items"]] == ["autumn", "spring", "typo"]


def test_a_link_with_a_key_signs_in_on_a_page_that_asks_for_one(empty: Desk) -> None:
    page = empty.context.new_page()
    page.goto(f"{empty.site.up.url}/dashboard/campaigns")
    expect(page.locator("h1")).to_have_text("Sign in to Touchline")
    page.goto(f"{empty.site.up.url}/dashboard/campaigns#key={empty.keys['read']}")  # the same page: nothing is loaded
    expect(page.locator("h1")).to_have_text("Campaigns")


def test_what_the_api_refuses_is_said_at_its_field(desk: Desk) -> None:
    desk.site.expected = "422"
    page = desk.open("campaigns")
    page.click("#new-campaign")
    page.click("#change-preview")
    expect(page.locator("#f-name-wrong")).to_have_text("This is needed.")
    page.fill("#f-name", "Winter")
    page.fill("#f-budget", "a lot")
    page.click("#change-preview")
    expect(page.locator("#f-budget-wrong")).to_contain_text("such as 1200.50", timeout=PATIENCE_MS)
    expect(page.locator("#f-budget")).to_have_attribute("aria-invalid", "true")
    page.fill("#f-budget", "1")
    page.fill("#f-currency", "XXX")
    page.click("#change-preview")
    expect(page.locator("#f-currency-wrong")).to_contain_text("XXX", timeout=PATIENCE_MS)
    page.fill("#f-budget", "")
    page.fill("#f-campaign_id", "spring")
    page.click("#change-preview")
    expect(page.locator("#f-campaign_id-wrong")).to_contain_text(
        "There is a campaign with this id", timeout=PATIENCE_MS
    )


def test_a_utm_value_of_another_campaign_is_taken_only_after_a_yes(desk: Desk) -> None:
    desk.site.expected = "409"
    page = desk.open("campaigns")
    page.click("#new-campaign")
    page.fill("#f-name", "Winter")
    page.fill("#f-utm_campaign", "spring")
    previewed(page)
    page.click("#change-do")
    expect(page.locator("dialog")).to_contain_text("Spring claims this utm_campaign now.", timeout=PATIENCE_MS)
    page.check("#change-sure")
    done(page)
    assert [c["value"] for c in desk.get("campaigns/winter")["utm_campaign"]] == ["spring"]


def test_a_campaign_is_edited_and_only_what_is_different_is_sent(desk: Desk) -> None:
    page = desk.open("campaign?id=spring")
    page.click("#edit")
    page.click("#change-preview")
    expect(page.locator(".outcome")).to_have_text("Nothing is different yet.")
    page.fill("#f-name", "")
    page.click("#change-preview")
    expect(page.locator("#f-name-wrong")).to_have_text("This is needed.")  # a name can be replaced, not removed
    page.fill("#f-name", "Spring Sale")
    page.fill("#f-utm_campaign", "sale")
    page.fill("#f-budget", "50.00")
    previewed(page).to_contain_text("Name: Spring → Spring Sale")
    done(page)
    answer = desk.get("campaigns/spring")
    assert (answer["name"], answer["starts_on"], answer["budget"]) == (
        "Spring Sale",
        None,
        {"amount": "50.00", "currency": "EUR"},
    )
    assert [claim["value"] for claim in answer["utm_campaign"]] == ["spring", "sale"]
    taken_back(page)
    assert desk.get("campaigns/spring")["name"] == "Spring"


def test_assets_are_chosen_by_search_and_moved_after_a_yes(desk: Desk) -> None:
    page = desk.open("campaign?id=autumn")
    page.click("#add-assets")
    page.fill("#f-assets", "dig")
    page.check(".picks label:has-text('held by Spring') input")
    previewed(page).to_contain_text("Autumn holds it from")
    expect(page.locator(".confirm")).to_contain_text("Yes, take it from Spring.")
    page.check("#change-sure")
    done(page)
    assert desk.get("assets/mail")["campaigns"] == ["autumn"]
    taken_back(page)
    assert desk.get("assets/mail")["campaigns"] == ["spring"]


@pytest.mark.parametrize(
    ("path", "door", "event", "says"),
    [
        ("contact?id=kari%40example.no", "#touch-visit", "visit", ("Sessions", "1", "0")), ("deal?id=d", "#touch-click", "click", ("Email clicks", "2", "1")),
        ("asset?id=mail", None, "held", ("Email clicks", "2", "0")),
    ],
)  # fmt: skip
def test_an_event_is_taken_back_where_it_is_shown(
    desk: Desk, path: str, door: str | None, event: str, says: tuple[str, str, str]
) -> None:
    page = desk.open(path)
    if door:
        page.click(door)
    page.click(f"#back-{event}")
    expect(page.locator("#change-would")).to_be_visible(timeout=PATIENCE_MS)
    row = page.locator(".would", has_text="Spring").locator(
        "tr", has=page.get_by_role("rowheader", name=says[0], exact=True)
    )
    expect(row.locator("td")).to_have_text([says[1], says[2]])
    if page.locator("#change-sure").count():
        page.check("#change-sure")
    done(page)
    assert desk.get(f"events/{event}/explain")["reason"] == "retracted"
    taken_back(page)
    assert desk.get(f"events/{event}/explain")["reason"] is None


def test_an_event_is_taken_back_from_the_live_page(desk: Desk) -> None:
    page = desk.open("live")
    page.click("#e-click")
    page.click("#back-click")
    expect(page.locator("#change-would")).to_be_visible(timeout=PATIENCE_MS)
    done(page)
    page.keyboard.press("Escape")
    expect(page.locator("dialog")).to_have_count(0)
    expect(page.locator("#e-click")).to_be_focused()
    assert desk.get("events/click/explain")["reason"] == "retracted"


def test_two_contacts_are_merged(desk: Desk) -> None:
    page = desk.open("contact?id=kari%40example.no")
    page.click("#merge")
    page.fill("#f-into", "ola@example.no")
    previewed(page).to_contain_text(
        "kari@example.no and ola@example.no become one contact. Numbers of 1 campaign change."
    )
    expect(page.locator(".outcome")).to_contain_text("Influenced contacts")
    done(page)
    assert desk.get("contacts/kari%40example.no")["emails"] == ["kari@example.no", "ola@example.no"]
    taken_back(page)
    assert desk.get("contacts/kari%40example.no")["emails"] == ["kari@example.no"]


def test_what_is_unresolved_is_listed_and_mended_with_a_click(desk: Desk) -> None:
    page = desk.open("unresolved")
    expect(page.locator("#list-campaigns")).to_contain_text("typo")
    expect(page.locator("#list-assets")).to_contain_text("mail-2")
    expect(page.locator("#list-pages")).to_contain_text("s.example/fair")
    fair = page.locator("#list-utm_values tbody tr", has_text="fair")
    expect(fair).to_contain_text("3 Jan 2024")
    fair.get_by_role("button", name="Claim it").click()
    page.select_option("#f-campaign_id", "autumn")
    previewed(page).to_contain_text(
        "Visits with the utm_campaign fair count for Autumn from now on. No number changes."
    )
    done(page)
    page.keyboard.press("Escape")
    expect(page.locator("#list-utm_values")).to_contain_text(
        "Every utm_campaign with visits is claimed.", timeout=PATIENCE_MS
    )
    page.locator("#list-campaigns").get_by_role("button", name="Create it").click()
    previewed(page)
    done(page)
    page.keyboard.press("Escape")
    expect(page.locator("#list-campaigns")).to_contain_text(
        "Every campaign that events name was created.", timeout=PATIENCE_MS
    )
    with page.expect_download() as download:
        page.locator("section", has=page.locator("#list-pages")).get_by_role("button", name="CSV").click()
    assert "https://s.example/fair" in download.value.path().read_text()


def test_a_read_key_sees_no_button_that_changes_something(desk: Desk) -> None:
    page = desk.open("unresolved", "read")
    expect(page.locator("#read-only")).to_contain_text("signed in with a read key")
    for path in (
        "unresolved",
        "campaigns",
        "campaign?id=spring",
        "assets",
        "asset?id=mail",
        "contact?id=kari%40example.no",
        "deal?id=d",
    ):
        page.goto(f"{desk.site.up.url}/dashboard/{path}")
        page.wait_for_selector("h1")
        words = re.compile("New campaign|Add assets|Register|Move|Take|Merge|Claim it|Create it")
        expect(page.get_by_role("button", name=words)).to_have_count(0)


def test_a_preview_that_takes_too_long_is_said_and_can_be_tried_again_or_left_out(desk: Desk) -> None:
    desk.site.expected = "503"
    page = desk.open("campaigns")
    late = {"code": "preview_timeout", "detail": "this cannot be previewed within 25 s; try again later"}
    page.route("**/v1/preview", lambda route: route.fulfill(status=503, json=late))
    page.click("#new-campaign")
    page.fill("#f-name", "Winter")
    page.click("#change-preview")
    expect(page.locator(".outcome")).to_contain_text("could not be worked out in time")
    page.fill("#f-campaign_id", "spring")
    page.click("#change-preview")
    page.click("#change-unseen")
    expect(page.locator("#f-campaign_id-wrong")).to_contain_text(
        "There is a campaign with this id", timeout=PATIENCE_MS
    )
    page.fill("#f-campaign_id", "winter")
    page.click("#change-preview")
    page.click("text=Create the campaign without a preview")
    expect(page.locator("#change-done")).to_contain_text("Done.", timeout=PATIENCE_MS)


@pytest.mark.parametrize(("width", "theme"), [(1440, "light"), (390, "dark")])
def test_axe_finds_nothing_in_forms_and_on_the_unresolved_page(desk: Desk, width: int, theme: str) -> None:
    page = desk.open("unresolved", viewport={"width": width, "height": 900}, color_scheme=theme)
    found = [(v["id"], [n["target"] for n in v["nodes"]]) for v in Axe().run(page).response["violations"]]
    page.locator("#list-utm_values").get_by_role("button", name="New campaign").click()
    previewed(page)
    found += [(v["id"], [n["target"] for n in v["nodes"]]) for v in Axe().run(page).response["violations"]]
    page.goto(f"{desk.site.up.url}/dashboard/campaign?id=autumn")
    page.click("#add-assets")
    page.check(".picks label:has-text('held by Spring') input")
    previewed(page)
    found += [(v["id"], [n["target"] for n in v["nodes"]]) for v in Axe().run(page).response["violations"]]
    assert found == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_refused_event_is_shown_and_sent_again_or_deleted(desk: Desk) -> None:
    desk.site.expected = "409"
    word = {"type": "contact_created", "id": "w", "contact": {"id": "tba"}}
    settings = {"type": "workspace_configured", "settings": {"nobody": ["tba"]}}
    desk.send([settings])
    assert desk.get("status")["up_to_date"]
    rejected: list[Any] = []
    with desk.site.up.client("sends") as client:
        until = time.monotonic() + PATIENCE_MS / 1000
        while not rejected and time.monotonic() < until:  # a setting is in force within seconds
            rejected = client.post("/v1/events", json=[word, {**EVENTS[1], "id": "c"}]).json()["rejected"]
    assert [each["code"] for each in rejected] == ["names_nobody"]
    page = desk.open("operations")
    page.locator("#refused").get_by_role("button", name="It names nobody").click()
    expect(page.locator("dialog code.api")).to_contain_text('"tba"')
    page.get_by_role("button", name=re.compile("Send number .* again")).click()
    expect(page.locator("dialog li .bad")).to_contain_text("Refused again", timeout=PATIENCE_MS)
    page.get_by_role("button", name=re.compile("Delete number")).click()
    expect(page.locator("dialog li")).to_have_count(0, timeout=PATIENCE_MS)
    page.keyboard.press("Escape")
    expect(page.locator("#refused")).to_contain_text("Nothing was refused.", timeout=PATIENCE_MS)


def test_what_was_spent_is_recorded_and_taken_back_where_it_is_listed(desk: Desk) -> None:
    page = desk.open("campaign?id=spring")
    page.click("#record-spend")
    page.fill("#f-amount", "20")
    previewed(page).to_contain_text("that Spring cost on")
    expect(page.locator(".outcome")).to_contain_text("Budget or spend changes, and no other number.")
    expect(page.locator(".outcome")).to_contain_text("Spent: 20.00 EUR")
    done(page)
    page.keyboard.press("Escape")
    expect(page.locator("#cost-spent")).to_contain_text("€20.00", timeout=PATIENCE_MS)
    page.click("#cost-spent")
    page.locator("dialog tbody tr", has_text="€20.00").get_by_role("button", name="Take back").click()
    expect(page.locator(".outcome")).to_contain_text("Spent: 20.00 EUR → none", timeout=PATIENCE_MS)
    done(page)
    page.keyboard.press("Escape")
    expect(page.locator("#cost-spent")).to_contain_text("€0.00", timeout=PATIENCE_MS)


def test_an_item_of_the_budget_is_added_and_taken_back_where_it_is_listed(desk: Desk) -> None:
    page = desk.open("campaign?id=spring")
    page.click("#add-to-budget")
    page.fill("#f-name", "Fair")
    page.fill("#f-amount", "100.5")
    previewed(page).to_contain_text("Adds 100.5 EUR to the budget of Spring.")
    expect(page.locator(".outcome")).to_contain_text("Budget in all: 100.50 EUR")
    done(page)
    page.keyboard.press("Escape")
    page.click("#cost-budget", timeout=PATIENCE_MS)
    page.locator("dialog tbody tr", has_text="Fair").get_by_role("button", name="Take back").click()
    expect(page.locator("#change-would")).to_be_visible(timeout=PATIENCE_MS)
    done(page)
    page.keyboard.press("Escape")
    expect(page.locator("#cost-budget")).to_have_count(0, timeout=PATIENCE_MS)


def test_a_campaign_is_deleted_and_its_page_takes_that_back(desk: Desk) -> None:
    page = desk.open("campaign?id=spring")
    page.click("#delete-campaign")
    expect(page.locator(".outcome")).to_contain_text(
        "Deletes the campaign Spring: from then on nothing counts for it.", timeout=PATIENCE_MS
    )
    done(page)
    page.keyboard.press("Escape")
    expect(page.locator("#who")).to_contain_text("Deleted on", timeout=PATIENCE_MS)
    page.locator("#who").get_by_role("button", name="Take back").click()
    expect(page.locator("#change-would")).to_be_visible(timeout=PATIENCE_MS)
    done(page)
    page.keyboard.press("Escape")
    expect(page.locator("#who")).to_contain_text("Running", timeout=PATIENCE_MS)


def test_the_operations_page_shows_of_the_last_verify_and_compares_a_what_if(desk: Desk) -> None:
    workspace = desk.get("status")["workspace"]["id"]

    async def made(_: Any) -> None:
        async with reached(desk.site.store, Configuration(kafka_bootstrap_servers=None), 8) as (pool, log):
            async with recorded(pool, "verify", "g1") as record:
                record.result = VerificationResult(
                    {0: 1}, None, 40, 1_000, ["deal (ws 9, deal 5) differs in state; event d"]
                )
            changes, week = Changes({"session_gap_minutes": 60}, (), ["click"]), dt.timedelta(days=7)
            await what_if(Resources(pool, log), "hourly", workspace, changes, week, lambda _: None, lambda _: None)

    query(desk.site.store, made)
    page = desk.open("operations", viewport={"width": 390, "height": 900}, color_scheme="dark")
    expect(page.locator("#verifications .verdict")).to_contain_text("Some rows differ")
    expect(page.locator("#generations tbody tr")).to_have_count(1)
    expect(page.locator("#what-ifs tbody tr")).to_contain_text("session gap minutes: 60; 1 event left out")
    page.click("#compare-hourly")
    expect(page.locator("dialog .sum")).to_contain_text("1 campaign with other numbers", timeout=PATIENCE_MS)
    clicks = page.locator("dialog tr", has_text="Email clicks").locator("td")
    assert clicks.all_inner_texts() == ["2", "1", "−1"]
    assert [v["id"] for v in Axe().run(page).response["violations"]] == []
