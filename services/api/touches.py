"""What is a touch to its campaigns, what brought it, and how is it told?"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

from services.api.requests import Reading
from shared.events.instants import to_rfc3339
from shared.reading.attribution import WINDOW_STATUSES
from shared.projection.sql import sql
from shared.recognition.referrers import site
from shared.rules.channel import Ad, TrafficSource, of_touch, traffic_source
from shared.rules.excluded_traffic import TrafficClass
from shared.rules.influence import TouchType
from shared.rules.keys import session_key
from shared.rules.page import parse
from shared.rules.pre_association import KeptOut, Route, WindowStatus, kept_out

FIRST_PAGES = sql(f"""
SELECT u.n, t.* FROM unnest($2::int[], $3::bigint[], $4::bigint[], $5::bigint[]) u(n, person, session, at_us)
CROSS JOIN LATERAL (
    SELECT event_id, url, utm_told, referrer, session, session_is_new FROM {{g}}.touch WHERE ws = $1 AND person = u.person AND by_visitor AND session = u.session
        AND type = {TouchType.PAGE_VISITED:d} AND occurred_at_us >= u.at_us
    ORDER BY occurred_at_us, event_id LIMIT 1) t
""")  # the first page visit of each touch's session
LINKS = sql("""
SELECT u.n, s.asset_id FROM unnest($2::int[], $3::bigint[], $4::bigint[]) u(n, link, at_us)
JOIN {g}.address a ON a.ws = $1 AND a.page = u.link AND u.at_us >= a.from_us AND u.at_us < a.to_us
JOIN {g}.asset s ON s.ws = $1 AND s.asset = a.asset
""")  # whose link each touch came by
ADS = sql("SELECT asset, asset_type, network, ad_type FROM {g}.asset WHERE ws = $1 AND asset = ANY($2::bigint[])")

WindowStatuses = dict[str, dict[Route, WindowStatus]]


class Bearing(NamedTuple):
    """What a touch is to a campaign by one route: by which key, and by which asset if it is one's."""

    window_status: WindowStatus
    campaign: int
    key: int
    asset: int | None


async def bearings(read: Reading, touches: Sequence[Any]) -> dict[int, dict[str, dict[Route, Bearing]]]:
    """For each touch (by its place in the list), what it is to each campaign, by route."""
    asked = [
        (n, key, touch["occurred_at_us"], int(route))
        for n, touch in enumerate(touches)
        for route, key in (
            (Route.ASSET, touch["asset_or_page_key"]),
            (Route.VIA, touch["via"]),
            (Route.UTM, touch["utm"]),
        )
        if key is not None
    ]
    out: dict[int, dict[str, dict[Route, Bearing]]] = defaultdict(lambda: defaultdict(dict))
    if asked:
        for row in await read.fetch(WINDOW_STATUSES, *map(list, zip(*asked, strict=True))):
            bearing = Bearing(WindowStatus(row["window_status"]), row["campaign"], row["key"], row["asset"])
            out[row["n"]][row["campaign_id"]][Route(row["route"])] = bearing
    return out


def window_statuses_of(found: dict[str, dict[Route, Bearing]]) -> WindowStatuses:
    """What a touch is to each campaign, by route."""
    return {c: {route: bearing.window_status for route, bearing in by.items()} for c, by in found.items()}


async def window_statuses(read: Reading, touches: Sequence[Any]) -> dict[int, WindowStatuses]:
    """For each touch (by its place in the list), what it is to each campaign, by route."""
    found = await bearings(read, touches)
    return {n: window_statuses_of(found[n]) for n in range(len(touches))}


async def traffic_sources(read: Reading, touches: Sequence[Any]) -> list[TrafficSource]:
    """What brought each touch (rule **channel**)."""
    others = [(n, t) for n, t in enumerate(touches) if t["type"] != TouchType.PAGE_VISITED]
    in_session = [(n, t["person"], t["session"], t["session_at_us"]) for n, t in others if t["session"] is not None]
    sessions: dict[int, TrafficSource] = {}
    if in_session:
        for row in await read.fetch(FIRST_PAGES, *map(list, zip(*in_session, strict=True))):
            sessions[row["n"]] = _source_of_visit(read, row)
    asset_or_page_keys = list({t["asset_or_page_key"] for _, t in others if t["asset_or_page_key"] is not None})
    rows = await read.fetch(ADS, asset_or_page_keys) if asset_or_page_keys else []
    ads = {row["asset"]: Ad(row["asset_type"], row["network"], row["ad_type"]) for row in rows}
    return [
        _source_of_visit(read, t) if t["type"] == TouchType.PAGE_VISITED
        else of_touch(TouchType(t["type"]), ads.get(t["asset_or_page_key"], Ad()), sessions.get(n), site)
        for n, t in enumerate(touches)
    ]  # fmt: skip


def _source_of_visit(read: Reading, visit: Any) -> TrafficSource:
    begins = visit["session_is_new"] is True and visit["session"] == session_key(visit["event_id"])
    page = parse(visit["url"], visit["utm_told"] or "")
    return traffic_source(page, visit["referrer"], site, read.settings.referrers, first=begins)


async def via_assets(read: Reading, touches: Sequence[Any]) -> list[str | None]:
    """The asset that each touch came by: the one that it names, else the tracking URL that it must have come by."""
    found = {n: touch["via_asset_id"] for n, touch in enumerate(touches)}
    asked = [
        (n, touch["via"], touch["occurred_at_us"])
        for n, touch in enumerate(touches)
        if touch["via"] is not None and touch["via_asset_id"] is None
    ]
    if asked:
        rows = await read.fetch(LINKS, *map(list, zip(*asked, strict=True)))
        found |= {row["n"]: row["asset_id"] for row in rows}
    return [found[n] for n in range(len(touches))]


def counting(traffic_class: TrafficClass, found: WindowStatuses) -> list[str]:
    """The campaigns that a touch counts for, by id."""
    return [campaign_id for campaign_id, by_route in sorted(found.items()) if why_not(traffic_class, by_route) is None]


def campaigns_json(traffic_class: TrafficClass, found: WindowStatuses) -> list[dict[str, Any]]:
    """What a touch is to each campaign that ever held or claimed what it touched."""
    out = []
    for campaign_id, by_route in sorted(found.items()):
        if (why := why_not(traffic_class, by_route)) is None:
            through = [route.name.lower() for route in Route if by_route.get(route) is WindowStatus.COUNTS]
            out.append({"campaign_id": campaign_id, "counts": True, "through": through})
        else:
            out.append({"campaign_id": campaign_id, "counts": False, "reason": why})
    return out


def why_not(traffic_class: TrafficClass, by_route: dict[Route, WindowStatus]) -> KeptOut | None:
    """Why a touch does not count for a campaign, None if it does, by what each route that applies says of it."""
    return kept_out(
        traffic_class is TrafficClass.MACHINE, traffic_class is TrafficClass.INTERNAL, by_route.get(Route.ASSET), by_route.get(Route.VIA),
        by_route.get(Route.UTM),
    )  # fmt: skip


def touch_json(touch: Any, found: WindowStatuses, by: TrafficSource, via_asset_id: str | None) -> dict[str, Any]:
    """A touch: whether it counts at all, for which campaigns, and why not for others that it has to do with."""
    traffic_class = TrafficClass(touch["traffic_class"])
    counted = traffic_class is TrafficClass.COUNTED
    told = campaigns_json(traffic_class, found)
    return {
        "event_id": touch["event_id"], "type": TouchType(touch["type"]).wire,
        "occurred_at": to_rfc3339(touch["occurred_at_us"]), "asset_id": touch["asset_id"],
        "via_asset_id": via_asset_id, "url": touch["url"],
        "session": session_name(touch["session"]), **traffic_source_json(by),
        "campaigns": [c["campaign_id"] for c in told if c["counts"]], "counted": counted,
        "reason": None if counted else traffic_class.name.lower(),
        "kept_out": [{"campaign_id": c["campaign_id"], "reason": c["reason"]} for c in told if not c["counts"]],
    }  # fmt: skip


def session_name(session: int | None) -> str | None:
    """A session's key as the wire tells it: opaque."""
    return None if session is None else f"{session & (2**64 - 1):016x}"


def traffic_source_json(by: TrafficSource) -> dict[str, str | None]:
    """Source, medium and channel."""
    return {"source": by.source, "medium": by.medium, "channel": by.channel}
