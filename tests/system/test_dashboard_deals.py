"""The deals of a contact on its page, and what is behind the numbers of the list of deals."""

from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.processes import Up, up_with

KARI, OLA = {"email": "kari@example.no"}, {"email": "ola@example.no"}
MORE = 9  # deals of Kari that count for no campaign


def day(number: int) -> str:
    return f"2024-01-{number:02}T00:00:00Z"


EVENTS = [
    {"type": "campaign_created", "campaign_id": "spring", "name": "Spring", "occurred_at": day(1)},
    {"type": "asset_registered", "asset_id": "mail", "asset_type": "marketing_email", "name": "Digest", "occurred_at": day(1)},
    {"type": "asset_associated", "asset_id": "mail", "campaign_id": "spring", "occurred_at": day(2)},
    {"type": "contact_created", "contact": KARI, "properties": {"first_name": "Kari", "last_name": "Moe", "job_title": "Buyer"}, "occurred_at": day(3)},
    {"type": "email_clicked", "asset_id": "mail", "contact": KARI, "occurred_at": day(10)},
    {"type": "deal_created", "deal_id": "won", "name": "Fjordline", "amount": "100.00", "contacts": [KARI, OLA], "occurred_at": day(5)},
    {"type": "deal_contact_dissociated", "deal_id": "won", "contact": OLA, "occurred_at": day(6)},
    {"type": "deal_closed", "deal_id": "won", "won": True, "occurred_at": day(20)},
    {"type": "deal_created", "deal_id": "lost", "name": "Havnor", "contacts": [KARI], "occurred_at": day(5)},
    {"type": "deal_closed", "deal_id": "lost", "won": False, "occurred_at": day(19)},
    *[event for n in range(MORE) for event in (
        {"type": "deal_created", "deal_id": f"early-{n}", "contacts": [KARI], "occurred_at": day(5)},
        {"type": "deal_closed", "deal_id": f"early-{n}", "won": True, "occurred_at": day(6)},
    )],
]  # fmt: skip


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with up_with(EVENTS, tmp_path_factory.mktemp("deals")) as up:
        yield up


@pytest.fixture(params=[(1440, "light"), (390, "dark")])
def page(up: Up, browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    width, theme = request.param
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=theme)
    context.add_cookies([{"name": "touchline_key", "value": up.keys["read"], "url": up.url}])
    page, errors = context.new_page(), list[str]()
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    yield page
    context.close()
    assert errors == []


def opened(page: Page, up: Up, path: str) -> None:
    page.goto(f"{up.url}/dashboard/{path}")
    page.wait_for_selector("h1")
    expect(page.locator("[aria-busy=true]")).to_have_count(0)


def without_a_finding(page: Page) -> None:
    assert [v["id"] for v in Axe().run(page).response["violations"]] == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_page_of_a_contact_lists_its_deals_with_what_each_counts_for(page: Page, up: Up) -> None:
    opened(page, up, "contact?id=kari%40example.no")
    rows = page.locator("#deals tbody tr")
    expect(page.locator("#who")).to_contain_text("Job title Buyer")
    expect(rows).to_have_count(8)
    for text in ("Fjordline", "Won", "20 Jan 2024", "since 5 Jan 2024", "Spring", "€100.00"):
        expect(rows.nth(0)).to_contain_text(text)
    expect(rows.nth(1)).to_contain_text("no campaign, for it is lost")
    expect(rows.nth(2)).to_contain_text("no campaign reached its contacts in time")
    without_a_finding(page)
    page.locator("#all-deals").focus()
    page.keyboard.press("Enter")
    expect(rows).to_have_count(MORE + 2)
    assert page.evaluate("document.activeElement.closest('tr') === document.querySelectorAll('#deals tbody tr')[8]")
    page.click("#deal-won")
    expect(page.locator("h1")).to_have_text("Fjordline")
    expect(page.locator("#who")).to_contain_text("Left the deal before its close")


def test_a_contact_that_left_a_deal_is_shown_as_such(page: Page, up: Up) -> None:
    opened(page, up, "contact?id=ola%40example.no")
    expect(page.locator("#deals tbody tr")).to_contain_text("Left the deal before its close")
    expect(page.locator("#deals tbody tr")).to_contain_text("Spring")  # the deal counts by its other contact


def test_an_events_drawer_names_its_contact(page: Page, up: Up) -> None:
    opened(page, up, "deal?id=won")
    page.locator("#journey .step", has_text="Email clicked").first.get_by_role("button").click()
    expect(page.locator("dialog .findings a").first).to_have_text("Kari Moe")
    without_a_finding(page)


def test_the_contacts_of_a_deal_are_behind_their_number(page: Page, up: Up) -> None:
    opened(page, up, "deals")
    page.locator("#contacts-won").focus()
    page.keyboard.press("Enter")
    drawer = page.locator("dialog")
    expect(drawer.locator(".big")).to_have_text("1")
    expect(drawer.locator("h3").nth(1)).to_have_text("2 contacts that were ever in it")
    expect(drawer.locator("tbody tr").nth(0)).to_contain_text("Kari Moe")
    expect(drawer.locator("tbody tr").nth(1)).to_contain_text("Left the deal before its close")
    without_a_finding(page)
    page.keyboard.press("Escape")
    expect(page.locator("#contacts-won")).to_be_focused()


def test_the_campaigns_of_a_deal_are_behind_their_number_with_the_way_to_the_reasons(page: Page, up: Up) -> None:
    opened(page, up, "deals?q=fjord")
    page.click("#campaigns-won")
    expect(page.locator("dialog tbody tr")).to_have_count(1)
    without_a_finding(page)
    page.locator("dialog a", has_text="why").click()
    expect(page.locator("#why")).to_contain_text("Counts for Spring")
    opened(page, up, "deals?q=havnor")
    page.click("#campaigns-lost")
    page.locator("dialog a", has_text="Why it counts for none").click()
    expect(page.locator("#why")).to_contain_text("Does not count for Spring")
    expect(page.locator("#models")).to_have_text("Only the amount of a won deal is shared out.")


def test_a_range_without_a_won_deal_says_so_in_place_of_rows_of_zeros(page: Page, up: Up) -> None:
    opened(page, up, "attribution?range=custom&from=2023-01-01&to=2023-01-31")
    expect(page.locator("#models-host")).to_contain_text("No deal has been won in this range")
    expect(page.locator("main table")).to_have_count(0)
    without_a_finding(page)
    opened(page, up, "attribution")
    expect(page.locator("#groups-host tbody tr").first).to_contain_text("Spring")
