"""The live projection is what the log makes of it; and where it is not, verify finds the row and names its event."""

import asyncio
import datetime as dt
import itertools
import multiprocessing
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import orjson
import pytest

from services.replay import build, bulk
from services.replay.backfill import Backfill
from services.replay.build import Resources
from services.replay.bulk import split_span
from services.replay.rebuild import Rebuild, drop, rollback
from services.replay.verify import Comparison, verify
from services.replay.worker_pool import WorkerContext, WorkerLost
from shared.access.positions import Positions
from shared.log.port import LogUnavailable
from shared.projection.batch import decode
from shared.projection.bulk.split import Split
from shared.projection.generations import live_generation
from shared.projection.projector import Projector
from shared.projection.sql import Connection
from tests.conftest import Workspace, new_workspace
from tests.processes import start, until_projected
from tests.properties.worlds import world
from touchline.compose import Running, compose
from touchline.configuration import Configuration
from touchline.demo.mix import Mix
from touchline.embedded import Embedded
from touchline.open_log import reached

EVENTS = 4_000
KILLS = 10
END = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def mix(name: str) -> list[dict]:
    return [{**event, "id": f"{name}-{n}"} for n, event in enumerate(Mix(7, EVENTS, END).history())]


@pytest.fixture
def own(own_database: str, runner: asyncio.Runner) -> Iterator[Running]:
    running = runner.run(compose(own_database, Configuration(kafka_bootstrap_servers=None)))
    yield running
    runner.run(running.close())


async def send(workspace: Workspace, events: list[dict]) -> None:
    for part in _parts(events):
        assert (await workspace.send(*part)).status_code == 202


def _parts(events: list[dict]) -> Iterator[list[dict]]:
    for n in range(0, len(events), 500):
        yield events[n : n + 500]


def resources(running: Running) -> Resources:
    return Resources(running.pool, running.log)


async def verified(running: Running) -> Comparison:
    found: list[int] = []
    advanced: list[int] = []
    comparison = await verify(resources(running), "test", found.append, advanced.append)
    assert found == [sum(advanced)] == [sum(comparison.offsets.values())]
    left = await running.pool.fetchval("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'verify%'")
    assert left == 0
    return comparison


CORRUPTIONS = {
    "contact": "UPDATE g1.contact SET name = name || '!' WHERE contact = (SELECT min(contact) FROM g1.contact)",
    "touch": "DELETE FROM g1.touch WHERE event_id = (SELECT max(event_id) FROM g1.touch)",
    "attribution_window": "UPDATE g1.attribution_window SET to_us = to_us - 1 WHERE ctid = (SELECT min(ctid) FROM g1.attribution_window)",
    "credit": "UPDATE g1.credit SET step = step + 1000 WHERE ctid = (SELECT min(ctid) FROM g1.credit)",
    "event_index": "UPDATE g1.event_index SET live = false WHERE ctid = (SELECT min(ctid) FROM g1.event_index)",
    "visitor": "DELETE FROM g1.visitor WHERE ctid = (SELECT min(ctid) FROM g1.visitor)",
}


def test_a_sound_store_is_equal_and_a_corrupted_row_is_found_and_named(own: Running, runner: asyncio.Runner) -> None:
    async def check() -> None:
        workspace = await new_workspace(own, "verify")
        sent = mix("a")
        await send(workspace, sent)
        await workspace.project(700)
        comparison = await verified(own)
        assert comparison.differing == []
        assert comparison.tables["touch"][0].rows > EVENTS / 2
        ids = {event["id"] for event in sent}
        for table, statement in CORRUPTIONS.items():
            async with own.pool.acquire() as connection:
                await connection.execute(f"CREATE TEMP TABLE before AS SELECT * FROM g1.{table}")
                assert await connection.execute(statement) in ("UPDATE 1", "DELETE 1"), table
                comparison = await verified(own)
                assert comparison.differing == [table]
                rows = {row.table: row for row in comparison.rows}
                assert rows.keys() == {table}
                assert len(comparison.rows) == (
                    2 if table == "credit" else 1
                )  # its key was changed: one gone, one too many
                assert {row.event for row in comparison.rows} <= ids, table
                await connection.execute(f"TRUNCATE g1.{table}; INSERT INTO g1.{table} SELECT * FROM before")
                await connection.execute("DROP TABLE before")
        assert (await verified(own)).differing == []

    runner.run(check())


def test_a_digest_that_says_something_else_than_the_touches_is_found(own: Running, runner: asyncio.Runner) -> None:
    async def check() -> None:
        workspace = await new_workspace(own, "digests")
        await send(workspace, mix("d"))
        await workspace.project(700)
        assert (await verified(own)).equal
        await own.pool.execute("UPDATE g1.added_cell SET touches = touches + 1")
        comparison = await verified(own)
        assert (comparison.differing, comparison.equal) == ([], False)
        await own.pool.execute("UPDATE g1.added_cell SET touches = touches - 1")
        assert (await verified(own)).equal

    runner.run(check())


def test_how_late_a_backfill_sends_events_makes_no_number_provisional(
    own: Running, runner: asyncio.Runner, tmp_path: Path
) -> None:
    async def check() -> None:
        workspace = await new_workspace(own, "backfilled")
        await workspace.send(
            {"type": "campaign_created", "campaign_id": "c", "as_of": "2024-01-01T00:00:00Z", "id": "c"}
        )
        yesterday = (dt.datetime.now(dt.UTC) - dt.timedelta(days=1)).isoformat()
        visit = {"type": "page_visited", "visitor_id": "v", "url": "https://x.example/", "occurred_at": yesterday}
        (tmp_path / "events.ndjson").write_bytes(orjson.dumps(visit))
        await Backfill(own.pool, own.log, workspace.name, 1e9, lambda _: None).run(tmp_path / "events.ndjson")
        await workspace.project()
        assert (await workspace.get("/v1/status")).json()["settled_through"] is None
        await workspace.send({"type": "page_visited", "visitor_id": "w", "url": "https://x.example/"})
        await workspace.project()
        settled = dt.datetime.fromisoformat((await workspace.get("/v1/status")).json()["settled_through"])
        assert dt.datetime.now(dt.UTC) - settled < dt.timedelta(minutes=5)
        assert (await verified(own)).differing == []

    runner.run(check())


def test_it_compares_one_position_while_traffic_goes_on(own: Running, runner: asyncio.Runner) -> None:
    async def check() -> None:
        assert own.projectors is not None
        projecting = asyncio.create_task(own.projectors.run())
        workspaces = [await new_workspace(own, "live") for _ in range(3)]
        sending = asyncio.gather(*(send(w, mix(w.name[:12])) for w in workspaces))
        comparisons = []
        while not sending.done():
            comparisons.append(await verified(own))
        await sending
        comparisons.append(await verified(own))
        projecting.cancel()
        await asyncio.wait([projecting])
        assert [comparison.differing for comparison in comparisons] == [[]] * len(comparisons)
        assert any(sum(comparison.offsets.values()) for comparison in comparisons)

    runner.run(check())


def test_the_command_shows_a_stopped_store_and_exits_3_for_a_difference(tmp_path: Path) -> None:
    data = tmp_path / "data"
    up = start(data)
    with up.client("server") as client:
        body = orjson.dumps({"events": mix("c")[:900]})
        position = client.post("/v1/events", content=body).json()["position"]
    with up.client("read") as client:
        until_projected(client, position)
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
    report = orjson.loads(run("--json").stdout)
    assert (report["equal"], [d["table"] for d in report["differences"]]) == (False, ["campaign"])


async def views(workspace: Workspace) -> dict[str, int]:
    items = (await workspace.get("/v1/campaigns")).json()["items"]
    return {item["campaign_id"]: item["metrics"]["page_views"] for item in items}


async def watch(workspace: Workspace, over: asyncio.Event) -> set[str]:
    """Read all the while: every answer is 200 and shows no less than the one before; answers the generations that were seen."""
    seen, last = set(), 0
    positions = await Positions.of(workspace.running.pool)
    while not over.is_set():
        answer = await workspace.get("/v1/status")
        assert answer.status_code == 200, answer.text
        offset = positions.read(workspace.name, answer.json()["as_of"]).offset
        assert offset >= last
        last = offset
        seen.add(answer.json()["generation"])
        await asyncio.sleep(0.01)
    return seen


async def all_shown(workspace: Workspace) -> None:
    position = (
        await workspace.send({"type": "page_visited", "visitor_id": "last", "url": "https://x.example/"})
    ).json()
    async with asyncio.timeout(60):
        while (await workspace.get(f"/v1/status?after={position['position']}")).status_code != 200:
            pass


def test_a_rebuilt_generation_becomes_the_live_one_during_traffic_and_the_one_before_comes_back(
    own: Running, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        assert own.projectors is not None
        projecting = asyncio.create_task(own.projectors.run())
        workspace, other = await new_workspace(own, "rebuilt"), await new_workspace(own, "other")
        await send(workspace, mix("before"))
        over = asyncio.Event()
        watching = asyncio.create_task(watch(workspace, over))
        sending = asyncio.gather(send(workspace, mix("during")), send(other, mix("other")))
        rebuilt = await Rebuild(resources(own), lambda _: None, lambda _: None).run()
        assert (rebuilt.generation, rebuilt.before) == ("g2", "g1")
        assert rebuilt.comparison is not None
        assert rebuilt.comparison.differing == []
        await sending
        await all_shown(workspace)
        shown = await views(workspace)
        assert (await verified(own)).generation == "g2"
        back = await rollback(resources(own))
        assert (back.generation, back.before) == ("g1", "g2")
        await all_shown(workspace)
        assert await views(workspace) == shown
        comparison = await verified(own)
        assert (comparison.generation, comparison.differing) == ("g1", [])
        over.set()
        assert await watching == {"g1", "g2"}
        assert await drop(own.pool, "g2")
        assert not await drop(own.pool, "g1")
        names = [row["name"] for row in await own.pool.fetch("SELECT name FROM touchline.generation")]
        assert names == ["g1"]
        async with asyncio.timeout(60):  # what is followed is looked up once a second
            while {generation for generation, _ in own.projectors.workers} != {"g1"}:
                await asyncio.sleep(0.05)
        await all_shown(workspace)
        projecting.cancel()
        await asyncio.wait([projecting])

    runner.run(check())


def test_a_rollback_holds_nothing_live_while_the_generation_before_catches_up(
    own: Running, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        workspace = await new_workspace(own, "lagging")
        events = mix("l")[:600]
        await send(workspace, events[:300])
        await workspace.project()
        await Rebuild(resources(own), lambda _: None, lambda _: None).run()
        await send(workspace, events[300:])
        live = await live_generation(own.pool)
        assert live.name == "g2"
        await project_into(own, workspace, live.name)
        async with own.pool.acquire() as slow:
            held = slow.transaction()
            await held.start()  # the generation before cannot move as long as this stands
            await slow.execute("SELECT FROM g1.progress FOR UPDATE")
            rolling = asyncio.create_task(rollback(resources(own)))
            for _ in range(10):
                await asyncio.sleep(0.5)
                await own.pool.execute("SELECT FROM g2.progress FOR UPDATE NOWAIT")  # live traffic passes
            assert not rolling.done()
            await held.rollback()
        assert (await rolling).generation == "g1"
        assert (await verified(own)).differing == []

    runner.run(check())


async def project_into(running: Running, workspace: Workspace, generation: str) -> None:
    async with running.pool.acquire() as raw:
        connection = Connection(raw, generation)
        projector = Projector(running.log, workspace.partition)
        await projector.take(connection)
        while entries := await running.log.read(workspace.partition, projector.offset, 1000):
            await projector.project(connection, decode(entries))


def test_a_rebuild_repairs_what_was_corrupted_and_shows_it(own: Running, runner: asyncio.Runner) -> None:
    async def check() -> None:
        workspace = await new_workspace(own, "repaired")
        await send(workspace, mix("r")[:800])
        await workspace.project()
        shown = await views(workspace)
        await own.pool.execute("DELETE FROM g1.touch")
        rebuilt = await Rebuild(resources(own), lambda _: None, lambda _: None).run()
        assert rebuilt.comparison is not None
        assert rebuilt.comparison.differing == ["touch"]
        assert await views(workspace) == shown
        again = await Rebuild(resources(own), lambda _: None, lambda _: None).run()
        assert (again.generation, again.before) == ("g3", "g2")
        rows = await own.pool.fetch("SELECT name, live FROM touchline.generation ORDER BY name")
        assert [tuple(row) for row in rows] == [("g2", False), ("g3", True)]  # one is kept, to go back to
        assert (await live_generation(own.pool)).name == "g3"

    runner.run(check())


def test_a_rebuild_that_is_killed_again_and_again_goes_on_and_loses_nothing(tmp_path: Path) -> None:
    """Beside a running service under load; each try is killed at a random point, until one comes through."""
    seed = random.randrange(2**32)
    rng = random.Random(seed)
    data = tmp_path / "data"
    up = start(data)
    over, sent = threading.Event(), {"events": 0, "position": ""}

    def keep_sending() -> None:
        with up.client("server") as client:
            for n in itertools.count():
                if over.is_set():
                    return
                events = [{"type": "page_visited", "id": f"{n}-{k}", "visitor_id": f"v{k}", "url": "https://x.example/?utm_campaign=c"}
                          for k in range(100)]  # fmt: skip
                answer = client.post("/v1/events", json=events)
                assert answer.status_code == 202, answer.text
                sent["events"] += 100
                sent["position"] = answer.json()["position"]
                time.sleep(0.05)

    with up.client("server") as client:
        assert client.post("/v1/events", json={"type": "campaign_created", "campaign_id": "c", "utm_campaign": "c",
                                               "occurred_at": "2020-01-01T00:00:00Z"}).status_code == 202  # fmt: skip
        for part in _parts(mix("k")):
            client.post("/v1/events", json=part)
    sender = threading.Thread(target=keep_sending)
    sender.start()
    command = [sys.executable, "-m", "touchline", "replay", "rebuild", "--data", str(data), "--json"]
    kills = 0
    while kills < KILLS:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        time.sleep(rng.uniform(0.5, 3.0))
        if process.poll() is None:
            process.kill()
            kills += 1
        process.communicate()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"seed {seed}: {done.stderr}"
    report = orjson.loads(done.stdout)
    assert report["compared"]["equal"], f"seed {seed}"
    time.sleep(1)
    over.set()
    sender.join()
    with up.client("read") as client:
        until_projected(client, str(sent["position"]))
        answer = client.get("/v1/campaigns/c/overview")
        assert answer.json()["metrics"]["page_views"] == sent["events"], f"seed {seed}"
        assert client.get("/v1/status").json()["generation"] == report["generation"]
    assert up.stop() == 0


def test_a_store_of_another_release_takes_events_and_is_read_once_it_is_rebuilt(tmp_path: Path) -> None:
    data = tmp_path / "data"
    up = start(data)
    with up.client("server") as client:
        position = client.post("/v1/events", json=mix("u")[:500]).json()["position"]
    with up.client("read") as client:
        until_projected(client, position)
    assert up.stop() == 0
    embedded = Embedded(data)

    async def age(url: str) -> None:
        connection = await asyncpg.connect(url)
        await connection.execute("UPDATE touchline.generation SET shape = 'older'")
        await connection.execute("UPDATE touchline.live_generation SET shape = 'older'")
        await connection.close()

    asyncio.run(age(embedded.start()))
    embedded.stop()
    again = start(data)
    with again.client("server") as client:
        sent = client.post("/v1/events", json=mix("more")[:10])
        assert sent.status_code == 202
        position = sent.json()["position"]
        assert client.get("/readyz").status_code == 503
    with again.client("read") as client:
        refused = client.get("/v1/status")
        assert (refused.status_code, refused.json()["code"]) == (503, "no_generation")
        assert "`touchline replay rebuild` makes one" in refused.json()["detail"]
    run = [sys.executable, "-m", "touchline", "replay", "rebuild", "--data", str(data)]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "live: g2, the first one of this release's shape" in done.stdout
    with again.client("read") as client:
        until_projected(client, position)
        assert client.get("/v1/status").json()["generation"] == "g2"
    assert again.stop() == 0


def test_a_sample_of_a_sound_store_is_equal_and_every_part_finds_its_corrupted_rows(
    own: Running, runner: asyncio.Runner
) -> None:
    """Of three parts each row of a person or deal is in one or more; a part sees what is corrupted in it, amid rivals."""

    async def check() -> None:
        workspace = await new_workspace(own, "sampled")
        sent = mix("s")[:3_500]
        await send(workspace, sent)
        await send(workspace, [sent[n] | {"id": sent[n + 1]["id"]} for n in range(0, 400, 8)])  # rivals for ids
        await workspace.project(700)

        async def parts() -> list[Comparison]:
            return [await verify(resources(own), "part", lambda _: None, lambda _: None, (3, n)) for n in range(3)]

        sound = await parts()
        assert [comparison.differing for comparison in sound] == [[]] * 3
        rows = sound[0].tables["touch"][0].rows
        assert 0 < rows < len(sent) * 0.8
        async with own.pool.acquire() as connection:
            for table, statement in CORRUPTIONS.items():
                await connection.execute(f"CREATE TEMP TABLE before AS SELECT * FROM g1.{table}")
                assert await connection.execute(statement) in ("UPDATE 1", "DELETE 1"), table
                found = [comparison.differing for comparison in await parts()]
                assert [table] in found, table
                assert all(differing in ([], [table]) for differing in found)
                await connection.execute(f"TRUNCATE g1.{table}; INSERT INTO g1.{table} SELECT * FROM before")
                await connection.execute("DROP TABLE before")

    runner.run(check())


async def sent_and_projected(running: Running, name: str) -> None:
    workspace = await new_workspace(running, name)
    await send(workspace, mix(name)[:2_000])
    await workspace.project(700)


def test_several_processes_make_the_same_rows(
    own: Running, own_database: str, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "ALONE_EVENTS_MAX", 0)
    monkeypatch.setattr(bulk, "SPAN_EVENTS", 300)
    monkeypatch.setattr(bulk, "BUCKET_EVENTS", 500)
    opener = partial(reached, own_database, Configuration(kafka_bootstrap_servers=None), 3)

    async def check() -> None:
        await sent_and_projected(own, "worker_pool")
        with_crew = Resources(own.pool, own.log, opener, 3)
        assert (await verify(with_crew, "worker_pool", lambda _: None, lambda _: None)).differing == []

    runner.run(check())


def test_a_crew_that_loses_a_process_says_so_and_what_it_did_is_gone_on_with(
    own: Running, own_database: str, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "ALONE_EVENTS_MAX", 0)
    monkeypatch.setattr(bulk, "SPAN_EVENTS", 300)
    opener = partial(reached, own_database, Configuration(kafka_bootstrap_servers=None), 3)

    async def check() -> None:
        await sent_and_projected(own, "lost")
        done: list[int] = []

        def advance(events: int) -> None:
            done.append(events)
            for member in multiprocessing.active_children():
                member.kill()

        with pytest.raises(WorkerLost):
            await Rebuild(Resources(own.pool, own.log, opener, 2), lambda _: None, advance).run()
        assert sum(done)
        steps = {row["name"] for row in await own.pool.fetch("SELECT name FROM g2.bulk_step")}
        assert any(name.startswith("split") for name in steps)
        assert "load 0" not in steps
        split: list[str] = []

        async def counted(context: WorkerContext, name: str, *rest: Any) -> Split:
            split.append(name)
            return await split_span(context, name, *rest)

        monkeypatch.setattr(bulk, "split_span", counted)
        rebuilt = await Rebuild(resources(own), lambda _: None, lambda _: None).run()
        assert rebuilt.comparison is not None
        assert (rebuilt.generation, rebuilt.comparison.differing) == ("g2", [])
        assert not steps & set(split)

    runner.run(check())


def test_what_was_read_and_is_gone_is_read_again(
    own: Running, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check() -> None:
        await sent_and_projected(own, "spill")

        async def away(*_: Any) -> None:
            raise LogUnavailable("away")

        with monkeypatch.context() as patched:
            patched.setattr(bulk, "load_bucket", away)
            with pytest.raises(LogUnavailable):
                await Rebuild(resources(own), lambda _: None, lambda _: None).run()
        plan = msgspec.msgpack.decode(await own.pool.fetchval("SELECT result FROM g2.bulk_step WHERE name = 'plan'"))
        shutil.rmtree(plan["folder"])
        rebuilt = await Rebuild(resources(own), lambda _: None, lambda _: None).run()
        assert rebuilt.comparison is not None
        assert (rebuilt.generation, rebuilt.comparison.differing) == ("g2", [])
        with monkeypatch.context() as patched:
            patched.setattr(bulk, "load_bucket", away)
            with pytest.raises(LogUnavailable):
                await Rebuild(resources(own), lambda _: None, lambda _: None).run()
        plan = msgspec.msgpack.decode(await own.pool.fetchval("SELECT result FROM g3.bulk_step WHERE name = 'plan'"))
        assert Path(plan["folder"]).is_dir()
        assert await drop(own.pool, "g3")
        assert not Path(plan["folder"]).exists()

    runner.run(check())


def test_a_history_with_what_no_rule_can_take_is_projected_batch_by_batch(
    own: Running, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check() -> None:
        await sent_and_projected(own, "poison")

        async def poisoned(*_: Any) -> None:
            raise ValueError("a rule that fails")

        monkeypatch.setattr(bulk, "load_bucket", poisoned)
        found: list[int] = []
        comparison = await verify(resources(own), "poison", lambda _: None, found.append)
        assert comparison.differing == []
        assert min(found) < 0  # some events are taken back
        assert sum(found) == sum(comparison.offsets.values())

    runner.run(check())


def test_samples_of_random_worlds_are_equal(own: Running, runner: asyncio.Runner) -> None:
    """Whatever hangs together is drawn together: no sound store is reported as different."""
    seed = random.randrange(2**32)

    async def check() -> None:
        rng = random.Random(seed)
        for n in range(30):
            workspace = await new_workspace(own, f"world{n}")
            events = world(rng, 60)
            await workspace.send(*events, *(rng.choice(events) | {"id": rng.choice(events)["id"]} for _ in range(3)))
            await workspace.project(40)
        for _ in range(12):
            comparison = await verify(
                resources(own), "worlds", lambda _: None, lambda _: None, (rng.choice([2, 3, 5, 20]), None)
            )
            assert comparison.differing == [], (
                f"seed {seed}, {comparison.sample and comparison.sample.description}: {comparison.rows[:3]}"
            )

    runner.run(check())
