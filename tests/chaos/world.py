"""What both stages share: the running processes, the events sent, the reads, and the errors."""

import asyncio
import itertools
import math
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from shared.log.port import EventLog

FIRST_CALM_S = (0.5, 1.5)  # before each fault of the first round, so that all are injected in time
CALM_S = (1.0, 5.0)  # before each of those that come by chance
CALM_AT_THE_END_S = 12.0  # for what is in flight to be answered, so that the rate is that of the whole
FAULT_S_MAX = 150.0  # of one fault, on a busy machine: then something hangs
OVERTIME_S = 900.0  # after which the first round must be over; a busy machine takes half a minute to start a process


@dataclass
class Wrong(Exception):
    """Something happened that must never happen."""

    what: str


@dataclass(frozen=True)
class Fault:
    """One kind of fault. `inject` lets it go wrong and come right again, checks, and says what it showed."""

    name: str
    inject: Callable[[Any], Awaitable[str]]
    times_max: int = 1_000


@dataclass
class Reads:
    """What all reads met. A latency is in seconds, with the fault that was at work when the read began ("" for none)."""

    took_s: list[tuple[str, float]] = field(default_factory=list)
    good: int = 0
    unavailable: Counter[str] = field(default_factory=Counter)
    """503s by their code."""
    cut: int = 0
    """Reads whose process was killed, and that another process answered."""
    failed: list[str] = field(default_factory=list)
    """All else, which must not be."""

    def add(self, during: str, took_s: float, answer: httpx.Response) -> None:
        self.took_s.append((during, took_s))
        if answer.status_code == 200:
            self.good += 1
            return
        try:
            code = answer.json().get("code")
        except ValueError:
            code = None
        if answer.status_code == 503 and code and "retry-after" in answer.headers:
            self.unavailable[code] += 1
        else:
            self.failed.append(f"{answer.status_code}: {answer.text[:300]}")

    def lines(self) -> list[str]:
        """Lines for a person."""
        codes = ", ".join(f"{n} x {code}" for code, n in self.unavailable.most_common()) or "none"
        lines = [f"reads: {len(self.took_s):,}, {spread([s for _, s in self.took_s])}"]
        lines.append(
            f"  answered 200: {self.good:,}; 503 with a code: {self.unavailable.total():,} ({codes}); "
            f"cut off with their process and answered by another: {self.cut}; failed otherwise: {len(self.failed)}"
        )
        for during in sorted({during for during, _ in self.took_s}):
            lines.append(f"  {during or 'between faults'}: {spread([s for d, s in self.took_s if d == during])}")
        return lines


def spread(took_s: Sequence[float]) -> str:
    """The 50th and the 99th percentile, and the worst."""
    if not took_s:
        return "none"
    ordered = sorted(took_s)

    def at(share: float) -> float:
        return ordered[math.ceil(share * len(ordered)) - 1] * 1000

    return f"p50 {at(0.5):,.0f} ms, p99 {at(0.99):,.0f} ms, worst {ordered[-1] * 1000:,.0f} ms of {len(ordered):,}"


@dataclass
class World:
    """What runs in one stage. A stage says how it starts, and where it is reached."""

    directory: Path
    rng: random.Random
    seconds: float
    """How long the load lasts; longer if the first round of faults takes longer."""
    events_per_s: float
    keys: dict[str, dict[str, str]] = field(default_factory=dict)
    """By workspace: its keys by scope."""
    sent: dict[str, set[str]] = field(default_factory=dict)
    """By workspace: the ids of all events that were sent, and that must be there at the end."""
    poison: dict[str, Counter[str]] = field(default_factory=dict)
    """By workspace: how many events were written to the log that no rule can take, by the reason that their dead letters must have."""
    poison_again: int = 0
    """How many of them may be in the log twice, because an append was not answered."""
    stepped: dict[str, tuple[str, int, int]] = field(default_factory=dict)
    """By id of an event whose sender's clock stepped: its workspace, and when it happened at the earliest and latest, in microseconds."""
    leaves: set[int] = field(default_factory=set)
    """Partitions of `touch` that were born while a `verify` held its snapshot, and must be attached at the end."""
    answers: Counter[str] = field(default_factory=Counter)
    """What senders met, by status or kind of error."""
    reads: Reads = field(default_factory=Reads)
    faults: Counter[str] = field(default_factory=Counter)
    shown: dict[str, list[str]] = field(default_factory=dict)
    """By kind of fault: what each showed."""
    accepted: int = 0
    during: str = ""
    """The fault at work."""
    over: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when no more is to be sent."""
    crashes: int = 0
    """Odd while PostgreSQL is made to end without a word, until it has recovered; then grown by two."""

    @contextmanager
    def crashing(self) -> Iterator[None]:
        """PostgreSQL ends without a word within the block, and has recovered at its end.

        What projectors committed in the last moments may be gone then, for they do not wait for the disk: it is projected again. So what
        readers see may go back, once.
        """
        self.crashes += 1
        try:
            yield
        finally:
            self.crashes += 1

    def start(self) -> None:
        raise NotImplementedError

    def stop(self) -> None:
        raise NotImplementedError

    def write_url(self) -> str:
        """Where events are sent."""
        raise NotImplementedError

    def read_urls(self) -> list[str]:
        """Where it is read: one after another is asked, as a load balancer does where a process is dead."""
        raise NotImplementedError

    def excused(self, url: str, since_s: float) -> bool:
        """Whether the process behind a URL was killed by a fault at some time since then, so that its connections were cut."""
        raise NotImplementedError

    def database_url(self) -> str:
        raise NotImplementedError

    def reached_by(self) -> list[str]:
        """The options by which a command of `touchline` reaches the store, where the environment does not name it."""
        return []

    def environment(self) -> dict[str, str]:
        """That of a command of `touchline`."""
        raise NotImplementedError

    async def open_log(self, pool: "asyncpg.Pool[asyncpg.Record]") -> EventLog:
        """The log, as a process beside the services reaches it."""
        raise NotImplementedError

    def logs(self) -> list[Path]:
        """The files of what the processes say."""
        return sorted(self.directory.glob("*.log"))

    def headers(self, workspace: str, scope: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.keys[workspace][scope]}"}


async def fail(world: World, faults: Sequence[Fault]) -> None:
    """One fault after another: each kind once, then as they come until the time is over; then end the load.

    The first round is never cut short: on a busy machine it lasts longer, and the load with it.
    """
    until_s = time.monotonic() + world.seconds - CALM_AT_THE_END_S
    rng = random.Random(world.rng.random())  # its own, so that a seed sets the order whatever happens meanwhile
    first = list(faults)
    rng.shuffle(first)
    try:
        async with asyncio.timeout(world.seconds + OVERTIME_S):
            for fault in first:
                await _inject(world, fault, rng.uniform(*FIRST_CALM_S))
            while time.monotonic() < until_s:
                again = [fault for fault in faults if world.faults[fault.name] < fault.times_max]
                if again:
                    await _inject(world, rng.choice(again), rng.uniform(*CALM_S), until_s)
                else:
                    await asyncio.sleep(1)
    except TimeoutError as error:
        raise Wrong(f"not every fault could be injected within {world.seconds + OVERTIME_S:g} s") from error
    await asyncio.sleep(CALM_AT_THE_END_S)
    world.over.set()


async def _inject(world: World, fault: Fault, calm_s: float, until_s: float = math.inf) -> None:
    await asyncio.sleep(calm_s)
    if time.monotonic() > until_s:
        return
    began_s = time.monotonic()
    world.during = fault.name
    try:
        async with asyncio.timeout(FAULT_S_MAX):
            showed = await fault.inject(world)
    except TimeoutError as error:
        raise Wrong(f"{fault.name}: it hangs; {FAULT_S_MAX:g} s were not enough") from error
    finally:
        world.during = ""
    world.faults[fault.name] += 1
    world.shown.setdefault(fault.name, []).append(showed)
    took_s = time.monotonic() - began_s
    print(f"  {fault.name} ({took_s:.1f} s): {showed}; {world.accepted:,} events accepted", flush=True)


async def send_until_accepted(
    world: World, client: httpx.AsyncClient, workspace: str, events: list[dict[str, Any]], within_s: float = 60.0
) -> str:
    """Send events of a fault's own, again until they are accepted; answers the position."""
    deadline_s = time.monotonic() + within_s
    for n in itertools.count():
        try:
            url = f"{world.write_url()}/v1/events"
            answer = await client.post(url, json={"events": events}, headers=world.headers(workspace, "server"))
            if answer.status_code == 202 and not answer.json()["rejected"]:
                break
            if answer.status_code != 503:
                raise Wrong(f"ingest answered {answer.status_code}: {answer.text[:300]}")
        except httpx.HTTPError as error:
            world.answers[type(error).__name__] += 1
        if time.monotonic() > deadline_s:
            raise Wrong(f"ingest accepted nothing within {within_s:g} s, in {n + 1} tries")
        await asyncio.sleep(0.2)
    world.sent[workspace].update(event["id"] for event in events)
    world.accepted += len(events)
    return str(answer.json()["position"])
