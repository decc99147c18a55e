"""What does an item of a list of touches have: who it was, what was touched, what brought it, and the campaigns for which it counts?"""

from collections.abc import Sequence
from typing import Any

from shared.events.instants import to_rfc3339
from shared.reading.described_touches import named_contacts, owned_touches, touched_assets
from shared.reading.snapshot import Snapshot
from shared.reading.touches import (
    counting,
    session_name,
    traffic_source_fields,
    traffic_sources,
    via_assets,
    window_statuses,
)
from shared.rules.excluded_traffic import TrafficClass
from shared.rules.influence import TouchType
from shared.rules.page import parse


async def touch_items(snapshot: Snapshot, places: Sequence[Any]) -> list[dict[str, Any]]:
    """The touches at `places` (rows with person, occurred_at_us and event_id) as items of answers, in their order.

    `contact` is null for an anonymous visitor; `touches` is for how many touches the event stands; `campaigns` are those that it counts for.
    """
    rows = await owned_touches(snapshot, places)
    who = await named_contacts(snapshot, {row["contact"] for row in rows if row["contact"] is not None})
    statuses, by = await window_statuses(snapshot, rows), await traffic_sources(snapshot, rows)
    via, assets = await via_assets(snapshot, rows), await touched_assets(snapshot, rows)
    out = []
    for n, row in enumerate(rows):
        owner = who.get(row["contact"])
        utm = None if row["utm"] is None else parse(row["url"] or "", row["utm_told"] or "").campaign
        out.append(
            {
                "event_id": row["event_id"], "type": TouchType(row["type"]).wire, "occurred_at": to_rfc3339(row["occurred_at_us"]),
                "touches": row["count"], "session": session_name(row["session"]),
                "contact": None if owner is None else owner.name, "name": None if owner is None else owner.called,
                "email": None if owner is None else owner.email, "asset": assets[n], "via_asset_id": via[n], "url": row["url"],
                "utm_campaign": utm, **traffic_source_fields(by[n]),
                "campaigns": counting(TrafficClass(row["traffic_class"]), statuses[n]),
            }
        )  # fmt: skip
    return out
