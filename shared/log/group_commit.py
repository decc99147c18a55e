"""How do many small appends become few large ones? Appends that arrive during a write are written together by the next write."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from prometheus_client import Counter, Gauge, Histogram

from shared.log.port import LogUnavailable, Position

PENDING_BYTES_MAX = 64 * 1024 * 1024  # accepted but not yet durable, per process; above it, appends are refused
APPEND_WAIT_S = 10.0  # how long a caller waits until its values are durable; then it gets `LogUnavailable` and retries

COMMIT_SECONDS = Histogram(
    "touchline_log_append_seconds", "Seconds from the start of a group's write until it was durable",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)  # fmt: skip
COMMIT_EVENTS = Histogram(
    "touchline_log_append_events", "Events in a group of appends", buckets=(1, 10, 100, 1_000, 10_000, 100_000)
)
PENDING_BYTES = Gauge("touchline_log_pending_bytes", "Bytes accepted but not yet durable")
UNAVAILABLE = Counter("touchline_log_unavailable", "Appends that were refused and must be sent again", ["why"])

Payload = TypeVar("Payload")


@dataclass(eq=False, slots=True)
class Call(Generic[Payload]):
    """One append that waits to be durable: `count` values of `size` bytes in all."""

    workspace: str
    count: int
    size: int
    payload: Payload
    done: "asyncio.Future[Position]"


Commit = Callable[[int, Sequence[Call[Payload]]], Awaitable[int]]
"""Makes calls durable in one partition, in order, and returns the offset of the first value."""


class GroupCommit(Generic[Payload]):
    """Bounds and groups appends. `commit` raises `LogUnavailable` when it fails; every append of the group raises it then.

    `rest`, if there is one, is called when nothing waits for a partition any more; it raises nothing.
    """

    def __init__(
        self, commit: Commit[Payload], events_max: int, bytes_max: int,
        rest: Callable[[int], Awaitable[None]] | None = None,
    ) -> None:  # fmt: skip
        self._commit, self._rest = commit, rest
        self._events_max, self._bytes_max = events_max, bytes_max
        self._waiting: defaultdict[int, list[Call[Payload]]] = defaultdict(list)
        self._writers: dict[int, asyncio.Task[None]] = {}
        self._began_s: dict[int, float] = {}
        self._pending_bytes = 0

    async def append(self, partition: int, workspace: str, count: int, size: int, payload: Payload) -> Position:
        """Wait until the values are durable; returns the position after the last one. Raises `LogUnavailable`."""
        loop = asyncio.get_running_loop()
        if self._pending_bytes + size > PENDING_BYTES_MAX:
            UNAVAILABLE.labels("full").inc()
            raise LogUnavailable(f"{self._pending_bytes} bytes are waiting to be written")
        if loop.time() - self._began_s.get(partition, loop.time()) > APPEND_WAIT_S:
            UNAVAILABLE.labels("slow").inc()
            raise LogUnavailable(f"partition {partition} has not answered for more than {APPEND_WAIT_S:g} s")
        call = Call(workspace, count, size, payload, loop.create_future())
        self._pend(size)
        self._waiting[partition].append(call)
        if partition not in self._writers:
            self._writers[partition] = asyncio.create_task(self._write(partition))
        patience = loop.call_later(APPEND_WAIT_S, self._give_up, partition, call)
        try:
            return await call.done
        finally:
            patience.cancel()

    def _give_up(self, partition: int, call: Call[Payload]) -> None:
        """Let a call that has waited too long raise `LogUnavailable`. Values that are being written already may still become durable."""
        if call.done.done():
            return
        if call in self._waiting[partition]:
            self._waiting[partition].remove(call)
            self._pend(-call.size)
        UNAVAILABLE.labels("slow").inc()
        call.done.set_exception(LogUnavailable(f"partition {partition} has not answered for {APPEND_WAIT_S:g} s"))

    def _pend(self, size: int) -> None:
        self._pending_bytes += size
        PENDING_BYTES.inc(size)

    async def _write(self, partition: int) -> None:
        """Commit the waiting calls, group after group, until none is left."""
        try:
            while calls := self._take(partition):
                self._began_s[partition] = asyncio.get_running_loop().time()
                try:
                    with COMMIT_SECONDS.time():
                        base = await self._commit(partition, calls)
                except Exception as error:
                    UNAVAILABLE.labels("failed").inc(len(calls))
                    for call in calls:
                        if not call.done.done():  # else its caller no longer waits
                            call.done.set_exception(error)
                else:
                    COMMIT_EVENTS.observe(sum(call.count for call in calls))
                    for call in calls:
                        base += call.count
                        if not call.done.done():
                            call.done.set_result(Position(partition, base))
                finally:
                    self._pend(-sum(call.size for call in calls))
                if self._rest is not None and not self._waiting[partition]:
                    self._began_s.pop(partition, None)
                    await self._rest(partition)
        finally:
            del self._writers[partition]
            self._began_s.pop(partition, None)

    def _take(self, partition: int) -> list[Call[Payload]]:
        """The first waiting call, and the calls after it that fit into the same group."""
        waiting = self._waiting[partition]
        events = size = taken = 0
        for call in waiting:
            events, size = events + call.count, size + call.size
            if taken and (events > self._events_max or size > self._bytes_max):
                break
            taken += 1
        self._waiting[partition] = waiting[taken:]
        return waiting[:taken]

    async def close(self, timeout_s: float | None = None) -> None:
        """Wait until all accepted values are durable, at most `timeout_s` seconds."""
        if self._writers:
            await asyncio.wait(list(self._writers.values()), timeout=timeout_s)
