"""One visitor's story in a real browser, over two domains and in a sealed store, as the dashboard shows it afterwards."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import SECOND, Site
from tests.browser.test_tracker import until_up_to_date
from tests.processes import Up, start

PATIENCE_MS = 30_000
CATALOG = [
    {"type": "campaign_created", "campaign_id": "spring", "name": "Spring", "utm_campaign": "spring", "occurred_at": "2026-01-01T00:00:00Z"},
    *({"type": "asset_registered", "asset_id": name, "asset_type": kind, "name": f"Our {name}", "occurred_at": "2026-01-01T00:00:00Z"}
      for name, kind in (("try-now", "cta"), ("signup", "form"))),
    *({"type": "asset_associated", "campaign_id": "spring", "asset_id": name, "occurred_at": "2026-01-01T00:00:00Z"}
      for name in ("try-now", "signup")),
]  # fmt: skip


@pytest.fixture(scope="module")
def up(data: Path) -> Iterator[Up]:
    up = start(data, 0, None, "--sealed")
    yield up
    up.stop()


def test_what_a_visitor_did_on_two_domains_is_one_journey_on_the_dashboard_and_counts_for_the_campaign(
    site: Site,
) -> None:
    with site.up.client("server") as client:
        assert client.post("/v1/events", json=CATALOG).json()["accepted"] == len(CATALOG)
    domains = f"shop.example, {SECOND}"
    link = f'<button data-tl-cta="try-now">Try</button> <a href="{site.url("/order", SECOND)}">order</a>'
    site.put("/offer", link, domains=domains)
    site.put(
        "/order",
        '<form data-tl-form="signup" onsubmit="return false"><input type="email"><button>Send</button></form>',
        domains=domains,
    )
    page = site.open("/offer?utm_campaign=spring&utm_source=letter&utm_medium=email", referer="https://news.example/a")
    page.wait_for_function("Boolean(window.touchline && touchline.consent)")
    page.evaluate("history.pushState({}, '', '/offer/details')")
    page.click("text=Try")
    page.wait_for_function("!localStorage.getItem('tl_queue')")
    page.click("text=order")
    page.wait_for_url("**/order")
    page.fill("input", "kari@example.no")
    page.click("text=Send")
    page.wait_for_function("!localStorage.getItem('tl_queue')")
    site.events(len(CATALOG) + 6)  # three visits, the call to action viewed and clicked, the form
    with site.up.client("read") as client:
        until_up_to_date(client)

    contact = site.dashboard("contact?id=kari%40example.no", "read")
    main, port = contact.locator("main"), site.pages.server_port
    expect(main).to_contain_text("kari@example.no", timeout=PATIENCE_MS)
    for step, channel, campaign in (
        (f"www.shop.example:{port}/offer", "Email", "Spring"),
        ("CTA seen, Our try-now", "Email", "Spring"),
        (f"www.shop.example:{port}/offer/details", "Direct", "in no campaign"),
        ("CTA clicked, Our try-now", "Email", "Spring"),
        (f"{SECOND}:{port}/order", "Direct", "in no campaign"),
        ("Form submitted, Our signup", "Email", "Spring"),
    ):
        row = contact.get_by_role("listitem").filter(has_text=re.compile(re.escape(step) + r"(?!/)"))
        expect(row).to_contain_text(channel, timeout=PATIENCE_MS)
        expect(row).to_contain_text(campaign)
    expect(contact.locator(".sess")).to_have_text(["Session 1"])
    for absent in ("Referral", "In no session", "~v"):
        expect(main).not_to_contain_text(absent)
    overview = site.dashboard("campaign?id=spring", "read")
    for metric in ("sessions", "influenced_contacts"):
        expect(overview.locator(f"#tile-{metric}")).to_have_text(re.compile(r"^1\b"), timeout=PATIENCE_MS)
    for metric in ("New sessions", "Form submissions", "CTA clicks"):
        expect(overview.get_by_role("row", name=re.compile(f"^{metric} 1\\b"))).to_be_visible(timeout=PATIENCE_MS)
