"""What was refused to web pages, and which events they sent last: kept in memory, and written once a second.

It helps whoever sets a page up. A process that is killed loses what came in its last second.
"""

from collections import Counter
from collections.abc import Sequence

import asyncpg

from services.ingest.periodic_writer import PeriodicWriter
from shared.access.keys import Access, digest
from shared.events.codec import COLLECT_PREFIX, Record, sent_id
from shared.store.browser_notices import ARRIVALS_KEPT, Kind, Notice, kept_origin, write_arrivals, write_notices

# Different notices in memory, some 300 bytes each. With so many, new ones are dropped until these are written.
OPEN_MAX = 1_000


class BrowserNotices:
    """The notices that are not written to the database yet."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool
        self._open: Counter[Notice] = Counter()
        self._arrived: dict[tuple[str, str], list[str]] = {}
        self._soon = PeriodicWriter("notices of web pages", self.write, lambda: self._open.total() + len(self._arrived))

    def add(self, access: Access, origin: str | None, kind: Kind) -> None:
        """Note what happened to a page that uses a valid key. `origin` None: the browser does not say which page it is."""
        self._add(Notice(kept_origin(origin or ""), kind, access.workspace, access.hint))

    def add_invalid(self, key: str, origin: str | None) -> None:
        """Note that a page uses a key that it must not use. When it is written, the database says whether it is unknown, revoked, or secret."""
        self._add(Notice(kept_origin(origin or ""), "unknown_key", sha256=digest(key)))

    def arrived(self, access: Access, records: Sequence[Record]) -> None:
        """Note that events of a web page were accepted. Of each second the first few of a key are noted."""
        of = (access.workspace, access.hint)
        known = self._arrived.get(of, [])
        if len(known) >= ARRIVALS_KEPT or (not known and len(self._arrived) >= OPEN_MAX):
            return
        ids = [COLLECT_PREFIX + event_id for record in records[:ARRIVALS_KEPT] if (event_id := sent_id(record))]
        self._arrived[of] = [*reversed(ids), *known]
        self._soon.ask()

    def _add(self, notice: Notice) -> None:
        if notice in self._open or len(self._open) < OPEN_MAX:
            self._open[notice] += 1
        self._soon.ask()

    async def close(self) -> None:
        """Write what is open, at the end of the process."""
        await self._soon.close()

    async def write(self) -> None:
        """Write what is open. Raises one of `AWAY` or `asyncpg.PostgresError`; then it is kept for the next try."""
        noticed, self._open = self._open, Counter()
        try:
            await write_notices(self._pool, noticed)
        except BaseException:
            self._open.update(noticed)
            raise
        arrived, self._arrived = self._arrived, {}
        try:
            await write_arrivals(self._pool, arrived)
        except BaseException:
            for of, ids in arrived.items():
                self._arrived[of] = [*self._arrived.get(of, []), *ids][:ARRIVALS_KEPT]
            raise
