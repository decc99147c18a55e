"""Which address of a link was registered, byte for byte? In a sealed store, tables hold it with digests; the log has the original beside the event."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec

from shared.events.codec import Arrived, decode_record
from shared.events.registry import name_of
from shared.events.types import AssetRegistered
from shared.log.port import EventLog, partition_of
from shared.projection.sql import Statement, sql
from shared.rules.keys import asset_key, event_key
from shared.sealing.fields import opened
from shared.sealing.log import vault_of
from shared.sealing.names import PSEUDONYM
from shared.sealing.vault import Vault

REGISTRATIONS_MAX = 100  # of an asset, the newest, that are looked at; an asset has a few
CACHED_MAX = 10_000  # addresses of a process; about 5 MB

REGISTRATIONS = sql(f"""
SELECT event_id, body FROM {{g}}.entity_event
WHERE ws = $1 AND subject = $2 AND type = '{name_of(AssetRegistered)}' AND live
ORDER BY occurred_at_us DESC, event_id DESC LIMIT {REGISTRATIONS_MAX}
""")
PLACES = sql("SELECT event_key, log_offset FROM {g}.event_index WHERE ws = $1 AND event_key = ANY($2::bytea[])")

Fetch = Callable[..., Awaitable[Sequence[Any]]]
"""Runs a statement on a generation, with its arguments after that for the number of the workspace's rows."""


class _Target(msgspec.Struct):
    target_url: str | None = None


_target = msgspec.json.Decoder(_Target).decode


class Registered:
    """Reads addresses from a log, and remembers them by their places there, for what the log holds never changes."""

    def __init__(self, log: EventLog) -> None:
        self._log, self._vault = log, vault_of(log)
        self._known: dict[tuple[str, int], str | None] = {}

    async def target(self, fetch: Fetch, workspace: str, asset_id: str, stored: str) -> str | None:
        """The `target_url` that was sent when an asset was registered, for that which its row holds (`stored`).

        None if the row's is all that is known: of a store that is not sealed, without digests, or registered by an earlier release.
        Raises `LogUnavailable`, or as `fetch` does.
        """
        if self._vault is None or PSEUDONYM.search(stored) is None:
            return None
        rows = await fetch(REGISTRATIONS, asset_key(asset_id))
        matching = [event_key(row["event_id"]) for row in rows if _target(row["body"]).target_url == stored]
        offsets = {row["event_key"]: row["log_offset"] for row in await fetch(PLACES, matching)}
        for key in matching:
            place = workspace, offsets[key]
            if place not in self._known:
                if len(self._known) >= CACHED_MAX:
                    self._known.clear()
                self._known[place] = await self._sent(self._vault, *place)
            sent = self._known[place]
            if sent is not None and self._vault.url(workspace, sent) == stored:
                return sent
        return None

    async def _sent(self, vault: Vault, workspace: str, offset: int) -> str | None:
        """The `target_url` that is sealed beside the event at a place of the log; None if there is none."""
        (entry,) = await self._log.entries(partition_of(workspace, self._log.partitions), [offset])
        record: Arrived = decode_record(entry.value, entry.offset)
        if (beside := record.sealed) is None:
            return None
        person = (await vault.names(workspace, {beside["by"]})).get(beside["by"])
        return None if person is None else opened(beside, person[1]).get("target_url")


def in_generation(statement: Statement, generation: str) -> str:
    """The text of a statement for a generation."""
    return statement.replace("{g}", generation)
