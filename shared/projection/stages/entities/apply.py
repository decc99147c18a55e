"""Stage *entities*: events that are no touch, by the entity that they are about, and the workspace's settings.

An entity event is written once and never changes, but for the keys of a registered address, which follow the settings of URLs.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from shared.events import types as e
from shared.events.codec import decode_event, encode_event, event_type
from shared.events.registry import BY_STRUCT
from shared.projection.changes import Change, Changes, EntitiesChanged, EventsAdmitted, SettingsChanged
from shared.projection.pipeline import Context, Stage
from shared.projection.rows import Prepared, entity_event, suit_entity_event
from shared.projection.sql import Connection, sql
from shared.projection.stages.entities.gather import REGISTRATIONS, as_stored, read_settings
from shared.rules.page import AddressRules
from shared.rules.settings import NOTHING_SET, Settings

CHUNK_ROWS = 5_000  # of registrations whose keys follow changed settings: some 5 MB at a time
DERIVED_BY: Mapping[str, str] = {"campaign": "catalog", "asset": "catalog", "deal": "deals", "contact": "contacts"}
"""The stage that derives the rows of each entity: events of the types that it takes are passed on to it."""

ENTITY_EVENT_COLUMNS = ("ws", "subject", "occurred_at_us", "event_id", "type", "object", "leads_to", "live", "body")

DROP_ENTITY_EVENTS = sql("""
DELETE FROM {g}.entity_event f USING unnest($2::bigint[], $3::bigint[], $4::text[]) u(subject, at_us, event_id)
WHERE f.ws = $1 AND f.subject = u.subject AND f.occurred_at_us = u.at_us AND f.event_id = u.event_id
""")
RETRACT_ENTITY_EVENTS = sql("""
UPDATE {g}.entity_event f SET live = false FROM unnest($2::bigint[], $3::bigint[], $4::text[]) u(subject, at_us, event_id)
WHERE f.ws = $1 AND f.subject = u.subject AND f.occurred_at_us = u.at_us AND f.event_id = u.event_id
""")
SET_REGISTRATIONS = sql("""
UPDATE {g}.entity_event f SET object = u.object, leads_to = u.leads_to
FROM unnest($2::bigint[], $3::bigint[], $4::text[], $5::bigint[], $6::bigint[])
    u(subject, at_us, event_id, object, leads_to)
WHERE f.ws = $1 AND f.subject = u.subject AND f.occurred_at_us = u.at_us AND f.event_id = u.event_id
""")
SAVE_SETTINGS = sql("""
INSERT INTO {g}.settings VALUES ($1, $2) ON CONFLICT (ws) DO UPDATE SET body = excluded.body
""")
DROP_SETTINGS = sql("DELETE FROM {g}.settings WHERE ws = $1")


async def run(context: Context, changes: Changes) -> Sequence[Change]:
    """Write the entity events; pass on which entities they are about, and changed settings."""
    admitted = changes.of(EventsAdmitted)
    if context.settings.urls != NOTHING_SET:
        suit_entity_event((*admitted.entering, *admitted.outside), context.settings.addresses)
    await _write(context, admitted)
    concerned = [a for a in (*admitted.leaving, *admitted.entering) if not a.is_touch]
    if any(isinstance(a.event, e.WorkspaceConfigured) for a in concerned):
        now = await context.heed(context, await read_settings(context.connection, context.ws))
        if now != context.settings:
            assets = await _apply_settings(context, now)
            return [_entities_of(concerned, assets), SettingsChanged(context.settings, now)]
    return [_entities_of(concerned, ())]


async def _write(context: Context, admitted: EventsAdmitted) -> None:
    """A row that another event replaces, or that comes back, is rewritten."""
    for statement, arrived in (
        (DROP_ENTITY_EVENTS, admitted.without_row), (RETRACT_ENTITY_EVENTS, admitted.retracted),
    ):  # fmt: skip
        if places := [(a.place, a.occurred_at_us, a.event_id) for a in arrived if not a.is_touch]:
            await context.connection.execute(statement, context.ws, *map(list, zip(*places, strict=True)))
    rows = [
        (context.ws, about.subject, a.occurred_at_us, a.event_id, event_type(a.event), about.object, about.leads_to,
         live, entity_event_body(a.event))
        for events, live in ((admitted.entering, True), (admitted.outside, False))
        for a in events
        if (about := a.about) is not None
    ]  # fmt: skip
    await context.connection.copy("entity_event", ENTITY_EVENT_COLUMNS, rows)


def entity_event_body(event: e.Event) -> bytes:
    """What is kept of an entity event: all but id, instant, `as_of` and `sent_at`, which have columns or are used up."""
    return encode_event(msgspec.structs.replace(event, id=None, occurred_at=None, as_of=None, sent_at=None))


def _entities_of(concerned: Iterable[Prepared], assets_too: Iterable[int]) -> EntitiesChanged:
    campaigns, assets, deals, contacts = set[int](), set(assets_too), set[int](), set[int]()
    changed = {"campaign": campaigns, "asset": assets, "deal": deals, "contact": contacts}
    for arrived in concerned:
        declared, about = BY_STRUCT[type(arrived.event)], arrived.about
        assert about is not None
        if declared.entity in changed and DERIVED_BY[declared.entity] in declared.stages:
            changed[declared.entity].add(about.subject)
        if declared.object_key is not None and declared.object_key.kind == "campaign" and about.object is not None:
            campaigns.add(about.object)
    return EntitiesChanged(frozenset(campaigns), frozenset(assets), frozenset(deals), frozenset(contacts))


async def _apply_settings(context: Context, now: Settings) -> set[int]:
    """Keep changed settings, and give every registration the keys that they give it; answers the assets registered."""
    await save_settings(context.connection, context.ws, now)
    if context.settings.urls == now.urls:
        return set()
    connection = context.connection
    assets: set[int] = set()
    cursor = await connection.raw.cursor(REGISTRATIONS.replace("{g}", connection.generation), context.ws)
    while rows := await cursor.fetch(CHUNK_ROWS):
        assets |= {row["subject"] for row in rows}
        if found := [changed for row in rows if (changed := _registration(row, now.addresses)) is not None]:
            await connection.execute(SET_REGISTRATIONS, context.ws, *map(list, zip(*found, strict=True)))
    return assets


def _registration(row: Any, rules: AddressRules) -> tuple[Any, ...] | None:
    about = entity_event(decode_event(row["body"]), rules)
    if (about.object, about.leads_to) == (row["object"], row["leads_to"]):
        return None
    return about.subject, row["occurred_at_us"], row["event_id"], about.object, about.leads_to


async def save_settings(connection: Connection, ws: int, now: Settings) -> None:
    """Keep a workspace's settings for readers; those of one that has set nothing are known."""
    if now == Settings():
        await connection.execute(DROP_SETTINGS, ws)
    else:
        await connection.execute(SAVE_SETTINGS, ws, as_stored(now))


STAGE = Stage(
    "entities", run, takes=(EventsAdmitted,), passes_on=(EntitiesChanged, SettingsChanged), package=__package__,
    owns=("entity_event", "settings"),
)  # fmt: skip
