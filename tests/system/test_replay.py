"""The live projection is what the log makes of it; and where it is not, verify finds the row and names its event."""

import asyncio
import datetime as dt
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import orjson
import pytest

from services.replay.verify import Verdict, verify
from tests.conftest import Workspace, new_workspace
from tests.processes import start
from touchline.compose import Running, compose
from touchline.demo.mix import Mix
from touchline.embedded import Embedded
from touchline.settings import Settings

EVENTS = 4_000
END = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def mix(name: str) -> list[dict]:
    return [{**event, "id": f"{name}-{n}"} for n, event in enumerate(Mix(7, EVENTS, END).history())]


@pytest.fixture
def own(own_database: str, runner: asyncio.Runner) -> Iterator[Running]:
    running = runner.run(compose(own_database, Settings(kafka_bootstrap_servers=None)))
    yield running
    runner.run(running.close())


async def send(workspace: Workspace, events: list[dict]) -> None:
    for part in _parts(events):
        assert (await workspace.send(*part)).status_code == 202


def _parts(events: list[dict]) -> Iterator[list[dict]]:
    for n in range(0, len(events), 500):
        yield events[n : n + 500]


async def verified(running: Running) -> Verdict:
    told: list[int] = []
    advanced: list[int] = []
    verdict = await verify(running.pool, running.log, "test", told.append, advanced.append)
    assert told == [sum(advanced)] == [sum(verdict.offsets.values())]
    left = await running.pool.fetchval("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'verify%'")
    assert left == 0
    return verdict


CORRUPTIONS = {
    "contact": "UPDATE g1.contact SET name = name || '!' WHERE contact = (SELECT min(contact) FROM g1.contact)",
    "touch": "DELETE FROM g1.touch WHERE event_id = (SELECT max(event_id) FROM g1.touch)",
    "claim": "UPDATE g1.claim SET to_us = to_us - 1 WHERE ctid = (SELECT min(ctid) FROM g1.claim)",
    "credit": "UPDATE g1.credit SET step = step + 1000 WHERE ctid = (SELECT min(ctid) FROM g1.credit)",
    "seen": "UPDATE g1.seen SET live = false WHERE ctid = (SELECT min(ctid) FROM g1.seen)",
    "visitor": "DELETE FROM g1.visitor WHERE ctid = (SELECT min(ctid) FROM g1.visitor)",
}


def test_a_sound_store_is_equal_and_a_corrupted_row_is_found_and_named(own: Running, runner: asyncio.Runner) -> None:
    async def check() -> None:
        workspace = await new_workspace(own, "verify")
        sent = mix("a")
        await send(workspace, sent)
        await workspace.project(700)
        verdict = await verified(own)
        assert verdict.differing == []
        assert verdict.tables["touch"][0].rows > EVENTS / 2
        ids = {event["id"] for event in sent}
        for table, statement in CORRUPTIONS.items():
            async with own.pool.acquire() as connection:
                await connection.execute(f"CREATE TEMP TABLE before AS SELECT * FROM g1.{table}")
                assert await connection.execute(statement) in ("UPDATE 1", "DELETE 1"), table
                verdict = await verified(own)
                assert verdict.differing == [table]
                rows = {row.table: row for row in verdict.rows}
                assert rows.keys() == {table}
                assert len(verdict.rows) == (
                    2 if table == "credit" else 1
                )  # its key was changed: one gone, one too many
                assert {row.event for row in verdict.rows} <= ids, table
                await connection.execute(f"TRUNCATE g1.{table}; INSERT INTO g1.{table} SELECT * FROM before")
                await connection.execute("DROP TABLE before")
        assert (await verified(own)).differing == []

    runner.run(check())


def test_it_compares_one_position_while_traffic_goes_on(own: Running, runner: asyncio.Runner) -> None:
    async def check() -> None:
        assert own.projectors is not None
        projecting = asyncio.create_task(own.projectors.run())
        workspaces = [await new_workspace(own, "live") for _ in range(3)]
        sending = asyncio.gather(*(send(w, mix(w.name[:12])) for w in workspaces))
        verdicts = []
        while not sending.done():
            verdicts.append(await verified(own))
        await sending
        verdicts.append(await verified(own))
        projecting.cancel()
        await asyncio.wait([projecting])
        assert [verdict.differing for verdict in verdicts] == [[]] * len(verdicts)
        assert any(sum(verdict.offsets.values()) for verdict in verdicts)

    runner.run(check())


def test_the_command_tells_a_stopped_store_and_exits_3_for_a_difference(tmp_path: Path) -> None:
    data = tmp_path / "data"
    up = start(data)
    with up.client("server") as client:
        body = orjson.dumps({"events": mix("c")[:900]})
        position = client.post("/v1/events", content=body).json()["position"]
    with up.client("read") as client:
        assert client.get("/v1/status", params={"after": position}).status_code == 200
    assert up.stop() == 0

    def run(*options: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "touchline", "replay", "verify", "--data", str(data), *options]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    done = run()
    assert done.returncode == 0, done.stderr
    assert "equal: g1 is what its 900 events make of it" in done.stdout
    embedded = Embedded(data)

    async def corrupt(url: str) -> None:
        connection = await asyncpg.connect(url)
        await connection.execute(
            "UPDATE g1.campaign SET name = 'wrong' WHERE ctid = (SELECT min(ctid) FROM g1.campaign)"
        )
        await connection.close()

    asyncio.run(corrupt(embedded.start()))
    embedded.stop()
    done = run()
    assert done.returncode == 3
    assert "name: 'wrong', must be " in done.stdout
    assert "touchline explain event" in done.stdout
    said = orjson.loads(run("--json").stdout)
    assert (said["equal"], [d["table"] for d in said["differences"]]) == (False, ["campaign"])
