"""The PostgreSQL of a data directory: who may connect, and what becomes of it when it ends."""

import asyncio
import os
import pwd
import signal
import stat
import subprocess
import time
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import asyncpg
import httpx
import pytest

from tests.conftest import new_workspace
from tests.processes import Up, start, until_projected
from touchline.commands.up import keep_running
from touchline.compose import compose
from touchline.configuration import Configuration
from touchline.embedded import SOCKET_NAME, DatabaseLost, Embedded
from touchline.restarts import RESTARTS_MAX


@pytest.fixture(params=["near", "far"])
def data(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A data directory whose path is short enough for the address of a socket, and one whose path is not."""
    return tmp_path / ("data" if request.param == "near" else "a long path, with spaces" * 5)


def socket_folder(url: str) -> Path:
    return Path(unquote(parse_qs(urlsplit(url).query)["host"][0]))


def as_nobody(embedded: Embedded, folder: Path) -> str:
    """The error that an ordinary user of the machine gets who connects as the superuser."""
    nobody = pwd.getpwnam("nobody")
    assert embedded._server is not None
    command = [
        str(embedded._server.bin_path / "psql"),
        "-h",
        str(folder),
        "-U",
        "postgres",
        "-Atc",
        "SELECT current_user",
    ]
    done = subprocess.run(
        command, user=nobody.pw_uid, group=nobody.pw_gid, extra_groups=[], cwd="/", capture_output=True, text=True,
        check=False, env={"HOME": "/"},
    )  # fmt: skip
    return done.stdout + done.stderr


def test_the_socket_lies_in_a_folder_that_only_the_servers_user_can_enter(data: Path) -> None:
    embedded = Embedded(data)
    folder = socket_folder(embedded.start())
    found = folder.lstat()
    owner = (data / "postgres" / "PG_VERSION").stat().st_uid
    assert (folder / SOCKET_NAME).is_socket()
    assert stat.S_IMODE(found.st_mode) == 0o700
    assert found.st_uid == owner
    embedded.stop()


def test_two_data_directories_with_long_paths_share_no_folder_and_leave_none(tmp_path: Path) -> None:
    servers = [Embedded(tmp_path / (name * 90)) for name in "ab"]
    folders = [socket_folder(server.start()) for server in servers]
    assert folders[0] != folders[1]
    for server in servers:
        server.stop()
    assert not [folder for folder in folders if folder.exists()]


@pytest.mark.skipif(os.geteuid() != 0, reason="takes root, to become another user")
def test_another_user_of_the_machine_is_not_let_in_even_where_the_folder_is_open(tmp_path: Path) -> None:
    embedded = Embedded(tmp_path / "data")
    folder = socket_folder(embedded.start())
    assert "Permission denied" in as_nobody(embedded, folder)
    for opened in (folder, *folder.parents):  # as if somebody had opened it: the server itself must refuse
        opened.chmod(opened.stat().st_mode | 0o055)
    assert "Peer authentication failed" in as_nobody(embedded, folder)
    embedded.stop()


def test_a_data_directory_that_trusted_everybody_does_so_no_more(tmp_path: Path) -> None:
    embedded = Embedded(tmp_path / "data")
    embedded.start()
    embedded.stop()
    rules = tmp_path / "data" / "postgres" / "pg_hba.conf"
    rules.write_text("local all all trust\nhost all all 127.0.0.1/32 trust\n")
    embedded.start()
    assert "trust" not in rules.read_text()
    embedded.stop()


def test_pages_are_logged_as_they_are_also_by_a_store_of_a_release_that_compressed_them(tmp_path: Path) -> None:
    async def compression(url: str) -> str:
        connection = await asyncpg.connect(url)
        try:
            return str(await connection.fetchval("SHOW wal_compression"))
        finally:
            await connection.close()

    embedded = Embedded(tmp_path)
    try:
        assert asyncio.run(compression(embedded.start())) == "off"
        embedded.stop()
        configuration = tmp_path / "postgres" / "postgresql.conf"
        new = configuration.read_text()
        configuration.write_text(new.replace("\nmax_connections", "\nwal_compression = pglz\nmax_connections"))
        assert asyncio.run(compression(embedded.start())) == "off"
        assert configuration.read_text() == new
    finally:
        embedded.stop()


def test_a_server_left_over_with_an_open_socket_folder_is_started_again_with_a_private_one(tmp_path: Path) -> None:
    embedded = Embedded(tmp_path / ("long" * 30))
    folder = socket_folder(embedded.start())
    folder.chmod(0o777)
    embedded._server = None  # as if it had been killed: the server lives on
    embedded.stop()
    again = Embedded(embedded.data)
    now = socket_folder(again.start())
    assert now != folder
    assert stat.S_IMODE(now.stat().st_mode) == 0o700
    again.stop()


def postmaster(data: Path) -> int:
    return int((data / "postgres" / "postmaster.pid").read_text().split()[0])


def ready(up: Up) -> httpx.Response:
    with up.client("read") as client:
        return client.get("/readyz")


def test_a_postgresql_that_is_killed_is_started_again_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOUCHLINE_LOG_LEVEL", "ERROR")  # nobody reads the pipe that logs go to
    data = tmp_path / "data"
    up = start(data)
    visit = {"type": "page_visited", "visitor_id": "v", "url": "https://a.example/"}
    with up.client("server") as client:
        assert client.post("/v1/events", json={**visit, "id": "before"}).status_code == 202
    killed = postmaster(data)
    os.kill(killed, signal.SIGKILL)
    deadline = time.monotonic() + 60
    position = None
    with up.client("server") as client:
        while position is None and time.monotonic() < deadline:
            answer = client.post("/v1/events", json={**visit, "id": "after"})
            position = answer.json()["position"] if answer.status_code == 202 else None
            time.sleep(0.2)
        assert position is not None
        until_projected(client, position)
        answer = client.get("/v1/events/before/explain")
        assert answer.status_code == 200, answer.text
    assert postmaster(data) != killed
    assert ready(up).status_code == 200
    assert up.stop() == 0


class Broken:
    """An embedded PostgreSQL that has ended and cannot start, until `mend` is called."""

    def __init__(self, embedded: Embedded) -> None:
        """Start it, end it, and take away a file that it needs."""
        embedded.start()
        self._control = embedded.data / "postgres" / "global" / "pg_control"
        embedded._pg_ctl(embedded._server, "-m", "immediate", "stop")  # type: ignore[arg-type]
        self._control.rename(self._control.with_name("away"))

    def mend(self) -> None:
        self._control.with_name("away").rename(self._control)


def test_a_postgresql_that_cannot_be_started_again_ends_with_a_clear_line(
    tmp_path: Path, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("touchline.commands.up.WATCH_S", 0.01)
    embedded = Embedded(tmp_path / "data")
    Broken(embedded)
    with pytest.raises(DatabaseLost, match=f"{RESTARTS_MAX} times within 10 minutes did not help; its log is"):
        runner.run(asyncio.wait_for(keep_running(embedded), 120))
    embedded.stop()


def test_readiness_shows_how_much_of_the_disk_is_free(tmp_path: Path) -> None:
    up = start(tmp_path / "data")
    assert ready(up).json()["disk"]["free_bytes"] > 0
    up.stop()


def test_a_connection_through_a_socket_that_is_not_there_is_reported_as_such(
    tmp_path: Path, runner: asyncio.Runner
) -> None:
    from shared.database import AWAY, Unreachable, open_pool

    with pytest.raises(Unreachable) as raised:
        runner.run(open_pool(f"postgresql://postgres@/postgres?host={tmp_path}"))
    assert str(raised.value).startswith("PostgreSQL cannot be reached: ")
    assert isinstance(raised.value, AWAY)
    assert not isinstance(FileNotFoundError(), AWAY)


def test_a_postgresql_that_cannot_start_on_a_full_disk_is_tried_until_there_is_room(
    tmp_path: Path, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("touchline.commands.up.WATCH_S", 0.01)
    monkeypatch.setattr("touchline.commands.up.FULL_AGAIN_S", 0.02)
    monkeypatch.setattr("touchline.compose.DISK_FREE_BYTES_MIN", 2**62)  # no disk has so much free
    embedded, tries, started = Embedded(tmp_path / "data"), 0, False
    broken, start_again = Broken(embedded), embedded.start_again

    def counted() -> None:
        nonlocal tries, started
        tries += 1
        start_again()
        started = True

    monkeypatch.setattr(embedded, "start_again", counted)

    async def check() -> None:
        keeping = asyncio.create_task(keep_running(embedded))
        async with asyncio.timeout(120):
            while tries <= RESTARTS_MAX + 2:
                assert not keeping.done(), keeping.exception()
                await asyncio.sleep(0.05)
            broken.mend()
            while not started:
                await asyncio.sleep(0.05)
        assert embedded.is_running()
        keeping.cancel()

    runner.run(check())
    embedded.stop()


def test_a_database_that_is_away_because_the_disk_is_full_is_reported_as_such(
    tmp_path: Path, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedded = Embedded(tmp_path / "data")
    url = embedded.start()

    async def check() -> None:
        running = await compose(url, Configuration(kafka_bootstrap_servers=None), folder=embedded.data)
        workspace = await new_workspace(running, "full")
        event = {"type": "page_visited", "visitor_id": "v", "url": "https://a.example/"}
        assert (await workspace.send(event)).status_code == 202
        assert (await workspace.get("/v1/status")).status_code == 200
        await asyncio.to_thread(embedded._pg_ctl, embedded._server, "-m", "immediate", "stop")
        for free_bytes_min, code in ((0, "unavailable"), (2**62, "disk_full")):
            monkeypatch.setattr("touchline.compose.DISK_FREE_BYTES_MIN", free_bytes_min)
            for answer in (await workspace.send(event), await workspace.get("/v1/status")):
                assert (answer.status_code, answer.json()["code"]) == (503, code)
                assert int(answer.headers["retry-after"]) >= 1
        await running.close()

    runner.run(check())
    embedded.stop()
