"""What is a touch to campaigns, what brought it, and how do answers name it?"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

from shared.projection.credit_sums import source_of_visit
from shared.projection.sql import sql
from shared.reading.attribution import WINDOW_STATUSES
from shared.reading.snapshot import Snapshot
from shared.recognition.referrers import site
from shared.rules.channel import Ad, TrafficSource, of_touch
from shared.rules.excluded_traffic import TrafficClass
from shared.rules.influence import TouchType
from shared.rules.pre_association import Route, WindowStatus, kept_out

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
""")  # the asset of the link that each touch came by
ADS = sql("SELECT asset, asset_type, network, ad_type FROM {g}.asset WHERE ws = $1 AND asset = ANY($2::bigint[])")

WindowStatuses = dict[str, dict[Route, WindowStatus]]
"""What a touch is to campaigns, by the campaign's id and by route."""

_BY_COLUMN = {Route.ASSET: "by_asset", Route.VIA: "by_via", Route.UTM: "by_utm"}


class RouteStatus(NamedTuple):
    """What a touch is to a campaign by one route: the status, and the keys of the campaign and of what was touched.

    `asset` is the key of the asset that the touched thing belongs to, None for a utm value.
    """

    window_status: WindowStatus
    campaign: int
    key: int
    asset: int | None


async def route_statuses(snapshot: Snapshot, touches: Sequence[Any]) -> dict[int, dict[str, dict[Route, RouteStatus]]]:
    """What each touch is to each campaign that ever held or claimed what it touched.

    By the touch's place in the list, the campaign's id, and the route.
    """
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
    out: dict[int, dict[str, dict[Route, RouteStatus]]] = defaultdict(lambda: defaultdict(dict))
    if asked:
        for row in await snapshot.fetch(WINDOW_STATUSES, *map(list, zip(*asked, strict=True))):
            route_status = RouteStatus(WindowStatus(row["window_status"]), row["campaign"], row["key"], row["asset"])
            out[row["n"]][row["campaign_id"]][Route(row["route"])] = route_status
    return out


def window_statuses_of(by_route: dict[Route, RouteStatus]) -> dict[Route, WindowStatus]:
    """The statuses alone, without their keys."""
    return {route: found.window_status for route, found in by_route.items()}


def statuses_by_route(row: Any) -> dict[Route, WindowStatus]:
    """What a touch is to a campaign, of a row with the columns `by_asset`, `by_via` and `by_utm`; a route that is null is left out."""
    return {route: WindowStatus(row[column]) for route, column in _BY_COLUMN.items() if row[column] is not None}


async def window_statuses(snapshot: Snapshot, touches: Sequence[Any]) -> dict[int, WindowStatuses]:
    """As `route_statuses`, without the keys; every touch of the list has an entry."""
    by_touch = await route_statuses(snapshot, touches)
    return {n: {c: window_statuses_of(by_route) for c, by_route in by_touch[n].items()} for n in range(len(touches))}


async def traffic_sources(snapshot: Snapshot, touches: Sequence[Any]) -> list[TrafficSource]:
    """What brought each touch to the site or asset (rule **channel**)."""
    others = [(n, t) for n, t in enumerate(touches) if t["type"] != TouchType.PAGE_VISITED]
    in_session = [(n, t["person"], t["session"], t["session_at_us"]) for n, t in others if t["session"] is not None]
    sessions: dict[int, TrafficSource] = {}
    if in_session:
        for row in await snapshot.fetch(FIRST_PAGES, *map(list, zip(*in_session, strict=True))):
            sessions[row["n"]] = source_of_visit(row, snapshot.settings.referrers)
    asset_or_page_keys = list({t["asset_or_page_key"] for _, t in others if t["asset_or_page_key"] is not None})
    rows = await snapshot.fetch(ADS, asset_or_page_keys) if asset_or_page_keys else []
    ads = {row["asset"]: Ad(row["asset_type"], row["network"], row["ad_type"]) for row in rows}
    return [
        source_of_visit(t, snapshot.settings.referrers) if t["type"] == TouchType.PAGE_VISITED
        else of_touch(TouchType(t["type"]), ads.get(t["asset_or_page_key"], Ad()), sessions.get(n), site)
        for n, t in enumerate(touches)
    ]  # fmt: skip


async def via_assets(snapshot: Snapshot, touches: Sequence[Any]) -> list[str | None]:
    """The id of the asset that each touch came by: the one that it names, else the one whose link it came by; None if there is none."""
    asset_ids = {n: touch["via_asset_id"] for n, touch in enumerate(touches)}
    asked = [
        (n, touch["via"], touch["occurred_at_us"])
        for n, touch in enumerate(touches)
        if touch["via"] is not None and touch["via_asset_id"] is None
    ]
    if asked:
        rows = await snapshot.fetch(LINKS, *map(list, zip(*asked, strict=True)))
        asset_ids |= {row["n"]: row["asset_id"] for row in rows}
    return [asset_ids[n] for n in range(len(touches))]


def counting(traffic_class: TrafficClass, statuses: WindowStatuses) -> list[str]:
    """The ids of the campaigns that a touch counts for, in order."""
    return [
        campaign_id for campaign_id, by_route in sorted(statuses.items()) if kept_out(traffic_class, by_route) is None
    ]


def campaigns_of_touch(traffic_class: TrafficClass, statuses: WindowStatuses) -> list[dict[str, Any]]:
    """Whether a touch counts for each campaign that ever held or claimed what it touched, and through which routes or why not."""
    out = []
    for campaign_id, by_route in sorted(statuses.items()):
        if (why := kept_out(traffic_class, by_route)) is None:
            through = [route.name.lower() for route in Route if by_route.get(route) is WindowStatus.COUNTS]
            out.append({"campaign_id": campaign_id, "counts": True, "through": through})
        else:
            out.append({"campaign_id": campaign_id, "counts": False, "reason": why})
    return out


def session_name(session: int | None) -> str | None:
    """A session's name in answers: the same for all touches of the session, and without a meaning."""
    return None if session is None else f"{session & (2**64 - 1):016x}"


def traffic_source_fields(by: TrafficSource) -> dict[str, str | None]:
    """Source, medium and channel as answers name them."""
    return {"source": by.source, "medium": by.medium, "channel": by.channel}
