"""What do readers and live traffic wait while settings change that concern all of a long history?"""

import asyncio
import datetime as dt
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import orjson

from benchmarks.load import BATCH_EVENTS, SEED, Server, bodies, now, post, spread, until_readable

TOUCHES = int(os.environ.get("BENCHMARK_SETTINGS_TOUCHES", "1000000"))
DEALS = TOUCHES // 100
OF_A_VISITOR = 10  # touches; every tenth visitor is the contact of a won deal
EVENTS_PER_S = 1_000
BEFORE_S, AFTER_S = 5, 5  # of live traffic, around the change
SHOWN_WITHIN_S = 3_600.0
BEGUN = dt.datetime(2025, 1, 3, tzinfo=dt.UTC)
STEP = dt.timedelta(
    minutes=20
)  # between the touches of a visitor: one session by the gap of 30 minutes, ten by the new one
CHANGE = {
    "type": "workspace_configured", "id": "the-change", "occurred_at": "2026-01-01T00:00:00Z",
    "settings": {"session_gap_minutes": 10},
}  # fmt: skip
MODES = {"in-batch": "within the batch that brings it", "in-background": "beside the rows that are read"}


def _events() -> Iterator[dict[str, Any]]:
    """Visits of an asset of a campaign; contacts and their won deals."""
    yield {"type": "campaign_created", "campaign_id": "held", "occurred_at": "2025-01-01T00:00:00Z"}
    yield {"type": "asset_associated", "asset_id": "a", "campaign_id": "held", "occurred_at": "2025-01-01T00:00:00Z"}
    visitors = TOUCHES // OF_A_VISITOR
    for visitor in range(visitors):
        at = BEGUN + dt.timedelta(days=300) * visitor / visitors
        for n in range(OF_A_VISITOR):
            yield {"type": "page_visited", "visitor_id": f"v{visitor}", "asset_id": "a", "url": "https://s.example/",
                   "occurred_at": (at + STEP * n).isoformat()}  # fmt: skip
        if visitor % (visitors // DEALS) == 0:
            contact, end = {"email": f"c{visitor}@example.no"}, at + STEP * OF_A_VISITOR
            yield {"type": "contact_identified", "visitor_id": f"v{visitor}", "contact": contact, "occurred_at": end.isoformat()}  # fmt: skip
            yield {"type": "deal_created", "deal_id": f"d{visitor}", "amount": "1000.01", "contacts": [contact],
                   "occurred_at": end.isoformat()}  # fmt: skip
            yield {"type": "deal_closed", "deal_id": f"d{visitor}", "won": True, "occurred_at": (end + STEP).isoformat()}  # fmt: skip


def _history() -> Iterator[bytes]:
    events = _events()
    while part := list(itertools.islice(events, BATCH_EVENTS)):
        yield orjson.dumps({"events": part})


@dataclass
class Waits:
    """What was waited for, in seconds: until live events were projected, and for the answers to reads."""

    projected: list[float] = field(default_factory=list)
    reads: list[float] = field(default_factory=list)
    pending: list[tuple[int, float]] = field(default_factory=list)
    """Live requests that are not projected yet: up to which offset, and since when."""


def _started(mode: str) -> Server:
    command = [sys.executable, "-m", "benchmarks.servers", mode]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout is not None
    started = json.loads(process.stdout.readline())
    return Server(process, started["url"], started["keys"])


async def settings(_: Path) -> None:
    """Change the session gap of 1,000,000 touches and 10,000 deals under 1,000 events/s; within the batch, and beside."""
    for mode, how in MODES.items():
        with _started(mode) as server:
            accepted, position = await post(server.url, server.keys["server"], _history())
            await until_readable(server.url, server.keys["read"], position)
            quiet, shown_s, meanwhile = await _changed(server)
        print(f"  a session gap over {accepted:,} events and {DEALS:,} deals, {how}: shown after {shown_s:,.1f} s")
        for name, waits in (("before", quiet), ("meanwhile", meanwhile)):
            print(f"    {name}: live events are projected after {spread(waits.projected)}")
            print(f"    {name}: reads are answered after {spread(waits.reads)}", flush=True)


async def _changed(server: Server) -> tuple[Waits, float, Waits]:
    """Change the setting during live traffic. Returns the waits before, how long it takes until the change is shown, and the waits meanwhile."""
    headers = {"Authorization": f"Bearer {server.keys['server']}"}
    quiet, meanwhile = Waits(), Waits()
    async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=300) as client:
        live = bodies(EVENTS_PER_S * int(SHOWN_WITHIN_S), SEED + 1)
        first = await _sessions(client)
        await _traffic(client, live, quiet, asyncio.create_task(asyncio.sleep(BEFORE_S)))
        shown = asyncio.create_task(_shown(client, first))
        await _traffic(client, live, meanwhile, shown)
        await _traffic(client, live, meanwhile, asyncio.create_task(asyncio.sleep(AFTER_S)))
    return quiet, shown.result(), meanwhile


async def _sessions(client: httpx.AsyncClient) -> int:
    answer = await client.get("/v1/campaigns/held/overview")
    return int(answer.raise_for_status().json()["metrics"]["sessions"])


async def _shown(client: httpx.AsyncClient, first: int) -> float:
    """Tell the change; seconds until its sessions are counted. Raises if any answer on the way shows part of them."""
    began, new = now(), first * OF_A_VISITOR
    (await client.post("/v1/events", json=CHANGE)).raise_for_status()
    async with asyncio.timeout(SHOWN_WITHIN_S):
        while (seen := await _sessions(client)) != new:
            if seen != first:
                raise RuntimeError(f"{seen} sessions were shown, neither {first} nor {new}")
            await asyncio.sleep(0.25)
    return now() - began


async def _traffic(client: httpx.AsyncClient, live: Iterator[bytes], waits: Waits, until: "asyncio.Task[Any]") -> None:
    """Send at a steady rate and read, until a task ends; then wait for what was sent."""
    reading = asyncio.create_task(_read(client, waits))
    began, sending = now(), []
    for n in itertools.count():
        await asyncio.sleep(max(0.0, began + n * BATCH_EVENTS / EVENTS_PER_S - now()))
        if until.done():
            break
        sending.append(asyncio.create_task(_send(client, next(live), waits)))
    await asyncio.gather(*sending)
    async with asyncio.timeout(SHOWN_WITHIN_S):
        while waits.pending:
            await asyncio.sleep(0.05)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    until.result()


async def _send(client: httpx.AsyncClient, body: bytes, waits: Waits) -> None:
    began = now()
    answer = (await client.post("/v1/events", content=body)).raise_for_status().json()
    waits.pending.append((int(answer["position"].split("-")[1]), began))


async def _read(client: httpx.AsyncClient, waits: Waits) -> None:
    """Read again and again, and see by the answer which live events are projected."""
    while True:
        began = now()
        at = (await client.get("/v1/status")).raise_for_status().json()["projected_offset"]
        waits.reads.append(now() - began)
        waits.projected += [now() - since for offset, since in waits.pending if offset <= at]
        waits.pending = [(offset, since) for offset, since in waits.pending if offset > at]
        await asyncio.sleep(0.01)
