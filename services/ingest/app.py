"""The ingest service: the routes that producers send events to.

An event that was accepted is in the log; the service keeps nothing else.
"""

from fastapi import APIRouter

from services.ingest import events, keys, pixel, tracker, workspaces
from services.ingest.ingest import Ingest
from services.ingest.producers import accounts, hubspot, mailgun, postmark, segment, sendgrid


def ingest_router(ingest: Ingest) -> APIRouter:
    """All routes of the service."""
    router = APIRouter()
    router.include_router(events.routes(ingest))
    router.include_router(pixel.routes(ingest))
    router.include_router(workspaces.routes(ingest))
    router.include_router(keys.routes(ingest))
    router.include_router(tracker.routes())
    router.include_router(accounts.routes(ingest))
    for producer in (segment, hubspot, sendgrid, mailgun, postmark):
        router.include_router(producer.routes(ingest))
    return router
