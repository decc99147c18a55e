"""A drill: a store is backed up while events come in, lost, and made again from the file."""

import asyncio
import json
import os
import stat
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiokafka import AIOKafkaProducer

from shared.database import open_pool
from shared.log.kafka_cluster import KafkaCluster
from shared.log.port import partition_of
from tests.conftest import Workspace, new_workspace
from tests.kafka import new_topic
from tests.processes import start
from tests.services import command, environment, fails
from tests.system.test_read_bounds import history
from touchline.compose import Running, compose
from touchline.configuration import Configuration

KAFKA_PARTITIONS = 4
DURABLE = ("workspace", "access_key", "log_partition", "event_log", "dead_letter", "dead_letter_pushed_out")


@pytest.fixture
def source(own_database: str, runner: asyncio.Runner) -> Iterator[Running]:
    running = runner.run(compose(own_database, Configuration(kafka_bootstrap_servers=None)))
    yield running
    runner.run(running.close())


@pytest.fixture
def empties(database_url: str, runner: asyncio.Runner) -> list[str]:
    """The URLs of more empty databases."""
    names = [f"restored_{os.urandom(6).hex()}" for _ in range(3)]

    async def make() -> None:
        pool = await open_pool(database_url, 1)
        for name in names:
            await pool.execute(f"CREATE DATABASE {name}")
        await pool.close()

    runner.run(make())
    return [database_url.replace("/postgres?", f"/{name}?") for name in names]


@pytest.fixture
def empty(empties: list[str]) -> str:
    """The URL of one more empty database."""
    return empties[0]


async def filled(running: Running) -> Workspace:
    """A workspace with events, with what was refused of them, and with settings."""
    workspace = await new_workspace(running, "drill")
    events = list(history(60, 3))
    settings = {"type": "workspace_configured", "id": "s", "settings": {"time_zone": "Europe/Oslo", "currency": "EUR"}}
    assert (await workspace.send(settings, *events[:700])).json()["rejected"] == []
    assert (await workspace.send({"type": "no_such_type", "id": "bad"})).status_code == 422
    await workspace.project()
    return workspace


def test_a_store_that_is_lost_is_made_again_from_its_backup(
    source: Running, own_database: str, empty: str, tmp_path: Path, runner: asyncio.Runner
) -> None:
    workspace = runner.run(filled(source))
    here, there = environment(own_database, None), environment(empty, None)
    before = command(here, "replay", "checksums", "--workspace", workspace.name)
    output = command(here, "backup", "create", str(tmp_path))
    file = Path(output["file"])
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(("touchline-", "."))] == [file.name]
    restored = command(there, "backup", "restore", str(file))
    assert restored["events"] == output["events"] == runner.run(source.log.end(workspace.partition))
    after = command(there, "replay", "checksums", "--workspace", workspace.name)
    assert after["digest"] == before["digest"]
    assert after["tables"] == before["tables"]

    async def check() -> None:
        again = await compose(empty, Configuration(kafka_bootstrap_servers=None))
        for table in DURABLE:
            rows = [
                await pool.fetch(f"SELECT * FROM touchline.{table} t ORDER BY t::text")
                for pool in (source.pool, again.pool)
            ]
            assert [tuple(row) for row in rows[0]] == [tuple(row) for row in rows[1]], table
        same = Workspace(again, workspace.name, workspace.keys)  # the keys that were given out go on to work
        assert (await same.get("/v1/status")).json()["workspace"]["time_zone"] == "Europe/Oslo"
        assert (await same.send({"type": "page_visited", "id": "new", "visitor_id": "v", "url": "https://a.example/"})).status_code == 202  # fmt: skip
        assert (await same.send({"type": "no_such_type"})).status_code == 422  # numbers of dead letters go on
        await same.project()
        assert (await same.get("/v1/events/new/explain")).json()["counted"]
        assert await new_workspace(again, "one more")
        await again.close()

    runner.run(check())
    command(there, "replay", "verify")  # which exits 3 if a row differs


def test_a_backup_is_of_one_moment_though_events_come_in_meanwhile(tmp_path: Path) -> None:
    up = start(tmp_path / "data")
    over, sent = threading.Event(), [0]

    def send() -> None:
        with up.client("server") as client:
            while not over.is_set():
                visits = [{"type": "page_visited", "id": f"v{sent[0] + n}", "visitor_id": f"v{n}", "url": "https://a.example/"} for n in range(50)]  # fmt: skip
                assert client.post("/v1/events", json=visits).status_code == 202
                sent[0] += 50

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    deadline_s = time.monotonic() + 60
    while sent[0] < 500:
        assert time.monotonic() < deadline_s
        time.sleep(0.02)
    env = environment("", None)
    del env["TOUCHLINE_DATABASE_URL"]
    file = tmp_path / "moment.backup"
    at_least = sent[0]
    output = command(env, "backup", "create", str(file), "--data", str(tmp_path / "data"))
    at_most = sent[0] + 50
    over.set()
    sender.join(30)
    assert up.stop() == 0
    assert at_least <= output["events"] <= at_most
    other = tmp_path / "other"
    assert command(env, "backup", "restore", str(file), "--data", str(other))["events"] == output["events"]
    (other / "keys.json").write_text((tmp_path / "data" / "keys.json").read_text())
    again = start(other)
    with again.client("read") as client:
        status = client.get("/v1/status").json()
    assert status["projected_offset"] == status["log_end_offset"] == output["events"]
    with httpx.Client(base_url=again.url, headers={"Authorization": f"Bearer {up.keys['server']}"}) as client:
        visit = {"type": "page_visited", "visitor_id": "v", "url": "https://a.example/"}
        assert client.post("/v1/events", json=visit).status_code == 202
    assert again.stop() == 0


def on_kafka(url: str, topic: KafkaCluster) -> tuple[Configuration, dict[str, str]]:
    """The settings of services on a database and a topic, in this process and in others."""
    settings = Configuration(
        kafka_bootstrap_servers=topic.bootstrap_servers, kafka_topic=topic.topic, kafka_partitions=KAFKA_PARTITIONS
    )
    return settings, environment(url, topic, KAFKA_PARTITIONS=str(KAFKA_PARTITIONS))


async def stranger(topic: KafkaCluster, partition: int) -> None:
    """A record in the topic that is none of ours."""
    producer = AIOKafkaProducer(**topic.client())
    await producer.start()
    await producer.send_and_wait(topic.topic, b"odd", key=b"\xff", partition=partition)
    await producer.stop()


def test_a_store_on_kafka_is_backed_up_while_events_come_in_and_made_again_in_an_empty_topic(
    kafka: str, own_database: str, empties: list[str], tmp_path: Path, runner: asyncio.Runner
) -> None:
    topic, first, second = (new_topic(kafka) for _ in range(3))
    settings, env = on_kafka(own_database, topic)
    files = [tmp_path / name for name in ("moment", "quiet")]

    async def sent_meanwhile(workspace: Workspace) -> tuple[int, dict[str, Any], int]:
        """Back up while events are sent; answers what was accepted before, what the backup says, and what was accepted by its end."""
        creating = asyncio.create_task(asyncio.to_thread(command, env, "backup", "create", str(files[0])))
        accepted, before = 0, 0
        while not creating.done():
            visits = [{"type": "page_visited", "id": f"v{accepted + n}", "visitor_id": "v", "url": "https://a.example/"} for n in range(20)]  # fmt: skip
            assert (await workspace.send(*visits)).status_code == 202
            accepted += 20
            before = before or accepted
            await asyncio.sleep(0.02)
        return before, await creating, accepted

    async def check() -> None:
        running = await compose(own_database, settings)
        workspace = await filled(running)
        await stranger(topic, workspace.partition)
        begun = sum([await running.log.end(partition) for partition in range(KAFKA_PARTITIONS)])
        before, result, accepted = await sent_meanwhile(workspace)
        assert begun + before <= result["events"] <= begun + accepted
        await workspace.project()
        quiet = command(env, "backup", "create", str(files[1]))
        assert quiet["events"] == begun + accepted
        await running.close()

        of_moment, of_quiet = on_kafka(empties[0], first)[1], on_kafka(empties[1], second)[1]
        assert command(of_moment, "backup", "restore", str(files[0]))["events"] == result["events"]
        command(of_moment, "replay", "verify")
        command(
            of_moment, "export", str(tmp_path / "e.ndjson"), "--type", "page_visited", "--workspace", workspace.name
        )
        ids = {json.loads(line)["id"] for line in (tmp_path / "e.ndjson").read_text().splitlines()}
        assert {
            f"v{n}" for n in range(result["events"] - begun)
        } <= ids  # the first of what was sent meanwhile, and no more
        assert f"v{result['events'] - begun}" not in ids
        assert "holds events already" in fails(on_kafka(empties[2], first)[1], "backup", "restore", str(files[1]))

        command(of_quiet, "backup", "restore", str(files[1]))
        sums = [command(e, "replay", "checksums", "--workspace", workspace.name) for e in (env, of_quiet)]
        assert sums[0]["digest"] == sums[1]["digest"]
        assert sums[0]["tables"] == sums[1]["tables"]
        again = await compose(empties[1], on_kafka(empties[1], second)[0])
        same = Workspace(again, workspace.name, workspace.keys)
        assert (await same.get("/v1/status")).json()["workspace"]["time_zone"] == "Europe/Oslo"
        assert (await same.send({"type": "page_visited", "id": "new", "visitor_id": "v", "url": "https://a.example/"})).status_code == 202  # fmt: skip
        await same.project()
        assert (await same.get("/v1/events/new/explain")).json()["counted"]
        await again.close()

    runner.run(check())


def test_a_lost_database_is_made_again_beside_the_topic_that_is_still_there(
    kafka: str, own_database: str, empty: str, tmp_path: Path, runner: asyncio.Runner
) -> None:
    topic = new_topic(kafka)
    settings, env = on_kafka(own_database, topic)

    async def check() -> None:
        running = await compose(own_database, settings)
        workspace = await filled(running)
        output = command(env, "backup", "create", str(tmp_path / "b"))
        assert (await workspace.send({"type": "page_visited", "id": "later", "visitor_id": "v", "url": "https://a.example/"})).status_code == 202  # fmt: skip
        await workspace.project()
        await running.close()
        there = on_kafka(empty, topic)[1]
        assert command(there, "backup", "restore", str(tmp_path / "b"))["events"] == output["events"]
        sums = [command(e, "replay", "checksums", "--workspace", workspace.name) for e in (env, there)]
        assert sums[0]["tables"] == sums[1]["tables"]  # what came after the backup is in the topic
        assert "whose log is kafka:" in fails(environment(empty, None), "backup", "restore", str(tmp_path / "b"))

    runner.run(check())


def test_a_store_with_anything_in_it_is_not_overwritten(
    source: Running, own_database: str, tmp_path: Path, runner: asyncio.Runner
) -> None:
    workspace = runner.run(filled(source))
    env = environment(own_database, None)
    file = Path(command(env, "backup", "create", str(tmp_path / "b"))["file"])
    output = fails(env, "backup", "restore", str(file))
    assert "this store is not empty" in output
    assert runner.run(source.log.end(partition_of(workspace.name, source.log.partitions))) > 0
    assert "exists already" in fails(env, "backup", "create", str(file))


def damaged(file: Path, how: str) -> None:
    body = bytearray(file.read_bytes())
    match how:
        case "cut":
            file.write_bytes(body[: len(body) // 2])
        case "changed":
            with zipfile.ZipFile(file) as archive:
                begin = archive.getinfo("event_log.copy.zst").header_offset + 200
            body[begin] ^= 1
            file.write_bytes(body)
        case "another":
            file.write_bytes(b"id,name\n1,x\n")
        case "newer":
            rewritten(
                file, b'"release"', b'"of_next_year": 1, "release"', b'"columns": [', b'"columns": ["of_next_year", '
            )


def rewritten(file: Path, *pairs: bytes) -> None:
    with zipfile.ZipFile(file) as archive:
        members: dict[str, bytes] = {name: archive.read(name) for name in archive.namelist()}
    for was, now in zip(pairs[::2], pairs[1::2], strict=True):
        members["manifest.json"] = members["manifest.json"].replace(was, now)
    with zipfile.ZipFile(file, "w") as archive:
        for name, body in members.items():
            archive.writestr(name, body)


@pytest.mark.parametrize(
    ("how", "expected"),
    [("cut", "is not a backup of Touchline, or is incomplete"), ("changed", "is damaged: event_log"),
     ("another", "is not a backup of Touchline"), ("newer", "made by a newer release")],
)  # fmt: skip
def test_a_file_that_is_no_sound_backup_is_refused_before_anything_is_written(
    source: Running, own_database: str, empty: str, tmp_path: Path, runner: asyncio.Runner, how: str, expected: str
) -> None:
    runner.run(filled(source))
    file = Path(command(environment(own_database, None), "backup", "create", str(tmp_path / "b"))["file"])
    damaged(file, how)
    assert expected in " ".join(fails(environment(empty, None), "backup", "restore", str(file)).split())

    async def rows() -> Any:
        pool = await open_pool(empty, 1)
        try:
            return [
                await pool.fetchval(f"SELECT count(*) FROM touchline.{table}") for table in ("workspace", "event_log")
            ]
        finally:
            await pool.close()

    assert runner.run(rows()) == [0, 0]


def test_a_restore_that_was_killed_before_its_end_leaves_a_store_that_can_be_started(
    source: Running,
    own_database: str,
    empty: str,
    tmp_path: Path,
    runner: asyncio.Runner,
    monkeypatch: pytest.MonkeyPatch,
) -> None:

    from services.replay import backup
    from services.replay.build import Build, Resources
    from shared.log.postgres import PARTITIONS
    from shared.store.migrate import migrate
    from touchline.open_log import reached

    workspace = runner.run(filled(source))
    file = Path(command(environment(own_database, None), "backup", "create", str(tmp_path / "b"))["file"])

    class Killed(BaseException):
        pass

    async def kill(*_: Any) -> None:
        raise Killed

    async def check() -> None:
        await migrate(empty, PARTITIONS)
        async with reached(empty, Configuration(), 4) as (pool, log):
            with monkeypatch.context() as patch:
                patch.setattr(Build, "run", kill)
                with pytest.raises(Killed):
                    await backup.restore(Resources(pool, log), file, lambda _: None, lambda _: None)
        again = await compose(empty, Configuration(kafka_bootstrap_servers=None))
        same = Workspace(again, workspace.name, workspace.keys)
        await same.project()
        assert (await same.get("/v1/campaigns/c1/overview")).json()["metrics"] == (await workspace.get("/v1/campaigns/c1/overview")).json()["metrics"]  # fmt: skip
        await again.close()

    runner.run(check())
