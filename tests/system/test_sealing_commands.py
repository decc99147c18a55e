"""`touchline privacy`, from a store with plain events to one whose files hold no name of a forgotten person."""

import asyncio
import base64
import json
import os
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from shared.database import open_pool
from shared.log.postgres import PARTITIONS, PostgresLog
from tests.processes import Up, ended, launch, start
from tests.services import Service, command, environment, fails
from tests.system.test_hubspot_webhooks import PATH, SECRET, signed
from tests.system.test_sealing import ALL, FORGET, FORM, TRACES, VISIT


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
    output = json.loads(privacy(data, "export", "kari@nordmann.example"))
    assert (output["contact"], output["visitor_ids"]) == ("crm-4711", ["cookie-of-kari"])
    sent = {event["id"]: event for event in ALL}
    assert {event["id"] for event in output["events"]} == {"visit", "form", "person", "deal"}
    (visit,) = (event for event in output["events"] if event["id"] == "visit")
    assert visit == sent["visit"]
    refused = {"type": "form_submitted", "visitor_id": "cookie-of-kari", "asset_id": "f", "note": "Kari Nordmann"}
    with up.client("server") as client:
        assert client.post("/v1/events", json=refused).status_code == 422
    result = json.loads(privacy(data, "forget", "crm-4711", "--yes", "--json"))
    assert (result["names"], result["dead_letters"]) == (3, 1)
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

    def call(**fields: Any) -> Any:
        body = json.dumps(
            [{"portalId": 62515, "eventId": 1, "objectId": 4711, "occurredAt": 1_709_251_200_000, **fields}]
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


def test_a_new_store_is_sealed_from_its_first_event_on_and_forgets(tmp_path: Path) -> None:
    data = tmp_path / "data"
    up = start(data, 0, None, "--sealed")
    assert stat.S_IMODE((data / "master.key").stat().st_mode) == 0o600
    key = (data / "master.key").read_bytes()
    with up.client("server") as client:
        assert client.post("/v1/events", json=list(ALL)).status_code == 202
    before = overview(up)
    assert traces(data) == []
    with up.client("read") as client:
        assert client.get("/v1/contacts/kari@nordmann.example").json()["contact"] == "crm-4711"
    assert up.stop() == 0
    up = start(data, 0, None, "--sealed")  # which is accepted again, and changes nothing
    assert (overview(up), (data / "master.key").read_bytes()) == (before, key)
    with up.client("server") as client:
        assert client.post("/v1/events", json={**FORM, "id": "refused", "note": "Kari Nordmann"}).status_code == 422
        assert traces(data) != []  # of the dead letter, so the search finds what is there
        assert client.post("/v1/events", json=FORGET).status_code == 202
    with up.client("read") as client:
        for _ in range(200):
            if (left := client.get("/v1/contacts/kari@nordmann.example").status_code) == 404:
                break
            time.sleep(0.1)
    assert (left, overview(up)) == (404, before)
    assert up.stop() == 0
    assert traces(data) == []
    up = start(data)
    assert (up.sealed, overview(up)) == (True, before)
    assert up.stop() == 0


def test_a_new_store_says_where_its_master_key_is_and_to_keep_a_copy_once(tmp_path: Path) -> None:
    first, then = output_of_up(tmp_path / "data"), output_of_up(tmp_path / "data")
    for text in (first, then):
        assert (
            f"The store is sealed: names of people are stored under the master key, {tmp_path / 'data' / 'master.key'}."
            in text
        )
    assert "Keep a copy of the master key elsewhere" in first
    assert "Keep a copy" not in then


def output_of_up(data: Path) -> str:
    """What `touchline up --sealed` prints for people, from its start to its end."""
    command = [sys.executable, "-W", "ignore", "-m", "touchline", "up", "--sealed", "--data", str(data), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stdout is not None
        text = ""
        while "Stop with Ctrl-C" not in text:
            line = process.stdout.readline()
            assert line, text
            text += line
        process.terminate()
        assert process.wait(60) == 0
    return text


def test_a_store_without_events_is_sealed_and_one_with_plain_events_is_not_started(tmp_path: Path) -> None:
    data = tmp_path / "data"
    up = start(data)
    assert not up.sealed
    assert up.stop() == 0
    up = start(data, 0, None, "--sealed")  # as if the first start had been interrupted
    assert (data / "master.key").exists()
    assert up.stop() == 0
    plain = tmp_path / "plain"
    up = start(plain)
    with up.client("server") as client:
        assert client.post("/v1/events", json=VISIT).status_code == 202
    assert up.stop() == 0
    code, output = ended(launch(plain, 0, None, "--sealed"))
    assert (code, "not sealed and has events already, which `touchline privacy seal` rewrites" in output) == (
        1,
        True,
    ), output
    assert not (plain / "master.key").exists()
    privacy(plain, "seal")
    up = start(plain, 0, None, "--sealed")
    assert up.stop() == 0


async def logged(database_url: str) -> list[str]:
    """The records of a log in PostgreSQL, in lower case."""
    async with await open_pool(database_url, 2) as pool:
        log = PostgresLog(pool, PARTITIONS)
        found = [entry.value.decode().casefold() for p in range(PARTITIONS) for entry in await log.read(p, 0, 100)]
        await log.close()
    return found


def test_an_empty_database_is_sealed_by_the_first_command_and_its_services_seal(
    own_database: str, tmp_path: Path, runner: asyncio.Runner
) -> None:
    env = environment(own_database, None, MASTER_KEY=base64.b64encode(os.urandom(32)).decode())
    assert command(env, "privacy", "seal") == {"events": 0}
    keys = command(env, "keys", "create")["keys"]
    ingest = Service("ingest", env, tmp_path / "said").start()
    with ingest.client(keys["server"]) as client:
        assert client.post("/v1/events", json=list(ALL)).status_code == 202
    assert ingest.end() == 0
    held = runner.run(logged(own_database))
    assert (len(held), [trace for trace in TRACES if trace in "".join(held)]) == (len(ALL), [])
    other = {**env, "TOUCHLINE_MASTER_KEY": base64.b64encode(os.urandom(32)).decode()}
    assert "not the one that this store was sealed with" in fails(other, "ingest", "--port", "0")


def test_a_store_that_is_not_sealed_says_how_to_seal_it_when_it_is_asked_to_forget(tmp_path: Path) -> None:
    up = start(tmp_path / "data")
    with up.client("server") as client:
        (refused,) = client.post("/v1/events", json=FORGET).json()["rejected"]
    assert up.stop() == 0
    assert refused["code"] == "forgetting_not_supported"
    for each in ("not sealed", "`touchline privacy seal`", "`touchline dead-letters retry`", "`touchline up --sealed`"):
        assert each in refused["message"]
