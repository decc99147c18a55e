"""What does it cost to project everything again, beside COPY, beside a batch job, and beside live traffic?"""

import asyncio
import itertools
import json
import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import psutil

from benchmarks.load import SEED, Server, bodies, now, post, spread, until_readable, waits_s, write_ndjson
from benchmarks.measure import EVENTS, GROWTH_EVENTS, copy_again, database_of

KILLS = 10
LIVE_EVENTS_PER_S, LIVE_S = 2_000, 30
LOGGED = {"TOUCHLINE_LOG_LEVEL": "INFO", "TOUCHLINE_LOG_FORMAT": "json"}


async def rebuild(folder: Path) -> None:
    """Everything again from the log, beside COPY of the same rows, and beside DuckDB on the same events."""
    data, file = folder / "data", folder / "events.ndjson"
    count = write_ndjson(file, GROWTH_EVENTS)
    with Server.start(data) as server:
        report, items, built_s = await _rebuilt(server, data, file, count)
        connection = await asyncpg.connect(database_of(data))
        copied_s = await copy_again(connection, folder, report["generation"])
        await connection.close()
    print(f"  COPY alone      {count / copied_s:9,.0f} events/s; rebuilt is {copied_s / built_s:.0%} of it", flush=True)
    _beside_duckdb(file, count, items)


async def _rebuilt(server: Server, data: Path, file: Path, count: int) -> tuple[dict[str, Any], list[Any], float]:
    command = [sys.executable, "-m", "touchline", "backfill", str(file), "--rate", "1e9", "--data", str(data), "--json"]
    began = now()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    async with _reader(server) as client:
        while (status := (await client.get("/v1/status")).json())["lag_events"]:
            await asyncio.sleep(0.2)
        assert status["projected_offset"] == count
        print(f"  backfilled and projected live: {count / (now() - began):9,.0f} events/s", flush=True)
        await _until_tidy(data)
        command = [sys.executable, "-m", "touchline", "replay", "rebuild", "--data", str(data), "--json"]
        stages, report, peak_mb = _watched(command)
        assert report["compared"]["equal"], "the rebuilt generation differs"
        built_s = stages["project"]
        print(f"  rebuilt         {count / built_s:9,.0f} events/s, {peak_mb:.0f} MB at most in all its processes")
        for stage, took_s in stages.items():
            print(f"    {took_s:7.1f} s  {stage}")
        items = (await client.get("/v1/campaigns", params={"limit": 1000})).json()["items"]
    return report, items, built_s


async def _until_tidy(data: Path) -> None:
    """Wait until PostgreSQL has vacuumed what was just written, for two minutes at most."""
    connection = await asyncpg.connect(database_of(data))
    quiet_s = 0
    for _ in range(120):
        busy = await connection.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'autovacuum worker'"
        )
        quiet_s = 0 if busy else quiet_s + 1
        if quiet_s == 15:  # its launcher sleeps ten
            break
        await asyncio.sleep(1)
    await connection.close()


def _beside_duckdb(file: Path, count: int, items: list[Any]) -> None:
    duck = json.loads(subprocess.run([sys.executable, "-m", "benchmarks.duck", str(file)], check=True, capture_output=True).stdout)  # fmt: skip
    wrong = [
        (item["campaign_id"], metric, item["metrics"][metric], value)
        for item in items
        for metric, value in duck["numbers"][item["campaign_id"]].items()
        if item["metrics"][metric] != value
    ]
    assert not wrong, f"DuckDB has other numbers: {wrong[:5]}"
    print(
        f"  DuckDB, in part {count / duck['seconds']:9,.0f} events/s, {duck['peak_mb']:.0f} MB; the same numbers",
        flush=True,
    )


def _reader(server: Server) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {server.keys['read']}"}
    return httpx.AsyncClient(base_url=server.url, headers=headers, timeout=300)


def _watched(command: list[str]) -> tuple[dict[str, float], dict[str, Any], float]:
    """Run a command: the seconds of its stages, what it says, and the most memory that it and its children have."""
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **LOGGED}
    )
    peak = 0.0

    def watch() -> None:
        nonlocal peak
        while process.poll() is None:
            try:
                root = psutil.Process(process.pid)
                peak = max(peak, sum(p.memory_info().rss for p in (root, *root.children(recursive=True))) / 2**20)
            except psutil.NoSuchProcess:  # one that has just ended
                continue
            finally:
                time.sleep(0.2)

    watching = threading.Thread(target=watch)
    watching.start()
    output, logged = process.communicate()
    watching.join()
    assert process.returncode == 0, logged
    stages: dict[str, float] = {}
    for line in logged.splitlines():
        record = json.loads(line)
        if "stage" in record:
            stages[record["stage"]] = stages.get(record["stage"], 0) + record["took_s"]
    return stages, json.loads(output), peak


async def beside_live_traffic(folder: Path) -> None:
    """How long is an event on its way while everything is rebuilt, and the rebuild is killed again and again?"""
    data = folder / "data"
    with Server.start(data) as server:
        await _beside(server, data)


async def _beside(server: Server, data: Path) -> None:
    all_bodies = bodies(2 * EVENTS)
    _, position = await post(server.url, server.keys["server"], itertools.islice(all_bodies, EVENTS // 100))
    await until_readable(server.url, server.keys["read"], position)
    key = server.keys["server"]
    before = await waits_s(server.url, server.url, key, all_bodies, LIVE_EVENTS_PER_S, LIVE_S)
    print(f"  before          readable after {spread(before)} at {LIVE_EVENTS_PER_S:,} events/s", flush=True)
    command = [sys.executable, "-m", "touchline", "replay", "rebuild", "--data", str(data), "--json"]
    over = asyncio.Event()

    async def rebuilding() -> dict[str, Any]:
        rng = random.Random(SEED)
        for _ in range(KILLS):
            process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL)
            await asyncio.sleep(rng.uniform(1.0, 6.0))
            process.kill()
            await process.wait()
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        report, _ = await process.communicate()
        assert process.returncode == 0
        over.set()
        found: dict[str, Any] = json.loads(report)
        return found

    task = asyncio.create_task(rebuilding())
    during: list[float] = []
    async with _reader(server) as client:
        while not over.is_set():
            during += await waits_s(server.url, server.url, key, all_bodies, LIVE_EVENTS_PER_S, 5)
            assert (await client.get("/v1/campaigns", params={"limit": 1})).status_code == 200
        report = await task
        assert report["compared"]["equal"]
        assert (await client.get("/v1/status")).json()["generation"] == report["generation"]
    print(f"  meanwhile       readable after {spread(during)}; {KILLS} of {KILLS + 1} rebuilds were killed", flush=True)
    command[4] = "verify"
    verified = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    assert verified["equal"]
    print(
        f"  in the end      {verified['tables']['event_index']['rows']:,} events, and every row is what they make",
        flush=True,
    )
    server.stop()
