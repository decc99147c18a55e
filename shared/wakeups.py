"""How is who waits woken, in this process and in others? By PostgreSQL's `LISTEN` and `NOTIFY`, outside of every transaction that matters.

A topic is the name of something that happens again and again: entries were appended to a partition, a partition was projected
further. `announce` is called after the commit. It wakes who waits in this process at once, and notifies the other processes: many
announcements share one transaction, of which a process makes one in `SEND_EVERY_S` at most. A notification within the commit that
it tells of would make all such commits wait for one lock.

A notification is a hint and may be lost. Therefore whoever waits looks for himself first, waits no longer than the time that he
gives, and looks again. A process that listens also asks each `BEAT_S` where the log's partitions end, which finds lost notifications
and a lost connection alike; and without a connection nobody waits longer than `DEAF_WAIT_S`.
"""

import asyncio
import secrets
from collections import Counter
from collections.abc import Mapping
from typing import Never

import asyncpg
import structlog

from shared.database import AWAY, error_text

CHANNEL = "touchline"
SEND_EVERY_S = 0.02  # so that under load a process notifies 50 times a second, however many commits it makes
BEAT_S = 1.0  # what was not notified is found after so long
BEAT_ANSWER_S = 5.0  # a connection that does not answer for so long is lost, even if nothing says so
AGAIN_S = 1.0  # between two tries to listen, or to notify
DEAF_WAIT_S = 0.5  # who waits looks so often while this process does not listen
CLOSE_S = 2.0  # for the last notifications of a process that ends; what they tell of is found by a beat else

NOTIFY = """
SELECT pg_notify($1, told), set_config('synchronous_commit', 'off', true) FROM unnest($2::text[]) told
"""  # what is lost when the machine fails is a hint, so no disk is waited for
ENDS = "SELECT partition, next_offset FROM touchline.log_partition"

logger = structlog.stdlib.get_logger("touchline.wakeups")


def appended(partition: int) -> str:
    """The topic of new entries in a partition of the log."""
    return f"appended {partition}"


def projected(partition: int) -> str:
    """The topic of a partition that was projected further, in any generation."""
    return f"projected {partition}"


class Wakeups:
    """Wakes who waits. Listening begins with the first who waits and takes a connection of `pool` until `close`."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool
        self._name = secrets.token_hex(8)  # tells this process's notifications from those of others
        self._counts: Counter[str] = Counter()
        self._waiting: dict[str, set[asyncio.Future[None]]] = {}
        self._unsent: set[str] = set()
        self._sender: asyncio.Task[None] | None = None
        self._listener: asyncio.Task[Never] | None = None
        self._listens = False

    def count(self, topic: str) -> int:
        """How often a topic was announced, as far as this process has heard: to be asked for before one looks, for `changed`."""
        return self._counts.setdefault(topic, 0)

    def announce(self, topic: str) -> None:
        """Wake who waits for a topic, here at once and in other processes soon. What it tells of must be committed."""
        self._wake(topic)
        self._unsent.add(topic)
        if self._sender is None or self._sender.done():
            self._sender = asyncio.create_task(self._send(), name="notifications")

    async def changed(self, topic: str, since: int, timeout_s: float) -> None:
        """Return as soon as a topic was announced more often than `since`, and after `timeout_s` seconds at the latest."""
        if self._listener is None:
            self._listener = asyncio.create_task(self._listen(), name="listens for notifications")
        if self._counts[topic] != since:
            return
        woken = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(topic, set()).add(woken)
        try:
            await asyncio.wait([woken], timeout=timeout_s if self._listens else min(timeout_s, DEAF_WAIT_S))
        finally:
            self._waiting[topic].discard(woken)

    async def close(self) -> None:
        """Send what is not sent yet, if that takes no longer than `CLOSE_S`, and let the connection go."""
        tasks = [task for task in (self._sender, self._listener) if task is not None]
        if self._listener is not None:
            self._listener.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=CLOSE_S)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _wake(self, topic: str) -> None:
        self._counts[topic] += 1
        for woken in self._waiting.get(topic, ()):
            if not woken.done():
                woken.set_result(None)

    async def _send(self) -> None:
        """Notify the other processes until nothing is left to tell."""
        while self._unsent:
            topics, self._unsent = self._unsent, set()
            try:
                await self._pool.execute(NOTIFY, CHANNEL, [f"{self._name} {topic}" for topic in topics])
            except (asyncpg.PostgresError, *AWAY) as error:
                self._unsent |= topics
                logger.warning("other processes are notified later", error=error_text(error))
                await asyncio.sleep(AGAIN_S)
            else:
                await asyncio.sleep(SEND_EVERY_S)

    async def _listen(self) -> Never:
        """Listen for ever, again where the connection is lost."""
        while True:
            try:
                async with self._pool.acquire() as connection:
                    await self._hear(connection)
            except (asyncpg.PostgresError, *AWAY) as error:
                logger.warning("notifications of other processes are not heard", error=error_text(error))
            await asyncio.sleep(AGAIN_S)

    async def _hear(self, connection: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]") -> Never:
        """Listen on a connection until it is lost. Raises one of `AWAY` then."""
        await connection.add_listener(CHANNEL, self._heard)
        try:
            self._listens = True
            ends: Mapping[int, int] = {}
            for topic in list(self._waiting):  # what was announced before is heard by nobody
                self._wake(topic)
            while True:
                async with asyncio.timeout(BEAT_ANSWER_S):
                    found = dict(map(tuple, await connection.fetch(ENDS)))
                for partition, end in found.items():
                    if end != ends.get(partition, end):
                        self._wake(appended(partition))
                ends = found
                await asyncio.sleep(BEAT_S)
        finally:
            self._listens = False
            connection.terminate()  # it is not one for other uses, nor worth the wait for a last answer

    def _heard(self, _connection: object, _process: int, _channel: str, told: object) -> None:
        name, _, topic = str(told).partition(" ")
        if name != self._name and topic in self._counts:  # else nobody here has ever asked for it
            self._wake(topic)
