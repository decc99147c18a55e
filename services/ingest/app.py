"""The ingest service: the routes that producers send events to.

An event that was accepted is in the log; the service keeps nothing else.
"""

from fastapi import APIRouter

from services.ingest import contact_tokens, dead_letter_routes, events, keys, pixel, redirects, tracker, workspaces
from services.ingest.catalog import preview
from services.ingest.catalog import routes as catalog
from services.ingest.ingest import Ingest
from services.ingest.producers import accounts, hubspot, mailgun, postmark, segment, sendgrid


def ingest_router(ingest: Ingest) -> APIRouter:
    """All routes of the service, in one list: a router within a router is searched twice for each request.

    The routes of browsers come first, for they are asked for most.
    """
    router = APIRouter()
    for part in (
        events.routes(ingest), pixel.routes(ingest), redirects.routes(ingest), tracker.routes(), contact_tokens.routes(ingest),
        workspaces.routes(ingest), keys.routes(ingest), accounts.routes(ingest), catalog.routes(ingest), preview.routes(ingest),
        dead_letter_routes.routes(ingest),
        *(producer.routes(ingest) for producer in (segment, hubspot, sendgrid, mailgun, postmark)),
    ):  # fmt: skip
        router.routes.extend(part.routes)
    return router
