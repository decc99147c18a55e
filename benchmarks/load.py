"""The load: the standard mix as request bodies, a server of its own, and a sender that keeps a few requests in flight."""

import asyncio
import datetime as dt
import json
import resource
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import httpx
import orjson
import psutil

from touchline.demo.mix import Mix

BATCH_EVENTS = 100
IN_FLIGHT = 8
END = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
SEED = 20260101


def bodies(events: int, seed: int = SEED) -> Iterator[bytes]:
    """Request bodies of `BATCH_EVENTS` events, about `events` events of the standard mix in all."""
    batch: list[object] = []
    for event in Mix(seed, events, END).history():
        batch.append(event)
        if len(batch) == BATCH_EVENTS:
            yield orjson.dumps({"events": batch})
            batch = []
    if batch:
        yield orjson.dumps({"events": batch})


def write_ndjson(path: Path, events: int) -> int:
    """Write the standard mix as NDJSON, for a backfill; how many events it has."""
    count = 0
    with path.open("wb") as file:
        for event in Mix(SEED, events, END).history():
            file.write(orjson.dumps(event) + b"\n")
            count += 1
    return count


def write_bodies(path: Path, events: int, seed: int = SEED) -> int:
    """Write the bodies to a file, each with its length before it; answers how many events they hold."""
    count = 0
    with path.open("wb") as file:
        for body in bodies(events, seed):
            file.write(len(body).to_bytes(4, "big") + body)
            count += BATCH_EVENTS
    return count


def read_bodies(path: Path) -> Iterator[bytes]:
    """The bodies of a file."""
    with path.open("rb") as file:
        while size := file.read(4):
            yield file.read(int.from_bytes(size, "big"))


@dataclass
class Server:
    """A `touchline up` of its own."""

    process: subprocess.Popen[str]
    url: str
    keys: dict[str, str]

    @classmethod
    def start(cls, data: Path, *options: str) -> "Server":
        """Start it on a free port and wait until it answers."""
        command = [sys.executable, "-m", "touchline", "up", "--data", str(data), "--port", "0", "--json", *options]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
        assert process.stdout is not None
        started = json.loads(process.stdout.readline())
        keys = started["keys"] or json.loads((data / "keys.json").read_text())["keys"]
        return cls(process, started["url"], keys)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop it cleanly."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(120)

    def rss_mb(self) -> float:
        """Memory of its processes, without PostgreSQL."""
        own = psutil.Process(self.process.pid)
        return sum(one.memory_info().rss for one in (own, *own.children())) / 2**20


async def post(url: str, key: str, sent: Iterator[bytes], in_flight: int = IN_FLIGHT) -> tuple[int, str]:
    """Send every body with a few requests in flight; answers the events accepted and the last position."""
    accepted, position, offset = 0, "", -1
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    host, port = url.removeprefix("http://").split(":")
    head = "".join(f"{k}: {v}\r\n" for k, v in {"Host": host, **headers}.items())

    async def lane() -> None:
        nonlocal accepted, position, offset
        reader, writer = await asyncio.open_connection(host, int(port))
        for body in sent:
            writer.write(f"POST /v1/events HTTP/1.1\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            status = await reader.readline()
            length = 0
            while (line := await reader.readline()) != b"\r\n":
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            answer = orjson.loads(await reader.readexactly(length))
            if b" 202 " not in status:
                raise RuntimeError(f"{status!r} {answer}")
            accepted += answer["accepted"]
            at = int(answer["position"].split("-")[1])
            if at > offset:
                position, offset = answer["position"], at
        writer.close()

    await asyncio.gather(*(lane() for _ in range(in_flight)))
    return accepted, position


async def until_readable(url: str, key: str, position: str) -> None:
    """Wait until a read shows everything up to the position."""
    async with httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=30) as client:
        while (await client.get("/v1/status", params={"after": position})).status_code != 200:
            pass


async def waits_s(
    ingest_url: str, api_url: str, key: str, sent: Iterator[bytes], events_per_s: int, seconds: float
) -> list[float]:
    """Send at a steady rate; answers how long after its sending each body was readable, in seconds."""
    waits: list[float] = []
    interval_s = BATCH_EVENTS / events_per_s

    async def one(client: httpx.AsyncClient, body: bytes) -> None:
        began = now()
        answer = (await client.post(f"{ingest_url}/v1/events", content=body)).json()
        while (await client.get(f"{api_url}/v1/status", params={"after": answer["position"]})).status_code != 200:
            continue  # a read waits five seconds at most
        waits.append(now() - began)

    headers = {"Authorization": f"Bearer {key}"}
    limits = httpx.Limits(max_connections=None)
    async with (
        httpx.AsyncClient(headers=headers, timeout=60, limits=limits) as client,
        asyncio.TaskGroup() as group,
    ):
        began = now()
        for n in range(int(seconds / interval_s)):
            await asyncio.sleep(max(0.0, began + n * interval_s - now()))
            group.create_task(one(client, next(sent)))
    return waits


def spread(waits: list[float]) -> str:
    """Waits in seconds as median, p99 and worst."""
    ordered = sorted(waits)
    p99 = ordered[int(len(ordered) * 0.99)]
    return (
        f"{statistics.median(ordered) * 1000:.0f} ms (median), {p99 * 1000:.0f} ms (p99), "
        f"{ordered[-1] * 1000:.0f} ms (worst)"
    )


def cpu_s() -> float:
    """CPU seconds of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def now() -> float:
    """A clock for intervals, in seconds."""
    return time.perf_counter()
