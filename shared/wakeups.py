"""How are waiting tasks woken, in this process and in others? By PostgreSQL's `LISTEN` and `NOTIFY`, in transactions of their own.

A topic is the name of an event that repeats: entries were appended to a partition, or a partition was projected further.
`announce` is called after the commit. It wakes the waiting tasks of this process at once, and notifies the other processes: many
announcements share one transaction, and a process makes at most one such transaction in `SEND_EVERY_S`. A notification inside the
commit that it announces would make all such commits wait for one lock.

A notification is a hint and may be lost. Therefore a waiting task checks the database first, waits no longer than its own timeout,
and checks again. A process that listens also queries the ends of the log's partitions every `BEAT_S`, which finds lost
notifications and a lost connection; and while it has no connection, no task waits longer than `DEAF_WAIT_S`.
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
SEND_EVERY_S = 0.02  # so that under load a process notifies 50 times a second at most, however many commits it makes
BEAT_S = 1.0  # a lost notification is made up for after so long
BEAT_ANSWER_S = 5.0  # a connection that does not answer for so long counts as lost
AGAIN_S = 1.0  # between two attempts to listen, or to notify
DEAF_WAIT_S = 0.5  # the longest wait while this process cannot listen
CLOSE_S = 2.0  # for the last notifications of a process that ends; the others make up for lost ones after `BEAT_S`

NOTIFY = """
SELECT pg_notify($1, message), set_config('synchronous_commit', 'off', true) FROM unnest($2::text[]) message
"""  # a notification may be lost when the machine fails, so the commit does not wait for the disk
ENDS = "SELECT partition, next_offset FROM touchline.log_partition"

logger = structlog.stdlib.get_logger("touchline.wakeups")


def appended(partition: int) -> str:
    """The topic of new entries in a partition of the log."""
    return f"appended {partition}"


def projected(partition: int) -> str:
    """The topic of progress in projecting a partition, in any generation."""
    return f"projected {partition}"


class Wakeups:
    """Wakes waiting tasks. It starts to listen when the first task waits, and then holds a connection of `pool` until `close`."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool
        self._name = secrets.token_hex(8)  # marks this process's notifications, so that it can ignore them
        self._counts: Counter[str] = Counter()
        self._waiting: dict[str, set[asyncio.Future[None]]] = {}
        self._unsent: set[str] = set()
        self._sender: asyncio.Task[None] | None = None
        self._listener: asyncio.Task[Never] | None = None
        self._listens = False

    def count(self, topic: str) -> int:
        """How many announcements of a topic this process has seen. Get it before the check, and pass it to `changed`."""
        return self._counts.setdefault(topic, 0)

    def announce(self, topic: str) -> None:
        """Wake the tasks that wait for a topic, here at once and in other processes soon. Call it only after the commit."""
        self._wake(topic)
        self._unsent.add(topic)
        if self._sender is None or self._sender.done():
            self._sender = asyncio.create_task(self._send(), name="notifications")

    async def changed(self, topic: str, since: int, timeout_s: float) -> None:
        """Return as soon as the topic's `count` differs from `since`, and after `timeout_s` seconds at the latest."""
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
        """Send the pending notifications, waiting `CLOSE_S` at most, and close the connection."""
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
        """Notify the other processes until no announcement is left."""
        while self._unsent:
            topics, self._unsent = self._unsent, set()
            try:
                await self._pool.execute(NOTIFY, CHANNEL, [f"{self._name} {topic}" for topic in topics])
            except (asyncpg.PostgresError, *AWAY) as error:
                self._unsent |= topics
                logger.warning("notifying other processes failed; it is tried again", error=error_text(error))
                await asyncio.sleep(AGAIN_S)
            else:
                await asyncio.sleep(SEND_EVERY_S)

    async def _listen(self) -> Never:
        """Listen until cancelled; after a lost connection, listen again on a new one."""
        while True:
            try:
                async with self._pool.acquire() as connection:
                    await self._hear(connection)
            except (asyncpg.PostgresError, *AWAY) as error:
                logger.warning(
                    "no notifications of other processes arrive; listening is tried again", error=error_text(error)
                )
            await asyncio.sleep(AGAIN_S)

    async def _hear(self, connection: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]") -> Never:
        """Listen on a connection until it is lost. Raises one of `AWAY` then."""
        await connection.add_listener(CHANNEL, self._on_notification)
        try:
            self._listens = True
            ends: Mapping[int, int] = {}
            for topic in list(self._waiting):  # announcements made before this connection listened did not arrive
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
            connection.terminate()  # it still listens, so it must not return to the pool; an orderly close is not worth the wait

    def _on_notification(self, _connection: object, _process: int, _channel: str, message: object) -> None:
        name, _, topic = str(message).partition(" ")
        if name != self._name and topic in self._counts:  # else no task of this process has ever waited for it
            self._wake(topic)
