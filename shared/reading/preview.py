"""What would these events change? They are projected into the live rows by the pipeline itself, read, and rolled back.

So every rule applies as it will when the events are sent, whatever they are, and no number is estimated. Meanwhile the live projection of
the workspace's partition is held, as it is when rows change places for new settings: a preview must be short (`HELD_S`).
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from shared.events.codec import Record, encode_record
from shared.events.instants import BEGINNING_US, END_US, to_rfc3339
from shared.events.types import EventRetracted
from shared.log.port import Entry, EventLog
from shared.projection.batch import Batch, decode
from shared.projection.changes import EventsAdmitted, EventsArrived
from shared.projection.generations import Generation, live_generation
from shared.projection.order import PIPELINE
from shared.projection.pipeline import Context
from shared.projection.reprojection import settings_until_then
from shared.projection.sql import sql
from shared.projection.stages.entities.gather import read_settings
from shared.reading.catalog import AssetNow, assets_now, campaign_now, item_now
from shared.reading.overview import campaign_numbers
from shared.reading.snapshot import Snapshot, snapshot_within
from shared.reading.time_range import TimeRange
from shared.rules.keys import asset_key
from shared.sealing.log import as_stored

CAMPAIGNS_MAX = 1_000  # whose numbers are compared; where they have much traffic, `HELD_S` is reached before
PREVIEW_S = 25.0  # for all of it: the numbers before are read without holding anything
HELD_S = (
    8.0  # so long may the live projection be held: 300,000 touches take 1 to 2 s, and a busy machine several times that
)
LOCK_S = 2.0  # for a batch that is under way
MODEL = "linear"
ALL_TIME = TimeRange(BEGINNING_US, END_US)

LIMITS = f"""
SET LOCAL statement_timeout = '{HELD_S:g}s'; SET LOCAL lock_timeout = '{LOCK_S:g}s';
SET LOCAL plan_cache_mode = force_custom_plan
"""
HOLD = sql("SELECT next_offset FROM {g}.progress WHERE partition = $1 FOR UPDATE")
CAMPAIGNS = sql("SELECT campaign, campaign_id FROM {g}.campaign WHERE ws = $1 ORDER BY campaign_id LIMIT $2")
HELD = sql("""
SELECT a.asset, a.from_us, a.to_us, a.event_id, c.campaign_id
FROM {g}.association a JOIN {g}.campaign c ON c.ws = $1 AND c.campaign = a.campaign
WHERE a.ws = $1 AND a.asset = ANY($2::bigint[]) ORDER BY a.from_us, c.campaign_id
""")
IGNORED = sql("""
SELECT event_id, reason FROM {g}.ignored_association WHERE ws = $1 AND asset = ANY($2::bigint[]) AND event_id = ANY($3::text[])
""")


class Named(NamedTuple):
    """The campaigns and assets that events name, by id."""

    campaigns: frozenset[str]
    assets: frozenset[str]


class TooMuch(Exception):
    """A preview that would take too long; the message says why."""


class NotProjected(Exception):
    """One of the events cannot be projected; the message says why."""


async def preview(raw: Any, workspace: str, log: EventLog, records: Sequence[Record]) -> dict[str, Any]:
    """What the events of `records` would change, if they were accepted now: see `docs/wire.md`.

    Raises `TooMuch`, `NotProjected`, `NoGeneration`, or an error of PostgreSQL if the rows cannot be held in time. Changes nothing, except
    that the vault of a sealed store keeps the name of a person whom it did not know: rules compare pseudonyms.
    """
    transaction = raw.transaction()
    await transaction.start()
    try:
        await raw.execute(LIMITS)
        generation = await live_generation(raw)
        snapshot = await snapshot_within(raw, workspace, generation)
        entries = [
            Entry(snapshot.as_of.offset + n, workspace, value)
            for n, value in enumerate(await as_stored(log, workspace, list(map(encode_record, records))))
        ]
        batch = decode(entries)
        if unfit := [*batch.unreadable, *batch.unfit]:
            raise NotProjected(unfit[0][1])
        named = await _named(snapshot, batch)
        before = await _state(snapshot, named)
        async with asyncio.timeout(HELD_S):
            return await _changes(snapshot, generation, log, batch, named, before)
    finally:
        await transaction.rollback()


async def _changes(
    snapshot: Snapshot, generation: Generation, log: EventLog, batch: Batch, named: Named, before: dict[str, Any]
) -> dict[str, Any]:
    """Hold the live projection, project the batch, and compare with the state `before`, which is read again if it is no longer true."""
    held_offset = await snapshot.connection.fetchval(HOLD, snapshot.as_of.partition) or 0
    if held_offset != snapshot.as_of.offset:  # a batch has been projected meanwhile
        snapshot = await snapshot_within(snapshot.connection.raw, snapshot.workspace, generation)
        before = await _state(snapshot, named)
    conflicting = await _project(snapshot, log, batch)
    after = await _state(snapshot, named)
    ids = [arrived.event_id for arrived in batch.arrived[snapshot.workspace]]
    keys = [asset_key(asset_id) for asset_id in named.assets]
    idle = await snapshot.fetch(IGNORED, keys, ids)
    return {
        "campaigns": _compared(before["campaigns"], after["campaigns"], named.campaigns),
        "assets": _compared(before["assets"], after["assets"], named.assets),
        "no_effect": [
            *({"event_id": row["event_id"], "reason": row["reason"]} for row in idle),
            *({"event_id": event_id, "reason": "conflicting_duplicate"} for event_id in conflicting),
        ],
    }  # fmt: skip


async def _named(snapshot: Snapshot, batch: Batch) -> Named:
    """What the events of a batch are about, and those events that they retract."""
    events: list[Any] = [arrived.event for arrived in batch.arrived[snapshot.workspace]]
    targets = [event.event_id for event in events if isinstance(event, EventRetracted)]
    events += [item.event for target in targets if (item := await item_now(snapshot, target)) is not None]
    ids = [(getattr(event, "campaign_id", None), getattr(event, "asset_id", None)) for event in events]
    return Named(frozenset(c for c, _ in ids if c is not None), frozenset(a for _, a in ids if a is not None))


async def _project(snapshot: Snapshot, log: EventLog, batch: Batch) -> list[str]:
    """Run the pipeline on a batch of the snapshot's workspace; answers the ids of events that lose to others with their id."""
    connection, ws = snapshot.connection, snapshot.ws
    settings = await settings_until_then(connection, ws) or await read_settings(connection, ws)
    context = Context(connection, ws, settings, log=log, partition=snapshot.as_of.partition)
    arrived = EventsArrived(tuple(batch.arrived[snapshot.workspace]), batch.readings.get(snapshot.workspace, {}))
    changes = await PIPELINE.run(context, [arrived])
    return [loser.event_id for loser in changes.of(EventsAdmitted).losers]


async def _state(snapshot: Snapshot, named: Named) -> dict[str, dict[str, Any]]:
    """All campaigns with their numbers, and the assets that are named, each as an answer shows it."""
    rows = await snapshot.fetch(CAMPAIGNS, CAMPAIGNS_MAX + 1)
    if len(rows) > CAMPAIGNS_MAX:
        raise TooMuch(f"the workspace has more than {CAMPAIGNS_MAX} campaigns, whose numbers would all be compared")
    numbers = await campaign_numbers(snapshot, {row["campaign"]: row["campaign_id"] for row in rows}, ALL_TIME, MODEL)
    campaigns: dict[str, dict[str, Any]] = {
        row["campaign_id"]: {"metrics": numbers[row["campaign"]].metrics()} for row in rows
    }
    for campaign_id in named.campaigns & campaigns.keys():
        campaigns[campaign_id] |= await _campaign(snapshot, campaign_id)
    found = await assets_now(snapshot, named.assets)
    held: dict[int, list[dict[str, Any]]] = {}
    for row in await snapshot.fetch(HELD, [asset_key(asset_id) for asset_id in named.assets]):
        to = None if row["to_us"] == END_US else to_rfc3339(row["to_us"])
        interval = {"campaign_id": row["campaign_id"], "from": to_rfc3339(row["from_us"]), "to": to}
        held.setdefault(row["asset"], []).append({**interval, "event_id": row["event_id"]})
    assets = {id_: _asset(now, held.get(asset_key(id_), [])) for id_, now in found.items()}
    return {"campaigns": campaigns, "assets": assets}


async def _campaign(snapshot: Snapshot, campaign_id: str) -> dict[str, Any]:
    now = await campaign_now(snapshot, campaign_id)
    return {"created": now.told_by is not None, "deleted": now.deleted_by is not None, **_texts(now.said)}


def _asset(now: AssetNow, held: list[dict[str, Any]]) -> dict[str, Any]:
    return {"registered": bool(now.registered_by), **_texts(now.said), "held": held}


def _texts(said: Mapping[str, Any]) -> dict[str, Any]:
    """Fields as texts; dates as `2024-01-31`, goals as they are."""
    return {name: value if isinstance(value, dict) else str(value) for name, value in said.items()}


def _compared(before: Mapping[str, Any], after: Mapping[str, Any], named: frozenset[str]) -> list[dict[str, Any]]:
    """Those that differ and those that are named, each with both states (None: it is not there) and the metrics that differ."""
    out = []
    for id_ in sorted({*before, *after}):
        was, now = before.get(id_), after.get(id_)
        if was == now and id_ not in named:
            continue
        old, new = (was or {}).get("metrics", {}), (now or {}).get("metrics", {})
        metrics = {
            name: {"before": old.get(name), "after": new.get(name)}
            for name in sorted({*old, *new}) if old.get(name) != new.get(name)
        }  # fmt: skip
        without = [None if each is None else {k: v for k, v in each.items() if k != "metrics"} for each in (was, now)]
        one = {"id": id_, "before": without[0], "after": without[1]}
        out.append({**one, "metrics": metrics} if old or new else one)
    return out
