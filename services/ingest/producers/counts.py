"""How many messages came from each producer, and what became of them? They are counted in memory, and written once a second.

A process that is killed loses the counts of its last second, but no event. A process that a signal ends writes them first.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from functools import lru_cache

import asyncpg

from services.ingest import metrics
from services.ingest.periodic_writer import PeriodicWriter
from shared.store.producer_counts import NAMES_MAX, OTHER, Outcome, kept_name, write_counts

SERIES_KEPT = 100  # of the counter at `/metrics`: three outcomes of each producer
OPEN_MAX = 2 * NAMES_MAX  # of a workspace, while the database is away: beyond them all names are counted as one

_messages = lru_cache(SERIES_KEPT)(metrics.MESSAGES.labels)


class Counts:
    """The counts that are not written to the database yet, by workspace."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool
        self._open: dict[str, Counter[Outcome]] = defaultdict(Counter)
        self._soon = PeriodicWriter("counts of producers", self.write, self._left)

    def add(self, workspace: str, counts: Mapping[Outcome, int]) -> None:
        """Add numbers of messages. They are written within a second, or when the database can be reached again."""
        for outcome, messages in counts.items():
            _messages(outcome.producer, outcome.outcome).inc(messages)
        self._keep(workspace, counts)
        self._soon.ask()

    def _keep(self, workspace: str, counts: Mapping[Outcome, int]) -> None:
        open_ = self._open[workspace]
        for outcome, messages in counts.items():
            if outcome in open_:  # as nearly always; a name that is not stored as it was sent is under its stored one
                open_[outcome] += messages
                continue
            kept = outcome._replace(name=kept_name(outcome.name))
            if kept not in open_ and len(open_) >= OPEN_MAX:
                kept = kept._replace(name=OTHER)
            open_[kept] += messages

    async def close(self) -> None:
        """Write the counts, at the end of the process."""
        await self._soon.close()

    def _left(self) -> int:
        return sum(counts.total() for counts in self._open.values())

    async def write(self) -> None:
        """Write the counts. Raises one of `AWAY` or `asyncpg.PostgresError`; then they are kept for the next try."""
        if not self._open:
            return
        taken, self._open = self._open, defaultdict(Counter)
        try:
            await write_counts(self._pool, taken)
        except BaseException:
            for workspace, counts in taken.items():
                self._keep(workspace, counts)
            raise
