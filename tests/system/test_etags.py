"""A client that has an answer keeps it while nothing of it has changed, and the service works nothing out meanwhile."""

import asyncio
import datetime as dt
import gzip
import time
import types
from typing import Any

import httpx
import pytest

from services.api import etags
from shared.projection.generations import Generation, create_generation, drop_generation, point_at
from shared.reading import overview
from shared.reading.snapshot import Snapshot
from tests.conftest import Workspace, new_workspace
from tests.system.test_workspace_isolation import two_of_one_partition
from touchline.compose import Running, compose
from touchline.configuration import Configuration

SPRING: list[dict[str, Any]] = [
    {"type": "campaign_created", "id": "c", "campaign_id": "spring", "name": "Spring", "utm_campaign": "s", "occurred_at": "2025-01-01T00:00:00Z"},
    {"type": "page_visited", "id": "v1", "visitor_id": "v", "url": "https://a.example/?utm_campaign=s", "occurred_at": "2025-01-02T00:00:00Z"},
    {"type": "form_submitted", "id": "f", "visitor_id": "v", "asset_id": "form", "contact": {"id": "7"}, "occurred_at": "2025-01-02T00:01:00Z"},
    {"type": "deal_created", "id": "d", "deal_id": "d", "amount": "10.00", "currency": "EUR", "contacts": [{"id": "7"}], "occurred_at": "2025-01-03T00:00:00Z"},
]  # fmt: skip
VISIT = {
    "type": "page_visited",
    "visitor_id": "w",
    "url": "https://a.example/?utm_campaign=s",
    "occurred_at": "2025-01-04T00:00:00Z",
}
ROWS_ALONE = (
    "/v1/campaigns", "/v1/campaigns/spring", "/v1/campaigns/spring/contacts", "/v1/campaigns/spring/deals", "/v1/campaigns/spring/assets",
    "/v1/campaigns/spring/refusals", "/v1/contacts", "/v1/contacts/7", "/v1/contacts/7/journey", "/v1/deals/d/attribution",
    "/v1/deals/d/explain?campaign=spring", "/v1/identifiers", "/v1/reports/attribution",
)  # fmt: skip
OVERVIEW = "/v1/campaigns/spring/overview"
MORE = ("/v1/status", "/v1/producers", "/v1/events/v1/explain")


async def filled(running: Running) -> Workspace:
    workspace = await new_workspace(running, "kept")
    assert (await workspace.send(*SPRING)).json()["rejected"] == []
    await workspace.project()
    return workspace


async def until_counted(workspace: Workspace) -> None:
    """Wait until what was sent is counted: that is written once a second, and changes the answer of `/v1/producers`."""
    async with asyncio.timeout(60):
        while not (await workspace.get("/v1/producers")).json()["items"]:
            await asyncio.sleep(0.1)


async def again(workspace: Workspace, path: str, etag: str, **headers: str) -> httpx.Response:
    async with workspace.client() as client:
        return await client.get(path, headers={"If-None-Match": etag, **headers})


@pytest.fixture
def minute(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The clock of the tags, so that no test runs across the end of a minute."""
    clock = [1_700_000_000.0]
    monkeypatch.setattr(etags.time, "time", lambda: clock[0])  # type: ignore[attr-defined]
    return clock


def test_an_answer_is_kept_until_an_event_of_its_workspace_is_projected(
    running: Running, runner: asyncio.Runner, minute: list[float]
) -> None:
    async def check() -> None:
        workspace = await filled(running)
        await until_counted(workspace)
        tags = {path: (await workspace.get(path)).headers["etag"] for path in (*ROWS_ALONE, OVERVIEW, *MORE)}
        for path, tag in tags.items():
            answer = await again(workspace, path, tag)
            assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", tag), path
            assert answer.headers["cache-control"] == "private, no-cache"
            assert {"Authorization", "Accept"} <= set(answer.headers["vary"].split(", "))
        await workspace.send(VISIT)
        assert (await again(workspace, OVERVIEW, tags[OVERVIEW])).status_code == 304  # it is not projected yet
        await workspace.project()
        for path in (*ROWS_ALONE, OVERVIEW):
            answer = await again(workspace, path, tags[path])
            assert answer.status_code == 200, path
            assert answer.headers["etag"] != tags[path]
        assert (await workspace.get(OVERVIEW)).json()["metrics"]["page_views"] == 2

    runner.run(check())


def test_what_is_kept_is_not_worked_out(
    running: Running, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch, minute: list[float]
) -> None:
    asked: list[Any] = []
    fetch = Snapshot.fetch

    async def noted(snapshot: Snapshot, statement: Any, *arguments: Any) -> list[Any]:
        asked.append(statement)
        return await fetch(snapshot, statement, *arguments)

    monkeypatch.setattr(Snapshot, "fetch", noted)

    async def check() -> None:
        workspace = await filled(running)
        for path in (*ROWS_ALONE, OVERVIEW):
            tag = (await workspace.get(path)).headers["etag"]
            asked.clear()
            assert (await again(workspace, path, tag)).status_code == 304
            assert asked == [], path

    runner.run(check())


def test_what_the_neighbours_send_changes_no_tag(running: Running, runner: asyncio.Runner) -> None:
    async def check() -> None:
        one, other = await two_of_one_partition(running)
        await one.send(*SPRING)
        await one.project()
        tag = (await one.get("/v1/campaigns")).headers["etag"]
        await other.send(*[VISIT] * 50)
        await one.project()
        assert (await again(one, "/v1/campaigns", tag)).status_code == 304

    runner.run(check())


def test_who_keeps_the_status_learns_that_rows_have_changed(running: Running, runner: asyncio.Runner) -> None:
    async def check() -> None:
        workspace = await filled(running)
        first = await workspace.get("/v1/status")
        assert (await again(workspace, "/v1/status", first.headers["etag"])).status_code == 304
        await workspace.send(VISIT)
        await workspace.project()
        assert (await again(workspace, "/v1/status", first.headers["etag"])).status_code == 200

    runner.run(check())


def test_a_tag_is_of_one_request_in_one_form_of_one_workspace(running: Running, runner: asyncio.Runner) -> None:
    async def check() -> None:
        workspace, other = await filled(running), await filled(running)
        found = [
            (await workspace.get("/v1/campaigns")).headers["etag"],
            (await workspace.get("/v1/campaigns?limit=2")).headers["etag"],
            (await workspace.get("/v1/campaigns?format=csv")).headers["etag"],
            (await workspace.get("/v1/contacts")).headers["etag"],
            (await again(workspace, "/v1/campaigns", '"x"', Accept="text/csv")).headers["etag"],
            (await other.get("/v1/campaigns")).headers["etag"],
        ]
        assert len(set(found)) == len(found)

    runner.run(check())


def test_settled_through_is_kept_for_a_minute_and_no_longer(
    running: Running, runner: asyncio.Runner, minute: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overview, "time", time)

    async def check() -> None:
        workspace = await filled(running)
        first = await workspace.get(OVERVIEW)
        minute[0] += etags.SETTLED_S
        assert (await again(workspace, OVERVIEW, first.headers["etag"])).status_code == 200
        assert (
            await again(workspace, "/v1/campaigns", (await workspace.get("/v1/campaigns")).headers["etag"])
        ).status_code == 304

    runner.run(check())


def test_a_status_of_settled_numbers_is_the_same_within_a_minute(
    running: Running, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = [1_900_000_000 - 1_900_000_000 % 60]
    monkeypatch.setattr(overview, "time", types.SimpleNamespace(time_ns=lambda: now_s[0] * 10**9))

    async def check() -> None:
        workspace = await filled(running)
        assert (await workspace.get("/v1/status")).json()["settled_through"] is None
        now = dt.datetime.now(dt.UTC).isoformat()
        await workspace.send(
            {"type": "page_visited", "visitor_id": "v", "url": "https://s.example/", "occurred_at": now}
        )
        await workspace.project()
        now_s[0] += 30  # what is settled is some seconds before, so that this is not at the beginning of a minute
        first = await workspace.get("/v1/status")
        assert first.json()["settled_through"].endswith(":00Z")
        now_s[0] += 1
        assert (await again(workspace, "/v1/status", first.headers["etag"])).status_code == 304
        now_s[0] += 60
        assert (await again(workspace, "/v1/status", first.headers["etag"])).status_code == 200

    runner.run(check())


def test_a_dead_letter_changes_the_tags_of_what_shows_dead_letters(running: Running, runner: asyncio.Runner) -> None:
    async def check() -> None:
        workspace = await filled(running)
        before = {
            path: (await workspace.get(path)).headers["etag"]
            for path in ("/v1/status", "/v1/producers", "/v1/campaigns")
        }
        await workspace.send({"type": "no_such_type"})
        assert (await again(workspace, "/v1/status", before["/v1/status"])).status_code == 200
        assert (await again(workspace, "/v1/campaigns", before["/v1/campaigns"])).status_code == 304

    runner.run(check())


def test_a_kept_answer_is_the_answer_that_would_be_given(
    running: Running, runner: asyncio.Runner, minute: list[float]
) -> None:
    """Whatever comes, either the tag is another or the answer is the same but for its position."""

    async def check() -> None:
        workspace = await filled(running)
        kept: dict[str, httpx.Response] = {}
        for event in (
            VISIT, VISIT | {"id": "x1"}, VISIT | {"id": "x1"}, {"type": "event_retracted", "event_id": "v1"}, VISIT,
            {"type": "workspace_configured", "settings": {"session_gap_minutes": 5, "currency": "NOK"}},
            {"type": "campaign_updated", "campaign_id": "spring", "name": "Autumn"}, {"type": "unknown"},
        ):  # fmt: skip
            for path in (*ROWS_ALONE, OVERVIEW):
                answer = await workspace.get(path)
                before = kept.get(path)
                if before is not None and before.headers["etag"] == answer.headers["etag"]:
                    answer_before, answer_after = before.json(), answer.json()
                    for each in (answer_before, answer_after):
                        each.pop("as_of"), each.pop("settled_through", None)
                    assert answer_before == answer_after, (path, event)
                kept[path] = answer
            await workspace.send(event)
            await workspace.project()

    runner.run(check())


def test_lists_of_tags_and_weak_ones_are_compared_as_http_says(running: Running, runner: asyncio.Runner) -> None:
    async def check() -> None:
        workspace = await filled(running)
        tag = (await workspace.get("/v1/campaigns")).headers["etag"]
        assert tag.startswith('W/"')
        for given in (f'"a", {tag}', tag.removeprefix("W/"), f'{tag},W/"b"'):
            assert (await again(workspace, "/v1/campaigns", given)).status_code == 304, given
        for given in ('"a"', tag[:-2] + '"', "", ",", "*"):
            assert (await again(workspace, "/v1/campaigns", given)).status_code == 200, given

    runner.run(check())


def test_a_long_answer_is_compressed_for_who_takes_gzip_and_the_pixel_never(
    running: Running, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        workspace = await filled(running)
        async with workspace.client() as client:
            await workspace.send(*({"type": "campaign_created", "campaign_id": f"c{n}"} for n in range(5)))
            await workspace.project()
            long = await client.send(
                client.build_request("GET", "/v1/campaigns", headers={"Accept-Encoding": "gzip"}), stream=True
            )
            raw = b"".join([part async for part in long.aiter_raw()])
            assert long.headers["content-encoding"] == "gzip"
            assert "Accept-Encoding" in long.headers["vary"]
            plain = await client.get("/v1/campaigns", headers={"Accept-Encoding": "identity"})
            assert "content-encoding" not in plain.headers
            assert gzip.decompress(raw) == plain.content
            assert len(raw) < len(plain.content) / 2
            assert plain.headers["etag"] == long.headers["etag"]
            short = await client.get("/v1/campaigns/spring", headers={"Accept-Encoding": "gzip"})
            assert "content-encoding" not in short.headers
            pixel = await client.get(
                f"/v1/p.gif?k={workspace.keys['collect']}&v=v&u=https://a.example/", headers={"Accept-Encoding": "gzip"}
            )
            assert (len(pixel.content), "content-encoding" in pixel.headers) == (43, False)

    runner.run(check())


def test_generations_that_change_places_or_names_have_tags_of_their_own(
    own_database: str, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        running = await compose(own_database, Configuration(kafka_bootstrap_servers=None))
        try:
            workspace = await filled(running)
            first = (await workspace.get("/v1/campaigns")).headers["etag"]
            seen = {first}
            other = Generation("g2", running.log.identity, running.log.partitions)
            for _ in range(2):  # of one name, one after the other
                async with running.pool.acquire() as connection, connection.transaction():
                    await create_generation(connection, other, live=True)
                answer = await again(workspace, "/v1/campaigns", ", ".join(seen))
                assert (answer.status_code, answer.json()["items"]) == (200, [])
                assert answer.headers["etag"] not in seen
                seen.add(answer.headers["etag"])
                async with running.pool.acquire() as connection, connection.transaction():
                    await point_at(connection, "g1")
                assert (await again(workspace, "/v1/campaigns", first)).status_code == 304
                async with running.pool.acquire() as connection:
                    assert await drop_generation(connection, "g2")
        finally:
            await running.close()

    runner.run(check())


def test_rows_made_again_for_other_settings_have_another_tag(running: Running, runner: asyncio.Runner) -> None:
    async def check() -> None:
        workspace = await filled(running)
        tag = (await workspace.get("/v1/campaigns")).headers["etag"]
        number = "SELECT number FROM touchline.workspace WHERE workspace_id = $1"
        own = await running.pool.fetchval(number, workspace.name)
        generation = running.generation.name
        await running.pool.execute(f"INSERT INTO {generation}.rows_of VALUES ($1, $2, 1)", own, 2_000_000_000 - own)
        assert (await again(workspace, "/v1/campaigns", tag)).status_code == 200
        await running.pool.execute(f"DELETE FROM {generation}.rows_of WHERE workspace = $1", own)

    runner.run(check())
