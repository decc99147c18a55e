"""The dashboard with the longest names and largest amounts, very long journeys, amounts below zero, and campaigns that are over."""

import csv
import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from shared.events.limits import EVENTS_PER_REQUEST_MAX, ID_CHARACTERS_MAX
from tests.processes import Up, start, until_projected

WORDS = ("Spring launch of the cold chain platform for farms along the coast " * 4)[:200]
UNBROKEN = "Kampagnenname" * 16
NAMES = {"words": WORDS, "unbroken": UNBROKEN, "one": "x", "emoji": "🎉🚀👩‍👩‍👧‍👦", "rtl": "حملة الربيع ٢٠٢٦", "html": "<b>Bold</b> & <img src=x onerror=alert(1)>"}  # fmt: skip
URL = ("https://long-host.example/" + "segment-of-a-long-path/" * 30)[:500]
AMOUNT = "999999999999.99"
ODD = 'Bø, "the\nsecond"'
STEPS, TOUCHES = 500, 1_000
SHOWN = 161  # steps of a long journey: 80 at each end, and what is between as one
BEGAN = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)


def at(hours: int) -> str:
    return (BEGAN + dt.timedelta(hours=hours)).isoformat()


def events() -> Iterator[dict[str, Any]]:
    kari = {"email": "kari@example.no"}
    for name, text in NAMES.items():
        budget = {
            "budget": AMOUNT,
            "currency": "EUR",
            "owner": text,
            "goals": {"sessions": "3000000000", "attributed_revenue": AMOUNT},
        }
        yield {"type": "campaign_created", "campaign_id": name, "name": text, "utm_campaign": text, "starts_on": "2024-01-01", "ends_on": "2024-02-20", "occurred_at": at(0), **budget}  # fmt: skip
    yield {
        "type": "asset_registered",
        "asset_id": "mail",
        "asset_type": "marketing_email",
        "name": UNBROKEN,
        "occurred_at": at(0),
    }
    yield {
        "type": "asset_registered",
        "asset_id": "page",
        "asset_type": "landing_page",
        "name": URL,
        "url": URL,
        "occurred_at": at(0),
    }
    yield {"type": "asset_associated", "asset_id": "page", "campaign_id": "words", "occurred_at": at(0)}
    for number, name in enumerate(NAMES):
        yield {"type": "asset_associated", "asset_id": "mail", "campaign_id": name, "occurred_at": at(1 + 200 * number)}
    yield {
        "type": "contact_created",
        "contact": kari,
        "properties": {"first_name": UNBROKEN, "note": WORDS},
        "occurred_at": at(0),
    }
    yield {"type": "contact_created", "contact": {"id": "k" * ID_CHARACTERS_MAX}, "occurred_at": at(0)}
    for number in range(TOUCHES):  # the clicks earn credit
        yield {"type": ("email_clicked", "email_sent")[number % 2], "id": f"t{number}", "asset_id": "mail", "contact": kari, "occurred_at": at(2 + number)}  # fmt: skip
    for deal, amount in (("large", AMOUNT), ("refund", "-500.00")):
        yield {
            "type": "deal_created",
            "deal_id": deal,
            "name": deal + WORDS,
            "amount": amount,
            "currency": "EUR",
            "contacts": [kari],
            "occurred_at": at(3),
        }
        yield {"type": "deal_closed", "deal_id": deal, "won": True, "occurred_at": at(1_500)}
    yield {
        "type": "deal_created",
        "deal_id": "other",
        "amount": "123456789012",
        "currency": "JPY",
        "contacts": [kari],
        "occurred_at": at(3),
    }
    yield {"type": "deal_closed", "deal_id": "other", "won": True, "occurred_at": at(1_500)}
    for name, amount in (("lone", "3.00"), ("quoted", "4.00")):  # of nobody, so of no campaign
        yield {
            "type": "deal_created",
            "deal_id": name,
            "name": ODD,
            "amount": amount,
            "currency": "EUR",
            "occurred_at": at(3),
        }
        yield {"type": "deal_closed", "deal_id": name, "won": True, "occurred_at": at(1_500)}
    yield {
        "type": "spend_recorded",
        "campaign_id": "g" * ID_CHARACTERS_MAX,
        "amount": AMOUNT,
        "currency": "EUR",
        "on": "2024-01-04",
    }
    yield {"type": "form_submitted", "asset_id": "h" * ID_CHARACTERS_MAX, "visitor_id": "v", "occurred_at": at(5)}
    for value in NAMES.values():
        yield {
            "type": "page_visited",
            "visitor_id": "v",
            "url": URL,
            "utm_campaign": "no" + value,
            "utm_source": UNBROKEN,
            "occurred_at": at(6),
        }


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    up = start(tmp_path_factory.mktemp("extremes"))
    every = list(events())
    with up.client("server") as client:
        for n in range(0, len(every), EVENTS_PER_REQUEST_MAX):
            answer = client.post("/v1/events", json={"events": every[n : n + EVENTS_PER_REQUEST_MAX]}).json()
            assert answer["rejected"] == []
    with up.client("read") as client:
        until_projected(client, answer["position"])
    yield up
    up.stop()


@pytest.fixture(scope="module", params=[1440, 390])
def window(request: pytest.FixtureRequest, up: Up, browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": request.param, "height": 900})
    context.add_cookies([{"name": "touchline_key", "value": up.keys["admin"], "url": up.url}])
    yield context
    context.close()


@pytest.fixture
def desk(up: Up, browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.add_cookies([{"name": "touchline_key", "value": up.keys["read"], "url": up.url}])
    yield context
    context.close()


def opened(context: BrowserContext, up: Up, path: str) -> Page:
    page = context.new_page()
    page.goto(f"{up.url}/dashboard/{path}")
    page.wait_for_selector("h1")
    expect(page.locator("[aria-busy=true]")).to_have_count(0)
    return page


@pytest.mark.parametrize(
    "path",
    ["campaigns", "campaign?id=words", "campaign?id=unbroken&held=list", "campaign?id=html&chart=attributed_revenue&as=list", "attribution",
     "attribution?by=source", "deals", "deal?id=large", "contacts", "contact?id=kari%40example.no", "assets", "asset?id=page", "asset?id=mail",
     "unresolved", "live"],
)  # fmt: skip
def test_nothing_is_wider_than_the_window(window: BrowserContext, up: Up, path: str) -> None:
    page = opened(window, up, path)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    outside = "[...document.querySelectorAll('main button, main a, main b')].filter(e => !e.closest('.scroll') && e.getBoundingClientRect().right > innerWidth + 1)"
    assert page.evaluate(f"{outside}.map(e => e.outerHTML.slice(0, 200))") == []
    page.close()


def test_a_long_journey_is_shown_from_both_ends_until_it_is_unfolded(desk: BrowserContext, up: Up) -> None:
    page = opened(desk, up, "deal?id=large&touches=credited")
    expect(page.locator("#journey .step")).to_have_count(SHOWN)
    expect(page.locator("#journey")).to_contain_text(
        f"{STEPS + 2 - 160} more touches"
    )  # the two milestones are steps, too
    page.click("#fold-between")
    expect(page.locator("#journey .step")).to_have_count(STEPS + 2)
    assert page.evaluate("document.activeElement.closest('#journey') !== null")


def test_more_touches_of_a_contact_are_shown_when_asked_for(desk: BrowserContext, up: Up) -> None:
    page = opened(desk, up, "contact?id=kari%40example.no")
    touches = page.locator("#journey button.why")
    expect(touches).to_have_count(STEPS)
    page.click("#more")
    expect(touches).to_have_count(TOUCHES)
    expect(page.locator("#more")).to_have_count(0)


def test_parts_of_an_amount_below_zero_are_drawn(desk: BrowserContext, up: Up) -> None:
    page = opened(desk, up, "deal?id=refund")
    assert page.locator("#models .stack").first.locator("span").count() > 1
    expect(page.locator("#models .sum")).to_contain_text("−€500.00")


def test_the_time_axis_of_a_campaign_that_is_over_ends_with_what_counted(desk: BrowserContext, up: Up) -> None:
    page = opened(desk, up, "campaign?id=words&chart=email_clicks")
    expect(page.locator(".read li").first).to_have_text("1 Jan to 20 Feb")  # its last day; the last click came before
    expect(page.locator(".read b")).to_have_text("100")
    page.click("#chart-attributed_revenue")
    expect(page.locator(".read li").first).to_have_text("1 Jan to 31 Mar")  # the month in which the deals were won


def test_other_currencies_stand_beside_the_own_one_when_asked_for(desk: BrowserContext, up: Up) -> None:
    page = opened(desk, up, "campaigns")
    row = page.locator("tbody tr", has=page.locator("[id=pick-words]"))
    expect(row).not_to_contain_text("also JPY")
    page.select_option("#pick-currency", "all")
    expect(row).to_contain_text("also JPY")
    expect(page.locator("tfoot .sum")).to_contain_text("✓ adds up")


def test_a_campaign_is_found_by_its_utm_value(desk: BrowserContext, up: Up) -> None:
    page = opened(desk, up, "campaigns")
    page.fill("#search", "onerror")
    expect(page.locator("tbody tr")).to_have_count(1)


def test_a_csv_has_the_lines_that_are_listed(desk: BrowserContext, up: Up) -> None:
    page = opened(desk, up, "attribution")
    expect(page.locator("#none-host tbody tr")).to_have_count(2)
    with page.expect_download() as download:
        page.locator("#none-host").get_by_role("button", name="CSV").click()
    with download.value.path().open(encoding="utf-8-sig", newline="") as file:
        rows = {row["deal_id"]: row["name"] for row in csv.DictReader(file)}
    assert rows == {"lone": ODD, "quoted": ODD}
