"""What whoever runs the service can see: which projections there are, how they differ, and what came of checking them."""

import asyncio
import datetime as dt
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from prometheus_client import REGISTRY

from services.replay import build
from services.replay.build import Build, Resources, scratch
from services.replay.rebuild import Rebuild
from services.replay.verify import verify
from services.replay.what_if import Changes, what_if
from shared.access.keys import create_workspace
from shared.access.scopes import OPERATOR_WORKSPACE
from shared.log.port import LogDamaged
from shared.projection.generations import live_generation
from shared.store.verifications import CHARACTERS_MAX, DIFFERENCES_MAX, VerificationResult, read_verifications, recorded
from tests.conftest import Workspace, new_workspace
from touchline.compose import Running, _tidy, compose
from touchline.configuration import Configuration


def at(hour: int, minute: int = 0) -> str:
    return f"2024-03-01T{hour:02d}:{minute:02d}:00Z"


STORY: list[dict[str, Any]] = [
    {"type": "campaign_created", "id": "c1", "campaign_id": "spring", "name": "Spring", "occurred_at": at(1)},
    {"type": "campaign_created", "id": "c2", "campaign_id": "quiet", "occurred_at": at(1)},
    {"type": "asset_registered", "id": "r1", "asset_id": "lp", "asset_type": "landing_page", "url": "https://s.example/lp", "occurred_at": at(1)},
    {"type": "asset_associated", "id": "a1", "asset_id": "lp", "campaign_id": "spring", "occurred_at": at(1, 30)},
    {"type": "page_visited", "id": "p1", "visitor_id": "v", "url": "https://s.example/lp", "occurred_at": at(2)},
    {"type": "page_visited", "id": "p2", "visitor_id": "v", "url": "https://s.example/lp", "occurred_at": at(2, 45)},
    {"type": "contact_identified", "id": "i1", "visitor_id": "v", "contact": {"email": "kari@example.no"}, "occurred_at": at(3)},
]  # fmt: skip


@pytest.fixture
def own(own_database: str, runner: asyncio.Runner) -> Iterator[Running]:
    running = runner.run(compose(own_database, Configuration(kafka_bootstrap_servers=None)))
    yield running
    runner.run(running.close())


async def operator(own: Running) -> Workspace:
    """The workspace of whoever runs the service, with a small story in it."""
    keys = await create_workspace(own.pool, OPERATOR_WORKSPACE, "Ours")
    assert keys is not None
    workspace = Workspace(own, OPERATOR_WORKSPACE, dict(keys))
    assert (await workspace.send(*STORY)).status_code == 202
    await workspace.project()
    return workspace


async def verified(own: Running) -> Any:
    return await verify(Resources(own.pool, own.log), "test", lambda _: None, lambda _: None)


async def items(workspace: Workspace, path: str) -> list[dict[str, Any]]:
    answer: httpx.Response = await workspace.get(path)
    assert answer.status_code == 200, answer.text
    reply: list[dict[str, Any]] = answer.json()["items"]
    return reply


def test_each_verification_is_kept_with_what_it_found_in_words_and_without_values(
    own: Running, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        workspace, other = await operator(own), await new_workspace(own, "other")
        comparison = await verified(own)
        await own.pool.execute("UPDATE g1.contact SET name = 'ola@example.no'")
        await verified(own)
        differed, agreed = await items(workspace, "/v1/verifications")
        assert (agreed["state"], agreed["differences"], agreed["failure"]) == ("agreed", [], None)
        assert agreed["offsets"] == {str(partition): offset for partition, offset in comparison.offsets.items()}
        assert agreed["tables"] == len(comparison.tables)
        assert agreed["began_at"] < agreed["ended_at"] < differed["ended_at"]
        assert (differed["state"], differed["generation"], differed["made_by"]) == ("differed", "g1", "verify")
        (difference,) = differed["differences"]
        assert difference.startswith("contact (ws 1, contact ")
        assert difference.endswith("differs in name; event i1")
        for one in await items(other, "/v1/verifications"):  # it does not see the rows of others
            assert [one[name] for name in ("differences", "offsets", "events", "rows")] == [None] * 4
        (first,) = await items(workspace, "/v1/verifications?limit=1")
        assert first["number"] == differed["number"]

    runner.run(check())


def test_a_verification_that_goes_on_one_that_failed_and_one_that_was_killed_are_distinguished(
    own: Running, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        workspace = await operator(own)
        try:
            async with recorded(own.pool, "verify", "g1"):
                assert [one["state"] for one in await items(workspace, "/v1/verifications")] == ["running"]
                raise asyncio.CancelledError
        except asyncio.CancelledError:
            pass
        await own.pool.execute("DELETE FROM touchline.event_log")
        with pytest.raises(LogDamaged):
            await verified(own)
        failed, killed = await items(workspace, "/v1/verifications")
        assert (killed["state"], killed["ended_at"]) == ("not_ended", None)
        assert failed["state"] == "failed"
        assert "ends at" in failed["failure"]

    runner.run(check())


def test_what_is_kept_of_differences_is_bounded(own: Running, runner: asyncio.Runner) -> None:
    async def check() -> None:
        async with recorded(own.pool, "verify", "g1") as record:
            record.result = VerificationResult(differences=["x" * 10_000] * 500)
        async with own.pool.acquire() as connection:
            (kept,) = await read_verifications(connection, None, 10)
        assert [len(one) for one in kept["differences"]] == [CHARACTERS_MAX] * DIFFERENCES_MAX

    runner.run(check())


def test_a_rebuild_records_what_it_compared_and_only_a_verify_that_agreed_sets_the_gauge(
    own: Running, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        workspace = await operator(own)
        await Rebuild(Resources(own.pool, own.log), lambda _: None, lambda _: None).run()
        (rebuilt,) = await items(workspace, "/v1/verifications")
        assert (rebuilt["made_by"], rebuilt["generation"], rebuilt["state"]) == ("rebuild", "g1", "agreed")
        began_s = dt.datetime.now(dt.UTC).timestamp() - 60  # the database's clock is that of this machine
        await verified(own)
        await _tidy(own.pool, own.log)
        name, labels = "touchline_projector_verified_timestamp_seconds", {"extent": "everything"}
        assert (REGISTRY.get_sample_value(name, labels) or 0) > began_s

    runner.run(check())


async def hourly(own: Running, workspace: Workspace) -> None:
    changes = Changes({"session_gap_minutes": 60}, (), ["p1"])
    resources = Resources(own.pool, own.log)
    await what_if(resources, "hourly", workspace.name, changes, dt.timedelta(days=7), lambda _: None, lambda _: None)


def test_generations_are_listed_and_other_workspaces_learn_nothing_of_ours(
    own: Running, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        workspace, other = await operator(own), await new_workspace(own, "other")
        await hourly(own, workspace)
        live, changed = await items(workspace, "/v1/generations")
        assert (live["name"], live["state"], live["events"], live["behind_events"]) == ("g1", "live", len(STORY), 0)
        assert live["bytes"] > 0
        assert (changed["name"], changed["state"], changed["workspace"]) == ("hourly", "what_if", OPERATOR_WORKSPACE)
        assert changed["changes"] == {"settings": {"session_gap_minutes": 60}, "added": 0, "without": 1, "received_by": None}  # fmt: skip
        (seen,) = await items(other, "/v1/generations")
        assert (seen["name"], seen["events"], seen["behind_events"], seen["bytes"]) == ("g1", None, None, None)
        assert (await other.get("/v1/generations/hourly/difference")).status_code == 404

    runner.run(check())


def test_what_is_being_made_shows_how_far_it_is(
    own: Running, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "REPORT_EVERY_S", 0.01)

    async def check() -> None:
        workspace, seen = await operator(own), asyncio.Event()
        found: list[dict[str, Any]] = []

        async def look(upto: int) -> None:
            while not found or found[-1]["made"] is None or found[-1]["made"]["events"] < upto:
                found[:] = [one for one in await items(workspace, "/v1/generations") if one["state"] == "unfinished"]
            seen.set()

        resources = Resources(own.pool, own.log)
        async with scratch(own.pool, "verify", "far", await live_generation(own.pool)) as generation:
            making = Build(resources, generation, lambda _: None)
            async with making._reporting(2 * len(STORY)), asyncio.timeout(30), asyncio.TaskGroup() as group:
                making._advance(len(STORY))
                group.create_task(look(len(STORY)))
        assert seen.is_set()
        assert (found[0]["name"], found[0]["made"]["of_events"]) == ("verify_far", 2 * len(STORY))

    runner.run(check())


def test_a_what_if_is_compared_with_the_live_numbers_campaign_by_campaign(own: Running, runner: asyncio.Runner) -> None:
    async def check() -> None:
        workspace = await operator(own)
        await hourly(own, workspace)
        answer = (await workspace.get("/v1/generations/hourly/difference")).json()
        assert (answer["generation"], answer["same_position"], answer["model"]) == ("hourly", True, "linear")
        (spring,) = answer["campaigns"]  # the other one does not differ
        assert (spring["campaign_id"], spring["name"]) == ("spring", "Spring")
        assert spring["metrics"] == {"page_views": {"before": 2, "after": 1}, "sessions": {"before": 2, "after": 1}}
        await workspace.send({"type": "page_visited", "id": "p3", "visitor_id": "v", "url": "https://s.example/lp"})
        await workspace.project()
        later = (await workspace.get("/v1/generations/hourly/difference")).json()
        assert later["same_position"] is False
        assert later["campaigns"][0]["metrics"]["page_views"] == {"before": 3, "after": 1}
        back = (await workspace.get("/v1/generations/g1/difference?generation=hourly")).json()
        assert back["campaigns"][0]["metrics"]["page_views"] == {"before": 1, "after": 3}

    runner.run(check())
