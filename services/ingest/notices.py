"""What was refused to web pages, and which events they sent last: kept in memory, and written once a second.

It helps whoever sets a page up. A process that is killed loses what came in its last second.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress

import asyncpg
import structlog

from shared.access.keys import Access, digest
from shared.database import AWAY, error_text
from shared.events.codec import COLLECT_PREFIX, Record, sent_id
from shared.store.browser_notices import ARRIVALS_KEPT, Kind, Notice, kept_origin, write_arrivals, write_notices

WRITE_S = 1.0
# Different notices in memory, some 300 bytes each. With so many, new ones are dropped until these are written.
OPEN_MAX = 1_000

logger = structlog.stdlib.get_logger("touchline.ingest")


class BrowserNotices:
    """The notices that are not written to the database yet."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool
        self._open: Counter[Notice] = Counter()
        self._arrived: dict[tuple[str, str], list[str]] = {}
        self._writing: asyncio.Task[None] | None = None

    def add(self, access: Access, origin: str | None, kind: Kind) -> None:
        """Note what happened to a page that uses a valid key. `origin` None: the browser does not say which page it is."""
        self._add(Notice(kept_origin(origin or ""), kind, access.workspace, access.hint))

    def add_invalid(self, key: str, origin: str | None) -> None:
        """Note that a page uses a key that gives no access. When it is written, the database says whether the key was revoked."""
        self._add(Notice(kept_origin(origin or ""), "unknown_key", sha256=digest(key)))

    def arrived(self, access: Access, records: Sequence[Record]) -> None:
        """Note that events of a web page were accepted. Of each second the first few of a key are noted."""
        of = (access.workspace, access.hint)
        known = self._arrived.get(of, [])
        if len(known) >= ARRIVALS_KEPT or (not known and len(self._arrived) >= OPEN_MAX):
            return
        ids = [COLLECT_PREFIX + event_id for record in records[:ARRIVALS_KEPT] if (event_id := sent_id(record))]
        self._arrived[of] = [*reversed(ids), *known]
        self._soon()

    def _add(self, notice: Notice) -> None:
        if notice in self._open or len(self._open) < OPEN_MAX:
            self._open[notice] += 1
        self._soon()

    def _soon(self) -> None:
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._later())

    async def close(self) -> None:
        """Write what is open, at the end of the process; while the database is away it is lost."""
        if self._writing is not None:
            self._writing.cancel()
            with suppress(asyncio.CancelledError):
                await self._writing
        try:
            await self.write()
        except (*AWAY, asyncpg.PostgresError) as error:
            logger.warning("notices of web pages are lost", notices=len(self._open), error=error_text(error))

    async def _later(self) -> None:
        while self._open or self._arrived:
            await asyncio.sleep(WRITE_S)
            try:
                await self.write()
            except (*AWAY, asyncpg.PostgresError) as error:
                logger.warning("the notices of web pages are not written yet", error=error_text(error))

    async def write(self) -> None:
        """Write what is open. Raises one of `AWAY` or `asyncpg.PostgresError`; then notices are kept for the next try."""
        arrived, self._arrived = self._arrived, {}
        taken, self._open = self._open, Counter()
        try:
            await write_notices(self._pool, taken)
        except BaseException:
            self._open.update(taken)
            raise
        await write_arrivals(self._pool, arrived)
