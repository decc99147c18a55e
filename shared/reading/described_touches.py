"""Who did what, to which asset, and does it count? Reads what the sentences of explanations say."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

from shared.projection.sql import owned, sql
from shared.reading import sentences
from shared.reading.attribution import COUNTED_WHEN
from shared.reading.sentences import DescribedTouch, LocalTime, NamedAsset, NamedContact
from shared.reading.snapshot import Snapshot
from shared.reading.touches import RouteStatus, route_statuses, window_statuses_of
from shared.rules.excluded_traffic import TrafficClass
from shared.rules.influence import TouchType
from shared.rules.page import parse
from shared.rules.pre_association import KeptOut, Route, WindowStatus, kept_out

TOUCHES = sql("""
SELECT t.* FROM unnest($2::bigint[], $3::bigint[], $4::text[]) WITH ORDINALITY u(person, at_us, event_id, n)
JOIN {g}.touch t ON t.ws = $1 AND t.person = u.person AND t.occurred_at_us = u.at_us AND t.event_id = u.event_id
ORDER BY u.n
""")  # the touches of these persons, instants and event ids
OWNED = sql(f"""
SELECT t.*, o.contact FROM unnest($2::bigint[], $3::bigint[], $4::text[]) WITH ORDINALITY u(person, at_us, event_id, n)
JOIN {{g}}.touch t ON t.ws = $1 AND t.person = u.person AND t.occurred_at_us = u.at_us AND t.event_id = u.event_id
LEFT JOIN {{g}}.identity_interval o ON o.ws = $1 AND o.person = t.person AND {owned()}
ORDER BY u.n
""")  # the same, each with the key of the contact that owns it
CONTACTS = sql("""
SELECT c.contact, c.name, c.properties, (
    SELECT text FROM {g}.identifier i WHERE i.ws = $1 AND i.contact = c.contact AND i.is_email
    ORDER BY first_us, first_event, text LIMIT 1) AS email
FROM {g}.contact c WHERE c.ws = $1 AND c.contact = ANY($2::bigint[])
""")
ASSETS = sql("SELECT asset, asset_id, asset_type, name FROM {g}.asset WHERE ws = $1 AND asset = ANY($2::bigint[])")
TOUCHED = sql("""
SELECT u.n, s.asset_id, s.asset_type, s.name FROM unnest($2::int[], $3::bigint[], $4::bigint[]) u(n, key, at_us)
LEFT JOIN {g}.address a ON a.ws = $1 AND a.page = u.key AND u.at_us >= a.from_us AND u.at_us < a.to_us
JOIN {g}.asset s ON s.ws = $1 AND s.asset = coalesce(a.asset, u.key)
""")  # the asset that is touched by its key, or by the address of its page at an instant


class TouchInCampaign(NamedTuple):
    """What a touch is to one campaign: why it does not count (None: it does), and what a sentence says about the touch.

    `turned_us` is the instant, in microseconds, at which what was touched came into the campaign or left it, or at which the
    campaign began or ceased to claim the utm value; None if the touch counts, or if there is no such instant.
    """

    why: KeptOut | None
    touch: DescribedTouch
    turned_us: int | None

    def sentence(self, clock: LocalTime, campaign: str) -> str:
        """Why the touch counts for the campaign, or does not; `campaign` is the campaign's name."""
        if self.why is None:
            return sentences.counts(clock, self.touch, campaign)
        return sentences.kept_out(clock, self.why, self.touch, campaign, self.turned_us)


async def named_contacts(snapshot: Snapshot, contacts: Collection[int]) -> dict[int, NamedContact]:
    """What each of these contacts is called, by key."""
    out = {}
    for row in await snapshot.fetch(CONTACTS, list(contacts)):
        properties = row["properties"]
        first_name, last_name = properties.get("first_name"), properties.get("last_name")
        out[row["contact"]] = NamedContact(row["name"], row["email"], first_name, last_name)
    return out


async def named_assets(snapshot: Snapshot, assets: Collection[int]) -> dict[int, NamedAsset]:
    """What each of these assets is called, by key; assets without events are absent."""
    rows = await snapshot.fetch(ASSETS, list(assets))
    return {row["asset"]: NamedAsset(row["asset_id"], row["asset_type"], row["name"]) for row in rows}


async def touched_assets(snapshot: Snapshot, touches: Sequence[Any]) -> list[dict[str, Any] | None]:
    """What each touch touched, as answers have it: the asset that the event names, or the one that had the page's address then; else None.

    Touches are rows with `asset_or_page_key`, `occurred_at_us` and `asset_id`.
    """
    asked = [
        (n, t["asset_or_page_key"], t["occurred_at_us"])
        for n, t in enumerate(touches)
        if t["asset_or_page_key"] is not None
    ]
    rows = await snapshot.fetch(TOUCHED, *map(list, zip(*asked, strict=True))) if asked else []
    assets = {row["n"]: NamedAsset(row["asset_id"], row["asset_type"], row["name"]) for row in rows}
    out: list[dict[str, Any] | None] = []
    for n, touch in enumerate(touches):
        asset = assets.get(n) or (None if touch["asset_id"] is None else NamedAsset(touch["asset_id"]))
        out.append(
            None if asset is None else {"asset_id": asset.asset_id, "asset_type": asset.asset_type, "name": asset.name}
        )
    return out


async def owned_touches(snapshot: Snapshot, places: Sequence[Any]) -> list[Any]:
    """As `touches_at`, each with `contact`, the key of the contact that owns the touch; None of an anonymous visitor's."""
    asked = [(p["person"], p["occurred_at_us"], p["event_id"]) for p in places]
    return await snapshot.fetch(OWNED, *map(list, zip(*asked, strict=True))) if asked else []


async def touches_at(snapshot: Snapshot, places: Sequence[Any]) -> list[Any]:
    """The rows of touches, in the order of `places`: rows that have `person`, `occurred_at_us` and `event_id`."""
    asked = [(p["person"], p["occurred_at_us"], p["event_id"]) for p in places]
    return await snapshot.fetch(TOUCHES, *map(list, zip(*asked, strict=True))) if asked else []


async def touches_in_campaigns(
    snapshot: Snapshot, touches: Sequence[Any], owners: Sequence[NamedContact | None]
) -> list[dict[str, TouchInCampaign]]:
    """What each touch is to each campaign that ever held or claimed what it touched, by the campaign's id.

    `owners` are the contacts that own the touches, None for the touch of an anonymous visitor.
    """
    statuses = await route_statuses(snapshot, touches)
    turns = await _turns(snapshot, touches, statuses)
    assets = await _assets(snapshot, touches, statuses)
    out: list[dict[str, TouchInCampaign]] = []
    for n, touch in enumerate(touches):
        by_campaign = {}
        for campaign_id, by_route in sorted(statuses[n].items()):
            route = deciding_route(by_route)
            why = kept_out(TrafficClass(touch["traffic_class"]), window_statuses_of(by_route))
            described = _described(touch, owners[n], by_route, route, assets)
            by_campaign[campaign_id] = TouchInCampaign(why, described, turns.get((n, campaign_id)))
        out.append(by_campaign)
    return out


def deciding_route(by_route: dict[Route, RouteStatus], among: Collection[Route] = tuple(Route)) -> Route:
    """The lowest route of some by which a touch counts; if it counts by none, the lowest route, which gives the reason."""
    usable = [route for route in by_route if route in among]
    return min(usable, key=lambda route: (by_route[route].window_status is not WindowStatus.COUNTS, route))


async def _turns(
    snapshot: Snapshot, touches: Sequence[Any], statuses: dict[int, dict[str, dict[Route, RouteStatus]]]
) -> dict[tuple[int, str], int]:
    """`turned_us` of the touches that do not count by any route, by the touch's place in the list and the campaign's id.

    It is when what was touched came into the campaign next, if it had not been in it by then; else when it had left it last.
    """
    asked = []
    for n, by_campaign in statuses.items():
        for campaign_id, by_route in by_campaign.items():
            route = deciding_route(by_route)
            route_status = by_route[route]
            if route_status.window_status is not WindowStatus.COUNTS:
                key = (
                    route_status.asset if route is Route.ASSET and route_status.asset is not None else route_status.key
                )
                asked.append((n, campaign_id, route_status.campaign, int(route), key))
    spans: dict[int, list[tuple[int, int]]] = defaultdict(list)
    if asked:
        columns = [[i for i, _ in enumerate(asked)], *(list(c) for c in list(zip(*asked, strict=True))[2:])]
        for row in await snapshot.fetch(COUNTED_WHEN, *columns):
            spans[row["n"]].append((row["from_us"], row["to_us"]))
    out = {}
    for i, (n, campaign_id, _, _, _) in enumerate(asked):
        at_us, window_status = touches[n]["occurred_at_us"], statuses[n][campaign_id][Route(asked[i][3])].window_status
        came = [from_us for from_us, _ in spans[i] if from_us > at_us]
        left = [to_us for _, to_us in spans[i] if to_us <= at_us]
        if came and (window_status is WindowStatus.BEFORE_ASSOCIATION or not left):
            out[n, campaign_id] = min(came)
        elif left:
            out[n, campaign_id] = max(left)
    return out


async def _assets(
    snapshot: Snapshot, touches: Sequence[Any], statuses: dict[int, dict[str, dict[Route, RouteStatus]]]
) -> dict[int, NamedAsset]:
    keys = {touch[column] for touch in touches for column in ("asset_or_page_key", "via")}
    keys |= {b.asset for by_campaign in statuses.values() for by in by_campaign.values() for b in by.values()}
    return await named_assets(snapshot, {key for key in keys if key is not None})


def _described(
    touch: Any,
    who: NamedContact | None,
    by_route: dict[Route, RouteStatus],
    route: Route,
    assets: dict[int, NamedAsset],
) -> DescribedTouch:
    by_asset, by_via = by_route.get(Route.ASSET), by_route.get(Route.VIA)
    asset = _first(assets, [by_asset.asset if by_asset else None, touch["asset_or_page_key"]], touch["asset_id"])
    via = _first(assets, [by_via.asset if by_via else None, touch["via"]], touch["via_asset_id"])
    return DescribedTouch(
        who, TouchType(touch["type"]), touch["occurred_at_us"], asset, via,
        parse(touch["url"]).utm[0] if route is Route.UTM and touch["url"] else None, touch["url"], touch["kind"],
        route.name.lower(),
    )  # fmt: skip


def _first(assets: dict[int, NamedAsset], keys: Iterable[int | None], asset_id: str | None) -> NamedAsset | None:
    """The asset of the first key that is an asset's; else one of which only the id is known; None if no id is known."""
    known = next((assets[key] for key in keys if key is not None and key in assets), None)
    return known or (None if asset_id is None else NamedAsset(asset_id))
