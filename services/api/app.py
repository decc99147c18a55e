"""The read API: parameters, answers and errors of HTTP. What is read, and by which rules, is in `shared.reading`."""

from fastapi import APIRouter

from services.api import (
    assets,
    browsers,
    campaign_touches,
    campaigns,
    catalog,
    contacts,
    dashboard,
    deals,
    docs,
    events,
    generations,
    hubspot,
    identifiers,
    producers,
    reports,
    spend,
    status,
)
from services.api.requests import Api


def api_router(api: Api) -> APIRouter:
    """All routes of the service, the pages of the dashboard and of `/docs` among them."""
    router = APIRouter()
    for module in (
        campaigns,
        campaign_touches,
        spend,
        assets,
        catalog,
        contacts,
        identifiers,
        deals,
        events,
        reports,
        status,
        producers,
        generations,
        browsers,
        hubspot,
    ):
        router.include_router(module.routes(api))
    router.include_router(dashboard.routes(api.keys))
    router.include_router(docs.routes())
    return router
