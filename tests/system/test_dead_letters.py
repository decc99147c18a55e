"""What was kept aside can be looked at, sent again at its own time, and dropped."""

import asyncio
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import orjson
import pytest

from services.ingest.dead_letters import UNDECIDABLE, find_letters, list_letters, retry_letter
from shared.log.port import Position
from shared.projection import projector as projector_module
from shared.projection.batch import decode
from shared.projection.changes import Changes, EventsArrived
from shared.projection.pipeline import Context
from shared.projection.poison import project_or_dead_letter
from shared.projection.projector import Projector
from shared.projection.sql import Connection
from shared.projection.stage_order import PIPELINE
from tests.conftest import Workspace
from tests.processes import start

CAMPAIGN = {"type": "campaign_created", "id": "c", "campaign_id": "c", "utm_campaign": "c",
            "occurred_at": "2024-01-01T00:00:00Z"}  # fmt: skip
VISIT = {"type": "page_visited", "id": "v", "visitor_id": "v", "url": "https://x.example/?utm_campaign=c",
         "occurred_at": "2024-03-01T00:00:00Z"}  # fmt: skip


async def views(workspace: Workspace, query: str = "") -> int:
    return int((await workspace.get(f"/v1/campaigns/c/overview{query}")).json()["metrics"]["page_views"])


async def letters(workspace: Workspace) -> list[int]:
    return [each.number for each in await list_letters(workspace.running.pool, workspace.name, None, 0, 100)]


def test_a_refused_event_counts_at_its_own_time_once_it_can_be_taken(
    workspace: Workspace, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        pool, log = workspace.running.pool, workspace.running.log
        visit = {name: value for name, value in VISIT.items() if name not in ("id", "occurred_at")}
        await workspace.send(CAMPAIGN, visit | {"odd": 1})
        (number,) = await letters(workspace)
        (letter,) = await find_letters(pool, workspace.name, [number])
        assert letter.reason == "unknown_field"
        assert await retry_letter(pool, log, letter) == "odd: Object contains unknown field `odd`"
        assert await letters(workspace) == [number]
        await pool.execute(
            "UPDATE touchline.dead_letter SET received_at = '2024-03-01T12:00:00Z', body = $2 WHERE dead_letter_id = $1",
            number, orjson.dumps(visit),
        )  # fmt: skip
        (letter,) = await find_letters(pool, workspace.name, [number])
        assert isinstance(await retry_letter(pool, log, letter), Position)
        assert isinstance(
            await retry_letter(pool, log, letter), Position
        )  # as if it had not been dropped the first time
        assert await letters(workspace) == []
        await workspace.project()
        assert await views(workspace) == 1
        assert await views(workspace, "?from=2024-03-01T12:00:00Z&to=2024-03-01T12:00:01Z") == 1

    runner.run(check())


def test_an_event_that_no_rule_could_take_counts_when_the_rule_is_mended(
    workspace: Workspace, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        async def run(self, context: Context, changes: Sequence[EventsArrived]) -> Changes:
            if any(arrived.event_id == "poison" for change in changes for arrived in change.arrived):
                raise ZeroDivisionError("a rule is broken")
            return await PIPELINE.run(context, changes)

    async def check() -> None:
        pool, log = workspace.running.pool, workspace.running.log
        await workspace.send(CAMPAIGN, VISIT, VISIT | {"id": "poison"}, VISIT | {"id": "after"})
        monkeypatch.setattr(projector_module, "PIPELINE", Broken())
        async with Connection.of(pool, "g1") as connection:
            projector = Projector(log, workspace.partition)
            await projector.take(connection)
            while entries := await log.read(workspace.partition, projector.offset, 1000):
                await project_or_dead_letter(connection, projector, decode(entries))
        assert await views(workspace) == 2
        (letter,) = await list_letters(pool, workspace.name, "cannot_be_projected", 0, 10)
        monkeypatch.setattr(projector_module, "PIPELINE", PIPELINE)
        assert isinstance(await retry_letter(pool, log, letter), Position)
        await workspace.project()
        assert await views(workspace) == 3
        assert await letters(workspace) == []

    runner.run(check())


def test_a_claim_to_a_taken_id_cannot_be_sent_again(workspace: Workspace, runner: asyncio.Runner) -> None:
    async def check() -> None:
        await workspace.send(VISIT, VISIT | {"url": "https://x.example/other"})
        await workspace.project()
        (letter,) = await list_letters(workspace.running.pool, workspace.name, "conflicting_duplicate", 0, 10)
        assert await retry_letter(workspace.running.pool, workspace.running.log, letter) == UNDECIDABLE

    runner.run(check())


@pytest.fixture
def stopped(tmp_path: Path) -> Path:
    data = tmp_path / "data"
    up = start(data)
    with up.client("server") as client:
        client.post("/v1/events", json=[CAMPAIGN, VISIT | {"odd": 1}, {"type": "nothing", "id": "n"}])
    assert up.stop() == 0
    return data


def test_the_commands_list_show_retry_and_drop(stopped: Path) -> None:
    def run(*arguments: str, code: int = 0, says: str = "") -> str:
        command = [sys.executable, "-m", "touchline", "dead-letters", *arguments, "--data", str(stopped)]
        done = subprocess.run(command, input=says, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr
        return done.stdout

    listed = orjson.loads(run("list", "--json"))["dead_letters"]
    assert [each["reason"] for each in listed] == ["unknown_field", "unknown_type"]
    first, second = (str(each["number"]) for each in listed)
    assert "unknown_field" in run("list")
    assert "nothing" not in run("list", "--reason", "unknown_field")
    assert '"odd":1' in run("show", first).replace(" ", "")
    for number in ("999999", "99999999999999999999"):
        run("show", number, code=1)
        run("retry", number, code=1)
    run("list", "--workspace", "nowhere", code=2)
    run("retry", code=2)
    assert "sent again: 0" in run("retry", "--all", code=1)
    assert "dropped: 1" in run("drop", second, "999999", code=1)
    run("drop", "--all", code=1)  # nobody is there to say yes
    run("drop", "--all", says="n\n", code=1)
    assert len(orjson.loads(run("list", "--json"))["dead_letters"]) == 1
    assert "dropped: 0" in run("drop", "--all", "--reason", "unknown_type", says="y\n")
    assert "dropped: 1" in run("drop", "--all", "--reason", "unknown_field", "--yes")
    assert orjson.loads(run("list", "--json"))["dead_letters"] == []


def test_an_admin_key_lists_dead_letters_sends_them_again_and_deletes_them_over_http(
    workspace: Workspace, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        for odd in (1, 2, 3):
            await workspace.send(CAMPAIGN, VISIT | {"id": f"v{odd}", "odd": odd})
        mended = "UPDATE touchline.dead_letter SET body = $2 WHERE dead_letter_id = $1"
        async with workspace.client("admin") as client:
            first = (await client.get("/v1/dead-letters?limit=2&reason=unknown_field")).json()
            rest = (await client.get(f"/v1/dead-letters?cursor={first['next_cursor']}")).json()
            one, two, three = [each["number"] for each in first["items"] + rest["items"]]
            assert (first["items"][0]["event_id"], orjson.loads(first["items"][0]["body"])["odd"]) == ("v1", 1)
            refused = await client.post(f"/v1/dead-letters/{one}/retry")
            assert (refused.status_code, refused.json()["code"]) == (409, "refused_again")
            await workspace.running.pool.execute(mended, two, orjson.dumps(VISIT))
            assert (await client.post(f"/v1/dead-letters/{two}/retry")).status_code == 200
            assert (await client.delete(f"/v1/dead-letters/{three}")).status_code == 204
            assert (await client.delete(f"/v1/dead-letters/{three}")).status_code == 404
        assert await letters(workspace) == [one]
        await workspace.project()
        assert await views(workspace) == 1

    runner.run(check())


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "cursor=x", "odd=1"])
def test_a_bad_parameter_of_the_list_of_dead_letters_is_named(
    workspace: Workspace, runner: asyncio.Runner, query: str
) -> None:
    async def check() -> None:
        async with workspace.client("admin") as client:
            answer = await client.get(f"/v1/dead-letters?{query}")
        assert (answer.status_code, answer.json()["field"]) == (422, query.partition("=")[0])

    runner.run(check())


@pytest.mark.parametrize("scope", ["collect", "server", "read"])
def test_only_an_admin_key_sees_what_was_refused(workspace: Workspace, runner: asyncio.Runner, scope: str) -> None:
    async def check() -> None:
        async with workspace.client(scope) as client:
            assert (await client.get("/v1/dead-letters")).status_code == 403
            assert (await client.post("/v1/dead-letters/1/retry")).status_code == 403

    runner.run(check())
