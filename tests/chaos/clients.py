"""Clients that hold what they were given: 200 that send half a request and stop, and some that read a kilobyte a second."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from collections import Counter
from urllib.parse import urlsplit

import orjson

from tests.chaos.world import World, Wrong

HALF_OPEN = 200
LET_GO_WITHIN_S = 40.0  # ten seconds are the server's patience; the rest is a busy machine's
SLOW_READERS = 30  # more than a process has connections to the database for readers
SLOW_PATHS = (
    "/v1/campaigns?limit=1000",
    "/openapi.json",
)  # the one from the database, the other too long for any buffer
SLOW_S = 6.0
SLOW_BYTES_PER_S = 1_024
BUFFER_BYTES = 4_096  # of the slow client's socket, so that the answer waits at the server
REST_WITHIN_S = 60.0
EXPORT_EVENTS_MIN = 1_000  # some 300 KB, where a pipe and a slow reader take 70


def _address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return str(parts.hostname), int(parts.port or 80)


async def half_open(world: World) -> str:
    """200 connections send half of a head, half of a body, or nothing; the server must let all go by itself."""
    url, workspace = world.write_url(), next(iter(world.keys))
    key = world.headers(workspace, "server")["Authorization"]
    head = f"POST /v1/events HTTP/1.1\r\nHost: t\r\nAuthorization: {key}\r\nContent-Length: 1000\r\n\r\n".encode()
    halves = {"half a head": b"GET /v1/status HT", "half a body": head + b'{"type":', "nothing": b""}
    began_s = time.monotonic()

    async def one(sent: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(*_address(url))
        try:
            writer.write(sent)
            await writer.drain()
            return await reader.read()  # until the server closes
        finally:
            writer.close()

    kinds = [list(halves)[n % len(halves)] for n in range(HALF_OPEN)]
    try:
        async with asyncio.timeout(LET_GO_WITHIN_S):
            answers = await asyncio.gather(*(one(halves[kind]) for kind in kinds))
    except TimeoutError as error:
        raise Wrong(f"a half-open connection was held for more than {LET_GO_WITHIN_S:g} s") from error
    result = Counter((kind, answer.partition(b"\r\n")[0].decode()) for kind, answer in zip(kinds, answers, strict=True))
    statuses = {kind: {answer[9:12] for k, answer in zip(kinds, answers, strict=True) if k == kind} for kind in halves}
    if statuses != {"half a head": {b"408"}, "half a body": {b"408"}, "nothing": {b""}}:
        raise Wrong(f"half-open connections were answered {result}")
    took_s = time.monotonic() - began_s
    return f"{HALF_OPEN} half-open connections were let go within {took_s:.1f} s, with 408 where a request had begun"


def _busiest(world: World) -> str:
    """The workspace to which the most events were sent."""
    return max(world.keys, key=lambda workspace: len(world.sent.get(workspace, ())))


async def slow_readers(world: World) -> str:
    """Clients read long answers, and one reads an export, at 1 KB/s; whole they must be all the same."""
    async with asyncio.timeout(REST_WITHIN_S):  # an export of few events fits into buffers
        while len(world.sent.get(workspace := _busiest(world), ())) < EXPORT_EVENTS_MIN:
            await asyncio.sleep(0.1)
    async with asyncio.TaskGroup() as group:
        exporting = group.create_task(_slow_export(world, workspace))
        reading = [
            group.create_task(_slow_read(world, workspace, SLOW_PATHS[n % len(SLOW_PATHS)]))
            for n in range(SLOW_READERS)
        ]
    bodies = [task.result() for task in reading]
    events, waited = exporting.result()
    if not waited:
        raise Wrong(f"the export of {events:,} events was too short to wait for its reader")
    return (
        f"{SLOW_READERS} readers at 1 KB/s got whole answers of {min(bodies):,} to {max(bodies):,} bytes; an export of "
        f"{events:,} events, which waited for its reader and held its snapshot so long, was whole"
    )


async def _slow_read(world: World, workspace: str, path: str) -> int:
    """Read an answer slowly for a while, then to its end; answers how many bytes its body has."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
    sock.setblocking(False)
    loop = asyncio.get_running_loop()
    with sock:
        await loop.sock_connect(sock, _address(world.read_urls()[0]))
        key = world.headers(workspace, "read")["Authorization"]
        await loop.sock_sendall(
            sock,
            f"GET {path} HTTP/1.1\r\nHost: t\r\nAuthorization: {key}\r\nConnection: close\r\n\r\n".encode(),
        )
        got, until_s = b"", time.monotonic() + SLOW_S
        while time.monotonic() < until_s and (piece := await loop.sock_recv(sock, SLOW_BYTES_PER_S)):
            got += piece
            await asyncio.sleep(len(piece) / SLOW_BYTES_PER_S)
        async with asyncio.timeout(REST_WITHIN_S):
            while piece := await loop.sock_recv(sock, 1 << 16):
                got += piece
    head, _, body = got.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise Wrong(f"a slow reader was answered {head[:200]!r}")
    length = int(head.lower().partition(b"content-length:")[2].split()[0])
    if len(body) != length:
        raise Wrong(f"a slow reader got {len(body)} bytes of {length}")
    orjson.loads(body)
    return length


async def _slow_export(world: World, workspace: str) -> tuple[int, bool]:
    """Export into a pipe that is read slowly; answers how many events came, and whether the export waited for its reader.

    It holds a snapshot as long as it waits. Every event that was projected before it began must be there, none twice.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "touchline", "export", "-", "--workspace", workspace, "--json", *world.reached_by(),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, limit=BUFFER_BYTES, start_new_session=True,
        env=world.environment(),
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        got = [await process.stdout.read(SLOW_BYTES_PER_S)]
        until_s = time.monotonic() + SLOW_S
        while time.monotonic() < until_s and (piece := await process.stdout.read(SLOW_BYTES_PER_S)):
            got.append(piece)
            await asyncio.sleep(len(piece) / SLOW_BYTES_PER_S)
        waited = process.returncode is None
        async with asyncio.timeout(REST_WITHIN_S):
            rest, errors = await asyncio.gather(process.stdout.read(), process.stderr.read())
            code = await process.wait()
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    ids = [orjson.loads(line)["id"] for line in b"".join([*got, rest]).splitlines()]
    if code or len(set(ids)) != len(ids) or not set(ids) <= world.sent[workspace]:
        raise Wrong(f"a slow export ended with {code}, {len(ids)} events, {len(set(ids))} ids: {errors[-500:]!r}")
    if orjson.loads(errors.splitlines()[-1])["events"] != len(ids):
        raise Wrong(f"a slow export says {errors!r}, but {len(ids)} events came")
    return len(ids), waited
