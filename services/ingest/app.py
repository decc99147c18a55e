"""The ingest service: the routes that producers send events to.

An event that was accepted is in the log; the service keeps nothing else.
"""

from fastapi import APIRouter

from services.ingest import contact_tokens, events, pixel, redirects, workspaces
from services.ingest.catalog import preview
from services.ingest.catalog import routes as catalog
from services.ingest.ingest import Ingest
from services.ingest.producers import accounts, hubspot, mailgun, postmark, segment, sendgrid


def ingest_router(ingest: Ingest) -> APIRouter:
    """All routes of the service."""
    router = APIRouter()
    router.include_router(events.routes(ingest))
    router.include_router(pixel.routes(ingest))
    router.include_router(redirects.routes(ingest))
    router.include_router(contact_tokens.routes(ingest))
    router.include_router(workspaces.routes(ingest))
    router.include_router(accounts.routes(ingest))
    router.include_router(catalog.routes(ingest))
    router.include_router(preview.routes(ingest))
    for producer in (segment, hubspot, sendgrid, mailgun, postmark):
        router.include_router(producer.routes(ingest))
    return router
