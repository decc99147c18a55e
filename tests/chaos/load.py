"""The load: clients that send events and clients that read, during all faults."""

import asyncio
import datetime as dt
import itertools
import random
import time
from collections import deque
from collections.abc import Iterator
from typing import Any

import httpx
import orjson

from shared.access.positions import Positions
from shared.database import open_pool
from tests.chaos.world import World, Wrong
from touchline.demo.mix import Mix

BATCH_EVENTS = 100
IN_FLIGHT_MAX = 64
DUPLICATE_SHARE = 0.05  # of batches are sent once more, some time later
WINDOW = 8  # batches of a workspace that may overtake one another
SEND_PATIENCE_S = 15.0
NOT_KEPT = httpx.Limits(max_keepalive_connections=0)  # a server closes what is idle, and a request may just meet that
READERS = 3
READ_EVERY_S = 0.25
# A read waits 5 s for a connection, 5 s for the log and 30 s for its statements; one that takes longer hangs.
READ_PATIENCE_S = 45.0
END = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def batches(world: World, workspace: str) -> Iterator[list[dict[str, Any]]]:
    """Batches of a company's year, some of them twice, none far from its place."""
    rng = random.Random(world.rng.random())
    size = int(world.seconds * world.events_per_s / len(world.keys)) + 20_000
    years = (Mix(rng.randrange(2**32), size, END).history() for _ in itertools.count())  # another, if one is not enough
    events = ({**event, "id": f"{workspace}-{n}"} for n, event in enumerate(itertools.chain.from_iterable(years)))
    window: deque[list[dict[str, Any]]] = deque()
    while batch := list(itertools.islice(events, BATCH_EVENTS)):
        window.append(batch)
        if rng.random() < DUPLICATE_SHARE:
            again = list(batch)
            rng.shuffle(again)
            window.insert(rng.randrange(len(window) + 1), again)
        if len(window) > WINDOW:
            chosen = rng.randrange(len(window))
            world.sent[workspace].update(event["id"] for event in window[chosen])
            yield window[chosen]
            del window[chosen]


async def send(world: World) -> float:
    """Send at a steady rate, what is refused or lost again until it is accepted; answers the rate that was kept."""
    sources = [(name, batches(world, name)) for name in world.keys]
    room = asyncio.Semaphore(IN_FLIGHT_MAX)
    began_s = time.monotonic()
    async with httpx.AsyncClient(timeout=SEND_PATIENCE_S, limits=NOT_KEPT) as client, asyncio.TaskGroup() as group:

        async def until_accepted(workspace: str, batch: list[dict[str, Any]]) -> None:
            body = orjson.dumps({"events": batch})
            while (pause_s := await _try(world, client, workspace, body)) is not None:
                await asyncio.sleep(pause_s)
            world.accepted += len(batch)
            room.release()

        for n in itertools.count():
            await asyncio.sleep(max(0.0, began_s + n * BATCH_EVENTS / world.events_per_s - time.monotonic()))
            if world.over.is_set():
                break
            await room.acquire()
            workspace, source = sources[n % len(sources)]
            group.create_task(until_accepted(workspace, next(source)))
    return world.accepted / (time.monotonic() - began_s)


async def _try(world: World, client: httpx.AsyncClient, workspace: str, body: bytes) -> float | None:
    """Send a batch; None if it was accepted, else in how many seconds to send it again."""
    url, began_s = world.write_url(), time.monotonic()
    try:
        answer = await client.post(f"{url}/v1/events", content=body, headers=world.headers(workspace, "server"))
    except httpx.HTTPError as error:
        world.answers[type(error).__name__] += 1
        if not isinstance(error, httpx.TimeoutException) and not world.excused(url, began_s):
            raise Wrong(f"ingest cut a connection though nobody had killed it: {error!r}") from error
        return 0.2
    if answer.status_code == 202:
        world.answers["202"] += 1
        return None
    code = answer.json().get("code") if answer.status_code == 503 else None
    world.answers[f"{answer.status_code} {code}"] += 1
    if code is None or "retry-after" not in answer.headers:
        raise Wrong(f"ingest answered {answer.status_code}: {answer.text[:300]}")
    return min(2.0, float(answer.headers["retry-after"]) / 4)


async def positions_of(world: World) -> Positions:
    """What reads the positions that answers tell."""
    pool = await open_pool(world.database_url(), 1)
    try:
        return await Positions.of(pool)
    finally:
        await pool.close()


async def read(world: World, positions: Positions) -> None:
    """Read all the while: an answer is right, or says that it cannot be given now; what was projected stays projected, unless PostgreSQL crashes."""
    seen: dict[tuple[str, int], int] = {}  # the last offset of a workspace, since PostgreSQL last crashed
    campaigns: dict[str, list[str]] = {}
    async with httpx.AsyncClient(timeout=READ_PATIENCE_S, limits=NOT_KEPT) as client, asyncio.TaskGroup() as group:
        for _ in range(READERS):
            group.create_task(_read_on(world, client, positions, seen, campaigns))


async def _read_on(
    world: World,
    client: httpx.AsyncClient,
    positions: Positions,
    seen: dict[tuple[str, int], int],
    campaigns: dict[str, list[str]],
) -> None:
    while not world.over.is_set():
        await asyncio.sleep(world.rng.uniform(0.5, 1.5) * READ_EVERY_S)
        workspace = world.rng.choice(list(world.keys))
        paths = ["/v1/status", "/v1/campaigns?limit=20"]
        paths += [f"/v1/campaigns/{name}/overview" for name in campaigns.get(workspace, [])[:1]]
        path, crashes = world.rng.choice(paths), world.crashes
        least = seen.get((workspace, crashes), 0)
        answer = await ask(world, client, workspace, path)
        if answer is None or answer.status_code != 200:
            continue
        body = answer.json()
        if path.startswith("/v1/campaigns?") and body["items"]:
            campaigns[workspace] = [world.rng.choice(body["items"])["campaign_id"]]
        offset = positions.read(workspace, body["as_of"]).offset
        if crashes % 2 or crashes != world.crashes:
            continue
        if offset < least:
            raise Wrong(f"{workspace} went back from offset {least} to {offset}")
        seen[workspace, crashes] = max(seen.get((workspace, crashes), 0), offset)


async def ask(world: World, client: httpx.AsyncClient, workspace: str, path: str) -> httpx.Response | None:
    """Read once, and keep account of it. None if no process answered.

    A read whose process is killed is asked of another one at once; both together are its latency.
    """
    during, began_s = world.during, time.monotonic()
    for url in world.read_urls():
        tried_s = time.monotonic()
        try:
            answer = await client.get(url + path, headers=world.headers(workspace, "read"))
        except httpx.HTTPError as error:
            if not world.excused(url, tried_s):
                world.reads.failed.append(f"{path} after {time.monotonic() - tried_s:.1f} s: {error!r}")
                return None
            world.reads.cut += 1
            continue
        world.reads.add(during, time.monotonic() - began_s, answer)
        return answer
    world.reads.failed.append(f"{path}: no process was there")
    return None
