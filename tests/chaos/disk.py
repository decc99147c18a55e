"""A small disk that can be filled and freed again: a file system in memory, of a size that is chosen."""

import errno
import os
import subprocess
import threading
from pathlib import Path

SIZE_MB = 1_500
FULL_AGAIN_S = 0.05  # what PostgreSQL frees is taken at once
PIECES = (1 << 20, 1 << 12)  # bytes written at once, ever fewer, until not a page is free


class NoDisk(Exception):
    """No file system may be mounted by this user."""


class SmallDisk:
    """A tmpfs of its own, mounted at a folder. Raises `NoDisk` where it may not be mounted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"
        self._thread: threading.Thread | None = None
        self._full = threading.Event()
        self._over = threading.Event()
        folder.mkdir()
        options = f"size={SIZE_MB}m,mode=0755"
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise NoDisk(done.stderr.strip())

    def fill(self) -> None:
        """Fill it to the last byte, and keep it full until `free` is called."""
        self._full.clear()
        self._over.clear()
        self._thread = threading.Thread(target=self._fill, daemon=True)
        self._thread.start()
        if not self._full.wait(60):
            raise AssertionError("the disk could not be filled within 60 s")

    def _fill(self) -> None:
        with self._filler.open("ab", buffering=0) as file:
            while not self._over.is_set():
                for size in PIECES:
                    try:
                        while not self._over.is_set():
                            file.write(bytes(size))
                    except OSError as error:
                        if error.errno != errno.ENOSPC:
                            raise
                self._full.set()
                self._over.wait(FULL_AGAIN_S)

    def free(self) -> None:
        """Make room again."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self._filler.unlink(missing_ok=True)

    def free_bytes(self) -> int:
        found = os.statvfs(self.folder)
        return found.f_bavail * found.f_frsize

    def close(self) -> None:
        self.free()
        subprocess.run(["umount", "-l", str(self.folder)], check=True)
