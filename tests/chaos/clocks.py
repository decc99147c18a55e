"""Clocks that step: of senders, by the times that they tell; and of processes of ours, by libfaketime where it is installed."""

import asyncio
import datetime as dt
import time
from collections.abc import Sequence
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx

from shared.events.instants import from_micros, to_rfc3339
from tests.chaos.world import World, Wrong, send_until_accepted

LIBRARIES = ("/usr/lib/*/faketime/libfaketime.so.1", "/usr/lib64/faketime/libfaketime.so.1")
STEPS_HOURS = (0, 5, -7, 11, -3)  # how far a sender's clock is from ours, one request after another
OWN_STEPS_HOURS = (3, -2)  # of a process of ours; its events stay within what may lie in the future
OWN_STEP_S = 2.0  # how long it lasts
# A process shows the new time when it has read the file again and made its `Date` header again.
STEPPED_WITHIN_S = 30.0
SENDERS = 4
VISITS = 4  # of a request
SLACK_US = 60_000_000  # a request may have to be sent again
HOUR_US = 3_600_000_000
NEAR_S = 120.0


def library() -> str | None:
    """Where libfaketime is; None if it is not installed."""
    found = [path for pattern in LIBRARIES for path in Path("/").glob(pattern[1:])]
    return str(found[0]) if found else None


def steppable(clock: Path) -> dict[str, str]:
    """The environment of a process whose wall clock is as far from ours as a file says. Empty without libfaketime."""
    where = library()
    if where is None:
        return {}
    clock.write_text("+0")
    return {
        "LD_PRELOAD": where, "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1",
    }  # fmt: skip


async def step_senders(world: World) -> str:
    """Senders' clocks jump by hours between two requests; all that they tell happened within seconds, in one session each."""
    workspace = world.rng.choice(list(world.keys))
    stamp = time.time_ns()
    async with httpx.AsyncClient(timeout=15) as client:
        for n, hours in enumerate(STEPS_HOURS):
            now_us = time.time_ns() // 1_000
            clock_us = now_us + hours * HOUR_US
            events = [
                {
                    "type": "page_visited", "id": f"clock-{stamp}-{sender}-{n}-{visit}", "visitor_id": f"clock-{stamp}-{sender}",
                    "url": "https://clock.example/", "occurred_at": to_rfc3339(clock_us - visit * 1_000_000),
                    "sent_at": to_rfc3339(clock_us),
                }
                for sender in range(SENDERS) for visit in range(VISITS)
            ]  # fmt: skip
            await send_until_accepted(world, client, workspace, events)
            least_us, most_us = now_us - VISITS * 1_000_000, time.time_ns() // 1_000 + SLACK_US
            world.stepped |= {event["id"]: (workspace, least_us, most_us) for event in events}
    return f"{SENDERS} senders, whose clocks stepped by {', '.join(f'{hours:+d}' for hours in STEPS_HOURS[1:])} h"


async def step_ours(world: World, clock: Path, url: str, others: Sequence[str]) -> str:
    """The wall clock of processes of ours steps forward and back; what they take meanwhile is counted as all else is.

    `url` is of one of them, whose answers must tell the time that it believes it is; `others` says which processes they are.
    """
    if library() is None:
        return "; no process's own clock stepped, for libfaketime is not installed"
    steps = []
    async with httpx.AsyncClient(timeout=15) as client:
        for hours in OWN_STEPS_HOURS:
            clock.write_text(f"{hours:+d}h")
            await _stepped(client, url, hours)
            await asyncio.sleep(OWN_STEP_S)
            steps.append(f"{hours:+d} h")
        clock.write_text("+0")
        await _stepped(client, url, 0)  # else what the next fault sends is still received at another time
    return f"; the wall clocks of {', '.join(others)} stepped by {', '.join(steps)} and back"


async def _stepped(client: httpx.AsyncClient, url: str, hours: int) -> None:
    """Wait until a process tells in its answers the time that it is to believe. Raises `Wrong` if it does not."""
    until_s = time.monotonic() + STEPPED_WITHIN_S
    while True:
        date = parsedate_to_datetime((await client.get(f"{url}/healthz")).headers["date"])
        believed_s = (date - from_micros(time.time_ns() // 1_000)).total_seconds()
        if abs(believed_s - dt.timedelta(hours=hours).total_seconds()) <= NEAR_S:
            return
        if time.monotonic() > until_s:
            raise Wrong(f"a clock was to step by {hours:+d} h, but it is {believed_s:+.0f} s off")
        await asyncio.sleep(0.2)
