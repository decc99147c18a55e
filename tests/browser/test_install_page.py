"""The page that puts the tracker on a site: from the line that it shows to the first events, and why there are none yet."""

import re

from playwright.sync_api import expect

from tests.browser.conftest import SECOND, Site

PATIENCE_MS = 30_000


def workspace(site: Site) -> dict[str, str]:
    """The keys of a new workspace, in which nothing has arrived."""
    with site.up.client("operator") as client:
        keys = client.post("/v1/workspaces", json={"name": "Shop"}).json()["keys"]
    return dict(keys)


def test_nothing_yet_says_what_may_be_the_reason(site: Site) -> None:
    site.up.keys = {**site.up.keys, "new": workspace(site)["read"]}
    page = site.dashboard("install", "new")
    expect(page.locator("#now")).to_contain_text("Nothing yet, because", timeout=PATIENCE_MS)
    expect(page.locator("#because")).to_contain_text("Perhaps the line is not on the page")


def test_the_copied_line_makes_a_page_whose_first_visit_is_shown_with_what_it_counted_for(site: Site) -> None:
    keys = workspace(site)
    site.up.keys = {**site.up.keys, "new": keys["admin"]}
    with site.up.client("new") as client:
        headers = {"Authorization": f"Bearer {keys['server']}"}
        campaign = {
            "type": "campaign_created",
            "campaign_id": "spring",
            "utm_campaign": "spring",
            "occurred_at": "2026-01-01T00:00:00Z",
        }
        assert client.post("/v1/events", json=campaign, headers=headers).status_code == 202
        cta = {"type": "cta_clicked", "visitor_id": "of-another-page", "asset_id": "cta"}
        beacon = client.post(f"/v1/events?k={keys['collect']}", json=cta, headers={"Origin": site.url("")})
        assert beacon.status_code == 202
    page = site.dashboard("install", "new")
    expect(page.locator("#arrived")).to_contain_text("CTA", timeout=PATIENCE_MS)
    page.click("text=Make a new key")
    expect(page.locator("#now")).to_contain_text("Nothing yet, because", timeout=PATIENCE_MS)
    expect(page.locator("#line")).to_contain_text("tlc_")
    expect(page.locator("#line")).not_to_contain_text("tlc_…")
    page.fill("#host", site.touchline)
    expect(page.locator("#line")).to_contain_text(site.touchline)
    line = page.inner_text("#line")
    assert re.fullmatch(
        r'<script async src="http://t\.shop\.example:\d+/t\.js" data-key="tlc_[\w-]{32}"></script>', line
    )
    site.pages.bodies["/own"] = (f"<!doctype html><title>Mine</title>{line}", {})
    site.open("/own?utm_campaign=spring")
    expect(page.locator("#arrived")).to_contain_text(
        "Page visit of a visitor not known yet. Counts for spring.", timeout=PATIENCE_MS
    )


def test_it_says_why_pages_are_refused_or_send_nothing(site: Site) -> None:
    keys = workspace(site)
    site.up.keys = {**site.up.keys, "new": keys["admin"]}
    with site.up.client("new") as client:
        name = keys["collect"][:8]
        assert client.put(f"/v1/keys/{name}/origins", json={"origins": [site.url("")]}).status_code == 200
        revoked = client.post("/v1/keys", json={"scope": "collect"}).json()["key"]
        assert client.delete(f"/v1/keys/{revoked[:8]}").status_code == 204
    site.put("/shop", key=keys["collect"])
    site.put("/gone", key=revoked)
    site.put("/wait", key=keys["collect"], consent="wait")
    policy = "default-src 'self'; script-src *; img-src *"
    site.put("/policy", key=keys["collect"], headers={"Content-Security-Policy": policy})
    site.expected = "CORS|ERR_FAILED|401|403|Content Security Policy|violates|Failed to fetch"
    site.open("/wait").wait_for_timeout(2500)
    site.open("/shop", SECOND)
    site.open("/gone")
    site.open("/policy")
    page = site.dashboard("install", "new")
    because = page.locator("#because")
    expect(because).to_contain_text(f"Pages of {site.url('', SECOND)} may not use the key", timeout=PATIENCE_MS)
    expect(because).to_contain_text("which was revoked", timeout=PATIENCE_MS)
    expect(because).to_contain_text("have not decided yet", timeout=PATIENCE_MS)
    expect(because).to_contain_text("Content-Security-Policy", timeout=PATIENCE_MS)
    page.click("text=Allow these pages")
    expect(because).not_to_contain_text("may not use the key", timeout=PATIENCE_MS)
    with site.up.client("new") as client:
        (result,) = [key for key in client.get("/v1/keys").json()["items"] if key["name"] == name]
    assert result["origins"] == sorted([site.url(""), site.url("", SECOND)])


def test_it_says_what_is_wrong_with_a_pasted_key(site: Site) -> None:
    site.up.keys = {**site.up.keys, "new": workspace(site)["read"]}
    page = site.dashboard("install", "new")
    for key, says in (
        ("tls_" + "x" * 32, "secret key"), ("tlc_short", "no collect key"), ("tlc_" + "x" * 32, "no such key"),
    ):  # fmt: skip
        page.fill("#collect", key)
        expect(page.locator("#because")).to_contain_text(says, timeout=PATIENCE_MS)
    page.check("#option-consent")
    page.fill("#domains", "shop.example, second.example")
    expect(page.locator("#line")).to_contain_text('data-domains="shop.example, second.example" data-consent="wait"')
    page.click("text=Make a new key")
    expect(page.locator("main")).to_contain_text("Keys are made with an admin key")
    site.expected = "403"
