"""The dashboard shows the numbers of the read API: of random worlds, in a real browser."""

import os
import random
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.processes import Up, start, until_projected
from tests.programs import chromium
from tests.properties.worlds import world

WORLDS = int(os.environ.get("TOUCHLINE_DASHBOARD_WORLDS", "2"))
CAMPAIGNS_MAX = 2  # of a world
SPAN = "range=custom&from=2023-01-01&to=2033-01-01"
SIGNS = {"EUR": "€", "NOK": "NOK "}


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    up = start(tmp_path_factory.mktemp("numbers"))
    yield up
    up.stop()


def shown(value: Any, currency: str) -> str:
    """A count, or the whole units of an amount in a currency, as a tile writes it."""
    if not isinstance(value, list):
        return f"{value:,}"
    amount = next((m["amount"] for m in value if m["currency"] == currency), "0.00")
    sign = "\N{MINUS SIGN}" if amount.startswith("-") else ""
    return f"{sign}{SIGNS[currency]}{int(amount.lstrip('-').split('.')[0]):,}"


def numbers_on(page: Page) -> dict[str, list[str]]:
    """What the doors of a campaign's page say, by metric; a metric may have several."""
    out: dict[str, list[str]] = {}
    for door in page.locator("button.why[id]").all():
        place, _, metric = (door.get_attribute("id") or "").partition("-")
        if place in ("tile", "stage", "all"):
            out.setdefault(metric, []).append(
                door.inner_text().split(",\N{NO-BREAK SPACE}")[0].removesuffix(", show what is behind it").strip()
            )
    return out


@pytest.mark.timeout(600)
def test_the_pages_of_campaigns_show_the_numbers_of_the_overviews(up: Up) -> None:
    seed = int(os.environ.get("TOUCHLINE_SEED", random.SystemRandom().randrange(2**32)))
    rng = random.Random(seed)
    with chromium() as browser, up.client("admin") as admin:
        for n in range(WORLDS):
            keys = admin.post("/v1/workspaces", json={"name": f"world-{n}"}).json()["keys"]
            with up.client("read") as client:
                sent = client.post(
                    "/v1/events", json={"events": world(rng, 60)}, headers={"Authorization": f"Bearer {keys['server']}"}
                ).json()
                client.headers["Authorization"] = f"Bearer {keys['read']}"
                until_projected(client, sent["position"])
                status = client.get("/v1/status").json()
                items = client.get("/v1/campaigns?limit=1000").json()["items"]
            context = browser.new_context(viewport={"width": 1440, "height": 900})
            context.add_cookies([{"name": "touchline_key", "value": keys["read"], "url": up.url}])
            for item in items[:CAMPAIGNS_MAX]:
                page = context.new_page()
                page.goto(f"{up.url}/dashboard/campaign?id={item['campaign_id']}&{SPAN}")
                expect(page.locator("#tile-sessions")).to_be_visible()
                expect(page.locator("main [aria-busy=true]")).to_have_count(0)
                found = numbers_on(page)
                assert found.keys() == item["metrics"].keys(), f"seed {seed}"
                for metric, value in item["metrics"].items():
                    wanted = shown(value, status["workspace"]["currency"])
                    assert set(found[metric]) == {wanted}, f"seed {seed}: {item['campaign_id']} {metric}"
                page.close()
            context.close()
