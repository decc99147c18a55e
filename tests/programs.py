"""The programs that some tests need and a machine may lack, a real browser among them."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

OPTIONS = (
    "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync",
)  # fmt: skip
PATIENCE_MS = 30_000  # so long `expect` waits; Playwright's own five seconds are too short for a busy machine


def there(*programs: str) -> str:
    """The path of the first of these programs that there is. Without one, the test is skipped; with CI=true it fails."""
    path = next((found for program in programs if (found := shutil.which(program))), None)
    if path is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"there is no {programs[0]}, and CI must not go without")
        pytest.skip(f"there is no {programs[0]}")
    return path


@contextmanager
def chromium(*options: str) -> Iterator[Browser]:
    """A browser for a while, with these options beside those that every test needs."""
    path = there("chromium", "chromium-browser", "google-chrome")
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[*OPTIONS, *options])
        yield browser
        browser.close()
