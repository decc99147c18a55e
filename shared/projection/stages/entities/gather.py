"""What do the entity events say that the workspace has set?"""

from typing import Any

import msgspec

from shared.events import types as e
from shared.events.codec import decode_event
from shared.events.registry import name_of, names_with, sql_names
from shared.projection.rows import SETTINGS_SUBJECT
from shared.projection.sql import Connection, sql
from shared.rules.order import Order
from shared.rules.settings import Settings, settings

SETTINGS_EVENTS = sql(f"""
SELECT occurred_at_us, event_id, body FROM {{g}}.entity_event
WHERE ws = $1 AND subject = {SETTINGS_SUBJECT} AND type = '{name_of(e.WorkspaceConfigured)}' AND live
""")
REGISTRATIONS = sql(f"""
SELECT subject, occurred_at_us, event_id, object, leads_to, body FROM {{g}}.entity_event
WHERE ws = $1 AND type IN {sql_names(names_with("page", "link"))}
""")


async def read_settings(connection: Connection, ws: int) -> Settings:
    """The settings that the workspace's entity events make."""
    changes = []
    for row in await connection.fetch(SETTINGS_EVENTS, ws):
        event: Any = decode_event(row["body"])
        assert isinstance(event, e.WorkspaceConfigured)
        changes.append((Order(row["occurred_at_us"], row["event_id"]), event.settings))
    return settings(changes)


def as_stored(settings: Settings) -> Any:
    """Settings as a column holds them."""
    return msgspec.to_builtins(settings, order="deterministic")


def as_read(body: Any) -> Settings:
    """The settings that a column holds; None are those of a workspace that has set nothing."""
    return Settings() if body is None else msgspec.convert(body, Settings)
