"""What is measured, and beside what? Every figure stands beside a peer of the same run."""

import asyncio
import datetime as dt
import itertools
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import httpx
import orjson

from benchmarks.copied import create_copied
from benchmarks.load import (
    BATCH_EVENTS,
    Server,
    bodies,
    now,
    post,
    read_bodies,
    spread,
    until_readable,
    waits_s,
    write_bodies,
)
from shared.projection.digest_updater import WORK
from shared.projection.tables import projection

BACKGROUND_MAX_S = 3_600
EVENTS = int(os.environ.get("BENCHMARK_EVENTS", "300000"))
GROWTH_EVENTS = int(os.environ.get("BENCHMARK_GROWTH_EVENTS", "5200000"))
FRESHNESS_EVENTS_PER_S, FRESHNESS_S = 2_000, 30
CONTACT_TOUCHES = 100_000
LAG_EVENTS_MAX = 60_000  # the growth benchmark sends no faster than it is projected


async def ingest(folder: Path) -> None:
    """Events a second of `POST /v1/events` in batches of 100, beside an endpoint that only decodes."""
    path = folder / "bodies"
    write_bodies(path, EVENTS)
    rates = {}
    for mode in ("decode", "ingest", "decode", "ingest"):
        command = [sys.executable, "-m", "benchmarks.servers", mode]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        started = json.loads(process.stdout.readline())
        began = now()
        accepted, _ = await post(started["url"], started["keys"]["server"], read_bodies(path))
        rates[mode] = max(rates.get(mode, 0), accepted / (now() - began))
        process.terminate()
        process.wait()
    print(f"  decoding only   {rates['decode']:9,.0f} events/s")
    print(
        f"  durable (202)   {rates['ingest']:9,.0f} events/s, {rates['ingest'] / rates['decode']:.0%} of it", flush=True
    )


async def end_to_end(folder: Path) -> None:
    """From the first request until all is readable, beside COPY of the same rows into the same tables and indexes."""
    path = folder / "bodies"
    write_bodies(path, EVENTS)
    server = Server.start(folder / "data")
    began = now()
    accepted, position = await post(server.url, server.keys["server"], read_bodies(path))
    taken_s = now() - began
    await until_readable(server.url, server.keys["read"], position)
    readable_s = now() - began
    print(f"  accepted        {accepted / taken_s:9,.0f} events/s")
    print(f"  readable        {accepted / readable_s:9,.0f} events/s")
    connection = await asyncpg.connect(database_of(folder / "data"))
    copied_s = await copy_again(connection, folder, "g1")
    await connection.close()
    server.stop()
    print(
        f"  COPY alone      {accepted / copied_s:9,.0f} events/s; readable is {copied_s / readable_s:.0%} of it",
        flush=True,
    )


def database_of(data: Path) -> str:
    """The URL of a running server's database."""
    directory = Path((data / "postgres" / "postmaster.pid").read_text().splitlines()[4])
    return f"postgresql://postgres@/postgres?host={directory}"


async def background_done(data: Path) -> float:
    """Wait until the background has made all digests and sums of a running server; how many seconds that took."""
    connection = await asyncpg.connect(database_of(data))
    began = now()
    try:
        generation = await connection.fetchval("SELECT name FROM touchline.live_generation LIMIT 1")
        while now() - began < BACKGROUND_MAX_S:
            if not await connection.fetch(WORK.replace("{g}", generation)):
                return now() - began
            await asyncio.sleep(0.2)
    finally:
        await connection.close()
    raise TimeoutError(f"digests and sums were not all made within {BACKGROUND_MAX_S} s")


async def copy_again(connection: "asyncpg.Connection[asyncpg.Record]", folder: Path, generation: str) -> float:
    """Seconds that COPY takes for a generation's rows into an empty one, with all its indexes."""
    await create_copied(connection, generation)
    total_s = 0.0
    for table in projection.sorted_tables:
        path = folder / table.name
        await connection.copy_from_query(f"SELECT * FROM {generation}.{table.name}", output=path, format="binary")
        began = now()
        await connection.copy_to_table(table.name, schema_name="copied", source=path, format="binary")
        total_s += now() - began
    return total_s


async def freshness(folder: Path) -> None:
    """How long after it was sent is an event readable, at a steady 2,000 events a second?"""
    server = Server.start(folder / "data")
    first, rest = itertools.tee(bodies(EVENTS))
    _, position = await post(server.url, server.keys["server"], itertools.islice(first, 500))
    await until_readable(server.url, server.keys["read"], position)
    sent = itertools.islice(rest, 500, None)
    waits = await waits_s(server.url, server.url, server.keys["server"], sent, FRESHNESS_EVENTS_PER_S, FRESHNESS_S)
    server.stop()
    print(f"  readable after {spread(waits)} at {FRESHNESS_EVENTS_PER_S:,} events/s", flush=True)


async def _time_reads(server: Server) -> None:
    headers = {"Authorization": f"Bearer {server.keys['read']}"}
    async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=300) as client:
        items = (await client.get("/v1/campaigns")).json()["items"]
        largest = max(items, key=lambda item: item["metrics"]["page_views"])["campaign_id"]
        contact = (await client.get(f"/v1/campaigns/{largest}/contacts?limit=1")).json()["items"][0]["contact"]
        paths = ["/v1/status", f"/v1/contacts/{contact}/journey", f"/v1/campaigns/{largest}/overview",
                 f"/v1/campaigns/{largest}/assets", "/v1/campaigns", "/v1/reports/attribution"]  # fmt: skip
        for path in paths:
            took = []
            for _ in range(5):
                began = now()
                (await client.get(path)).raise_for_status()
                took.append(now() - began)
            print(f"  {statistics.median(took) * 1000:7.0f} ms  {path}", flush=True)


async def contact(folder: Path) -> None:
    """What does an event cost a contact that has 100,000 already?"""
    server = Server.start(folder / "data")
    costs = []
    touches = _touches_of_one()
    for _ in range(10):
        part = list(itertools.islice(touches, CONTACT_TOUCHES // BATCH_EVENTS // 10))
        began = now()
        _, position = await post(server.url, server.keys["server"], iter(part))
        await until_readable(server.url, server.keys["read"], position)
        costs.append((now() - began) / (len(part) * BATCH_EVENTS) * 1e6)
    server.stop()
    print(
        "  µs an event, by tenths of 100,000 touches of one contact:", " ".join(f"{c:.0f}" for c in costs), flush=True
    )


def _touches_of_one() -> Iterator[bytes]:
    at = dt.datetime(2025, 1, 1, tzinfo=dt.UTC)
    number = itertools.count()
    while True:
        batch = []
        for n in itertools.islice(number, BATCH_EVENTS):
            at += dt.timedelta(minutes=4)
            event = {"type": "page_visited", "visitor_id": "v", "url": f"https://s.example/{n % 9}"}
            if n % 3 == 0:
                event = {"type": "email_clicked", "asset_id": f"m{n % 7}", "contact": {"email": "kari@example.no"}}
            if n % 50 == 0:
                event = {"type": "contact_identified", "visitor_id": "v", "contact": {"email": "kari@example.no"}}
            batch.append(event | {"id": f"t{n}", "occurred_at": at.isoformat()})
        yield orjson.dumps({"events": batch})


async def growth(folder: Path) -> None:
    """Does an event cost more, or the process hold more, when 5,000,000 are stored?"""
    path = folder / "bodies"
    count = write_bodies(path, GROWTH_EVENTS)
    server = Server.start(folder / "data")
    headers = {"Authorization": f"Bearer {server.keys['read']}"}
    all_bodies = read_bodies(path)
    sent = itertools.islice(all_bodies, (count - EVENTS) // BATCH_EVENTS)
    step, last, at = GROWTH_EVENTS // 10, 0, now()
    position = ""
    async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=300) as client:
        while part := list(itertools.islice(sent, 100)):
            _, position = await post(server.url, server.keys["server"], iter(part))
            while (status := (await client.get("/v1/status")).json())["lag_events"] > LAG_EVENTS_MAX:
                await asyncio.sleep(0.05)
            done = status["projected_offset"]
            if done - last >= step:
                print(
                    f"  {done:9,} stored: {(done - last) / (now() - at):7,.0f} events/s, {server.rss_mb():.0f} MB",
                    flush=True,
                )
                last, at = done, now()
    await until_readable(server.url, server.keys["read"], position)
    began = now()
    accepted, position = await post(server.url, server.keys["server"], all_bodies)
    await until_readable(server.url, server.keys["read"], position)
    rate = accepted / (now() - began)
    print(f"  the last {accepted:,} as fast as they come: {rate:,.0f} events/s until readable", flush=True)
    await _time_reads(server)
    server.stop()
