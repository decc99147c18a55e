"""What would these events change? They are projected into the live rows by the pipeline itself, read, and rolled back.

So every rule applies as it will when the events are sent, whatever they are, and no number is estimated. Meanwhile the live projection of
the workspace's partition is held, as it is when rows change places for new settings: a preview must be short (`HELD_S`).

If events change the catalog alone, the numbers of few campaigns can change: of those whose windows change, and of those with which they
share a touch of a won deal. Only these are read (`_of_catalog`). Otherwise the deals of all campaigns are read, and the touches of those
whose days of digests the events leave to be made again (`_of_all`): what digests still say has not changed.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from shared.events.codec import Record, encode_record
from shared.events.instants import BEGINNING_US, END_US, to_rfc3339
from shared.events.money import to_money
from shared.events.types import (
    AssetAssociated,
    AssetRegistered,
    BudgetRecorded,
    CampaignCreated,
    CampaignDeleted,
    EventRetracted,
    SpendRecorded,
)
from shared.log.port import Entry, EventLog
from shared.projection.batch import Batch, decode
from shared.projection.changes import (
    CatalogChanged,
    Changes,
    ContactsChanged,
    DealsChanged,
    EventsAdmitted,
    EventsArrived,
    IdentifiersMentioned,
    IdentityChanged,
    SessionsChanged,
    TouchesAdded,
    TouchesRemoved,
    TrafficChanged,
    VisitorsChanged,
)
from shared.projection.generations import Generation, live_generation
from shared.projection.pipeline import Context
from shared.projection.reprojection import settings_until_then
from shared.projection.sql import sql
from shared.projection.stage_order import PIPELINE
from shared.projection.stages.entities.gather import read_settings
from shared.reading.campaign_deals import deal_numbers
from shared.reading.campaigns import campaign_row, spent_minor
from shared.reading.catalog import AssetNow, assets_now, campaign_now, item_now
from shared.reading.cells import campaigns_with_stale_days
from shared.reading.overview import TOUCH_METRICS, campaign_numbers, money_by_currency
from shared.reading.shares import shares
from shared.reading.snapshot import Snapshot, snapshot_within
from shared.reading.time_range import TimeRange
from shared.rules.keys import asset_key, campaign_key
from shared.sealing.log import as_stored

CAMPAIGNS_MAX = 1_000  # whose numbers are compared; if they have much traffic, `HELD_S` ends the preview earlier
PREVIEW_S = 25.0  # for the whole preview. It first waits for a batch that is being projected, and may have to project its events twice
# The live projection is held at most so long. A preview with 300,000 touches takes 1 to 2 s, on a busy machine several times that.
HELD_S = 8.0
LOCK_S = 2.0  # for a batch that is under way
MODEL = "linear"
ALL_TIME = TimeRange(BEGINNING_US, END_US)

LIMITS = f"""
SET LOCAL statement_timeout = '{HELD_S:g}s'; SET LOCAL lock_timeout = '{LOCK_S:g}s';
SET LOCAL plan_cache_mode = force_custom_plan
"""
HOLD = sql("SELECT next_offset FROM {g}.progress WHERE partition = $1 FOR UPDATE")
CAMPAIGNS = sql("""
SELECT campaign, campaign_id FROM {g}.campaign WHERE ws = $1 AND ($3::bigint[] IS NULL OR campaign = ANY($3))
ORDER BY campaign_id LIMIT $2
""")
HELD = sql("""
SELECT a.asset, a.from_us, a.to_us, a.event_id, c.campaign_id
FROM {g}.association a JOIN {g}.campaign c ON c.ws = $1 AND c.campaign = a.campaign
WHERE a.ws = $1 AND a.asset = ANY($2::bigint[]) ORDER BY a.from_us, c.campaign_id
""")
IGNORED = sql("""
SELECT event_id, reason FROM {g}.ignored_association WHERE ws = $1 AND asset = ANY($2::bigint[]) AND event_id = ANY($3::text[])
""")


OF_CATALOG = (CampaignCreated, CampaignDeleted, AssetRegistered, AssetAssociated, SpendRecorded, BudgetRecorded)
"""What changes no row of a touch, person or deal."""
BEYOND_CATALOG = (
    TouchesAdded, TouchesRemoved, VisitorsChanged, IdentifiersMentioned, IdentityChanged, TrafficChanged, SessionsChanged,
    ContactsChanged, DealsChanged,
)  # fmt: skip
"""Changes after which the numbers of any campaign may be others."""


class Subjects(NamedTuple):
    """The campaigns and assets that events name, by id; and whether all events are of the catalog, and so are those that they retract."""

    campaigns: frozenset[str]
    assets: frozenset[str]
    of_catalog: bool


class Projected(NamedTuple):
    """What the pipeline did with the events: its changes, and the ids of events that lose to others with their id."""

    changes: Changes
    conflicting: Sequence[str]

    @property
    def campaigns(self) -> frozenset[int] | None:
        """The keys of the campaigns whose windows have changed; None if more than the catalog has changed."""
        if self.changes.settings() is not None or any(self.changes.of(kind) != kind() for kind in BEYOND_CATALOG):
            return None
        return self.changes.of(CatalogChanged).campaigns


class ComparedCampaigns(NamedTuple):
    """Keys of campaigns whose numbers are compared: `whole` in all numbers, `earning` in what they earned alone."""

    whole: frozenset[int]
    earning: frozenset[int]


class CountedCampaigns(NamedTuple):
    """The keys of the campaigns whose touches are counted (None: of all); of all campaigns deals and what they earned are compared."""

    campaigns: frozenset[int] | None


class States(NamedTuple):
    """The state before and after the events, and the ids of those that lose to others with their id."""

    before: dict[str, Any]
    after: dict[str, Any]
    conflicting: Sequence[str]
    idle: Sequence[Any]


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
        states = None
        if named.of_catalog:
            holding = raw.transaction()  # a savepoint: rolled back, it holds nothing any more
            await holding.start()
            async with asyncio.timeout(HELD_S):
                states = await _of_catalog(await _held(snapshot, generation), log, batch, named)
            await holding.rollback()
        if states is None:
            before = None
            if (
                await campaigns_with_stale_days(snapshot) is None
            ):  # every touch is counted: that takes long, so nothing is held
                before = await _state(snapshot, named, CountedCampaigns(None))
            async with asyncio.timeout(HELD_S):
                held = await _held(snapshot, generation)
                states = await _of_all(held, log, batch, named, before if held is snapshot else None)
        return _answer(states, named)
    finally:
        await transaction.rollback()


async def _held(snapshot: Snapshot, generation: Generation) -> Snapshot:
    """Hold the live projection; the snapshot as it is now, which is another one if a batch has been projected meanwhile."""
    held_offset = await snapshot.connection.fetchval(HOLD, snapshot.as_of.partition) or 0
    if held_offset == snapshot.as_of.offset:
        return snapshot
    return await snapshot_within(snapshot.connection.raw, snapshot.workspace, generation)


async def _of_all(
    held: Snapshot, log: EventLog, batch: Batch, named: Subjects, before: dict[str, Any] | None
) -> States:
    """Project the batch while the live projection is held; and the state of all campaigns with it, and without it if `before` is None."""
    savepoint = held.connection.raw.transaction()
    await savepoint.start()
    projected = await _project(held, log, batch)
    of = CountedCampaigns(await campaigns_with_stale_days(held))
    after, idle = await _state(held, named, of), await _idle(held, batch, named)
    await savepoint.rollback()
    if before is None:
        before = await _state(held, named, of)
    return States(before, after, projected.conflicting, idle)


async def _of_catalog(held: Snapshot, log: EventLog, batch: Batch, named: Subjects) -> States | None:
    """As `_of_all`, of the campaigns whose numbers can change; None if it turns out that those of any campaign can."""
    raw = held.connection.raw
    shared_before: frozenset[int] = frozenset()
    while True:  # twice at most: what shared a touch before is the same the second time
        savepoint = raw.transaction()
        await savepoint.start()
        projected = await _project(held, log, batch)
        if projected.campaigns is None:
            await savepoint.rollback()
            return None
        whole = projected.campaigns | frozenset(map(campaign_key, named.campaigns))
        of = ComparedCampaigns(whole, (shared_before | await _sharing(held, projected.campaigns)) - whole)
        after, idle = await _state(held, named, of), await _idle(held, batch, named)
        await savepoint.rollback()
        shared_before = await _sharing(held, projected.campaigns)
        if shared_before <= of.whole | of.earning:
            return States(await _state(held, named, of), after, projected.conflicting, idle)


async def _sharing(snapshot: Snapshot, campaigns: frozenset[int]) -> frozenset[int]:
    """The keys of the campaigns for which a touch of a won deal counts that counts for one of `campaigns`, too: they share what it earned."""
    if not campaigns:
        return frozenset()
    won_shares = await shares(snapshot, ALL_TIME, MODEL, campaigns)
    return frozenset(campaign_key(campaign_id) for share in won_shares for campaign_id, _ in share.parts)


async def _idle(snapshot: Snapshot, batch: Batch, named: Subjects) -> list[Any]:
    """The events of the batch that were ignored, with the reasons."""
    ids = [arrived.event_id for arrived in batch.arrived[snapshot.workspace]]
    return await snapshot.fetch(IGNORED, [asset_key(asset_id) for asset_id in named.assets], ids)


def _answer(states: States, named: Subjects) -> dict[str, Any]:
    before, after = states.before, states.after
    return {
        "campaigns": _compared(before["campaigns"], after["campaigns"], named.campaigns),
        "assets": _compared(before["assets"], after["assets"], named.assets),
        "no_effect": [
            *({"event_id": row["event_id"], "reason": row["reason"]} for row in states.idle),
            *({"event_id": event_id, "reason": "conflicting_duplicate"} for event_id in states.conflicting),
        ],
    }  # fmt: skip


async def _named(snapshot: Snapshot, batch: Batch) -> Subjects:
    """What the events of a batch are about, and those events that they retract."""
    events: list[Any] = [arrived.event for arrived in batch.arrived[snapshot.workspace]]
    retracted = [await item_now(snapshot, event.event_id) for event in events if isinstance(event, EventRetracted)]
    of_catalog = None not in retracted and all(isinstance(event, (*OF_CATALOG, EventRetracted)) for event in events)
    events += [item.event for item in retracted if item is not None]
    of_catalog = of_catalog and all(isinstance(item.event, OF_CATALOG) for item in retracted if item is not None)
    ids = [(getattr(event, "campaign_id", None), getattr(event, "asset_id", None)) for event in events]
    campaigns = {campaign_id for campaign_id, _ in ids if campaign_id is not None}
    assets = {asset_id for _, asset_id in ids if asset_id is not None}
    return Subjects(frozenset(campaigns), frozenset(assets), of_catalog)


async def _project(snapshot: Snapshot, log: EventLog, batch: Batch) -> Projected:
    """Run the pipeline on a batch of the snapshot's workspace."""
    connection, ws = snapshot.connection, snapshot.ws
    settings = await settings_until_then(connection, ws) or await read_settings(connection, ws)
    context = Context(connection, ws, settings, log=log, partition=snapshot.as_of.partition)
    arrived = EventsArrived(tuple(batch.arrived[snapshot.workspace]), batch.readings.get(snapshot.workspace, {}))
    changes = await PIPELINE.run(context, [arrived])
    return Projected(changes, [loser.event_id for loser in changes.of(EventsAdmitted).losers])


async def _state(
    snapshot: Snapshot, named: Subjects, of: ComparedCampaigns | CountedCampaigns
) -> dict[str, dict[str, Any]]:
    """Campaigns with the numbers that `of` says, and the assets that are named, each as an answer shows it."""
    rows = await snapshot.fetch(
        CAMPAIGNS, CAMPAIGNS_MAX + 1, list(of.whole) if isinstance(of, ComparedCampaigns) else None
    )
    if len(rows) > CAMPAIGNS_MAX:
        raise TooMuch(f"the workspace has more than {CAMPAIGNS_MAX} campaigns, whose numbers would all be compared")
    ids = {row["campaign"]: row["campaign_id"] for row in rows}
    counted = of.campaigns if isinstance(of, CountedCampaigns) else None
    numbers = await campaign_numbers(snapshot, ids, ALL_TIME, MODEL, counted)
    campaigns: dict[str, dict[str, Any]] = {
        campaign_id: {"metrics": {
            name: value for name, value in numbers[key].metrics().items()
            if counted is None or key in counted or name not in TOUCH_METRICS
        }} for key, campaign_id in ids.items()
    }  # fmt: skip
    if isinstance(of, ComparedCampaigns):
        campaigns |= await _earned(snapshot, of.earning)
    for campaign_id in named.campaigns & campaigns.keys():
        campaigns[campaign_id] |= await _campaign(snapshot, campaign_id)
    assets_by_id = await assets_now(snapshot, named.assets)
    held: dict[int, list[dict[str, Any]]] = {}
    for row in await snapshot.fetch(HELD, [asset_key(asset_id) for asset_id in named.assets]):
        to = None if row["to_us"] == END_US else to_rfc3339(row["to_us"])
        interval = {"campaign_id": row["campaign_id"], "from": to_rfc3339(row["from_us"]), "to": to}
        held.setdefault(row["asset"], []).append({**interval, "event_id": row["event_id"]})
    assets = {id_: _asset(now, held.get(asset_key(id_), [])) for id_, now in assets_by_id.items()}
    return {"campaigns": campaigns, "assets": assets}


async def _earned(snapshot: Snapshot, campaigns: frozenset[int]) -> dict[str, dict[str, Any]]:
    """Campaigns, by id, with what they earned."""
    rows = await snapshot.fetch(CAMPAIGNS, CAMPAIGNS_MAX, list(campaigns))
    ids = {row["campaign"]: row["campaign_id"] for row in rows}
    deals_by_campaign = await deal_numbers(snapshot, ids, ALL_TIME, [MODEL], "attributed_revenue") if ids else {}
    earned = {ids[key]: one.earned[MODEL] for key, one in deals_by_campaign.items()}
    return {
        campaign_id: {"metrics": {
            "attributed_revenue": money_by_currency(one.minor), "contacts_with_attributed_revenue": one.contacts,
        }} for campaign_id, one in earned.items()
    }  # fmt: skip


async def _campaign(snapshot: Snapshot, campaign_id: str) -> dict[str, Any]:
    now, row = await campaign_now(snapshot, campaign_id), await campaign_row(snapshot, campaign_id)
    spent = money_by_currency(await spent_minor(snapshot, row["campaign"]))
    planned = [] if row["budget_minor"] is None else [to_money(row["budget_minor"], row["currency"])]
    sums = {"budget_in_all": planned, "spent": spent}
    return {
        "created": now.changed_by is not None, "deleted": now.deleted_by is not None, **_texts(now.fields),
        **{name: ", ".join(f"{m['amount']} {m['currency']}" for m in money) for name, money in sums.items() if money},
    }  # fmt: skip


def _asset(now: AssetNow, held: list[dict[str, Any]]) -> dict[str, Any]:
    return {"registered": bool(now.registered_by), **_texts(now.fields), "held": held}


def _texts(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields as texts; dates as `2024-01-31`, goals as they are."""
    return {name: value if isinstance(value, dict) else str(value) for name, value in fields.items()}


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
