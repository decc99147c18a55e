"""Every scope of keys, at every endpoint, with every event type: a table of what is allowed, and nothing else is."""

import asyncio
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.ingest.limit_settings import Rates
from services.ingest.limits import Limits
from shared.access.keys import PREFIX, revoke_keys
from shared.access.scopes import SCOPES, Scope
from shared.events.registry import REGISTRY
from tests.conftest import Workspace, new_workspace
from tests.fuzz import KEPT_WHOLE, Mutator
from tests.system.every_read import PATHS, world
from touchline.compose import Running

GOLDEN = Path(__file__).parents[1] / "unit" / "golden"
READERS = ("server", "read", "admin")
REFUSED_WHATEVER_THE_KEY = {"contact_forgotten": "forgetting_not_supported"}
BATCHES, BATCH_PAYLOADS, PAYLOADS_SEED = 1_000, 10, 20_260_101


def event_of(type_: str, scope: str) -> dict[str, Any]:
    """An event with every field that keys of the scope may send, if they may send the type at all."""
    event: dict[str, Any] = json.loads((GOLDEN / f"{type_}.json").read_text())
    if scope == "collect":
        event.pop("as_of", None)
        if isinstance(event.get("contact"), dict):
            event["contact"].pop("id", None)
            event["contact"].setdefault("email", "kari@example.no")
    return event | {"id": f"{type_}-{scope}"}


async def call(workspace: Workspace, key: str | None, method: str, path: str, **given: Any) -> httpx.Response:
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    async with workspace.client() as client:
        del client.headers["Authorization"]
        return await client.request(method, path, headers=headers, **given)


def expected(type_: str, scope: Scope) -> tuple[int, str | None]:
    """Status and code of an event's type by the scope of its key."""
    if scope not in ("server", "collect"):
        return 403, "forbidden"
    if scope not in REGISTRY[type_].sent_by:
        return 422, "not_allowed_for_key"
    if type_ in REFUSED_WHATEVER_THE_KEY:
        return 422, REFUSED_WHATEVER_THE_KEY[type_]
    return 202, None


@pytest.mark.parametrize("scope", SCOPES)
def test_each_event_type_is_taken_from_the_scopes_that_may_send_it(
    workspace: Workspace, runner: asyncio.Runner, scope: Scope
) -> None:
    async def check() -> None:
        wrong = {}
        for type_ in REGISTRY:
            answer = await call(workspace, workspace.keys[scope], "POST", "/v1/events", json=event_of(type_, scope))
            body = answer.json()
            code = body["rejected"][0]["code"] if body.get("rejected") else body.get("code")
            if (answer.status_code, code) != expected(type_, scope):
                wrong[type_] = answer.status_code, body
        assert wrong == {}

    runner.run(check())


def test_the_table_has_every_type_and_public_keys_may_send_few() -> None:
    assert set(REGISTRY) == {path.stem for path in GOLDEN.glob("*.json")}
    assert {type_ for type_ in REGISTRY if expected(type_, "collect")[0] == 202} == {
        "page_visited", "form_submitted", "cta_viewed", "cta_clicked", "ad_clicked", "contact_identified", "unmapped_event",
    } & set(REGISTRY)  # fmt: skip


def test_each_read_is_answered_to_the_scopes_that_may_read_and_of_their_own_workspace(
    running: Running, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        workspace, foreign = await new_workspace(running, "mine"), await new_workspace(running, "foreign")
        await workspace.send(*world(visitors=6))
        await workspace.project()
        wrong = {}
        for paths in PATHS.values():
            for path in paths:
                for scope in SCOPES:
                    answer = await call(workspace, workspace.keys[scope], "GET", path)
                    if answer.status_code != (200 if scope in READERS else 403):
                        wrong[path, scope] = answer.status_code
                    other = await call(workspace, foreign.keys[scope], "GET", path)
                    text = other.text
                    if scope in READERS and (other.status_code not in (200, 404) or "Spring" in text or "k1@" in text):
                        wrong[path, "foreign", scope] = other.status_code
                for key in (None, "", "tlr_short", PREFIX["read"] + "x" * 32):
                    answer = await call(workspace, key, "GET", path)
                    if answer.status_code != 401:
                        wrong[path, str(key)] = answer.status_code
        assert wrong == {}

    runner.run(check())


def test_events_stay_in_the_workspace_of_their_key(running: Running, runner: asyncio.Runner) -> None:
    async def check() -> None:
        mine, foreign = await new_workspace(running, "mine"), await new_workspace(running, "foreign")
        await mine.send(*world(visitors=6))
        for scope in ("server", "collect"):
            event = {"type": "page_visited", "visitor_id": "v1", "url": "https://a.example/?utm_campaign=spring"}
            assert (await call(mine, foreign.keys[scope], "POST", "/v1/events", json=event)).status_code == 202
        for workspace in (mine, foreign):
            await workspace.project()
        before = (await mine.get("/v1/campaigns/spring/overview")).json()
        assert before["metrics"]["page_views"] == 9
        assert (await foreign.get("/v1/campaigns/spring/overview")).status_code == 404

    runner.run(check())


def test_a_revoked_key_does_nothing_anywhere(running: Running, runner: asyncio.Runner) -> None:
    async def check() -> None:
        workspace = await new_workspace(running, "revoked")
        async with running.pool.acquire() as connection:
            for scope in SCOPES:
                assert await revoke_keys(connection, workspace.name, workspace.keys[scope]) == 1
        visit = event_of("page_visited", "collect")
        for scope in SCOPES:
            key = workspace.keys[scope]
            assert (await call(workspace, key, "POST", "/v1/events", json=visit)).status_code == 401, scope
            assert (await call(workspace, key, "POST", "/v1/workspaces", json={"name": "x"})).status_code == 401, scope
            for paths in PATHS.values():
                assert (await call(workspace, key, "GET", paths[0])).status_code == 401, (scope, paths[0])
        pixel = await call(workspace, None, "GET", f"/v1/p.gif?k={workspace.keys['collect']}&v=v&u=https://a.example/")
        assert len(pixel.content) == 43
        kept = "SELECT count(*) FROM touchline.dead_letter WHERE workspace_id = $1"
        assert await running.pool.fetchval(kept, workspace.name) == 0

    runner.run(check())


def test_workspaces_are_made_by_the_operators_admin_key_alone(workspace: Workspace, runner: asyncio.Runner) -> None:
    async def check() -> None:
        for scope in SCOPES:
            answer = await call(workspace, workspace.keys[scope], "POST", "/v1/workspaces", json={"name": "x"})
            assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), scope

    runner.run(check())


@pytest.mark.parametrize("scope", ["collect", "server"])
def test_of_a_thousand_hostile_batches_every_payload_is_accepted_rejected_or_kept(
    running: Running, runner: asyncio.Runner, scope: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The daily bounds of a collect key are met on the way."""

    async def check() -> None:
        workspace = await new_workspace(running, "hostile")
        mutator, result = Mutator(random.Random(PAYLOADS_SEED)), Counter[str]()
        async with workspace.client(scope) as client:
            for _ in range(BATCHES // 2):
                payloads = [mutator.payload() for _ in range(BATCH_PAYLOADS)]
                answer = await client.post("/v1/events", content=b"\n".join(payloads), headers={"Content-Type": "application/x-ndjson"})  # fmt: skip
                body = answer.json()
                result["sent"] += len(payloads)
                if "rejected" in body:
                    accepted, rejected = body["accepted"], len(body["rejected"])
                    assert answer.status_code == (202 if accepted else 422)
                    assert accepted + rejected == len(payloads)
                    assert len({each["index"] for each in body["rejected"]}) == rejected
                    result["accepted"] += accepted
                    result["rejected"] += rejected
                    result.update(each["code"] for each in body["rejected"])
                else:
                    assert (answer.status_code, body["code"] in KEPT_WHOLE) == (422, True), body
                    result["kept"] += len(payloads)
                    result["bodies"] += 1
        assert result["accepted"] + result["rejected"] + result["kept"] == result["sent"]
        assert result["accepted"] > 100
        assert result["rejected"] > 100
        assert any(code.startswith("too_many_") for code in result) == (scope == "collect")
        letters = await running.pool.fetchval(
            "SELECT count(*) FROM touchline.dead_letter WHERE workspace_id = $1", workspace.name
        )
        assert letters == result["rejected"] + result["bodies"]
        await workspace.project()
        stored = await running.pool.fetchval(
            "SELECT count(*) FROM touchline.dead_letter WHERE workspace_id = $1 AND partition IS NULL", workspace.name
        )
        assert stored == letters

    limits = Limits(
        Rates(key_events_per_s=0, visitors_a_day=1, contacts_a_day=1, assets_a_day=1, pages_a_day=1, utm_values_a_day=1)
    )
    monkeypatch.setattr(_ingest_of(running), "limits", limits)
    runner.run(check())


def _ingest_of(running: Running) -> Any:
    """What the routes of the ingest service work with."""
    waiting: list[Any] = list(running.app.routes)
    while waiting:
        route = waiting.pop()
        included = getattr(route, "original_router", None)
        if included is not None:
            waiting += included.routes
        elif getattr(route, "path", None) == "/v1/events" and "POST" in route.methods:
            (ingest,) = [
                cell.cell_contents for cell in route.endpoint.__closure__ if hasattr(cell.cell_contents, "limits")
            ]
            return ingest
    raise AssertionError("there is no route /v1/events")
