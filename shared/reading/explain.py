"""Why does an event count for a campaign, or not? Answered by the rules that decided it."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

from shared.events.instants import END_US, to_rfc3339
from shared.events.registry import names_like
from shared.events.types import AssetAssociated
from shared.projection.sql import sql
from shared.reading.described_touches import named_contacts, touches_in_campaigns
from shared.reading.sentences import LocalTime, NamedContact
from shared.reading.snapshot import NotFound, Snapshot
from shared.reading.touches import (
    campaigns_of_touch,
    route_statuses,
    session_name,
    traffic_source_fields,
    traffic_sources,
    via_assets,
    window_statuses_of,
)
from shared.rules.excluded_traffic import FLAGGED_MACHINE, FLAGGED_SCANNER, TrafficClass
from shared.rules.influence import DEAL_TOUCHES, INFLUENCING, REVENUE_TOUCHES, TouchType
from shared.rules.keys import event_key
from shared.rules.reassociation import Held, cta_clicks_stay, former_asset_keeps, keepers

INDEXED = sql(
    "SELECT occurred_at_us, place, is_touch, live, as_of_us FROM {g}.event_index WHERE ws = $1 AND event_key = $2"
)
TOUCH = sql("SELECT * FROM {g}.touch WHERE ws = $1 AND person = $2 AND occurred_at_us = $3 AND event_id = $4")
ENTITY_EVENT = sql(
    "SELECT type, object FROM {g}.entity_event WHERE ws = $1 AND subject = $2 AND occurred_at_us = $3 AND event_id = $4"
)
OWNER = sql("""
SELECT c.contact FROM {g}.identity_interval o JOIN {g}.contact c ON c.ws = $1 AND c.contact = o.contact
WHERE o.ws = $1 AND o.person = $2 AND (o.from_us, o.from_event) <= ($3::bigint, $4 COLLATE "C")
    AND (o.to_us, o.to_event) > ($3::bigint, $4 COLLATE "C")
""")
RETRACTED_BY = sql(
    "SELECT event_id FROM {g}.retraction WHERE ws = $1 AND target = $2 ORDER BY occurred_at_us, event_id"
)
LIVE = sql("SELECT event_key FROM {g}.event_index WHERE ws = $1 AND event_key = ANY($2::bytea[]) AND live")
IGNORED_ASSOCIATIONS = sql("""
SELECT reason FROM {g}.ignored_association WHERE ws = $1 AND asset = $2 AND campaign = $3 AND occurred_at_us = $4 AND event_id = $5
""")
CAMPAIGN_NAMES = sql("SELECT campaign_id, name FROM {g}.campaign WHERE ws = $1 AND campaign = ANY($2::bigint[])")
CAMPAIGN_ID = sql("SELECT campaign_id FROM {g}.campaign WHERE ws = $1 AND campaign = $2")
DEAD_LETTERS = """
SELECT d.reason, d.detail FROM touchline.dead_letter d
WHERE d.workspace_id = $1 AND d.event_id = $2 ORDER BY d.dead_letter_id DESC
"""
HOLDERS = sql("""
WITH touched(asset) AS (
    SELECT asset FROM {g}.address WHERE ws = $1 AND page IN ($2, $3) AND $4 >= from_us AND $4 < to_us
    UNION SELECT unnest(ARRAY[$2::bigint, $3::bigint])
)
SELECT t.asset, s.asset_id, c.campaign_id, c.campaign, a.from_us, a.to_us
FROM touched t JOIN {g}.association a ON a.ws = $1 AND a.asset = t.asset
JOIN {g}.asset s ON s.ws = $1 AND s.asset = t.asset
JOIN {g}.campaign c ON c.ws = $1 AND c.campaign = a.campaign
ORDER BY s.asset_id, c.campaign_id, a.from_us
""")  # every time in which a campaign held what was touched ($2 its asset or page, $3 what brought the visit, $4 the instant)
ASSOCIATION_TYPES = names_like(AssetAssociated)
INFLUENCE = (("influencing", INFLUENCING), ("deal_touch", DEAL_TOUCHES), ("revenue_touch", REVENUE_TOUCHES))


class EventState(NamedTuple):
    """Whether an event is in the set, and the retractions that take it out of it now, in order."""

    live: bool
    retracted_by: Sequence[str]


async def event_state(snapshot: Snapshot, event_id: str) -> EventState | None:
    """What became of an event of any type; None if none of this id was projected."""
    indexed = await snapshot.fetchrow(INDEXED, event_key(event_id))
    if indexed is None:
        return None
    return EventState(indexed["live"], [] if indexed["live"] else await _retracted_by(snapshot, event_id))


async def explain_event(snapshot: Snapshot, event_id: str) -> dict[str, Any]:
    """What an event counted for, in which campaigns, and why not in others: the answer of `/v1/events/{id}/explain`.

    Raises `NotFound` for an event that never arrived.
    """
    letters = await snapshot.connection.raw.fetch(DEAD_LETTERS, snapshot.workspace, event_id)
    indexed = await snapshot.fetchrow(INDEXED, event_key(event_id))
    if indexed is None:
        if not letters:
            raise NotFound("event", event_id)
        return {
            "event_id": event_id, "type": None, "occurred_at": None, "contact": None, "counted": False,
            "reason": letters[0]["reason"], "detail": letters[0]["detail"], "campaigns": [],
        }  # fmt: skip
    place = (indexed["place"], indexed["occurred_at_us"], event_id)
    out = await (_touch(snapshot, place) if indexed["is_touch"] else _entity_event(snapshot, place))
    if not indexed["live"]:
        out |= {"counted": False, "reason": TrafficClass.RETRACTED.name.lower(), "campaigns": [],
                "retracted_by": await _retracted_by(snapshot, event_id)}  # fmt: skip
    lost = sum(letter["reason"] == "conflicting_duplicate" for letter in letters)
    version_as_of = None if indexed["as_of_us"] is None else to_rfc3339(indexed["as_of_us"])
    return {**out, "version_as_of": version_as_of, "conflicting_duplicates": lost}


async def _retracted_by(snapshot: Snapshot, event_id: str) -> list[str]:
    retractions = [row["event_id"] for row in await snapshot.fetch(RETRACTED_BY, event_id)]
    live = {row["event_key"] for row in await snapshot.fetch(LIVE, [event_key(by) for by in retractions])}
    return [by for by in retractions if event_key(by) in live]


async def _touch(snapshot: Snapshot, place: tuple[int, int, str]) -> dict[str, Any]:
    touch = await snapshot.fetchrow(TOUCH, *place)
    traffic_class, type_ = TrafficClass(touch["traffic_class"]), TouchType(touch["type"])
    owner = await snapshot.fetchrow(OWNER, *place)
    (by,) = await traffic_sources(snapshot, [touch])
    (via_asset_id,) = await via_assets(snapshot, [touch])
    counted = traffic_class is TrafficClass.COUNTED
    who = (await named_contacts(snapshot, [owner["contact"]]))[owner["contact"]] if owner else None
    return {
        "event_id": place[2], "type": type_.wire, "occurred_at": to_rfc3339(place[1]),
        "contact": who.name if who else None, "name": who.called if who else None, "email": who.email if who else None, "counted": counted,
        "reason": None if counted else traffic_class.name.lower(),
        "machine_by": _machine_by(touch["flags"]) if traffic_class is TrafficClass.MACHINE else None,
        "campaigns": [] if traffic_class is TrafficClass.RETRACTED else await _campaigns(snapshot, touch, who),
        "asset_id": touch["asset_id"], "via_asset_id": via_asset_id,
        "session": session_name(touch["session"]), **traffic_source_fields(by),
        "influence": [name for name, types in INFLUENCE if counted and type_ in types],
        "sections": await _sections(snapshot, touch, type_) if counted else [],
    }  # fmt: skip


def _machine_by(flags: int) -> str:
    """What says that a machine made a touch: the event itself, the clicks around it in one mail, or its user agent."""
    if flags & FLAGGED_MACHINE:
        return "event"
    return "mail_scanner" if flags & FLAGGED_SCANNER else "user_agent"


async def _campaigns(snapshot: Snapshot, touch: Any, who: NamedContact | None) -> list[dict[str, Any]]:
    """Whether a touch counts for each campaign that ever held or claimed what it touched, each with a sentence that says why."""
    statuses = (await route_statuses(snapshot, [touch]))[0]
    (in_campaigns,) = await touches_in_campaigns(snapshot, [touch], [who])
    campaigns = {by.campaign for by_route in statuses.values() for by in by_route.values()}
    names = {r["campaign_id"]: r["name"] for r in await snapshot.fetch(CAMPAIGN_NAMES, list(campaigns))}
    clock = LocalTime(snapshot.zone)
    return [
        {
            **one,
            "says": in_campaigns[one["campaign_id"]].sentence(clock, names[one["campaign_id"]] or one["campaign_id"]),
        }
        for one in campaigns_of_touch(
            TrafficClass(touch["traffic_class"]), {c: window_statuses_of(by_route) for c, by_route in statuses.items()}
        )
    ]


async def _sections(snapshot: Snapshot, touch: Any, type_: TouchType) -> list[dict[str, Any]]:
    """In which campaigns' asset sections the touch is shown, and why not where a campaign has the asset and does not show it."""
    rows = await snapshot.fetch(HOLDERS, touch["asset_or_page_key"], touch["via"], touch["occurred_at_us"])
    held: dict[int, list[Held]] = defaultdict(list)
    for row in rows:
        held[row["asset"]].append(Held(row["campaign"], row["from_us"], row["to_us"]))
    kept_by = {asset: keepers(spans, touch["occurred_at_us"]) for asset, spans in held.items()}
    out = []
    for row in {(row["asset"], row["campaign"]): row for row in rows}.values():  # the last time of each
        now = row["to_us"] == END_US
        if now:
            why = cta_clicks_stay(type_, kept_by[row["asset"]], row["campaign"])
        elif former_asset_keeps(type_, kept_by[row["asset"]], row["campaign"]):
            why = None
        else:
            continue
        out.append(
            {"campaign_id": row["campaign_id"], "asset_id": row["asset_id"], "former": not now, "shown": why is None,
             "reason": why}
        )  # fmt: skip
    return out


async def _entity_event(snapshot: Snapshot, place: tuple[int, int, str]) -> dict[str, Any]:
    row = await snapshot.fetchrow(ENTITY_EVENT, *place)
    answer = {
        "event_id": place[2], "type": row["type"], "occurred_at": to_rfc3339(place[1]), "contact": None, "counted": True,
        "reason": None, "campaigns": [],
    }  # fmt: skip
    if row["type"] in ASSOCIATION_TYPES:
        why = await snapshot.connection.fetchval(
            IGNORED_ASSOCIATIONS, snapshot.ws, place[0], row["object"], place[1], place[2]
        )
        campaign_id = await snapshot.connection.fetchval(CAMPAIGN_ID, snapshot.ws, row["object"])
        answer |= {"counted": why is None, "reason": why, "campaign_id": campaign_id}
    return answer
