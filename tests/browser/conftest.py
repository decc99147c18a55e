"""A real Chromium on test sites of two domains, with the tracker of a real `touchline up`."""

import asyncio
import html
import http.server
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from shared.database import open_pool
from shared.events.codec import decode_record, event_type
from shared.log.port import Entry, partition_of
from shared.log.postgres import PARTITIONS, PostgresLog
from tests.processes import Up, start
from tests.programs import chromium
from touchline.commands.store import database

AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"
PATIENCE_S = 30.0  # on a busy machine; the events are there within a second
READ_EVENTS = 10_000  # of the log at a time
SHOP, SECOND, TOUCHLINE = "www.shop.example", "second.example", "t.shop.example"  # all of them are this machine


def query(url: str, ask: Callable[[Any], Any]) -> Any:
    """Ask the store. Playwright occupies this thread's event loop, so another thread asks."""

    async def asked() -> Any:
        pool = await open_pool(url, 2)
        try:
            return await ask(pool)
        finally:
            await pool.close()

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, asked()).result()


async def _logged(pool: Any, workspace: str) -> list[dict[str, Any]]:
    log, partition = PostgresLog(pool, PARTITIONS), partition_of(workspace, PARTITIONS)
    found: list[Entry] = []
    try:
        while entries := await log.read(partition, found[-1].offset + 1 if found else 0, READ_EVENTS):
            found += entries
    finally:
        await log.close()
    out = []
    for entry in found:
        if entry.workspace != workspace:
            continue
        arrived = decode_record(entry.value)
        result = msgspec.to_builtins(arrived.event)
        out.append(
            {**result, "type": event_type(arrived.event), "event_id": arrived.event_id, "at_us": arrived.occurred_at_us}
        )
    return out


class Pages(http.server.ThreadingHTTPServer):
    """The sites: every path is a page on every host. `bodies` has what the test puts there, by path."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.bodies: dict[str, tuple[str, dict[str, str]]] = {}


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers with the page of a path, whatever the query."""

    server: Pages

    def do_GET(self) -> None:
        body, headers = self.server.bodies.get(self.path.partition("?")[0], ("", {}))
        self.send_response(200 if body else 204 if self.path == "/favicon.ico" else 404)
        for name, value in {"Content-Type": "text/html; charset=utf-8", **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@dataclass
class Site:
    """What a test works with: the sites, the service, and the events that arrived in a workspace of the test's own.

    What a page of another test sends when that test is over is none of them.
    """

    up: Up
    """With the keys of the workspace by their scopes, and by `operator` the key that makes workspaces."""
    workspace: str
    store: str
    pages: Pages
    context: BrowserContext
    key: str
    console_errors: list[str] = field(default_factory=list)
    expected: str = "$^"
    """A pattern of what the browser itself says on the console, where the test makes a request fail."""

    @property
    def touchline(self) -> str:
        return f"http://{TOUCHLINE}:{self.up.url.rsplit(':', 1)[1]}"

    def url(self, path: str, host: str = SHOP) -> str:
        return f"http://{host}:{self.pages.server_port}{path}"

    def put(
        self,
        path: str,
        body: str = "",
        /,
        *,
        key: str | None = None,
        head: str = "",
        headers: dict[str, str] | None = None,
        **data: str,
    ) -> None:
        """Put a page with the tracker there. `data` are the options of its element, `head` comes before it."""
        options = {"key": self.key if key is None else key} | data
        result = " ".join(f'data-{name}="{html.escape(value)}"' for name, value in options.items())
        page = f'<!doctype html><title>Page {path}</title>{head}<script async src="{self.touchline}/t.js" {result}></script><body>{body}'
        self.pages.bodies[path] = (page, headers or {})

    def new_page(self, context: BrowserContext | None = None) -> Page:
        """An empty page of a context (None: the site's own), whose errors are noted."""
        page = (context or self.context).new_page()
        page.on("pageerror", lambda error: self.console_errors.append(str(error)))
        page.on(
            "console", lambda message: self.console_errors.append(message.text) if message.type == "error" else None
        )
        return page

    def open(self, path: str, host: str = SHOP, referer: str | None = None) -> Page:
        page = self.new_page()
        page.goto(self.url(path, host), referer=referer)
        return page

    def dashboard(self, path: str, scope: str) -> Page:
        """A page of the dashboard, as somebody with a key of a scope sees it."""
        page = self.new_page()
        page.goto(f"{self.up.url}/dashboard/{path}#key={self.up.keys[scope]}")
        return page

    def events(self, number: int | None = None) -> list[dict[str, Any]]:
        """The events so far, by their instants; waits until there are `number`, and fails if there are more."""
        until = time.monotonic() + PATIENCE_S
        while True:
            found = query(self.store, partial(_logged, workspace=self.workspace))
            ids = {event["event_id"]: event for event in found}
            if number is None or len(ids) >= number or time.monotonic() > until:
                break
            time.sleep(0.2)
        events = sorted(ids.values(), key=lambda event: event["at_us"])
        assert number is None or len(events) == number, events
        return events

    def nothing_more(self, number: int, seconds: float = 1.5) -> None:
        """Assert that no further event comes for a while."""
        time.sleep(seconds)
        self.events(number)

    def cookies(self) -> list[Any]:
        return [cookie for cookie in self.context.cookies() if cookie["name"].startswith("tl_")]

    def stored(self, page: Page) -> list[str]:
        return list(page.evaluate("Object.keys(localStorage).concat(Object.keys(sessionStorage))"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tracker")


@pytest.fixture(scope="module")
def up(data: Path) -> Iterator[Up]:
    up = start(data)
    yield up
    up.stop()


@pytest.fixture(scope="module")
def store(up: Up, data: Path) -> Iterator[str]:
    """The URL of its database."""
    assert up.url
    with database(data) as url:
        yield url


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium("--host-resolver-rules=MAP *.example 127.0.0.1") as browser:
        yield browser


@pytest.fixture
def site(up: Up, store: str, browser: Browser) -> Iterator[Site]:
    """Sites whose pages must report no error on the console."""
    pages = Pages()
    thread = threading.Thread(target=pages.serve_forever)
    thread.start()
    context = browser.new_context(user_agent=AGENT)
    with up.client("admin") as client:
        made = client.post("/v1/workspaces", json={"name": "Site"}).json()
    own = replace(up, keys={**made["keys"], "operator": up.keys["admin"]})
    site = Site(own, made["workspace"], store, pages, context, own.keys["collect"])
    yield site
    context.close()
    pages.shutdown()
    thread.join()
    pages.server_close()
    assert [error_text for error_text in site.console_errors if not re.search(site.expected, error_text)] == []
