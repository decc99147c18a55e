"""The ingest service: what producers talk to. It keeps nothing but what the log has made durable."""

from dataclasses import dataclass, field

import asyncpg
from fastapi import APIRouter

from services.ingest import events, pixel, workspaces
from services.ingest.producers import accounts, hubspot, mailgun, postmark, segment, sendgrid
from services.ingest.producers.counts import Counts
from shared.access.accounts import Accounts
from shared.access.keys import KeyRing
from shared.access.positions import Positions
from shared.log.port import EventLog
from shared.projection.accepting import KnownAccepting


@dataclass
class Ingest:
    """What the routes work with."""

    log: EventLog
    pool: "asyncpg.Pool[asyncpg.Record]"
    keys: KeyRing
    positions: Positions
    public_url: str | None = None
    """What producers call this service by, without a slash behind it; None: as the request's `Host` says."""

    accepting: KnownAccepting = field(init=False)
    counts: Counts = field(init=False)
    accounts: Accounts = field(init=False)

    def __post_init__(self) -> None:
        self.accounts = Accounts(self.pool)
        self.counts = Counts(self.pool)
        self.accepting = KnownAccepting(self.pool)


def ingest_router(ingest: Ingest) -> APIRouter:
    """All routes of the service."""
    router = APIRouter()
    router.include_router(events.routes(ingest))
    router.include_router(pixel.routes(ingest))
    router.include_router(workspaces.routes(ingest))
    router.include_router(accounts.routes(ingest))
    for producer in (segment, hubspot, sendgrid, mailgun, postmark):
        router.include_router(producer.routes(ingest))
    return router
