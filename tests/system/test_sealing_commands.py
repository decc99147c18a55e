"""`touchline privacy`, from a store with plain events to one whose files hold no name of a forgotten person."""

import json
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.processes import Up, start
from tests.system.test_hubspot_webhooks import PATH, SECRET, signed
from tests.system.test_sealing import ALL, TRACES


def privacy(data: Path, *arguments: str, code: int = 0) -> str:
    command = [sys.executable, "-W", "ignore", "-m", "touchline", "privacy", *arguments, "--data", str(data)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    return done.stdout


def overview(up: Up) -> Any:
    """The campaign's numbers, as soon as the projection has them."""
    with up.client("read") as client:
        for _ in range(600):
            response = client.get("/v1/campaigns/c/overview")
            if response.status_code == 200 and response.json()["metrics"]["influenced_deals"] == 1:
                return {k: v for k, v in response.json().items() if k not in ("as_of", "settled_through")}
            time.sleep(0.1)
    raise AssertionError(response.text)


def traces(data: Path) -> list[tuple[str, str]]:
    """Which traces of the person the files of the data directory hold: of tables, of the write-ahead log, of the server's log."""
    found = []
    for file in data.rglob("*"):
        try:
            held = file.read_bytes().lower() if file.is_file() else b""
        except FileNotFoundError:
            continue  # a running PostgreSQL renames and removes files
        found += [(file.name, trace) for trace in TRACES if trace.encode() in held]
    return found


def test_a_store_with_plain_events_is_sealed_and_forgets(tmp_path: Path) -> None:
    data = tmp_path / "data"
    up = start(data)
    with up.client("server") as client:
        assert client.post("/v1/events", json=list(ALL)).status_code == 202
    plain = overview(up)
    assert "not sealed" in subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "touchline", "privacy", "forget", "crm-4711", "--yes", "--data", str(data)],
        capture_output=True, text=True, check=False,
    ).stderr  # fmt: skip
    privacy(data, "seal", code=1)  # the services run
    assert up.stop() == 0
    assert json.loads(privacy(data, "seal", "--json")) == {"events": len(ALL)}
    assert stat.S_IMODE((data / "master.key").stat().st_mode) == 0o600
    assert traces(data) == []
    up = start(data)
    assert overview(up) == plain
    told = json.loads(privacy(data, "export", "kari@nordmann.example"))
    assert (told["contact"], told["visitor_ids"]) == ("crm-4711", ["cookie-of-kari"])
    sent = {event["id"]: event for event in ALL}
    assert {event["id"] for event in told["events"]} == {"visit", "form", "person", "deal"}
    (visit,) = (event for event in told["events"] if event["id"] == "visit")
    assert visit == sent["visit"]
    refused = {"type": "form_submitted", "visitor_id": "cookie-of-kari", "asset_id": "f", "note": "Kari Nordmann"}
    with up.client("server") as client:
        assert client.post("/v1/events", json=refused).status_code == 422
    said = json.loads(privacy(data, "forget", "crm-4711", "--yes", "--json"))
    assert (said["names"], said["dead_letters"]) == (3, 1)
    assert traces(data) == []
    assert overview(up) == plain
    privacy(data, "export", "kari@nordmann.example", code=1)
    with up.client("read") as client:
        assert client.get("/v1/contacts/crm-4711").status_code == 404
    deleted_by_hubspot(up)
    assert up.stop() == 0
    assert traces(data) == []


def deleted_by_hubspot(up: Up) -> None:
    """HubSpot tells of the same person anew, one of its messages is refused, and then it says that the person was deleted for privacy."""

    def call(**said: Any) -> Any:
        body = json.dumps(
            [{"portalId": 62515, "eventId": 1, "objectId": 4711, "occurredAt": 1_709_251_200_000, **said}]
        ).encode()
        response = client.post(f"{up.url}{PATH}", content=body, headers=signed(body, up.url + PATH))
        assert response.status_code == 200, response.text
        return response.json()

    with up.client("admin") as client:
        assert client.put("/v1/producers/hubspot/accounts/62515", json={"secret": SECRET}).status_code == 200
        email = {"subscriptionType": "contact.propertyChange", "propertyName": "email"}
        assert call(**email, propertyValue="kari@nordmann.example")["mapped"] == 1
        assert len(call(**email, propertyValue="kari nordmann@example")["refused"]) == 1
        assert call(subscriptionType="contact.privacyDeletion")["mapped"] == 1
        for _ in range(600):
            if not client.get("/v1/dead-letters").json()["items"]:
                return
            time.sleep(0.1)
    raise AssertionError("the dead letter of a person whom HubSpot has deleted stays")
