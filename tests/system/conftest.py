"""What several files of system tests use."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.programs import chromium


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser
