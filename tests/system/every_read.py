"""Every read of the app, found from its router, with calls of each on a world in which each has something to answer."""

import datetime as dt
from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute

from shared.web.parameters import Declared

BEGUN = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
RANGE = "from=2024-03-01&to=2024-06-01"

NO_READS = ("/v1/p.gif", "/v1/producers/accounts", "/v1/keys", "/v1/dead-letters")
"""Calls by GET that take no position: they read no projection."""
PATHS: dict[str, tuple[str, ...]] = {
    "/v1/campaigns": ("/v1/campaigns", f"/v1/campaigns?{RANGE}"),
    "/v1/campaigns/{campaign_id:id}": ("/v1/campaigns/spring",),
    "/v1/campaigns/{campaign_id:id}/overview": ("/v1/campaigns/spring/overview", f"/v1/campaigns/spring/overview?{RANGE}"),
    "/v1/campaigns/{campaign_id:id}/refusals": ("/v1/campaigns/third/refusals",),
    "/v1/campaigns/{campaign_id:id}/contacts": ("/v1/campaigns/spring/contacts",),
    "/v1/campaigns/{campaign_id:id}/deals": ("/v1/campaigns/spring/deals",),
    "/v1/campaigns/{campaign_id:id}/touches": ("/v1/campaigns/spring/touches", f"/v1/campaigns/spring/touches?metric=page_views&{RANGE}", "/v1/campaigns/spring/touches?reason=machine"),
    "/v1/campaigns/{campaign_id:id}/sessions": ("/v1/campaigns/spring/sessions", f"/v1/campaigns/spring/sessions?metric=new_sessions&{RANGE}"),
    "/v1/campaigns/{campaign_id:id}/assets": ("/v1/campaigns/spring/assets",),
    "/v1/campaigns/{campaign_id:id}/timeline": ("/v1/campaigns/spring/timeline?interval=week", f"/v1/campaigns/spring/timeline?metric=influenced_deals&{RANGE}"),
    "/v1/campaigns/{campaign_id:id}/spend": ("/v1/campaigns/spring/spend",),
    "/v1/campaigns/{campaign_id:id}/budget-items": ("/v1/campaigns/summer/budget-items",),
    "/v1/catalog/unresolved": ("/v1/catalog/unresolved?kind=pages", "/v1/catalog/unresolved?kind=assets"),
    "/v1/catalog/unresolved/events": (
        "/v1/catalog/unresolved/events?kind=pages&name=https://a.example/lone", "/v1/catalog/unresolved/events?kind=assets&name=nowhere",
    ),
    "/v1/assets": ("/v1/assets", "/v1/assets?sort=-touches"),
    "/v1/assets/{asset_id:id}": ("/v1/assets/page-spring",),
    "/v1/assets/{asset_id:id}/touches": ("/v1/assets/page-spring/touches", f"/v1/assets/page-spring/touches?type=page_visited&{RANGE}"),
    "/v1/assets/{asset_id:id}/contacts": ("/v1/assets/page-spring/contacts",),
    "/v1/assets/{asset_id:id}/deals": ("/v1/assets/page-spring/deals",),
    "/v1/deals": ("/v1/deals", "/v1/deals?state=won&q=d1"),
    "/v1/deals/{deal_id:id}": ("/v1/deals/d1",),
    "/v1/events": ("/v1/events?limit=20",),
    "/v1/browsers": ("/v1/browsers",),
    "/v1/reports/roi": ("/v1/reports/roi",),
    "/v1/reports/attribution/deals": ("/v1/reports/attribution/deals", "/v1/reports/attribution/deals?group=spring", "/v1/reports/attribution/deals?group=spring&of=deals"),
    "/v1/reports/attribution/contacts": (
        "/v1/reports/attribution/contacts", "/v1/reports/attribution/contacts?group=spring", "/v1/reports/attribution/contacts?group=spring&of=deals",
        "/v1/reports/attribution/contacts?reason=no_journey&of=contacts",
    ),
    "/v1/reports/paths": ("/v1/reports/paths",),
    "/v1/reports/paths/deals": ("/v1/reports/paths/deals", "/v1/reports/paths/deals?path=form_submitted,page_visited"),
    "/marketing/v3/campaigns": ("/marketing/v3/campaigns",),
    "/marketing/v3/campaigns/{campaign_id:id}": ("/marketing/v3/campaigns/spring",),
    "/marketing/v3/campaigns/{campaign_id:id}/assets/{asset_type:id}": ("/marketing/v3/campaigns/spring/assets/FORM",),
    "/marketing/v3/campaigns/{campaign_id:id}/budget/totals": ("/marketing/v3/campaigns/spring/budget/totals",),
    "/marketing/v3/campaigns/{campaign_id:id}/reports/metrics": ("/marketing/v3/campaigns/spring/reports/metrics",),
    "/marketing/v3/campaigns/{campaign_id:id}/reports/revenue": ("/marketing/v3/campaigns/spring/reports/revenue",),
    "/marketing/v3/campaigns/{campaign_id:id}/reports/contacts/{contact_type:id}": (
        "/marketing/v3/campaigns/spring/reports/contacts/influencedContacts",
    ),
    "/v1/contacts": ("/v1/contacts",),
    "/v1/contacts/{name:id}": ("/v1/contacts/k1",),
    "/v1/contacts/{name:id}/deals": ("/v1/contacts/k1/deals",),
    "/v1/contacts/{name:id}/journey": ("/v1/contacts/k1/journey",),
    "/v1/identifiers": ("/v1/identifiers?min_joined=2",),
    "/v1/deals/{deal_id:id}/attribution": ("/v1/deals/d1/attribution", "/v1/deals/d1/attribution?all=1", "/v1/deals/d1/attribution?model=linear&model=u_shaped"),
    "/v1/deals/{deal_id:id}/explain": ("/v1/deals/d1/explain?campaign=spring",),
    "/v1/events/{event_id:id}/explain": ("/v1/events/f1/explain", "/v1/events/c-spring/explain"),
    "/v1/reports/attribution": ("/v1/reports/attribution", f"/v1/reports/attribution?model=linear&model=u_shaped&{RANGE}"),
    "/v1/status": ("/v1/status",),
    "/v1/producers": ("/v1/producers",),
    "/v1/generations": ("/v1/generations",),
    "/v1/generations/{name:id}/difference": ("/v1/generations/g1/difference",),
    "/v1/verifications": ("/v1/verifications",),
}  # fmt: skip
"""Calls of every read, by the path of its route. A route that is not here fails the tests that call all of them."""


def read_routes(app: FastAPI) -> dict[str, APIRoute]:
    """Every route that reads: those that take `generation`, as all that answer from a snapshot do."""
    found: dict[str, APIRoute] = {}
    waiting: list[Any] = list(app.routes)
    while waiting:
        route = waiting.pop()
        included = getattr(route, "original_router", None)
        if included is not None:
            waiting += included.routes
        elif (
            isinstance(route, APIRoute)
            and isinstance(route.openapi_extra, Declared)
            and "generation" in route.openapi_extra.by_name
        ):
            found[route.path] = route
    return found


def world(visitors: int, visits: int = 3) -> Iterator[dict[str, Any]]:
    """Visits of three campaigns over a year; every third visitor becomes a contact and buys; a refused association."""
    for campaign in ("spring", "summer", "third"):
        yield {"type": "campaign_created", "id": f"c-{campaign}", "campaign_id": campaign, "name": campaign.title(), "utm_campaign": campaign,
               "budget": "1000.00", "currency": "EUR", "occurred_at": BEGUN.isoformat()}  # fmt: skip
        for asset, asset_type in ((f"page-{campaign}", "landing_page"), (f"form-{campaign}", "form")):
            yield {
                "type": "asset_registered",
                "asset_id": asset,
                "asset_type": asset_type,
                "occurred_at": BEGUN.isoformat(),
            }
            yield {
                "type": "asset_associated",
                "campaign_id": campaign,
                "asset_id": asset,
                "occurred_at": BEGUN.isoformat(),
            }
    yield {
        "type": "page_visited",
        "id": "lone",
        "visitor_id": "v0",
        "url": "https://a.example/lone",
        "occurred_at": at(1, 365),
    }
    yield {
        "type": "cta_clicked",
        "id": "lone-cta",
        "visitor_id": "v0",
        "asset_id": "nowhere",
        "occurred_at": at(1, 365),
    }
    yield {"type": "page_visited", "id": "bot", "visitor_id": "bot", "asset_id": "page-spring", "machine": True,
           "url": "https://a.example/", "occurred_at": at(60, 365)}  # fmt: skip
    yield {
        "type": "spend_recorded",
        "campaign_id": "spring",
        "amount": "10.00",
        "currency": "EUR",
        "on": "2024-02-01",
        "occurred_at": at(31, 365),
    }
    yield {"type": "budget_recorded", "campaign_id": "summer", "name": "Fair", "amount": "10.00", "currency": "EUR", "occurred_at": at(31, 365)}  # fmt: skip
    yield {"type": "campaign_deleted", "campaign_id": "third", "occurred_at": at(300, 365)}
    yield {"type": "asset_associated", "campaign_id": "third", "asset_id": "page-spring", "occurred_at": at(350, 365)}
    yield {"type": "asset_dissociated", "campaign_id": "spring", "asset_id": "form-third", "occurred_at": at(10, 365)}
    whole = visitors * visits
    for n in range(whole):
        visitor, campaign = n % visitors, ("spring", "summer")[n * 7 % 2]
        yield {"type": "page_visited", "id": f"v{n}", "visitor_id": f"v{visitor}", "asset_id": f"page-{campaign}", "occurred_at": at(n, whole),
               "url": f"https://a.example/{n % 9}?utm_campaign={campaign}"}  # fmt: skip
        if n < visitors and visitor % 3 == 1:
            contact = {"id": f"k{visitor}"}
            yield {"type": "form_submitted", "id": f"f{n}", "visitor_id": f"v{visitor}", "asset_id": "form-spring",
                   "contact": contact | {"email": f"k{visitor}@example.no"}, "occurred_at": at(n, whole)}  # fmt: skip
            for other in ("o", "p"):
                yield {
                    "type": "contact_merged",
                    "contact": {"id": f"{other}{visitor}"},
                    "into": contact,
                    "occurred_at": at(n, whole),
                }
            yield {"type": "deal_created", "deal_id": f"d{visitor}", "amount": "100.01", "currency": "EUR", "contacts": [contact],
                   "occurred_at": at(n, whole)}  # fmt: skip
            yield {"type": "deal_closed", "deal_id": f"d{visitor}", "won": True, "occurred_at": at(whole, whole)}


def at(n: int, of: int) -> str:
    """The instant of the n-th of so many things within a year."""
    return (BEGUN + dt.timedelta(days=365) * n / of).isoformat()
