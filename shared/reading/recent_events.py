"""Which events arrived last, and what does each count for?"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.events.instants import to_rfc3339
from shared.projection.sql import owned, sql
from shared.reading.described_touches import named_contacts, touched_assets
from shared.reading.snapshot import Snapshot
from shared.reading.touches import counting, window_statuses
from shared.rules.excluded_traffic import TrafficClass
from shared.rules.influence import TouchType
from shared.rules.keys import event_key

NEWEST = sql("""
SELECT event_key, occurred_at_us, place, is_touch, live, log_offset FROM {g}.event_index
WHERE ws = $1 AND log_offset >= $2 AND log_offset < $3 ORDER BY log_offset DESC LIMIT $4
""")
TOUCHES = sql(f"""
SELECT t.*, c.contact AS owner, c.name AS contact_name FROM unnest($2::bigint[], $3::bigint[]) u(person, at_us)
JOIN {{g}}.touch t ON t.ws = $1 AND t.person = u.person AND t.occurred_at_us = u.at_us
LEFT JOIN {{g}}.identity_interval o ON o.ws = $1 AND o.person = t.person
    AND {owned()}
LEFT JOIN {{g}}.contact c ON c.ws = $1 AND c.contact = o.contact
""")  # the touches of persons at instants, each with the name of the contact that owns it
ENTITY_EVENTS = sql("""
SELECT e.event_id, e.type FROM unnest($2::bigint[], $3::bigint[]) u(subject, at_us)
JOIN {g}.entity_event e ON e.ws = $1 AND e.subject = u.subject AND e.occurred_at_us = u.at_us
""")


@dataclass(slots=True)
class RecentEvent:
    """An event, and what it counts for. `reason` says why it does not count; `offset` is its place in the log."""

    offset: int
    event_id: str
    type: str
    occurred_at_us: int
    counted: bool
    reason: str | None
    contact: str | None = None
    asset_id: str | None = None
    url: str | None = None
    campaigns: list[str] = field(default_factory=list)
    name: str | None = None
    email: str | None = None
    asset: dict[str, Any] | None = None

    def as_json(self) -> dict[str, Any]:
        """The item as it stands in answers."""
        return {
            "event_id": self.event_id, "type": self.type, "occurred_at": to_rfc3339(self.occurred_at_us),
            "contact": self.contact, "asset_id": self.asset_id, "url": self.url, "campaigns": self.campaigns,
            "counted": self.counted, "reason": self.reason, "name": self.name, "email": self.email, "asset": self.asset,
        }  # fmt: skip


async def recent_events(snapshot: Snapshot, since: int, before: int, limit: int) -> list[RecentEvent]:
    """At most `limit` events of the log's offsets `[since, before)`, the latest first."""
    rows = await snapshot.fetch(NEWEST, since, before, limit)
    touches = await _by_key(snapshot, TOUCHES, [row for row in rows if row["is_touch"]])
    others = await _by_key(snapshot, ENTITY_EVENTS, [row for row in rows if not row["is_touch"]])
    ordered = list(touches.values())
    statuses = await window_statuses(snapshot, ordered)
    campaigns = {key: statuses[n] for n, key in enumerate(touches)}
    assets = dict(zip(touches, await touched_assets(snapshot, ordered), strict=True))
    who = await named_contacts(snapshot, {touch["owner"] for touch in ordered if touch["owner"] is not None})
    out = []
    for row in rows:
        key, offset, live = row["event_key"], row["log_offset"], row["live"]
        if (touch := touches.get(key)) is not None:
            traffic_class = TrafficClass(touch["traffic_class"])
            counted, owner = traffic_class is TrafficClass.COUNTED, who.get(touch["owner"])
            out.append(
                RecentEvent(
                    offset, touch["event_id"], TouchType(touch["type"]).wire, touch["occurred_at_us"], counted,
                    None if counted else traffic_class.name.lower(), touch["contact_name"], touch["asset_id"], touch["url"],
                    counting(traffic_class, campaigns[key]) if counted else [],
                    owner.called if owner else None, owner.email if owner else None, assets[key],
                )
            )  # fmt: skip
        else:
            event = others[key]
            reason = None if live else TrafficClass.RETRACTED.name.lower()
            out.append(RecentEvent(offset, event["event_id"], event["type"], row["occurred_at_us"], live, reason))
    return out


async def _by_key(snapshot: Snapshot, statement: Any, indexed: Sequence[Any]) -> dict[bytes, Any]:
    """The rows of these events by the key of their id. The statement finds by place and instant, which others may share."""
    if not indexed:
        return {}
    wanted = {row["event_key"] for row in indexed}
    places = {(row["place"], row["occurred_at_us"]) for row in indexed}
    rows = await snapshot.fetch(statement, *map(list, zip(*places, strict=True)))
    return {key: row for row in rows if (key := event_key(row["event_id"])) in wanted}
