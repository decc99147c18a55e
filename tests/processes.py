"""Real `touchline up` processes for the tests that need them."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

PROJECTED_S = 120.0  # on a busy machine; within a second else


@dataclass
class Up:
    """A running `touchline up`. `sealed`: it says that its store is sealed."""

    process: subprocess.Popen[str]
    url: str
    keys: dict[str, str]
    sealed: bool = False

    def client(self, scope: str) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.keys[scope]}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=30)

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        code, error_text = ended(self.process)
        if code:
            print(f"touchline up ended with {code}: {error_text[-3000:]}")
        return code

    def kill_group(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        ended(self.process)


def until_projected(client: httpx.Client, position: str) -> None:
    """Wait until a position is projected. A read waits for it a few seconds at most, and a busy machine may take longer."""
    until_s = time.monotonic() + PROJECTED_S
    while (answer := client.get("/v1/status", params={"after": position})).status_code == 503:
        assert time.monotonic() < until_s, answer.text
    assert answer.status_code == 200, answer.text


@contextmanager
def up_with(events: list[dict[str, Any]], data: Path) -> Iterator[Up]:
    """A `touchline up` that has projected these events; it ends with the block."""
    up = start(data)
    with up.client("server") as client:
        position = client.post("/v1/events", json=events).json()["position"]
    with up.client("read") as client:
        until_projected(client, position)
    yield up
    assert up.stop() == 0


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Wait for the end of a process: its exit code and what it wrote to standard error."""
    _, error_text = process.communicate(timeout=60)
    return process.returncode, " ".join((error_text or "").split())


def start(data: Path, port: int = 0, errors_to: Path | None = None, *options: str) -> Up:
    """Start it in a process group of its own and wait until it says that it is up.

    `errors_to` is the file of its standard error; None: a pipe, which must be read if the process writes much.
    """
    process = launch(data, port, errors_to, *options)
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise AssertionError(f"touchline up ended with {ended(process)}")
    ready = json.loads(line)
    keys = json.loads((data / "keys.json").read_text())["keys"]
    return Up(process, ready["url"], keys, ready["sealed"])


def launch(data: Path, port: int = 0, errors_to: Path | None = None, *options: str) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "touchline",
        "up",
        "--data",
        str(data),
        "--port",
        str(port),
        "--json",
        *options,
    ]
    env = {k: v for k, v in os.environ.items() if k != "TOUCHLINE_DATABASE_URL"}
    with errors_to.open("a") if errors_to is not None else nullcontext(subprocess.PIPE) as errors:
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True, env=env
        )
