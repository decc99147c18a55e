"""Send the events of the demo to the service by `POST /v1/events`, as any producer does."""

import asyncio
import datetime as dt
import heapq
import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import orjson

from touchline.demo.mix import YEAR_EVENTS, Mix, Sent, rfc3339

SEED = 7
BATCH_EVENTS = 500
IN_FLIGHT = 4
LIVE_VISITS_PER_S = 1.0
LIVE_STEP_S = 0.5
MADE_FILE = "demo.json"


class Sample:
    """The events for one data directory. Those of the year are the same at every start, so that sending them again changes nothing."""

    def __init__(self, data: Path) -> None:
        self._file = data / MADE_FILE
        stored = json.loads(self._file.read_text()) if self._file.exists() else {}
        end = stored.get("end") or dt.datetime.now(dt.UTC).replace(microsecond=0).isoformat()
        self.complete = bool(stored.get("complete"))
        self.end = dt.datetime.fromisoformat(end)
        self.mix = Mix(SEED, YEAR_EVENTS, self.end, audiences=True)
        self._save()

    def _save(self) -> None:
        self._file.write_text(json.dumps({"end": self.end.isoformat(), "complete": self.complete}) + "\n")

    def done(self) -> None:
        """Write into the data directory that the whole year was sent."""
        self.complete = True
        self._save()

    def live(self) -> Mix:
        """The mix, to be asked for visits of now, after all events of the year were made: at each start it draws others, whose ids are new."""
        self.mix.rng.seed()
        return self.mix

    def batches(self) -> Iterator[list[Sent]]:
        """All events of the year in batches of `BATCH_EVENTS`, in the order in which they are sent.

        Their `as_of` is the end of the year, as in an export, so they say nothing about how late the events of now come (rule **settled**).
        """
        as_of = rfc3339(self.end)
        events = ({**event, "as_of": as_of} for event in self.mix.history())
        while batch := list(itertools.islice(events, BATCH_EVENTS)):
            yield batch


async def send_history(client: httpx.AsyncClient, batches: Iterator[list[Sent]], sent: Callable[[int], None]) -> str:
    """Send every batch; answers the position after the last.

    `sent` is called with the number of events of each accepted batch.
    """
    position, offset = "", -1

    async def lane() -> None:
        nonlocal position, offset
        for batch in batches:
            answer = await _post(client, batch)
            at = int(answer["position"].split("-")[1])
            if at > offset:
                position, offset = answer["position"], at
            sent(len(batch))
            await asyncio.sleep(0)

    await asyncio.gather(*(lane() for _ in range(IN_FLIGHT)))
    return position


async def send_live(client: httpx.AsyncClient, mix: Mix) -> None:
    """Send visits that begin at random times, without end. Each event is sent at the time at which it happens."""
    waiting: list[tuple[str, int, Sent]] = []
    number = itertools.count()
    while True:
        now = dt.datetime.now(dt.UTC)
        if mix.rng.random() < LIVE_VISITS_PER_S * LIVE_STEP_S:
            for event in mix.visit(now):
                heapq.heappush(waiting, (event["occurred_at"], next(number), event))
        due = []
        while waiting and dt.datetime.fromisoformat(waiting[0][0]) <= now:
            due.append(heapq.heappop(waiting)[2])
        if due:
            await _post(client, due)
        await asyncio.sleep(LIVE_STEP_S)


async def _post(client: httpx.AsyncClient, batch: list[Sent]) -> dict[str, str]:
    body = orjson.dumps({"events": batch})
    while True:
        response = await client.post("/v1/events", content=body, headers={"Content-Type": "application/json"})
        if response.status_code != 503:
            break
        await asyncio.sleep(float(response.headers.get("Retry-After", "1")))
    response.raise_for_status()
    answer: dict[str, str] = response.json()
    if answer["rejected"]:
        raise RuntimeError(f"the sample is wrong: {answer['rejected'][:1]}")
    return answer
