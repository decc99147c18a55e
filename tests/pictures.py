"""`python -m tests.pictures` makes the README's pictures of the dashboard anew: starts `touchline demo`, opens its pages, and writes `docs/pictures`.

It takes some three minutes. The demo's data are the same each time, but for the days on which they happen: it ends with today.
"""

import base64
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
from playwright.sync_api import Browser, Page, expect

from tests.programs import chromium

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "docs" / "pictures"
WINDOWS = {"light": (1440, 900), "dark": (390, 844)}
QUALITY = 80  # of WebP: letters stay sharp, and all pictures together have a few hundred KiB
PICTURES_BYTES_MAX = 1_500_000  # in every clone of the repository
PATIENCE_MS = 60_000
YEAR = "range=365"


@contextmanager
def demo() -> Iterator[tuple[str, str]]:
    """A `touchline demo` of its own: its address and a read key."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "touchline", "demo", "--data", folder, "--port", "0", "--json"]
        with subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as process:
            try:
                assert process.stdout is not None
                line = process.stdout.readline()
                if not line:
                    raise SystemExit("`touchline demo` did not start; run it by hand to see why")
                output = json.loads(line)
                yield output["url"], json.loads((Path(folder) / "keys.json").read_text())["keys"]["read"]
            finally:
                process.terminate()


def pages(url: str, key: str) -> dict[str, str]:
    """The pages by the names of their pictures: a campaign that ended and earned much, a won deal of several campaigns, and its contact."""

    def get(path: str) -> Any:
        answer = httpx.get(url + path, headers={"Authorization": f"Bearer {key}"}, timeout=60)
        answer.raise_for_status()
        return answer.json()

    ended = {c["campaign_id"] for c in get("/v1/campaigns?numbers=false&limit=1000")["items"] if c["ends_on"]}
    rows = get("/v1/reports/attribution?model=linear&group_by=campaign")["rows"]
    campaign = max((r for r in rows if r["group"] in ended), key=lambda r: float(r["revenue"]["linear"]))["group"]
    deals = [d for d in get("/v1/deals?state=won&sort=-closed_at&limit=200")["items"] if d["amount"]]
    deal = max(deals, key=lambda d: (len(d["campaigns"]) in (3, 4), d["contacts"] > 1, d["closed_at"]))["deal_id"]
    contact = get(f"/v1/deals/{quote(deal, safe='')}")["contacts"][0]["contact"]
    return {
        "campaigns": f"campaigns?{YEAR}", "campaign": f"campaign?id={quote(campaign)}", "deal": f"deal?id={quote(deal)}&touches=credited",
        "contact": f"contact?id={quote(contact)}", "attribution": "attribution",
    }  # fmt: skip


def whole(page: Page) -> None:
    """Wait until everything of the page is drawn. The demo's traffic goes on, so the page is never idle for long."""
    page.wait_for_selector("h1", timeout=PATIENCE_MS)
    expect(page.locator("main [aria-busy=true], main .sk")).to_have_count(0, timeout=PATIENCE_MS)
    page.wait_for_timeout(500)  # what needs the width of its place is drawn a frame later


def take(browser: Browser, url: str, key: str, theme: str, paths: dict[str, str]) -> None:
    """Take the pictures of one theme, each of one window."""
    width, height = WINDOWS[theme]
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme="dark" if theme == "dark" else "light")  # fmt: skip
    context.add_cookies([{"name": "touchline_key", "value": key, "url": url}])
    for name, path in paths.items():
        page = context.new_page()
        page.goto(f"{url}/dashboard/{path}")
        whole(page)
        shot = context.new_cdp_session(page).send("Page.captureScreenshot", {"format": "webp", "quality": QUALITY})
        file = PICTURES / (f"{name}.webp" if theme == "light" else f"{name}-phone.webp")
        file.write_bytes(base64.b64decode(shot["data"]))
        print(f"{file.relative_to(ROOT)}: {file.stat().st_size / 1024:.0f} KiB")
        page.close()
    context.close()


def main() -> None:
    """Make all pictures, and end with an error if they are too large for the repository."""
    PICTURES.mkdir(exist_ok=True)
    with demo() as (url, key), chromium() as browser:
        found = pages(url, key)
        take(browser, url, key, "light", found)
        take(browser, url, key, "dark", {"campaigns": found["campaigns"]})
    if (size := sum(file.stat().st_size for file in PICTURES.iterdir())) > PICTURES_BYTES_MAX:
        raise SystemExit(f"the pictures have {size:,} bytes; {PICTURES_BYTES_MAX:,} at most are wanted")


if __name__ == "__main__":
    main()
