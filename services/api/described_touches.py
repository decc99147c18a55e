"""Who did what, to which asset? Gathers the names that the sentences of explanations tell."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

from services.api.requests import Reading
from services.api.sentences import Clock, Deed, Thing, Who, counts, kept_out
from services.api.touches import Bearing, bearings, why_not
from shared.reading.attribution import COUNTED_WHEN
from shared.projection.sql import sql
from shared.rules.excluded_traffic import TrafficClass
from shared.rules.influence import TouchType
from shared.rules.page import parse
from shared.rules.pre_association import KeptOut, Route, WindowStatus

TOUCHES = sql("""
SELECT t.* FROM unnest($2::bigint[], $3::bigint[], $4::text[]) WITH ORDINALITY u(person, at_us, event_id, n)
JOIN {g}.touch t ON t.ws = $1 AND t.person = u.person AND t.occurred_at_us = u.at_us AND t.event_id = u.event_id
ORDER BY u.n
""")  # touches by where they are found
PEOPLE = sql("""
SELECT c.contact, c.name, c.properties, (
    SELECT text FROM {g}.identifier i WHERE i.ws = $1 AND i.contact = c.contact AND i.is_email
    ORDER BY first_us, first_event, text LIMIT 1) AS email
FROM {g}.contact c WHERE c.ws = $1 AND c.contact = ANY($2::bigint[])
""")
ASSETS = sql("SELECT asset, asset_id, asset_type, name FROM {g}.asset WHERE ws = $1 AND asset = ANY($2::bigint[])")


class Standpoint(NamedTuple):
    """What a touch is to one campaign: why it does not count (None: it does), what is told of it, and when that turned.

    `turned_us` is when what it touched came into the campaign or left it, or its utm value was claimed or no longer; None
    where nothing turned.
    """

    why: KeptOut | None
    deed: Deed
    turned_us: int | None

    def said(self, clock: Clock, campaign: str) -> str:
        """One sentence; `campaign` is the campaign's name."""
        if self.why is None:
            return counts(clock, self.deed, campaign)
        return kept_out(clock, self.why, self.deed, campaign, self.turned_us)


async def people(read: Reading, contacts: Collection[int]) -> dict[int, Who]:
    """What each of these contacts is called."""
    out = {}
    for row in await read.fetch(PEOPLE, list(contacts)):
        told = row["properties"]
        out[row["contact"]] = Who(row["name"], row["email"], told.get("first_name"), told.get("last_name"))
    return out


async def touches_at(read: Reading, places: Sequence[Any]) -> list[Any]:
    """The touches of these persons, instants and event ids (of rows that have them), in the order asked."""
    asked = [(p["person"], p["occurred_at_us"], p["event_id"]) for p in places]
    return await read.fetch(TOUCHES, *map(list, zip(*asked, strict=True))) if asked else []


async def standpoints(
    read: Reading, touches: Sequence[Any], owners: Sequence[Who | None]
) -> list[dict[str, Standpoint]]:
    """What each touch is to each campaign that it has to do with, by the campaign's id."""
    found = await bearings(read, touches)
    turns = await _turns(read, touches, found)
    things = await _things(read, touches, found)
    out: list[dict[str, Standpoint]] = []
    for n, touch in enumerate(touches):
        points = {}
        for campaign_id, by_route in sorted(found[n].items()):
            route = _deciding(by_route)
            why = why_not(TrafficClass(touch["traffic_class"]), {r: b.window_status for r, b in by_route.items()})
            deed = _deed(touch, owners[n], by_route, route, things)
            points[campaign_id] = Standpoint(why, deed, turns.get((n, campaign_id)))
        out.append(points)
    return out


def _deciding(by_route: dict[Route, Bearing]) -> Route:
    """The route by which a touch counts, else the one that says why not: the first."""
    return min(by_route, key=lambda route: (by_route[route].window_status is not WindowStatus.COUNTS, route))


async def _turns(
    read: Reading, touches: Sequence[Any], found: dict[int, dict[str, dict[Route, Bearing]]]
) -> dict[tuple[int, str], int]:
    """When what a touch touched came into a campaign next, if it had not been in it, else when it had left it last."""
    asked = []
    for n, by_campaign in found.items():
        for campaign_id, by_route in by_campaign.items():
            route = _deciding(by_route)
            bearing = by_route[route]
            if bearing.window_status is not WindowStatus.COUNTS:
                key = bearing.asset if route is Route.ASSET and bearing.asset is not None else bearing.key
                asked.append((n, campaign_id, bearing.campaign, int(route), key))
    spans: dict[int, list[tuple[int, int]]] = defaultdict(list)
    if asked:
        columns = [[i for i, _ in enumerate(asked)], *(list(c) for c in list(zip(*asked, strict=True))[2:])]
        for row in await read.fetch(COUNTED_WHEN, *columns):
            spans[row["n"]].append((row["from_us"], row["to_us"]))
    out = {}
    for i, (n, campaign_id, _, _, _) in enumerate(asked):
        at_us, window_status = touches[n]["occurred_at_us"], found[n][campaign_id][Route(asked[i][3])].window_status
        came = [from_us for from_us, _ in spans[i] if from_us > at_us]
        left = [to_us for _, to_us in spans[i] if to_us <= at_us]
        if came and (window_status is WindowStatus.BEFORE_ASSOCIATION or not left):
            out[n, campaign_id] = min(came)
        elif left:
            out[n, campaign_id] = max(left)
    return out


async def _things(
    read: Reading, touches: Sequence[Any], found: dict[int, dict[str, dict[Route, Bearing]]]
) -> dict[int, Thing]:
    keys = {touch[column] for touch in touches for column in ("asset_or_page_key", "via")}
    keys |= {b.asset for by_campaign in found.values() for by in by_campaign.values() for b in by.values()}
    rows = await read.fetch(ASSETS, [key for key in keys if key is not None])
    return {row["asset"]: Thing(row["asset_id"], row["asset_type"], row["name"]) for row in rows}


def _deed(touch: Any, who: Who | None, by_route: dict[Route, Bearing], route: Route, things: dict[int, Thing]) -> Deed:
    by_asset, by_via = by_route.get(Route.ASSET), by_route.get(Route.VIA)
    thing = _first(things, [by_asset.asset if by_asset else None, touch["asset_or_page_key"]], touch["asset_id"])
    via = _first(things, [by_via.asset if by_via else None, touch["via"]], touch["via_asset_id"])
    return Deed(
        who, TouchType(touch["type"]), touch["occurred_at_us"], thing, via,
        parse(touch["url"]).utm[0] if route is Route.UTM and touch["url"] else None, touch["url"], touch["kind"],
        route.name.lower(),
    )  # fmt: skip


def _first(things: dict[int, Thing], keys: Iterable[int | None], asset_id: str | None) -> Thing | None:
    """The asset of the first key that one is known of, else one of which the id alone is known, if it is."""
    known = next((things[key] for key in keys if key is not None and key in things), None)
    return known or (None if asset_id is None else Thing(asset_id))
