"""What every route of the ingest service works with."""

from dataclasses import dataclass, field

import asyncpg

from services.ingest.browser_notices import BrowserNotices
from services.ingest.catalog.turn import Turns
from services.ingest.limits import Limits
from services.ingest.producers.counts import Counts
from shared.access.accounts import Accounts
from shared.access.contact_tokens import ContactTokens
from shared.access.keys import KeyRing
from shared.access.positions import Positions
from shared.log.port import EventLog
from shared.projection.acceptance_settings import AcceptanceSettingsCache
from shared.sealing.log import vault_of
from shared.wakeups import Wakeups


@dataclass
class Ingest:
    """The log, the database and the caches of one ingest process.

    Each file of routes gets it once, when the service is put together.
    """

    log: EventLog
    pool: "asyncpg.Pool[asyncpg.Record]"
    keys: KeyRing
    positions: Positions
    wakeups: Wakeups
    public_url: str | None = None
    """The address by which producers call this service, without a slash at its end.

    None: the `Host` header of each request names it.
    """
    limits: Limits = field(default_factory=Limits)

    accepting: AcceptanceSettingsCache = field(init=False)
    counts: Counts = field(init=False)
    accounts: Accounts = field(init=False)
    turns: Turns = field(init=False)
    contact_tokens: ContactTokens = field(init=False)
    notices: BrowserNotices = field(init=False)

    forgets: bool = field(init=False)
    """Whether contacts can be forgotten: whether the store is sealed."""

    def __post_init__(self) -> None:
        self.forgets = vault_of(self.log) is not None
        self.accounts = Accounts(self.pool)
        self.contact_tokens = ContactTokens(self.pool)
        self.turns = Turns(self.pool, self.log, self.wakeups)
        self.counts = Counts(self.pool)
        self.notices = BrowserNotices(self.pool)
        self.accepting = AcceptanceSettingsCache(self.pool)
