"""Each producer's messages are accounted for: what arrived, what became of it, and when the last one came."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.ingest.dead_letters import drop_letters, list_letters
from services.ingest.ingest import Ingest
from services.ingest.producers.counts import OPEN_MAX, Counts
from services.ingest.producers.messages import take
from services.replay.backfill import Backfill
from services.replay.mapping.ready import mapping
from shared.access.keys import Access, KeyRing
from shared.access.positions import Positions
from shared.events.limits import REQUEST_BYTES_MAX
from shared.producers.message import Message, Unmapped, Unreadable
from shared.store.producer_counts import NAMES_MAX, OTHER, Outcome, read_counts, write_counts
from shared.wakeups import Wakeups
from tests.conftest import Workspace
from tests.processes import start
from touchline.commands.producers import silent_for
from touchline.compose import Running

WAIT_S = 60.0  # counts are written a second after they are made; a busy machine takes longer

VISIT = {"type": "page_visited", "visitor_id": "v", "url": "https://x.example/"}
CountsByProducer = dict[str, dict[str, Any]]


def by_producer(items: list[dict[str, Any]]) -> CountsByProducer:
    return {item["producer"]: item for item in items}


async def counted(workspace: Workspace, met: Callable[[CountsByProducer], bool]) -> CountsByProducer:
    """What the read API tells, as soon as it is as wanted."""
    end_s = time.monotonic() + WAIT_S
    while True:
        found = by_producer((await workspace.get("/v1/producers")).json()["items"])
        if met(found) or time.monotonic() > end_s:
            return found
        await asyncio.sleep(0.1)


def total(found: CountsByProducer, producer: str) -> int:
    item = found.get(producer, {"accepted": 0, "refused": 0})
    return int(item["accepted"] + item["refused"])


def test_events_and_pixel_are_counted_by_key(workspace: Workspace, runner: asyncio.Runner) -> None:
    async def check() -> None:
        await workspace.send(VISIT, VISIT, {"type": "odd"}, VISIT | {"colour": "red"})
        await workspace.send({"type": "odd"})
        async with workspace.client("collect") as client:
            assert (await client.post("/v1/events", content=b"{")).status_code == 422
            assert (await client.post("/v1/events", content=b" " * (REQUEST_BYTES_MAX + 1))).status_code == 413
            for query in ("v=a&u=https://x.example/", "v=b&u=https://x.example/", "t=click"):
                await client.get(f"/v1/p.gif?k={workspace.keys['collect']}&{query}")
        found = await counted(workspace, lambda found: total(found, "events") == 7 and total(found, "pixel") == 3)
        events, pixel = found["events"], found["pixel"]
        assert (events["accepted"], events["mapped"], events["unmapped"], events["refused"]) == (2, 2, 0, 5)
        assert events["refused_by"] == [
            {"code": "unknown_type", "messages": 2}, {"code": "not_json", "messages": 1}, {"code": "too_large", "messages": 1},
            {"code": "unknown_field", "messages": 1},
        ]  # fmt: skip
        assert {name["name"]: name["refused"] for name in events["names"]} == {
            workspace.keys["server"][:8]: 3,
            workspace.keys["collect"][:8]: 2,
        }
        assert (pixel["accepted"], pixel["refused_by"]) == (2, [{"code": "bad_value", "messages": 1}])
        assert (events["dead_letters"], pixel["dead_letters"]) == (4, 1)

    runner.run(check())


def test_each_producer_is_listed_with_its_names_and_what_became_of_them(
    workspace: Workspace, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        running = workspace.running
        ingest = Ingest(
            running.log, running.pool, KeyRing(running.pool), await Positions.of(running.pool), Wakeups(running.pool)
        )
        access = Access(workspace.name, "server", "tls_test")
        good = Message("page", b"{}", (VISIT | {"id": "one:1"},))
        odd = Message("click", b'{"a":1}', Unmapped("one:2"))
        bad = Message("page", b"{", Unreadable("not_json", None, "it is no JSON"))
        await take(ingest, access, "one", [good, good, odd, bad])
        await take(ingest, access, "two", [Message("track", b"{}", ({"type": "odd"},)), Message("ping", b"{}", ())])
        await ingest.counts.close()
        found = by_producer(await read_counts(running.pool, workspace.name))
        numbers = {
            producer: [found[producer][name] for name in ("accepted", "mapped", "unmapped", "refused")]
            for producer in ("one", "two")
        }
        assert numbers == {"one": [3, 2, 1, 1], "two": [1, 1, 0, 1]}
        assert [(n["name"], n["mapped"], n["unmapped"], n["refused_by"]) for n in found["one"]["names"]] == [
            ("click", 0, 1, []),
            ("page", 2, 0, [{"code": "not_json", "messages": 1}]),
        ]

    runner.run(check())


def test_a_dead_letter_that_is_dropped_leaves_the_count_of_what_was_refused(
    workspace: Workspace, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        await workspace.send(VISIT, {"type": "odd"})
        before = (await counted(workspace, lambda found: total(found, "events") == 2))["events"]
        letters = await list_letters(workspace.running.pool, workspace.name, None, 0, 10)
        await drop_letters(workspace.running.pool, workspace.name, [letter.number for letter in letters])
        after = by_producer((await workspace.get("/v1/producers")).json()["items"])["events"]
        assert (before["dead_letters"], after["dead_letters"]) == (1, 0)
        assert before["refused"] == after["refused"] == 1

    runner.run(check())


def test_names_beyond_the_bound_are_counted_as_one_and_reported(workspace: Workspace, runner: asyncio.Runner) -> None:
    async def check() -> None:
        pool = workspace.running.pool
        first = Counter({Outcome("odd", f"name-{n:04d}", "unmapped"): 2 for n in range(NAMES_MAX - 10)})
        await write_counts(pool, {workspace.name: first})
        more = Counter({Outcome("odd", f"other-{n:04d}", "unmapped"): 1 for n in range(50)})
        more[Outcome("odd", "name-0000", "unmapped")] = 5
        more[Outcome("few", "name", "mapped")] = 1
        await write_counts(pool, {workspace.name: more})
        found = by_producer(await read_counts(pool, workspace.name))
        names = {name["name"]: name["unmapped"] for name in found["odd"]["names"]}
        assert (len(names), names[OTHER], names["name-0000"]) == (NAMES_MAX + 1, 40, 7)
        assert found["odd"]["unmapped"] == 2 * (NAMES_MAX - 10) + 55
        assert (found["odd"]["more_names"], found["few"]["more_names"]) == (True, False)

    runner.run(check())


def test_a_flood_of_names_takes_bounded_memory_and_no_message_goes_uncounted(
    workspace: Workspace, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        counts = Counts(workspace.running.pool)
        for n in range(10 * OPEN_MAX):
            counts.add(workspace.name, {Outcome("flood", f"{n}\0\ud800", "unmapped"): 1})
        assert len(counts._open[workspace.name]) <= OPEN_MAX + 1
        await counts.close()
        found = by_producer(await read_counts(workspace.running.pool, workspace.name))
        assert found["flood"]["unmapped"] == 10 * OPEN_MAX

    runner.run(check())


def test_an_answer_has_another_etag_when_a_message_was_refused(workspace: Workspace, runner: asyncio.Runner) -> None:
    async def check() -> None:
        await workspace.send(VISIT)
        await counted(workspace, lambda found: total(found, "events") == 1)
        first, again = [(await workspace.get("/v1/producers")).headers["ETag"] for _ in range(2)]
        await workspace.send({"type": "odd"})
        await counted(workspace, lambda found: total(found, "events") == 2)
        assert first == again != (await workspace.get("/v1/producers")).headers["ETag"]

    runner.run(check())


def test_a_workspace_sees_its_own_producers_alone(workspace: Workspace, runner: asyncio.Runner) -> None:
    async def check() -> None:
        counts = Counter({Outcome("segment", "page", "mapped"): 3})
        await write_counts(workspace.running.pool, {f"not-{workspace.name}": counts})
        assert (await workspace.get("/v1/producers")).json()["items"] == []
        async with workspace.client("collect") as client:
            assert (await client.get("/v1/producers")).status_code == 403

    runner.run(check())


def test_the_rows_of_a_file_are_counted_by_its_mapping_and_not_in_a_dry_run(
    workspace: Workspace, runner: asyncio.Runner, tmp_path: Path
) -> None:
    rows = ["Record ID,Email,Create Date", "1,a@x.no,2024-01-01", "2,b@x.no,2024-01-02", "3,c@x.no,never"]
    (tmp_path / "c.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "e.ndjson").write_text(json.dumps(VISIT | {"occurred_at": "2024-01-01T00:00:00Z"}) + "\n{}\n")

    async def check() -> None:
        running = workspace.running
        for dry_run in (True, False):
            for name, by in (("c.csv", mapping("hubspot-contacts")), ("e.ndjson", None)):
                sender = Backfill(
                    running.pool, running.log, workspace.name, 1e9, lambda _: None, dry_run=dry_run, mapping=by
                )
                await sender.run(tmp_path / name)
        (item,) = await read_counts(running.pool, workspace.name)
        assert item["producer"] == "backfill"
        assert [(name["name"], name["mapped"], name["refused_by"]) for name in item["names"]] == [
            ("events", 1, [{"code": "missing_field", "messages": 1}]),
            ("hubspot-contacts", 2, [{"code": "bad_value", "messages": 1}]),
        ]

    runner.run(check())


@pytest.mark.parametrize(
    ("ago_s", "expected"), [(0, "0 s"), (-5, "0 s"), (59, "59 s"), (60, "1 min"), (7_199, "1 h"), (172_800, "2 d")]
)
def test_how_long_a_producer_is_silent_is_shown_in_its_largest_unit(ago_s: int, expected: str) -> None:
    assert silent_for("2026-01-01T00:00:00Z", (1_767_225_600 + ago_s) * 1_000_000) == expected


def test_what_is_counted_is_there_after_a_process_is_asked_to_end(tmp_path: Path) -> None:
    up = start(tmp_path / "data")
    with up.client("server") as client:
        for _ in range(3):
            assert client.post("/v1/events", json=[VISIT, {"type": "odd"}]).status_code == 202
    httpx.get(f"{up.url}/v1/p.gif", params={"k": up.keys["collect"], "v": "v", "u": "https://x.example/"})
    assert up.stop() == 0
    command = [sys.executable, "-m", "touchline", "producers", "list", "--data", str(tmp_path / "data")]
    output = json.loads(subprocess.run([*command, "--json"], check=True, capture_output=True, text=True).stdout)
    found = by_producer(output["producers"])
    assert (found["events"]["accepted"], found["events"]["refused"], found["pixel"]["accepted"]) == (3, 3, 1)
    text = subprocess.run(
        command, check=True, capture_output=True, text=True, env={**os.environ, "COLUMNS": "200"}
    ).stdout
    assert "silent for" in text
    assert "unknown_type 3" in text


def test_the_openapi_document_shows_what_outside_producers_send_and_are_answered(running: Running) -> None:
    paths = running.app.openapi()["paths"]
    result = {
        path: ([each["name"] for each in post.get("parameters", ())], sorted(post["responses"]))
        for path, of in paths.items()
        if (post := of.get("post"))
        and path.startswith(("/segment/v1/{", "/hubspot", "/sendgrid", "/mailgun", "/postmark"))
    }
    signed = ["X-Twilio-Email-Event-Webhook-Signature", "X-Twilio-Email-Event-Webhook-Timestamp"]
    expected = {
        "/segment/v1/{call}": (["call"], ["200", "400", "401", "403", "404", "422", "503"]),
        "/hubspot/v1/webhooks": (
            ["X-HubSpot-Signature-v3", "X-HubSpot-Request-Timestamp"],
            ["200", "400", "401", "413", "503"],
        ),
        "/sendgrid/v1/webhooks/{account}": (["account", *signed], ["200", "401", "413", "422", "503"]),
        "/mailgun/v1/webhooks/{account}": (["account"], ["200", "400", "401", "413", "422", "503"]),
        "/postmark/v1/webhooks": ([], ["200", "401", "403", "413", "503"]),
    }
    assert result.keys() == expected.keys()
    for path, (
        parameters,
        answers,
    ) in expected.items():  # what every call may answer, such as 408, is documented for all
        assert result[path][0] == parameters
        assert set(answers) <= set(result[path][1])
    hubspot = paths["/hubspot/v1/webhooks"]["post"]["responses"]["200"]
    assert {"mapped", "unmapped", "refused", "dropped"} == set(
        hubspot["content"]["application/json"]["schema"]["properties"]
    )
