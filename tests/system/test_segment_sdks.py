"""SDKs that speak Segment's API, as their makers publish them, deliver every event once, though the server is away for a while.

All send at once to one `touchline up`: most of their events, then the server is ended, they go on, and it is started again.
"""

import functools
import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.processes import Up, start
from tests.programs import chromium, there

# of each of Segment's SDKs: half page views, four tenths clicks on a CTA, a tenth that no mapping takes
EVENTS = 10_000
BEFORE = 0.9  # of them are sent before the server goes away
AWAY_S = 2.0
PATIENCE_S = 240.0  # on a busy machine; the events are there within seconds
SDKS = Path(__file__).parents[1] / "segment"
PYTHON = {"segment-python": "segment", "rudder-python": "rudder"}
NODE = ("segment-node", "rudder-node")
BROWSER = ("segment-browser", "segment-browser-cdn")
SENT = {
    "segment-python": EVENTS, "segment-node": EVENTS, "segment-browser": EVENTS,
    "segment-browser-cdn": 500, "rudder-python": 2_000, "rudder-node": 2_000,
}  # fmt: skip
AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the SDKs of npm, of the pinned versions."""
    npm, folder = there("npm"), tmp_path_factory.mktemp("npm")
    there("node")
    for name in ("package.json", "node.mjs"):
        shutil.copy(SDKS / name, folder)
    command = [npm, "install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts", "--loglevel=error"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return folder


class Pages(http.server.BaseHTTPRequestHandler):
    """Another origin than the server's: a page with the SDK."""

    def __init__(self, folder: Path, *arguments: Any) -> None:
        self.folder = folder
        super().__init__(*arguments)

    def do_GET(self) -> None:
        path = (
            self.folder / "node_modules/@segment/analytics-next/dist/umd/index.js"
            if self.path == "/sdk.js"
            else SDKS / "page.html"
        )
        body = path.read_bytes()
        self.send_response(200)
        self.send_header("Content-Type", "text/javascript" if path.suffix == ".js" else "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def site(packages: Path) -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Pages, packages))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def command(maker: str, up: Up, packages: Path) -> "subprocess.Popen[str]":
    """An SDK's process; it sends most, says so, and goes on when the test asks it to."""
    if maker in PYTHON:
        arguments, variables = [sys.executable, "-W", "ignore", str(SDKS / "sdk.py"), PYTHON[maker]], {}
    else:
        arguments, variables = [there("node"), "node.mjs", maker], {"NODE_NO_WARNINGS": "1"}
    return subprocess.Popen(
        [*arguments, up.url, up.keys["server"], str(SENT[maker]), str(first_of(maker))], cwd=packages, env={**os.environ, **variables},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def opened(browser: Any, site: str, maker: str, up: Up) -> Page:
    """A page on which the SDK is loaded."""
    page: Page = browser.new_context(user_agent=AGENT).new_page()
    page.goto(f"{site}/?utm_campaign={maker}")
    if maker == "segment-browser":
        host = up.url.removeprefix("http://")
        batching = {"strategy": "batching", "config": {"size": 100, "timeout": 500}}
        sending = {
            "apiKey": up.keys["collect"],
            "apiHost": f"{host}/segment/v1",
            "protocol": "http",
            "deliveryStrategy": batching,
        }
        settings = {"writeKey": up.keys["collect"], "cdnSettings": {"integrations": {"Segment.io": sending}}}
    else:
        settings = {"writeKey": up.keys["collect"], "cdnURL": f"{up.url}/segment"}
    page.evaluate("settings => begin(settings)", settings)
    return page


def received(up: Up, maker: str) -> tuple[int, int]:
    """How many page views and clicks of an SDK count."""
    with up.client("read") as client:
        answer = client.get(f"/v1/campaigns/{maker}/overview")
    if answer.status_code == 503:  # a busy machine reads it later
        return 0, 0
    metrics = answer.json()["metrics"]
    return metrics["page_views"], metrics["cta_clicks"]


def first_of(maker: str) -> int:
    """How many events it sends before the server goes away."""
    return int(SENT[maker] * BEFORE)


def due(maker: str, share: float = 1.0) -> tuple[int, int]:
    return int(SENT[maker] * share * 5 // 10), int(SENT[maker] * share * 4 // 10)


def wait_for(up: Up, makers: tuple[str, ...], share: float) -> dict[str, tuple[int, int]]:
    """Wait until all is there, and a moment longer: nothing may come twice."""
    ends_s = time.monotonic() + PATIENCE_S
    while any(received(up, maker) < due(maker, share) for maker in makers) and time.monotonic() < ends_s:
        time.sleep(0.2)
    time.sleep(1.0)
    return {maker: received(up, maker) for maker in makers}


@pytest.fixture(scope="module")
def delivered(packages: Path, site: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What was received of each SDK, and what its unmapped events are."""
    data = tmp_path_factory.mktemp("up")
    with ExitStack() as stack:
        up = begun(stack, data, 0)
        with up.client("server") as client:
            for maker in SENT:
                catalog = [
                    {"type": "campaign_created", "campaign_id": maker, "utm_campaign": utm_of(maker), "occurred_at": "2024-01-01T00:00:00Z"},
                    {"type": "asset_associated", "campaign_id": maker, "asset_id": f"cta-{utm_of(maker)}", "occurred_at": "2024-01-02T00:00:00Z"},
                ]  # fmt: skip
                assert client.post("/v1/events", json=catalog).json()["accepted"] == 2
        processes = {maker: command(maker, up, packages) for maker in (*PYTHON, *NODE)}
        for process in processes.values():
            stack.callback(process.kill)
        browser = stack.enter_context(chromium())
        pages = {maker: opened(browser, site, maker, up) for maker in BROWSER}
        for maker, page in pages.items():
            page.evaluate("([maker, n]) => send(maker, 0, n)", [maker, first_of(maker)])
        for process in processes.values():
            assert process.stdout is not None
            assert process.stdout.readline() == "away\n", process.communicate()
        before = wait_for(up, BROWSER, BEFORE)
        assert before == {maker: due(maker, BEFORE) for maker in BROWSER}
        assert up.stop() == 0
        for process in processes.values():
            assert process.stdin is not None
            process.stdin.write("go on\n")
            process.stdin.flush()
        for maker, page in pages.items():
            page.evaluate("([maker, from, to]) => send(maker, from, to)", [maker, first_of(maker), SENT[maker]])
        time.sleep(AWAY_S)
        up = begun(stack, data, int(up.url.rsplit(":", 1)[1]))
        codes = {
            maker: (process.communicate(timeout=PATIENCE_S)[1], process.returncode)
            for maker, process in processes.items()
        }
        counted = wait_for(up, tuple(SENT), 1.0)
        with up.client("read") as client:
            status = client.get("/v1/status").json()
        assert up.stop() == 0
    return {"codes": codes, "counted": counted, "status": status, "unmapped": unmapped(data)}


def begun(stack: ExitStack, data: Path, port: int) -> Up:
    """A `touchline up` that does not outlive the stack."""
    up = start(data, port)
    stack.callback(lambda: up.kill_group() if up.process.poll() is None else None)
    return up


def utm_of(maker: str) -> str:
    return PYTHON.get(maker, maker)


def unmapped(data: Path) -> dict[str, int]:
    """The unmapped messages that the log holds, by name."""
    arguments = ["producers", "map", "segment", "--dry-run", "--json", "--data", str(data)]
    done = subprocess.run([sys.executable, "-m", "touchline", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout)["unmapped"])


@pytest.mark.parametrize("maker", SENT)
def test_an_unmodified_sdk_delivers_every_event_once_though_the_server_was_away(
    delivered: dict[str, Any], maker: str
) -> None:
    output, code = delivered["codes"].get(maker, ("", 0))
    assert code == 0, output[-3000:]
    assert delivered["counted"][maker] == due(maker)
    assert delivered["unmapped"][f"Odd of {utm_of(maker)}"] == SENT[maker] // 10


def test_nothing_that_the_sdks_sent_was_refused(delivered: dict[str, Any]) -> None:
    assert delivered["status"]["dead_letters"] == 0
