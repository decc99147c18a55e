"""`/v1/events/{id}/explain`: what did this event count for, and why not for more?"""

from typing import Any

from fastapi import APIRouter, Request, Response

from services.api.contacts import Standings, standings
from services.api.reading import Api, answer, not_found, reading
from shared.events.instants import to_rfc3339
from shared.projection.sql import sql
from shared.rules.excluded_traffic import Verdict
from shared.rules.influence import TouchType
from shared.rules.keys import event_key
from shared.rules.pre_association import Route, Standing, kept_out

SEEN = sql("SELECT occurred_at_us, place, is_touch, live FROM {g}.seen WHERE ws = $1 AND event_key = $2")
TOUCH = sql("SELECT * FROM {g}.touch WHERE ws = $1 AND person = $2 AND occurred_at_us = $3 AND event_id = $4")
FACT = sql("SELECT type FROM {g}.fact WHERE ws = $1 AND subject = $2 AND occurred_at_us = $3 AND event_id = $4")
OWNER = sql("""
SELECT c.name FROM {g}.ownership o JOIN {g}.contact c ON c.ws = $1 AND c.contact = o.contact
WHERE o.ws = $1 AND o.person = $2 AND (o.from_us, o.from_event) <= ($3::bigint, $4 COLLATE "C")
    AND (o.to_us, o.to_event) > ($3::bigint, $4 COLLATE "C")
""")


def routes(api: Api) -> APIRouter:
    """The route of this file."""
    router = APIRouter(prefix="/v1/events", tags=["events"])

    @router.get("/{event_id}/explain")
    async def get_explain(event_id: str, request: Request) -> Response:
        """What the event counted for, in which campaigns, and why not in others."""
        async with reading(api, request) as read:
            seen = await read.fetchrow(SEEN, event_key(event_id))
            if seen is None:
                raise not_found("event", event_id)
            place = (seen["place"], seen["occurred_at_us"], event_id)
            if not seen["is_touch"]:
                row = await read.fetchrow(FACT, *place)
                return answer(read, _said(event_id, row["type"], seen, None, "retracted", []))
            touch = await read.fetchrow(TOUCH, *place)
            found = await standings(read, [touch])
            verdict = Verdict(touch["verdict"])
            owner = await read.fetchrow(OWNER, *place)
            body = _said(
                event_id, TouchType(touch["type"]).wire, seen, owner["name"] if owner else None,
                verdict.name.lower(), _campaigns(verdict, found[0]) if seen["live"] else [],
            )  # fmt: skip
            body["counted"] = verdict is Verdict.COUNTED
            body["reason"] = None if body["counted"] else verdict.name.lower()
            return answer(read, body)

    return router


def _said(
    event_id: str, type_: str, seen: Any, contact: str | None, reason: str, campaigns: list[dict[str, Any]]
) -> dict[str, Any]:
    return {
        "event_id": event_id, "type": type_, "occurred_at": to_rfc3339(seen["occurred_at_us"]), "contact": contact,
        "counted": seen["live"], "reason": None if seen["live"] else reason, "campaigns": campaigns,
    }  # fmt: skip


def _campaigns(verdict: Verdict, found: Standings) -> list[dict[str, Any]]:
    """What the touch is to each campaign that ever held or claimed what it touched."""
    out = []
    for campaign_id, by_route in sorted(found.items()):
        why = kept_out(
            verdict is Verdict.MACHINE, verdict is Verdict.INTERNAL, by_route.get(Route.ASSET), by_route.get(Route.VIA),
            by_route.get(Route.UTM),
        )  # fmt: skip
        if why is None:
            through = [route.name.lower() for route in Route if by_route.get(route) is Standing.COUNTS]
            out.append({"campaign_id": campaign_id, "counts": True, "through": through})
        else:
            out.append({"campaign_id": campaign_id, "counts": False, "reason": why})
    return out
