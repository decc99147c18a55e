"""The ingest service: what producers talk to. It keeps nothing but what the log has made durable."""

from dataclasses import dataclass

import asyncpg
from fastapi import APIRouter

from services.ingest import events, pixel, workspaces
from shared.access.keys import KeyRing
from shared.access.positions import Positions
from shared.log.port import EventLog


@dataclass
class Ingest:
    """What the routes work with."""

    log: EventLog
    pool: "asyncpg.Pool[asyncpg.Record]"
    keys: KeyRing
    positions: Positions


def ingest_router(ingest: Ingest) -> APIRouter:
    """All routes of the service."""
    router = APIRouter()
    router.include_router(events.routes(ingest))
    router.include_router(pixel.routes(ingest))
    router.include_router(workspaces.routes(ingest))
    return router
