"""What others build on: a client that a generator makes of `/openapi.json`, and the page that shows it."""

import importlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from services.api.document import ANSWERS
from tests.processes import Up, until_projected, up_with
from tests.programs import chromium
from tests.system.test_lists import EVENTS
from touchline.document import operation_name

WIRE = Path(__file__).parents[2] / "docs" / "wire.md"
OVERRIDES = re.compile(r"```yaml\n(content_type_overrides:\n.*?)```", re.DOTALL)
ARGUMENTS = {
    "campaign_id": "spring",
    "asset_id": "lp",
    "name": "7",
    "deal_id": "won",
    "event_id": "p1",
    "asset_type": "FORM",
    "contact_type": "influencedContacts",
}


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with up_with(EVENTS, tmp_path_factory.mktemp("built")) as up:
        yield up


@pytest.fixture(scope="module")
def made(up: Up, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The package `touchline_client`, as openapi-python-client makes it."""
    folder = tmp_path_factory.mktemp("client")
    with up.client("read") as client:
        (folder / "openapi.json").write_bytes(client.get("/openapi.json").content)
    (folder / "config.yaml").write_text(OVERRIDES.search(WIRE.read_text()).group(1))  # type: ignore[union-attr]
    tools = Path(sys.executable).parent
    done = subprocess.run(
        [tools / "openapi-python-client", "generate", "--path", "openapi.json", "--output-path", "touchline_client", "--meta", "none", "--config", "config.yaml"],
        cwd=folder, env={**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"}, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    output = done.stdout + done.stderr  # it warns of what it leaves out
    assert sorted(re.findall(r"(?:Unsupported|Cannot) .*", output)) == [
        "Unsupported content type application/x-ndjson", "Unsupported content type text/plain",
    ]  # fmt: skip
    assert output.count("WARNING") == 2, output[:3000]
    sys.path.insert(0, str(folder))
    yield importlib.import_module("touchline_client")
    sys.path.remove(str(folder))


def called(path: str, tag: str) -> Any:
    return importlib.import_module(f"touchline_client.api.{tag}.{operation_name('get', path)}")


@pytest.mark.timeout(600)
def test_a_generated_client_reads_every_answer(up: Up, made: Any) -> None:
    with up.client("read") as client:
        document = client.get("/openapi.json").json()
    with made.AuthenticatedClient(base_url=up.url, token=up.keys["read"], raise_on_unexpected_status=True) as client:
        _read_all(client, document)


def _read_all(client: Any, document: Any) -> None:
    for path in ANSWERS:
        operation = document["paths"][path]["get"]
        given = {p["name"]: ARGUMENTS[p["name"]] for p in operation["parameters"] if p["in"] == "path"}
        given |= {"campaign": "spring"} if path.endswith("/explain") and "deals" in path else {}
        if path.endswith("/unresolved/events"):
            kinds = importlib.import_module("touchline_client.models").GetCatalogUnresolvedEventsKind
            given |= {"kind": kinds("pages"), "name": "https://shop.example/offer"}
        given |= {"name": "g1"} if path.startswith("/v1/generations/") else {}
        response = called(path, operation["tags"][0]).sync_detailed(client=client, **given)
        assert response.status_code == 200, path
        types = get_args(ANSWERS[path]) or (ANSWERS[path],)
        assert type(response.parsed).__name__.lower() in {answer.__name__.lower() for answer in types}, path
    overview = called("/v1/campaigns/{campaign_id}/overview", "campaigns").sync(client=client, campaign_id="spring")
    assert overview.metrics.influenced_deals == 2
    assert overview.metrics.influenced_revenue[0].amount == "100.00"


@pytest.mark.timeout(600)
def test_a_generated_client_sends_events_and_reads_an_error(up: Up, made: Any) -> None:
    models = importlib.import_module("touchline_client.models")
    posting = importlib.import_module("touchline_client.api.ingest.post_events")
    event = models.CampaignCreated.from_dict({"type": "campaign_created", "campaign_id": "made", "name": "Made"})
    with made.AuthenticatedClient(base_url=up.url, token=up.keys["server"]) as sender:
        accepted = posting.sync(client=sender, body=event)
    assert (accepted.accepted, accepted.rejected) == (1, [])
    with up.client("read") as client:
        until_projected(client, accepted.position)
    read = called("/v1/campaigns/{campaign_id}", "campaigns")
    with made.AuthenticatedClient(base_url=up.url, token=up.keys["read"]) as reader:
        assert read.sync(client=reader, campaign_id="made", after=accepted.position).name == "Made"
        problem = read.sync(client=reader, campaign_id="none")
    assert (type(problem).__name__, problem.status, problem.code) == ("Problem", 404, "not_found")


@pytest.mark.timeout(600)
def test_a_generated_client_gets_the_picture_of_the_pixel(up: Up, made: Any) -> None:
    pixel = importlib.import_module("touchline_client.api.ingest.get_p_gif")
    with made.Client(base_url=up.url) as anybody:
        picture = pixel.sync(client=anybody, k=up.keys["collect"], u="https://shop.example/offer", v="v-pixel")
    assert (len(picture_bytes := picture.payload.read()), picture_bytes[:6]) == (43, b"GIF89a")


def test_the_page_of_the_calls_needs_no_other_server(up: Up) -> None:
    errors: list[str] = []
    asked: list[str] = []
    with chromium() as browser:
        page = browser.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{up.url}/docs")
        page.locator("#operations-campaigns-get_campaign_overview").wait_for(timeout=30_000)
        page.wait_for_function("n => document.querySelectorAll('.opblock').length >= n", arg=len(ANSWERS))
        if picture := os.environ.get("TOUCHLINE_PICTURE"):
            page.screenshot(path=picture)
    assert errors == []
    assert {url.split("/")[2] for url in asked if not url.startswith(("data:", "blob:"))} == {up.url.split("/")[2]}
