"""Sums of money of a campaign, each an item with an id of the caller's: what was spent, and what is planned.

An item is one event, whose id is made of the campaign's and the item's. A changed item is a later version of its event (rule **once**),
a deleted item is the event retracted; an item that is put again is its retractions retracted.
"""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any
from urllib.parse import quote

import msgspec

from services.ingest.catalog.calls import CallRefused, Outcome, check_new_id, existing_campaign, placed, wish
from shared.events.codec import uuid7
from shared.events.instants import BEGINNING_US, from_micros
from shared.events.limits import EVENT_ID_CHARACTERS_MAX
from shared.events.types import BudgetRecorded, Envelope, Event, EventRetracted, SpendRecorded
from shared.reading.catalog import ItemNow, asset_now, item_now
from shared.reading.snapshot import Snapshot

KINDS: Mapping[str, type[SpendRecorded] | type[BudgetRecorded]] = {"spend": SpendRecorded, "budget": BudgetRecorded}


def item_event_id(kind: str, campaign_id: str, item_id: str) -> str:
    """The id of the event that stands for an item; of long ids a digest."""
    written = f"{kind}:{quote(campaign_id, safe='')}:{quote(item_id, safe='')}"
    if len(written) <= EVENT_ID_CHARACTERS_MAX:
        return written
    return f"{kind}:{sha256(written.encode()).hexdigest()}"


async def put_item(
    snapshot: Snapshot, kind: str, campaign_id: str, item_id: str, fields: Mapping[str, Any], now_us: int
) -> Outcome:
    """Record an item, or replace it as a whole. Raises `CallRefused`."""
    await existing_campaign(snapshot, campaign_id)
    wished = wish(KINDS[kind], fields, {"campaign_id": campaign_id})
    asset_id = getattr(wished, "asset_id", None)
    if asset_id is not None and not (await asset_now(snapshot, asset_id)).registered_by:
        raise CallRefused("unknown_asset", f"there is no asset {asset_id!r}: nobody registered it", field="asset_id")
    event_id = item_event_id(kind, campaign_id, item_id)
    found = await item_now(snapshot, event_id)
    if found is not None and (type(found.event) is not KINDS[kind] or found.event.campaign_id != campaign_id):
        raise CallRefused("id_taken", f"the event {event_id!r} is another one than this item's", event=event_id)
    events: list[Event] = []
    if found is None:
        check_new_id("item_id", item_id)
    if found is not None and not found.live:
        events += [EventRetracted(id=uuid7(now_us), event_id=each.event_id) for each in found.retractions]
    if found is None or _content(found.event) != _content(wished):
        as_of_us = now_us if found is None or found.as_of_us is None else max(now_us, found.as_of_us + 1)
        events.append(msgspec.structs.replace(wished, id=event_id, as_of=from_micros(as_of_us)))
    return Outcome(event_id, events, found is None or not found.live)


def _content(event: Any) -> dict[str, Any]:
    """The fields of an event, without its envelope."""
    return {
        name: getattr(event, name) for name in type(event).__struct_fields__ if name not in Envelope.__struct_fields__
    }


async def delete_item(snapshot: Snapshot, kind: str, campaign_id: str, item_id: str, now_us: int) -> Outcome:
    """Retract an item. Raises `CallRefused`."""
    await existing_campaign(snapshot, campaign_id)
    event_id = item_event_id(kind, campaign_id, item_id)
    found: ItemNow | None = await item_now(snapshot, event_id)
    if found is None:
        raise CallRefused("unknown_item", f"the campaign {campaign_id!r} has no such item {item_id!r}")
    if not found.live and found.retractions:
        return Outcome(found.retractions[-1].event_id)
    event = placed(EventRetracted(event_id=event_id), now_us, BEGINNING_US)
    return Outcome(event.id, [event])
