"""What the numbers would be had it been otherwise; and the live ones never hear of it."""

import asyncio
import datetime as dt
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from services.replay.backfill import event_of
from services.replay.build import Resources
from services.replay.what_if import Changes, ImpossibleChange, NameTaken, what_if
from shared.events.codec import Record
from shared.projection.checksums import checksums
from shared.projection.generations import drop_expired
from shared.reading.difference import difference
from shared.reading.snapshot import snapshot
from tests.conftest import Workspace, new_workspace
from tests.processes import start, until_projected
from touchline.compose import Running, compose
from touchline.configuration import Configuration

WEEK = dt.timedelta(days=7)


def at(hour: int, minute: int = 0) -> str:
    return f"2024-03-01T{hour:02d}:{minute:02d}:00Z"


STORY: list[dict[str, Any]] = [
    {"type": "campaign_created", "id": "c1", "campaign_id": "spring", "occurred_at": at(1)},
    {"type": "asset_registered", "id": "r1", "asset_id": "lp", "asset_type": "landing_page",
     "url": "https://shop.example/lp", "occurred_at": at(1)},
    {"type": "page_visited", "id": "p1", "visitor_id": "v", "url": "https://shop.example/lp", "occurred_at": at(2)},
    {"type": "page_visited", "id": "p2", "visitor_id": "v", "url": "https://shop.example/lp", "occurred_at": at(2, 45)},
    {"type": "contact_identified", "id": "i1", "visitor_id": "v", "contact": {"id": "7"}, "occurred_at": at(3)},
    {"type": "deal_created", "id": "d1", "deal_id": "d", "amount": "100", "contacts": [{"id": "7"}], "occurred_at": at(4)},
    {"type": "asset_associated", "id": "a1", "asset_id": "lp", "campaign_id": "spring", "occurred_at": at(5)},
    {"type": "deal_closed", "id": "d2", "deal_id": "d", "won": True, "occurred_at": at(6)},
]  # fmt: skip
BACKDATED = {"type": "asset_associated", "id": "earlier", "asset_id": "lp", "campaign_id": "spring", "occurred_at": at(1, 30)}  # fmt: skip


@pytest.fixture
def own(own_database: str, runner: asyncio.Runner) -> Iterator[Running]:
    running = runner.run(compose(own_database, Configuration(kafka_bootstrap_servers=None)))
    yield running
    runner.run(running.close())


async def story_workspace(running: Running) -> Workspace:
    workspace = await new_workspace(running, "story")
    assert (await workspace.send(*STORY)).status_code == 202
    await workspace.project()
    return workspace


def record(event: dict[str, Any]) -> Record:
    outcome = event_of(orjson.dumps(event), time.time_ns() // 1000)
    assert isinstance(outcome, Record)
    return outcome


async def make(running: Running, workspace: Workspace, name: str, keep: dt.timedelta = WEEK, **changes: Any) -> None:
    advanced: list[int] = []
    begun: list[int] = []
    wanted = Changes(**({"settings": {}, "added": [], "without": []} | changes))
    resources = Resources(running.pool, running.log)
    await what_if(resources, name, workspace.name, wanted, keep, begun.append, advanced.append)
    assert sum(advanced) == sum(begun)


async def metrics(workspace: Workspace, generation: str | None = None) -> dict[str, Any]:
    query = f"?generation={generation}" if generation else ""
    answer = await workspace.get(f"/v1/campaigns/spring/overview{query}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["metrics"]
    return found


def test_a_backdated_association_moves_credit_there_and_no_row_here(own: Running, runner: asyncio.Runner) -> None:
    async def check() -> None:
        workspace = await story_workspace(own)
        before = await checksums(own.pool, "g1")  # type: ignore[arg-type]
        await make(own, workspace, "backdated", added=[record(BACKDATED)])
        there, here = await metrics(workspace, "backdated"), await metrics(workspace)
        assert (here["page_views"], here["attributed_revenue"]) == (0, [])
        assert (there["page_views"], there["attributed_revenue"]) == (2, [{"amount": "100.00", "currency": "EUR"}])
        assert await checksums(own.pool, "g1") == before  # type: ignore[arg-type]
        status = (await workspace.get("/v1/status")).json()
        named = (await workspace.get("/v1/status?generation=backdated")).json()
        assert (status["generation"], named["generation"]) == ("g1", "what_if_backdated")
        assert named["as_of"] == status["as_of"]
        for path in (
            "/v1/campaigns", "/v1/campaigns/spring", "/v1/campaigns/spring/assets", "/v1/campaigns/spring/contacts",
            "/v1/campaigns/spring/deals", "/v1/contacts/7", "/v1/contacts/7/journey", "/v1/deals/d/attribution",
            "/v1/deals/d/explain?campaign=spring", "/v1/events/p1/explain", "/v1/reports/attribution",
        ):  # fmt: skip
            separator = "&" if "?" in path else "?"
            answer = await workspace.get(f"{path}{separator}generation=backdated")
            assert answer.status_code == 200, path
            assert answer.headers["etag"] != (await workspace.get(path)).headers["etag"]

    runner.run(check())


def test_a_difference_names_campaign_deal_contact_and_the_touches(own: Running, runner: asyncio.Runner) -> None:
    async def check() -> None:
        workspace = await story_workspace(own)
        await make(own, workspace, "same")
        await make(own, workspace, "backdated", added=[record(BACKDATED)])

        async def between(one: str, other: str) -> dict[str, Any]:
            async with (
                snapshot(own.pool, workspace.name, one) as a,
                snapshot(own.pool, workspace.name, other) as b,
            ):
                return await difference(a, b, "linear")

        nothing = await between("g1", "same")
        assert (nothing["campaigns"], nothing["deals"], nothing["contacts"]) == ([], [], [])
        found = await between("g1", "backdated")
        (campaign,) = found["campaigns"]
        assert campaign["metrics"]["page_views"] == [0, 2]
        assert campaign["excluded"] == {"before_association": [2, 0]}
        (deal,) = found["deals"]
        assert [(t["event_id"], t["campaigns"]) for t in deal["touches"]] == [
            ("p1", [[], ["spring"]]),
            ("p2", [[], ["spring"]]),
        ]
        assert [t["share"] for t in deal["touches"]] == [[{"amount": "50.00", "currency": "EUR"}] * 2] * 2
        (contact,) = found["contacts"]
        assert contact["contact"] == "7"
        assert {change["metric"] for change in contact["gains"]} == {
            "influenced_contacts", "new_contacts_first_touch", "new_contacts_last_touch", "contacts_with_revenue",
            "contacts_with_attributed_revenue",
        }  # fmt: skip
        assert [(t["event_id"], t["counts"]) for t in contact["touches"]] == [
            ("p1", [False, True]),
            ("p2", [False, True]),
        ]
        back = await between("backdated", "g1")
        assert {change["metric"] for change in back["contacts"][0]["loses"]} >= {"influenced_contacts"}

    runner.run(check())


def test_settings_events_taken_out_and_an_earlier_moment(own: Running, runner: asyncio.Runner) -> None:
    async def check() -> None:
        workspace = await story_workspace(own)
        await make(own, workspace, "backdated", added=[record(BACKDATED)])
        assert (await metrics(workspace, "backdated"))["sessions"] == 2  # 45 minutes apart
        await make(own, workspace, "hourly", added=[record(BACKDATED)], settings={"session_gap_minutes": 60})
        assert (await metrics(workspace, "hourly"))["sessions"] == 1
        await make(own, workspace, "fewer", added=[record(BACKDATED)], without=["p1"])
        assert (await metrics(workspace, "fewer"))["page_views"] == 1
        explained = (await workspace.get("/v1/events/p1/explain?generation=fewer")).json()
        assert (explained["counted"], explained["reason"]) == (False, "retracted")
        since_us = time.time_ns() // 1000
        await asyncio.sleep(0.01)
        await workspace.send({"type": "page_visited", "id": "p3", "visitor_id": "w", "url": "https://shop.example/lp",
                              "occurred_at": at(7)})  # fmt: skip
        await workspace.project()
        assert (await metrics(workspace))["page_views"] == 1
        await make(own, workspace, "then", received_by_us=since_us)
        assert (await metrics(workspace, "then"))["page_views"] == 0

    runner.run(check())


def test_what_does_not_fit_is_refused_and_leaves_nothing(own: Running, runner: asyncio.Runner) -> None:
    async def check() -> None:
        workspace = await story_workspace(own)
        await make(own, workspace, "one")
        with pytest.raises(NameTaken, match="a generation one exists already"):
            await make(own, workspace, "one")
        with pytest.raises(ImpossibleChange, match="no event nothing"):
            await make(own, workspace, "two", without=["nothing"])
        with pytest.raises(ImpossibleChange, match="id p1 exists already"):
            await make(own, workspace, "two", added=[record(BACKDATED | {"id": "p1"})])
        with pytest.raises(ImpossibleChange, match=r"session_gap_minutes.*Expected"):
            await make(own, workspace, "two", settings={"session_gap_minutes": 0})
        names = {row["name"] for row in await own.pool.fetch("SELECT name FROM touchline.generation")}
        schemas = {
            row[0] for row in await own.pool.fetch("SELECT nspname FROM pg_namespace WHERE nspname ~ '^(g\\d|what)'")
        }
        assert names == schemas == {"g1", "what_if_one"}

    runner.run(check())


def test_it_is_its_workspaces_alone_and_for_a_while(own: Running, runner: asyncio.Runner) -> None:
    async def check() -> None:
        workspace, other = await story_workspace(own), await story_workspace(own)
        await make(own, workspace, "mine", dt.timedelta(hours=1))
        for path in ("/v1/campaigns?generation=mine", "/v1/campaigns?generation=unheard_of"):
            answer = await other.get(path)
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        answer = await workspace.get("/v1/campaigns?generation=mine&after=p0-0")
        assert (answer.status_code, answer.json()["field"]) == (422, "after")
        assert (await workspace.get("/v1/campaigns?generation=mine")).status_code == 200
        assert (await workspace.get("/v1/campaigns?generation=g1")).status_code == 200
        assert await drop_expired(own.pool) == []
        hour_later = (
            "UPDATE touchline.generation SET expires_at = expires_at - interval '1 hour' WHERE name = 'what_if_mine'"
        )
        await own.pool.execute(hour_later)
        assert (await workspace.get("/v1/campaigns?generation=mine")).status_code == 404
        assert await drop_expired(own.pool) == ["what_if_mine"]
        assert await own.pool.fetchval("SELECT count(*) FROM pg_namespace WHERE nspname = 'what_if_mine'") == 0

    runner.run(check())


def test_the_commands_make_show_compare_and_drop_one(tmp_path: Path) -> None:
    data = tmp_path / "data"
    up = start(data)
    with up.client("server") as client:
        position = client.post("/v1/events", json={"events": STORY}).json()["position"]
    with up.client("read") as client:
        until_projected(client, position)
    added = tmp_path / "added.ndjson"
    added.write_bytes(orjson.dumps(BACKDATED) + b"\n")

    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "touchline", *arguments, "--data", str(data)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    done = run("replay", "what-if", "back", "--with", str(added), "--set", "session_gap_minutes=60", "--keep", "1h")
    assert done.returncode == 0, done.stderr
    assert "made: back, of default as of p" in done.stdout
    with up.client("read") as client:
        found = client.get("/v1/campaigns/spring/overview", params={"generation": "back"}).json()["metrics"]
        assert (found["page_views"], found["sessions"]) == (2, 1)
    done = run("replay", "diff", "live", "back")
    assert done.returncode == 3, done.stderr
    assert "page_views: 0 → 2" in done.stdout
    assert f"{at(2)} page_visited p1 of 7: 50.00 EUR → 50.00 EUR, no campaign → spring" in done.stdout
    assert "+ influenced_contacts of spring" in done.stdout
    assert run("replay", "diff", "live", "g1").returncode == 0
    assert "counted" in run("explain", "event", "p1", "--generation", "back").stdout
    assert "what-if of default, until" in run("replay", "list").stdout
    assert run("replay", "what-if", "Back").returncode == 2
    assert run("replay", "what-if", "b", "--set", "session_gap=60").returncode == 1
    assert run("replay", "what-if", "b", "--received-by", "yesterday").returncode == 2
    assert run("replay", "drop", "back").returncode == 0
    assert "there is no generation 'back'" in run("replay", "diff", "live", "back").stderr
    assert "there is no generation back" in run("replay", "drop", "back").stderr
    assert "g1 is the live generation" in run("replay", "drop", "g1").stderr
    assert up.stop() == 0
