"""What is exported is the set: sent into an empty store, it makes the same rows."""

import asyncio
import datetime as dt
import gzip
import os
import random
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from services.replay.backfill import Backfill
from services.replay.build import Resources
from services.replay.export import Chosen, Export, NoContact
from shared.events.codec import Record, accept, encode_record
from shared.projection.checksums import set_checksums
from tests.conftest import Workspace, new_workspace
from tests.processes import Up, start, until_projected
from tests.properties.worlds import world
from touchline.compose import Running, compose
from touchline.configuration import Configuration
from touchline.demo.mix import Mix

BEGIN_S = 300  # a busy machine is slow to start a process
END = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


@pytest.fixture
def other(own_database: str, runner: asyncio.Runner) -> Iterator[Running]:
    running = runner.run(compose(own_database, Configuration(kafka_bootstrap_servers=None)))
    yield running
    runner.run(running.close())


async def export(workspace: Workspace, target: Path, **chosen: Any) -> int:
    running = workspace.running
    found: list[int] = []
    resources = Resources(running.pool, running.log)
    export = Export(resources, workspace.name, Chosen(**chosen), found.append, lambda n: found.append(-n))
    count = await export.run(target)
    assert sum(found) == 0
    return count


async def digests(workspace: Workspace) -> dict[str, Any]:
    async with workspace.running.pool.acquire() as connection:
        ws = await connection.fetchval("SELECT number FROM touchline.workspace WHERE workspace_id = $1", workspace.name)
        return dict(await set_checksums(connection, workspace.running.generation.name, ws))


async def taken_in(running: Running, source: Path) -> Workspace:
    workspace = await new_workspace(running, "copy")
    tally = await Backfill(running.pool, running.log, workspace.name, 1e9, lambda _: None).run(source)
    assert not tally.refused
    await workspace.project(300)
    return workspace


@pytest.mark.parametrize("name", ["events.ndjson", "events.ndjson.gz", "events.ndjson.zst", "events.parquet"])
def test_an_export_sent_into_an_empty_store_makes_the_same_rows(
    workspace: Workspace, other: Running, runner: asyncio.Runner, tmp_path: Path, name: str
) -> None:
    """Of a year of everything, with ids and instants that the server filled in, retractions, duplicates and rivals."""

    async def check() -> None:
        events = list(Mix(11, 2_500, END).history())
        mine = [{k: v for k, v in e.items() if k != "id"} if n % 7 == 0 else e for n, e in enumerate(events)]
        rivals = [e | {"occurred_at": "2025-06-01T00:00:00Z"} for e in events[100:110]]
        retractions = [{"type": "event_retracted", "event_id": events[n]["id"], "occurred_at": "2025-12-30T00:00:00Z"} for n in (5, 500, 900)]  # fmt: skip
        for begin in range(0, len(mine), 400):
            assert (await workspace.send(*mine[begin : begin + 400])).status_code == 202
        assert (await workspace.send(*rivals, *events[50:60], *retractions)).status_code == 202
        collected = [
            {"type": "page_visited", "id": f"c{n}", "visitor_id": "cv", "url": "https://x.example/", "odd": "dropped"}
            for n in range(3)
        ]
        async with workspace.client("collect") as client:
            sent = await client.post("/v1/events", json=collected, headers={"User-Agent": "Firefox/130.0 of a browser"})
            assert sent.status_code == 202
        await workspace.project(300)
        before = await digests(workspace)
        count = await export(workspace, tmp_path / name)
        assert before["event_index"].rows == count
        assert before["agent"].rows > 1
        copy = await taken_in(other, tmp_path / name)
        assert await digests(copy) == before
        assert {p.name for p in tmp_path.iterdir()} == {name}

    runner.run(check())


def test_random_worlds_survive_the_way_out_and_in(
    running: Running, other: Running, runner: asyncio.Runner, tmp_path: Path
) -> None:
    async def check(seed: int) -> None:
        events = world(random.Random(seed), 60)
        workspace = await new_workspace(running, "world")
        records = [accept(orjson.dumps(e), 0, "server", time.time_ns() // 1000, None) for e in events]
        await running.log.append(workspace.name, [encode_record(r) for r in records if isinstance(r, Record)])
        await workspace.project(7)
        target = tmp_path / f"{seed}.ndjson"
        await export(workspace, target)
        copy = await taken_in(other, target)
        assert await digests(copy) == await digests(workspace), f"seed {seed}"

    for seed in [
        1317465947,
        *(random.randrange(2**32) for _ in range(12)),
    ]:  # the first has a utm value of a replaced event alone
        runner.run(check(seed))


@pytest.mark.parametrize("name", ["e.ndjson", "e.ndjson.gz", "e.ndjson.zst", "e.parquet"])
def test_an_export_is_its_owners_alone_and_one_that_fails_leaves_nothing(
    workspace: Workspace, runner: asyncio.Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    async def check() -> None:
        visit = {"type": "page_visited", "visitor_id": "v", "url": "https://x.example/"}
        assert (await workspace.send(visit, visit)).status_code == 202
        await workspace.project()
        assert await export(workspace, tmp_path / name) == 2
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
        monkeypatch.setattr("services.replay.export.complete", _fails)
        whole = (tmp_path / name).read_bytes()
        for target in (tmp_path / name, tmp_path / f"other-{name}"):
            with pytest.raises(OSError, match="no space"):
                await export(workspace, target)
        assert [path.name for path in tmp_path.iterdir()] == [name]
        assert (tmp_path / name).read_bytes() == whole

    runner.run(check())


def _fails(_: object) -> bytes:
    raise OSError("no space is left")


def test_time_type_and_contact_choose(workspace: Workspace, runner: asyncio.Runner, tmp_path: Path) -> None:
    def at(day: int) -> str:
        return f"2024-03-{day:02d}T00:00:00Z"

    async def check() -> None:
        await workspace.send(
            {"type": "page_visited", "id": "p1", "visitor_id": "v", "url": "https://x.example/", "occurred_at": at(1)},
            {"type": "page_visited", "id": "p2", "visitor_id": "w", "url": "https://x.example/", "occurred_at": at(2)},
            {"type": "contact_identified", "id": "i", "visitor_id": "v", "contact": {"id": "7"}, "occurred_at": at(3)},
            {"type": "contact_identified", "id": "j", "visitor_id": "v", "contact": {"id": "8"}, "occurred_at": at(5)},
            {"type": "page_visited", "id": "p3", "visitor_id": "v", "url": "https://x.example/", "occurred_at": at(6)},
            {"type": "contact_created", "id": "k", "contact": {"id": "7", "email": "K@x.no"}, "occurred_at": at(4)},
            {"type": "deal_created", "id": "d", "deal_id": "d", "contacts": [{"email": "k@x.no"}], "occurred_at": at(7)},
            {"type": "email_opened", "id": "e", "asset_id": "m", "contact": {"email": "k@x.no"}, "occurred_at": at(8)},
        )  # fmt: skip
        await workspace.project()

        async def ids(**chosen: Any) -> list[str]:
            target = tmp_path / f"{os.urandom(4).hex()}.ndjson"
            count = await export(workspace, target, **chosen)
            found = [orjson.loads(line)["id"] for line in target.read_bytes().splitlines()]
            assert len(found) == count
            return found

        assert await ids(types=frozenset({"page_visited"})) == ["p1", "p2", "p3"]
        day_us = 86_400_000_000
        begin_us = 1_709_251_200_000_000  # 1 March
        assert await ids(from_us=begin_us + day_us, to_us=begin_us + 3 * day_us) == ["p2", "i", "k"][:2]
        for name in ("7", "k@x.no", "K@X.no"):
            assert await ids(contact=name) == ["p1", "i", "k", "d", "e"]
        assert await ids(contact="8", types=frozenset({"page_visited"})) == ["p3"]
        before = set(tmp_path.iterdir())
        with pytest.raises(NoContact, match="'nobody'"):
            await ids(contact="nobody")
        assert set(tmp_path.iterdir()) == before

    runner.run(check())


def test_the_commands_carry_a_store_into_a_new_directory(tmp_path: Path) -> None:
    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "touchline", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    one, two, file = tmp_path / "one", tmp_path / "two", tmp_path / "all.ndjson.gz"
    up = start(one)
    with up.client("server") as client:
        position = client.post("/v1/events", json={"events": list(Mix(5, 900, END).history())[:900]}).json()["position"]
    with up.client("read") as client:
        until_projected(client, position)
    done = run("export", str(file), "--data", str(one))
    assert done.returncode == 0, done.stderr
    lines = gzip.decompress(file.read_bytes()).splitlines()
    assert f"exported: {len(lines):,} events of default" in done.stdout
    listed = run("export", "-", "--type", "campaign_created", "--data", str(one))
    assert {orjson.loads(line)["type"] for line in listed.stdout.splitlines()} == {"campaign_created"}
    before = orjson.loads(run("replay", "checksums", "--data", str(one), "--json").stdout)
    assert up.stop() == 0
    again = start(two)
    assert run("backfill", str(file), "--data", str(two)).returncode == 0
    with again.client("read") as client:
        while client.get("/v1/status").json()["projected_offset"] < len(lines):
            time.sleep(0.05)
    after = orjson.loads(run("replay", "checksums", "--data", str(two), "--json").stdout)
    assert (after["digest"], after["tables"]) == (before["digest"], before["tables"])
    assert before["digest"] in run("replay", "checksums", "--data", str(two)).stdout
    assert run("export", str(tmp_path / "x"), "--type", "no_type", "--data", str(two)).returncode == 2
    assert again.stop() == 0


@pytest.fixture(scope="module")
def much(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A `touchline up` with so many events that an export of them takes a while."""
    up = start(tmp_path_factory.mktemp("much") / "data")
    tell_much(up)
    yield up
    if up.process.poll() is None:
        assert up.stop() == 0


def tell_much(up: Up) -> None:
    visit = {"type": "page_visited", "visitor_id": "v", "url": "https://x.example/" + "x" * 200}
    with up.client("server") as client:
        for _ in range(20):
            answer = client.post("/v1/events", json=[visit] * 1_000)
            assert answer.status_code == 202
        until_projected(client, answer.json()["position"])


@contextmanager
def exporting(up: Up, target: str) -> "Iterator[subprocess.Popen[str]]":
    """A process that exports; it is ended with the test, whatever becomes of it."""
    data = Path(up.process.args[up.process.args.index("--data") + 1])  # type: ignore[index, union-attr, operator]
    command = [sys.executable, "-m", "touchline", "export", target, "--data", str(data)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def size_of(path: Path) -> int:
    """Its bytes; -1 if it is there no more."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return -1


def until_begun(folder: Path, process: "subprocess.Popen[str]", bytes_min: int = 0) -> None:
    """Wait until a part of the export is on the disk."""
    deadline_s = time.monotonic() + BEGIN_S
    while not any(size_of(path) >= bytes_min for path in folder.iterdir()):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("name", ["e.ndjson", "e.parquet"])
def test_a_signal_ends_an_export_within_ten_seconds_and_nothing_is_left(
    much: Up, tmp_path: Path, number: int, name: str
) -> None:
    with exporting(much, str(tmp_path / name)) as process:
        until_begun(tmp_path, process)
        began_s = time.monotonic()
        process.send_signal(number)
        _, errors = process.communicate(timeout=30)
    assert time.monotonic() - began_s < 10
    assert (process.returncode, list(tmp_path.iterdir())) == (130 if number == signal.SIGINT else 1, [])
    assert number == signal.SIGINT or "stopped by a signal; nothing was written" in " ".join(errors.split())
    assert "Traceback" not in errors


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_an_export_to_somebody_who_does_not_read(much: Up, number: int) -> None:
    with exporting(much, "-") as process:
        assert process.stdout is not None
        assert process.stdout.read(1)
        time.sleep(1)  # the pipe is full by now
        began_s = time.monotonic()
        process.send_signal(number)
        assert process.wait(30) == 1
        assert time.monotonic() - began_s < 10
        assert "Traceback" not in process.communicate()[1]


def test_up_ends_within_ten_seconds_though_an_export_runs_and_the_export_leaves_nothing(tmp_path: Path) -> None:
    up, folder = start(tmp_path / "data"), tmp_path / "out"
    folder.mkdir()
    tell_much(up)
    with exporting(up, str(folder / "e.ndjson")) as process:
        until_begun(folder, process, 1)
        process.send_signal(signal.SIGSTOP)
        began_s = time.monotonic()
        assert up.stop() == 0
        assert time.monotonic() - began_s < 10
        process.send_signal(signal.SIGCONT)
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, list(folder.iterdir())) == (1, [])
    # which words it finds depends on what the export did when the server went away
    assert re.search("connection|database|PostgreSQL", errors.strip().splitlines()[-1]), errors
    assert "Traceback" not in errors
