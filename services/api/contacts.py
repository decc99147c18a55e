"""`/v1/contacts`: a person, and everything that it touched, in order."""

from collections import defaultdict
from typing import Any

from fastapi import APIRouter, Request, Response

from services.api.reading import Api, Reading, answer, encode_cursor, not_found, reading
from shared.events.instants import to_rfc3339
from shared.projection.attribution import STANDINGS
from shared.projection.sql import sql
from shared.rules.excluded_traffic import Verdict
from shared.rules.influence import TouchType
from shared.rules.keys import Identifier
from shared.rules.order import BEGINNING, Order
from shared.rules.pre_association import Route, Standing

CONTACT = sql("""
SELECT c.* FROM {g}.identifier i JOIN {g}.contact c ON c.ws = $1 AND c.contact = i.contact
WHERE i.ws = $1 AND i.identifier = ANY($2::bigint[]) ORDER BY i.is_email LIMIT 1
""")  # the contact of an identifier; an id wins over an email of the same text
IDENTIFIERS = sql("SELECT is_email, text FROM {g}.identifier WHERE ws = $1 AND contact = $2 ORDER BY is_email, text")
JOURNEY = sql(f"""
SELECT t.* FROM {{g}}.ownership o JOIN {{g}}.touch t ON t.ws = $1 AND t.person = o.person
    AND t.occurred_at_us >= greatest(o.from_us, $3::bigint) AND t.occurred_at_us <= o.to_us
    AND (t.occurred_at_us, t.event_id) >= (o.from_us, o.from_event)
    AND (t.occurred_at_us, t.event_id) < (o.to_us, o.to_event)
    AND (t.occurred_at_us, t.event_id) > ($3::bigint, $4 COLLATE "C")
WHERE o.ws = $1 AND o.contact = $2 AND t.verdict <> {Verdict.RETRACTED:d}
ORDER BY t.occurred_at_us, t.event_id LIMIT $5
""")  # a page of all touches that a contact owns


def routes(api: Api) -> APIRouter:
    """The routes of this file."""
    router = APIRouter(prefix="/v1/contacts", tags=["contacts"])

    @router.get("/{name}")
    async def get_contact(name: str, request: Request) -> Response:
        """The person, by any of its identifiers."""
        async with reading(api, request) as read:
            row = await contact_row(read, name)
            named = await read.fetch(IDENTIFIERS, row["contact"])
            body = {
                "contact": row["name"], "ids": [n["text"] for n in named if not n["is_email"]],
                "emails": [n["text"] for n in named if n["is_email"]],
                "created_at": to_rfc3339(row["created_us"]), "conversion": row["created_event"],
                "first_page_visit": row["first_visit_event"], "properties": row["properties"],
            }  # fmt: skip
            return answer(read, body)

    @router.get("/{name}/journey")
    async def get_journey(name: str, request: Request) -> Response:
        """Every touch in order, with its session and the campaigns that it counts for."""
        async with reading(api, request) as read:
            row = await contact_row(read, name)
            after = Order(*(read.cursor or BEGINNING))
            touches = await read.fetch(JOURNEY, row["contact"], *after, read.limit + 1)
            more, touches = len(touches) > read.limit, touches[: read.limit]
            found = await standings(read, touches)
            items = [touch_json(touch, found[i]) for i, touch in enumerate(touches)]
            last = touches[-1] if touches else None
            cursor = encode_cursor([last["occurred_at_us"], last["event_id"]]) if more and last else None
            return answer(read, {"contact": row["name"], "items": items, "next_cursor": cursor})

    return router


async def contact_row(read: Reading, name: str) -> Any:
    """The contact that an identifier names. Raises a 404 `Problem`."""
    keys = [Identifier((False, name)).key, Identifier((True, name.strip().lower())).key]
    row = await read.fetchrow(CONTACT, keys)
    if row is None:
        raise not_found("contact", name)
    return row


Standings = dict[str, dict[Route, Standing]]


async def standings(read: Reading, touches: list[Any]) -> dict[int, Standings]:
    """For each touch (by its place in the list), what it is to each campaign, by route."""
    asked = [
        (n, key, touch["occurred_at_us"], int(route))
        for n, touch in enumerate(touches)
        for route, key in ((Route.ASSET, touch["target"]), (Route.VIA, touch["via"]), (Route.UTM, touch["utm"]))
        if key is not None
    ]
    out: dict[int, Standings] = defaultdict(lambda: defaultdict(dict))
    if asked:
        for row in await read.fetch(STANDINGS, *map(list, zip(*asked, strict=True))):
            out[row["n"]][row["campaign_id"]][Route(row["route"])] = Standing(row["standing"])
    return out


def touch_json(touch: Any, found: Standings) -> dict[str, Any]:
    """A touch of a journey."""
    verdict = Verdict(touch["verdict"])
    counted = verdict is Verdict.COUNTED
    campaigns = [c for c, by_route in sorted(found.items()) if Standing.COUNTS in by_route.values()] if counted else []
    return {
        "event_id": touch["event_id"], "type": TouchType(touch["type"]).wire,
        "occurred_at": to_rfc3339(touch["occurred_at_us"]), "asset_id": touch["asset_id"],
        "via_asset_id": touch["via_asset_id"], "url": touch["url"],
        "session": None if touch["session"] is None else f"{touch['session'] & (2**64 - 1):016x}",
        "campaigns": campaigns, "counted": counted, "reason": None if counted else verdict.name.lower(),
    }  # fmt: skip
